"""Pulling a generator: only the files of the format, each verified before anything can use it.

huggingface_hub checks only the size of a download. Therefore files are downloaded here, over its session and with its
headers and token, into its cache: never more bytes than announced, and only files with the right hash are kept.
"""

import errno
import os
import re
import warnings
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

from huggingface_hub import constants
from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

from genaug.artifacts.claims import Claim, claim
from genaug.artifacts.folders import saving_to
from genaug.artifacts.manifest import CONFIG_FILE, MAX_CONFIG_BYTES, WEIGHTS_FILE, parse_manifest
from genaug.artifacts.recipe import MAX_RECIPE_BYTES, RECIPE_FILE, parse_recipe
from genaug.errors import FormatError, HubError, HubWarning, NotOnHubError, SaveError
from genaug.hub import cache, client
from genaug.hub.answers import RepoAnswer, Sibling, parse_repo
from genaug.hub.download import Remote, RemoteFile, fetch
from genaug.hub.explain import explain
from genaug.hub.redaction import credentials_redacted, redact

CARD_FILE = "README.md"
SHEET_FILE = "samples.png"
NEEDED = (CONFIG_FILE, WEIGHTS_FILE)
PUBLISHED = (*NEEDED, RECIPE_FILE, CARD_FILE, SHEET_FILE)
MAX_CARD_BYTES = 2**20
MAX_SHEET_BYTES = 2**26
_NAME = re.compile(r"[\w.-]{1,100}/[\w.-]{1,100}", re.ASCII)
_NOT_WRITABLE = (errno.EROFS, errno.EACCES, errno.EPERM)
_QUICK = 5.0  # seconds to wait for an answer if the cache has one already


def pull(repo: str, revision: str | None = None, *, extras: bool = False, force: bool = False) -> Path:
    """The folder in the cache with a generator's ``config.json`` and ``model.safetensors``, or a ``recipe.json``,
    downloaded if needed.

    ``extras`` adds its card and sample grid. Complete files in the cache aren't downloaded again unless ``force`` is
    true; for a full commit hash, no request is made at all. If the Hub can't be reached or the cache can't be written,
    the last known commit of the revision is used, with a ``HubWarning``.

    Raises ``InputError`` for an invalid repo id or revision, ``NotOnHubError`` if there is no such repo, ``HubError``
    if no complete copy is available, ``SaveError`` if the cache can't be written. Damaged and incomplete downloads are
    discarded.
    """
    with credentials_redacted():
        return _pull(repo, constants.DEFAULT_REVISION if revision is None else revision, extras, force)


def _pull(repo: str, revision: str, extras: bool, force: bool) -> Path:
    client.check_repo_id(repo)
    client.check_revision(revision)
    commit = cache.known_commit(repo, revision)
    verified = {} if commit is None else cache.blob_names(repo, commit, (*NEEDED, RECIPE_FILE))
    complete = all(name in verified for name in _needed(verified))
    cached = cache.snapshot(repo, commit) if commit is not None and complete else None
    if constants.is_offline_mode():
        if force:
            raise HubError(f"{repo} can't be downloaded again: HF_HUB_OFFLINE=1 forbids requests to the Hub. Unset it.")
        if cached is None:
            raise NotOnHubError(_not_cached(repo, revision, commit))
        return cached
    if cached is not None and cache.is_commit(revision) and not (force or extras):
        return cached
    remote = describe_or_warn(repo, revision, None if cached is None else cached.name, force=force)
    if remote is None:
        assert cached is not None
        return cached
    needed = _needed(remote.files)
    names = (*needed, *(name for name in (CARD_FILE, SHEET_FILE) if extras and name in remote.files))
    if not force:
        if remote.commit != commit or names != needed:
            verified = cache.blob_names(repo, remote.commit, names)
        digests = {name: file.digest for name, file in remote.files.items()}
        if all(name in verified and digests.get(name) in (None, verified[name]) for name in names):
            with suppress(OSError):  # the files are there, even if the cache is read-only
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
            f"commit {remote.commit[:12]}, wasn't downloaded. Using commit {cached.name[:12]} from the cache; for the "
            "other, set HF_HUB_CACHE to a folder that you can write to."
        )
        return cached
    return folder


