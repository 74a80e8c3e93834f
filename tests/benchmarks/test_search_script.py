"""The study of searches from start to table on the embedded digits, with few steps."""

import json
from pathlib import Path

import pytest

from benchmarks.studies import search

pytestmark = pytest.mark.usefixtures("quick_objectives")


def test_from_start_to_table_and_on_from_the_record(tmp_path, monkeypatch, capsys):
    for name, value in {"TRIALS": 2, "STEPS": 8, "UPDATES": 20, "FIXED": {"width": 4, "max_width": 8}}.items():
        monkeypatch.setattr(search, name, value)
    results = tmp_path / "search.jsonl"

    def call(*arguments):
        search.main(["--results", str(results), "--out", str(tmp_path / "runs"), "--seeds", "1", "--json", *arguments])
        *table, summary = capsys.readouterr().out.splitlines()
        return json.loads(summary), "\n".join(table)

    result, table = call()
    assert [line.split("|")[1].strip() for line in table.splitlines()[2:]] == list(search.ARMS)
    rows = [json.loads(line) for line in results.read_text().splitlines()]
    assert [row.get("prune") for row in rows] == [True, False, None, None, None]
    assert rows[1]["saved_steps"] == 0
    assert all(row["config"]["width"] == 4 for row in rows[:2])
    assert result["kid_defaults"] == pytest.approx(rows[2]["kid"])
    assert call("--table") == (result, table)


def test_the_table_in_the_docs_is_that_of_the_record(capsys):
    search.main(["--table"])
    table = capsys.readouterr().out.strip()
    assert table.count("\n") == 1 + len(search.ARMS)
    assert table in (Path(__file__).parents[2] / "docs" / "results.md").read_text()
