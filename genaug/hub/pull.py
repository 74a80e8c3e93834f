"""Pulling a generator: only the files that the format names, each checked before anything can use it.

huggingface_hub checks the size of a download and nothing else, so files are fetched here, over its session and with its
headers and token, into its cache: never more bytes than announced, and none kept that don't have the right hash.
"""

import json
import os
import re
import warnings
from collections.abc import Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from huggingface_hub import ModelInfo, constants, get_session, hf_hub_url
from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled
from huggingface_hub.utils import httpx

from genaug import storage
from genaug.claims import Claim, claim
from genaug.errors import FormatError, HubError, HubWarning, NotOnHubError
from genaug.folders import saving_to
from genaug.hub import cache, client
from genaug.hub.client import InterruptionError, NotAHubError, persistently
from genaug.hub.explain import explain

CARD_FILE = "README.md"
SHEET_FILE = "samples.png"
NEEDED = (storage.CONFIG_FILE, storage.WEIGHTS_FILE)
PUBLISHED = (*NEEDED, CARD_FILE, SHEET_FILE)
MAX_CARD_BYTES = 2**20
MAX_SHEET_BYTES = 2**26
MAX_ANSWER_BYTES = 2**25  # to the question what a repo holds; a file takes some 200 of it
_NAME = re.compile(r"[\w.-]{1,100}/[\w.-]{1,100}", re.ASCII)
_QUICK = 5.0  # seconds to wait for an answer where the cache has one already


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


def pull(repo: str, revision: str | None = None, *, extras: bool = False, force: bool = False) -> Path:
    """The folder of the cache with a generator's ``config.json`` and ``model.safetensors``, fetched where needed.

    ``extras`` brings its card and sheet of samples too. What the cache has whole isn't fetched again, unless ``force``
    is true; for a commit's whole hash the Hub isn't even asked. Where the Hub can't be reached, what the revision was
    when last asked is used, with a ``HubWarning``.

    Raises ``InputError`` for what can't be a repo or a revision, ``NotOnHubError`` where there is no such repo,
    ``HubError`` where nothing whole is to be had of it, ``SaveError`` where the cache can't be written. Nothing of a
    damaged or incomplete download is kept.
    """
    client.check_repo_id(repo)
    wanted = constants.DEFAULT_REVISION if revision is None else revision
    client.check_revision(wanted)
    commit = cache.known_commit(repo, wanted)
    kept = None if commit is None else cache.whole_snapshot(repo, commit, NEEDED)
    if client.is_offline():
        if force:
            raise HubError(f"{repo} can't be fetched anew: HF_HUB_OFFLINE=1 forbids asking the Hub. Unset it.")
        if kept is None:
            raise NotOnHubError(_not_kept(repo, wanted, commit))
        return kept
    if kept is not None and cache.is_commit(wanted) and not (force or extras):
        return kept
    try:
        remote = describe(repo, wanted, quick=kept is not None and not force)
    except InterruptionError as interruption:
        problem = explain(interruption, repo)
        if kept is None or force:
            raise problem from interruption
        _warn(f"{problem} Using what {wanted} of {repo} was when last asked: {kept.name[:12]}.")
        return kept
    except HubError as error:
        if kept is None:
            raise
        raise HubError(f"{error} What it was when last asked is still in the cache: revision='{kept.name}'.") from error
    if remote.repo.lower() != repo.lower():
        _warn(f"{repo} is called {remote.repo} now. Use the new name: the old one may come to belong to somebody else.")
    names = tuple(name for name in (PUBLISHED if extras else NEEDED) if name in NEEDED or name in remote.files)
    if force:
        folder = None
    elif kept is not None and kept.name == remote.commit and names == NEEDED:
        folder = kept
    else:
        folder = cache.whole_snapshot(repo, remote.commit, names)
    if folder is not None:
        with suppress(OSError):  # all that is asked for is there, if only in a cache that we may not write
            cache.note(repo, remote.commit, wanted)
        return folder
    with saving_to(cache.repo_folder(repo)):
        folder = cache.enter(repo, remote.commit, _fetch_all(remote, repo, names, force))
        cache.note(repo, remote.commit, wanted)
    return folder