def _needed(names: Collection[str]) -> tuple[str, ...]:
    """The files that are needed to load a repo with files of these names."""
    return (RECIPE_FILE,) if RECIPE_FILE in names and CONFIG_FILE not in names else NEEDED


def claim_copy(out: str | Path, overwrite: bool) -> AbstractContextManager[Claim]:
    """Claim a folder for a copy of a generator.

    Raises ``OutputExistsError`` if it isn't empty, unless ``overwrite``, and if files that genaug didn't write are in
    the way.
    """
    options = "Choose another folder or pass overwrite=True (--force)."
    return claim(out, "generator", replace=overwrite, options=options)


def write_copy(folder: Path, place: Claim) -> None:
    """Copy the files of a pulled generator from the cache into a claimed folder, either all or none."""
    names = [name for name in PUBLISHED if cache.blob_name(folder / name) is not None]
    place.write({name: (folder / name).read_bytes() for name in names})


def describe(
    repo: str,
    revision: str | None = None,
    *,
    quick: bool = False,
    keep: Callable[[str], bool] = PUBLISHED.__contains__,
) -> Remote:
    """The Hub's description of a repo at a revision, or of its newest commit.

    ``quick`` sends a single request with a short timeout, for callers with an older answer; ``keep`` chooses files by
    name, by default those of a generator. Raises ``InterruptionError`` for a failure that may be temporary,
    ``HubError`` for any other.
    """
    window = min(_QUICK, client.SILENCE) if quick else client.SILENCE
    timeout = min(float(constants.HF_HUB_ETAG_TIMEOUT), window)
    path = f"{repo}/revision/{quote(revision, safe='')}" if revision else repo
    url = f"{constants.ENDPOINT}/api/models/{path}?blobs=true"

    def request() -> RepoAnswer:  # HfApi.model_info would read an answer of any length
        with client.answer_to(url, client.headers(), timeout, window=window, limit=client.MAX_ANSWER_BYTES) as answer:
            client.check_answer(answer)
            return parse_repo(b"".join(answer.iter_raw()))

    try:
        client.check_token()
        info = client.persistently(request, timeout, once=quick)
        if revision is not None and cache.is_commit(revision) and info.sha != revision:
            raise ValueError(f"it names {info.sha} for the commit {revision}")
    except (client.InterruptionError, HubError):
        raise
    except (HfHubHTTPError, OfflineModeIsEnabled) as error:
        raise explain(error, repo, revision) from error
    except Exception as error:  # any error in the client that a server which isn't a Hub may cause
        raise client.NotAHubError(error) from error
    name = info.id if info.id is not None and _NAME.fullmatch(info.id) else repo
    files = {sibling.name: _remote_file(sibling) for sibling in info.siblings or () if keep(sibling.name)}
    return Remote(name, info.sha, bool(info.private), files)


def _remote_file(sibling: Sibling) -> RemoteFile:
    large = sibling.lfs
    size, digest = (sibling.size, sibling.blob_id) if large is None else (large.size, large.sha256)
    return RemoteFile(size, digest if digest and cache.is_hash(digest) else None)


def _fetch_all(remote: Remote, repo: str, names: tuple[str, ...], force: bool) -> dict[str, Path]:
    """The paths of the files' blobs by name."""
    limits = {CARD_FILE: MAX_CARD_BYTES, SHEET_FILE: MAX_SHEET_BYTES}
    extras = {name: limits[name] for name in names if name in limits}
    if RECIPE_FILE in names:
        needed = {RECIPE_FILE: _fetch_recipe(remote, repo, force)}
    else:
        needed = _fetch_generator(remote, repo, force)
    return needed | {name: fetch(remote, repo, name, limit, force=force) for name, limit in extras.items()}


