"""Generated images as files: a folder of class folders with PNG files, as ImageFolder reads them."""

import json
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from genaug import storage
from genaug.errors import OutputExistsError
from genaug.images import to_pil

RECORD_FILE = "samples.json"


def check_free(out: Path, overwrite: bool) -> None:
    """Refuse a folder that holds something, unless it was written here before and ``overwrite`` is true."""
    if out.exists() and not out.is_dir():
        raise OutputExistsError(f"{out} is a file. Name a folder, or a name that ends in .png for a sheet.")
    if not out.is_dir() or not any(out.iterdir()):
        return
    if not overwrite:
        raise OutputExistsError(f"{out} exists and is not empty. Choose another folder or pass --overwrite.")
    if not (out / RECORD_FILE).is_file():
        raise OutputExistsError(f"{out} is not empty and holds no samples of genaug; it is left alone.")


def write_class_folders(
    out: Path,
    images: Tensor,
    labels: Tensor | None,
    classes: Sequence[str] | int,
    record: Mapping[str, Any],
    *,
    overwrite: bool = False,
) -> None:
    """Write uint8 images (N, C, H, W) as ``out/CLASS/00000.png``, and ``record`` as ``samples.json`` beside them.

    ``classes`` are the classes' names, or their number where they have none. Without labels the files lie in ``out``
    itself. The folder appears whole or not at all. Raises ``OutputExistsError`` where it holds something already,
    ``SaveError`` where writing fails.
    """
    check_free(out, overwrite)
    numbers = [] if labels is None else labels.tolist()
    names = folder_names(classes)
    with storage.saving_to(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
        try:
            new = staging / "new"
            new.mkdir()
            written: dict[Path, int] = {}
            for index, image in enumerate(images.cpu()):
                folder = new if labels is None else new / names[numbers[index]]
                folder.mkdir(exist_ok=True)
                to_pil(image).save(folder / f"{written.get(folder, 0):05d}.png")
                written[folder] = written.get(folder, 0) + 1
            (new / RECORD_FILE).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
            if out.exists():
                os.replace(out, staging / "old")
            os.replace(new, out)
        finally:
            shutil.rmtree(staging, ignore_errors=True)


def folder_names(classes: Sequence[str] | int) -> list[str]:
    """A safe and distinct folder name for each class: its name where that will do, else with what won't replaced.

    Class names come from a generator's file, which anyone may have written: none may lead out of the folder. For a
    number of classes without names, their numbers, padded so that they sort.
    """
    if isinstance(classes, int):
        return [f"{label:0{len(str(max(classes - 1, 0)))}d}" for label in range(classes)]
    safe = ["".join(c if c.isalnum() or c in " -_.,()+" else "_" for c in name).strip(" .")[:80] for name in classes]
    taken: set[str] = set()
    for label, name in enumerate(safe):
        if not name or name.lower() in taken or name == RECORD_FILE:
            safe[label] = f"{name or 'class'}-{label}"
        taken.add(safe[label].lower())
    return safe
