"""The data sets that the command line's ``--data`` names. Nothing here downloads anything."""

import difflib
import inspect
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch.utils.data import Dataset, Subset

from genaug.access import reading_from
from genaug.errors import InputError
from genaug.escaping import escaped
from genaug.labels import class_names, labels_of
from genaug.limits import as_whole

Split = Literal["train", "test"]

_FORMS = "Expected 'digits', 'folder:PATH' or 'torchvision:NAME'."
_DIGITS_TEST = 500
# What torchvision's data sets call the two splits, the usual word first.
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


def load_data(name: str, *, split: Split = "train", root: str | Path | None = None) -> Dataset[Any]:
    """A map-style data set of (PIL image, int) items, with ``.classes`` where the data have class names.

    ``digits`` is the 1,797 digits of scikit-learn, see ``Digits``. ``folder:PATH`` has class folders under
    ``PATH/train`` and ``PATH/test``, or directly under ``PATH``, which is then a training set without a test set;
    images are mode L where all the training images are grey, else RGB. ``torchvision:NAME`` is one of torchvision's
    data sets of labelled images, whose files lie under ``root`` already.

    Raises ``InputError`` for an unknown name, missing files, and a test split that there isn't, ``ReadError`` for a
    folder that can't be read.
    """
    if split not in _SPLIT_WORDS:
        raise InputError(f"split must be 'train' or 'test', got {split!r}.")
    kind, colon, rest = name.partition(":")
    if name == "digits":
        return Digits(split)
    if kind == "folder" and rest:
        with reading_from(rest):
            return _folder(Path(rest).expanduser(), split)
    if kind == "torchvision" and rest:
        return _torchvision(rest, split, root)
    if not colon and Path(name).is_dir():
        raise InputError(f"unknown data {name!r}. For a folder of class folders, say 'folder:{name}'.")
    if kind in ("folder", "torchvision"):
        raise InputError(f"{name!r} names no {'folder' if kind == 'folder' else 'data set'}. {_FORMS}")
    near = difflib.get_close_matches(name, ["digits", *(f"torchvision:{known}" for known in LABELLED_IMAGES)], 1, 0.75)
    raise InputError(f"unknown data {name!r}. " + (f"Did you mean {near[0]!r}? " if near else "") + _FORMS)


def public_name(name: str) -> str:
    """What ``--data`` named, for a report or a card: of a folder its own name only, since paths tell whose it is."""
    kind, _, rest = name.partition(":")
    return f"folder {escaped(Path(rest).expanduser().resolve().name[:100])}" if kind == "folder" and rest else name


def few_per_class(dataset: Any, n: int, seed: int = 0) -> "Subset[Any]":
    """``n`` items of every class, drawn without replacement, in the data set's order.

    The items depend on the seed only; a smaller ``n`` of the same seed gives a part of what a larger one gives.
    Raises ``InputError`` naming a class that has fewer than ``n`` items.
    """
    n = as_whole(n, "the number of labels per class", 1)
    labels, names = labels_of(dataset), class_names(dataset)
    count = len(names) if names is not None else int(labels.max()) + 1 if len(labels) else 0
    generator = torch.Generator().manual_seed(seed)
    chosen = []
    for label in range(count):
        members = torch.nonzero(labels == label).flatten()
        if len(members) < n:
            called = f"class {label}" + (f" ({names[label]!r})" if names is not None else "")
            raise InputError(f"{called} has {len(members)} items, fewer than the {n} per class asked for.")
        chosen.append(members[torch.randperm(len(members), generator=generator)[:n]])
    indices = torch.cat(chosen).sort().values.tolist() if chosen else []
    return Subset(dataset, indices)


class Digits(Dataset[Any]):
    """The 1,797 handwritten digits that scikit-learn ships: items (PIL image, mode L, 8x8, and an int in 0..9).

    Grey levels 0 to 16 are scaled to 0 to 255. 1,297 are for training and 500 for testing, stratified, split by a
    hash of the index, so that every machine and version splits them alike. ``transform`` is applied to the image.
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
    """Indices of both splits: each class gives its share of the test set, by largest remainder."""
    counts = np.bincount(targets)
    shares = counts * _DIGITS_TEST / counts.sum()
    take = np.floor(shares).astype(int)
    for label in np.argsort(take - shares, kind="stable")[: _DIGITS_TEST - take.sum()]:
        take[label] += 1
    test: set[int] = set()
    for label, n in enumerate(take):
        members = np.flatnonzero(targets == label).tolist()
        test.update(sorted(members, key=lambda index: sha256(b"digits %d" % index).digest())[:n])
    return {"train": [i for i in range(len(targets)) if i not in test], "test": sorted(test)}


def _class_folders(folder: Path) -> list[str]:
    """Folders with names that don't start with a dot (.git, .ipynb_checkpoints), in order."""
    return sorted(p.name for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))


