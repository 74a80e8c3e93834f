"""``genaug search``, and ``genaug train --keep best``."""

import json

import pytest
from typer.testing import CliRunner

from genaug.cli import app
from genaug.cli.search import parse_space

pytestmark = pytest.mark.usefixtures("quick_objectives")

SMALL = ["--set", "kind=mlp", "--set", "hidden=8", "--batch-size", "16"]


def run(*words):
    result = CliRunner().invoke(app, [str(word) for word in words])
    return result.exit_code, result.stdout, result.stderr


def test_the_best_options_are_printed_with_the_command_that_trains_them(tmp_path):
    words = ["search", "vae", *SMALL, "--steps", 8, "--trials", 2, "--space", "lr", "--space", "latent_size=2,4"]
    code, output, errors = run(*words, "--out", tmp_path / "out")
    assert code == 0, errors
    best = json.loads((tmp_path / "out" / "search.json").read_text())["config"]
    assert "Best kid of 2 trials" in output
    assert f"genaug train vae --set kind=mlp --set hidden=8 --set lr={best['lr']}" in output
    code, output, errors = run(*words, "--out", tmp_path / "out", "--resume", "--json")
    assert code == 0, errors
    assert json.loads(output)["config"] == best
    assert "--resume" in run(*words, "--out", tmp_path / "out")[2]


def test_the_space_of_a_search():
    texts = ["lr=1e-4:1e-2", "width=4,8", "gamma", "loss=hinge,minimax"]
    assert parse_space(texts) == {"lr": (1e-4, 1e-2), "width": [4, 8], "gamma": None, "loss": ["hinge", "minimax"]}
    assert parse_space(None) is None


@pytest.mark.parametrize("text", ["", "=1:2", "lr="])
def test_a_space_that_cannot_be_read(tmp_path, text):
    code, _, errors = run("search", "vae", "--space", text, "--out", tmp_path / "out")
    assert code == 2
    assert "KEY=LOW:HIGH" in errors
    assert not (tmp_path / "out").exists()


def test_the_best_generator_of_a_training_is_kept_and_evaluated_without_the_held_out_images(tmp_path):
    words = ["train", "vae", *SMALL, "--steps", 8, "--checkpoint-every", 2, "--keep", "best", "--patience", 3]
    code, _, errors = run(*words, "--out", tmp_path / "run")
    assert code == 0, errors
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    measured = {line["step"]: line["objective/kid"] for line in lines if "objective/kid" in line}
    record = json.loads((tmp_path / "run" / "config.json").read_text())["training"]
    assert record["steps"] == min(measured, key=measured.get)
    assert record["images"] == 1038
    assert run("train", "--resume", "--out", tmp_path / "run")[0] == 0
    code, output, errors = run(
        "evaluate", tmp_path / "run", "--n", 200, "--updates", 1, "--classifiers", 0, "--json", "--features", "pixels"
    )
    assert code == 0, errors
    assert json.loads(output[output.index("{") :])["real_images"] == 1038


def test_an_objective_needs_something_to_keep(tmp_path):
    code, _, errors = run("train", "vae", "--patience", 3, "--steps", 2, "--out", tmp_path / "run")
    assert code == 1
    assert "--objective and --patience are for --keep best" in errors
    assert not (tmp_path / "run").exists()
