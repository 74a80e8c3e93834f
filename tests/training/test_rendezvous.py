"""Which processes train together: those that call ``fit`` with the same arguments."""

import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch.distributed as dist
from helpers.commands import run_together

from genaug.errors import GenaugError, InputError, OutputExistsError, TrainingError
from genaug.training import rendezvous
from genaug.training.distributed import World, process_group, training_alone
from genaug.training.rendezvous import meet

CALL = {"seed": 0, "out": "/runs/one"}


def test_scripts_with_their_own_process_group(tmp_path):
    """A late process, seeds and folders of their own, rank 0 alone while the others are at a barrier, no group."""
    script = Path(__file__).parents[1] / "helpers" / "processes.py"
    assert run_together(tmp_path / "log.txt", script, tmp_path).count("is done") == 2


def attend(size, calls, delays=None, may_train_alone=False):
    """The outcome of ``meet`` or its error in each process, here a thread, by rank."""
    store, outcomes, lines = dist.HashStore(), {}, []

    def run(rank, call):
        time.sleep((delays or {}).get(rank, 0))
        try:
            outcomes[rank] = meet(store, rank, size, call, may_train_alone, lines.append)
        except (InputError, TrainingError) as error:
            outcomes[rank] = error

    threads = [threading.Thread(target=run, args=item) for item in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes, lines


def test_equal_calls_meet_and_differences_are_named_in_all_processes():
    assert attend(2, [(0, CALL), (1, CALL)])[0] == {0: 0, 1: 0}
    outcomes, _ = attend(3, [(0, CALL), (1, CALL), (2, {**CALL, "seed": 7})])
    for rank in range(3):
        assert isinstance(outcomes[rank], InputError)
        assert "between process 0 (there) and 2 (here): seed is 0 there and 7 here" in str(outcomes[rank])


def test_different_folders_mean_separate_trainings():
    assert attend(2, [(0, CALL), (1, {"seed": 1, "out": "/runs/two"})])[0] == {0: None, 1: None}


def test_the_problem_of_rank_0_is_raised_in_processes_that_would_train_with_it():
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


def test_no_process_waits_forever(monkeypatch):
    monkeypatch.setattr(rendezvous, "PATIENCE", 0.3)
    monkeypatch.setattr(rendezvous, "_MESSAGE_AFTER", 0.1)
    outcomes, lines = attend(3, [(0, CALL), (1, CALL)], {1: 0.1})
    assert isinstance(outcomes[0], TrainingError)
    assert "process 2 of this process group didn't call fit" in str(outcomes[0])
    assert str(outcomes[1]) == str(outcomes[0])
    assert (
        "waiting for processes 1, 2 of this process group to call fit." in lines or "waiting for process 2" in lines[0]
    )
    outcomes, _ = attend(2, [(1, CALL)])
    assert "process 0 of this process group didn't call fit" in str(outcomes[1])


def test_rank_0_trains_alone_and_later_all_train_together(monkeypatch):
    monkeypatch.setattr(rendezvous, "ALONE_AFTER", 0.3)
    outcomes, lines = attend(2, [(0, CALL)], may_train_alone=True)
    assert outcomes == {0: None}
    assert "process 1 didn't call fit within 0 s: process 0 trains alone" in lines[0]
    store, late = dist.HashStore(), []
    assert meet(store, 0, 2, CALL, True, lines.append) is None
    thread = threading.Thread(target=lambda: late.append(meet(store, 1, 2, CALL, True, lines.append)))
    thread.start()  # too late for that training, so it waits for the next one
    assert meet(store, 0, 2, CALL, True, lines.append) == 1
    thread.join()
    assert late == [1]


def test_missing_environment_variables_are_named(monkeypatch):
    import torch

    monkeypatch.setenv("WORLD_SIZE", "2")
    for name in ("RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(InputError, match="WORLD_SIZE=2, but not RANK or MASTER_ADDR or MASTER_PORT"):
        process_group(torch.device("cpu"), 8).__enter__()
    with training_alone(), process_group(torch.device("cpu"), 8) as (world, _):
        assert world == World()
