"""Training in several processes gives the same result as one process on the same global batch."""

import importlib.util
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from helpers.commands import run_together, two_ranks

import genaug
from genaug.errors import InputError
from genaug.training.distributed import World, process_group

SCRIPT = Path(__file__).parents[1] / "helpers" / "train_steps.py"


LAUNCHER = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def torchrun(*command, cwd):
    result = subprocess.run(
        [*LAUNCHER, *map(str, command)], cwd=cwd, env=ENVIRONMENT, capture_output=True, text=True, timeout=240
    )
    assert result.returncode == 0, result.stderr[-3000:]
    return result


@pytest.fixture(scope="module")
def two_processes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranks")
    run_together(folder / "log.txt", SCRIPT, folder)
    return {
        (norm, rank): torch.load(folder / f"norm-{norm}-rank-{rank}.pt", weights_only=True)
        for norm in (False, True)
        for rank in (0, 1)
    }


@pytest.fixture(scope="module")
def train():
    spec = importlib.util.spec_from_file_location("train_steps", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.train


def test_two_processes_have_the_gradients_of_one(two_processes, train):
    alone = train(3, batch_norm=False)["gradients"]
    together = two_processes[False, 0]["gradients"]
    assert float(alone.norm()) > 0.1
    assert float((alone - together).norm() / alone.norm()) <= 1e-5


@pytest.mark.parametrize("norm", [False, True])
def test_all_processes_hold_the_same_weights(two_processes, norm):
    assert torch.equal(two_processes[norm, 0]["weights"], two_processes[norm, 1]["weights"])


def test_batch_norm_uses_each_slice_separately(two_processes, train):
    """As documented: statistics are those of a process's own slice, so the gradients differ from one process's."""
    alone = train(3, batch_norm=True)["gradients"]
    assert float((alone - two_processes[True, 0]["gradients"]).norm() / alone.norm()) > 1e-3


def test_the_command_trains_under_torchrun(tmp_path):
    command = ["-m", "genaug", "train", "cgan", "--steps", "30", "--batch-size", "16", "--out", "run"]
    small = ["--set", "width=4", "--set", "max_width=8", "--device", "cpu", "--checkpoint-every", "15"]
    small += ["--balance", "sqrt"]
    result = torchrun(*command, *small, cwd=tmp_path)
    training = genaug.load(tmp_path / "run").training
    assert (training["steps"], training["balance"]) == (30, "sqrt")
    steps = [json.loads(line)["step"] for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert steps == [1, 5, 10, 15, 30]
    assert result.stdout.count("To see samples") == 1
    command[-1] = tmp_path / "run"
    assert "resuming at step 30" in run_together(tmp_path / "log.txt", *command[2:], *small, "--resume")


def test_a_process_that_dies_ends_the_run_and_the_last_checkpoint_loads(tmp_path):
    command = ["train", "cgan", "--steps", "2000", "--batch-size", "16", "--checkpoint-every", "10"]
    command += ["--set", "width=4", "--set", "max_width=8", "--device", "cpu", "--out", tmp_path / "broken"]
    with two_ranks(tmp_path / "log.txt", *command) as (first, second):
        until(lambda: list((tmp_path / "broken" / "checkpoints").glob("*.pt")))
        second.kill()
        first.join(120)
        assert first.exitcode == 1
    errors = (tmp_path / "log.txt").read_text()
    assert "genaug: another process of this training has ended" in errors
    assert "Traceback" not in errors
    assert 0 < genaug.load(tmp_path / "broken").training["steps"] < 2000


def until(condition):
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_batch_that_cannot_be_divided_equally_is_rejected(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "3")
    with (
        pytest.raises(InputError, match="batch_size is 16, which can't be divided equally among 3 processes"),
        process_group(torch.device("cpu"), 16),
    ):
        pass


def test_slices_make_up_the_global_batch():
    rows = torch.arange(12)
    assert torch.equal(torch.cat([World(rank, 3).local(rows) for rank in range(3)]), rows)


ONE_SIDED = """
import torch
from genaug.training.distributed import average_gradients, process_group

with process_group(torch.device("cpu"), 2) as (world, _):
    both, one, none = (torch.nn.Parameter(torch.zeros(2)) for _ in range(3))
    both.grad = torch.tensor([1.0, 2.0]) + world.rank
    if not world.is_first:
        one.grad = torch.tensor([4.0, 6.0])
    average_gradients([both, one, none], world)
    assert both.grad.tolist() == [1.5, 2.5], both.grad
    assert one.grad.tolist() == [2.0, 3.0], one.grad
    assert none.grad is None
"""


def test_a_gradient_in_only_one_process_reaches_all(tmp_path):
    script = tmp_path / "one_sided.py"
    script.write_text(ONE_SIDED)
    run_together(tmp_path / "log.txt", script)
