"""The scripts of benchmarks/ that keep no record, with tiny settings; and that every script has such a test."""

import ast
import json
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from benchmarks.common.record import Record
from benchmarks.speed import against, training, training_time
from benchmarks.studies import copying_check, synthetic_only
from genaug.backends import Spec
from genaug.data import load_data
from genaug.data.reading import Samples, read_samples
from genaug.modalities import Image
from genaug.training.trainer import Trainer

HERE = Path(__file__).parent
BENCHMARKS = HERE.parents[1] / "benchmarks"


@pytest.fixture
def run(monkeypatch, capfd):
    """Calls a script: its last line, which must be flat JSON, and all that it said."""

    def call(script, *arguments):
        monkeypatch.setattr(sys, "argv", [script.__name__, *map(str, arguments), "--json"])
        script.main()
        output = capfd.readouterr()
        result = json.loads(output.out.splitlines()[-1])
        assert all(value is None or isinstance(value, int | float | str) for value in result.values()), "flat"
        return result, output.out + output.err

    return call


def test_copying_check(run, monkeypatch):
    monkeypatch.setattr(copying_check, "SAMPLES", 200)
    result, output = run(copying_check, "--cuts", 2)
    assert result["cuts"] == 2
    assert result["found_5_percent"] == result["found_1_percent"] == 1
    assert result["copies_1_percent_exact"] == 0.01
    assert result["copies_1_percent_passed"] is result["copies_5_percent_passed"] is False
    assert result["copies_copied"] == 1
    assert result["copies_passed"] is False
    assert result["fresh_passed"] is True
    cases = [name.removesuffix("_passed") for name in result if name.endswith("_passed")]
    copiers = [name for name in cases if name.startswith("copies")]
    wrong = sum(result[f"{name}_passed"] == (name in copiers) for name in cases)
    assert result["wrong"] == wrong
    assert output.count("copies nobody") == len(cases) - len(copiers) == 4


def test_against_another_checkout(run, monkeypatch):
    """Its own code, "at the other checkout" half as fast as here."""
    monkeypatch.setattr(against, "seconds", lambda name, checkout: 1.0 if checkout == BENCHMARKS.parent else 2.0)
    result, said = run(against, BENCHMARKS, "--pairs", 20)
    assert result == {
        "pairs": 20,
        **{name + end: 2.0 for name in ("start-up", *against.WORK) for end in ("", "_low", "_high")},
    }
    assert "training: 2.000 (2.000 to 2.000)" in said


def test_the_work_that_is_compared_runs(run):
    result, _ = run(against, BENCHMARKS.parent, "--pairs", 1, "--only", "start-up")
    assert result["start-up"] > 0
    for work in against.WORK.values():
        compile(work, "work", "exec")


def test_synthetic_only(run, monkeypatch, make_generator, tmp_path):
    make_generator(shape=(1, 8, 8), num_classes=10).save(tmp_path / "generator")
    monkeypatch.setattr(synthetic_only, "POOL", 150)
    monkeypatch.setattr(synthetic_only, "AGREEMENT_SAMPLES", 50)
    result, output = run(synthetic_only, tmp_path / "generator", "--updates", 30, "--seeds", 2)
    assert 0 <= result["synthetic_only_min"] <= result["synthetic_only_mean"] <= 1
    assert result["judge_accuracy"] > result["synthetic_only_mean"], "an untrained generator teaches nothing"
    assert (result["seeds"], result["generator_steps"]) == (2, None)
    assert "50 samples" in output


def test_training_takes_turns_and_counts_timed_steps_only(monkeypatch):
    clock, played = iter(range(0, 10_000, 2)), []
    monkeypatch.setattr(training.time, "perf_counter", lambda: next(clock))
    sides = {name: lambda index, name=name: played.append((name, index)) for name in ("a", "b")}
    rates = training.measure(sides, rounds=2, steps=3, warm_up=1)
    assert rates == {"a": [3 * training.BATCH / 2] * 2, "b": [3 * training.BATCH / 2] * 2}
    assert [name for name, index in played if index % 4 == 0] == ["a", "b", "b", "a"]
    assert len(played) == 16


