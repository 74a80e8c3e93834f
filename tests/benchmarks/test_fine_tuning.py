"""The study of fine-tuning from start to table on the embedded digits, and on from what it has recorded."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.common.record import RESULTS, Record
from benchmarks.studies import fine_tuning
from genaug.data import load_data
from genaug.data.reading import read_samples

ROOT = Path(__file__).parents[2]


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Calls the script with tiny networks: its summary and its table."""
    config = {"width": 4, "max_width": 8, "latent_size": 4}
    tiny = {"config": config, "ancestor_steps": 2, "steps": 2, "per_class": 3, "held_out": 250}
    digits = replace(fine_tuning.SETTINGS["digits"], data="digits", **tiny)
    monkeypatch.setitem(fine_tuning.SETTINGS, "digits", digits)
    arms = {"scratch": None, "tuned": 0, "tuned, 1 frozen": 1, "tuned, 2 frozen": 1}  # small images have one block
    for name, value in {"ARMS": arms, "SAMPLES": 250, "JUDGE_UPDATES": 2}.items():
        monkeypatch.setattr(fine_tuning, name, value)

    def call(*arguments):
        words = ["digits", "--out", tmp_path / "runs", "--results", tmp_path / "cells.jsonl", "--json"]
        fine_tuning.main([*map(str, [*words, *arguments])])
        *table, summary = capsys.readouterr().out.splitlines()
        return json.loads(summary), "\n".join(table)

    return call


def test_from_start_to_table_and_on_from_the_record(run, tmp_path):
    result, table = run("--seeds", 2)
    assert result["seeds"] == 2
    assert len(table.splitlines()) == 2 + 4
    path = tmp_path / "cells.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert {(row["arm"], row["seed"]) for row in rows} == {(arm, seed) for arm in fine_tuning.ARMS for seed in (0, 1)}
    differences = [
        row["kid"] - other["kid"]
        for row, other in zip(*([r for r in rows if r["arm"] == arm] for arm in ("tuned", "scratch")), strict=True)
    ]
    assert result["kid_tuned_less_scratch_mean"] == pytest.approx(sum(differences) / 2)
    shutil.rmtree(tmp_path / "runs")
    assert run("--seeds", 2) == (result, table), "nothing is trained again"
    assert run("--seeds", 2, "--table") == (result, table)
    assert not (tmp_path / "runs").exists()


def test_the_new_digits_are_other_images_for_every_use():
    data = read_samples(load_data("digits"))
    new = fine_tuning.of_classes((data.x, data.labels), range(5, 10))
    assert new.labels.unique().tolist() == [0, 1, 2, 3, 4]
    one, other = (fine_tuning.few_of(new, 3, seed) for seed in (0, 1))
    assert one.labels.bincount().tolist() == [3] * 5
    assert not one.images.equal(other.images)


@pytest.mark.parametrize("name", fine_tuning.SETTINGS)
def test_the_table_in_the_docs_is_that_of_the_record(name):
    record = Record(RESULTS / "fine_tuning.jsonl")
    keys = [fine_tuning.key_of(fine_tuning.SETTINGS[name], arm, seed) for seed in range(5) for arm in fine_tuning.ARMS]
    rows = [row for key in keys if (row := record.done(key)) is not None]
    if not rows:
        pytest.skip("the study hasn't been run yet")
    table = fine_tuning.table_of(rows)
    assert "| tuned |" in table
    assert table in (ROOT / "docs" / "results.md").read_text()
