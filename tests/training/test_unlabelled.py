"""Training on labeled and unlabeled images, and what a semi-supervised generator's classifier is used for."""

import json
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, mse_loss
from torch.utils.data import TensorDataset
from typer.testing import CliRunner

import genaug
from genaug.backends import Backend, BackendConfig, Loss, Normal, Player, Spec, adam
from genaug.backends.registry import added
from genaug.cli import app
from genaug.data.reading import Samples
from genaug.errors import InputError
from genaug.modalities import Image
from genaug.training.distributed import World
from genaug.training.streams import Batches

CPU = torch.device("cpu")


class Semi(Backend):
    """A generator of brightness, and a classifier that learns from the labels that it is given."""

    class Config(BackendConfig):
        latent_size: int = 2

    keeps = ("generator", "classifier")
    takes_unlabelled = True

    def describe(self, config, data):
        return data.model_copy(update={"latents": (Normal(size=config.latent_size),)})

    def build(self, config, spec):
        pixels = torch.Size(spec.shape).numel()
        generator = nn.Sequential(nn.Linear(config.latent_size + spec.num_classes, pixels), nn.Tanh())
        generator.append(nn.Unflatten(1, spec.shape))
        classifier = nn.Sequential(nn.Flatten(), nn.Linear(pixels, spec.num_classes or 3))
        return nn.ModuleDict({"generator": generator, "classifier": classifier})

    def generate(self, nets, inputs):
        z = inputs.latents["z"]
        if inputs.labels is not None:
            z = torch.cat([z, nn.functional.one_hot(inputs.labels, nets["generator"][0].in_features - 2)], 1)
        return nets["generator"](z)

    def classify(self, nets, x):
        return nets["classifier"](x)

    def players(self, config, nets):
        return [Player("both", nets.parameters(), self.loss, adam(1e-1))]

    def loss(self, nets, batch, step):
        inputs = step.inputs(batch)
        value = (nets["generator"][0].weight ** 2).mean() + self.reconstruction(nets, batch, inputs)
        known = batch.labels is not None and batch.labels >= 0
        if batch.labels is not None and known.any():
            value = value + cross_entropy(nets["classifier"](batch.x[known]), batch.labels[known])
        return Loss(value)

    def reconstruction(self, nets, batch, inputs):
        if inputs.labels is not None:
            turns = torch.arange(len(batch.x)) % (nets["generator"][0].in_features - 2)
            inputs = replace(inputs, labels=turns)
        return mse_loss(self.generate(nets, inputs), batch.x)


@pytest.fixture(autouse=True)
def semi():
    with added("semi", Semi):
        yield


def images_of(labels, seed=0):
    """8x8 images of three brightnesses with noise."""
    noise = torch.randint(0, 40, (len(labels), 1, 8, 8), generator=torch.Generator().manual_seed(seed))
    return (noise + 80 * labels[:, None, None, None]).to(torch.uint8)


FEW = TensorDataset(images_of(torch.arange(12) % 3, 1), torch.arange(12) % 3)
MANY = images_of(torch.arange(60) % 3, 2)


class Tripwire:
    """A label that must not be touched."""

    def __getattribute__(self, name):
        raise AssertionError(f"the hidden label was touched ({name})")


class Hidden:
    """Unlabeled images whose items carry a label nevertheless."""

    def __init__(self, labels):
        self.labels = labels

    def __len__(self):
        return len(MANY)

    def __getitem__(self, index):
        return MANY[index], self.labels(index)


def fit(out, unlabelled=MANY, **options):
    unlabelled = TensorDataset(unlabelled) if isinstance(unlabelled, torch.Tensor) else unlabelled
    defaults = {"steps": 6, "batch_size": 8, "device": "cpu", "precision": "float32", "progress": False}
    return genaug.fit("semi", FEW, unlabelled=unlabelled, out=out, **{**defaults, **options})


