"""Random command lines in a folder with files of a user; fuzz_commands.py describes what must not happen."""

import json
from pathlib import Path

import pytest
from helpers.commands import run

SCRIPT = Path(__file__).parents[1] / "helpers" / "fuzz_commands.py"


@pytest.mark.parametrize(
    ("commands", "seed"), [(40, 7), *(pytest.param(500, seed, marks=pytest.mark.slow) for seed in (0, 1))]
)
def test_no_command_line_ends_in_a_traceback_hangs_or_changes_a_users_file(commands, seed, tmp_path):
    run(tmp_path / "log.txt", SCRIPT, "--commands", commands, "--seed", seed, seconds=3600)
    result = json.loads((tmp_path / "log.txt").read_text().splitlines()[-1])
    assert result["commands"] == commands
    assert set(result["exit_codes"]) == {"0", "1", "2"}, "some commands succeed, and some are rejected"
    assert not result["faults"], json.dumps(result["faults"][:5], indent=2)
