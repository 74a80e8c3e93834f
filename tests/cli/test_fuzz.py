"""Random command lines over a folder of somebody's own files; see fuzz_commands.py, which says what mustn't happen."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "helpers" / "fuzz_commands.py"


@pytest.mark.parametrize(
    ("commands", "seed"), [(40, 7), *(pytest.param(500, seed, marks=pytest.mark.slow) for seed in (0, 1))]
)
def test_no_command_line_ends_in_a_traceback_hangs_or_changes_a_users_file(commands, seed):
    words = [sys.executable, str(SCRIPT), "--commands", str(commands), "--seed", str(seed)]
    done = subprocess.run(words, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr[-3000:]
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["commands"] == commands
    assert set(result["exit_codes"]) == {"0", "1", "2"}, "some commands do what they say, and some are refused"
    assert not result["faults"], json.dumps(result["faults"][:5], indent=2)
