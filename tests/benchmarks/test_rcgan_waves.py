"""The script of the waves, on tiny settings; a second run only reads."""

import json

import pytest
import torch

from benchmarks.papers import rcgan_waves

TINY = ["--steps", "2", "--batch-size", "16", "--waves", "60", "--samples", "80", "--updates", "3", "--threads", "1"]
NETWORKS = ["hidden=6", "generator_layers=1", "discriminator_layers=1"]


def test_from_start_to_figure_and_a_second_run_only_reads(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(rcgan_waves, "RESULTS", tmp_path)

    def run():
        rcgan_waves.main([*TINY, *[word for pair in NETWORKS for word in ("--set", pair)], "--seeds", "2", "--json"])
        return json.loads(capsys.readouterr().out.splitlines()[-1])

    result = run()
    rows = [json.loads(line) for line in (tmp_path / "rcgan_waves.jsonl").read_text().splitlines()]
    assert [row["seed"] for row in rows] == [0, 1]
    assert result["recognition_mean"] == pytest.approx((rows[0]["recognition"] + rows[1]["recognition"]) / 2)
    assert result["ks_amplitude_max"] == max(row["ks_amplitude"] for row in rows)
    assert result["target_recognition_met"] is False
    assert result["target_time_met"] is True
    assert (tmp_path / "rcgan_waves.png").read_bytes().startswith(b"\x89PNG")
    monkeypatch.setattr(rcgan_waves, "run", lambda key: pytest.fail("both seeds are finished"))
    assert run() == result


def test_the_factors_of_real_waves_are_those_they_were_drawn_with():
    x, labels, factors = rcgan_waves.waves(400, seed=100)
    estimates = rcgan_waves.factors_of(x, labels)
    for name, tolerance in (("offset", 0.03), ("frequency", 0.1), ("amplitude", 0.05)):
        near = abs(estimates[name] - factors[name]) <= tolerance
        assert near.mean() > 0.95, name


def test_a_classifier_recognizes_real_waves():
    x, labels, _ = rcgan_waves.waves(1000, seed=100)
    model = rcgan_waves.train_classifier(x, labels, updates=60, seed=0)
    test, test_labels, _ = rcgan_waves.waves(500, seed=101)
    assert rcgan_waves.accuracy(model, test, test_labels) > 0.9
    assert rcgan_waves.accuracy(model, torch.zeros_like(test), test_labels) == 0.5
