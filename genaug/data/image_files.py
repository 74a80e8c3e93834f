"""Image files on disk: which files are images, which are left out, and opening one."""

import mimetypes
import os
import stat
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterator, Set
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from PIL import Image, ImageFile

from genaug.artifacts.marker import is_reserved
from genaug.artifacts.paths import reading_from
from genaug.data.class_folders import RECORD_FILE
from genaug.errors import DataWarning, InputError
from genaug.escaping import escaped

# Files and folders of systems and tools, in lower case.
_HIDDEN = {
    "__macosx",
    "__pycache__",
    "@eadir",
    "@__thumb",
    "#recycle",
    "$recycle.bin",
    "system volume information",
    "lost+found",
    "thumbs.db",
    "ehthumbs.db",
    "desktop.ini",
    "icon\r",
}
# Programs and films: EPS is run by Ghostscript, MPEG is recognized but never decoded.
_NOT_IMAGES = {"EPS", "MPEG"}
# Extensions that may be missing from Python's table of MIME types.
_MORE_EXTENSIONS = {
    ".arw",
    ".avif",
    ".avifs",
    ".cr2",
    ".cr3",
    ".dcm",
    ".dng",
    ".heic",
    ".heif",
    ".jp2",
    ".jxl",
    ".nef",
    ".orf",
    ".raf",
    ".raw",
    ".rw2",
    ".webp",
}


def is_hidden(name: str) -> bool:
    """Whether a file or folder isn't part of the data: those with a leading dot, and those of systems and tools."""
    return name.startswith(".") or name.lower() in _HIDDEN


@cache
def readable_formats() -> tuple[str, ...]:
    """The formats that the installed Pillow can decode, the usual ones first."""
    Image.init()
    unreadable = set(_NOT_IMAGES)
    for name, (factory, *_) in Image.OPEN.items():
        if isinstance(factory, type) and issubclass(factory, ImageFile.StubImageFile):  # opened, never decoded
            unreadable.add(name)
    return tuple(name for name in Image.ID if name not in unreadable)


@cache
def readable_endings() -> frozenset[str]:
    """The file name extensions of these formats, in lower case with their dot."""
    readable = set(readable_formats())
    return frozenset(ending for ending, name in Image.registered_extensions().items() if name in readable)


def is_image(name: str) -> bool:
    """Whether a file name has an extension that Pillow can decode."""
    return os.path.splitext(name)[1].lower() in readable_endings()


def looks_like_image(name: str) -> bool:
    """Whether a file name has the extension of some image format, readable here or not."""
    ending = os.path.splitext(name)[1].lower()
    return ending in _MORE_EXTENSIONS or (mimetypes.guess_type(f"a{ending}")[0] or "").startswith("image/")


class LeftOut:
    """The files and folders that were left out, counted by reason."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._endings: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._unreadable: list[str] = []
        self._outside: list[str] = []

    def add(self, reason: str, path: str | None = None) -> None:
        self.counts[reason] += 1
        if path is not None:
            self._endings[reason][os.path.splitext(path)[1].lower() or "no extension"] += 1

    def add_outside(self, path: str, folders: str) -> None:
        """Add an image that is beside the folders that are read: class folders, split folders."""
        self.add(f"images outside the {folders}")
        self._outside.append(path)

    def add_file(self, path: str) -> None:
        """Add a file that isn't read because of its name, unless it is the record that genaug writes with samples."""
        if os.path.basename(path) == RECORD_FILE:
            return
        if looks_like_image(path):
            self.add("images that Pillow doesn't read here", path)
            self._unreadable.append(path)
        else:
            self.add("not images", path)

    def __str__(self) -> str:
        """ "12: 10 hidden, 2 not images (.txt)"; empty if nothing was left out."""
        parts = []
        for reason, count in self.counts.most_common():
            endings = [escaped(ending) for ending, _ in self._endings[reason].most_common()]
            endings[4:] = ["…"] if endings[4:] else []
            parts.append(f"{count:,} {reason}" + (f" ({', '.join(endings)})" if endings else ""))
        return f"{self.counts.total():,}: {', '.join(parts)}" if parts else ""

    def warn(self, stacklevel: int) -> None:
        """Issue a ``DataWarning`` if files that are images, or look like them, were left out."""
        unreadable = "look like images but the installed Pillow doesn't read them", "Convert them to PNG or JPEG"
        outside = "are images but aren't in any of the folders that are read", "Move them into one"
        for paths, (reason, remedy) in ((self._unreadable, unreadable), (self._outside, outside)):
            if paths:
                listed = ", ".join(map(escaped, paths[:3])) + (", …" if len(paths) > 3 else "")
                warnings.warn(
                    f"{len(paths):,} files {reason}, so they were left out: {listed}. {remedy} if they belong to the "
                    "data.",
                    DataWarning,
                    stacklevel=stacklevel + 1,
                )


