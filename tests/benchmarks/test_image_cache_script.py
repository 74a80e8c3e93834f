"""benchmarks/speed/image_cache.py from end to end, on few images."""

import json
import os
from pathlib import Path

import pytest

from benchmarks.common.record import RESULTS, Record
from benchmarks.speed import image_cache


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="reads the anonymous memory from /proc")
def test_from_start_to_table_and_on_from_the_record(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(image_cache, "apart", image_cache.train)  # in this process, which has imported torch
    arguments = ["--images", "300", "--size", "8", "--results", str(tmp_path / "r.jsonl"), "--folder", str(tmp_path)]
    image_cache.main([*arguments, "--json"])
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    row = result["rows"][0]
    assert 300 * 3 * 8 * 8 + 300 * 8 < row["disk"] < 300 * 3 * 8 * 8 + 300 * 8 + 2000
    assert all(row[part]["first_step"] > 0 and row[part]["anonymous"] > 2**20 for part in ("few", "filled", "complete"))
    image_cache.main([*arguments, "--table"])
    assert "300 images of 8x8, cache to fill" in capsys.readouterr().out
    assert len((tmp_path / "r.jsonl").read_text().splitlines()) == 1


def test_the_table_in_the_docs_is_that_of_the_record():
    rows = Record(RESULTS / "image_cache.jsonl").rows({})
    table = image_cache.table_of(rows)
    assert table in (Path(__file__).parents[2] / "docs" / "training.md").read_text()
