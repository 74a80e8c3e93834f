"""The script that finds anomalous digits, on the embedded digits with a handful of steps."""

import json

import pytest
import torch

from benchmarks.papers import anomaly, encoder_measures
from genaug.backends.spec import Spec
from genaug.data.reading import Samples
from genaug.modalities import Image

TINY = {
    "pca": {"components": 5},
    "nearest": {},
    "vae": {"config": {"kind": "mlp", "hidden": 16, "latent_size": 4}, "training": {"steps": 30, "batch_size": 16}},
    "autoencoder": {
        "config": {"kind": "mlp", "hidden": 16, "latent_size": 4},
        "training": {"steps": 30, "batch_size": 16},
    },
    "wgan-gp": {
        "config": {"latent_size": 4, "width": 4, "max_width": 8},
        "training": {"steps": 1, "batch_size": 8},
        "encoder": {"steps": 2, "batch_size": 8},
    },
}


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(anomaly, "RESULTS", tmp_path)
    for name, settings in TINY.items():
        monkeypatch.setitem(anomaly.SETTINGS, name, settings)

    def call(*options):
        anomaly.main(["--data", "digits", "--json", *map(str, options)])
        out, err = capsys.readouterr()
        return json.loads(out.splitlines()[-1]), out + err

    return call


def test_from_start_to_figures_and_a_second_run_only_reads(run, tmp_path, monkeypatch):
    result, output = run("--seeds", 1, "--digits", 0, 1)
    rows = [json.loads(line) for line in (tmp_path / "anomaly.jsonl").read_text().splitlines()]
    assert [(row["model"], row["digit"]) for row in rows] == [(model, digit) for model in TINY for digit in (0, 1)]
    assert all(row["scored"] == 500 and row["split"] == "test" for row in rows)
    assert result["pca_mean"] == pytest.approx((rows[0]["pca"] + rows[1]["pca"]) / 2, abs=1e-6)
    assert result["pca_mean"] > 0.95
    assert result["nearest_mean"] > 0.98
    assert result["above_pca"] is (result["vae_mean"] > result["pca_mean"])
    assert {"izi_f_mean", "izi_mean", "critic_mean", "autoencoder_mean"} <= set(result)
    assert "AnoGAN 0.913" in output
    assert " h" in output
    monkeypatch.setattr(anomaly, "read", lambda *_: pytest.fail("everything was done already"))
    assert run("--seeds", 1, "--digits", 0, 1)[0] == result


def test_tuning_scores_training_images_that_nothing_learned_from(run, tmp_path):
    run("--seeds", 1, "--first-seed", 100, "--held-out", "--digits", 3, "--models", "pca")
    (row,) = [json.loads(line) for line in (tmp_path / "anomaly.jsonl").read_text().splitlines()]
    assert row["split"] == "held out"

    images = torch.arange(1000).to(torch.int64)
    x = torch.stack([images // 256, images % 256], 1).to(torch.uint8)[:, None, None]
    train = Samples(x, images % 10, Spec(sample=Image(1, 1, 2), classes=10))
    key = {"digit": 3, "split": "held out", "seed": 100}
    normal, scored, anomalous = anomaly.split_of(key, train, None)
    numbers = [part[:, 0, 0, 0].long() * 256 + part[:, 0, 0, 1] for part in (normal, scored)]
    assert (len(normal), len(scored), int(anomalous.sum())) == (80, 200, 180)
    assert (numbers[0] % 10 == 3).all()
    assert not set(numbers[0].tolist()) & set(numbers[1].tolist())
    assert torch.equal(anomalous, numbers[1] % 10 != 3)


def rows_of(**means):
    return [
        {"seed": seed, "digit": digit, method: value + seed / 100}
        for method, value in means.items()
        for seed in (0, 1)
        for digit in range(10)
    ]


@pytest.mark.parametrize(("vae", "met"), [(0.96, True), (0.955, False), (0.95, False)])
def test_the_chosen_method_has_to_be_above_pca_in_the_mean(vae, met):
    rows = rows_of(pca=0.955, vae=vae)
    *measures, last = encoder_measures.anomaly(rows)
    assert last.met is met
    assert measures[0].values == {0: pytest.approx(0.955), 1: pytest.approx(0.965)}
    rows.pop()  # a seed without all digits doesn't count
    assert set(anomaly.means(rows, "vae")) == {0}
    assert anomaly.summary(rows_of(pca=0.955, vae=vae), list(range(10)))["above_pca"] is met