def copy_to(folder: Path, out: str | Path, overwrite: bool) -> None:
    """Copy a pulled generator's files into a folder of one's own, all or none.

    Raises ``OutputExistsError`` where it holds something and ``overwrite`` is false, or files of these names that
    genaug didn't write, ``SaveError`` where writing fails.
    """
    with claim_copy(out, overwrite) as place:
        write_copy(folder, place)


def claim_copy(out: str | Path, overwrite: bool) -> AbstractContextManager[Claim]:
    """Claim a folder for a copy of a generator."""
    options = "Choose another folder or pass overwrite=True (--force)."
    return claim(out, "generator", replace=overwrite, join=True, options=options)


def write_copy(folder: Path, place: Claim) -> None:
    """As ``copy_to``, into a folder that is claimed already."""
    place.write({name: (folder / name).read_bytes() for name in PUBLISHED if (folder / name).is_file()})


def describe(repo: str, revision: str | None = None, *, quick: bool = False) -> Remote:
    """Ask the Hub what a repo holds at a revision. Raises ``InterruptionError``, or ``HubError`` for a definite no.

    ``quick`` asks once and doesn't wait long, for who has an answer already.
    """
    timeout = min(float(constants.HF_HUB_ETAG_TIMEOUT), _QUICK if quick else client.SILENCE)

    place = f"{repo}/revision/{quote(revision, safe='')}" if revision else repo
    url = f"{constants.ENDPOINT}/api/models/{place}?blobs=true"

    def ask() -> ModelInfo:  # as HfApi.model_info does, which reads whatever comes, without an end
        asked = client.headers()
        with get_session().stream("GET", url, headers=asked, timeout=timeout, follow_redirects=True) as answer:
            client.check_answer(answer)
            told = bytearray()
            for chunk in answer.iter_raw():
                told += chunk
                if len(told) > MAX_ANSWER_BYTES:
                    raise ValueError(f"more than {MAX_ANSWER_BYTES:,} bytes")
        return ModelInfo(**json.loads(told))

    try:
        client.check_token()
        info = persistently(ask, timeout, once=quick)
        files = {}
        for sibling in info.siblings or ():
            if sibling.rfilename in PUBLISHED:
                size, digest = (
                    (sibling.lfs.size, sibling.lfs.sha256) if sibling.lfs else (sibling.size, sibling.blob_id)
                )
                files[sibling.rfilename] = RemoteFile(size, digest if digest and cache.is_hash(digest) else None)
        if not isinstance(info.sha, str) or not cache.is_commit(info.sha):
            raise ValueError(f"it names {info.sha!r} as a commit")
        if revision is not None and cache.is_commit(revision) and info.sha != revision:
            raise ValueError(f"it names {info.sha} for the commit {revision}")
        named = isinstance(info.id, str) and _NAME.fullmatch(info.id)
        return Remote(info.id if named else repo, info.sha, bool(info.private), files)
    except (InterruptionError, HubError):
        raise
    except (HfHubHTTPError, OfflineModeIsEnabled) as error:
        raise explain(error, repo, revision) from error
    except Exception as error:  # anything that what isn't a Hub may cause in its client
        raise NotAHubError(error) from error


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
        if place.is_file() and all(cache.digest_of(place, digest) == digest for digest in digests):
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
        _receive(repo, remote.commit, name, part, file.size, limit)
        if all(cache.digest_of(part, digest) == digest for digest in (file.digest, also) if digest is not None):
            return
        part.unlink()
    raise HubError(
        f"{name} of {repo} arrived damaged twice: its hash isn't the one that {constants.ENDPOINT} states. Nothing of "
        "it was kept. Try again, from another network if it stays."
    )


