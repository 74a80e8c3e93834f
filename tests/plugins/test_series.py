"""rcgan and timevae: losses by hand, and what they learn of waves, lengths and missing values."""

import math

import pytest
import torch
from helpers.waves import ragged, waves
from torch.nn.functional import softplus
from torch.utils.data import TensorDataset

import genaug
from genaug.backends import Spec
from genaug.backends.registry import resolve
from genaug.data.reading import Samples
from genaug.errors import InputError
from genaug.modalities import Series
from genaug.modalities.series_values import lengths_of
from genaug.testing.subject import Case
from genaug_series.networks import dilations
from genaug_series.rcgan import RCGANConfig
from genaug_series.timevae import TimeVAEConfig, series_misfit

X, Y = waves(24)


def case(name, data=None, **options):
    """The backend with tiny networks on a dataset, by default complete waves."""
    backend = resolve(name)
    sample = Series(2, 24).fitted(X)
    data = data or Samples(X, Y, Spec(sample=sample, classes=2))
    return Case(backend, backend.Config(**{**backend.tiny, **options}), data)


def losses(subject, index=0):
    """Each player's loss on one batch, and the batch with the fakes of both players."""
    nets = subject.build().eval()
    step, batch = subject.step(nets, index), subject.batch()
    values = {name: loss for name, loss, _ in subject.losses(nets, step, batch)}
    inputs = subject.step(nets, index).inputs(batch)
    return nets, batch, subject.backend.generate(nets, inputs), values


@pytest.mark.parametrize("discriminator", ["recurrent", "bidirectional", "dilated"])
def test_rcgans_losses_by_hand(discriminator):
    subject = case("rcgan", discriminator=discriminator, gamma=0.5, penalty_every=4)
    nets, batch, fake, values = losses(subject)
    x = torch.cat([batch.x, fake.detach()]).requires_grad_()
    both = torch.cat([batch.labels, batch.labels])
    scores = nets["discriminator"](x, both)
    real, false = scores.detach().chunk(2)
    (gradient,) = torch.autograd.grad(scores.sum(), x)
    n = len(batch.x)
    r1, r2 = (float(part.square().sum() / n) for part in gradient.split(n))
    expected = float(softplus(false - real).mean().detach()) + 0.5 / 2 * 4 * (r1 + r2)
    assert values["discriminator"].value.item() == pytest.approx(expected, rel=1e-4)
    assert float(values["generator"].value) == pytest.approx(float(softplus(real - false).mean().detach()), rel=1e-4)
    _, _, _, later = losses(subject, index=1)
    assert "penalty" not in later["discriminator"].log


def test_rcgan_with_the_papers_objective():
    subject = case("rcgan", discriminator="recurrent", generator="recurrent", loss="minimax", gamma=0, latent="step")
    nets, batch, fake, values = losses(subject)
    real, false = (nets["discriminator"](x, batch.labels) for x in (batch.x, fake))
    assert subject.spec.latents[0].shape == (24, 3)
    assert float(values["discriminator"].value) == pytest.approx(
        float((softplus(-real).mean() + softplus(false).mean()).detach()), rel=1e-4
    )
    assert float(values["generator"].value) == pytest.approx(float(-softplus(false).mean().detach()), rel=1e-4)


@pytest.mark.parametrize(
    "options",
    [
        {"generator": "recurrent", "cell": "gru", "generator_layers": 2},
        {"generator": "dilated", "generator_layers": 2},
        {"generator": "dilated", "latent": "step"},
        {"generator": "recurrent", "latent": "step", "discriminator": "bidirectional", "discriminator_layers": 2},
        {"conditional": False, "loss": "hinge"},
    ],
)
@pytest.mark.parametrize("data", [None, "ragged"])
def test_every_network_makes_and_scores_series(options, data):
    subject = case("rcgan", data and ragged().read_rows(), **options)
    subject.train(subject.trainer(), range(2))
    assert subject.samples(subject.build(), 3).shape == (3, *subject.spec.sample.encoded_shape)


