"""A saved generator: a folder with ``config.json`` and ``model.safetensors``, written atomically, checked on load."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import safetensors
import safetensors.torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor

from genaug.artifacts.claims import claim
from genaug.artifacts.json_files import parse_own
from genaug.artifacts.paths import reading_from
from genaug.backends.spec import Spec
from genaug.checks import first_problem
from genaug.errors import FormatError, SaveError

FORMAT_VERSION = 2
CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
MAX_CONFIG_BYTES = 2**20
AGAIN = "Save the generator again; for a run folder, train with --resume."
MAX_WEIGHTS_BYTES = 2**34
_OPTIONS = "Choose another folder or pass overwrite=True (--overwrite)."


class Weights(BaseModel):
    """The hash and size of ``model.safetensors``."""

    model_config = ConfigDict(extra="forbid")

    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    size: Annotated[int, Field(ge=1, le=MAX_WEIGHTS_BYTES)]


class Manifest(BaseModel):
    """The content of ``config.json``. ``training`` is provenance only: nothing depends on it.

    ``extras`` are the networks whose weights the file also holds, for fine-tuning: sampling doesn't need them.
    """

    model_config = ConfigDict(extra="forbid")

    library: Literal["genaug"] = "genaug"
    format_version: Literal[2] = 2
    backend: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
    distribution: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
    distribution_version: Annotated[str, Field(pattern=r"^[A-Za-z0-9.+!_-]{1,100}$")]
    config: dict[str, Any]
    spec: Spec
    training: dict[str, Any] = {}
    weights: Weights
    extras: Annotated[tuple[Annotated[str, Field(max_length=64)], ...] | None, Field(max_length=16)] = None


def encode_generator(fields: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> dict[str, bytes]:
    """The content of both files, always the same bytes for the same generator. ``fields`` are those of the manifest.

    Raises ``SaveError`` if a tensor holds NaN or infinite values.
    """
    broken = first_not_finite(tensors)
    if broken is not None:
        raise SaveError(
            f"the generator isn't saved, since its tensor {broken!r} holds NaN or infinite values. Train it again with "
            "a lower learning rate or in float32, or go back to a generator that was saved before."
        )
    weights = safetensors.torch.save({name: t.detach().cpu().contiguous().clone() for name, t in tensors.items()})
    manifest = Manifest(**fields, weights=Weights(sha256=hashlib.sha256(weights).hexdigest(), size=len(weights)))
    return {WEIGHTS_FILE: weights, CONFIG_FILE: encode_manifest(manifest)}


def first_not_finite(tensors: Mapping[str, Tensor]) -> str | None:
    """The name of the first tensor with a NaN or an infinite value; None if there is none."""
    return next((name for name, tensor in tensors.items() if not bool(tensor.isfinite().all())), None)


def encode_manifest(manifest: Manifest) -> bytes:
    """The content of ``config.json``."""
    return (manifest.model_dump_json(indent=2, exclude_none=True) + "\n").encode()


def write_generator(
    folder: str | Path,
    fields: Mapping[str, Any],
    tensors: Mapping[str, Tensor],
    overwrite: bool,
    also: Mapping[str, bytes] | None = None,
) -> Path:
    """Write both files and those of ``also``, or nothing, and return the folder.

    Raises ``OutputExistsError`` if the folder isn't empty and ``overwrite`` is false, if it contains only files of
    others, or files with these names that genaug didn't write, and ``SaveError`` if writing fails or weights aren't
    finite. The folder is unchanged then.
    """
    contents = {**(also or {}), **encode_generator(fields, tensors)}
    with claim(folder, "generator", replace=overwrite, options=_OPTIONS) as place:
        place.write(contents)
    return place.path


def _current_config(folder: Path) -> Path:
    """The file that describes the weights in ``folder``: ``config.json``, or the one that was about to replace it.

    The latter exists if a process was killed after it had replaced the weights.
    """
    usual = folder / CONFIG_FILE
    staged = sorted(folder.glob(f".genaug-*/new/{CONFIG_FILE}"))
    return next((path for path in (usual, *staged) if _describes_weights(path, folder)), usual) if staged else usual


def _describes_weights(config: Path, folder: Path) -> bool:
    try:
        weights = _parse_file(config).weights
        if (folder / WEIGHTS_FILE).stat().st_size != weights.size:
            return False
        with open(folder / WEIGHTS_FILE, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == weights.sha256
    except (OSError, FormatError):
        return False


def read_manifest(folder: Path) -> Manifest:
    """Read and validate ``config.json``; no more than ``MAX_CONFIG_BYTES`` are ever read.

    If a process was killed between replacing the weights and ``config.json``, the new one is read.
    Raises ``FormatError``, and ``ReadError`` if it can't be read.
    """
    with reading_from(folder):
        path = _current_config(folder)
        if not path.is_file():
            raise FormatError(
                f"{folder} holds no saved generator: {CONFIG_FILE} is missing. Expected the output of save() or fit()."
            )
        return _parse_file(path)


def _parse_file(path: Path) -> Manifest:
    with open(path, "rb") as file:
        return parse_manifest(file.read(MAX_CONFIG_BYTES + 1), str(path))


def parse_manifest(content: bytes, where: str) -> Manifest:
    """Validate the content of a ``config.json``; its limits are checked before anything is allocated.

    Raises ``FormatError``, also for JSON that couldn't be written again: nested too deeply, or with lone surrogates.
    """
    fields = parse_own(content, where, limit=MAX_CONFIG_BYTES, version=FORMAT_VERSION)
    if fields.get("format_version") == 1:
        raise FormatError(
            f"{where} has format version 1, which only development versions of genaug wrote and this one can't read, "
            "so the generator has to be trained again in another folder (a run of such a version can't be resumed)."
        )
    try:
        return Manifest.model_validate(fields)
    except ValidationError as error:
        raise FormatError(f"{where} is not a valid generator config: {first_problem(error)}.") from error


def read_weights(folder: Path, expected: Weights, again: str) -> dict[str, Tensor]:
    """Read ``model.safetensors`` after checking its size and sha256 against the manifest. ``again`` is the remedy.

    Raises ``FormatError`` if the file isn't the one of the manifest, and ``ReadError`` if it can't be read.
    """
    path = folder / WEIGHTS_FILE
    with reading_from(path):
        if not path.is_file():
            raise FormatError(f"{path} is missing. {again}")
        size = path.stat().st_size
        if size != expected.size:
            kind = "truncated" if size < expected.size else "not the file that config.json describes"
            raise FormatError(f"{path} is {kind}: {size} bytes, expected {expected.size}. {again}")
        with open(path, "rb") as file:
            content = file.read(size)  # no more, even if it is growing
    if hashlib.sha256(content).hexdigest() != expected.sha256:
        raise FormatError(f"{path} is damaged or foreign: its sha256 is not the one in {CONFIG_FILE}. {again}")
    try:
        return safetensors.torch.load(content)
    except (safetensors.SafetensorError, ValueError, KeyError, TypeError, RuntimeError) as error:  # torch's among them
        reason = str(error).partition("\n")[0]
        raise FormatError(f"{path} is not a safetensors file ({reason}). {again}") from error