def test_the_engines_side_of_the_comparison_trains_both_networks(monkeypatch):
    nets = nn.ModuleDict(
        {
            "generator": nn.Sequential(nn.Linear(training.LATENT, 16), nn.Tanh(), nn.Unflatten(1, (1, 4, 4))),
            "discriminator": nn.Sequential(nn.Flatten(), nn.Linear(16, 1)),
        }
    )
    monkeypatch.setattr(training, "networks", lambda: nets)
    data = Samples(torch.randint(0, 256, (8, 1, 4, 4), dtype=torch.uint8), None, Spec(sample=Image(1, 4, 4)))
    before = [p.clone() for p in nets.parameters()]
    log = training.engine(data, "float32")(0)
    assert set(log) == {"loss/generator", "loss/discriminator"}
    assert not any(torch.equal(p, q) for p, q in zip(before, nets.parameters(), strict=True))


def test_training_side_by_side(run, monkeypatch, tmp_path):
    pytest.importorskip("torchgan", reason="torchgan isn't installed")
    monkeypatch.setattr(training, "BATCH", 4)
    record = tmp_path / "speed.jsonl"
    result, output = run(training, "--rounds", 1, "--steps", 1, "--warm-up", 1, "--results", record)
    (row,) = Record(record).rows({"topic": "training"})
    assert set(row["figures"]) == {"torchgan", "bare", "float32", "default"}
    assert result["vs_torchgan_float32"] > 0
    assert result["rounds"] == 1
    assert "parameters of every side" in output


def test_training_says_what_it_needs(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "torchgan", None)
    monkeypatch.setitem(sys.modules, "torchgan.models", None)
    with pytest.raises(SystemExit, match="make bench"):
        run(training)


def test_training_time(capsys, monkeypatch):
    monkeypatch.setattr(training_time, "BATCH", 4)
    training_time.main(["--data", "digits", "--steps", "3", "--warm-up", "1", "--run", "300", "--json"])
    printed = capsys.readouterr()
    result = json.loads(printed.out)
    assert (result["steps"], result["run_steps"], result["batch_size"]) == (3, 300, 4)
    rate = result["images_per_second"]
    assert result["run_minutes_extrapolated"] == pytest.approx(4 * 300 / rate / 60, abs=0.1)
    assert result["threads"] >= 1
    assert "extrapolated" in printed.err


def test_training_time_leaves_the_warm_up_out(monkeypatch):
    seconds, played = [0.0], []

    def step(trainer, index):
        played.append(index)
        seconds[0] += 100 if index < 2 else 1

    monkeypatch.setattr(Trainer, "step", step)
    monkeypatch.setattr(training_time.time, "perf_counter", lambda: seconds[0])
    monkeypatch.setattr(training_time.time, "process_time", lambda: seconds[0] / 2)
    data = read_samples(load_data("digits"))
    assert training_time.timed("cgan", data, 5, 2) == (5, 2.5)
    assert played == list(range(7))


def scripts():
    files = BENCHMARKS.rglob("*.py")
    return sorted(file for file in files if 'if __name__ == "__main__":' in file.read_text())


@pytest.mark.parametrize("script", scripts(), ids=lambda file: file.stem)
def test_every_script_has_a_test_that_runs_it(script):
    """Some module here imports it and calls its ``main``, or hands it to a fixture that does."""
    for file in HERE.glob("test_*.py"):
        tree = ast.parse(file.read_text())
        names = {
            alias.asname or alias.name
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
            if alias.name == script.stem
        }
        for node in ast.walk(tree):
            handed = isinstance(node, ast.Call) and any(isinstance(a, ast.Name) and a.id in names for a in node.args)
            calls = isinstance(node, ast.Attribute) and node.attr == "main" and isinstance(node.value, ast.Name)
            if handed or (calls and node.value.id in names):
                return
    pytest.fail(f"no test runs {script.relative_to(BENCHMARKS.parent)}")
