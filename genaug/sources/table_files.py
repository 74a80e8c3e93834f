"""Generated rows as a CSV or Parquet file."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from genaug.artifacts.folders import resolve, saving_to, sweep, temporary_name
from genaug.backends.spec import Spec
from genaug.errors import InputError, OutputExistsError
from genaug.sources.export import Part


def check_file(out: str | Path, overwrite: bool) -> Path:
    """The path of a new file. Raises ``OutputExistsError`` if it exists, unless it is a file and ``overwrite``."""
    path = resolve(out)
    if path.is_dir():
        raise OutputExistsError(f"{path} is a directory. Choose another name.")
    if os.path.lexists(path) and not overwrite:
        raise OutputExistsError(f"{path} exists. Choose another name or pass --overwrite.")
    return path


def save_table(path: Path, spec: Spec, parts: Iterable[Part]) -> None:
    """Write rows, with their target, to a file named .csv or .parquet, replacing an existing one atomically.

    Raises ``InputError`` if ``spec`` isn't that of a table, or pyarrow is missing for Parquet, ``SaveError`` if writing
    fails.
    """
    suffix = path.suffix.lower()
    if suffix not in spec.sample.files:
        raise InputError(f"{suffix} files are for rows of a table, and these are {spec.sample.noun}: pass a folder.")
    rows, labels = zip(*parts, strict=True)
    classes = None if labels[0] is None else torch.cat([part for part in labels if part is not None])
    frame: Any = spec.sample.present(torch.cat(rows), classes)
    with saving_to(path, "choose another file"):
        path.parent.mkdir(parents=True, exist_ok=True)
        sweep(path.parent)
        part = path.parent / f".{temporary_name()}"
        try:
            if suffix == ".csv":
                frame.to_csv(part, index=False, lineterminator="\n")
            else:
                frame.columns = [str(name) for name in frame.columns]  # as Parquet requires
                frame.to_parquet(part, index=False)
            with open(part, "rb") as file:
                os.fsync(file.fileno())
            os.replace(part, path)
        except ImportError as error:
            raise InputError("Parquet files need pyarrow, which isn't installed: pip install pyarrow.") from error
        finally:
            part.unlink(missing_ok=True)
