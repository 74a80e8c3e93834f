"""Downloads of single files into the cache: resumed after an interruption, bounded, and checked by size and hash."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import constants, hf_hub_url
from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled
from huggingface_hub.utils import httpx

from genaug.errors import HubError
from genaug.hub import cache, client
from genaug.hub.client import InterruptionError, find_interruption, persistently
from genaug.hub.explain import explain
from genaug.hub.pace import TooLongError, TooSlowError


@dataclass(frozen=True)
class RemoteFile:
    """What the Hub says of a file: its size, and its sha256 or, for small files, git's sha1 of it."""

    size: int | None
    digest: str | None


@dataclass(frozen=True)
class Remote:
    """A repo at one commit, as the Hub describes it; ``files`` are those that the format names."""

    repo: str
    commit: str
    private: bool
    files: Mapping[str, RemoteFile]


def fetch(remote: Remote, repo: str, name: str, limit: int, *, also: str | None = None, force: bool = False) -> Path:
    """A file's place among the cache's blobs, downloaded if it isn't there whole, and checked.

    ``limit`` is how many bytes it may have; ``also`` is a sha256 that it must have besides the Hub's own hash of it.
    """
    file = remote.files[name]
    if file.size is not None and file.size > limit:
        raise HubError(
            f"{name} of {repo} has {file.size:,} bytes, more than the {limit:,} that it may have. It wasn't fetched; "
            "ask the owner to push the generator again, or choose another revision."
        )
    digests = [digest for digest in (file.digest, also) if digest is not None]
    if digests and not force:
        place = cache.blob(repo, digests[0])
        if place.is_file() and _has(place, digests):
            return place
    with cache.blank(cache.blob(repo, digests[0] if digests else name)) as part:
        download(remote, repo, name, part, limit, also=also)
        place = cache.blob(repo, digests[0] if digests else cache.digest_of(part, ""))
        os.replace(part, place)
    return place


def download(remote: Remote, repo: str, name: str, part: Path, limit: int, *, also: str | None = None) -> None:
    """Download a file of a repo to ``part`` and check it; once more where it comes out damaged. Raises ``HubError``."""
    file = remote.files[name]
    for _ in range(2):
        digests = [digest for digest in (file.digest, also) if digest is not None]
        _receive(repo, remote.commit, name, part, file.size, digests, limit)
        if _has(part, digests):
            return
        part.unlink()
    raise HubError(
        f"{name} of {repo} arrived damaged twice: its hash isn't the one that {constants.ENDPOINT} states. Nothing of "
        "it was kept. Try again, from another network if it stays."
    )


def _receive(
    repo: str, commit: str, name: str, part: Path, size: int | None, digests: Sequence[str], limit: int
) -> None:
    """Download into ``part``, from where an interrupted attempt ended.

    An error behind a file's last byte changes nothing about the file: it counts as complete by its size, or, if the
    server doesn't state that, by its hashes.
    """
    url, patience = hf_hub_url(repo, name, revision=commit), client.patience()

    def is_complete() -> bool:
        if not part.is_file():
            return False
        return part.stat().st_size == size if size is not None else bool(digests) and _has(part, digests)

    def attempt() -> None:
        if is_complete():
            return
        try:
            receive()
        except Exception as error:
            if find_interruption(error) is None or not is_complete():
                raise
        if size is not None and part.stat().st_size < size:
            raise InterruptionError(f"{name} ended after {part.stat().st_size:,} of {size:,} bytes", heard=True)

    def receive() -> None:
        start = part.stat().st_size if part.exists() else 0
        range_header = {"Range": f"bytes={start}-"} if start else {}
        with client.answer_to(url, client.headers() | range_header, patience, window=client.SILENCE) as answer:
            if answer.status_code == 416 and start:
                part.unlink()
                raise InterruptionError("HTTP 416 to the rest of a file", heard=True)
            client.check_answer(answer)
            continues = answer.status_code == 206 and answer.headers.get("Content-Range", "").startswith(
                f"bytes {start}-"
            )
            with open(part, "ab" if continues else "wb") as file:
                for chunk in answer.iter_raw():
                    if file.tell() + len(chunk) > limit:
                        raise HubError(
                            f"{constants.ENDPOINT} sends more for {name} of {repo} than the {limit:,} bytes that it "
                            "may have. Nothing of it was kept; choose another revision, or ask the owner."
                        )
                    file.write(chunk)

    try:
        persistently(attempt, patience)
    except (
        InterruptionError,
        TooSlowError,
        TooLongError,
        HfHubHTTPError,
        OfflineModeIsEnabled,
        httpx.HTTPError,
        httpx.InvalidURL,
    ) as error:
        raise explain(error, repo, commit) from error


def _has(part: Path, digests: Sequence[str]) -> bool:
    return all(cache.digest_of(part, digest) == digest for digest in digests)