def _fetch_all(remote: Remote, repo: str, names: tuple[str, ...], force: bool) -> dict[str, Path]:
    """Every file's place among the blobs. What config.json says is checked before the weights are asked for."""
    for name in NEEDED:
        if name not in remote.files:
            raise HubError(
                f"{repo} ({remote.commit[:12]}) holds no generator of genaug: {name} is missing. Those that there are "
                f"stand on {constants.ENDPOINT}/models?other=genaug."
            )
    config = fetch(remote, repo, storage.CONFIG_FILE, storage.MAX_CONFIG_BYTES, force=force)
    try:
        weights = storage.parse_manifest(config.read_bytes(), f"{repo}/{storage.CONFIG_FILE}").weights
    except FormatError as error:
        raise HubError(
            f"{repo} ({remote.commit[:12]}) can't be loaded: {error} Choose another revision, or ask its owner."
        ) from error
    told = remote.files[storage.WEIGHTS_FILE]
    if told.size not in (None, weights.size) or (len(told.digest or "") == 64 and told.digest != weights.sha256):
        raise HubError(
            f"{repo} ({remote.commit[:12]}) holds other weights than its {storage.CONFIG_FILE} describes: somebody "
            "changed one of the two. They weren't fetched; ask the owner to push the generator again, or choose "
            "another revision."
        )
    found = {storage.CONFIG_FILE: config}
    found[storage.WEIGHTS_FILE] = fetch(
        remote, repo, storage.WEIGHTS_FILE, weights.size, also=weights.sha256, force=force
    )
    limits = {CARD_FILE: MAX_CARD_BYTES, SHEET_FILE: MAX_SHEET_BYTES}
    return found | {name: fetch(remote, repo, name, limits[name], force=force) for name in names if name not in NEEDED}


def _receive(repo: str, commit: str, name: str, part: Path, size: int | None, limit: int) -> None:
    """Download into ``part``, going on where an interrupted attempt ended."""
    url, patience = hf_hub_url(repo, name, revision=commit), client.patience()

    def attempt() -> None:
        start = part.stat().st_size if part.exists() else 0
        asked = client.headers() | ({"Range": f"bytes={start}-"} if start else {})
        with get_session().stream("GET", url, headers=asked, timeout=patience, follow_redirects=True) as answer:
            client.check_answer(answer)
            goes_on = answer.status_code == 206 and answer.headers.get("Content-Range", "").startswith(
                f"bytes {start}-"
            )
            with open(part, "ab" if goes_on else "wb") as file:
                for chunk in answer.iter_raw():
                    if file.tell() + len(chunk) > limit:
                        raise HubError(
                            f"{constants.ENDPOINT} sends more for {name} of {repo} than the {limit:,} bytes that it "
                            "may have. Nothing of it was kept; choose another revision, or ask the owner."
                        )
                    file.write(chunk)
        if size is not None and part.stat().st_size < size:
            raise InterruptionError(f"{name} ended after {part.stat().st_size:,} of {size:,} bytes", heard=True)

    try:
        persistently(attempt, patience)
    except (InterruptionError, HfHubHTTPError, OfflineModeIsEnabled, httpx.HTTPError, httpx.InvalidURL) as error:
        raise explain(error, repo, commit) from error


def _not_kept(repo: str, revision: str, commit: str | None) -> str:
    damaged = commit is not None and cache.snapshot(repo, commit).is_dir()
    state = "damaged or incomplete" if damaged else "not"
    return (
        f"{repo} ({revision}) is {state} in the cache {constants.HF_HUB_CACHE}, and HF_HUB_OFFLINE=1 forbids asking "
        f"the Hub. Unset it and run `genaug pull {repo}` once."
    )


def _warn(text: str) -> None:
    warnings.warn(text, HubWarning, stacklevel=4)  # for the caller of who calls pull
