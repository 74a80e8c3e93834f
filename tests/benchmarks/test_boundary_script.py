"""The comparison of gradients through black-and-white pixels, from start to table on the embedded digits."""

import json
from pathlib import Path

import pytest
import torch

from benchmarks.common.record import RESULTS, Record
from benchmarks.papers import boundary

ROOT = Path(__file__).parents[2]


def test_from_start_to_table_and_on_from_the_record(tmp_path, monkeypatch, capsys):
    for name, value in {"STEPS": 4, "UPDATES": 20, "SIZES": {"width": 4, "max_width": 8}}.items():
        monkeypatch.setattr(boundary, name, value)
    results = tmp_path / "boundary.jsonl"

    def call(*arguments):
        boundary.main(["--results", str(results), "--seeds", "1", "--json", *arguments])
        *table, summary = capsys.readouterr().out.splitlines()
        return json.loads(summary), "\n".join(table)

    result, table = call()
    assert [line.split("|")[1].strip() for line in table.splitlines()[2:]] == list(boundary.ARMS)
    rows = [json.loads(line) for line in results.read_text().splitlines()]
    assert result["importance_weights_kid"] == pytest.approx(rows[0]["kid"])
    assert result["straight_through_least_diversity"] == pytest.approx(rows[1]["diversity"])
    assert call("--table") == (result, table)


def test_pixels_are_thresholded_at_mid_gray():
    assert boundary.threshold(torch.tensor([0, 127, 128, 255], dtype=torch.uint8)).tolist() == [0, 0, 255, 255]


def test_the_table_in_the_docs_is_that_of_the_record():
    record = Record(RESULTS / "boundary.jsonl")
    keys = [boundary.key_of("digits", arm, seed) for seed in range(3) for arm in boundary.ARMS]
    rows = [row for key in keys if (row := record.done(key)) is not None]
    assert boundary.table_of(rows) in (ROOT / "docs" / "results.md").read_text()
