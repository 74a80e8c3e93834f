"""Mutations of well-formed files neither execute nor crash anything, and cost little."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "helpers" / "fuzz_pickles.py"


@pytest.mark.skipif(sys.platform != "linux", reason="memory is measured in /proc")
@pytest.mark.parametrize("count", [400, pytest.param(10_000, marks=pytest.mark.slow)])
def test_mutated_files_are_read_or_rejected_with_a_message(count, tmp_path):
    done = subprocess.run([sys.executable, SCRIPT, str(count), "0", tmp_path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary["count"] == count
    assert not summary["executed"]
    assert not summary["errors"]
    assert summary["slowest"] <= 1
    assert summary["growth"] <= 64 * 2**20
    assert summary["read"] > count / 50
    assert summary["converted"] > count / 100
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file.pkl", "out"]
