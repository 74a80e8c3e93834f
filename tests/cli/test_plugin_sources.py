"""A plugin's sources and recipes on the command line, and exports that are stopped and continue."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers.plugin import installed
from PIL import Image
from torchvision.datasets import ImageFolder
from typer.testing import CliRunner

import genaug
from genaug.cli import app

TESTS = Path(__file__).parents[1]
CLASSES = ["--set", 'classes=["cat", "dog"]', "--set", "prompt=a photo of a {}"]


@pytest.fixture(autouse=True)
def plugin(tmp_path, monkeypatch):
    with installed(tmp_path / "packages", monkeypatch):
        yield


def run(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


def contents(folder):
    """The files of a folder by name, without genaug's journal."""
    paths = (path for path in folder.rglob("*") if path.is_file() and path.name != ".genaug.jsonl")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


@pytest.fixture
def photos(tmp_path):
    """Random pictures of cats and dogs, to train and to test on."""
    for split in ("train", "test"):
        for name in ("cat", "dog"):
            (tmp_path / "photos" / split / name).mkdir(parents=True)
            for i in range(110 if split == "train" else 6):
                noise = Image.frombytes("RGB", (8, 8), os.urandom(192))
                noise.save(tmp_path / "photos" / split / name / f"{i}.png")
    return f"folder:{tmp_path / 'photos'}"


def test_sample_takes_options_and_writes_a_pool(tmp_path):
    out = tmp_path / "made"
    command = ["sample", "slow:maker/model", *CLASSES, "--per-class", "3", "--out", out]
    result = run(*command)
    assert result.exit_code == 0, result.output
    assert "6 images in" in result.output
    pool = genaug.SamplePool.from_dataset(ImageFolder(str(out)))
    assert (pool.spec.class_names, pool.supply) == (("cat", "dog"), [3, 3])
    record = json.loads((out / "samples.json").read_text())
    assert record["options"] == {"classes": ["cat", "dog"], "prompt": "a photo of a {}"}
    assert record["recipe"]["revision"] == "c" * 40
    before = contents(out)
    assert run(*command).exit_code == 0
    assert contents(out) == before
    other = run(*command[:-2], "--seed", "1", "--out", out)
    assert (other.exit_code, "seed was 0, now it is 1" in other.output) == (1, True)
    moved = run(*command, "--set", "revision=main")
    assert (moved.exit_code, "samples with other settings: options was" in moved.output) == (1, True)
    assert contents(out) == before
    assert run(*command[:-2], "--seed", "1", "--out", out, "--overwrite").exit_code == 0
    assert contents(out) != before


def test_a_revision_is_an_option(tmp_path):
    assert (
        run("sample", "slow:maker/model", "--set", "revision=main", "--n", "1", "--out", tmp_path / "x").exit_code == 0
    )
    assert json.loads((tmp_path / "x" / "samples.json").read_text())["recipe"]["revision"] == "d" * 40


@pytest.mark.parametrize(
    ("arguments", "message", "code"),
    [
        (["sample", "slow:m/m", "--set", "size=3", "--n", "1"], "doesn't accept these options", 1),
        (["sample", "slow:m/m", "--set", "prompt", "--n", "1"], "KEY=VALUE", 2),
        (["sample", "slow:m/m", "--set", "classes=[]", "--n", "1"], "genaug", 1),
        (["sample", "nonesuch:m/m", "--n", "1"], "nonesuch:m/m is not a directory", 1),
        (["sample", "folder:{tmp}", "--n", "1"], "contains images, not a generator", 1),
        (["sample", "{tmp}", "--set", "a=1", "--n", "1"], "no option 'a'", 1),
        (["recipe", "folder:{tmp}"], "contains images, not a generator", 1),
        (["recipe", "slow:m/m", "--license", "unknown"], "not the identifier of a license", 1),
        (["recipe", "slow:m/m", "--set", "device=1"], "device is not an option of a source", 1),
        (["recipe", "slow:m/m", "--set", "where=1"], "where is not an option of a source", 1),
        (["recipe", "slow:m/m", "--set", "rest=1"], "doesn't accept these options", 1),
        (["recipe", "slow:m/m", "--set", "info=1"], "doesn't accept these options", 1),
        (["traverse", "slow:m/m"], "no latents", 1),
    ],
)
def test_mistakes_end_in_one_sentence(tmp_path, arguments, message, code):
    result = run(*(argument.format(tmp=tmp_path) for argument in arguments), "--out", tmp_path / "x")
    assert result.exit_code == code, result.output
    assert message in result.output
    assert "unexpected error" not in result.output
    assert not (tmp_path / "x").exists()


