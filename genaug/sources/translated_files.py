"""A dataset's images, translated into another domain, as files: class folders of PNG files."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from genaug.artifacts.claims import Claim
from genaug.data.class_folders import folder_names
from genaug.data.classes import match_classes
from genaug.data.items import file_of
from genaug.data.reading import Samples, fingerprint, read_samples
from genaug.errors import InputError
from genaug.escaping import escaped
from genaug.randomness import check_seed
from genaug.sources.chunks import chunk_size
from genaug.sources.export import claim_samples, file_names, fill_files, identity_of, part_seed
from genaug.sources.generator import Generator
from genaug.sources.source import image_shape
from genaug.sources.translating import Translating

_AT_ONCE = 64  # images; if translating one is quick, more. Images of a generator with noise depend on it


def write_translations(
    generator: Generator,
    dataset: Any,
    out: str | Path,
    *,
    to: str | None = None,
    image_size: int | None = None,
    seed: int = 0,
    overwrite: bool = False,
    progress: bool = True,
) -> Path:
    """Translate a dataset's images into a folder, as ``out/CLASS/NAME.png``, and return the folder.

    ``to`` is the domain to translate into, by default the second of ``generator.domains``; ``image_size`` resizes the
    shorter side to this and crops the center. Images have the names of their files, or are numbered if these aren't
    known; those of a dataset without labels are written to ``out`` itself. If an earlier process with the same
    generator, data and settings was stopped, its images are kept and the others are translated; the files are the same
    either way. ``samples.json`` records the settings and the classes, which ``load_data("folder:OUT")`` reads.

    Raises ``InputError`` for a generator that can't translate, for a domain that it doesn't know and for images that
    don't fit it, ``OutputExistsError`` if the folder contains anything else, ``SaveError`` if writing fails.
    """
    settings = translation_settings(type(generator).__name__, type(dataset).__name__, to=to, seed=check_seed(seed))
    with claim_samples(out, settings, overwrite) as place:
        fill_translations(place, generator, dataset, settings, image_size, overwrite=overwrite, progress=progress)
    return place.path


def translation_settings(source: str, data: str, *, to: str | None, seed: int) -> dict[str, Any]:
    """The settings that are known before the generator and the data are loaded, as ``samples.json`` has them."""
    return {"source": escaped(source), "data": escaped(data), "to": to, "seed": seed}


def fill_translations(
    place: Claim,
    generator: Generator,
    dataset: Any,
    settings: Mapping[str, Any],
    image_size: int | None = None,
    *,
    overwrite: bool = False,
    progress: bool = True,
) -> int:
    """Translate the images that a claimed folder lacks. The arguments are those of ``write_translations``, and the
    result is the number of images in the folder."""
    data, labels = read_for_translation(generator, dataset, settings["to"], image_size)
    names, count = data.spec.class_names, len(data.x)
    size = max(_AT_ONCE, chunk_size(generator.spec, torch.device("cpu")))
    folders = folder_names(names if names is not None else data.spec.num_classes)
    record = {
        **settings,
        **identity_of(generator),
        "data_sha256": fingerprint(data),
        "batch_size": size,
        "count": count,
        "counts": None if data.labels is None else data.labels.bincount(minlength=data.spec.num_classes).tolist(),
        "folders": folders,
        "classes": None if names is None else list(names),
    }

    def draw(start: int, stop: int) -> Tensor:
        own = None if labels is None else labels[start:stop]
        seed = part_seed(settings["seed"], start, size)
        translated: Tensor = generator.translate(data.x[start:stop], own, to=settings["to"], seed=seed)
        return translated.cpu()

    files = _file_names(dataset, data, folders)
    fill_files(place, files, record, draw, overwrite=overwrite, progress=progress, doing="translate")
    return count


def read_for_translation(
    generator: Generator, dataset: Any, to: str | None, image_size: int | None
) -> tuple[Samples, Tensor | None]:
    """A dataset's images, and their labels in the generator's numbering if it takes labels.

    Raises ``InputError`` as ``write_translations`` does.
    """
    translator = Translating(generator, to)
    image_shape(translator.spec, "translation into files")
    data = read_samples(dataset, image_size, needs_labels=translator.spec.takes_labels)
    translator.check_vary(data.spec.sample, translator.strength)
    if not translator.spec.takes_labels:
        return data, None
    if data.labels is None:
        raise InputError("the images have no labels, and this generator takes them. Pass images in class folders.")
    match = match_classes(data.labels.unique().tolist(), data.spec.class_names, translator.spec)
    return data, torch.from_numpy(match.astype(np.int64))[data.labels]


def _file_names(dataset: Any, data: Samples, folders: list[str]) -> list[str]:
    """The names of the images' own files, as PNG, in the folders of their classes; numbers if they aren't known."""
    count = len(data.x)
    stems = [None if (file := file_of(dataset, index)) is None else Path(file).stem for index in range(count)]
    if None in stems:
        return file_names(data.labels, folders, count)
    labels = [0] * count if data.labels is None else data.labels.tolist()
    names: list[str] = [""] * count
    for label in set(labels):
        rows = [row for row in range(count) if labels[row] == label]
        folder = "" if data.labels is None else f"{folders[label]}/"
        for row, name in zip(rows, folder_names([str(stems[row]) for row in rows]), strict=True):
            names[row] = f"{folder}{name}.png"
    return names
