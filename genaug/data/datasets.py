"""The datasets that ``--data`` names on the command line. Nothing here downloads anything."""

import difflib
import inspect
import math
import warnings
from collections.abc import Callable, Sequence
from hashlib import sha256
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset, Subset

from genaug.artifacts.paths import reading_from, user_path
from genaug.backends.registry import call, discover
from genaug.checks import as_whole
from genaug.data.apportion import largest_remainder
from genaug.data.classes import class_label, class_names
from genaug.data.labels import labels_of
from genaug.data.series_files import read_series
from genaug.data.split_folders import Split
from genaug.data.table_files import read_table
from genaug.errors import DataWarning, InputError, MissingSplitError
from genaug.escaping import escaped

_FORMS = "Expected 'digits', 'folder:PATH', 'series:FILE', 'table:FILE' or 'torchvision:NAME'."
FILES = ("folder", "series", "table")  # the forms of ``--data`` that have a path
_DIGITS_TEST = 500
# The names of the two splits in torchvision's datasets, the usual word first.
_SPLIT_WORDS: dict[Split, tuple[str, ...]] = {"train": ("train", "trainval"), "test": ("test", "val")}
LABELLED_IMAGES = [
    "CIFAR10",
    "CIFAR100",
    "Country211",
    "DTD",
    "FER2013",
    "FGVCAircraft",
    "FashionMNIST",
    "Flowers102",
    "Food101",
    "GTSRB",
    "ImageNet",
    "Imagenette",
    "KMNIST",
    "MNIST",
    "OxfordIIITPet",
    "PCAM",
    "RenderedSST2",
    "STL10",
    "SVHN",
    "StanfordCars",
    "USPS",
]


def load_data(
    name: str,
    *,
    split: Split = "train",
    root: str | Path | None = None,
    test_share: float | None = None,
    group_by: str | None = None,
    target: str | None = None,
) -> Dataset[Any]:
    """A map-style dataset of (PIL image, int) items, with ``.classes`` if the data have class names; or a table or a
    set of series.

    ``digits`` is the 1,797 digits of scikit-learn, see ``Digits``. ``torchvision:NAME`` is one of torchvision's
    datasets of labeled images, whose files are in ``root`` already. ``NAME:REST`` is what the plugin that registered
    NAME returns for REST.

    ``folder:PATH`` is a folder of images: split folders with class folders in them, class folders, or images alone,
    whose items are images without labels. Folders are taken for splits only if every folder with images at that level
    has the name of a split (train, training, test, testing, heldout, val, valid, validation, dev, eval, also "Training
    Set" or "test_images", in upper or lower case) and one of them is a training folder; outer folders that contain
    nothing else are skipped. A validation folder is the test split if there is no test folder. Every format that the
    installed Pillow reads is read; hidden files and folders, files that aren't images, and links back to an outer
    folder are left out. ``.summary`` says in one line what was read and what was left out, ``.left_out`` counts it by
    reason, and a ``DataWarning`` names files that look like images but can't be read. Images are of mode L if all the
    training images are gray, otherwise RGB.

    If a folder has no test split, ``test_share`` holds out this share of each class, in (0, 1), as the test split; the
    split depends on the files' names only, so that it is the same in every call. ``group_by`` is a regular expression
    that is searched for in each file's path within the folder: files for which its first group is the same stay on one
    side, as one person's photos should.

    ``table:FILE`` is a ``TableDataset`` of a CSV file with a header, or a Parquet file; ``target`` is the column with
    its classes. It has no test split, unless ``test_share`` holds out this share of the rows of each class.

    ``series:FILE`` is a ``SeriesDataset`` of an ``.npz`` or ``.ts`` file: see ``genaug.data.series_files.read_series``.

    Raises ``InputError`` for an unknown name, missing files, two folders for one split, files that ``group_by`` doesn't
    match, and a class with too few files or groups for both sides; ``MissingSplitError`` for a missing test split, and
    ``ReadError`` for a folder that can't be read.
    """
    if split not in _SPLIT_WORDS:
        raise InputError(f"split must be 'train' or 'test', got {split!r}.")
    kind, colon, rest = name.partition(":")
    if kind == "table" and rest:
        if group_by is not None:
            raise InputError(
                "group_by (--group-by) is for the files of folder:PATH, and a table is one file: leave it out."
            )
        return read_table(rest, split, target=target, test_share=test_share)
    if kind == "series" and rest:
        if group_by is not None or target is not None:
            raise InputError(
                "group_by and target (--group-by, --target) are for folder:PATH and table:FILE; a file of series has "
                "its own labels: leave them out."
            )
        return read_series(rest, split, test_share=test_share)
    if target is not None and kind != "table":
        raise InputError(f"target (--target) is the column of a table:FILE; {name!r} has its own labels. Leave it out.")
    if kind == "folder" and rest:
        from genaug.data.image_folders import read_folder

        with reading_from(rest):
            return read_folder(user_path(rest), split, test_share=test_share, group_by=group_by)
    if test_share is not None or group_by is not None:
        raise InputError(
            f"test_share and group_by (--test-share, --group-by) are for folder:PATH, and test_share for table:FILE "
            f"and series:FILE; {name!r} has its own test split. Leave them out."
        )
    if name == "digits":
        return Digits(split)
    if kind == "torchvision" and rest:
        return _torchvision(rest, split, root)
    if kind in discover().datasets and colon:
        place = None if root is None else user_path(root)
        dataset: Dataset[Any] = call(discover().datasets[kind], rest, split=split, root=place)
        return dataset
    if not colon and user_path(name).is_dir():
        raise InputError(f"unknown data {name!r}. For a folder of class folders, use 'folder:{name}'.")
    if kind in ("folder", "series", "table", "torchvision"):
        noun = {"folder": "folder", "series": "file", "table": "file"}.get(kind, "dataset")
        raise InputError(f"{name!r} doesn't name a {noun}. {_FORMS}")
    near = difflib.get_close_matches(name, ["digits", *(f"torchvision:{known}" for known in LABELLED_IMAGES)], 1, 0.75)
    hint = f"Did you mean {near[0]!r}?" if near else "It is not a folder either."
    raise InputError(f"unknown data {name!r}. {hint} {_FORMS}")


