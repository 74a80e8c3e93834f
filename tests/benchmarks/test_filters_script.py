"""The study of filters from start to table on the embedded digits, with few samples."""

import json
from pathlib import Path

import pytest
import torch

import genaug
from benchmarks.common.record import RESULTS, Record
from benchmarks.studies import filters

ROOT = Path(__file__).parents[2]


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Calls the script with few samples: its summary and its table."""
    monkeypatch.setattr(filters, "SAMPLES", 200)
    monkeypatch.setattr(filters, "UPDATES", 80)
    confident = {"agree": True, "min_confidence": 0.5}
    monkeypatch.setattr(filters, "ARMS", {"no filter": {}, "agreement": {"agree": True}, "confident": confident})

    def call(*arguments):
        filters.main(["--results", str(tmp_path / "seeds.jsonl"), "--seeds", "1", "--json", *arguments])
        *table, summary = capsys.readouterr().out.splitlines()
        return json.loads(summary), "\n".join(table)

    return call


def test_from_start_to_table_and_on_from_the_record(run, tmp_path):
    result, table = run()
    assert len(table.splitlines()) == 2 + len(filters.ARMS)
    rows = [json.loads(line) for line in (tmp_path / "seeds.jsonl").read_text().splitlines()]
    raw, agreement, confident = rows
    assert raw["wrong"] > 0.25 > agreement["wrong"] > confident["wrong"] - 0.02
    assert raw["noise"] == pytest.approx(0.2, abs=0.08)
    assert confident["accepted"] < agreement["accepted"] < 1
    removed = 1 - agreement["noise"] * agreement["accepted"] / 0.2
    assert result["agreement_least_noise_removed"] == pytest.approx(removed)
    assert run("--table") == (result, table)


def test_noise_is_recognized_beside_digits():
    generator = genaug.load(ROOT / "model_cards" / "digits-cgan", device="cpu")
    damaged = filters.Damaged(generator)
    labels = torch.arange(1000) % 10
    images, kept = damaged.sample(labels=labels, seed=0)
    assert torch.equal(kept, labels)
    assert not filters.is_noise(generator.sample(labels=labels, seed=0)[0]).any()
    assert filters.is_noise(images).float().mean() == pytest.approx(0.2, abs=0.04)
    again, _ = damaged.sample(labels=labels[:100], seed=0)
    assert torch.equal(images[:100], again)


@pytest.mark.parametrize("data", ["digits", "torchvision:MNIST"])
def test_the_table_in_the_docs_is_that_of_the_record(data):
    record = Record(RESULTS / "filters.jsonl")
    keys = [filters.key_of(data, arm, seed) for seed in range(5) for arm in filters.ARMS]
    rows = [row for key in keys if (row := record.done(key)) is not None]
    assert filters.table_of(rows) in (ROOT / "docs" / "results.md").read_text()
