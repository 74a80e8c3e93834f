"""The file with LoRA weights that ``lora=`` names: safetensors only, from a folder, or from a commit on the Hub."""

from dataclasses import replace
from pathlib import Path

from huggingface_hub import constants

from genaug.artifacts.paths import reading_from, user_path
from genaug.errors import FormatError, InputError
from genaug.hub.load import HUB_ID
from genaug_diffusers.hub import find_repo, not_local
from genaug_diffusers.index import local_files
from genaug_diffusers.options import Lora

_SUFFIX = ".safetensors"


def find_lora(lora: Lora) -> tuple[Path, Lora]:
    """The local path of the weights, and ``lora`` with everything in it that names exactly this file.

    Raises ``InputError`` for a file of another format and if several could be meant, ``FormatError`` if there is none,
    and the Hub's errors.
    """
    if lora.weight_name is not None and not lora.weight_name.endswith(_SUFFIX):
        raise InputError(
            f"lora= names the file {lora.weight_name!r}. Expected a .safetensors file: others can run code."
        )
    path = user_path(lora.source)
    with reading_from(path):
        is_file, is_folder = path.is_file(), path.is_dir()
    if (is_file or is_folder) and lora.revision is not None:
        raise InputError(f"lora= has a revision, but {lora.source} is local. Leave the revision out.")
    if is_file:
        if path.suffix != _SUFFIX:
            raise InputError(f"lora= is {lora.source}. Expected a .safetensors file: others can run code.")
        return path, replace(lora, source=str(path.resolve()))
    if is_folder:
        name = _only_file(local_files(path), lora)
        return path / name, replace(lora, source=str(path.resolve()), weight_name=name)
    if not HUB_ID.fullmatch(lora.source) or lora.source.endswith(_SUFFIX):
        raise InputError(
            f"lora= is {lora.source}, which doesn't exist. Expected a folder or a {_SUFFIX} file, or a Hub id "
            "(owner/name)."
        )
    with not_local(f"file or folder {lora.source}"):
        repo = find_repo(lora.source, lora.revision, lambda folder: _is_complete(folder, lora))
    name = _only_file(repo.files, lora)
    folder = repo.fetch([name])
    repo.remember()
    return folder / name, replace(lora, weight_name=name, revision=repo.commit)


def _is_complete(folder: Path, lora: Lora) -> bool:
    """Whether a commit's folder in the cache is enough to know the file, which may be one of several on the Hub."""
    if lora.weight_name is not None:
        return lora.weight_name in local_files(folder)
    return constants.is_offline_mode() and any(name.endswith(_SUFFIX) for name in local_files(folder))


def _only_file(names: list[str], lora: Lora) -> str:
    if lora.weight_name is not None:
        if lora.weight_name not in names or ".." in lora.weight_name:
            raise FormatError(f"{lora.source} has no file {lora.weight_name!r}. Correct weight_name in lora=.")
        return lora.weight_name
    candidates = sorted(name for name in names if name.endswith(_SUFFIX) and "/" not in name)
    if not candidates:
        raise FormatError(f"{lora.source} has no .safetensors file, and weights of other formats aren't loaded.")
    if len(candidates) > 1:
        raise InputError(
            f"{lora.source} has several files with weights ({', '.join(candidates[:5])}). Name one: "
            f"lora={{'source': {lora.source!r}, 'weight_name': {candidates[0]!r}}}."
        )
    return candidates[0]
