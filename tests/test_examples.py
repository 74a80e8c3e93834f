"""The example plugin is built, installed and used as its reader would."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[1] / "examples" / "vanilla_gan"


def run(*command, **environment):
    done = subprocess.run(
        list(map(str, command)), env={**os.environ, **environment}, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder with the example's wheel installed in it, to put on PYTHONPATH."""
    folder = tmp_path_factory.mktemp("example")
    pip = [sys.executable, "-m", "pip", "--isolated", "install", "--no-index", "--no-build-isolation", "--no-deps"]
    copy = folder / "copy"  # building leaves nothing behind in the checkout
    run("cp", "-r", EXAMPLE, copy)
    run(*pip, "--target", folder / "site", copy)
    return folder / "site"


def test_the_example_plugin_trains_and_samples(installed, tmp_path):
    genaug = [sys.executable, "-m", "genaug"]
    told = json.loads(run(*genaug, "plugins", "--json", PYTHONPATH=str(installed)))
    assert {b["name"]: b["distribution"] for b in told["backends"]}["vanilla-gan"] == "genaug-vanilla-gan"
    out, sheet = tmp_path / "run", tmp_path / "sheet.png"
    run(*genaug, "train", "vanilla-gan", "--steps", 20, "--out", out, "--device", "cpu", PYTHONPATH=str(installed))
    assert len((out / "metrics.jsonl").read_text().splitlines()) == 1
    run(*genaug, "sample", out, "--n", 20, "--out", sheet, PYTHONPATH=str(installed))
    assert sheet.read_bytes().startswith(b"\x89PNG")


def test_without_its_plugin_a_generator_says_what_is_missing(installed, tmp_path):
    out = tmp_path / "run"
    genaug = [sys.executable, "-m", "genaug"]
    run(*genaug, "train", "vanilla-gan", "--steps", 2, "--out", out, "--device", "cpu", PYTHONPATH=str(installed))
    command = [*genaug, "sample", str(out), "--n", "1", "--out", str(tmp_path / "x.png")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert "pip install genaug-vanilla-gan" in done.stderr


def test_it_is_about_a_hundred_lines():
    lines = sum(len(path.read_text().splitlines()) for path in EXAMPLE.rglob("*.py"))
    assert lines <= 100
