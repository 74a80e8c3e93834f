"""The data that a generator was trained on, by the record of its run or the generator's own record."""

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from genaug.artifacts.paths import user_path
from genaug.errors import InputError


class RunData(BaseModel):
    """The options of `genaug train` that select the training images, as stored in ``run.json``.

    They stay on this machine, since paths are private: saved and pushed generators don't have them.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    data: str
    root: str | None = None
    labels_per_class: int | None = None
    test_share: float | None = None
    group_by: str | None = None
    target: str | None = None
    keep: str | None = None
    seed: int = 0
    image_size: int | None = None


def recorded_data(source: str, training: Mapping[str, Any] | None, root: Path | None) -> RunData:
    """The training data of the generator ``source``, from ``run.json`` in its folder or from its record ``training``.

    Raises ``InputError``, which says what to pass as ``--data``, if neither identifies the data.
    """
    from genaug.training.run_folder import RunFolder

    run = RunFolder(user_path(source)).record() if user_path(source).is_dir() else None
    if run is not None and run.get("command"):
        with suppress(ValidationError):
            return RunData.model_validate({**run["command"], "seed": run["seed"], "image_size": run["image_size"]})
    from genaug.data.datasets import LABELLED_IMAGES

    record = training or {}
    name = record.get("data")
    size = record["image_size"] if isinstance(record.get("image_size"), int) else None
    if name == "Digits":
        return RunData(data="digits", image_size=size)
    if name in LABELLED_IMAGES:
        if root is None:
            raise InputError(
                f"{source} was trained on {name}, but the folder of its files isn't recorded. Pass --data "
                f"torchvision:{name} --root FOLDER."
            )
        return RunData(data=f"torchvision:{name}", root=str(root), image_size=size)
    if name in ("FolderImages", "ClassFolders", "ImageFolder"):  # the second one is older
        raise InputError(
            f"{source} was trained on a folder of images that isn't recorded. Pass --data folder:PATH with that folder."
        )
    gap = f"names its data only as {name!r}" if isinstance(name, str) else "doesn't have a record of its data"
    raise InputError(
        f"{source} {gap}, so the data can't be found. Pass --data with the training data: digits, folder:PATH, or "
        "torchvision:NAME with --root."
    )


def load_recorded(source: str, recorded: RunData) -> Any:
    """The recorded training set. Raises ``InputError``, which names ``--data``, if it can't be read anymore."""
    from genaug.data.datasets import load_data

    try:
        return load_data(
            recorded.data,
            root=recorded.root,
            test_share=recorded.test_share,
            group_by=recorded.group_by,
            target=recorded.target,
        )
    except InputError as error:
        raise InputError(
            f"{source} was trained on {json.dumps(recorded.data)}, which can't be read now: {error} Pass --data (and "
            "--root)."
        ) from error
