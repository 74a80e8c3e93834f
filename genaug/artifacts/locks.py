"""The lock of a folder: a small file in it that names the process that writes to the folder, and what.

It is created in one step, so that only one of two processes gets it, and removed at the end. A process that is killed
leaves its lock behind; the next one takes it over if it can find out that the process has ended.
"""

import json
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from genaug.artifacts.folders import Process, this_process
from genaug.artifacts.marker import LOCK
from genaug.errors import OutputExistsError, SaveError

try:
    import fcntl
except ImportError:  # not on Windows
    fcntl = None  # type: ignore[assignment]

_PATIENCE = 1.0  # seconds for a process to write its name into the lock that it created
_MAX_BYTES = 2**16
_own_locks: set[Path] = set()


@dataclass(frozen=True)
class Lock:
    """A lock that this process, or the one that it was forked from, created."""

    path: Path
    content: bytes

    def check(self) -> None:
        """Raises ``SaveError`` if the lock no longer exists: the folder was moved away, or the lock removed."""
        try:
            same = self.path.read_bytes() == self.content
        except OSError:
            same = False
        if not same:
            raise SaveError(
                f"{self.path.parent} is no longer held by this process: the folder was moved, or its lock removed. "
                "Nothing more is written there."
            )


@contextmanager
def locked(folder: Path, what: str) -> Iterator[Lock]:
    """Hold a folder's lock for the block. The folder is created if it doesn't exist, and removed if it stays empty.

    A process that is forked in the block doesn't release it. Raises ``OutputExistsError`` if another process, or
    another thread of this one, holds it.
    """
    process = this_process()
    since, token = time.strftime("%Y-%m-%d %H:%M:%S"), secrets.token_hex(4)
    own = json.dumps({**asdict(process), "what": what, "since": since, "token": token}).encode()
    lock = folder / LOCK
    created: list[Path] = []
    acquired = False
    try:
        while True:
            _make(folder, created)
            with suppress(FileNotFoundError):  # the process that created the folder has just removed it
                if _create(lock, own) or _take_over(lock, own):
                    break
        _own_locks.add(lock)
        acquired = True
        yield Lock(lock, own)
    finally:
        if os.getpid() == process.pid:
            with suppress(OSError):
                if acquired and lock.read_bytes() == own:
                    lock.unlink()
            if acquired:
                _own_locks.discard(lock)
            for parent in reversed(created):
                with suppress(OSError):
                    parent.rmdir()


def _make(folder: Path, created: list[Path]) -> None:
    """Create a folder and its parents, and append them to ``created``, outermost first."""
    for place in [*reversed(folder.parents), folder]:
        if not place.is_dir():
            with suppress(FileExistsError):
                place.mkdir()
                created.append(place)


def _create(lock: Path, own: bytes) -> bool:
    try:
        file = os.open(lock, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
    except FileExistsError:
        return False
    try:
        os.write(file, own)
    except OSError:
        lock.unlink()
        raise
    finally:
        os.close(file)
    return True


def _take_over(lock: Path, own: bytes) -> bool:
    """Write this process into the lock of one that has ended; False if the lock has changed.

    Raises ``OutputExistsError`` if the process may be running.
    """
    deadline = time.monotonic() + _PATIENCE
    while not (content := _read(lock)) and time.monotonic() < deadline:
        time.sleep(0.02)
    if content:
        _check_ended(lock, content)
    with open(lock, "r+b", buffering=0) as file:
        if fcntl is not None:
            with suppress(OSError):  # there are file systems without locks
                fcntl.flock(file, fcntl.LOCK_EX)
        same = os.fstat(file.fileno()).st_ino == lock.stat().st_ino
        if not same or file.read(_MAX_BYTES) != content:
            return False
        file.seek(0)
        file.truncate()
        file.write(own)
    return True


def _read(lock: Path) -> bytes:
    file = os.open(lock, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    try:
        return os.read(file, _MAX_BYTES)
    finally:
        os.close(file)


def _check_ended(lock: Path, content: bytes) -> None:
    """Raises ``OutputExistsError`` unless the process that a lock names has ended."""
    try:
        fields = json.loads(content)
        owner = Process(*(fields[name] for name in ("host", "space", "pid", "started")))
        what, since = str(fields["what"])[:200], str(fields["since"])[:40]
        if type(owner.host) is not str or any(type(n) is not int for n in (owner.space, owner.pid, owner.started)):
            raise TypeError
        if owner.pid < 1:
            raise ValueError
    except (ValueError, KeyError, TypeError, RecursionError):
        raise OutputExistsError(
            f"{lock} is damaged, or genaug didn't write it, so it is unknown who writes to {lock.parent}. Remove it "
            "if no process does, or choose another folder."
        ) from None
    if owner.ended or (owner == this_process() and lock not in _own_locks):
        return
    writer = f"{what} (process {owner.pid} on {owner.host[:100]}, since {since})"
    remedy = (
        "Wait until it has ended, or choose another folder."
        if owner.here
        else f"It is unknown whether it is still running: if it isn't, remove {lock}."
    )
    raise OutputExistsError(f"{lock.parent} is being written to by {writer}. {remedy}")
