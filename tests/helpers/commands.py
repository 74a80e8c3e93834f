"""``genaug`` commands in separate processes that start at once: forks of a process that has imported what they need.

Such a command can be killed like one from a terminal, without the seconds that importing torch takes.
"""

import multiprocessing
import os
import sys

_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload(["genaug.cli.train", "genaug.training.fit", "sklearn.datasets", "torch._dynamo"])


def start(log, *words):
    """``genaug`` with these words, as a process of ``multiprocessing``; its output is added to the file ``log``."""
    process = _forks.Process(target=_run, args=(str(log), [str(word) for word in words]))
    process.start()
    return process


def run(log, *words):
    """``genaug`` with these words, to the end, which has to be a success."""
    process = start(log, *words)
    process.join(300)
    assert process.exitcode == 0, log.read_text()


def _run(log, words):
    from genaug.cli import main

    with open(log, "ab") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    sys.argv = ["genaug", *words]
    main()
