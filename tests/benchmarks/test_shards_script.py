"""benchmarks/speed/shards.py from end to end, without running its commands, and these commands."""

import json
import time

from typer.testing import CliRunner

from benchmarks.speed import shards
from genaug.cli import app


def test_from_start_to_table_and_on_from_the_record(tmp_path, monkeypatch, capsys):
    calls = []

    def call(words):
        time.sleep(0.02)
        calls.append(words)
        return "100,000 images\n2048\n"

    monkeypatch.setattr(shards, "call", call)
    arguments = ["--n", "1000000", "--pairs", "2", "--results", str(tmp_path / "shards.jsonl")]
    shards.main([*arguments, "--json"])
    row = json.loads(capsys.readouterr().out.splitlines()[-1])["rows"][0]
    assert len(row["ratios"]) == 2
    assert row["peak"] == row["peak_of_a_tenth"] == 2048 * 1024
    assert ["ray" in words for words in calls] == [False, False, True, False, False, True], "the order alternates"
    assert [words[words.index("--n") + 1] for words in calls] == ["100000"] + ["1000000"] * 5
    shards.main([*arguments, "--table"])
    assert "| 1,000,000 |" in capsys.readouterr().out
    assert len(calls) == 6


def test_the_command_runs(tmp_path):
    words = shards.command("model_cards/digits-cgan", 64 * 1024, str(tmp_path / "out"), False)
    assert words[1:3] == ["-m", "genaug"]
    words[words.index("--n") + 1], words[words.index("--shards") + 1] = "2048", "2"
    assert CliRunner().invoke(app, words[3:]).exit_code == 0
    assert len(list((tmp_path / "out").glob("*.tar"))) == 2
