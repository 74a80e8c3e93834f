"""On what data a generator was trained, as ``genaug train`` was told, and as its record tells."""

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from genaug.artifacts.paths import user_path
from genaug.errors import InputError


class RunData(BaseModel):
    """The options of `genaug train` that chose a run's images, as ``run.json`` has them.

    They stay on this machine, since a folder's path tells whose it is: what is saved or pushed doesn't have them.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    data: str
    root: str | None = None
    labels_per_class: int | None = None
    test_share: float | None = None
    group_by: str | None = None
    seed: int = 0
    image_size: int | None = None


def recorded_data(source: str, training: Mapping[str, Any] | None, root: Path | None) -> RunData:
    """What the generator ``source`` was trained on: by ``run.json`` in its folder, else by its record ``training``.

    Raises ``InputError`` that says which ``--data`` to pass if neither names data that can be found again.
    """
    from genaug.training.run_folder import RunFolder

    run = RunFolder(user_path(source)).record() if user_path(source).is_dir() else None
    if run is not None and run.get("command"):
        with suppress(ValidationError):
            return RunData.model_validate({**run["command"], "seed": run["seed"], "image_size": run["image_size"]})
    from genaug.data.datasets import LABELLED_IMAGES

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
    if name in ("FolderImages", "ClassFolders", "ImageFolder"):  # the second one is older
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
    from genaug.data.datasets import load_data

    try:
        return load_data(recorded.data, root=recorded.root, test_share=recorded.test_share, group_by=recorded.group_by)
    except InputError as error:
        raise InputError(
            f"{source} was trained on {json.dumps(recorded.data)}, which can't be read now: {error} Pass --data (and "
            "--root)."
        ) from error
