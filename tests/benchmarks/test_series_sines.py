"""The script of the sines, on tiny settings; a second run only reads."""

import json

import numpy as np
import pytest
import torch

from benchmarks.papers import series_sines

TINY = [
    "--steps",
    "2",
    "--batch-size",
    "8",
    "--series",
    "60",
    "--judges",
    "2",
    "--judge-updates",
    "2",
    "--threads",
    "1",
]
TINY += ["--predictor-updates", "2", "--set", "latent_size=2"]


def test_from_start_to_summary_and_a_second_run_only_reads(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(series_sines, "RESULTS", tmp_path)

    def run():
        series_sines.main([*TINY, "--seeds", "1", "--frequencies", "code", "--json"])
        return json.loads(capsys.readouterr().out.splitlines()[-1])

    result = run()
    rows = [json.loads(line) for line in (tmp_path / "series_sines.jsonl").read_text().splitlines()]
    assert [row["backend"] for row in rows] == [None, "rcgan", "timevae"]
    assert result["rcgan_code_discriminative"] == rows[1]["discriminative"]
    assert result["target_rcgan_code_met"] == (rows[1]["discriminative"] <= 0.022)
    assert "seconds" not in rows[0]
    assert rows[2]["cpu_seconds"] > 0
    monkeypatch.setattr(series_sines, "run", lambda key: pytest.fail("all runs are finished"))
    assert run() == result


def test_sines_of_the_code_are_slow_and_those_of_the_paper_fast():
    code, paper = (series_sines.sines(frequencies, 500, seed=100) for frequencies in series_sines.FREQUENCIES)
    for x in (code, paper):
        assert x.shape == (500, 5, 24)
        assert x.dtype == torch.float32
        assert x.min() >= 0
        assert x.max() <= 1
    assert (code[:, :, 0] <= (np.sin(0.1) + 1) / 2).all(), "a phase of at most 0.1"
    assert (code.diff(dim=2).sign().diff(dim=2) != 0).sum(2).max() <= 1, "at most one turn: half a period"
    assert (paper.diff(dim=2).sign().diff(dim=2) != 0).sum(2).double().mean() > 8
    assert abs(float(paper.mean()) - 0.5) < 0.02
