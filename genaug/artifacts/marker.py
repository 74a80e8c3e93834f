"""The marker of a folder that genaug writes to: a journal of the files that are genaug's own.

``.genaug.jsonl`` has a header line and then one line per change, appended before the change is made, so that a process
that is killed at any point leaves a journal that says which files are genaug's. Other files are never touched.
"""

import errno
import io
import json
import os
import secrets
from pathlib import Path
from typing import Any

from genaug.errors import OutputExistsError

MARKER = ".genaug.jsonl"
LOCK = ".genaug.lock"
MAX_BYTES = 2**28
# The content of each kind of folder, for messages.
KINDS = {
    "run": "a training run",
    "study": "a study",
    "search": "a search",
    "samples": "samples",
    "sheets": "the sample grids of a traversal",
    "evaluation": "an evaluation",
    "anomalies": "anomaly scores",
    "demo": "a demo",
    "generator": "a generator",
    "plugin": "a plugin",
    "cache": "a cache of images",
}


class Marker:
    """``files`` are genaug's own, by their paths in the folder, with '/'; a name that ends with '/' is a folder with
    its own marker. ``pending`` are those that a replacement is adding, None while there is no replacement."""

    def __init__(self, folder: Path, kind: str, identity: str) -> None:
        self.path = folder / MARKER
        self.kind = kind
        self.identity = identity
        self.staging = folder / f".genaug-{identity}"
        self.files: set[str] = set()
        self.pending: set[str] | None = None
        self.clearing = False

    @classmethod
    def create(cls, folder: Path, kind: str, identity: str | None = None) -> "Marker":
        """Start a marker in a folder that contains no file of genaug's."""
        marker = cls(folder, kind, identity or secrets.token_hex(8))
        try:
            with open(marker.path, "wb", buffering=0) as file:
                file.write(_line({"library": "genaug", "format": 1, "kind": kind, "id": marker.identity}))
                os.fsync(file.fileno())
        except BaseException:
            marker.path.unlink(missing_ok=True)
            raise
        return marker

    @classmethod
    def read(cls, folder: Path) -> "Marker | None":
        """The marker of a folder; None if there is none. Its names never lead out of the folder.

        Raises ``OutputExistsError`` for a file of this name that genaug didn't write.
        """
        path = folder / MARKER
        if path.is_symlink() or (path.exists() and not path.is_file()):
            raise _foreign(path)
        try:
            with open(path, "rb") as file:
                size = os.fstat(file.fileno()).st_size
                if size > MAX_BYTES:
                    raise _foreign(path)
                content = file.read(size)  # read(MAX_BYTES) would allocate that many
        except FileNotFoundError:
            return None
        lines = content.split(b"\n")[:-1]  # a line that a kill cut short doesn't count
        if not lines:
            return None
        try:
            header, *changes = map(json.loads, lines)
            identity = header["id"]
            if (header["library"], header["format"]) != ("genaug", 1) or header["kind"] not in KINDS:
                raise ValueError
            if len(identity) != 16 or not set(identity) <= set("0123456789abcdef"):
                raise ValueError
            marker = cls(folder, header["kind"], identity)
            for change in changes:
                marker._apply(change)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise _foreign(path) from None
        return marker

    def append(self, **change: Any) -> None:
        """Append a change to the journal, on disk before the change is made."""
        line = _line(change)
        with open(self.path, "r+b", buffering=0) as file:
            end = _end_of_lines(file)
            file.truncate(end)
            file.seek(end)
            try:
                if file.write(line) != len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                os.fsync(file.fileno())
            except BaseException:
                file.truncate(end)
                raise
        self._apply(change)

    def _apply(self, change: dict[str, Any]) -> None:
        names = {key: _checked(change[key]) for key in ("files", "begin", "removed") if key in change}
        self.files |= names.get("files", set())
        self.pending = names.get("begin", self.pending)
        if "done" in change:
            self.files |= self.pending or set()
        if "done" in change or "undone" in change:
            self.pending = None
        self.files -= names.get("removed", set())
        self.clearing = ("clearing" in change or self.clearing) and "removed" not in change


def _end_of_lines(file: io.FileIO) -> int:
    """The end of the last complete line."""
    end = file.seek(0, os.SEEK_END)
    while end > 0:
        start = max(0, end - 4096)
        file.seek(start)
        newline = file.read(end - start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        end = start
    return 0


def is_reserved(name: str) -> bool:
    """Whether a name in a folder belongs to its lock, marker or staging folder."""
    return name.startswith(".genaug-") or name in (MARKER, LOCK)


def _checked(names: Any) -> set[str]:
    if not isinstance(names, list):
        raise TypeError
    for name in names:
        parts = name.removesuffix("/").split("/")
        if "\0" in name or "\\" in name or {"", ".", ".."} & set(parts) or is_reserved(parts[0]):
            raise ValueError
    return set(names)


def _line(content: Any) -> bytes:
    return json.dumps(content, separators=(",", ":")).encode() + b"\n"


def _foreign(path: Path) -> OutputExistsError:
    return OutputExistsError(
        f"{path} is damaged, or genaug didn't write it, so it is unknown which files in {path.parent} are genaug's; "
        "all are left alone. Choose another folder."
    )
