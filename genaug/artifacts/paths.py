"""The system's errors while looking up, reading or removing a path, as one sentence that says what to do."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from genaug.errors import GenaugError, InputError, ReadError

_NO_PERMISSION = "You have no permission to do that: ask the owner of the folder, or choose another."
_REMEDIES = {
    errno.EACCES: _NO_PERMISSION,
    errno.EPERM: _NO_PERMISSION,
    errno.ENAMETOOLONG: "Names have 255 bytes at most: use a shorter one.",
    errno.ELOOP: "Its links lead in a circle: remove one, or choose another path.",
    errno.ENOENT: "It doesn't exist, or has just been removed.",
    errno.ENOTDIR: "A part of the path is a file: correct the path.",
    errno.EISDIR: "It is a directory: choose a file.",
    errno.EMFILE: "Too many files are open: raise the limit (ulimit -n).",
    errno.ENOSPC: "The disk is full: free some space.",
    errno.EIO: "The disk reports an error: check it, or use another copy.",
}


@contextmanager
def reading_from(where: str | Path) -> Iterator[None]:
    """Convert the system's errors while looking up, reading or removing to one ``ReadError``; genaug's own pass."""
    try:
        yield
    except GenaugError:
        raise
    except (OSError, RuntimeError, ValueError) as error:
        os_error = as_os_error(error)
        if os_error is None:
            raise
        raise ReadError(explained(os_error, where)) from error


def as_os_error(error: BaseException) -> OSError | None:
    """The system's error that an error is or represents; None for any other."""
    if isinstance(error, OSError):
        return error
    if isinstance(error, RuntimeError) and "Symlink loop" in str(error):  # pathlib's, before Python 3.13
        return OSError(errno.ELOOP, os.strerror(errno.ELOOP))
    if isinstance(error, RuntimeError) and "home directory" in str(error):  # pathlib's, for ~nobody
        return OSError(errno.ENOENT, str(error).rstrip("."))
    if isinstance(error, ValueError) and "null byte" in str(error):
        return OSError(errno.EINVAL, "a path can't contain a null byte")
    return None


def explained(error: OSError, where: str | Path | None = None) -> str:
    """A sentence that says which path is affected, ``where`` if the error names none, what is wrong, and what to do."""
    path = where if error.filename is None else error.filename
    shown = "a path" if path is None else str(path)
    if len(shown) > 200:  # it would hide the sentence
        shown = f"{shown[:40]}…{shown[-40:]}"
    remedy = _REMEDIES.get(error.errno or 0, "Check the path, the disk and the permissions.")
    return f"{shown} can't be accessed ({error.strerror or error}). {remedy}"


def check_type(path: Any) -> None:
    """Raises ``InputError`` for anything but a string or a path."""
    if not isinstance(path, str | os.PathLike):
        raise InputError(
            f"{str(path)[:100]!r} is of the type {type(path).__name__}. Expected a path, as a string or a Path."
        )


def user_path(path: str | Path) -> Path:
    """A path from a user, with ``~`` and ``~name`` replaced with that user's home directory.

    A shell doesn't replace ``~`` in ``--out=~/runs`` and ``folder:~/photos``, and Python never does. If there is no
    such user, the path is unchanged. Raises ``InputError`` for anything but a string or a path.
    """
    check_type(path)
    return Path(os.path.expanduser(path))
