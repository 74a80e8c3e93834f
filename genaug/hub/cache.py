"""Generators in huggingface_hub's own cache, so that they are stored once and ``hf cache`` lists and removes them.

Its layout is documented: ``blobs/`` has each content once, named by its hash (git's sha1, or the sha256 of large
files); ``snapshots/COMMIT/FILE`` links to it; ``refs/NAME`` has the last known commit of a branch or tag. This layout
can't represent both ``v1`` and ``v1/fix``, so the second of the two is stored as ``refs/%v1%fix``.
"""

import hashlib
import io
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
    """Whether this is the full hash of a commit, which always means the same files."""
    return _COMMIT.fullmatch(revision) is not None


def is_hash(text: str) -> bool:
    """Whether this has the form of a git sha1 or a sha256."""
    return _HASH.fullmatch(text) is not None


def repo_folder(repo: str) -> Path:
    return Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=repo, repo_type="model")


def known_commit(repo: str, revision: str) -> str | None:
    """The last known commit of a revision; None if there is none."""
    if is_commit(revision):
        return revision
    for path in _ref_paths(repo, revision):
        with suppress(OSError, UnicodeDecodeError):
            commit = path.read_text().strip()
            if is_commit(commit):
                return commit
    return None


def _ref_paths(repo: str, revision: str) -> tuple[Path, Path]:
    """Where the commit of a branch or tag is stored: usually, and if the name is in conflict with another."""
    refs = repo_folder(repo) / "refs"
    return refs / revision, refs / f"%{revision.replace('/', '%')}"  # check_revision allows no %


def snapshot(repo: str, commit: str) -> Path:
    return repo_folder(repo) / "snapshots" / commit


def blob_names(repo: str, commit: str, names: tuple[str, ...]) -> dict[str, str]:
    """The names of a commit's blobs by file name, without missing, damaged and unreadable ones."""
    blobs = {}
    for name in names:
        with suppress(OSError):
            blobs[name] = blob_name(snapshot(repo, commit) / name)
    return {name: blob_hash for name, blob_hash in blobs.items() if blob_hash is not None}


def blob_name(path: Path) -> str | None:
    """The name of the repo's blob with the same content as a file in a snapshot; None if there is none.

    On systems without symbolic links, files are copies of blobs; anything else in a snapshot isn't ours.
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
    """A file's sha256, or its git sha1 if ``like`` has the length of one."""
    with open(path, "rb") as file:
        return _digest(file, path.stat().st_size, like)


def digest(content: bytes, like: str) -> str:
    """As ``digest_of``, of bytes in memory."""
    return _digest(io.BytesIO(content), len(content), like)


def _digest(file: io.BufferedReader | io.BytesIO, size: int, like: str) -> str:
    state = hashlib.sha1(f"blob {size}\0".encode(), usedforsecurity=False) if len(like) == 40 else hashlib.sha256()
    return hashlib.file_digest(file, lambda: state).hexdigest()


def blob(repo: str, digest: str) -> Path:
    """The path of the content with this hash."""
    return repo_folder(repo) / "blobs" / digest


@contextmanager
def blank(path: Path) -> Iterator[Path]:
    """A temporary path for a file that the block renames to ``path`` once it is complete; otherwise it is removed.

    huggingface_hub recognizes such names as incomplete downloads. Those of killed processes are removed first.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    sweep(path.parent)
    part = path.with_name(f"{path.name}.{temporary_name('incomplete')}")
    try:
        yield part
    finally:
        part.unlink(missing_ok=True)


def enter(repo: str, commit: str, blobs: Mapping[str, Path]) -> Path:
    """Create a commit's folder from complete blobs by file name."""
    folder = snapshot(repo, commit)
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in blobs.items():
        _link(content, folder / name)
    return folder


def note(repo: str, commit: str, revision: str) -> None:
    """Store the commit of a revision."""
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
