"""Image files on disk: which files are images, what of a folder is left out, and opening one."""

import mimetypes
import os
import stat
import warnings
from collections import Counter
from collections.abc import Iterator, Set
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from PIL import Image, ImageFile

from genaug.artifacts.marker import is_reserved
from genaug.data.class_folders import RECORD_FILE
from genaug.errors import DataWarning, InputError
from genaug.escaping import escaped

# What systems and tools leave beside pictures; compared in lower case.
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
# Not pictures but programs and films: EPS is run by Ghostscript, MPEG is recognised but never decoded.
_NO_PICTURES = {"EPS", "MPEG"}
# Image formats that Python's table of MIME types may lack.
_ALSO_IMAGES = {
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
    """Whether a file or folder isn't part of the data: names with a leading dot, and what systems leave behind."""
    return name.startswith(".") or name.lower() in _HIDDEN


@cache
def readable_formats() -> tuple[str, ...]:
    """The formats that the installed Pillow can decode, the usual ones first."""
    Image.init()

    def decodes(name: str) -> bool:
        factory = Image.OPEN[name][0]
        stub = isinstance(factory, type) and issubclass(factory, ImageFile.StubImageFile)  # opened, never decoded
        return not stub and name not in _NO_PICTURES

    return tuple(name for name in Image.ID if decodes(name))


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
    return ending in _ALSO_IMAGES or (mimetypes.guess_type(f"a{ending}")[0] or "").startswith("image/")


class LeftOut:
    """What of a folder was left out, counted by reason."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._endings: dict[str, Counter[str]] = {}
        self._unread: list[str] = []
        self._outside: list[str] = []

    def add(self, reason: str, path: str | None = None) -> None:
        self.counts[reason] += 1
        if path is not None:
            self._endings.setdefault(reason, Counter())[os.path.splitext(path)[1].lower() or "no extension"] += 1

    def add_outside(self, path: str, what: str) -> None:
        """An image that lies beside the folders that are read: class folders, split folders."""
        self.add(f"images outside the {what}")
        self._outside.append(path)

    def add_file(self, path: str) -> None:
        """A file that isn't read because of its name; not the record that genaug writes beside its samples."""
        if os.path.basename(path) == RECORD_FILE:
            return
        if looks_like_image(path):
            self.add("images that Pillow doesn't read here", path)
            self._unread.append(path)
        else:
            self.add("not images", path)

    def __str__(self) -> str:
        """ "12: 10 hidden, 2 not images (.txt)"; empty if nothing was left out."""
        parts = []
        for reason, count in self.counts.most_common():
            endings = [escaped(ending) for ending, _ in self._endings.get(reason, Counter()).most_common(4)]
            more = ", …" if len(self._endings.get(reason, ())) > 4 else ""
            parts.append(f"{count:,} {reason}" + (f" ({', '.join(endings)}{more})" if endings else ""))
        return f"{self.counts.total():,}: {', '.join(parts)}" if parts else ""

    def warn(self, stacklevel: int) -> None:
        """A ``DataWarning`` if files that are images, or look like it, were left out."""
        for paths, why, remedy in (
            (
                self._unread,
                "look like images but the installed Pillow doesn't read them",
                "Convert them to PNG or JPEG",
            ),
            (self._outside, "are images but lie in none of the folders that are read", "Move them into one"),
        ):
            if paths:
                shown = ", ".join(map(escaped, paths[:3])) + (", …" if len(paths) > 3 else "")
                warnings.warn(
                    f"{len(paths):,} files {why}, so they were left out: {shown}. {remedy} if they belong to the data.",
                    DataWarning,
                    stacklevel=stacklevel + 1,
                )


def entries(folder: str, left_out: LeftOut | None = None) -> tuple[list[str], list[str]]:
    """The names of a folder's visible folders and image files, sorted; links are followed.

    Left out are hidden files and folders, files that aren't images, and what is neither a folder nor a regular file.
    Raises ``InputError`` for a folder that can't be listed.
    """
    folders, files = [], []
    tally = left_out if left_out is not None else LeftOut()
    try:
        with os.scandir(folder) as found:
            for entry in found:
                if is_reserved(entry.name):
                    continue  # what genaug keeps beside samples is no file of the user's
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
    except OSError as error:
        raise _unlisted(folder, error) from error
    return sorted(folders), sorted(files)


def _unlisted(folder: str, error: OSError) -> InputError:
    return InputError(f"{escaped(folder)} can't be listed ({error.strerror or error}). Check its permissions.")


def is_folder(entry: "os.DirEntry[str]") -> bool:
    """Whether an entry is a folder or leads to one; a link to itself isn't."""
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
    """Whether there is an image file under a folder; looks no further than the first."""
    waiting, visited = [folder], {os.path.realpath(folder)}
    while waiting:
        here = waiting.pop()
        try:
            with os.scandir(here) as found:
                for entry in found:
                    if is_hidden(entry.name):
                        continue
                    if is_image(entry.name) and _is_file(entry):
                        return True
                    if is_folder(entry) and (real := os.path.realpath(entry.path)) not in visited:
                        visited.add(real)
                        waiting.append(entry.path)
        except OSError as error:
            raise _unlisted(here, error) from error
    return False


def walk(
    folder: str, left_out: LeftOut | None = None, apart: Set[str] = frozenset()
) -> Iterator[tuple[str, list[str]]]:
    """Every folder under ``folder``, itself first, with the names of its image files.

    Each folder is visited once, however many links lead to it, and no link is followed to a folder around it: a loop
    of links ends. Nor is one followed into the folders ``apart``, which are real paths.
    """
    tally = left_out if left_out is not None else LeftOut()
    root = os.path.realpath(folder)
    waiting, visited = [folder], {root}
    while waiting:
        here = waiting.pop()
        folders, files = entries(here, tally)
        yield here, files
        for name in reversed(folders):
            inner = os.path.join(here, name)
            real = os.path.realpath(inner)
            if real in visited or root.startswith(os.path.join(real, "")) or not apart.isdisjoint(_up(real)):
                tally.add("links to a folder that is read already")
                continue
            visited.add(real)
            waiting.append(inner)


def _up(path: str) -> Iterator[str]:
    """A path and those of all folders around it."""
    yield path
    yield from map(str, Path(path).parents)


def images_under(folder: str, left_out: LeftOut, apart: Set[str] = frozenset()) -> list[str]:
    """The paths of all image files under a folder, in torchvision's order: by folder, then by name."""
    return [os.path.join(here, name) for here, names in sorted(walk(folder, left_out, apart)) for name in names]


@contextmanager
def opened_image(path: str | Path) -> Iterator[Image.Image]:
    """An image file, open in the block. Only a regular file is opened.

    Raises ``InputError`` naming the file for whatever Pillow raises, in the block too: a file that is no image, is
    damaged or cut off, has more pixels than Pillow's guard against decompression bombs lets pass, or too much text.
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
    told = f"{type(error).__name__}: {error}".rstrip(". ")
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        remedy = (
            "Make the image smaller, or cut it into parts. If you trust the file, raise PIL.Image.MAX_IMAGE_PIXELS "
            "in a script of your own."
        )
    elif "MAX_TEXT" in str(error) or "text chunk" in str(error).lower():
        remedy = "Its text is larger than Pillow reads: save the image again without metadata."
    else:
        remedy = "Replace the file, which may be damaged or cut off, or remove it."
    return f"{told}). {remedy}"
