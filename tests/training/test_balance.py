"""Rare classes in training: how often ``balance`` shows them, and the warning that names them."""

import json
import warnings

import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset
from typer.testing import CliRunner

import genaug
from genaug.backends import Backend, BackendConfig, Loss, Normal, Player, Spec, adam, registry
from genaug.cli import app
from genaug.data.reading import Samples
from genaug.errors import InputError, TrainingWarning
from genaug.modalities import Image
from genaug.training.balance import few_images_expected, warn_of_rare_classes
from genaug.training.distributed import World
from genaug.training.trainer import Trainer

COUNTS = (64, 16, 4, 0)  # of the classes


def labels_with(counts=COUNTS):
    return torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))


def images_with(counts=COUNTS):
    """Images 1x8x8 whose class decides their brightness, sorted by class."""
    labels = labels_with(counts)
    noise = torch.randint(0, 50, (len(labels), 1, 8, 8), generator=torch.Generator().manual_seed(0))
    return TensorDataset((60 * labels.clamp(max=3)[:, None, None, None] + noise).to(torch.uint8), labels)


IMAGES = images_with()


class Lamp(Backend):
    """Its generator maps a label to a brightness and normalizes it over the batch; its encoder normalizes images."""

    class Config(BackendConfig):
        own: bool = False
        conditional: bool = True

    keeps = ("generator", "encoder")
    takes_unlabelled = True

    def describe(self, config, data):
        classes = data.classes if config.conditional else None
        return data.model_copy(update={"latents": (Normal(size=2),), "classes": classes})

    def build(self, config, spec):
        norms = [nn.BatchNorm2d(1, momentum=None) for _ in range(2)]
        return nn.ModuleDict({"generator": norms[0], "encoder": norms[1]})

    def class_shares(self, config, counts):
        return torch.tensor([0.0, 1.0, 1.0, 5.0]) if config.own else None

    def generate(self, nets, inputs):
        planes = inputs.latents["z"][:, :1] * 0 if inputs.labels is None else inputs.labels[:, None].float()
        return nets["generator"](planes[:, :, None, None].expand(-1, 1, 8, 8)).tanh()

    def encode(self, nets, x, labels):
        return {"z": nets["encoder"](x).flatten(1)[:, :2]}

    def players(self, config, nets):
        return [Player("both", nets.parameters(), self.loss, adam(1e-3))]

    def loss(self, nets, batch, step):
        return Loss(self.generate(nets, step.inputs(batch)).square().mean() + nets["encoder"](batch.x).square().mean())


@pytest.fixture
def lamp(register_backend):
    register_backend("lamp", Lamp)


def trainer_of(balance, world=None, own=False, batch_size=20):
    data = Samples(*IMAGES.tensors, Spec(sample=Image(1, 8, 8), classes=len(COUNTS)))
    return Trainer(Lamp(), Lamp.Config(own=own), data, batch_size=batch_size, world=world, balance=balance)


def fit(out, dataset=IMAGES, backend="lamp", **arguments):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TrainingWarning)
        defaults = {"steps": 4, "batch_size": 8, "device": "cpu", "progress": False}
        return genaug.fit(backend, dataset, out=out, **{**defaults, **arguments})


class TestShares:
    @pytest.mark.parametrize(
        ("balance", "own", "expected"),
        [
            (None, False, [64, 16, 4, 0]),
            ("uniform", False, [28, 28, 28, 0]),
            ("sqrt", False, [48, 24, 12, 0]),  # 8 : 4 : 2
            (None, True, [0, 42, 42, 0]),
            ("sqrt", True, [48, 24, 12, 0]),
        ],
    )
    def test_an_epoch_has_each_class_by_its_share(self, balance, own, expected):
        batches = trainer_of(balance, own=own, batch_size=len(IMAGES)).batches
        for epoch in range(3):
            batch = batches.batch(epoch)
            assert batch.labels.bincount(minlength=4).tolist() == expected
            brightness = (batch.x.mean((1, 2, 3)) * 127.5 + 127.5) // 60
            assert torch.equal(brightness.long(), batch.labels), "images keep their labels"

    def test_each_image_of_a_class_comes_once_before_one_comes_again(self):
        batch = trainer_of("uniform", batch_size=len(IMAGES)).batches.batch(0)
        for label, count in ((0, 28), (1, 16), (2, 4)):
            of_class = batch.x[batch.labels == label]
            assert len({image.numpy().tobytes() for image in of_class}) == count

    def test_processes_share_the_batches(self):
        together = trainer_of("uniform").batches.batch(3)
        parts = [trainer_of("uniform", World(rank, 2)).batches.batch(3) for rank in range(2)]
        assert torch.equal(torch.cat([part.labels for part in parts]), together.labels)
        assert torch.equal(torch.cat([part.x for part in parts]), together.x)

    @pytest.mark.parametrize(("balance", "mean"), [(None, 24 / 84), ("uniform", 1.0), ("sqrt", 48 / 84)])
    def test_batch_norm_statistics_are_those_of_the_training(self, balance, mean):
        nets = trainer_of(balance).averaged()
        assert nets["generator"].running_mean.item() == pytest.approx(mean, abs=0.01), "of the labels"
        x, labels = Image(1, 8, 8).encode(IMAGES.tensors[0]), IMAGES.tensors[1]
        per_class = torch.stack([x[labels == label].mean() for label in range(3)])
        shares = {None: [64, 16, 4], "uniform": [1, 1, 1], "sqrt": [8, 4, 2]}[balance]
        weights = torch.tensor(shares) / sum(shares)
        assert nets["encoder"].running_mean.item() == pytest.approx(float(weights @ per_class), abs=0.02)


