"""The number of threads of a training, which a resumed run keeps."""

import json
from contextlib import suppress

import pytest
import torch

import genaug
from genaug.training import threads
from genaug.training.threads import pick_threads, running_on

CPU = torch.device("cpu")


@pytest.fixture
def machine(monkeypatch):
    """``machine({8: 1.0, 4: 0.5, ...})``: measured seconds by number of threads; torch uses the largest."""

    def install(seconds):
        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
        monkeypatch.setattr(torch, "get_num_threads", lambda: max(seconds))
        monkeypatch.setattr(threads, "_seconds_on", seconds.__getitem__)

    return install


@pytest.mark.parametrize(
    ("seconds", "best"),
    [
        ({2: 1.0, 1: 1.8}, 2),
        ({2: 9.0, 1: 1.8}, 1),
        ({8: 5.0, 4: 2.0, 2: 1.5, 1: 2.5}, 2),
        ({6: 1.0, 3: 0.7, 1: 2.0}, 3),
        ({2: 1.0, 1: 0.9}, 2),
        ({1: 1.0}, 1),
    ],
)
def test_a_busy_machine_gets_fewer_threads(machine, seconds, best, capsys):
    machine(seconds)
    assert pick_threads(None, CPU, show=True) == best
    assert ("which is faster now" in capsys.readouterr().err) == (best < max(seconds))


def test_a_number_that_was_set_is_used(machine, monkeypatch):
    machine({2: 9.0, 1: 1.0})
    assert pick_threads(2, CPU, show=False) == 2
    assert pick_threads(None, torch.device("cuda"), show=False) == 2
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert pick_threads(None, CPU, show=False) == 2


def test_the_measurement_works_and_restores_the_number_of_threads():
    before = torch.get_num_threads()
    assert threads._seconds_on(1) > 0
    assert torch.get_num_threads() == before
    with suppress(ZeroDivisionError), running_on(3):
        assert torch.get_num_threads() == 3
        raise ZeroDivisionError
    assert torch.get_num_threads() == before


def test_a_resumed_run_trains_on_the_threads_of_its_record(tiny_set, tiny_config, tmp_path, monkeypatch):
    numbers = []
    monkeypatch.setattr(torch, "set_num_threads", numbers.append)
    settings = {"config": tiny_config, "batch_size": 8, "device": "cpu", "progress": False, "out": tmp_path / "run"}
    genaug.fit("cgan", tiny_set, steps=1, threads=3, **settings)
    assert json.loads((tmp_path / "run" / "run.json").read_text())["threads"] == 3
    genaug.fit("cgan", tiny_set, steps=2, resume=True, **settings)
    assert numbers[0] == numbers[2] == 3
    genaug.fit("cgan", tiny_set, steps=3, threads=2, resume=True, **settings)
    assert numbers[4] == 2
    assert numbers[1::2] == [torch.get_num_threads()] * 3
