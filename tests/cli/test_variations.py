"""Variations of one's own samples on the command line: as a source to sample, and as an arm of a study."""

import json

import numpy as np
import pytest
from PIL import Image
from torchvision.datasets import ImageFolder
from typer.testing import CliRunner

import genaug
from genaug.cli import app

FEW = ["--labels-per-class", "3", "--seeds", "2", "--ratio", "0.5", "--updates", "1", "--batch-size", "4"]


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A folder with training and test images of two classes, noise without any pattern."""
    folder, rng = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    for split, count in (("train", 8), ("test", 6)):
        for name in ("cat", "dog"):
            (folder / split / name).mkdir(parents=True)
            for i in range(count):
                pixels = rng.integers(0, 256, (8, 8), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / split / name / f"{i}.png")
    return folder


@pytest.fixture(scope="module")
def vae(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "vae"
    config = {"kind": "mlp", "hidden": 8, "latent_size": 4}
    images = ImageFolder(str(data / "train"), transform=lambda image: image.convert("L"))
    genaug.fit("vae", images, out=out, steps=2, config=config, device="cpu", progress=False)
    return out


def test_a_study_varies_every_seeds_own_images(data, vae, tmp_path):
    command = ["study", "--data", f"folder:{data}", "--source", f"variations:{vae}", "--device", "cpu", *FEW]
    result = run(*command, "--set", "strength=0.25", "--out", tmp_path / "study")
    assert result.exit_code == 0, result.output
    details = genaug.load_study(tmp_path / "study").details
    assert details["failures"] == []
    source = details["settings"]["sources"]["variations-vae"]
    assert "strength=0.25" in source["function"]
    assert source["saw"].startswith("these images, and its pretrained generator: 16 images")
    other = run(*command, "--set", "strength=0.5", "--out", tmp_path / "study", "--resume")
    assert other.exit_code == 1
    assert "can't be resumed: sources.variations-vae" in " ".join(other.output.split())


def test_the_advice_is_code_that_varies_the_training_set(data, vae, tmp_path):
    from functools import partial

    from genaug.studies.advice_sources import Needs, source_code
    from genaug.studies.own_variations import own_variations

    plan = partial(own_variations, genaug.load(vae, device="cpu"), strength=0.25)
    code = source_code("variations-vae", plan, {}, Needs())
    assert code == f"genaug.variations(genaug.load({str(vae)!r}), train_set, strength=0.25)"
    train_set = ImageFolder(str(data / "train"), transform=lambda image: image.convert("L"))
    assert eval(code, {"genaug": genaug, "train_set": train_set}).strength == 0.25


def test_samples_of_a_folder_are_varied(data, vae, tmp_path):
    options = ["--set", f"data=folder:{data / 'train'}", "--set", "strength=0"]
    result = run("sample", f"variations:{vae}", *options, "--per-class", "3", "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert len(ImageFolder(str(tmp_path / "out"))) == 6
    assert json.loads((tmp_path / "out" / "samples.json").read_text())["options"]["strength"] == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sample", "variations:{vae}", "--n", "2"], "needs the samples to vary: pass data="),
        (["sample", "variations:{vae}", "--set", "data=digits", "--set", "strength=2", "--n", "2"], "strength"),
        (["sample", "variations:{vae}", "--set", "data=nonesuch", "--n", "2"], "nonesuch"),
        (["study", "--data", "folder:{data}", "variations:{vae}", "--set", "blur=1", *FEW], "no option 'blur'"),
        (["study", "--data", "folder:{data}", "variations:{vae}", "--set", "strength=2", *FEW], "strength"),
        (["study", "--data", "folder:{data}", "variations:{vae}", "--set", "to=bird", *FEW], "bird"),
        (
            ["study", "--data", "folder:{data}", "variations:{vae}", "--set", "to=dog", *FEW],
            "no sample of some classes",
        ),
        (["study", "--data", "folder:{data}", "variations:", *FEW], "lacks the generator"),
        (["study", "--data", "folder:{data}", "variations:cgan", *FEW], "cgan"),
        (["study", "--data", "folder:{data}", "variations:{data}", *FEW], "config.json"),
    ],
)
def test_mistakes_end_in_one_sentence(data, vae, tmp_path, arguments, message):
    result = run(*(each.format(vae=vae, data=data) for each in arguments), "--out", tmp_path / "x")
    assert result.exit_code in (1, 2), result.output
    assert message in " ".join(result.output.split())
    assert "unexpected error" not in result.output
    assert not (tmp_path / "x").exists()
