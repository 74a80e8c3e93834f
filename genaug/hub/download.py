"""Downloads of single files into the cache: resumed after interruptions, bounded, and verified by size and hash."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import constants, hf_hub_url
from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled
from huggingface_hub.utils import httpx

from genaug.errors import HubError
from genaug.hub import cache, client
from genaug.hub.explain import explain
from genaug.hub.pace import TooLongError, TooSlowError


@dataclass(frozen=True)
class RemoteFile:
    """The Hub's description of a file: its size, and its sha256 or, for small files, its git sha1."""

    size: int | None
    digest: str | None

    def digests(self, sha256: str | None) -> list[str]:
        """The known hashes of the file, with another ``sha256`` from elsewhere."""
        return [digest for digest in (self.digest, sha256) if digest is not None]


@dataclass(frozen=True)
class Remote:
    """The Hub's description of a repo at one commit; ``files`` are those that the caller asked for."""

    repo: str
    commit: str
    private: bool
    files: Mapping[str, RemoteFile]


def fetch(remote: Remote, repo: str, name: str, limit: int, *, sha256: str | None = None, force: bool = False) -> Path:
    """The path of a file's blob in the cache, which is downloaded unless it is complete there.

    ``limit`` is the maximum size in bytes; ``sha256`` is checked in addition to the Hub's own hash.
    """
    file = remote.files[name]
    if file.size is not None and file.size > limit:
        raise HubError(
            f"{name} of {repo} has {file.size:,} bytes, but at most {limit:,} are allowed. It wasn't downloaded. Ask "
            "the owner to push the generator again, or choose another revision."
        )
    digests = file.digests(sha256)
    place = cache.blob(repo, digests[0] if digests else name.replace("/", "%"))
    if digests and not force and place.is_file() and _has(place, digests):
        return place
    with cache.blank(place) as part:
        download(remote, repo, name, part, limit, sha256=sha256)
        if not digests:
            place = cache.blob(repo, cache.digest_of(part, ""))
        os.replace(part, place)
    return place


def download(remote: Remote, repo: str, name: str, part: Path, limit: int, *, sha256: str | None = None) -> None:
    """Download a file of a repo to ``part`` and verify it, twice if it arrives damaged. Raises ``HubError``."""
    file = remote.files[name]
    digests = file.digests(sha256)
    for _ in range(2):
        _receive(repo, remote.commit, name, part, file.size, digests, limit)
        if _has(part, digests):
            return
        part.unlink()
    raise HubError(
        f"{name} of {repo} arrived damaged twice: its hash isn't the one that {constants.ENDPOINT} states. It was "
        "discarded. Try again; if the problem persists, use another network."
    )


def _receive(
    repo: str, commit: str, name: str, part: Path, size: int | None, digests: Sequence[str], limit: int
) -> None:
    """Download into ``part``, resuming after interruptions.

    An error after a file's last byte doesn't matter: the file is complete by its size or, if the server doesn't state
    the size, by its hashes.
    """
    url = hf_hub_url(repo, name, revision=commit)
    timeout = min(float(constants.HF_HUB_DOWNLOAD_TIMEOUT), client.SILENCE)

    def is_complete() -> bool:
        if size is not None:
            return part.is_file() and part.stat().st_size == size
        return part.is_file() and bool(digests) and _has(part, digests)

    def attempt() -> None:
        try:
            receive()
        except Exception as error:
            if client.find_interruption(error) is None or not is_complete():
                raise
        if size is not None and part.stat().st_size < size:
            raise client.InterruptionError(f"{name} ended after {part.stat().st_size:,} of {size:,} bytes", heard=True)

    def receive() -> None:
        start = part.stat().st_size if part.exists() else 0
        range_header = {"Range": f"bytes={start}-"} if start else {}
        with client.answer_to(url, client.headers() | range_header, timeout, window=client.SILENCE) as answer:
            if answer.status_code == 416 and start:
                part.unlink()
                raise client.InterruptionError("HTTP 416 for the rest of a file", heard=True)
            client.check_answer(answer)
            content_range = answer.headers.get("Content-Range", "")
            resumed = answer.status_code == 206 and content_range.startswith(f"bytes {start}-")
            with open(part, "ab" if resumed else "wb") as file:
                for chunk in answer.iter_raw():
                    if file.tell() + len(chunk) > limit:
                        raise HubError(
                            f"{constants.ENDPOINT} sends more than the {limit:,} bytes allowed for {name} of {repo}. "
                            "It was discarded. Choose another revision, or ask the owner."
                        )
                    file.write(chunk)

    try:
        client.persistently(attempt, timeout)
    except (
        client.InterruptionError,
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
