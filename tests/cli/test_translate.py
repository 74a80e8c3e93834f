"""Training on two folders, and translating class folders, on the command line."""

import numpy as np
import pytest
from helpers.translators import Brighter, brighter
from PIL import Image
from typer.testing import CliRunner

import genaug
from genaug.backends.registry import added
from genaug.cli import app
from genaug.hub.sections import task

TINY = ["--steps", "2", "--batch-size", "4", "--device", "cpu", "--checkpoint-every", "1"]
SMALL = ["--set", "width=4", "--set", "max_width=8"]


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def write_images(folder, names=("0", "1", "2", "3"), classes=("cat", "dog"), value=0, size=(8, 8), mode="RGB"):
    for label, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for i, file in enumerate(names):
            pixels = np.full((*size, 3), value + 10 * label + i, dtype=np.uint8)
            Image.fromarray(pixels).convert(mode).save(folder / name / f"{file}.png")
    return folder


@pytest.fixture
def folders(tmp_path):
    return write_images(tmp_path / "gray"), write_images(tmp_path / "color", value=100)


def test_two_folders_are_pairs_by_name_for_pix2pix(folders, tmp_path):
    out = tmp_path / "run"
    result = run("train", "pix2pix", "--data", f"folder:{folders[0]}", "--to", folders[1], "--out", out, *TINY, *SMALL)
    assert result.exit_code == 0, result.output
    assert f"genaug translate {out} --data folder:{folders[0]} --out samples.png" in result.output
    generator = genaug.load(out, device="cpu")
    assert generator.domains == ("gray", "color")
    resumed = run("train", "--resume", "--out", out, "--steps", "3", "--device", "cpu")
    assert resumed.exit_code == 0, resumed.output
    assert len(list((out / "samples").glob("*.png"))) == 3


def test_they_are_unpaired_for_cyclegan(tmp_path):
    one, other = write_images(tmp_path / "horse"), write_images(tmp_path / "zebra", names=("7",), value=100)
    options = ["--set", "width=4", "--set", "blocks=0", *TINY]
    result = run("train", "cyclegan", "--data", f"folder:{one}", "--to", other, "--out", tmp_path / "run", *options)
    assert result.exit_code == 0, result.output
    assert genaug.load(tmp_path / "run", device="cpu").domains == ("horse", "zebra")


def test_they_are_the_classes_of_cogan(tmp_path):
    one, other = write_images(tmp_path / "horse"), write_images(tmp_path / "zebra", names=("7",), value=100)
    options = ["--set", "width=4", "--set", "discriminator_width=4", *TINY]
    result = run("train", "cogan", "--data", f"folder:{one}", "--to", other, "--out", tmp_path / "run", *options)
    assert result.exit_code == 0, result.output
    spec = genaug.load(tmp_path / "run", device="cpu").spec
    assert spec.class_names == ("horse", "zebra")
    assert spec.recognized.names == ("cat", "dog")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("0", "1", "2"), "pairs need as many samples of 'gray' as of 'other', got 8 and 6"),
        (("0", "1", "2", "4"), "pair 3 is"),
    ],
)
def test_folders_that_are_no_pairs_are_one_sentence(folders, tmp_path, names, message):
    other = write_images(tmp_path / "other", names=names)
    result = run("train", "pix2pix", "--data", f"folder:{folders[0]}", "--to", other, "--out", tmp_path / "run", *TINY)
    assert result.exit_code == 1
    assert message in result.output
    assert "Traceback" not in result.output


def test_a_backend_that_does_not_translate_takes_no_second_folder(folders, tmp_path):
    result = run("train", "cgan", "--data", f"folder:{folders[0]}", "--to", folders[1], "--out", tmp_path / "run")
    assert result.exit_code == 1
    assert "'cgan' doesn't learn from two domains: leave --to out" in result.output


@pytest.fixture
def saved(tmp_path):
    with added("brighter", Brighter):
        yield brighter(training={"image_size": 8}).save(tmp_path / "saved")


def test_class_folders_in_class_folders_out(saved, tmp_path):
    photos = write_images(tmp_path / "photos", value=100, size=(16, 24))
    command = ["translate", saved, "--data", f"folder:{photos}", "--out", tmp_path / "out", "--device", "cpu"]
    result = run(*command)
    assert result.exit_code == 0, result.output
    assert "8 images in" in result.output
    image = Image.open(tmp_path / "out" / "dog" / "2.png")
    assert (image.mode, image.size, image.getpixel((0, 0))) == ("L", (8, 8), 100 + 10 + 2 + 40)
    (tmp_path / "out" / "dog" / "2.png").unlink()
    assert run(*command).exit_code == 0
    assert (tmp_path / "out" / "dog" / "2.png").is_file()
    other = run(*command, "--to", "dim")
    assert other.exit_code == 1
    assert "to was null" in other.output
    assert run(*command, "--to", "dim", "--overwrite").exit_code == 0
    assert Image.open(tmp_path / "out" / "dog" / "2.png").getpixel((0, 0)) == 100 + 10 + 2 - 10


def test_a_png_is_a_grid_of_input_beside_output(saved, tmp_path):
    photos = write_images(tmp_path / "photos", value=100)
    out = tmp_path / "grid.png"
    result = run("translate", saved, "--data", f"folder:{photos}", "--out", out, "--device", "cpu")
    assert result.exit_code == 0, result.output
    colors = {color[:3] for _, color in Image.open(out).convert("RGB").getcolors(4096)}
    for label in (0, 1):
        for i in range(4):
            value = 100 + 10 * label + i
            assert {(value,) * 3, (value + 40,) * 3} <= colors


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--to", "zebra"], "doesn't know the domain 'zebra'"),
        (["--image-size", "16"], "takes 1x8x8 of the domain 'dim', the dataset has 1x16x16"),
        (["--split", "test"], "no test/ folder"),
    ],
)
def test_what_does_not_fit_is_one_sentence(saved, tmp_path, options, message):
    photos = write_images(tmp_path / "photos")
    result = run(
        "translate", saved, "--data", f"folder:{photos}", "--out", tmp_path / "out", "--device", "cpu", *options
    )
    assert result.exit_code == 1
    assert message in result.output
    assert not (tmp_path / "out").exists()


def test_a_generator_that_samples_cannot_translate(make_generator, tmp_path):
    make_generator().save(tmp_path / "saved")
    photos = write_images(tmp_path / "photos")
    result = run("translate", tmp_path / "saved", "--data", f"folder:{photos}", "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert "translate needs a generator with one condition; this one, of backend 'cgan', has 0" in result.output


def test_the_card_of_a_translator_shows_how_to_translate_and_no_images(saved):
    generator = genaug.load(saved, device="cpu")
    publication = generator.push("owner/name", license="apache-2.0", dry_run=True)
    card = publication.files["README.md"].decode()
    assert "generator.translate(sources)  # uint8 (64, 1, 8, 8) to uint8 (64, 1, 8, 8)" in card
    assert "samples.png" not in publication.files
    assert "samples.png" not in card
    assert task(generator.spec) == "image-to-image"
