"""Classes as folders on disk: a safe folder name per class, and the record of the class names."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, Field, ValidationError

from genaug.backends.spec import MAX_CLASSES, MAX_NAME

RECORD_FILE = "samples.json"
MAX_RECORD_BYTES = 2**26


def folder_names(classes: Sequence[str] | int) -> list[str]:
    """A safe and distinct folder name for each class: its name, with unsafe characters replaced.

    Class names come from a generator's file, which anyone may have written: none may lead out of the folder. For a
    number of classes without names, their numbers, padded so that they sort.
    """
    if isinstance(classes, int):
        return [f"{label:0{len(str(max(classes - 1, 0)))}d}" for label in range(classes)]
    safe = ["".join(c if c.isalnum() or c in " -_.,()+" else "_" for c in name).strip(" .")[:80] for name in classes]
    taken = {"", RECORD_FILE}
    for label, name in enumerate(safe):
        number = label
        while safe[label].lower() in taken:
            safe[label] = f"{name or 'class'}-{number}"
            number += 1
        taken.add(safe[label].lower())
    return safe


class _Record(BaseModel):
    """The part of ``samples.json`` that says which folder contains which class."""

    folders: Annotated[list[Annotated[str, Field(max_length=MAX_NAME)]], Field(max_length=MAX_CLASSES)]
    classes: Annotated[list[Annotated[str, Field(max_length=MAX_NAME)]], Field(max_length=MAX_CLASSES)] | None
    complete: bool = True


def recorded_classes(folder: Path) -> tuple[list[str], list[str] | None] | None:
    """The folders that ``samples.json`` names, in label order, and the names of their classes (None if they have none).

    None if there is no such file, or it isn't one that genaug wrote with its samples.
    """
    record = _record(folder)
    if record is None or not record.folders:
        return None
    distinct = len(set(record.folders)) == len(record.folders)
    fits = record.classes is None or len(set(record.classes)) == len(record.classes) == len(record.folders)
    return (record.folders, record.classes) if distinct and fits else None


def is_incomplete(folder: Path) -> bool:
    """Whether ``samples.json`` says that genaug hasn't generated all samples of a folder yet."""
    record = _record(folder)
    return record is not None and not record.complete


def _record(folder: Path) -> _Record | None:
    path = folder / RECORD_FILE
    try:
        if not path.is_file() or path.stat().st_size > MAX_RECORD_BYTES:
            return None
        return _Record.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None
