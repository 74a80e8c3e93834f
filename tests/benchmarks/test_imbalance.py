"""The study of long tails, on the embedded digits with a few steps."""

import json

import pytest
import torch
from torch.nn.functional import cross_entropy

from benchmarks import imbalance
from benchmarks.imbalance import ARMS, BASELINES


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    small = {"backend": "cgan", "steps": 2, "batch_size": 8, "config": {"width": 4, "max_width": 8, "latent_size": 4}}
    monkeypatch.setattr(imbalance, "RESULTS", tmp_path)
    monkeypatch.setattr(imbalance, "GENERATOR", small)
    monkeypatch.setattr(imbalance, "CLASSIFIER", {"updates": 3, "batch_size": 8, "lr": 1e-3})

    def call(*arguments):
        out = ["--out", str(tmp_path / "runs")]
        imbalance.main(["--data", "digits", "--json", "--seeds", "1", "--factor", "20", *out, *arguments])
        captured = capsys.readouterr()
        return json.loads(captured.out.splitlines()[-1]), captured.out

    return call


def test_every_arm_is_measured_and_a_second_run_only_reads(run, tmp_path, monkeypatch):
    result, output = run()
    rows = [json.loads(line) for line in (tmp_path / "imbalance.jsonl").read_text().splitlines()]
    assert [list(row["arms"]) for row in rows] == [list(ARMS)]
    assert rows[0]["counts"][0] > 100
    assert rows[0]["counts"][-1] == result["smallest_class"] == 6
    assert rows[0]["shares"] == pytest.approx([20 ** (-i / 9) for i in range(10)], abs=0.01)
    assert result["generated_rare_recall_verdict"] == "no evidence", "from a single seed"
    assert output.count("| balanced generated |") == 2
    assert all(value is None or isinstance(value, int | float | str) for value in result.values()), "flat"
    records = {
        path.parent.name: json.loads(path.read_text())["balance"] for path in (tmp_path / "runs").rglob("run.json")
    }
    assert records == {"generated": None, "balanced_generated": "uniform"}
    monkeypatch.setattr(imbalance, "load_data", lambda *_, **__: pytest.fail("everything was done already"))
    assert run()[0] == result


def rows_with(gains, seeds=5):
    """Seeds in which one arm is better than each baseline by ``gains``, about."""
    rows = []
    for seed in range(seeds):
        base = dict.fromkeys(ARMS, 0.5 + 0.01 * seed)
        base |= {name: base[name] - gain for name, gain in zip(BASELINES, gains, strict=True)}
        base["generated"] += 0.002 * (seed % 2)
        figures = {arm: dict.fromkeys(imbalance.METRICS, value) for arm, value in base.items()}
        rows.append({"arms": figures, "counts": [100, 10, 1], "shares": [1.0, 0.1, 0.01], "seconds": 1})
    return rows


@pytest.mark.parametrize(
    ("gains", "verdict"),
    [
        ((0.1, 0.1, 0.1, 0.1), "use"),
        ((0.1, 0.1, 0.1, 0.0), "no evidence"),
        ((0.1, 0.1, -0.1, 0.1), "don't use"),
    ],
)
def test_the_verdict_is_against_all_arms_without_generated_images(gains, verdict):
    assert imbalance.summary(rows_with(gains))["generated_macro_f1_verdict"] == verdict


def test_intervals_allow_for_common_images():
    widths = []
    for shares in ([0.01] * 3, [0.5] * 3):
        rows = [{**row, "shares": shares} for row in rows_with((0.1,) * 4)]
        one = imbalance.difference(rows, "macro_f1", "generated", "none")
        widths.append(one.high - one.low)
    assert widths[1] > 2 * widths[0]


def test_the_scores():
    labels, predicted = torch.tensor([0, 0, 1, 1, 2, 2, 3, 3]), torch.tensor([0, 0, 1, 0, 2, 3, 3, 3])
    figures = imbalance.score(predicted, labels, torch.tensor([50, 3, 20, 9]))
    assert figures["rare_recall"] == pytest.approx((0.5 + 0.5 + 1) / 3)
    assert figures["accuracy"] == 0.75
    assert figures["macro_f1"] == pytest.approx((0.8 + 2 / 3 + 2 / 3 + 0.8) / 4)


def test_class_weights_and_oversampling():
    labels = torch.tensor([0] * 12 + [1] * 4)
    images = torch.arange(16, dtype=torch.uint8)[:, None, None, None]
    batch, targets = next(imbalance.weighted(iter([(images, labels)]), labels))
    logits = torch.randn(16, 2, generator=torch.Generator().manual_seed(0))
    expected = cross_entropy(logits, labels, torch.tensor([16 / 24, 16 / 8]), reduction="sum") / 16
    assert torch.equal(batch, images)
    assert float(cross_entropy(logits, targets)) == pytest.approx(float(expected))
    batch, own = next(imbalance.oversampled(images, labels, 4000, 0))
    assert float(own.double().mean()) == pytest.approx(0.5, abs=0.03)
    assert torch.equal(labels[batch.flatten().long()], own)
