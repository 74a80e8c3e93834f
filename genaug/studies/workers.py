"""Running jobs, here or in several processes, with progress."""

import multiprocessing
import os
import pickle
import threading
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

from genaug.errors import InputError
from genaug.progress import Progress
from genaug.studies.jobs import Job, Work, cost, run_job

_POLL_SECONDS = 0.5
_work: Work | None = None  # of a worker process


def run_jobs(work: Work, jobs: Sequence[Job], workers: int, bar: Progress) -> None:
    """Run jobs in this process, or in ``workers`` spawned ones of one torch thread each; cells go to the folder.

    Raises ``InputError`` where the work can't be sent to other processes, or one of them dies.
    """
    if workers == 1 or len(jobs) <= 1:
        for job in jobs:

            def append(cell: dict[str, Any]) -> None:
                work.folder.append(cell)
                _advance(bar, cell)

            run_job(work, job, append)
        return
    check_picklable(work)
    seen = len(work.folder.read())
    threads = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = "1"  # read when a worker imports torch
    try:
        spawn = multiprocessing.get_context("spawn")
        here, there = spawn.Pipe(duplex=False)
        with (
            there,  # workers end when it is closed, also by a kill of this process
            ProcessPoolExecutor(min(workers, len(jobs)), spawn, initializer=_enter, initargs=(work, here)) as pool,
        ):
            pending = {pool.submit(_run, job) for job in jobs}
            try:
                while pending:
                    finished, pending = wait(pending, _POLL_SECONDS, FIRST_EXCEPTION)
                    cells = work.folder.read()
                    for cell in cells[seen:]:
                        _advance(bar, cell)
                    seen = len(cells)
                    for future in finished:
                        future.result()
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                there.close()
                raise
    except BrokenProcessPool as error:
        raise InputError(
            "a worker process died: out of memory, or its own message above says why. What is finished is kept: go on "
            "with resume=True (--resume), with fewer workers if it was the memory."
        ) from error
    finally:
        if threads is None:
            del os.environ["OMP_NUM_THREADS"]
        else:
            os.environ["OMP_NUM_THREADS"] = threads


def check_picklable(work: Work) -> None:
    """Raises ``InputError`` naming what can't be sent to another process."""
    for name, what in {"classic": work.classic, "classifier": work.classifier, **work.sources}.items():
        try:
            pickle.dumps(what)
        except Exception as error:
            raise InputError(
                f"{name!r} can't be sent to worker processes ({type(error).__name__}: {error}). Define it at the top "
                "of a module (no lambda), or use workers=1."
            ) from error


def _advance(bar: Progress, cell: dict[str, Any]) -> None:
    bar.advance(cost(cell["name"]))
    bar.tell(f"{cell['phase']}, seed {cell['seed']}: {cell['name']}")


def _enter(work: Work, parent: Connection) -> None:
    global _work
    _work = work
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: Connection) -> None:
    """End this worker, whatever it is doing, once the process that started it has ended or given up."""
    with suppress(EOFError, OSError):
        parent.recv_bytes()
    os._exit(1)


def _run(job: Job) -> None:
    assert _work is not None
    run_job(_work, job, _work.folder.append)
