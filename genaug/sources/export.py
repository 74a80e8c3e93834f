"""Generated images as files: a folder of class folders with PNG files, as ImageFolder reads them."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from torch import Tensor

from genaug.artifacts.claims import Claim, claim
from genaug.data.class_folders import RECORD_FILE, folder_names
from genaug.modalities.image import to_pil
from genaug.randomness import derive_seed
from genaug.sources.source import Source

PART = 1024  # images that are generated before they are written; part of what a seed means, so never to be changed

Part = tuple[Tensor, Tensor | None]


def sample_parts(source: Source, wanted: int | Tensor, seed: int) -> Iterator[Part]:
    """Images and labels on the CPU, ``PART`` at a time: so many of classes drawn at random, or one for each label.

    The first part is what ``source.sample`` gives for the seed, the others what it gives for seeds derived from
    it. Image i of a seed is the same however many are asked for. Raises
    ``InputError`` if the source gives something else than its spec says, such as floats or NaN.
    """
    count = wanted if isinstance(wanted, int) else len(wanted)
    for start in range(0, count, PART):
        part_seed = seed if start == 0 else derive_seed(seed, "part", start // PART)
        size = min(PART, count - start)
        if isinstance(wanted, int):
            images, labels = source.sample(size, seed=part_seed)
        else:
            images, labels = source.sample(labels=wanted[start : start + PART], seed=part_seed)
        yield (
            source.spec.sample.check(images, size, f"{type(source).__name__}.sample returned").cpu(),
            None if labels is None else labels.cpu(),
        )


def write_class_folders(
    out: str | Path,
    parts: Iterable[Part],
    classes: Sequence[str] | int,
    record: Mapping[str, Any],
    *,
    overwrite: bool = False,
) -> None:
    """Write images as ``out/CLASS/00000.png``, and ``samples.json`` beside them.

    ``parts`` give uint8 images (N, C, H, W) and int64 labels (N,), one part held at a time; without labels the files
    lie in ``out`` itself. ``classes`` are the classes' names, or their number where they have none. ``samples.json``
    is ``record`` with how many images there are, in all and of each class, and the classes' folders and names, by
    which ``folder:PATH`` finds the classes again. All files appear or none, and with ``overwrite`` they take the place
    of samples that genaug wrote there before. Raises ``OutputExistsError`` if the folder holds something else,
    ``SaveError`` if writing fails.
    """
    with claim_samples(out, overwrite) as place:
        fill_class_folders(place, parts, classes, record)


def claim_samples(out: str | Path, overwrite: bool) -> AbstractContextManager[Claim]:
    """Claim a folder for samples."""
    return claim(out, "samples", replace=overwrite)


def fill_class_folders(
    place: Claim, parts: Iterable[Part], classes: Sequence[str] | int, record: Mapping[str, Any]
) -> None:
    """As ``write_class_folders``, into a folder that is claimed already."""
    names = folder_names(classes)
    counts, unlabelled = [0] * len(names), 0
    with place.filling(keep=False) as new:
        for images, labels in parts:
            for index, label in enumerate([None] * len(images) if labels is None else labels.tolist()):
                if label is None:
                    folder, number = new, unlabelled
                    unlabelled += 1
                else:
                    folder, number = new / names[label], counts[label]
                    counts[label] += 1
                    folder.mkdir(exist_ok=True)
                to_pil(images[index]).save(folder / f"{number:05d}.png")
        counted = {
            "count": unlabelled + sum(counts),
            "counts": counts or None,
            "folders": names,
            "classes": None if isinstance(classes, int) else list(classes),
        }
        (new / RECORD_FILE).write_text(json.dumps({**record, **counted}, indent=2) + "\n", encoding="utf-8")
