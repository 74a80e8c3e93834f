"""Commands that run networks do so on as many threads as --threads says, by default as many as are fastest."""

import pytest
import torch
from typer.testing import CliRunner

from genaug.cli import app
from genaug.errors import InputError
from genaug.training import threads

COMMANDS = {
    "sample": ["--n", "2", "--out", "grid.png"],
    "evaluate": ["--data", "digits"],
    "translate": ["--data", "digits", "--out", "images"],
}


@pytest.fixture
def threads_of(monkeypatch, tmp_path):
    """The number of threads on which a command loads its generator, and that of afterwards."""
    seen = []

    def load(*arguments, **options):
        seen.append(torch.get_num_threads())
        raise InputError("there is no such generator.")

    monkeypatch.setattr("genaug.hub.load.load", load)
    for name in ("sample", "evaluate"):
        monkeypatch.setattr(f"genaug.cli.{name}.source_named", load)
    monkeypatch.chdir(tmp_path)

    def call(command, *options):
        result = CliRunner().invoke(app, [command, "owner/name", *COMMANDS[command], *options, "--device", "cpu"])
        assert "there is no such generator" in result.output
        return seen[-1], torch.get_num_threads()

    return call


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_has_the_threads_that_are_set(command, threads_of):
    before = torch.get_num_threads()
    assert threads_of(command, "--threads", "3") == (3, before)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_has_fewer_threads_on_a_busy_machine(command, threads_of, monkeypatch):
    before = torch.get_num_threads()
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(threads, "_seconds_on", {4: 1.0, 2: 0.2, 1: 0.3}.__getitem__)
    torch.set_num_threads(4)
    try:
        assert threads_of(command) == (2, 4)
    finally:
        torch.set_num_threads(before)
