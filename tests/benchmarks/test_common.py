"""What the scripts share: judges, the command line, tables."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks.common.console import arguments, markdown, parse_settings
from benchmarks.common.judge import judge_of, labelled, loaded, read, train_judge
from genaug.evaluation.scores import train_scorer

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def test_a_script_runs_by_its_path_wherever_it_is_called_from(tmp_path):
    command = [sys.executable, BENCHMARKS / "studies" / "verdict.py", "--table", "--only", "digits 10 mad-gan"]
    output = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    assert output.splitlines()[-1].startswith("| digits | 10 | mad-gan | small | ")


def test_no_script_changes_the_path_or_uses_the_command_line_of_genaug():
    for script in BENCHMARKS.rglob("*.py"):
        assert "sys.path" not in script.read_text(), script
        assert "genaug.cli" not in script.read_text(), script


def weights(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def test_a_judge_is_the_classifier_that_evaluate_trains_unless_a_script_has_another_order():
    images, labels = torch.randint(0, 256, (40, 1, 8, 8), dtype=torch.uint8), torch.arange(40) % 2
    judge = train_judge(images, labels, 2, updates=3, seed=1)
    assert torch.equal(
        weights(judge), weights(train_scorer(images, labels, 2, updates=3, seed=1, device=torch.device("cpu")))
    )
    first, again, other = (
        train_judge(images, labels, 2, updates=3, seed=1, order=loaded(images, labels, 16, seed)) for seed in (0, 0, 1)
    )
    assert torch.equal(weights(first), weights(again))
    assert not torch.equal(weights(first), weights(other))
    assert not torch.equal(weights(first), weights(judge))


def test_a_dataloaders_order_has_full_batches_of_images_and_their_labels():
    images = torch.arange(10, dtype=torch.uint8).reshape(10, 1, 1, 1)
    order = loaded(images, torch.arange(10), 4, 0)
    epoch = [next(order) for _ in range(2)]
    assert [len(batch) for batch, _ in epoch] == [4, 4]
    assert all(torch.equal(batch.flatten().long(), labels) for batch, labels in epoch)
    assert torch.cat([labels for _, labels in epoch]).unique().numel() == 8


def test_a_judge_tells_its_accuracy_and_has_the_features_of_the_test_set():
    train, test = read("digits", None)
    judge = judge_of(train_judge(*labelled(train), 10, updates=40, seed=0), train.x, *labelled(test))
    assert 0.5 < judge.accuracy <= 1
    assert judge.real.shape == (500, 128)
    torch.testing.assert_close(judge.real[:5], judge.features.of(test.x[:5]))


def test_settings_are_json_if_they_can_be():
    pairs = ["lr=1e-3", "loss=hinge", "categories=[10]", "conditional=false", "name=a=b"]
    settings = {"lr": 1e-3, "loss": "hinge", "categories": [10], "conditional": False, "name": "a=b"}
    assert parse_settings(pairs) == settings
    with pytest.raises(SystemExit, match="expected KEY=VALUE, got 'lr'"):
        parse_settings(["lr"])


def test_a_script_has_the_options_whose_defaults_it_gives():
    options = arguments("What it does.\n\nMore.", data="digits", seeds=3).parse_args(["--root", "here"])
    assert vars(options) == {"data": "digits", "root": "here", "seeds": 3, "json": False}
    assert vars(arguments(None).parse_args(["--json"])) == {"json": True}


def test_a_table_in_markdown():
    assert markdown(["arm", "mean"], [["none", 0.5], ["both", "1\n95 %"]]) == (
        "| arm | mean |\n|---|---|\n| none | 0.5 |\n| both | 1 (95 %) |"
    )
