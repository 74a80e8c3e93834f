"""The whole script on the embedded digits, with a handful of steps."""

import json

import pytest
import torch

from benchmarks.papers import wgan_gp_curve
from genaug.training.trainer import Trainer

TINY = ["--data", "digits", "--steps", "30", "--points", "3", "--width", "4", "--json"]


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    for name, value in {"RESULTS": tmp_path, "JUDGE_UPDATES": 10, "SAMPLES": 200, "SUBSETS": 2, "BATCH": 16}.items():
        monkeypatch.setattr(wgan_gp_curve, name, value)

    def call(seeds):
        wgan_gp_curve.main([*TINY, "--seeds", str(seeds)])
        out, err = capsys.readouterr()
        return json.loads(out.splitlines()[-1]), err

    return call


def test_from_start_to_figure_and_a_second_run_only_reads(run, tmp_path, monkeypatch):
    result, output = run(1)
    assert all(isinstance(value, (int, float, bool, type(None))) for value in result.values())
    assert (result["seeds"], result["steps"], result["points"]) == (1, 30, 3)
    assert result["spearman_min"] == result["spearman_seed_0"]
    assert result["target_met"] == (result["spearman_min"] >= 0.8)
    assert " h" in output
    assert "Gulrajani" in output
    assert (tmp_path / "wgan_gp_curve.png").read_bytes().startswith(b"\x89PNG")
    line = json.loads((tmp_path / "wgan_gp_curve.jsonl").read_text())
    assert (line["seed"], line["points"]) == (0, [1, 5, 30])
    assert line["kid"][-1] > 0
    monkeypatch.setattr(wgan_gp_curve, "judge_for", lambda *_: pytest.fail("everything was done already"))
    assert run(1)[0] == result


def test_points():
    points = wgan_gp_curve.log_spaced(200, 3000, 20)
    assert (points[0], points[-1], len(points)) == (200, 3000, 20)
    ratios = torch.tensor(points[1:]) / torch.tensor(points[:-1])
    assert float(ratios.max() - ratios.min()) < 0.02
    assert wgan_gp_curve.log_spaced(1, 3, 20) == [1, 2, 3]


def test_the_estimate_is_a_mean_over_the_last_steps_and_is_ranked_against_kid(run, tmp_path, monkeypatch):
    estimates, kids = iter(range(1000)), iter([0.9, 0.5, 0.4, 0.5, 0.7, 0.1] * 2)
    log = lambda *_: {"wasserstein_estimate": torch.tensor(float(next(estimates)))}  # noqa: E731
    monkeypatch.setattr(Trainer, "step", log)
    monkeypatch.setattr(wgan_gp_curve, "kid", lambda *_, **__: next(kids))
    monkeypatch.setattr(wgan_gp_curve, "WINDOW", 4)
    result, _ = run(2)
    first, second = [json.loads(line) for line in (tmp_path / "wgan_gp_curve.jsonl").read_text().splitlines()]
    assert (first["seed"], second["seed"]) == (0, 1)
    assert first["estimate"] == [0, 2.5, 27.5]
    assert second["estimate"] == [30, 32.5, 57.5]
    assert (first["kid"], first["kid_averaged"]) == ([0.9, 0.4, 0.7], [0.5, 0.5, 0.1])
    assert result["spearman_min"] == result["spearman_seed_0"] == result["spearman_seed_1"] == pytest.approx(-0.5)
    assert result["target_met"] is False