@pytest.mark.usefixtures("lamp")
class TestFit:
    def test_a_resumed_run_is_exact_and_keeps_its_balance(self, tmp_path):
        complete = fit(tmp_path / "a", balance="uniform")
        fit(tmp_path / "b", balance="uniform", steps=2)
        resumed = fit(tmp_path / "b", steps=4, resume=True)
        other = fit(tmp_path / "c")
        weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in "abc"]
        assert weights[0] == weights[1] != weights[2]
        assert complete.training["balance"] == resumed.training["balance"] == "uniform"
        assert other.training["balance"] is None
        assert genaug.load(tmp_path / "b").training["balance"] == "uniform"
        assert json.loads((tmp_path / "b" / "run.json").read_text())["balance"] == "uniform"
        with pytest.raises(InputError, match="can't be resumed: balance was 'uniform', now it is 'sqrt'"):
            fit(tmp_path / "b", balance="sqrt", resume=True)

    def test_the_command(self, tmp_path):
        command = ["train", "lamp", "--data", "digits", "--labels-per-class", "30", "--batch-size", "8"]
        command += ["--device", "cpu", "--out", str(tmp_path / "run"), "--steps", "1"]
        result = CliRunner().invoke(app, [*command, "--balance", "sqrt"])
        assert result.exit_code == 0, result.output
        assert json.loads((tmp_path / "run" / "run.json").read_text())["balance"] == "sqrt"
        result = CliRunner().invoke(app, ["train", "--resume", "--out", str(tmp_path / "run"), "--steps", "2"])
        assert result.exit_code == 0, result.output
        result = CliRunner().invoke(app, [*command, "--overwrite", "--balance", "even"])
        assert result.exit_code == 1
        assert "--balance" in str(result.exception) + result.output

    @pytest.mark.parametrize("balance", ["even", "", 1, ["sqrt"]])
    def test_other_values_are_rejected(self, tmp_path, balance):
        with pytest.raises(InputError, match=r"must be 'uniform' .* or 'sqrt'"):
            fit(tmp_path / "run", balance=balance)

    def test_data_without_classes_to_balance_are_rejected(self, tmp_path):
        images, labels = IMAGES.tensors
        some = TensorDataset(images, torch.where(torch.arange(len(labels)) % 2 == 0, labels, -1))
        for dataset, options, message in (
            (TensorDataset(images), {}, "needs labels, and the dataset has none"),
            ([(image, 0.5) for image in images], {"config": {"conditional": False}}, "labels must be integers"),
            (IMAGES, {"config": {"conditional": False}}, "with these options lamp trains one without"),
            (IMAGES, {"backend": "infogan", "config": registry.resolve("infogan").tiny}, "infogan trains one without"),
            (some, {}, "needs a label for every sample, and 42 of 84 have none"),
            (IMAGES, {"unlabelled": TensorDataset(images)}, "and 84 of 168 have none"),
        ):
            with pytest.raises(InputError, match=message):
                fit(tmp_path / "run", dataset, balance="uniform", **options)
            assert not (tmp_path / "run").exists()


def warnings_of(counts, unlabelled=0, names=None):
    labels = torch.cat([labels_with(counts), torch.full((unlabelled,), -1)])
    x = torch.zeros(len(labels), 1, 1, 1, dtype=torch.uint8)
    spec = Spec(sample=Image(1, 1, 1), classes=names or len(counts))

    def training():
        warn_of_rare_classes(Samples(x, labels, spec))

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        training()
    assert all(warning.filename == __file__ for warning in caught)
    return [str(warning.message) for warning in caught]


class TestWarning:
    def test_it_names_rare_classes_the_rarest_first(self):
        (text,) = warnings_of([100, 29, 0, 30, 3], names=["a", "b", "c", "d", "e"])
        assert text.startswith("2 classes have fewer than 30 training images (4 ('e') has 3, 1 ('b') has 29): ")
        (text,) = warnings_of([100, 1])
        assert text.startswith("1 class has fewer than 30 training images (1 has 1): ")

    def test_it_counts_most_of_a_thousand_classes(self):
        (text,) = warnings_of([40] * 3 + [2] * 997)
        assert "997 classes have fewer" in text
        assert "(3 has 2, 4 has 2, 5 has 2, 6 has 2, 7 has 2, and 992 more)" in text
        assert len(text) < 400

    @pytest.mark.parametrize(("counts", "unlabelled"), [([30, 30], 0), ([0, 30], 0), ([3, 3], 1)])
    def test_it_is_silent_without_rare_classes_or_if_classes_are_unknown(self, counts, unlabelled):
        assert warnings_of(counts, unlabelled) == []

    def test_it_can_be_expected(self):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            for counts in ([3, 3], [30, 3]):
                labels = labels_with(counts)
                data = Samples(torch.zeros(len(labels), 1, 1, 1), labels, Spec(sample=Image(1, 1, 1), classes=2))
                with few_images_expected():
                    warn_of_rare_classes(data)
        assert caught == []

    def test_fit_warns_once_in_a_new_run(self, tmp_path, tiny_set, tiny_config):
        fixed = {"batch_size": 8, "device": "cpu", "progress": False}
        with pytest.warns(TrainingWarning, match="4 classes have fewer than 30 training images") as caught:
            genaug.fit("cgan", tiny_set, out=tmp_path / "a", steps=1, config=tiny_config, **fixed)
        assert len(caught) == 1
        assert caught[0].filename == __file__
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            genaug.fit("cgan", tiny_set, out=tmp_path / "a", steps=2, resume=True, **fixed)
            genaug.fit("cgan", tiny_set, out=tmp_path / "b", steps=1, init=tmp_path / "a", **fixed)
            config = {**tiny_config, "conditional": False}
            genaug.fit("cgan", tiny_set, out=tmp_path / "c", steps=1, config=config, **fixed)