def test_a_recipe_is_saved_evaluated_studied_and_pushed(tmp_path, photos):
    folder = tmp_path / "painted"
    saved = run("recipe", "slow:maker/model", *CLASSES, "--license", "mit", "--out", folder, "--device", "cpu")
    assert saved.exit_code == 0, saved.output
    assert run("recipe", "slow:maker/model", "--out", folder).exit_code == 1
    assert run("sample", folder, "--per-class", "2", "--out", tmp_path / "grid.png").exit_code == 0
    quick = ["--classifiers", "0", "--updates", "1", "--features", "pixels", "--device", "cpu"]
    evaluated = run("evaluate", folder, "--data", photos, "--card", *quick)
    assert evaluated.exit_code == 0, evaluated.output
    assert json.loads((folder / "evaluation.json").read_text())["recipe_sha256"]
    few = ["--labels-per-class", "2", "--seeds", "2", "--ratio", "0.5", "--updates", "1", "--batch-size", "4"]
    sources = ["--source", folder, "--source", "slow:maker/model", "--set", "prompt=a {}"]
    study = run("study", "--data", photos, *sources, *few, "--device", "cpu", "--out", tmp_path / "study")
    assert study.exit_code == 0, study.output
    names = genaug.load_study(tmp_path / "study").details["settings"]["sources"]
    assert set(names) == {"painted", "model"}
    pushed = run("push", folder, "owner/cats", "--dry-run")
    assert pushed.exit_code == 0, pushed.output
    assert "recipe.json" in pushed.output
    assert "KID (lower is better)" in pushed.output


def test_a_pool_of_a_slow_source_is_evaluated(tmp_path, photos):
    samples = tmp_path / "samples"
    assert run("sample", "slow:maker/model", "--per-class", "100", "--out", samples).exit_code == 0
    quick = ["--classifiers", "0", "--updates", "1", "--features", "pixels", "--device", "cpu"]
    result = run("evaluate", f"folder:{samples}", "--data", photos, *quick)
    assert result.exit_code == 0, result.output
    assert run("evaluate", f"folder:{samples}", "--data", photos, "--set", "a=1", *quick).exit_code == 1


def exporting(tmp_path, out, seconds):
    """The command as a process of its own."""
    command = ["sample", "slow:maker/model", "--set", f"seconds={seconds}", "--per-class", "25", "--out", str(out)]
    path = os.pathsep.join([str(tmp_path / "packages"), os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(
        [sys.executable, "-m", "genaug", *command, "--device", "cpu"],
        env={**os.environ, "PYTHONPATH": path},
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(out, count, process):
    deadline = time.monotonic() + 60
    while len(list(out.rglob("*.png"))) < count and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_ctrl_c_keeps_the_images_and_says_how_to_continue(tmp_path):
    process = exporting(tmp_path, tmp_path / "out", 0.2)
    wait_for(tmp_path / "out", 2, process)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    count = len(list((tmp_path / "out").rglob("*.png")))
    assert 2 <= count < 50
    assert f"interrupted; {count} images are in" in errors
    assert "The same command generates the others" in errors
    assert "Traceback" not in errors
    assert len(list((tmp_path / "out").glob(".genaug*"))) == 1, "only the journal"


@pytest.mark.slow
def test_fifty_images_killed_ten_times(tmp_path):
    reference = exporting(tmp_path, tmp_path / "reference", 0.05)
    assert reference.wait(timeout=120) == 0
    for kill in range(1, 11):
        process = exporting(tmp_path, tmp_path / "out", 0.05)
        wait_for(tmp_path / "out", 4 * kill, process)
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL
        kept = contents(tmp_path / "out")
        assert 4 * kill <= sum(name.endswith(".png") for name in kept) < 50
    last = exporting(tmp_path, tmp_path / "out", 0.05)
    _, errors = last.communicate(timeout=120)
    assert last.returncode == 0, errors
    assert contents(tmp_path / "out") == contents(tmp_path / "reference")
