"""Generated samples as one file, for modalities that have formats for many samples: CSV and Parquet, or .npz."""

import os
from collections.abc import Iterable
from pathlib import Path

import torch

from genaug.artifacts.folders import resolve, saving_to, sweep, temporary_name
from genaug.backends.spec import Spec
from genaug.errors import InputError, OutputExistsError
from genaug.modalities.known import MODALITIES
from genaug.sources.export import Part

SUFFIXES = tuple(suffix for modality in MODALITIES.values() for suffix in modality.files)


def check_file(out: str | Path, overwrite: bool) -> Path:
    """The path of a new file. Raises ``OutputExistsError`` if it exists, unless it is a file and ``overwrite``."""
    path = resolve(out)
    if path.is_dir():
        raise OutputExistsError(f"{path} is a directory. Choose another name.")
    if os.path.lexists(path) and not overwrite:
        raise OutputExistsError(f"{path} exists. Choose another name or pass --overwrite.")
    return path


def save_samples(path: Path, spec: Spec, parts: Iterable[Part]) -> None:
    """Write samples with their labels to a file of a format that their modality has, replacing an existing one
    atomically.

    Raises ``InputError`` if the modality has no such format, or what it needs isn't installed, and ``SaveError`` if
    writing fails.
    """
    suffix = path.suffix.lower()
    if suffix not in spec.sample.files:
        owner = next(modality for modality in MODALITIES.values() if suffix in modality.files)
        names = " or ".join(f"NAME{own}" for own in spec.sample.files) or "a folder"
        raise InputError(
            f"{suffix} files are for {owner.long_noun or owner.noun}, and these are {spec.sample.noun}: pass {names}."
        )
    samples, labels = zip(*parts, strict=True)
    classes = None if labels[0] is None else torch.cat([part for part in labels if part is not None])
    with saving_to(path, "choose another file"):
        path.parent.mkdir(parents=True, exist_ok=True)
        sweep(path.parent)
        part = path.parent / f".{temporary_name()}"
        try:
            spec.sample.write(part, suffix, torch.cat(samples), classes, spec.class_names)
            with open(part, "rb") as file:
                os.fsync(file.fileno())
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)
