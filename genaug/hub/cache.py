"""Generators in huggingface_hub's own cache, so that they are stored once and ``hf cache`` lists and removes them.

Its layout is documented: ``blobs/`` holds each content once, named by its hash (git's sha1, or the sha256 of large
files); ``snapshots/COMMIT/FILE`` links to it; ``refs/NAME`` tells which commit a branch or tag was when last asked.
That layout has no place for ``v1`` beside ``v1/fix``: the second of the two is kept as ``refs/%v1%fix`` here.
"""

import hashlib
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from huggingface_hub import constants
from huggingface_hub.file_download import repo_folder_name

from genaug.artifacts.folders import sweep, temporary_name

_COMMIT = re.compile(r"[0-9a-f]{40}")
_HASH = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


def is_commit(revision: str) -> bool:
    """Whether this is a commit's whole hash, which always means the same files."""
    return _COMMIT.fullmatch(revision) is not None


def is_hash(text: str) -> bool:
    """Whether this looks like git's sha1 or a sha256."""
    return _HASH.fullmatch(text) is not None


def repo_folder(repo: str) -> Path:
    return Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=repo, repo_type="model")


def known_commit(repo: str, revision: str) -> str | None:
    """The commit that a revision was when the Hub was last asked; None where it never was."""
    if is_commit(revision):
        return revision
    for path in _ref_paths(repo, revision):
        with suppress(OSError, UnicodeDecodeError):
            commit = path.read_text().strip()
            if is_commit(commit):
                return commit
    return None


def _ref_paths(repo: str, revision: str) -> tuple[Path, Path]:
    """Where a branch or tag is noted: the usual place, and the one for a name that contains another or is in one."""
    refs = repo_folder(repo) / "refs"
    return refs / revision, refs / f"%{revision.replace('/', '%')}"  # no revision that we ask for has a %


def snapshot(repo: str, commit: str) -> Path:
    return repo_folder(repo) / "snapshots" / commit


def blob_names(repo: str, commit: str, names: tuple[str, ...]) -> dict[str, str]:
    """The blobs, by file name, that are a commit's files; without those that are missing, damaged or unreadable."""
    blobs = {}
    for name in names:
        with suppress(OSError):
            found = blob_name(snapshot(repo, commit) / name)
            if found is not None:
                blobs[name] = found
    return blobs


def blob_name(path: Path) -> str | None:
    """The name of the repo's blob whose content a file in a snapshot has; None if it has that of none.

    Where the system has no links, files are copies of blobs; whatever else lies in a snapshot was put there by others.
    """
    if not path.is_file():
        return None
    link = Path(os.readlink(path)).name if path.is_symlink() else ""
    for like in (link,) if is_hash(link) else ("0" * 40, "0" * 64):
        digest = digest_of(path, like)
        if (digest == link or not is_hash(link)) and (path.parents[2] / "blobs" / digest).is_file():
            return digest
    return None


def digest_of(path: Path, like: str) -> str:
    """A file's sha256, or git's sha1 of it where ``like`` is as short as one."""
    state = _fresh(path.stat().st_size, like)
    with open(path, "rb") as file:
        while chunk := file.read(2**20):
            state.update(chunk)
    return state.hexdigest()


def digest(content: bytes, like: str) -> str:
    """As ``digest_of``, of what is in memory."""
    state = _fresh(len(content), like)
    state.update(content)
    return state.hexdigest()


def _fresh(size: int, like: str) -> "hashlib._Hash":
    if len(like) == 40:
        return hashlib.sha1(f"blob {size}\0".encode(), usedforsecurity=False)
    return hashlib.sha256()


def blob(repo: str, digest: str) -> Path:
    """Where a content with this hash belongs."""
    return repo_folder(repo) / "blobs" / digest


@contextmanager
def blank(path: Path) -> Iterator[Path]:
    """A name for a file that the block renames to ``path`` once it is whole; what still has it then is removed.

    huggingface_hub knows such names for unfinished downloads. Those that killed processes left are removed first.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    sweep(path.parent)
    part = path.with_name(f"{path.name}.{temporary_name('incomplete')}")
    try:
        yield part
    finally:
        part.unlink(missing_ok=True)


def enter(repo: str, commit: str, blobs: Mapping[str, Path]) -> Path:
    """Make a commit's folder of finished blobs, given by file name."""
    folder = snapshot(repo, commit)
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in blobs.items():
        _link(content, folder / name)
    return folder


def note(repo: str, commit: str, revision: str) -> None:
    """Note which commit a revision is."""
    if known_commit(repo, revision) == commit:
        return
    usual, other = _ref_paths(repo, revision)
    try:
        _write(usual, commit)
        other.unlink(missing_ok=True)
    except (FileExistsError, NotADirectoryError, IsADirectoryError):
        _write(other, commit)


def _write(path: Path, text: str) -> None:
    with blank(path) as part:
        part.write_text(text)
        os.replace(part, path)


def _link(content: Path, path: Path) -> None:
    with blank(path) as part:
        try:
            if constants.HF_HUB_DISABLE_SYMLINKS:
                raise OSError
            os.symlink(os.path.relpath(content, path.parent), part)
        except OSError:
            shutil.copyfile(content, part)
        os.replace(part, path)