def test_a_dilated_generator_has_more_layers_by_default():
    bodies = {
        kind: case("rcgan", generator=kind, generator_layers=None).build()["generator"].body
        for kind in ("recurrent", "dilated")
    }
    assert (bodies["recurrent"].body.num_layers, len(bodies["dilated"].convs)) == (1, 6)


def test_dilated_layers_reach_over_the_complete_series_and_not_beyond():
    assert dilations(6, 30) == [1, 2, 4, 8, 1, 2]
    assert dilations(3, 2) == [1, 1, 1]
    assert max(dilations(20, 1000)) == 256


def test_the_misfit_of_timevae_by_hand():
    sample = Series(1, 2, shortest=1, has_missing=True)
    outputs = torch.tensor([[[0.5, 3.0], [2.0, -1.0], [1.0, 4.0]]])
    x = torch.tensor([[[1.5, 0.0], [1.0, -1.0], [1.0, 0.0]]])  # one value, then the end
    log_scale = math.log(0.5)
    value = 1.0**2 / (2 * 0.5**2) + log_scale + math.log(2 * math.pi) / 2
    presence = math.log(1 + math.exp(-4)) + math.log(1 + math.exp(-2))
    observation = math.log(1 + math.exp(-2))
    misfit = series_misfit(outputs, x, torch.tensor([[log_scale]]), sample)
    assert float(misfit) == pytest.approx(value + presence + observation, rel=1e-5)
    missing = torch.tensor([[[0.0, 1.0], [1.0, 1.0], [-1.0, 1.0]]])
    second = 2.0**2 / (2 * 0.5**2) + log_scale + math.log(2 * math.pi) / 2
    presence = math.log(1 + math.exp(-4)) + math.log(1 + math.exp(2))
    observation = math.log(1 + math.exp(2)) + math.log(1 + math.exp(-8))
    misfit = series_misfit(outputs, missing, torch.tensor([[log_scale]]), sample)
    assert float(misfit) == pytest.approx(second + presence + observation, rel=1e-5)


def test_the_loss_of_timevae_by_hand():
    subject = case("timevae", beta=3.0)
    nets, batch, _, values = losses(subject)
    mean, log_variance = nets["encoder"](batch.x, batch.labels).chunk(2, dim=1)
    z = mean + (log_variance / 2).exp() * subject.step(nets).normal(*mean.shape)
    outputs = nets["generator"](z, batch.labels)
    scale = math.exp(-1)
    squares = (batch.x - outputs).square().sum((1, 2)).mean() / (2 * scale**2)
    misfit = float(squares) + 48 * (-1 + math.log(2 * math.pi) / 2)
    divergence = float((mean.square() + log_variance.exp() - 1 - log_variance).sum(1).mean() / 2)
    assert float(values["autoencoder"].value) == pytest.approx(misfit + 3 * divergence, rel=1e-4)


def test_trend_and_seasons_are_parts_of_the_outputs():
    subject = case("timevae", trend=3, seasons=((2, 3),))
    decoder = subject.build()["generator"]
    hidden = torch.randn(2, 6)
    trend = decoder.trend(hidden)
    theta = decoder.trend.body(hidden).unflatten(1, (2, 3))
    t = 5 / 24
    expected = theta[..., 0] * t + theta[..., 1] * t**2 + theta[..., 2] * t**3
    assert torch.allclose(trend[:, :, 5], expected, atol=1e-5)
    season = decoder.seasons[0](hidden)
    assert torch.equal(season[:, :, 0], season[:, :, 2])
    assert torch.equal(season[:, :, 3], season[:, :, 5])
    assert torch.equal(season[:, :, 0], season[:, :, 6])
    assert not torch.equal(season[:, :, 0], season[:, :, 3])
    without = case("timevae", trend=0).build()["generator"]
    assert without.trend is None


