"""Generated images as files: a folder of class folders with PNG files, as ImageFolder reads them."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from genaug import storage
from genaug.blend.source import check_images
from genaug.class_folders import RECORD_FILE, folder_names
from genaug.errors import OutputExistsError
from genaug.folders import check_replaceable, replaced_folder
from genaug.images import to_pil
from genaug.randomness import mix
from genaug.spec import Source

PART = 1024  # images that are generated before they are written; part of what a seed means, so never to be changed

_FILE = re.compile(r"\d{5,}\.png")
Part = tuple[Tensor, Tensor | None]


def sample_parts(source: Source, wanted: int | Tensor, seed: int) -> Iterator[Part]:
    """Images and labels on the CPU, ``PART`` at a time: so many of classes drawn at random, or one for each label.

    The first part is what ``source.sample`` gives for the seed, the others what it gives for seeds derived from
    it. Image i of a seed is the same however many are asked for. Raises
    ``InputError`` if the source gives something else than its spec says, such as floats or NaN.
    """
    count = wanted if isinstance(wanted, int) else len(wanted)
    for start in range(0, count, PART):
        part_seed = seed if start == 0 else mix(seed, "part", start // PART)
        size = min(PART, count - start)
        if isinstance(wanted, int):
            images, labels = source.sample(size, seed=part_seed)
        else:
            images, labels = source.sample(labels=wanted[start : start + PART], seed=part_seed)
        yield check_images(source, images, size).cpu(), None if labels is None else labels.cpu()


def check_free(out: Path, overwrite: bool) -> None:
    """Refuse a folder that holds something, unless that is samples of ours alone and ``overwrite`` is true."""
    check_replaceable(out)
    if not out.is_dir() or not any(out.iterdir()):
        return
    if not overwrite:
        raise OutputExistsError(f"{out} exists and is not empty. Choose another folder or pass --overwrite.")
    folders = _written_folders(out)
    if folders is None:
        raise OutputExistsError(f"{out} is not empty and holds no samples of genaug; it is left alone.")
    foreign = next(_foreign(out, folders), None)
    if foreign is not None:
        raise OutputExistsError(
            f"{out} also holds {foreign.relative_to(out)}, which is no sample of genaug; it is left alone. Move that "
            "away, or choose another folder."
        )


def _written_folders(out: Path) -> list[str] | None:
    """The class folders that the record names; None where there is no record of ours."""
    try:
        folders = json.loads((out / RECORD_FILE).read_bytes())["folders"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return folders if isinstance(folders, list) else None


def _foreign(out: Path, folders: list[str]) -> Iterator[Path]:
    """What in ``out`` is neither the record nor a sample."""
    for path in out.iterdir():
        if path.is_dir() and path.name in folders:
            yield from (inner for inner in path.iterdir() if not _FILE.fullmatch(inner.name))
        elif path.name != RECORD_FILE and (folders or not _FILE.fullmatch(path.name)):
            yield path


def write_class_folders(
    out: Path,
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
    which ``folder:PATH`` finds the classes again. The folder
    appears whole or not at all. Raises ``OutputExistsError`` where it holds something already, ``SaveError`` where
    writing fails.
    """
    check_free(out, overwrite)
    names = folder_names(classes)
    counts, unlabelled = [0] * len(names), 0
    with storage.saving_to(out), replaced_folder(out) as new:
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
        check_free(out, overwrite)  # again, since generating may take long