def test_hidden_labels_are_never_read(tmp_path):
    weights = []
    for name, labels in {
        "a": lambda i: i % 3,
        "b": lambda i: 2 - i % 3,
        "c": lambda _: object.__new__(Tripwire),
    }.items():
        fit(tmp_path / name, Hidden(labels))
        weights.append((tmp_path / name / "model.safetensors").read_bytes())
    assert weights[0] == weights[1] == weights[2]


def test_the_record_counts_the_labels_that_were_read(tmp_path):
    generator = fit(tmp_path / "run")
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    for training in (record, generator.training, genaug.load(tmp_path / "run").training):
        assert (training["images"], training["labels"]) == (72, 12)
        assert training["unlabelled"]["images"] == 60
    assert genaug.fit("semi", FEW, out=tmp_path / "few", steps=1, progress=False).training["labels"] == 12


def test_half_of_each_batch_is_labeled_and_half_represents_all():
    labels = torch.cat([torch.arange(12) % 3, torch.full((60,), -1)])
    data = Samples(torch.cat([FEW.tensors[0], MANY]), labels, Spec(sample=Image(1, 8, 8), classes=3))
    batches = Batches(data, data.spec, 8, 0, CPU, World())
    seen = [batches.batch(index) for index in range(18)]
    for batch in seen:
        assert (batch.labels >= 0).tolist() == [True, False] * 4
    known = torch.cat([batch.labels[::2] for batch in seen[:3]])
    assert known.bincount().tolist() == [4, 4, 4], "every labeled image comes once before one comes again"
    others = torch.cat([batch.x[1::2] for batch in seen])
    assert len({bytes(image.numpy()) for image in others}) == 72, "the other half has all images, once each"
    pair = [Batches(data, data.spec, 8, 0, CPU, World(rank, 2)).batch(5) for rank in range(2)]
    assert torch.equal(torch.cat([part.labels for part in pair]), seen[5].labels)
    assert torch.equal(torch.cat([part.x for part in pair]), seen[5].x)
    assert [int((part.labels >= 0).sum()) for part in pair] == [2, 2]