def entries(folder: str, left_out: LeftOut | None = None) -> tuple[list[str], list[str]]:
    """The names of a folder's visible folders and image files, sorted; links are followed.

    Hidden files and folders, files that aren't images, and what is neither a folder nor a regular file are left out.
    Raises ``ReadError`` for a folder that can't be listed.
    """
    folders, files = [], []
    tally = left_out if left_out is not None else LeftOut()
    with reading_from(folder), os.scandir(folder) as scan:
        for entry in scan:
            if is_reserved(entry.name):
                continue  # genaug's own files beside samples
            if is_hidden(entry.name):
                tally.add("hidden")
            elif is_folder(entry):
                folders.append(entry.name)
            elif not _is_file(entry):
                tally.add("special files" if os.path.exists(entry.path) else "broken links")
            elif is_image(entry.name):
                files.append(entry.name)
            else:
                tally.add_file(entry.path)
    return sorted(folders), sorted(files)


def is_folder(entry: "os.DirEntry[str]") -> bool:
    """Whether an entry is a folder or a link to one; a link to itself isn't."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def _is_file(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_file()
    except OSError:
        return False


def holds_image(folder: str) -> bool:
    """Whether there is an image file under a folder; stops at the first."""
    pending, visited = [folder], {os.path.realpath(folder)}
    while pending:
        here = pending.pop()
        with reading_from(here), os.scandir(here) as scan:
            for entry in scan:
                if is_hidden(entry.name):
                    continue
                if is_image(entry.name) and _is_file(entry):
                    return True
                if is_folder(entry) and (real := os.path.realpath(entry.path)) not in visited:
                    visited.add(real)
                    pending.append(entry.path)
    return False


def walk(
    folder: str, left_out: LeftOut | None = None, apart: Set[str] = frozenset()
) -> Iterator[tuple[str, list[str]]]:
    """Every folder under ``folder``, itself first, with the names of its image files.

    Each folder is visited once, however many links lead to it, and links to an outer folder aren't followed, so that
    loops of links end. Nor are links into the folders ``apart``, which are real paths.
    """
    tally = left_out if left_out is not None else LeftOut()
    root = os.path.realpath(folder)
    pending, visited = [folder], {root}
    while pending:
        here = pending.pop()
        folders, files = entries(here, tally)
        yield here, files
        for name in reversed(folders):
            inner = os.path.join(here, name)
            real = os.path.realpath(inner)
            if (
                real in visited
                or root.startswith(os.path.join(real, ""))
                or not apart.isdisjoint([real, *map(str, Path(real).parents)])
            ):
                tally.add("links to a folder that is read already")
                continue
            visited.add(real)
            pending.append(inner)


def images_under(folder: str, left_out: LeftOut, apart: Set[str] = frozenset()) -> list[str]:
    """The paths of all image files under a folder, in torchvision's order: by folder, then by name."""
    return [os.path.join(here, name) for here, names in sorted(walk(folder, left_out, apart)) for name in names]


@contextmanager
def opened_image(path: str | Path) -> Iterator[Image.Image]:
    """Open an image file for the block. Only regular files are opened.

    Raises ``InputError`` naming the file for whatever Pillow raises, also in the block: a file that isn't an image, is
    damaged or cut off, has more pixels than Pillow's guard against decompression bombs allows, or too much text.
    """
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise InputError(f"{escaped(path)} is not a regular file. Only those are read as images.")
        with Image.open(path, formats=readable_formats()) as image:  # whatever the extension says
            yield image
    except InputError:
        raise
    except Exception as error:  # Pillow's plugins raise what they like
        raise InputError(f"{escaped(path)} can't be read as an image ({explained(error)}") from error


def explained(error: Exception) -> str:
    """What was wrong with an image and what to do, to follow an opening parenthesis: "OSError: …). Replace it"."""
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        remedy = (
            "Make the image smaller, or cut it into parts. If you trust the file, raise PIL.Image.MAX_IMAGE_PIXELS "
            "in your own script."
        )
    elif "MAX_TEXT" in str(error) or "text chunk" in str(error).lower():
        remedy = "Its text is larger than Pillow reads: save the image again without metadata."
    else:
        remedy = "Replace the file, which may be damaged or cut off, or remove it."
    return f"{type(error).__name__}: {error}".rstrip(". ") + f"). {remedy}"
