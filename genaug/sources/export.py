"""Generated images as files: a folder of class folders with PNG files, as ImageFolder reads them."""

import json
from collections import Counter
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

PART = 1024  # images that are generated before they are written; never change this: the samples of a seed depend on it

Part = tuple[Tensor, Tensor | None]


def sample_parts(source: Source, request: int | Tensor, seed: int) -> Iterator[Part]:
    """Images and labels on the CPU, ``PART`` at a time: a number of samples with random labels, or one per label.

    The first part is drawn with ``seed``, the others with seeds derived from it; image i of a seed doesn't depend on
    the number of images. Raises ``InputError`` if samples don't fit the source's spec, such as floats or NaN.
    """
    count = request if isinstance(request, int) else len(request)
    for start in range(0, count, PART):
        part_seed = seed if start == 0 else derive_seed(seed, "part", start // PART)
        size = min(PART, count - start)
        part: Any = {"n": size} if isinstance(request, int) else {"labels": request[start : start + PART]}
        images, labels = source.sample(**part, seed=part_seed)
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

    ``parts`` are uint8 images (N, C, H, W) and int64 labels (N,), one part in memory at a time; images without labels
    are written to ``out`` itself. ``classes`` are the names of the classes, or their number if they have none.
    ``samples.json`` contains ``record``, the number of images, in total and per class, and the folders and names of the
    classes, from which ``folder:PATH`` knows the classes. Either all files are written or none; with ``overwrite`` they
    replace samples that genaug wrote there before. Raises ``OutputExistsError`` if the folder contains anything else,
    ``SaveError`` if writing fails.
    """
    with claim_samples(out, overwrite) as folder:
        fill_class_folders(folder, parts, classes, record)


def claim_samples(out: str | Path, overwrite: bool) -> AbstractContextManager[Claim]:
    """Claim a folder for samples."""
    return claim(out, "samples", replace=overwrite)


def fill_class_folders(
    claimed: Claim, parts: Iterable[Part], classes: Sequence[str] | int, record: Mapping[str, Any]
) -> None:
    """Like ``write_class_folders``, for a folder that is already claimed."""
    names = folder_names(classes)
    counts: Counter[str] = Counter()
    with claimed.filling(keep=False) as new:
        for images, labels in parts:
            for index in range(len(images)):
                name = "." if labels is None else names[int(labels[index])]
                (new / name).mkdir(exist_ok=True)
                to_pil(images[index]).save(new / name / f"{counts[name]:05d}.png")
                counts[name] += 1
        content = {
            **record,
            "count": counts.total(),
            "counts": [counts[name] for name in names] or None,
            "folders": names,
            "classes": None if isinstance(classes, int) else list(classes),
        }
        (new / RECORD_FILE).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
