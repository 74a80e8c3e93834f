"""benchmarks/speed/shards.py from end to end, with another command in the place of Ray."""

import json

from benchmarks.speed import shards


def test_from_start_to_table_and_on_from_the_record(tmp_path, monkeypatch, capsys):
    command = shards.command
    monkeypatch.setattr(shards, "SHARDS", 2)
    monkeypatch.setattr(shards, "command", lambda generator, n, out, ray: command(generator, n, out, False))
    arguments = ["--generator", "model_cards/digits-cgan", "--n", "20480", "--pairs", "1"]
    arguments += ["--results", str(tmp_path / "shards.jsonl")]
    shards.main([*arguments, "--json"])
    row = json.loads(capsys.readouterr().out.splitlines()[-1])["rows"][0]
    assert len(row["ratios"]) == 1
    assert row["peak"] > row["peak_of_a_tenth"] / 2 > 2**20
    shards.main([*arguments, "--table"])
    assert "| 20,480 |" in capsys.readouterr().out


def test_the_command_uses_two_workers():
    words = shards.command("generator", 10, "out", True)
    assert words[words.index("--engine") + 1] == "ray"
    assert words[words.index("--workers") + 1] == "2"
