"""Finished runs on disk: found again by their settings, whatever a crash left behind them."""

import json

import pytest

from benchmarks.common.console import cost, say
from benchmarks.common.record import Record

KEY = {"steps": 100, "seed": 0, "sizes": (3, 4), "lr": 1e-4}


@pytest.fixture
def record(tmp_path):
    return Record(tmp_path / "results" / "runs.jsonl")


def test_nothing_is_done_at_first(record):
    assert record.done(KEY) is None
    assert record.rows({}) == []


def test_a_run_is_found_by_all_of_its_settings(record):
    record.add(KEY, {"kid": 0.1})
    record.add({**KEY, "seed": 1}, {"kid": 0.3})
    assert record.done(KEY)["kid"] == 0.1
    for name, value in {"steps": 101, "seed": 2, "sizes": (3, 5), "lr": 2e-4, "more": 1}.items():
        assert record.done({**KEY, name: value}) is None
    assert [row["kid"] for row in record.rows({"steps": 100})] == [0.1, 0.3]
    assert [row["kid"] for row in record.rows({"seed": 1})] == [0.3]


def test_the_last_run_with_the_same_settings_counts(record):
    record.add(KEY, {"kid": 0.1})
    record.add(KEY, {"kid": 0.2})
    assert record.done(KEY)["kid"] == 0.2


def test_one_object_a_line_with_key_and_result(record):
    record.add(KEY, {"kid": [0.1, 0.2]})
    record.add(KEY, {"kid": None})
    lines = record.path.read_text().splitlines()
    assert json.loads(lines[0]) == {"steps": 100, "seed": 0, "sizes": [3, 4], "lr": 1e-4, "kid": [0.1, 0.2]}
    assert len(lines) == 2


def test_lines_are_replaced_by_others_at_the_end(record):
    for seed in (0, 1, 0):
        record.add({**KEY, "seed": seed}, {"kid": 0.1})
    record.replace({"seed": 0}, [{"kid": 0.2}, {"kid": 0.3}])
    assert [(row["seed"], row["kid"]) for row in record.rows({})] == [(1, 0.1), (0, 0.2), (0, 0.3)]
    assert [path.name for path in record.path.parent.iterdir()] == ["runs.jsonl"]


@pytest.mark.parametrize("rest", ['{"steps": 1', "[1, 2]\n", "\n\n"])
def test_what_a_crash_cut_off_is_passed_over_and_costs_the_next_run_nothing(record, rest):
    record.add(KEY, {"kid": 0.1})
    with record.path.open("a") as file:
        file.write(rest)
    assert record.done(KEY)["kid"] == 0.1
    record.add({**KEY, "seed": 1}, {"kid": 0.2})
    assert [row["kid"] for row in record.rows({})] == [0.1, 0.2]


def test_words_go_to_stderr_and_costs_are_in_hours(capsys):
    say("done")
    assert capsys.readouterr() == ("", "done\n")
    assert cost(1.5, 3 * 2400) == "3.0 h"
