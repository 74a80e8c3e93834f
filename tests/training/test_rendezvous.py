"""Which processes train together: those that call ``fit`` with the same arguments."""

import os
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch.distributed as dist

from genaug.errors import GenaugError, InputError, OutputExistsError, TrainingError
from genaug.training import rendezvous
from genaug.training.distributed import World, process_group, training_alone
from genaug.training.rendezvous import meet

LAUNCHER = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
CALL = {"seed": 0, "out": "/runs/one"}


def test_scripts_with_a_process_group_of_their_own(tmp_path):
    """A late process, seeds and folders of their own, rank 0 alone while the others are at a barrier, no group."""
    script = Path(__file__).parents[1] / "helpers" / "processes.py"
    done = subprocess.run(
        [*LAUNCHER, str(script), str(tmp_path)],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("is done") == 2


def attend(size, calls, delays=None, may_train_alone=False):
    """What the processes get, here threads: by rank the outcome of ``meet``, or its error."""
    store, outcomes, said = dist.HashStore(), {}, []

    def run(rank, call):
        time.sleep((delays or {}).get(rank, 0))
        try:
            outcomes[rank] = meet(store, rank, size, call, may_train_alone, said.append)
        except (InputError, TrainingError) as error:
            outcomes[rank] = error

    threads = [threading.Thread(target=run, args=item) for item in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes, said


def test_alike_calls_meet_and_different_ones_are_named_to_all():
    assert attend(2, [(0, CALL), (1, CALL)])[0] == {0: 0, 1: 0}
    outcomes, _ = attend(3, [(0, CALL), (1, CALL), (2, {**CALL, "seed": 7})])
    for rank in range(3):
        assert isinstance(outcomes[rank], InputError)
        assert "between process 0 (there) and 2 (here): seed is 0 there and 7 here" in str(outcomes[rank])


def test_folders_of_their_own_mean_trainings_of_their_own():
    assert attend(2, [(0, CALL), (1, {"seed": 1, "out": "/runs/two"})])[0] == {0: None, 1: None}


def test_why_rank_0_can_not_train_is_raised_in_those_that_would_train_with_it():
    store, problem, outcomes = dist.HashStore(), OutputExistsError("/runs/one holds a run."), []

    def attend_as_rank_1(call):
        with suppress_into(outcomes):
            outcomes.append(meet(store, 1, 2, call, False, outcomes.append))

    for call in ({"out": "/runs/one", "seed": 0}, {"out": "/runs/two", "seed": 0}):
        thread = threading.Thread(target=attend_as_rank_1, args=[call])
        thread.start()
        with pytest.raises(OutputExistsError, match="/runs/one holds a run"):
            meet(store, 0, 2, {"out": "/runs/one"}, False, outcomes.append, problem)
        thread.join()
    assert isinstance(outcomes[0], OutputExistsError)
    assert str(outcomes[0]) == str(problem)
    assert outcomes[1:] == [None]


@contextmanager
def suppress_into(outcomes):
    try:
        yield
    except GenaugError as error:
        outcomes.append(error)


def test_nobody_waits_for_ever(monkeypatch):
    monkeypatch.setattr(rendezvous, "PATIENCE", 0.3)
    monkeypatch.setattr(rendezvous, "_MESSAGE_AFTER", 0.1)
    outcomes, said = attend(3, [(0, CALL), (1, CALL)], {1: 0.1})
    assert isinstance(outcomes[0], TrainingError)
    assert "process 2 of this process group didn't call fit" in str(outcomes[0])
    assert str(outcomes[1]) == str(outcomes[0])
    assert "waiting for processes 1, 2 of this process group to call fit." in said or "waiting for process 2" in said[0]
    outcomes, _ = attend(2, [(1, CALL)])
    assert "process 0 of this process group didn't call fit" in str(outcomes[1])


def test_rank_0_trains_alone_and_later_all_together(monkeypatch):
    monkeypatch.setattr(rendezvous, "ALONE_AFTER", 0.3)
    outcomes, said = attend(2, [(0, CALL)], may_train_alone=True)
    assert outcomes == {0: None}
    assert "process 1 didn't call fit within 0 s: process 0 trains alone" in said[0]
    store, late = dist.HashStore(), []
    assert meet(store, 0, 2, CALL, True, said.append) is None
    thread = threading.Thread(target=lambda: late.append(meet(store, 1, 2, CALL, True, said.append)))
    thread.start()  # it came too late for that training, and waits for the next one
    assert meet(store, 0, 2, CALL, True, said.append) == 1
    thread.join()
    assert late == [1]


def test_an_environment_without_a_meeting_place_is_told_of(monkeypatch):
    import torch

    monkeypatch.setenv("WORLD_SIZE", "2")
    for name in ("RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(InputError, match="WORLD_SIZE=2, but not RANK or MASTER_ADDR or MASTER_PORT"):
        process_group(torch.device("cpu"), 8).__enter__()
    with training_alone(), process_group(torch.device("cpu"), 8) as (world, _):
        assert world == World()
