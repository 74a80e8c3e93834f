"""Files of pipelines and LoRA weights on the Hub: a repo id becomes a commit once, and only safe files are fetched.

They lie in huggingface_hub's cache, each verified by its hash when it arrives, as genaug's own generators do.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import constants

from genaug.artifacts.folders import saving_to
from genaug.errors import HubError, NotOnHubError
from genaug.hub import cache, client
from genaug.hub.download import Remote, fetch
from genaug.hub.pull import describe_or_warn
from genaug.progress import Progress
from genaug_diffusers.index import local_files

CARD_FILE = "README.md"
_MAX_TEXT_BYTES = 2**26
_MAX_WEIGHTS_BYTES = 2**37


@dataclass(frozen=True)
class Repo:
    """A repo at one commit: the names of its files, and ``remote``, None if only the cache is to be used."""

    name: str
    commit: str
    revision: str
    files: list[str]
    remote: Remote | None

    def fetch(self, names: Iterable[str]) -> Path:
        """The folder in the cache with these files, downloaded if they aren't there.

        Raises ``HubError`` for a download that fails, ``SaveError`` if the cache can't be written.
        """
        folder = cache.snapshot(self.name, self.commit)
        missing = [name for name in names if not (folder / name).is_file()]
        if self.remote is None or not missing:
            if missing:
                raise NotOnHubError(_not_cached(self.name, self.revision))
            return folder
        sizes = {name: self.remote.files[name].size or 0 for name in missing}
        with (
            saving_to(cache.repo_folder(self.name), "set HF_HUB_CACHE to a folder that you can write to"),
            Progress(f"downloading {self.name}", sum(sizes.values()), line_every=30) as bar,
        ):
            for name in missing:
                bar.tell(name)
                limit = _MAX_WEIGHTS_BYTES if name.endswith(".safetensors") else _MAX_TEXT_BYTES
                cache.enter(self.name, self.commit, {name: fetch(self.remote, self.name, name, limit)})
                bar.advance(sizes[name])
        return folder

    def remember(self) -> None:
        """Note the commit of the revision in the cache, for use without the Hub; call it when all files are there."""
        if self.remote is not None:
            with suppress(OSError):  # a cache that can't be written to
                cache.note(self.name, self.commit, self.revision)


def find_repo(name: str, revision: str | None, is_complete: Callable[[Path], bool]) -> Repo:
    """The repo at the commit of a branch or tag (by default of the main branch), or at a commit.

    A commit whose copy in the cache ``is_complete`` needs no request. If the Hub can't be reached, the last known
    commit is used, with a ``HubWarning``; with HF_HUB_OFFLINE=1 nothing else is. Raises ``InputError`` for an invalid
    id or revision, ``NotOnHubError`` if there is no such repo, ``HubError`` for other failures.
    """
    client.check_repo_id(name)
    revision = constants.DEFAULT_REVISION if revision is None else revision
    client.check_revision(revision)
    commit = cache.known_commit(name, revision)
    cached = None
    if commit is not None and (folder := cache.snapshot(name, commit)).is_dir() and is_complete(folder):
        cached = Repo(name, commit, revision, local_files(folder), None)
    if constants.is_offline_mode():
        if cached is None:
            raise NotOnHubError(_not_cached(name, revision))
        return cached
    if cached is not None and cache.is_commit(revision):
        return cached
    known = None if cached is None else cached.commit
    remote = describe_or_warn(name, revision, known, keep=_is_listed, stacklevel=8)
    if remote is None:
        assert cached is not None
        return cached
    return Repo(name, remote.commit, revision, list(remote.files), remote)


@contextmanager
def not_local(what: str) -> Iterator[None]:
    """Around a search for a repo whose name may be meant as a path: the Hub's errors say that ``what`` isn't here."""
    try:
        yield
    except HubError as error:
        raise type(error)(f"there is no {what} here, and {error}") from error


def _is_listed(name: str) -> bool:
    """Every file is listed, so that errors can name what isn't fetched; callers fetch only safe ones."""
    return len(name) <= 500


def card_of(repo: Repo) -> list[str]:
    """The name of the repo's card, if it has one."""
    return [name for name in (CARD_FILE,) if name in repo.files]


def _not_cached(name: str, revision: str) -> str:
    part = "only partly in" if cache.known_commit(name, revision) is not None else "not in"
    return (
        f"{name} ({revision}) is {part} the cache {constants.HF_HUB_CACHE} (HF_HUB_CACHE), and HF_HUB_OFFLINE=1 "
        "forbids requests to the Hub. Correct the name, or unset HF_HUB_OFFLINE and load it once."
    )
