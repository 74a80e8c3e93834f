"""The comparison of schedules from start to tables on the embedded digits, and on from what it has recorded."""

import json
from dataclasses import make_dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from benchmarks.common.record import RESULTS, TUNING, Record
from benchmarks.studies import schedules


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Calls the script with few updates: its summary and its tables."""
    monkeypatch.setattr(schedules, "SETTINGS", {**schedules.SETTINGS, "updates": 4, "batch_size": 8})

    def call(*arguments):
        words = ["--data", "digits", "--results", tmp_path / "cells.jsonl", "--json", *arguments]
        schedules.main([*map(str, words)])
        *tables, summary = capsys.readouterr().out.splitlines()
        return json.loads(summary), "\n".join(tables)

    return call


def test_from_start_to_tables_and_on_from_the_record(run, tmp_path, monkeypatch):
    result, tables = run("--seeds", 2)
    assert result["seeds"] == 2
    assert len(tables.splitlines()) == 2 + len(schedules.WAYS) + 1 + 2 + len(schedules.PAIRS)
    rows = [json.loads(line) for line in (tmp_path / "cells.jsonl").read_text().splitlines()]
    assert {(row["arm"], row["seed"]) for row in rows} == {(arm, seed) for arm in schedules.ARMS for seed in (0, 1)}
    accuracy = {(row["arm"], row["seed"]): row["accuracy"] for row in rows}
    gains = [accuracy["pretrain", seed] - accuracy["constant", seed] for seed in (0, 1)]
    assert result["pretrain_less_constant_mean"] == pytest.approx(sum(gains) / 2)
    assert result["pretrain_less_constant_low"] < sum(gains) / 2 < result["pretrain_less_constant_high"]
    monkeypatch.setattr(schedules, "run", None)
    assert run("--seeds", 2) == (result, tables), "nothing is trained again"
    assert run("--seeds", 2, "--table") == (result, tables)


def test_a_comparison_without_a_clear_interval_is_no_evidence():
    def rows(gain):
        noise = [0.01, -0.01, 0.02, -0.02, 0.0]
        return [
            {"arm": arm, "seed": seed, "tested": 1000, "accuracy": 0.5 + (gain + noise[seed]) * (arm == "pretrain")}
            for seed in range(5)
            for arm in schedules.ARMS
        ]

    lines = {
        gain: next(
            line for line in schedules.differences_table(rows(gain)).splitlines() if "| pretrain against c" in line
        )
        for gain in (0.01, 0.3, -0.3)
    }
    assert [line.split(" | ")[-1].strip(" |") for line in lines.values()] == ["no evidence", "better", "worse"]


def test_no_two_seeds_share_an_image_and_tuning_does_not_see_the_test_set():
    labels = torch.arange(10).repeat(130)
    train = SimpleNamespace(labels=labels, part=lambda rows: rows)
    block = schedules.blocks(labels)
    assert all((block == number).sum() == 100 for number in range(13))
    assert labels[block == 3].bincount().tolist() == [10] * 10
    work = make_dataclass("Work", ["train", "test", "rows"])(train, range(200), {})
    reported = torch.cat([schedules.of_seed(work, seed).rows[seed] for seed in range(schedules.SEEDS)])
    assert len(reported.unique()) == 1000
    tuned = schedules.of_seed(work, TUNING)
    assert not set(tuned.rows[TUNING].tolist()) & {*reported.tolist(), *tuned.test.tolist()}
    assert not set(tuned.test.tolist()) & set(reported.tolist())
    with pytest.raises(SystemExit, match="aren't enough"):
        schedules.of_seed(work, TUNING + 5)


@pytest.mark.parametrize("words", [["--seeds", "11"], ["--data", "folder:x"]])
def test_more_seeds_than_images_and_data_without_a_generator_are_errors(words, capsys):
    with pytest.raises(SystemExit):
        schedules.main(words)
    assert capsys.readouterr().err


@pytest.mark.parametrize("data", schedules.PUBLISHED)
def test_the_tables_in_the_docs_are_those_of_the_record(data):
    record = Record(RESULTS / "schedules.jsonl")
    generator, seeds = schedules.PUBLISHED[data], range(schedules.SEEDS)
    keys = [schedules.key_of(data, generator, arm, seed) for seed in seeds for arm in schedules.ARMS]
    rows = [row for key in keys if (row := record.done(key)) is not None]
    if not rows:
        pytest.skip("the comparison hasn't been run yet")
    text = (Path(__file__).parents[2] / "docs" / "results.md").read_text()
    assert schedules.table_of(rows) in text
    assert schedules.differences_table(rows) in text
