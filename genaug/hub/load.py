"""``genaug.load``: a generator from a folder or from the Hub."""

import re
from pathlib import Path

import torch

from genaug.artifacts.manifest import CONFIG_FILE, WEIGHTS_FILE
from genaug.artifacts.paths import reading_from, user_path
from genaug.errors import FormatError, InputError, NotOnHubError
from genaug.hub.pull import pull
from genaug.hub.redaction import credentials_redacted
from genaug.sources.generator import Generator
from genaug.sources.loading import load_folder

_HUB_ID = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*", re.ASCII)


def load(where: str | Path, *, revision: str | None = None, device: str | torch.device | None = None) -> Generator:
    """Load a generator from a local folder that ``save`` or ``fit`` wrote, or from the Hub; on the GPU if there is one.

    ``where`` is a folder, or a Hub id "owner/name" where no such folder exists. ``revision`` is a branch, a tag or a
    commit's hash on the Hub. A generator that was loaded before comes from huggingface_hub's cache, also if the Hub
    can't be reached (with a ``HubWarning``) or HF_HUB_OFFLINE=1 is set.

    Nothing is unpickled and no code that came with the weights is run. Raises ``FormatError`` for a damaged,
    truncated or foreign folder, ``ReadError`` for one that can't be read, ``PluginError`` if the backend isn't
    installed or is too old (saying what to install), ``HubError`` if no complete copy is available from the Hub.
    """
    folder = user_path(where)
    with reading_from(folder):
        local = folder.exists() or isinstance(where, Path) or not _HUB_ID.fullmatch(where)
        if local and not folder.is_dir():
            raise FormatError(
                f"{where} is not a directory. Expected a directory containing {CONFIG_FILE} and "
                f"{WEIGHTS_FILE}, or a Hub id (owner/name)."
            )
    if local and revision is not None:
        raise InputError(f"{where} is a local folder, and revision= is for the Hub. Leave it out.")
    if local:
        generator = load_folder(folder, device)
        generator.folder = folder
        return generator
    try:
        folder = pull(str(where), revision)
    except NotOnHubError as error:
        raise NotOnHubError(f"there is no folder {where} here, and {error}") from error
    again = f"`genaug pull {where} --force` downloads it again; if that doesn't help, its owner has to push it again."
    with credentials_redacted():  # the files are text from a server too
        return load_folder(folder, device, again)