def public_name(name: str) -> str:
    """The name of a dataset for a report or a card: of a folder or file only its own name, since paths say whose it
    is."""
    kind, _, rest = name.partition(":")
    return f"{kind} {escaped(user_path(rest).resolve().name[:100])}" if kind in FILES and rest else name


def few_per_class(dataset: Any, n: int, seed: int = 0) -> "Subset[Any]":
    """``n`` items of every class, drawn without replacement, in the dataset's order.

    The items depend on the seed only; a smaller ``n`` with the same seed gives a subset of a larger one. A class
    without any items is left out, with a ``DataWarning``. Raises ``InputError`` naming a class that has fewer than
    ``n`` items.
    """
    n = as_whole(n, "the number of labels per class", 1)
    labels = labels_of(dataset)
    names = class_names(dataset, labels)
    counts = _counts(labels, names)
    for label, count in enumerate(counts):
        if 0 < count < n:
            subject = f"class {class_label(label, names)}"
            raise InputError(f"{subject} has {count} items, fewer than the {n} that are drawn per class.")
    return _drawn(dataset, labels, [min(n, count) for count in counts], names, seed)


def long_tail(dataset: Any, factor: float = 100, seed: int = 0) -> "Subset[Any]":
    """A long-tailed subset, the first class the most frequent and the last one the rarest, in the dataset's order.

    Of the n_i items of class i, counted from 0, n_i * factor^(-i / (K - 1)) are drawn without replacement, rounded
    down, but at least one; K is the number of classes (Cui et al. 2019, section 5.1, with the imbalance factor
    ``factor``, the number of items of the largest class divided by that of the smallest). CIFAR-10 with ``factor=100``
    becomes 5,000, 2,997, …, 83 and 50 images per class. Labels and class names are read through the subset, as by
    ``fit``, ``MixedDataset`` and ``study``. The items depend on the seed only; a larger factor with the same seed gives
    a subset of a smaller one's. A class without any items isn't counted, and causes a ``DataWarning``.

    Raises ``InputError`` if ``factor`` isn't a number of at least 1, or if the items have no labels.
    """
    if isinstance(factor, bool) or not isinstance(factor, Real) or not 1 <= factor < math.inf:
        raise InputError(f"factor must be a number of at least 1 (largest class / smallest class), got {factor!r}.")
    labels = labels_of(dataset)
    names = class_names(dataset, labels)
    counts = _counts(labels, names)
    present = [label for label, n in enumerate(counts) if n]
    kept = [0] * len(counts)
    for i, label in enumerate(present):
        share = factor ** (-i / max(1, len(present) - 1))
        kept[label] = max(1, math.floor(counts[label] * share + 1e-9))  # 5,000 / 100 is 50, however floats are rounded
    return _drawn(dataset, labels, kept, names, seed)


def _counts(labels: Tensor, names: Sequence[str] | None) -> list[int]:
    """The number of items of each class."""
    counts: list[int] = labels.bincount(minlength=0 if names is None else len(names)).tolist()
    return counts if names is None else counts[: len(names)]


