"""On what data a generator was trained, as ``genaug train`` was told, and as its record tells."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from genaug.errors import InputError

DATA_FILE = "data.json"


class RunData(BaseModel):
    """``data.json`` in a run's folder: the options of `genaug train` that chose its images.

    It stays on this machine, since a folder's path tells whose it is: what is saved or pushed doesn't have it.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    data: str
    root: str | None = None
    labels_per_class: int | None = None
    seed: int = 0
    image_size: int | None = None


def write_run_data(folder: Path, data: RunData) -> None:
    """Note a run's data in its folder. Raises ``SaveError`` if that can't be written."""
    from genaug.storage import replace_files, saving_to

    with saving_to(folder / DATA_FILE):
        replace_files(folder, {DATA_FILE: (data.model_dump_json(indent=2) + "\n").encode()})


def absolute(data: str) -> str:
    """``folder:PATH`` with an absolute path; other data as they are."""
    kind, colon, rest = data.partition(":")
    return f"folder:{Path(rest).expanduser().absolute()}" if kind == "folder" and colon and rest else data


def recorded_data(source: str, training: Mapping[str, Any] | None, root: Path | None) -> RunData:
    """What the generator ``source`` was trained on: by ``data.json`` in its folder, else by its record ``training``.

    Raises ``InputError`` that says which ``--data`` to pass if neither names data that can be found again.
    """
    try:
        return RunData.model_validate_json((Path(source) / DATA_FILE).read_bytes())
    except (OSError, ValidationError):
        pass
    from genaug.data import LABELLED_IMAGES

    record = training or {}
    name, size = record.get("data"), record.get("image_size")
    size = size if isinstance(size, int) else None
    if name == "Digits":
        return RunData(data="digits", image_size=size)
    if name in LABELLED_IMAGES and root is not None:
        return RunData(data=f"torchvision:{name}", root=str(root), image_size=size)
    if name in LABELLED_IMAGES:
        raise InputError(
            f"{source} was trained on {name}, and the folder of its files isn't recorded. Pass --data "
            f"torchvision:{name} --root FOLDER."
        )
    if name in ("ClassFolders", "ImageFolder"):
        raise InputError(
            f"{source} was trained on a folder of images, and which one isn't recorded. Pass --data folder:PATH, the "
            "folder that it was trained on."
        )
    told = f"names its data as {name!r} only" if isinstance(name, str) else "doesn't have a record of its data"
    raise InputError(
        f"{source} {told}, so they can't be found here. Pass --data, what it was trained on: digits, folder:PATH, or "
        "torchvision:NAME with --root."
    )


def load_recorded(source: str, recorded: RunData) -> Any:
    """The recorded training set. Raises ``InputError`` that names ``--data`` if it isn't there any more."""
    from genaug.data import load_data

    try:
        return load_data(recorded.data, root=recorded.root)
    except InputError as error:
        raise InputError(
            f"{source} was trained on {json.dumps(recorded.data)}, which can't be read now: {error} Pass --data (and "
            "--root)."
        ) from error
