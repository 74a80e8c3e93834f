"""Upper bounds of counts and sizes, and checks of arguments before anything starts or is allocated."""

import operator
import os
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from genaug.errors import InputError

if TYPE_CHECKING:
    from pydantic import ValidationError

COUNT = 10**8  # images, updates or labels per class; the largest labeled image datasets have fewer
STEPS = 10**8 - 1  # checkpoints are numbered with eight digits
SIDE = 2048  # pixels per side of an image
BATCH = 2**16  # images in a batch
SEEDS = 10_000  # per study
RATIOS = 100  # per study
WORKERS = 1024  # processes
THREADS = 1024
SHARDS = 100_000
CLASSIFIERS = 1000  # per evaluation
REPLICATES = 10_000  # per evaluation
COMPARED = 10**6  # generated images per evaluation
MINUTES = 10 * 365 * 24 * 60.0  # ten years
SEED = 2**63 - 1

UNKNOWN_LICENSE = "unknown"  # the Hub's name for a license that isn't stated


def as_whole(value: Any, name: str, least: int, most: int = COUNT) -> int:
    """``value`` as an int; integers of any type are accepted, including NumPy's.

    Raises ``InputError`` if it isn't an integer in [``least``, ``most``].
    """
    try:
        number = None if isinstance(value, bool) or type(value).__name__ == "bool_" else operator.index(value)
    except TypeError:
        number = None
    if number is None or number < least:
        raise InputError(f"{name} must be an integer of {least} or more, got {_short(value)}.")
    if number > most:
        raise InputError(f"{name} must be {most:,} at most, got {_short(value)}.")
    return number


def check_license(license: str | None) -> str | None:
    """The identifier of a license as the Hub writes it. Raises ``InputError`` for "unknown" and for invalid ones."""
    if license is None:
        return None
    if license.lower() == UNKNOWN_LICENSE or not re.fullmatch(r"[a-z0-9][a-z0-9.+-]{0,60}", license.lower()):
        raise InputError(
            f"{license!r} is not the identifier of a license. Expected one such as 'apache-2.0', 'mit' or 'cc-by-4.0'."
        )
    return license.lower()


def memory() -> int | None:
    """The size of this machine's memory in bytes; None if the system doesn't say."""
    with suppress(AttributeError, ValueError, OSError):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return None


def _short(value: Any) -> str:
    if isinstance(value, int) and value.bit_length() > 300:
        return f"a number of {value.bit_length():,} bits"  # Python may refuse to convert it to a string
    return repr(value)[:200]


def first_problem(error: "ValidationError") -> str:
    """The first problem of a pydantic error as one clause: the field, what is wrong with it, and its value."""
    problem = error.errors(include_url=False)[0]
    field = ".".join(str(part) for part in problem["loc"])[:200]
    if problem["type"] == "value_error":  # of a validator of ours: the sentence says all
        reason = str(problem["ctx"]["error"])
        return f"{field}: {reason}" if field else reason
    if problem["type"] == "extra_forbidden":
        return f"{field} is unknown"
    if problem["type"] == "missing":
        return f"{field} is missing"
    reason = problem["msg"]
    for word, plain in {"a valid integer": "an integer", "a valid boolean": "true or false", "a valid ": "a "}.items():
        reason = reason.replace(word, plain)
    reason = re.sub(", (unable to|got a number with) .*", "", reason)
    value = _short(problem.get("input"))[:80]
    if not reason.startswith("Input should "):
        return f"{field or 'the content'}: {reason} (got {value})"
    return f"{field or 'the content'} must {reason.removeprefix('Input should ')}, got {value}"