def _drawn(
    dataset: Any, labels: Tensor, counts: Sequence[int], names: Sequence[str] | None, seed: int
) -> "Subset[Any]":
    """Some items of each class, in the dataset's order. Warns of classes without any, for the caller's caller."""
    generator = torch.Generator().manual_seed(seed)
    indices: list[int] = []
    for label, count in enumerate(counts):
        members = torch.nonzero(labels == label).flatten()
        if len(members):
            indices += members[torch.randperm(len(members), generator=generator)[:count]].tolist()
    empty = [f"class {class_label(label, names)}" for label, count in enumerate(counts) if count == 0]
    if empty:
        classes = ", ".join(empty[:8]) + (", …" if empty[8:] else "")
        warnings.warn(f"no item is of {classes}, so none was drawn.", DataWarning, stacklevel=3)
    return Subset(dataset, sorted(indices))


class Digits(Dataset[Any]):
    """The 1,797 handwritten digits that scikit-learn ships: items (PIL image, mode L, 8x8, and an int in 0..9).

    Gray levels 0 to 16 are scaled to 0 to 255. 1,297 are for training and 500 for testing, stratified, split by a
    hash of the index, so that the split is the same on every machine. ``transform`` is applied to the image.
    """

    def __init__(self, split: Split = "train", transform: Callable[[Any], Any] | None = None) -> None:
        from sklearn.datasets import load_digits

        bunch = load_digits()
        keep = _digits_split(bunch.target)[split]
        self.data = np.round(bunch.images[keep] * (255 / 16)).astype(np.uint8)
        self.targets: list[int] = bunch.target[keep].tolist()
        self.classes = [str(digit) for digit in range(10)]
        self.transform = transform

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        image: Any = Image.fromarray(self.data[index], "L")
        return (image if self.transform is None else self.transform(image)), self.targets[index]


def _digits_split(targets: Any) -> dict[Split, list[int]]:
    """Indices of both splits: each class contributes its share of the test set, by largest remainder."""
    test: set[int] = set()
    for label, n in enumerate(largest_remainder(_DIGITS_TEST, np.bincount(targets).tolist())):
        members = np.flatnonzero(targets == label).tolist()
        test.update(sorted(members, key=lambda index: sha256(b"digits %d" % index).digest())[:n])
    return {"train": [i for i in range(len(targets)) if i not in test], "test": sorted(test)}


def _torchvision(name: str, split: Split, root: str | Path | None) -> Dataset[Any]:
    from torchvision import datasets

    known = {other.lower(): other for other in LABELLED_IMAGES if hasattr(datasets, other)}
    if name.lower() not in known:
        near = [known[k] for k in difflib.get_close_matches(name.lower(), known, 3, 0.5)]
        raise InputError(
            f"unknown data 'torchvision:{name}'. "
            + (f"Did you mean {' or '.join(f'torchvision:{other}' for other in near)}? " if near else "")
            + f"Known: {', '.join(known.values())}."
        )
    name = known[name.lower()]
    if root is None:
        raise InputError(f"torchvision:{name} needs --root, the folder that contains its files.")
    folder = user_path(root)
    dataset: Callable[..., Dataset[Any]] = getattr(datasets, name)
    parameters = inspect.signature(dataset).parameters
    options: dict[str, Any] = {"download": False} if "download" in parameters else {}
    splits: list[dict[str, Any]] = [{"split": word} for word in _SPLIT_WORDS[split]]
    for split_option in [{"train": split == "train"}] if "train" in parameters else splits:
        try:
            return dataset(str(folder), **split_option, **options)
        except (RuntimeError, OSError) as error:
            kind = MissingSplitError if split == "test" else InputError  # the training files may be there
            raise kind(_missing(name, dataset, split, folder, error)) from error
        except ValueError as error:
            unknown_split = error
    raise MissingSplitError(f"torchvision:{name} has no {split} split ({unknown_split}).") from unknown_split


def _missing(name: str, dataset: Any, split: Split, folder: Path, error: Exception) -> str:
    from torchvision.datasets import MNIST

    inside = f"{name}/raw" if issubclass(dataset, MNIST) else getattr(dataset, "base_folder", None)
    place = f"{folder.absolute()}" + (f" (in {inside})" if inside else "")
    place += "" if folder.is_dir() else ", which doesn't exist"
    reason = str(error).split("You can use download")[0].strip().rstrip(".") or type(error).__name__
    message = f"torchvision:{name} ({split}): looked in {place}: {reason}. Nothing is downloaded here. "
    message += "If the files are elsewhere, name their folder with --root"
    if "download" in inspect.signature(dataset).parameters:
        message += f"; to get them, run torchvision.datasets.{name}(root, download=True) once"
    return message + "."
