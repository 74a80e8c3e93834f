"""Places to write to: unambiguous paths, errors as sentences, temporary files that name their process."""

import errno
import hashlib
import os
import re
import secrets
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from genaug.artifacts.paths import check_type
from genaug.errors import InputError, OutputExistsError, SaveError

_TEMPORARY = re.compile(r"genaug-([0-9a-f]{8})-(\d{1,10})-(\d{1,20})-[0-9a-f]{8}\.(part|incomplete)")


def resolve(path: str | Path) -> Path:
    """An absolute path without ``~``, ``..`` and links, so that what is checked is also what is written.

    Raises ``InputError`` for what can't be a path here (a name that is too long, a loop of links, an unknown user) and
    ``SaveError`` for a path that leads through a file.
    """
    check_type(path)
    try:
        place = Path(path).expanduser().resolve()
        with suppress(FileNotFoundError, NotADirectoryError, PermissionError):  # errors of whoever writes
            place.lstat()
    except (OSError, RuntimeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{str(path)[:200]!r} can't be used as a path ({reason}). Choose another one.") from error
    for parent in place.parents:
        if not os.path.isdir(parent) and os.path.lexists(parent):
            raise SaveError(
                f"could not write to {place}: {parent} is a file and can't contain anything. Choose another path."
            )
    return place


@contextmanager
def saving_to(where: Path, elsewhere: str = "choose another folder") -> Iterator[None]:
    """Convert the system's errors while writing to one ``SaveError`` that says what to do.

    ``elsewhere`` says how to write to another place.
    """
    try:
        yield
    except (SaveError, OutputExistsError):
        raise
    except (OSError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "write" not in str(error):
            raise
        number = getattr(error, "errno", None)
        remedy = {
            errno.ENOSPC: f"The disk is full: free some space or {elsewhere}.",
            errno.EACCES: f"There is no permission to write there: {elsewhere}.",
            errno.EROFS: f"The file system is read-only: {elsewhere}.",
        }.get(number or 0, f"Check the disk's space and the folder's permissions, or {elsewhere}.")
        raise SaveError(
            f"could not write to {where} ({error}). {remedy} What was there before is unchanged."
        ) from error


@dataclass(frozen=True)
class Process:
    """A process on a host. ``space`` distinguishes containers that share the host's name, and ``started`` processes
    that had the same number one after the other; 0 if the system doesn't say."""

    host: str
    space: int
    pid: int
    started: int

    @property
    def here(self) -> bool:
        """Whether it belongs to this host and container, so that this process can find out whether it is running."""
        return (self.host, self.space) == (socket.gethostname(), _space())

    @property
    def ended(self) -> bool:
        """Whether it is known to have ended."""
        if not self.here:
            return False
        started = _start(self.pid)
        return started is None or (0 not in (started, self.started) and started != self.started)


def this_process() -> Process:
    return Process(socket.gethostname(), _space(), os.getpid(), _start(os.getpid()) or 0)


def _space() -> int:
    """The number of this process's namespace of process numbers; 0 if the system doesn't say."""
    try:
        return os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        return 0


def _start(pid: int) -> int | None:
    """When a process started, in ticks since the system did; 0 if that isn't known, None if it has ended."""
    if os.name == "nt":
        return 0  # os.kill would end it
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return None
    except PermissionError:
        pass  # another user's
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return 0
    return None if fields[0] in (b"Z", b"X") else int(fields[19])  # a zombie writes no more


def temporary_name(ending: str = "part") -> str:
    """A new name for a file that isn't complete yet, which tells ``sweep`` the process that writes it."""
    process = this_process()
    return f"genaug-{_host_hash()}-{process.pid}-{process.started}-{secrets.token_hex(4)}.{ending}"


def sweep(folder: Path) -> None:
    """Remove the files that killed processes of this host left in a folder under a ``temporary_name``."""
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            match = _TEMPORARY.search(entry.name)
            if match is None or match.end() != len(entry.name) or match[1] != _host_hash():
                continue
            owner = Process(socket.gethostname(), _space(), int(match[2]), int(match[3]))
            if owner.ended and entry.is_file(follow_symlinks=False):
                with suppress(OSError):
                    os.unlink(entry.path)


def _host_hash() -> str:
    return hashlib.sha256(f"{socket.gethostname()} {_space()}".encode()).hexdigest()[:8]


def place_in(folder: Path, name: str) -> Path | None:
    """The place of a file in a folder, by its name with '/'; None if a link or a file stands where a folder should, so
    that nothing leads out of the folder."""
    place = folder
    for part in name.split("/")[:-1]:
        place = place / part
        try:
            if not stat.S_ISDIR(place.lstat().st_mode):
                return None
        except FileNotFoundError:
            break
    return folder / name


def is_file(place: Path) -> bool:
    """Whether a path is a regular file, and not a link to one."""
    try:
        return stat.S_ISREG(place.lstat().st_mode)
    except OSError:
        return False


def names_in(folder: Path) -> set[str]:
    """The names with '/' of everything but folders in a folder, at any depth."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}
