"""Series from NumPy archives and .ts files, the format of the archives at timeseriesclassification.com."""

import warnings
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from genaug.artifacts.paths import reading_from, user_path
from genaug.data.holdout import rows_of_split
from genaug.data.series import SeriesDataset
from genaug.data.split_folders import Split
from genaug.errors import DataWarning, InputError, MissingSplitError

_EXPECTED = "Expected a NumPy archive (.npz) with x and, if there are labels, y; or a .ts file"
_KEYS = ("x", "y", "lengths", "mask", "classes")


def read_series(path: str, split: Split = "train", *, test_share: float | None = None) -> SeriesDataset:
    """The series of an ``.npz`` file with the arguments of ``SeriesDataset`` as arrays (x, y, lengths, mask, classes),
    or of a ``.ts`` file.

    The test split of ``NAME_TRAIN.ts`` is ``NAME_TEST.ts`` beside it, as in the archives. Without such a file,
    ``test_share`` holds out this share of the series of each class, in (0, 1), which depends on their order only.
    Raises ``InputError`` for a file that doesn't hold series, ``MissingSplitError`` for the test split if there is
    none, and ``ReadError`` for a file that can't be read.
    """
    file, partner = user_path(path), test_file_of(path)
    if partner is not None and test_share is not None:
        raise InputError(f"test_share (--test-share) holds a test split out, but {partner} is one. Leave it out.")
    if split == "test" and test_share is None and partner is None:
        raise MissingSplitError(f"{path} has no test split. Hold one out: test_share= (--test-share).")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", DataWarning)
        dataset = _read_file(file)
        if partner is not None and split == "test":
            return _read_file(partner, dataset.classes)
    for warning in caught:
        warnings.warn(warning.message, stacklevel=3)
    if test_share is None:
        return dataset
    return dataset.take(rows_of_split(dataset.targets, test_share, split))


def test_file_of(path: str) -> Path | None:
    """The file of the test split beside ``NAME_TRAIN.ts``; None if there is none."""
    file = user_path(path)
    partner = file.with_name(file.name.replace("_TRAIN.ts", "_TEST.ts"))
    return partner if partner != file and partner.is_file() else None


def _read_file(path: Path, classes: Any = None) -> SeriesDataset:
    with reading_from(path):
        if not path.is_file():
            raise InputError(f"{path} is not a file. {_EXPECTED}.")
        if path.suffix.lower() == ".npz":
            arrays = _read_npz(path)
        elif path.suffix.lower() == ".ts":
            arrays = read_ts(path)
        else:
            raise InputError(f"{path} has the suffix {path.suffix!r}. {_EXPECTED}.")
    if classes is not None and "y" in arrays:
        arrays["classes"] = classes
    try:
        return SeriesDataset(arrays.pop("x"), **arrays)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _read_npz(path: Path) -> dict[str, Any]:
    """The arrays of an archive. Nothing is unpickled."""
    try:
        archive = np.load(path, allow_pickle=False)
        if isinstance(archive, np.ndarray):
            raise InputError(f"{path} holds a single array. {_EXPECTED}.")
        with archive:
            names = list(archive.files)
            if "x" not in names:
                known = ", ".join(map(repr, names[:10])) or "none"
                raise InputError(f"{path} has no array 'x', but {known}. {_EXPECTED}.")
            arrays: dict[str, Any] = {name: archive[name] for name in _KEYS if name in names}
    except (ValueError, BadZipFile, EOFError, KeyError) as error:
        if isinstance(error, InputError):
            raise
        reason = " ".join(str(error).split())[:200]
        if "pickle" in reason.lower():
            reason = (
                "it holds Python objects, which genaug doesn't unpickle; pad series of various lengths, with lengths"
            )
        raise InputError(f"{path} can't be read ({reason}). {_EXPECTED}.") from error
    if "classes" in arrays:
        arrays["classes"] = [str(name) for name in np.atleast_1d(arrays["classes"])]
    return arrays


def read_ts(path: Path) -> dict[str, Any]:
    """The series of a ``.ts`` file: ``x``, a list of (channels, steps), their ``mask``, and ``y``, a list of strings,
    if the file says that the last field of each line is a label.

    Values are separated by commas, channels by colons; "?" and "NaN" stand for missing ones. Raises ``InputError`` for
    time stamps and for lines that aren't series.
    """
    has_labels, in_data = False, False
    series: list[NDArray[np.float64]] = []
    labels: list[str] = []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"{path} isn't text in UTF-8, which a .ts file is.") from error
    for number, line in enumerate(lines, 1):
        text = line.strip()
        where = f"line {number} of {path}"
        if not text or text.startswith(("#", "%")):
            continue
        if not in_data:
            words = text.lower().split()
            if not words[0].startswith("@"):
                raise InputError(f"{where} comes before @data and isn't a header (@...). {_EXPECTED}.")
            if words[0] == "@timestamps" and words[1:2] == ["true"]:
                raise InputError(
                    f"{path} has time stamps. Resample its series to equal steps, and leave the stamps out."
                )
            if words[0] == "@targetlabel" and words[1:2] == ["true"]:
                raise InputError(f"{path} is for regression: its targets are numbers. Expected classes (@classLabel).")
            has_labels |= words[0] == "@classlabel" and words[1:2] == ["true"]
            in_data = words[0] == "@data"
            continue
        fields = text.split(":")
        if has_labels:
            labels.append(fields.pop().strip())
        channels = [_numbers(field, where) for field in fields]
        if not channels or len({len(channel) for channel in channels}) > 1:
            raise InputError(f"{where} has channels of various lengths. Expected the same number of values in each.")
        series.append(np.array(channels))
    if not series:
        raise InputError(f"{path} has no series after @data. {_EXPECTED}.")
    arrays: dict[str, Any] = {"x": series, "mask": [~np.isnan(one) for one in series]}
    return {**arrays, "y": labels} if has_labels else arrays


def _numbers(field: str, where: str) -> list[float]:
    try:
        return [float("nan") if value.strip() == "?" else float(value) for value in field.split(",")]
    except ValueError as error:
        raise InputError(f"{where} has values that aren't numbers ({error}).") from error
