"""Generators in huggingface_hub's own cache, so that they are stored once and ``hf cache`` lists and removes them.

Its layout is documented: ``blobs/`` holds each content once, named by its hash (git's sha1, or the sha256 of large
files); ``snapshots/COMMIT/FILE`` links to it; ``refs/NAME`` tells which commit a branch or tag was when last asked.
"""

import hashlib
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from huggingface_hub import constants
from huggingface_hub.file_download import repo_folder_name

from genaug.folders import sweep, temporary_name

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
    try:
        commit = (repo_folder(repo) / "refs" / revision).read_text().strip()
    except (OSError, UnicodeDecodeError):
        return None
    return commit if is_commit(commit) else None


def snapshot(repo: str, commit: str) -> Path:
    return repo_folder(repo) / "snapshots" / commit


def whole_snapshot(repo: str, commit: str, names: tuple[str, ...]) -> Path | None:
    """A commit's folder, if it has all these files and each has the content that its blob's name says."""
    folder = snapshot(repo, commit)
    try:
        whole = all((folder / name).is_file() and _is_whole(folder / name) for name in names)
    except OSError:  # unreadable: as good as not there
        return None
    return folder if whole else None


def _is_whole(path: Path) -> bool:
    try:
        told = Path(os.readlink(path)).name
    except OSError:  # a plain file, where links aren't to be had: config.json's own hash of the weights has to do
        return True
    return not is_hash(told) or digest_of(path, told) == told


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
    if known_commit(repo, revision) != commit:
        path = repo_folder(repo) / "refs" / revision
        with blank(path) as part:
            part.write_text(commit)
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
