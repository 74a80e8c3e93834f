"""Separate processes that start at once: forks of a process that has imported what they need, see ``conftest.py``.

They can be killed like a command in a terminal, and train together as under torchrun, without the seconds that
importing torch takes.
"""

import multiprocessing
import os
import runpy
import sys
from contextlib import contextmanager
from pathlib import Path


def start(log, *words, environment=()):
    """``genaug`` with these words, or the script that is the first of them, as a process of ``multiprocessing``; its
    output is added to the file ``log``."""
    forks = multiprocessing.get_context("forkserver")
    process = forks.Process(target=_run, args=(str(log), [str(word) for word in words], dict(environment)))
    process.start()
    return process


def run(log, *words, seconds=240):
    """``genaug`` with these words, or a script, to the end, which has to be a success within these seconds."""
    process = start(log, *words)
    try:
        _succeeds(log, [process], seconds)
    finally:
        process.kill()


def run_together(log, *words):
    """The same in two processes that train together. Returns their output."""
    with two_ranks(log, *words) as processes:
        _succeeds(log, processes)
    return Path(log).read_text()


@contextmanager
def two_ranks(log, *words):
    """Two processes with the environment that torchrun gives its workers."""
    from torch.distributed import TCPStore

    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)  # until they end
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(store.port), "WORLD_SIZE": "2"}
    shared |= {"TORCHELASTIC_USE_AGENT_STORE": "True", "TORCHELASTIC_RESTART_COUNT": "0"}
    ranks = ({**shared, "RANK": rank, "LOCAL_RANK": rank} for rank in ("0", "1"))
    processes = [start(log, *words, environment=rank) for rank in ranks]
    try:
        yield processes
    finally:
        for process in processes:
            process.kill()
    del store


def _succeeds(log, processes, seconds=240):
    for process in processes:
        process.join(seconds)
    codes = [process.exitcode for process in processes]
    assert codes == [0] * len(codes), f"{codes}: {Path(log).read_text()[-3000:]}"


def _run(log, words, environment):
    os.environ.update(environment)
    with open(log, "ab") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    if words[0].endswith(".py"):
        sys.argv = words
        runpy.run_path(words[0], run_name="__main__")
        return
    from genaug.cli import main

    sys.argv = ["genaug", *words]
    main()
