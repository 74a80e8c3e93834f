"""Pulling a generator: only the files that the format names, each checked before anything can use it.

huggingface_hub checks the size of a download and nothing else, so files are fetched here, over its session and with its
headers and token, into its cache: never more bytes than announced, and none kept that don't have the right hash.
"""

import errno
import os
import re
import warnings
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from urllib.parse import quote

from huggingface_hub import constants
from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

from genaug.artifacts.claims import Claim, claim
from genaug.artifacts.folders import saving_to
from genaug.artifacts.manifest import CONFIG_FILE, MAX_CONFIG_BYTES, WEIGHTS_FILE, parse_manifest
from genaug.errors import FormatError, HubError, HubWarning, NotOnHubError, SaveError
from genaug.hub import cache, client
from genaug.hub.answers import RepoAnswer, parse_repo
from genaug.hub.client import MAX_ANSWER_BYTES, InterruptionError, NotAHubError, persistently
from genaug.hub.download import Remote, RemoteFile, fetch
from genaug.hub.explain import explain
from genaug.hub.redaction import credentials_redacted, redact

CARD_FILE = "README.md"
SHEET_FILE = "samples.png"
NEEDED = (CONFIG_FILE, WEIGHTS_FILE)
PUBLISHED = (*NEEDED, CARD_FILE, SHEET_FILE)
MAX_CARD_BYTES = 2**20
MAX_SHEET_BYTES = 2**26
_NAME = re.compile(r"[\w.-]{1,100}/[\w.-]{1,100}", re.ASCII)
_NOT_WRITABLE = (errno.EROFS, errno.EACCES, errno.EPERM)
_QUICK = 5.0  # seconds to wait for an answer where the cache has one already


def pull(repo: str, revision: str | None = None, *, extras: bool = False, force: bool = False) -> Path:
    """The folder in the cache with a generator's ``config.json`` and ``model.safetensors``, downloaded if needed.

    ``extras`` brings its card and sample sheet too. What is complete in the cache isn't downloaded again, unless
    ``force`` is true; for a full commit hash the Hub isn't even asked. If the Hub can't be reached, or the cache can't
    be written, the commit that the revision was when last asked is used, with a ``HubWarning``.

    Raises ``InputError`` for an invalid repo id or revision, ``NotOnHubError`` if there is no such repo, ``HubError``
    if no complete copy is available, ``SaveError`` if the cache can't be written. Nothing of a damaged or incomplete
    download is kept.
    """
    with credentials_redacted():
        return _pull(repo, constants.DEFAULT_REVISION if revision is None else revision, extras, force)


def _pull(repo: str, revision: str, extras: bool, force: bool) -> Path:
    client.check_repo_id(repo)
    client.check_revision(revision)
    commit = cache.known_commit(repo, revision)
    verified = {} if commit is None else cache.blob_names(repo, commit, NEEDED)
    cached = cache.snapshot(repo, commit) if commit is not None and len(verified) == len(NEEDED) else None
    if client.is_offline():
        if force:
            raise HubError(f"{repo} can't be downloaded again: HF_HUB_OFFLINE=1 forbids asking the Hub. Unset it.")
        if cached is None:
            raise NotOnHubError(_not_cached(repo, revision, commit))
        return cached
    if cached is not None and cache.is_commit(revision) and not (force or extras):
        return cached
    try:
        remote = describe(repo, revision, quick=cached is not None and not force)
    except InterruptionError as interruption:
        problem = explain(interruption, repo)
        if cached is None or force:
            raise problem from interruption
        _warn(f"{problem} Using {revision} of {repo} as it was when last asked: commit {cached.name[:12]}.")
        return cached
    except HubError as error:
        if cached is None:
            raise
        raise HubError(
            f"{error} The commit that it was when last asked is still in the cache: revision='{cached.name}'."
        ) from error
    if remote.repo.lower() != repo.lower():
        _warn(f"{repo} is called {remote.repo} now. Use the new name: others can take over the old one.")
    names = tuple(name for name in (PUBLISHED if extras else NEEDED) if name in NEEDED or name in remote.files)
    if not force:
        if remote.commit != commit or names != NEEDED:
            verified = cache.blob_names(repo, remote.commit, names)
        digests = {name: file.digest for name, file in remote.files.items()}
        if all(name in verified and digests.get(name) in (None, verified[name]) for name in names):
            with suppress(OSError):  # the files are there, if only in a cache that we can't write to
                cache.note(repo, remote.commit, revision)
            return cache.snapshot(repo, remote.commit)
    try:
        with saving_to(cache.repo_folder(repo), "set HF_HUB_CACHE to a folder that you can write to"):
            folder = cache.enter(repo, remote.commit, _fetch_all(remote, repo, names, force))
            cache.note(repo, remote.commit, revision)
    except SaveError as error:
        reason = getattr(error.__cause__, "errno", None)
        if cached is None or force or reason not in _NOT_WRITABLE:
            raise
        _warn(
            f"the cache {constants.HF_HUB_CACHE} can't be written ({os.strerror(reason)}), so {revision} of {repo}, "
            f"commit {remote.commit[:12]}, wasn't downloaded. Using what the cache holds, commit {cached.name[:12]}; "
            "for the other, set HF_HUB_CACHE to a folder that you can write to."
        )
        return cached
    return folder


