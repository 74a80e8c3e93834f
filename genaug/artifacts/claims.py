"""May I write here? The one answer, for everything that genaug writes into a folder.

A folder is claimed at once and held until the end: its lock names the process that writes, and what. Its marker lists
the files that genaug wrote there, and only these are ever replaced or removed, whatever was asked for. Files are
replaced all or none: what a killed process left half done is undone by the next one that claims the folder.
"""

import os
import shutil
import stat
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path, PurePosixPath

from genaug.artifacts.folders import resolve, saving_to
from genaug.artifacts.locks import Lock, locked
from genaug.artifacts.marker import KINDS, LOCK, MARKER, Marker
from genaug.errors import OutputExistsError, SaveError

ANOTHER = "Choose another folder or pass overwrite=True (--overwrite)."
_LAST = "config.json"  # describes the weights beside it, so it comes after them


class Claim:
    """A folder that this process may write to. ``files`` are those that genaug wrote there."""

    def __init__(self, path: Path, marker: Marker, lock: Lock) -> None:
        self.path = path
        self._marker, self._lock = marker, lock

    @property
    def files(self) -> frozenset[str]:
        return frozenset(self._marker.files)

    @property
    def suffix(self) -> str:
        """Ends the names of genaug's files that can't be listed before they are made, since a library names them."""
        return self._marker.staging.name

    def check_held(self) -> None:
        """Raises ``SaveError`` if the folder was moved away or its lock removed, so that others may write to it."""
        self._lock.check()

    def check_free(self, names: Collection[str]) -> None:
        """Raises ``OutputExistsError`` if a file that genaug didn't write has one of these names, or is in the way."""
        for name in names:
            place = _within(self.path, name)
            if place is not None and (not os.path.lexists(place) or (name in self._marker.files and _is_file(place))):
                continue
            parts = [self.path.joinpath(*PurePosixPath(name).parts[:end]) for end in range(1, name.count("/") + 2)]
            obstacle = next(part for part in parts if part.is_symlink() or not part.is_dir() or part == parts[-1])
            raise OutputExistsError(
                f"{obstacle} is needed, but genaug didn't write what is there; it is left alone. Move it away, or "
                "choose another folder."
            )

    def declare(self, names: Collection[str]) -> None:
        """List files that are about to be written, for those that are written in place; a name that ends with '/' is
        a folder that is claimed by itself. Raises ``OutputExistsError`` as ``check_free`` does."""
        new = sorted(set(names) - self.files)
        self.check_free([name for name in new if not name.endswith("/")])
        if new:
            with saving_to(self.path):
                self._marker.append(files=new)

    def adopt(self, names: Collection[str]) -> None:
        """List files that are there already, of which the caller knows that they may be replaced."""
        new = sorted(name for name in set(names) - self.files if _is_file(self.path / name))
        if new:
            with saving_to(self.path):
                self._marker.append(files=new)

    def write(self, contents: Mapping[str, bytes]) -> None:
        """Write files by their names, so that all are there or, after an error, all are as they were.

        Raises ``OutputExistsError`` as ``check_free`` does, ``SaveError`` if writing fails.
        """
        with self.filling(keep=True) as new:
            for name, content in contents.items():
                (new / name).parent.mkdir(parents=True, exist_ok=True)
                with open(new / name, "wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())

    @contextmanager
    def filling(self, *, keep: bool) -> Iterator[Path]:
        """An empty folder to fill. When the block ends, its files take their places, all or none; those that genaug
        wrote before, and that it has no new version of, stay if ``keep`` and are removed otherwise."""
        staging = self._marker.staging
        self.check_held()
        with saving_to(self.path):
            try:
                staging.mkdir()
                (staging / "new").mkdir()
                yield staging / "new"
                names = sorted(_names_in(staging / "new"), key=lambda name: (name.endswith(_LAST), name))
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
                    self.check_free([name])  # once more, at the last moment
                (self.path / name).parent.mkdir(parents=True, exist_ok=True)
                self._set_aside(name, link=True)
                os.replace(self._marker.staging / "new" / name, self.path / name)
            for name in stale:
                self._set_aside(name, link=False)
            self._marker.append(done=True, removed=stale)
        except BaseException:
            self._undo()
            raise
        for name in stale:
            self._prune(name)

    def _set_aside(self, name: str, *, link: bool) -> None:
        """Keep what is replaced until all is done: under a second name, so that no reader finds nothing."""
        place, aside = _within(self.path, name), self._marker.staging / "old" / name
        if place is None or not _is_file(place):
            return
        aside.parent.mkdir(parents=True, exist_ok=True)
        if link:
            with suppress(OSError):  # there are file systems without links
                os.link(place, aside)
                return
        os.replace(place, aside)

    def _undo(self) -> None:
        """Put back what a replacement set aside, and remove what it added."""
        new, old = self._marker.staging / "new", self._marker.staging / "old"
        kept = _names_in(old)
        try:
            for name in kept:
                place = _within(self.path, name)
                if place is not None and (not os.path.lexists(place) or _is_file(place)):
                    place.parent.mkdir(parents=True, exist_ok=True)
                    os.replace(old / name, place)
        except OSError as error:
            raise SaveError(
                f"could not put back the files of {self.path} ({error}). They lie in {old}, and the next one that "
                "writes to the folder puts them back."
            ) from error
        for name in sorted((self._marker.pending or set()) - kept):
            place = _within(self.path, name)
            if new.is_dir() and not os.path.lexists(new / name) and place is not None and _is_file(place):
                place.unlink()
            self._prune(name)
        with suppress(OSError):  # a full disk: then the next claim finds that there is nothing to undo
            self._marker.append(undone=True)
        self._marker.pending = None

    def recover(self) -> None:
        """Undo or finish what a killed process left half done, and remove its temporary files."""
        if self._marker.pending is not None:
            self._undo()
        shutil.rmtree(self._marker.staging, ignore_errors=True)
        self.adopt([path.relative_to(self.path).as_posix() for path in self.path.rglob(f"?*{self.suffix}")])
        if self._marker.clearing:
            self.clear()

    def clear(self) -> None:
        """Remove all files that genaug wrote, and folders that are empty then."""
        with saving_to(self.path):
            self._marker.append(clearing=True)
            self._remove(sorted(self.files))

    def remove(self, names: Collection[str]) -> None:
        """Remove those of these files that genaug wrote."""
        mine = sorted(self.files & set(names))
        if mine:
            with saving_to(self.path):
                self._remove(mine)

    def _remove(self, names: list[str]) -> None:
        self.check_held()
        for name in names:
            place = _within(self.path, name)
            if name.endswith("/"):
                self._remove_nested(name)
            elif place is not None and _is_file(place):
                place.unlink()
            self._prune(name)
        self._marker.append(removed=names)

    def _remove_nested(self, name: str) -> None:
        if name.endswith("/") and _within(self.path, name + "x") is not None:
            discard(self.path / name)

    def _prune(self, name: str) -> None:
        """Remove the folders that a file lay in, as far as they are empty."""
        for parent in PurePosixPath(name).parents:
            if parent.name and _within(self.path, f"{parent}/x") is not None:
                with suppress(OSError):
                    (self.path / parent).rmdir()

    def hand_over(self) -> None:
        """Make the files their owner's: genaug never replaces them from now on."""
        with saving_to(self.path):
            self._marker.append(removed=sorted(self.files))

    def release(self) -> None:
        """Remove the marker if none of genaug's files is there."""
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
    """Claim a folder, which is made if there is none, for the block; a folder that stays empty goes again.

    Args:
        path: the folder; see ``resolve``.
        kind: one of ``KINDS``; None for files that belong to whatever the folder holds.
        what: what is being written, for the lock; by default the kind in words.
        replace: whether the folder may hold files of genaug's already, of the same kind. Nothing is removed here.
        join: with ``replace``, whether it may also be one that holds other files only.
        options: ends the sentence for a folder that isn't empty: what there is to do.

    Raises ``OutputExistsError`` if the folder holds something that may not be replaced, or another process writes to
    it; ``InputError`` for what can't be a path; ``SaveError`` if it can't be written.
    """
    place = resolve(path)
    if place.exists() and not place.is_dir():
        raise OutputExistsError(f"{place} is a file. Name a folder.")
    process = os.getpid()
    with ExitStack() as held:
        with saving_to(place):
            if place.is_dir() and Marker.read(place) is None:
                _check(place, None, kind, replace, join, options)  # what is somebody else's isn't even locked
            lock = held.enter_context(locked(place, what or KINDS[kind or "generator"]))
            marker = Marker.read(place)
            if marker is not None:
                Claim(place, marker, lock).recover()
            if not _check(place, marker, kind, replace, join, options) or marker is None:
                marker = Marker.create(place, kind or "generator", None if marker is None else marker.identity)
        claimed = Claim(place, marker, lock)
        try:
            yield claimed
        finally:
            if os.getpid() == process:
                claimed.release()


def settle(path: Path) -> None:
    """Undo what a killed process left half done in a folder that genaug writes to."""
    if os.path.lexists(path / LOCK) and Marker.read(path) is not None:
        with claim(path, None, what="a repair", replace=True):
            pass


def discard(path: Path) -> None:
    """Remove what genaug wrote in a folder, and the folder if nothing else is left in it."""
    if path.is_dir() and not path.is_symlink():
        if Marker.read(path) is not None:
            with claim(path, None, what="a removal", replace=True) as claimed:
                claimed.clear()
        elif os.path.lexists(path / LOCK):  # killed after it had removed the marker
            with saving_to(path), locked(path, "a removal"):
                pass
    for folder in [*sorted((sub for sub in path.rglob("*") if sub.is_dir()), reverse=True), path]:
        with suppress(OSError):
            folder.rmdir()


def _check(place: Path, marker: Marker | None, kind: str | None, replace: bool, join: bool, options: str) -> bool:
    """Whether the folder holds anything. Raises ``OutputExistsError`` if that may not be written to."""
    held = sorted(name for name in os.listdir(place) if name not in (LOCK, MARKER) and _holds_files(place / name))
    if marker is not None:
        held = [name for name in held if name != marker.staging.name]
    if not held:
        return False
    if not replace:
        raise OutputExistsError(f"{place} exists and is not empty. {options}")
    if marker is None and not join:
        raise OutputExistsError(
            f"{place} is not empty, and genaug didn't write what it holds ({held[0]}, …); it is left alone. Choose "
            "another folder."
        )
    if marker is not None and kind not in (None, marker.kind):
        raise OutputExistsError(
            f"{place} holds {KINDS[marker.kind]}, not {KINDS[str(kind)]}; it is left alone. Choose another folder."
        )
    return True


def _holds_files(place: Path) -> bool:
    """Whether this is a file, or a folder with a file anywhere in it."""
    return place.is_symlink() or not place.is_dir() or any(not path.is_dir() for path in place.rglob("*"))


def _names_in(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}


def _within(folder: Path, name: str) -> Path | None:
    """A file's place, None if a link or a file stands where a folder should: nothing is followed out of the folder."""
    parts = name.split("/")
    place = folder
    for part in parts[:-1]:
        place = place / part
        try:
            if not stat.S_ISDIR(place.lstat().st_mode):
                return None
        except FileNotFoundError:
            break
    return folder / name


def _is_file(place: Path) -> bool:
    try:
        return stat.S_ISREG(place.lstat().st_mode)
    except OSError:
        return False