def _folder(path: Path, split: Split) -> Dataset[Any]:
    from torchvision.datasets import ImageFolder

    if not path.is_dir():
        raise InputError(f"no folder at {path.absolute()}.")
    # A class may be called "train": only a train/ that holds folders is a split.
    divided = (path / "train").is_dir() and bool(_class_folders(path / "train"))
    train = path / "train" if divided else path
    here = path / split if divided else path
    if split == "test" and not (divided and here.is_dir()):
        raise InputError(f"{path.absolute()} has no test/ folder beside train/, so there is nothing to test on.")
    classes = _class_folders(train)
    if not classes:
        raise InputError(
            f"{train.absolute()} has no class folders: expected one folder for each class, with images in it."
        )
    strange = sorted(set(_class_folders(here)) - set(classes))
    if strange:
        raise InputError(
            f"{here.absolute()} has class folders that {train.absolute()} lacks: {', '.join(strange[:5])}."
        )

    class ClassFolders(ImageFolder):  # type: ignore[misc]
        def find_classes(self, directory: str | Path) -> tuple[list[str], dict[str, int]]:
            return classes, {name: index for index, name in enumerate(classes)}

    try:
        found = ClassFolders(str(train), allow_empty=False)
        mode = "L" if all(_is_grey(file) for file, _ in found.samples) else "RGB"
        if split == "test":
            found = ClassFolders(str(here), allow_empty=True)
    except FileNotFoundError as error:
        raise InputError(f"{train.absolute()}: {error}") from error
    if not found.samples:
        raise InputError(f"{here.absolute()} holds no images.")
    found.loader = _GreyOrColour(mode)
    return found


def _is_grey(file: str) -> bool:
    """Whether an image file is grey, from its header."""
    try:
        with Image.open(file) as image:
            return image.mode in ("1", "L")
    except (OSError, UnidentifiedImageError) as error:
        raise InputError(f"{file} can't be read as an image ({error}).") from error


class _GreyOrColour:
    """A loader for ``ImageFolder`` that gives PIL images of one mode. Refuses more than 8 bits a channel."""

    def __init__(self, mode: str) -> None:
        self.mode = mode

    def __call__(self, path: str) -> Image.Image:
        with Image.open(path) as image:
            if image.mode.startswith(("I", "F")):
                raise InputError(
                    f"{path} has more than 8 bits a channel (mode {image.mode}). Convert it to 8 bits first."
                )
            return image.convert(self.mode)


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
        raise InputError(f"torchvision:{name} needs --root, the folder that its files lie under.")
    where = Path(root).expanduser()
    cls = getattr(datasets, name)
    parameters = inspect.signature(cls).parameters
    options: dict[str, Any] = {"download": False} if "download" in parameters else {}
    words: list[tuple[str, Any]] = [("train", split == "train")]
    if "train" not in parameters:
        words = [("split", word) for word in _SPLIT_WORDS[split]]
    for number, (option, word) in enumerate(words, 1):
        try:
            data: Dataset[Any] = cls(str(where), **{option: word}, **options)
            return data
        except (RuntimeError, OSError) as error:
            raise InputError(_missing(name, cls, split, where, error)) from error
        except ValueError as error:
            if number == len(words):
                raise InputError(f"torchvision:{name} has no {split} split ({error}).") from error
    raise AssertionError("unreachable")


def _missing(name: str, cls: Any, split: Split, where: Path, error: Exception) -> str:
    from torchvision.datasets import MNIST

    inside = f"{name}/raw" if issubclass(cls, MNIST) else getattr(cls, "base_folder", None)
    place = (
        f"{where.absolute()}"
        + (f" (in {inside})" if inside else "")
        + ("" if where.is_dir() else ", which doesn't exist")
    )
    reason = str(error).split("You can use download")[0].strip().rstrip(".") or type(error).__name__
    message = f"torchvision:{name} ({split}): looked under {place}: {reason}. Nothing is downloaded here. "
    message += "If the files lie elsewhere, name their folder with --root"
    if "download" in inspect.signature(cls).parameters:
        message += f"; to get them, run torchvision.datasets.{name}(root, download=True) once"
    return message + "."