def copy_to(folder: Path, out: str | Path, overwrite: bool) -> None:
    """Copy a pulled generator's files from the cache into a folder of one's own, all or none.

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
    ours = [name for name in PUBLISHED if cache.blob_name(folder / name) is not None]
    place.write({name: (folder / name).read_bytes() for name in ours})


def describe(repo: str, revision: str | None = None, *, quick: bool = False) -> Remote:
    """Ask the Hub what a repo holds at a revision. Raises ``InterruptionError``, or ``HubError`` for a definite no.

    ``quick`` asks once and doesn't wait long, for who has an answer already.
    """
    timeout = min(float(constants.HF_HUB_ETAG_TIMEOUT), _QUICK if quick else client.SILENCE)

    place = f"{repo}/revision/{quote(revision, safe='')}" if revision else repo
    url = f"{constants.ENDPOINT}/api/models/{place}?blobs=true"

    def ask() -> RepoAnswer:  # as HfApi.model_info does, which reads an answer of any length
        window = _QUICK if quick else client.SILENCE
        with client.answer_to(
            url, client.headers(), timeout, window=min(window, client.SILENCE), limit=MAX_ANSWER_BYTES
        ) as answer:
            client.check_answer(answer)
            return parse_repo(b"".join(answer.iter_raw()))

    try:
        client.check_token()
        info = persistently(ask, timeout, once=quick)
        files = {}
        for sibling in info.siblings or ():
            if sibling.name in PUBLISHED:
                size, digest = (
                    (sibling.lfs.size, sibling.lfs.sha256) if sibling.lfs else (sibling.size, sibling.blob_id)
                )
                files[sibling.name] = RemoteFile(size, digest if digest and cache.is_hash(digest) else None)
        if revision is not None and cache.is_commit(revision) and info.sha != revision:
            raise ValueError(f"it names {info.sha} for the commit {revision}")
        named = info.id if info.id is not None and _NAME.fullmatch(info.id) else repo
        return Remote(named, info.sha, bool(info.private), files)
    except (InterruptionError, HubError):
        raise
    except (HfHubHTTPError, OfflineModeIsEnabled) as error:
        raise explain(error, repo, revision) from error
    except Exception as error:  # anything that what isn't a Hub may cause in its client
        raise NotAHubError(error) from error


def _fetch_all(remote: Remote, repo: str, names: tuple[str, ...], force: bool) -> dict[str, Path]:
    """Every file's place among the blobs. What config.json says is checked before the weights are asked for."""
    for name in NEEDED:
        if name not in remote.files:
            raise HubError(
                f"{repo} ({remote.commit[:12]}) holds no generator of genaug: {name} is missing. Those that there are "
                f"stand on {constants.ENDPOINT}/models?other=genaug."
            )
    config = fetch(remote, repo, CONFIG_FILE, MAX_CONFIG_BYTES, force=force)
    try:
        weights = parse_manifest(config.read_bytes(), f"{repo}/{CONFIG_FILE}").weights
    except FormatError as error:
        raise HubError(
            f"{repo} ({remote.commit[:12]}) can't be loaded: {error} Choose another revision, or ask its owner."
        ) from error
    told = remote.files[WEIGHTS_FILE]
    if told.size not in (None, weights.size) or (len(told.digest or "") == 64 and told.digest != weights.sha256):
        raise HubError(
            f"{repo} ({remote.commit[:12]}) holds other weights than its {CONFIG_FILE} describes: somebody "
            "changed one of the two. They weren't fetched; ask the owner to push the generator again, or choose "
            "another revision."
        )
    found = {CONFIG_FILE: config}
    found[WEIGHTS_FILE] = fetch(remote, repo, WEIGHTS_FILE, weights.size, also=weights.sha256, force=force)
    limits = {CARD_FILE: MAX_CARD_BYTES, SHEET_FILE: MAX_SHEET_BYTES}
    return found | {name: fetch(remote, repo, name, limits[name], force=force) for name in names if name not in NEEDED}


def _not_cached(repo: str, revision: str, commit: str | None) -> str:
    damaged = commit is not None and cache.snapshot(repo, commit).is_dir()
    state = "damaged or incomplete" if damaged else "not"
    return (
        f"{repo} ({revision}) is {state} in the cache {constants.HF_HUB_CACHE} (HF_HUB_CACHE), and HF_HUB_OFFLINE=1 "
        f"forbids asking the Hub. Unset it and run `genaug pull {repo}` once."
    )


def _warn(text: str) -> None:
    warnings.warn(redact(text), HubWarning, stacklevel=5)  # for the caller of pull's caller