def test_a_resumed_training_is_exact_and_keeps_its_images(tmp_path):
    fit(tmp_path / "a", steps=6)
    fit(tmp_path / "b", steps=3)
    fit(tmp_path / "b", steps=6, resume=True)
    assert (tmp_path / "a" / "model.safetensors").read_bytes() == (tmp_path / "b" / "model.safetensors").read_bytes()
    with pytest.raises(InputError, match=r"can't be resumed: .*unlabelled was"):
        fit(tmp_path / "b", unlabelled=None, steps=9, resume=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"unlabelled": torch.zeros(4, 1, 9, 8, dtype=torch.uint8)},
            "samples of the unlabeled set are .* Convert them",
        ),
        (
            {"unlabelled": torch.zeros(4, 3, 8, 8, dtype=torch.uint8)},
            "samples of the unlabeled set are .* Convert them",
        ),
        ({"unlabelled": []}, "the unlabeled set is empty"),
        ({"exclude": TensorDataset(MANY[5:7])}, r"2 of the 60 images of the unlabeled set are in exclude too"),
        ({"exclude": TensorDataset(FEW.tensors[0][:1])}, r"1 of the 12 images of the dataset are in exclude too"),
    ],
)
def test_unusable_images_are_one_sentence_and_nothing_is_written(tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        fit(tmp_path / "run", **options)
    assert not (tmp_path / "run").exists()


def test_other_backends_name_those_that_can(tmp_path):
    with pytest.raises(InputError, match=r"'cgan' can't learn from unlabeled samples .*: .*semi"):
        genaug.fit("cgan", FEW, unlabelled=TensorDataset(MANY), out=tmp_path / "run", steps=1, progress=False)


def test_unlabeled_images_beside_a_dataset_without_labels_are_an_error(tmp_path):
    with pytest.raises(InputError, match="the dataset has no labels, so unlabeled samples"):
        genaug.fit("semi", TensorDataset(MANY), unlabelled=TensorDataset(MANY), out=tmp_path / "run", steps=1)


def test_the_command_reads_a_flat_folder_and_resumes(tmp_path):
    from torchvision.transforms.functional import to_pil_image

    (tmp_path / "many").mkdir()
    for index, image in enumerate(MANY):
        to_pil_image(image).save(tmp_path / "many" / f"{index}.png")

    def run(*arguments):
        return CliRunner().invoke(app, ["train", *arguments, "--out", str(tmp_path / "run"), "--device", "cpu"])

    command = ["semi", "--labels-per-class", "2", "--steps", "2", "--unlabelled", str(tmp_path / "many")]
    assert run(*command).exit_code == 0
    training = genaug.load(tmp_path / "run").training
    assert (training["images"], training["labels"], training["unlabelled"]["images"]) == (80, 20, 60)
    assert run("--resume", "--steps", "3").exit_code == 0
    genaug.data.load_data("digits", split="test")[0][0].save(tmp_path / "many" / "test.png")
    result = run(*command, "--overwrite")
    assert result.exit_code == 1
    assert "1 of the 61 images of the unlabeled set are in exclude too" in " ".join(result.output.split())


def test_a_study_and_an_evaluation_reject_a_source_that_learned_from_the_test_images(tmp_path):
    generator = fit(tmp_path / "run", steps=1)
    test_set = TensorDataset(MANY, torch.arange(60) % 3)
    with pytest.raises(InputError, match="was trained on the test set"):
        genaug.study(FEW, test_set, sources={"semi": generator}, seeds=2)
    with pytest.raises(InputError, match="the source was trained on the held-out images"):
        genaug.evaluate(generator, FEW, held_out=test_set, progress=False)


class TestTheClassifierLabels:
    HELD_OUT = TensorDataset(images_of(torch.arange(90) % 3, 3), torch.arange(90) % 3)

    @pytest.fixture
    def generator(self, tmp_path):
        return fit(tmp_path / "run", steps=150)

    def test_samples_of_another_source(self, generator):
        pool = genaug.SamplePool.from_dataset(TensorDataset(MANY))
        source = genaug.with_labels(pool, self.HELD_OUT, method="classify", classifier=generator)
        images, labels = source.sample(labels=[0, 1, 2, 2], seed=0)
        assert (images.float().mean((1, 2, 3)) // 80).long().tolist() == labels.tolist() == [0, 1, 2, 2]
        assert (source.report.method, source.report.labelled_images) == ("classify", 90)
        assert source.report.held_out_wrong_share == 0

    def test_its_own_samples(self, generator):
        source = genaug.with_labels(generator, self.HELD_OUT, method="classify", max_wrong=0.3)
        images, labels = source.sample(labels=[1] * 6, seed=0)
        assert torch.equal(generator.classify(images).argmax(1), labels)

    def test_training_images_show_nothing_about_errors(self, generator):
        pool = genaug.SamplePool.from_dataset(TensorDataset(MANY))
        report = genaug.with_labels(pool, FEW, method="classify", classifier=generator).report
        assert (report.wrong_share, report.held_out_wrong_share, report.held_out_wrong_share_upper) == (None, None, 1.0)
        assert "was trained on these 12 labeled images" in report.basis

    def test_what_cannot_classify_is_an_error(self, tmp_path, tiny_set, tiny_config):
        pool = genaug.SamplePool.from_dataset(TensorDataset(MANY))
        with pytest.raises(InputError, match=r"a SamplePool has none\. Pass one as classifier="):
            genaug.with_labels(pool, self.HELD_OUT, method="classify")
        cgan = genaug.fit("cgan", tiny_set, out=tmp_path / "r", steps=1, config=tiny_config, progress=False)
        with pytest.raises(InputError, match=r"'cgan' can't classify samples\. Installed backends that can: .*semi"):
            genaug.with_labels(pool, self.HELD_OUT, method="classify", classifier=cgan)