@pytest.mark.parametrize(
    ("config", "options"),
    [
        (RCGANConfig, {"loss": "wasserstein"}),
        (RCGANConfig, {"cell": "rnn"}),
        (TimeVAEConfig, {"seasons": [[0, 3]]}),
        (TimeVAEConfig, {"seasons": [[3]]}),
        (TimeVAEConfig, {"trend": -1}),
    ],
)
def test_options_out_of_range(config, options):
    with pytest.raises(ValueError, match=next(iter(options))):
        config(**options)


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    """A small timevae of waves of various lengths with missing values."""
    folder = tmp_path_factory.mktemp("series")
    options = {"width": 8, "max_width": 16, "hidden": 32, "latent_size": 4}
    return genaug.fit(
        "timevae",
        ragged(200),
        out=folder / "run",
        steps=400,
        batch_size=32,
        config=options,
        device="cpu",
        progress=False,
    )


def test_timevae_learns_classes_lengths_and_missing_values(learned):
    real = ragged(200)
    samples, labels = learned.sample(labels=torch.arange(200) % 2, seed=0)
    lengths = lengths_of(samples).float()
    assert lengths.mean() == pytest.approx(float(real.lengths.float().mean()), abs=2)
    assert lengths.min() >= 12
    first, second = (samples[:, channel, :12].isnan() for channel in range(2))
    assert first[:, 2::5].double().mean() > 0.9
    assert second.double().mean() < 0.1
    energy = samples[:, 1, :12].diff(dim=1).square().mean(1)
    assert energy[labels == 1].mean() > 1.5 * energy[labels == 0].mean()  # twice the frequency
    assert torch.isfinite(samples[~samples.isnan()]).all()
    assert samples.nan_to_num(50).min() >= 44.9


def test_timevae_varies_series(learned):
    real = ragged(200).read_rows()
    x, labels = real.x[:20], real.labels[:20]
    same = learned.vary(x, labels, strength=0, seed=0)
    other = learned.vary(x, labels, strength=1, seed=0)
    error, distance = ((varied - x)[:, 1, :12].square().nanmean() for varied in (same, other))
    assert error < distance / 2
    assert learned.encode(x, labels)["z"].shape == (20, 4)


def test_variations_of_a_dataset_are_a_source(learned):
    source = genaug.variations(learned, ragged(20), strength=0.3)
    pool = genaug.SamplePool(source, size=10)
    assert pool.images.shape == (10, 2, 24)


def test_a_held_out_set_must_not_share_series(tmp_path):
    data = TensorDataset(X, Y)
    with pytest.raises(InputError, match="2 of the 24 series of the dataset are in exclude too"):
        genaug.fit("rcgan", data, exclude=TensorDataset(X[:2]), out=tmp_path / "run", steps=1, progress=False)


def test_a_saved_generator_is_loaded_walked_and_previewed(learned, tmp_path):
    generator = genaug.load(learned.save(tmp_path / "saved"), device="cpu")
    assert generator.spec.sample == learned.spec.sample
    grids = generator.traverse(tmp_path / "walk", axes=["z.0", "z.1"], steps=3)
    assert "grid_z.0_z.1_label_0" in grids
    assert list((learned.folder / "samples").glob("*.png"))


def test_what_is_for_other_samples_says_so(tmp_path):
    with pytest.raises(InputError, match="'cgan' can't be trained on series"):
        genaug.fit("cgan", ragged(), out=tmp_path / "run", steps=1, progress=False)
    with pytest.raises(InputError, match="'rcgan' can't be trained on images"):
        genaug.fit("rcgan", TensorDataset(torch.zeros(9, 1, 8, 8)), out=tmp_path / "run", steps=1, progress=False)
    with pytest.raises(InputError, match=r"augment= .* is for images, and these are series"):
        genaug.fit("rcgan", TensorDataset(X, Y), out=tmp_path / "run", steps=1, progress=False, augment=["color"])
    with pytest.raises(InputError, match="must be integers"):
        genaug.fit("rcgan", TensorDataset(X, torch.zeros(24, 24)), out=tmp_path / "run", steps=1, progress=False)


def test_fit_reports_what_is_worth_checking(tmp_path):
    options = {"config": resolve("rcgan").tiny, "device": "cpu", "progress": False, "batch_size": 8}
    with pytest.warns(genaug.errors.DataWarning, match="probably transposed"):
        genaug.fit("rcgan", TensorDataset(X.transpose(1, 2), Y), out=tmp_path / "run", steps=1, **options)
