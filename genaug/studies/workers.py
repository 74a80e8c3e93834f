"""Running jobs, in this process or in several, with progress."""

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
    """Run jobs in this process, or in ``workers`` spawned ones with one torch thread each; cells go to the folder.

    Raises ``InputError`` if the work can't be sent to other processes, or if one of them dies.
    """

    def append(cell: dict[str, Any]) -> None:
        work.folder.append(cell)
        _advance(bar, cell)

    if workers == 1 or len(jobs) <= 1:
        for job in jobs:
            run_job(work, job, append)
        return
    check_picklable(work)
    count = len(work.folder.read())
    threads = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = "1"  # read when a worker imports torch
    try:
        spawn = multiprocessing.get_context("spawn")
        receiver, sender = spawn.Pipe(duplex=False)
        with (
            sender,  # workers end when it is closed, also if this process is killed
            ProcessPoolExecutor(min(workers, len(jobs)), spawn, initializer=_enter, initargs=(work, receiver)) as pool,
        ):
            pending = {pool.submit(_run, job) for job in jobs}
            try:
                while pending:
                    finished, pending = wait(pending, _POLL_SECONDS, FIRST_EXCEPTION)
                    cells = work.folder.read()
                    for cell in cells[count:]:
                        _advance(bar, cell)
                    count = len(cells)
                    for future in finished:
                        future.result()
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                sender.close()
                raise
    except BrokenProcessPool as error:
        raise InputError(
            "a worker process died, perhaps because memory ran out; its own message above may say why. Finished cells "
            "are kept: continue with resume=True (--resume), and with fewer workers if memory ran out."
        ) from error
    finally:
        if threads is None:
            del os.environ["OMP_NUM_THREADS"]
        else:
            os.environ["OMP_NUM_THREADS"] = threads


def check_picklable(work: Work) -> None:
    """Raises ``InputError`` naming the part of the work that can't be sent to another process."""
    parts = {"classic": getattr(work.learner, "classic", None), "classifier": dict(work.learner.classifiers)}
    for name, part in [*parts.items(), *work.courses.items(), *work.sources.items()]:
        try:
            pickle.dumps(part)
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
    """End this worker, whatever it is doing, when the process that started it has ended or given up."""
    with suppress(EOFError, OSError):
        parent.recv_bytes()
    os._exit(1)


def _run(job: Job) -> None:
    assert _work is not None
    run_job(_work, job, _work.folder.append)