def _fetch_recipe(remote: Remote, repo: str, force: bool) -> Path:
    recipe = fetch(remote, repo, RECIPE_FILE, MAX_RECIPE_BYTES, force=force)
    with _unusable(remote, repo):
        manifest = parse_recipe(recipe.read_bytes(), f"{repo}/{RECIPE_FILE}")
        if manifest.revision is None:
            raise FormatError(f"{RECIPE_FILE} names no commit of {manifest.source}, which may be a path on your disk.")
    return recipe


def _fetch_generator(remote: Remote, repo: str, force: bool) -> dict[str, Path]:
    """Both files of a generator. config.json is checked before the weights are downloaded."""
    for name in NEEDED:
        if name not in remote.files:
            raise HubError(
                f"{repo} ({remote.commit[:12]}) doesn't contain a genaug generator: {name} is missing. Generators on "
                f"the Hub are listed on {constants.ENDPOINT}/models?other=genaug."
            )
    config = fetch(remote, repo, CONFIG_FILE, MAX_CONFIG_BYTES, force=force)
    with _unusable(remote, repo):
        weights = parse_manifest(config.read_bytes(), f"{repo}/{CONFIG_FILE}").weights
    file = remote.files[WEIGHTS_FILE]
    if file.size not in (None, weights.size) or (len(file.digest or "") == 64 and file.digest != weights.sha256):
        raise HubError(
            f"{repo} ({remote.commit[:12]}) has other weights than its {CONFIG_FILE} describes: one of the two was "
            "changed. They weren't downloaded. Ask the owner to push the generator again, or choose another revision."
        )
    return {
        CONFIG_FILE: config,
        WEIGHTS_FILE: fetch(remote, repo, WEIGHTS_FILE, weights.size, sha256=weights.sha256, force=force),
    }


@contextmanager
def _unusable(remote: Remote, repo: str) -> Iterator[None]:
    """Around reading a file that was downloaded: if it is invalid, the error says whose it is."""
    try:
        yield
    except FormatError as error:
        raise HubError(
            f"{repo} ({remote.commit[:12]}) can't be loaded: {error} Choose another revision, or ask its owner."
        ) from error


def _not_cached(repo: str, revision: str, commit: str | None) -> str:
    state = "damaged or incomplete" if commit and cache.snapshot(repo, commit).is_dir() else "not"
    return (
        f"{repo} ({revision}) is {state} in the cache {constants.HF_HUB_CACHE} (HF_HUB_CACHE), and HF_HUB_OFFLINE=1 "
        f"forbids requests to the Hub. Unset it and run `genaug pull {repo}` once."
    )


def _warn(text: str, stacklevel: int = 6) -> None:
    """``stacklevel`` leads from here to the caller of ``genaug.load``."""
    warnings.warn(redact(text), HubWarning, stacklevel=stacklevel)


def describe_or_warn(
    repo: str,
    revision: str,
    known: str | None,
    *,
    force: bool = False,
    keep: Callable[[str], bool] = PUBLISHED.__contains__,
    stacklevel: int = 7,
) -> Remote | None:
    """The Hub's description of a repo at a revision. None, with a ``HubWarning``, if the Hub can't be reached and the
    commit ``known`` is in the cache, unless ``force``. Raises ``HubError`` otherwise.

    ``stacklevel`` leads from the warning to the caller of ``genaug.load``.
    """
    try:
        remote = describe(repo, revision, quick=known is not None and not force, keep=keep)
    except client.InterruptionError as interruption:
        problem = explain(interruption, repo)
        if known is None or force:
            raise problem from interruption
        _warn(f"{problem} Using the last known commit of {revision} of {repo}, {known[:12]}.", stacklevel)
        return None
    except HubError as error:
        if known is None:
            raise
        raise HubError(f"{error} Its last known commit is still in the cache: revision='{known}'.") from error
    if remote.repo.lower() != repo.lower():
        rename = f"{repo} is now called {remote.repo}."
        _warn(f"{rename} Use the new name, since somebody else could take the old one.", stacklevel)
    return remote
