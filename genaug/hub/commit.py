"""What a push sends to the Hub: one commit with all files, and its tag."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from huggingface_hub import CommitOperationAdd, constants
from huggingface_hub.errors import HfHubHTTPError

from genaug.artifacts.manifest import CONFIG_FILE, WEIGHTS_FILE
from genaug.artifacts.recipe import RECIPE_FILE
from genaug.errors import GenaugError, HubError, InputError, NotOnHubError
from genaug.hub import cache, client
from genaug.hub.card import as_text
from genaug.hub.download import Remote, download
from genaug.hub.explain import explain
from genaug.hub.pull import CARD_FILE, MAX_CARD_BYTES, describe

T = TypeVar("T")
_CHANGED = 412  # the branch isn't at the commit that the request expects


@dataclass(frozen=True)
class Publication:
    """A commit on the Hub, or for a dry run the one that would be created: ``commit`` is its hash, or None."""

    repo: str
    message: str
    tag: str | None
    private: bool
    files: Mapping[str, bytes] = field(repr=False)
    state: str = ""
    commit: str | None = None

    @property
    def url(self) -> str:
        return f"{constants.ENDPOINT}/{self.repo}"

    @property
    def card(self) -> str:
        """The text of README.md."""
        return self.files[CARD_FILE].decode()

    def __str__(self) -> str:
        lines = [f"{self.url} ({self.state})", f"  {self.message}"]
        for name, content in self.files.items():
            lines.append(f"  {name:<18} {len(content):>12,} bytes, sha256 {sha256(content).hexdigest()[:16]}…")
        lines += [f"  tag {self.tag}"] if self.tag else []
        return "\n".join([*lines, f"  commit {self.commit}" if self.commit else "  nothing was sent (dry run)"])


def describe_if_present(repo: str) -> Remote | None:
    """The Hub's description of a repo; None if it doesn't exist or isn't visible to the user."""
    try:
        return _request(lambda: describe(repo), repo)
    except NotOnHubError:
        return None


def download_card(remote: Remote | None, repo: str) -> str | None:
    """The README.md of a repo; None if it has none."""
    if remote is None or CARD_FILE not in remote.files:
        return None
    with TemporaryDirectory() as folder:
        part = Path(folder) / CARD_FILE
        download(remote, repo, CARD_FILE, part, MAX_CARD_BYTES)
        return as_text(part.read_bytes(), f"{constants.ENDPOINT}/{repo}/blob/main/{CARD_FILE}")


def send(publication: Publication, remote: Remote | None) -> Publication:
    """Commit and tag a publication, in a new repo if there is no ``remote``. Raises ``HubError`` and ``InputError``."""
    repo, tag = publication.repo, publication.tag
    if remote is None:
        _request(lambda: client.api().create_repo(repo, private=publication.private, exist_ok=True), repo)
        remote = _request(lambda: describe(repo), repo)
        state = f"new, {'private' if remote.private else 'public'}"
    else:
        state = f"was at commit {remote.commit[:12]}"
    other = CONFIG_FILE if RECIPE_FILE in publication.files else RECIPE_FILE
    if other in remote.files:
        contents = "a generator" if other == CONFIG_FILE else "a recipe"
        raise HubError(
            f"{repo} contains {contents} ({other}), which this push would leave beside its files. Nothing was sent. "
            f"Choose another name, or delete {other} on {publication.url}/tree/main first."
        )
    if publication.private and not remote.private:
        raise HubError(
            f"{repo} is public already, and a push can't change that. Nothing was sent. Make it private on "
            f"{publication.url}/settings, or choose another name."
        )
    if tag is not None:
        _check_tag(publication, remote, tag)
    commit = _commit(publication, remote)
    if tag is not None:
        _tag(repo, tag, commit)
    return replace(publication, state=state, commit=commit)


def _commit(publication: Publication, remote: Remote) -> str:
    """Create one commit on top of ``remote``. If the answer is lost, the new state of the repo decides."""

    def attempt() -> str:
        try:
            info = client.api().create_commit(
                publication.repo,
                [CommitOperationAdd(name, content) for name, content in publication.files.items()],
                commit_message=publication.message,
                commit_description=_description(publication.files),
                parent_commit=remote.commit,
            )
        except Exception as error:
            changed = isinstance(error, HfHubHTTPError) and error.response.status_code == _CHANGED
            if not changed and client.find_interruption(error) is None:
                if isinstance(error, ValueError) and "metadata in README.md" in str(error):
                    raise InputError(
                        f"the Hub rejects the card ({client.one_line(error)}). Correct README.md."
                    ) from error
                raise
            commit = _commit_with(publication)
            if commit is None and changed:
                raise HubError(
                    f"somebody else changed {publication.repo} meanwhile, so nothing was published. Push again."
                ) from error
            if commit is None:
                raise
            return commit
        return _checked(info.oid)

    return _request(attempt, publication.repo)


def _description(files: Mapping[str, bytes]) -> str:
    name, content = ("weights", WEIGHTS_FILE) if WEIGHTS_FILE in files else ("recipe", RECIPE_FILE)
    return f"sha256 of the {name}: {sha256(files[content]).hexdigest()}"


def _checked(commit: Any) -> str:
    if not isinstance(commit, str) or not cache.is_commit(commit):
        raise client.NotAHubError(ValueError(f"it names {commit!r} as a commit"))
    return commit


def _commit_with(publication: Publication) -> str | None:
    """The repo's newest commit if it has exactly the files of a publication, otherwise None."""
    remote = describe(publication.repo)
    for name, content in publication.files.items():
        file = remote.files.get(name)
        if file is None or file.digest is None or cache.digest(content, file.digest) != file.digest:
            return None
    return remote.commit


def _check_tag(publication: Publication, remote: Remote, tag: str) -> None:
    """Raise ``HubError`` if the tag exists, unless it is on the commit that would be created: tags don't move."""
    commit = _tags(publication.repo).get(tag)
    if commit is not None and not (commit == remote.commit and _commit_with(publication) == commit):
        raise HubError(
            f"{publication.repo} already has a tag {tag!r}, at commit {commit[:12]}, which others may rely on. Nothing "
            "was sent. Choose another name, or delete the tag on the Hub first."
        )


def _tag(repo: str, tag: str, commit: str) -> None:
    try:
        _request(lambda: client.api().create_tag(repo, tag=tag, revision=commit, exist_ok=True), repo)
        if _tags(repo).get(tag) == commit:
            return
        problem = f"somebody else put {tag!r} on another commit meanwhile. Push again with another tag"
    except HubError as error:
        problem = f"{error} Push again with the tag"
    raise HubError(
        f"{repo} is published as commit {commit[:12]}, but it isn't tagged: {problem}; nothing is uploaded twice."
    )


def _tags(repo: str) -> dict[str, str]:
    return _request(
        lambda: {ref.name: _checked(ref.target_commit) for ref in client.api().list_repo_refs(repo).tags}, repo
    )


def _request(call: Callable[[], T], repo: str) -> T:
    """The result of a request to the Hub, retried if needed. Raises ``HubError``."""
    try:
        return client.persistently(call, client.SILENCE)
    except GenaugError:
        raise
    except Exception as error:  # of huggingface_hub, httpx, or caused in them by a server that isn't a Hub
        raise explain(error, repo) from error
