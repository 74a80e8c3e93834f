"""``genaug.load``: a source from a folder, from the Hub, or from a scheme that a plugin registers."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from genaug.artifacts.manifest import CONFIG_FILE, WEIGHTS_FILE
from genaug.artifacts.paths import reading_from, user_path
from genaug.artifacts.recipe import RECIPE_FILE, is_recipe
from genaug.backends.registry import call, discover
from genaug.errors import FormatError, InputError, NotOnHubError
from genaug.hub.pull import pull
from genaug.hub.redaction import credentials_redacted
from genaug.sources.generator import Generator
from genaug.sources.loading import load_folder
from genaug.sources.recipes import load_recipe
from genaug.sources.source import check_source

HUB_ID = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*", re.ASCII)


def load(
    where: str | Path, *, revision: str | None = None, device: str | torch.device | None = None, **options: Any
) -> Generator | Any:
    """Load a generator from a local folder written by ``save`` or ``fit``, or from the Hub.

    If the folder or the repo contains a recipe (see ``genaug.save_recipe``), the source that it describes is built by
    the plugin that provides it, and returned.

    ``where`` is a folder, or a Hub id "owner/name" if no such folder exists. ``revision`` is a branch, a tag or the
    hash of a commit on the Hub. A generator that was loaded before comes from huggingface_hub's cache, even if the Hub
    can't be reached (with a ``HubWarning``) or HF_HUB_OFFLINE=1 is set. ``device`` is the GPU by default if there is
    one, otherwise the CPU. Returns a ``Generator``.

    "SCHEME:REST", with the scheme of an installed plugin, returns the plugin's source for REST; ``revision`` and
    ``options`` are passed to the plugin.

    Nothing is unpickled, and no code that comes with the weights is run. Raises ``FormatError`` for a damaged,
    truncated or foreign folder, ``ReadError`` for one that can't be read, ``PluginError`` if the backend isn't
    installed or is too old (saying what to install), ``HubError`` if no complete copy is available from the Hub.
    """
    if not isinstance(where, str | os.PathLike):
        raise InputError(f"load got {type(where).__name__}. Expected a folder, a Hub id (owner/name) or SCHEME:REST.")
    if is_source_name(where):
        scheme, _, rest = str(where).partition(":")
        if not rest.strip():
            raise InputError(
                f"{where!r} lacks what follows {scheme}:, such as a Hub id ({scheme}:owner/name) or the path of a "
                f"folder ({scheme}:PATH)."
            )
        options = options if revision is None else {**options, "revision": revision}
        source = call(discover().sources[scheme], rest, device=device, **options)
        check_source(source)
        return source
    if options:
        raise InputError(f"load has no option {next(iter(options))!r} for a folder or a Hub id. Leave it out.")
    return load_located(locate(where, revision), device)


def is_source_name(where: str | Path) -> bool:
    """Whether this is "SCHEME:REST" with the scheme of an installed plugin, and no folder of that name exists."""
    scheme, colon, _ = str(where).partition(":")
    known = bool(colon) and isinstance(where, str) and scheme in discover().sources
    return known and not user_path(where).exists()


@dataclass(frozen=True)
class Located:
    """The folder of a generator or a recipe: a user's own, or with ``repo`` one in the cache."""

    folder: Path
    repo: str | None = None


def locate(where: str | Path, revision: str | None = None) -> Located:
    """Find a folder, or pull a repo from the Hub. Raises the errors of ``load``."""
    folder = user_path(where)
    with reading_from(folder):
        local = folder.exists() or isinstance(where, os.PathLike) or not HUB_ID.fullmatch(where)
        if local and not folder.is_dir():
            raise FormatError(
                f"{where} is not a directory. Expected a directory containing {CONFIG_FILE} and "
                f"{WEIGHTS_FILE}, or {RECIPE_FILE}, a Hub id (owner/name), or a source of an installed plugin "
                f"({', '.join(f'{name}:…' for name in discover().sources) or 'none is installed'})."
            )
    if local and revision is not None:
        raise InputError(f"{where} is a local folder, but revision= is for the Hub. Leave it out.")
    if local:
        return Located(folder)
    try:
        return Located(pull(str(where), revision), str(where))
    except NotOnHubError as error:
        raise NotOnHubError(f"there is no folder {where} here, and {error}") from error


def load_located(place: Located, device: str | torch.device | None) -> Generator | Any:
    """Load the generator, or build the source of the recipe, in a folder. Raises the errors of ``load``."""
    folder, repo = place.folder, place.repo
    if repo is None and is_recipe(folder):
        return load_recipe(folder, device)
    if repo is None:
        generator = load_folder(folder, device)
        generator.folder = folder
        return generator
    remedy = f"`genaug pull {repo} --force` downloads it again; if that doesn't help, its owner has to push it again."
    with credentials_redacted():  # the files come from a server too
        if is_recipe(folder):
            return load_recipe(folder, device)
        generator = load_folder(folder, device, remedy)
    generator.repo = repo
    return generator
