"""Claiming a folder: everything that genaug writes into a folder goes through here.

A claim lasts from the first write to the last: the folder's lock names the process that writes, and what. The folder's
marker lists the files that genaug wrote there, and only these are ever replaced or removed, whatever the caller passes.
Files are replaced all or none: what a killed process left incomplete is undone by the next one that claims the folder.
"""

import os
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path, PurePosixPath

from genaug.artifacts.folders import is_file, names_in, place_in, resolve, saving_to
from genaug.artifacts.locks import Lock, locked
from genaug.artifacts.marker import KINDS, LOCK, MARKER, Marker
from genaug.errors import OutputExistsError, SaveError

ANOTHER = "Choose another folder or pass overwrite=True (--overwrite)."
_LAST = "config.json"  # describes the weights beside it, so it is replaced after them


class Claim:
    """A folder that this process may write to. ``files`` are the ones that genaug wrote there."""

    def __init__(self, path: Path, marker: Marker, lock: Lock) -> None:
        self.path = path
        self._marker, self._lock = marker, lock

    @property
    def files(self) -> frozenset[str]:
        return frozenset(self._marker.files)

    @property
    def suffix(self) -> str:
        """The end of the names of genaug's files that can't be listed in advance, since a library names them."""
        return self._marker.staging.name

    def check_held(self) -> None:
        """Raises ``SaveError`` if the folder was moved away or its lock removed, so that others may write to it."""
        self._lock.check()

    def check_free(self, names: Collection[str]) -> None:
        """Raises ``OutputExistsError`` if a file that genaug didn't write has one of these names, or blocks one."""
        for name in names:
            place = place_in(self.path, name)
            if place is not None and (not os.path.lexists(place) or (name in self._marker.files and is_file(place))):
                continue
            parts = [self.path.joinpath(*PurePosixPath(name).parts[:end]) for end in range(1, name.count("/") + 2)]
            obstacle = next(part for part in parts if part.is_symlink() or not part.is_dir() or part == parts[-1])
            raise OutputExistsError(
                f"{obstacle} is needed, but genaug didn't write what is there; it is left alone. Move it away, or "
                "choose another folder."
            )

    def declare(self, names: Collection[str]) -> None:
        """List files that are about to be written, for those that are written in place. A name that ends with '/' is
        a folder with its own claim. Raises ``OutputExistsError`` as ``check_free`` does."""
        new = set(names) - self.files
        self.check_free(sorted(name for name in new if not name.endswith("/")))
        self._append(new)

    def adopt(self, names: Collection[str]) -> None:
        """List existing files that the caller knows may be replaced."""
        self._append({name for name in set(names) - self.files if is_file(self.path / name)})

    def _append(self, names: Collection[str]) -> None:
        if names:
            with saving_to(self.path):
                self._marker.append(files=sorted(names))

    def write(self, contents: Mapping[str, bytes]) -> None:
        """Write files by their names. After an error, all are as they were. Raises ``OutputExistsError`` as
        ``check_free`` does, ``SaveError`` if writing fails."""
        with self.filling(keep=True) as new:
            for name, content in contents.items():
                (new / name).parent.mkdir(parents=True, exist_ok=True)
                with open(new / name, "wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())

    def put(self, name: str, content: bytes, *, durable: bool = False) -> None:
        """Write a declared file at once, complete even if the process is killed meanwhile; if ``durable``, also after
        a power failure.

        Raises ``OutputExistsError`` as ``check_free`` does, ``SaveError`` if writing fails.
        """
        part = self._marker.staging  # a file here, and a folder in ``filling``
        self.check_held()
        with saving_to(self.path):
            try:
                with open(part, "wb") as file:
                    file.write(content)
                    if durable:
                        file.flush()
                        os.fsync(file.fileno())
                self.check_free([name])
                (self.path / name).parent.mkdir(parents=True, exist_ok=True)
                os.replace(part, self.path / name)
            finally:
                part.unlink(missing_ok=True)

    @contextmanager
    def filling(self, *, keep: bool) -> Iterator[Path]:
        """An empty folder to fill. When the block ends, its files replace those of the claimed folder, all or none.
        Earlier files of genaug that have no new version stay if ``keep`` is true and are removed otherwise."""
        staging = self._marker.staging
        self.check_held()
        with saving_to(self.path):
            try:
                staging.mkdir()
                (staging / "new").mkdir()
                yield staging / "new"
                names = sorted(names_in(staging / "new"), key=lambda name: (name.endswith(_LAST), name))
                stale = self._marker.files - set(names) if not keep else set()
                self._replace(names, sorted(name for name in stale if not name.endswith("/")))
            finally:
                if self._marker.pending is None:
                    shutil.rmtree(staging, ignore_errors=True)

    def _replace(self, names: list[str], stale: list[str]) -> None:
        self.check_held()
        self.check_free(names)
        new = {name for name in names if not os.path.lexists(self.path / name)}
        self._marker.append(begin=sorted(new))
        try:
            for name in names:
                if name in new:
                    self.check_free([name])  # again, at the last moment
                (self.path / name).parent.mkdir(parents=True, exist_ok=True)
                self._back_up(name, link=True)
                os.replace(self._marker.staging / "new" / name, self.path / name)
            for name in stale:
                self._back_up(name, link=False)
            self._marker.append(done=True, removed=stale)
        except BaseException:
            self._undo()
            raise
        for name in stale:
            self._prune(name)

    def _back_up(self, name: str, *, link: bool) -> None:
        """Keep a file that is replaced until the end: under a second name, so that readers always find the first."""
        place, backup = place_in(self.path, name), self._marker.staging / "old" / name
        if place is None or not is_file(place):
            return
        backup.parent.mkdir(parents=True, exist_ok=True)
        if link:
            with suppress(OSError):  # there are file systems without links
                os.link(place, backup)
                return
        os.replace(place, backup)

    def _undo(self) -> None:
        """Restore what a replacement backed up, and remove what it added."""
        new, old = self._marker.staging / "new", self._marker.staging / "old"
        backups = names_in(old)
        try:
            for name in backups:
                place = place_in(self.path, name)
                if place is not None and (not os.path.lexists(place) or is_file(place)):
                    place.parent.mkdir(parents=True, exist_ok=True)
                    os.replace(old / name, place)
        except OSError as error:
            raise SaveError(
                f"could not put back the files of {self.path} ({error}). They are in {old}, and the next process that "
                "writes to the folder puts them back."
            ) from error
        for name in sorted((self._marker.pending or set()) - backups):
            place = place_in(self.path, name)
            if new.is_dir() and not os.path.lexists(new / name) and place is not None and is_file(place):
                place.unlink()
            self._prune(name)
        with suppress(OSError):  # a full disk: the next claim then finds nothing to undo
            self._marker.append(undone=True)
        self._marker.pending = None

    def recover(self) -> None:
        """Undo or complete what a killed process left incomplete, and remove its temporary files."""
        if self._marker.pending is not None:
            self._undo()
        shutil.rmtree(self._marker.staging, ignore_errors=True)
        if is_file(self._marker.staging):
            self._marker.staging.unlink()
        self.adopt([path.relative_to(self.path).as_posix() for path in self.path.rglob(f"?*{self.suffix}")])
        if self._marker.clearing:
            self.clear()

    def clear(self) -> None:
        """Remove all files that genaug wrote, and folders that are then empty."""
        with saving_to(self.path):
            self._marker.append(clearing=True)
            self._remove(sorted(self.files))

    def remove(self, names: Collection[str]) -> None:
        """Remove those of the named files that genaug wrote."""
        own = sorted(self.files & set(names))
        if own:
            with saving_to(self.path):
                self._remove(own)

    def _remove(self, names: list[str]) -> None:
        self.check_held()
        for name in names:
            place = place_in(self.path, f"{name}x" if name.endswith("/") else name)
            if place is not None and name.endswith("/"):
                discard(self.path / name)
            elif place is not None and is_file(place):
                place.unlink()
            self._prune(name)
        self._marker.append(removed=names)

    def _prune(self, name: str) -> None:
        """Remove the folders that contained a file, as far as they are empty."""
        for parent in PurePosixPath(name).parents:
            if parent.name and place_in(self.path, f"{parent}/x") is not None:
                with suppress(OSError):
                    (self.path / parent).rmdir()

    def hand_over(self) -> None:
        """Give the files to their owner: genaug never replaces them from now on."""
        with saving_to(self.path):
            self._marker.append(removed=sorted(self.files))

    def release(self) -> None:
        """Remove the marker if none of genaug's files exists."""
        if not any(os.path.lexists(self.path / name) for name in self._marker.files):
            with suppress(OSError):
                self.check_held()
                (self.path / MARKER).unlink()


@contextmanager
def claim(
    path: str | Path,
    kind: str | None,
    *,
    what: str = "",
    replace: bool = False,
    join: bool = False,
    options: str = ANOTHER,
) -> Iterator[Claim]:
    """Claim a folder for the block. It is created if it doesn't exist, and removed again if it stays empty.

    Args:
        path: the folder; see ``resolve``.
        kind: one of ``KINDS``; None for additional files in a folder of any kind.
        what: a description of what is being written, for the lock; by default the kind in words.
        replace: whether the folder may already contain files of genaug, of the same kind. Nothing is removed here.
        join: with ``replace``, whether it may also contain only other files.
        options: what to do about a folder that isn't empty, as the end of the error message.

    Raises ``OutputExistsError`` if the folder contains something that may not be replaced, or another process writes
    to it; ``InputError`` for what can't be a path; ``SaveError`` if it can't be written.
    """
    place = resolve(path)
    if place.exists() and not place.is_dir():
        raise OutputExistsError(f"{place} is a file. Choose the path of a folder.")
    process = os.getpid()
    with ExitStack() as stack:
        with saving_to(place):
            if place.is_dir() and Marker.read(place) is None:
                _check(place, None, kind, replace, join, options)  # other people's folders aren't even locked
            lock = stack.enter_context(locked(place, what or KINDS[kind or "generator"]))
            marker = Marker.read(place)
            if marker is not None:
                Claim(place, marker, lock).recover()
            if not _check(place, marker, kind, replace, join, options) or marker is None:
                marker = Marker.create(place, kind or "generator", None if marker is None else marker.identity)
        folder = Claim(place, marker, lock)
        try:
            yield folder
        finally:
            if os.getpid() == process:
                folder.release()


def settle(path: Path) -> None:
    """Undo what a killed process left incomplete in a folder that genaug writes to."""
    if os.path.lexists(path / LOCK) and Marker.read(path) is not None:
        with claim(path, None, what="a repair", replace=True):
            pass


def discard(path: Path) -> None:
    """Remove what genaug wrote in a folder, and the folder if it is then empty."""
    if path.is_dir() and not path.is_symlink():
        if Marker.read(path) is not None:
            with claim(path, None, what="a removal", replace=True) as folder:
                folder.clear()
        elif os.path.lexists(path / LOCK):  # killed after it had removed the marker
            with saving_to(path), locked(path, "a removal"):
                pass
    for empty in [*sorted((sub for sub in path.rglob("*") if sub.is_dir()), reverse=True), path]:
        with suppress(OSError):
            empty.rmdir()


def _check(place: Path, marker: Marker | None, kind: str | None, replace: bool, join: bool, options: str) -> bool:
    """Whether the folder contains anything. Raises ``OutputExistsError`` if it may not be written to."""
    names = sorted(name for name in os.listdir(place) if name not in (LOCK, MARKER) and _contains_files(place / name))
    if marker is not None:
        names = [name for name in names if name != marker.staging.name]
    if not names:
        return False
    if not replace:
        raise OutputExistsError(f"{place} exists and is not empty. {options}")
    if marker is None and not join:
        raise OutputExistsError(
            f"{place} is not empty, and genaug didn't write what it contains ({names[0]}, …); it is left alone. Choose "
            "another folder."
        )
    if marker is not None and kind not in (None, marker.kind):
        raise OutputExistsError(
            f"{place} contains {KINDS[marker.kind]}, not {KINDS[str(kind)]}; it is left alone. Choose another folder."
        )
    return True


def _contains_files(place: Path) -> bool:
    """Whether this is a file, or a folder with a file at any depth."""
    return place.is_symlink() or not place.is_dir() or any(not path.is_dir() for path in place.rglob("*"))
