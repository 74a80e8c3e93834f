"""The script that colors gray images from start to figures, on a few random images."""

import json

import pytest
import torch
from helpers.tiny_files import write_jpegs

from benchmarks.common import paired
from benchmarks.papers import pix2pix

TINY = ["--data", "cifar10", "--seeds", "2", "--steps", "2", "--updates", "3", "--json"]
SMALL = ["--set", "width=4", "--set", "max_width=8"]


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Calls the script with its results and runs under ``tmp_path``: its last line, and all that it printed."""
    for split, each in (("train", 12), ("test", 6)):
        write_jpegs(tmp_path / "cifar" / split, each=each, sides=(8, 9), seed=each)
    monkeypatch.setattr(pix2pix, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(pix2pix, "RUNS", tmp_path / "runs")
    monkeypatch.setattr(pix2pix, "BATCH", 8)

    def call(*arguments):
        pix2pix.main([*TINY, *SMALL, "--root", str(tmp_path / "cifar"), *arguments])
        captured = capsys.readouterr()
        return json.loads(captured.out.splitlines()[-1]), captured.out + captured.err

    return call


def test_from_start_to_figures_and_on_from_there(run, tmp_path, monkeypatch):
    first, output = run()
    rows = [json.loads(line) for line in (tmp_path / "results" / "pix2pix.jsonl").read_text().splitlines()]
    assert [row["seed"] for row in rows] == [0, 1]
    for row in rows:
        assert row["gain"] == pytest.approx(row["colored"] - row["gray"], abs=1e-5)
        assert row["low"] <= row["gain"] <= row["high"]
        assert row["test_images"] == 12
        assert row["l1_colored"] > 0
    assert first["met"] == all(row["low"] > 0 for row in rows)
    assert "accuracy on real images" in output
    assert (tmp_path / "results" / "pix2pix.png").read_bytes().startswith(b"\x89PNG")
    monkeypatch.setattr(pix2pix, "measure", lambda *_: pytest.fail("both seeds are finished"))
    assert run()[0] == first


@pytest.mark.parametrize(("lows", "met"), [((0.01, 0.02), True), ((0.01, 0.0), False)])
def test_every_seed_has_to_be_above_gray(lows, met, capsys):
    row = {"real": 0.7, "gray": 0.5, "colored": 0.6, "gain": 0.1, "high": 0.2, "seconds": 1.0}
    rows = [{**row, "seed": seed, "low": low} for seed, low in enumerate(lows)]
    pix2pix.tell(rows, pix2pix.arguments().parse_args(["--json"]))
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (result["met"], result["above_gray"]) == (met, sum(low > 0 for low in lows))


def test_a_paired_gain_has_the_interval_of_its_differences():
    """Of 400 images 40 are gained and 20 lost: the gain is 0.05, its standard deviation sqrt(0.15 - 0.0025) / 20."""
    other = torch.arange(400) < 200
    one = other.clone()
    one[:20], one[200:240] = False, True
    difference, low, high = paired.gain(one, other, seed=0)
    assert difference == pytest.approx(0.05)
    half = 1.96 * (0.15 - 0.0025) ** 0.5 / 20
    assert low == pytest.approx(0.05 - half, abs=0.004)
    assert high == pytest.approx(0.05 + half, abs=0.004)
    assert paired.gain(one, one, seed=0) == (0.0, 0.0, 0.0)
    assert paired.gain(one, other, seed=0) == (difference, low, high)
