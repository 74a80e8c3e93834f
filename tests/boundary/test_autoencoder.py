"""The contract of a backend allows an adversarial autoencoder (Makhzani et al. 2015) that keeps its encoder."""

import pytest
import torch
from torch import nn
from torch.nn.functional import mse_loss, softplus

import genaug
from genaug.backends import Backend, BackendConfig, Fakes, Loss, Player, adam
from genaug.backends.registry import added
from genaug.testing import check_backend

LR = 1e-2


class Encoder(nn.Module):
    def __init__(self, spec, size):
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.LazyLinear(32), nn.ReLU(), nn.Linear(32, size))
        self.body(torch.zeros(1, *spec.shape))

    def forward(self, x):
        return self.body(x)


class AAE(Backend):
    """Three players: the autoencoder, a critic of codes, and the encoder, which matches its codes to the prior."""

    class Config(BackendConfig):
        latent_size: int = 4

    keeps = ("generator", "encoder")

    def describe(self, config, data):
        return super().describe(config, data.model_copy(update={"classes": None}))

    def build(self, config, spec):
        size, pixels = config.latent_size, torch.Size(spec.shape).numel()
        decoder = [nn.Linear(size, 32), nn.ReLU(), nn.Linear(32, pixels), nn.Tanh(), nn.Unflatten(1, spec.shape)]
        critic = nn.Sequential(nn.Linear(size, 16), nn.ReLU(), nn.Linear(16, 1))
        return nn.ModuleDict({"generator": nn.Sequential(*decoder), "encoder": Encoder(spec, size), "critic": critic})

    def generate(self, nets, inputs):
        return nets["generator"](inputs.latents["z"])

    def encode(self, nets, x, labels):
        return {"z": nets["encoder"](x)}

    def players(self, config, nets):
        both = [*nets["encoder"].parameters(), *nets["generator"].parameters()]
        return [
            Player("autoencoder", both, self.reconstruction, adam(LR, (0.9, 0.999))),
            Player("critic", nets["critic"].parameters(), self.critic_loss, adam(LR)),
            Player("prior", nets["encoder"].parameters(), self.prior_loss, adam(LR / 10)),
        ]

    def reconstruction(self, nets, batch, step):
        return Loss(mse_loss(nets["generator"](nets["encoder"](batch.x)), batch.x))

    def critic_loss(self, nets, batch, step):
        fakes = step.fakes(lambda: Fakes(nets["encoder"](batch.x), step.inputs(batch)))
        real, fake = nets["critic"](fakes.inputs.latents["z"]), nets["critic"](fakes.x.detach())
        return Loss(softplus(-real).mean() + softplus(fake).mean())

    def prior_loss(self, nets, batch, step):
        return Loss(softplus(-nets["critic"](nets["encoder"](batch.x))).mean())


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A trained autoencoder of the digits, its data, and the folder that it was saved in."""
    data = genaug.data.load_data("digits")
    with added("tiny-aae", AAE):
        folder = tmp_path_factory.mktemp("aae") / "run"
        generator = genaug.fit("tiny-aae", data, out=folder, steps=300, device="cpu", progress=False)
        yield generator, folder, data


def digits(data, n=200):
    from genaug.modalities.image import to_uint8

    return torch.stack([to_uint8(data[i][0]) for i in range(n)])


def test_it_fulfills_the_contract():
    with added("tiny-aae", AAE):
        assert {result.check for result in check_backend("tiny-aae")} >= {"check_encode", "check_save_and_load"}


def test_it_decodes_what_it_encodes(trained):
    """Also when loaded: the mean squared error of a digit is far below that between two digits."""
    generator, folder, data = trained
    real = digits(data)
    loaded = genaug.load(folder, device="cpu")
    codes = loaded.encode(real)
    assert codes["z"].shape == (200, 4)
    assert torch.equal(codes["z"], generator.encode(real)["z"])
    decoded = loaded.decode(codes["z"], dtype=torch.float32)
    error, usual = (mse_loss(decoded, other / 255) for other in (real, real.roll(1, 0)))
    assert error < usual / 2


def test_scoring_without_a_kept_discriminator_is_an_error(trained):
    with pytest.raises(genaug.GenaugError, match=r"'tiny-aae' can't score samples\. Installed .* that can: .*infogan"):
        trained[0].score(digits(trained[2], 4))
