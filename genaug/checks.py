"""The largest numbers that make sense, in one place, and their check before anything is begun or allocated."""

import operator
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from genaug.errors import InputError

if TYPE_CHECKING:
    from pydantic import ValidationError

COUNT = 10**8  # images, updates, labels of a class: more than the largest labelled sets of images have
STEPS = 10**8 - 1  # eight digits number a checkpoint
SIDE = 2048  # pixels of an image's side
BATCH = 2**16  # images in a batch
SEEDS = 10_000  # of one study
RATIOS = 100  # of one study
WORKERS = 1024  # processes
THREADS = 1024
CLASSIFIERS = 1000  # of one evaluation
REPLICATES = 10_000  # of one evaluation
COMPARED = 10**6  # generated images of one evaluation
MINUTES = 10 * 365 * 24 * 60.0  # ten years
SEED = 2**63 - 1


def as_whole(value: Any, name: str, least: int, most: int = COUNT) -> int:
    """An integer of any kind, numpy's too, as int. Raises ``InputError`` for others and for what is out of bounds."""
    try:
        number = None if isinstance(value, bool) or type(value).__name__ == "bool_" else operator.index(value)
    except TypeError:
        number = None
    if number is None or number < least:
        raise InputError(f"{name} must be an integer of {least} or more, got {_short(value)}.")
    if number > most:
        raise InputError(f"{name} must be {most:,} at most, got {_short(value)}.")
    return number


def memory() -> int | None:
    """Bytes of memory of this machine; None if the system doesn't tell."""
    with suppress(AttributeError, ValueError, OSError):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return None


def _short(value: Any) -> str:
    if isinstance(value, int) and value.bit_length() > 300:
        return f"a number of {value.bit_length():,} bits"  # which Python may refuse to write down
    return repr(value)[:200]


def first_problem(error: "ValidationError") -> str:
    """The first problem of a pydantic error as one clause: field, what was wrong and the value."""
    problem = error.errors(include_url=False)[0]
    field = ".".join(str(part) for part in problem["loc"]) or "the whole"
    return f"{field[:200]}: {problem['msg']} (got {str(problem.get('input'))[:80]!r})"
