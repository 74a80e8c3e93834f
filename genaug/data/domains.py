"""Data of two domains, for backends that translate between them: ``Pairs``, and ``Unpaired`` sets."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor
from torch.utils.data import ConcatDataset, Dataset, Subset

from genaug.backends.spec import DOMAINS, MAX_NAME
from genaug.data.classes import class_names
from genaug.data.items import file_of, parts_of, read_item
from genaug.data.labels import known_labels
from genaug.errors import InputError

SOURCE = "source"  # the condition's name

Domains = tuple[str, str]


class Pairs(Dataset[Any]):
    """Two datasets of the same length whose items with the same index correspond: ``b[i]`` is ``a[i]`` translated.

    Items are ``(sample of b, label, {"source": sample of a})``; the label is that of ``a[i]``, or of ``b[i]`` if that
    one has none, or None.

    Args:
        a: A map-style dataset of samples, alone or followed by a label.
        b: The same samples in the other domain.
        names: The names of the two domains, by which ``Generator.translate(to=...)`` addresses them.

    Raises ``InputError`` for datasets of different length, and for names that aren't two different ones.
    """

    def __init__(self, a: Any, b: Any, *, names: Sequence[str] = DOMAINS) -> None:
        self.a, self.b, self.domains = *_checked(a, b), check_names(names)
        if len(a) != len(b):
            raise InputError(
                f"pairs need as many samples of {self.domains[0]!r} as of {self.domains[1]!r}, got {len(a)} and "
                f"{len(b)}. For sets that don't correspond, pass genaug.data.Unpaired(a, b)."
            )
        self._labelled = self.a if known_labels(self.a) is not None or known_labels(self.b) is None else self.b

    @property
    def classes(self) -> tuple[str, ...] | None:
        """The names of the classes, if they have any."""
        return class_names(self._labelled, self.targets)

    @property
    def targets(self) -> Tensor | None:
        """The labels, int64 (N,), if they are known without reading the items."""
        return known_labels(self._labelled)

    def __len__(self) -> int:
        return len(self.a)

    def __getitem__(self, index: int) -> tuple[Any, Any, dict[str, Any]]:
        first, second = read_item(self.a, index, "a"), read_item(self.b, index, "b")
        labels = [fields[1] for item in (first, second) if len(fields := _fields(item)) > 1 and fields[1] is not None]
        return _fields(second)[0], labels[0] if labels else None, {SOURCE: _fields(first)[0]}


class Unpaired:
    """Two datasets whose samples don't correspond, of any lengths: batches draw from each independently.

    The labels of ``a`` are the labels of the data; those of ``b`` aren't read. A backend that doesn't translate, such
    as ``cogan``, learns from both as one set whose classes are the domains.

    Args:
        a: A map-style dataset of samples, alone or followed by a label.
        b: A map-style dataset of samples of the other domain.
        names: The names of the two domains, by which ``Generator.translate(to=...)`` addresses them, or of the classes.

    Raises ``InputError`` for names that aren't two different ones. ``len`` is the number of samples of both sets.
    """

    def __init__(self, a: Any, b: Any, *, names: Sequence[str] = DOMAINS) -> None:
        self.a, self.b, self.domains = *_checked(a, b), check_names(names)

    def __len__(self) -> int:
        return len(self.a) + len(self.b)


def check_names(names: Sequence[str]) -> Domains:
    """The names of two domains. Raises ``InputError`` unless they are two different ones."""
    values = [] if isinstance(names, str) else list(names)
    valid = all(isinstance(name, str) and 0 < len(name) <= MAX_NAME for name in values)
    if len(values) != 2 or not valid or values[0] == values[1]:
        raise InputError(f"names must be the two different names of the domains, got {names!r}.")
    return values[0], values[1]


def domains_of(dataset: Any) -> Domains:
    """The names of a dataset's domains, through Subset and ConcatDataset."""
    if isinstance(dataset, Subset | ConcatDataset):
        return domains_of(parts_of(dataset)[0])
    return check_names(getattr(dataset, "domains", DOMAINS))


def check_same_files(pairs: Pairs) -> None:
    """Raises ``InputError`` if the labels of a pair, or the names of its files, are known and different."""
    labels = [known_labels(dataset) for dataset in (pairs.a, pairs.b)]
    if labels[0] is not None and labels[1] is not None and bool((labels[0] != labels[1]).any()):
        index = int((labels[0] != labels[1]).nonzero()[0])
        raise InputError(
            f"the two images of pair {index} have different labels. Put them into class folders of the same names, and "
            "give the two images of each pair the same name."
        )
    for index in range(len(pairs)):
        files = [file_of(dataset, index) for dataset in (pairs.a, pairs.b)]
        names = [None if file is None else _stem(file) for file in files]
        if None not in names and names[0] != names[1]:
            raise InputError(
                f"pairs are matched by the names of their files, and pair {index} is {files[0]} and {files[1]}. Give "
                "the two images of each pair the same name."
            )


def _stem(file: str) -> str:
    return file.replace("\\", "/").rsplit("/", 1)[-1].rsplit(".", 1)[0]


def _fields(item: Any) -> Any:
    return item if isinstance(item, (tuple, list)) and item else (item,)


def _checked(a: Any, b: Any) -> tuple[Any, Any]:
    for name, dataset in (("a", a), ("b", b)):
        if isinstance(dataset, str) or not hasattr(dataset, "__len__") or not hasattr(dataset, "__getitem__"):
            raise InputError(
                f"{name} must be a map-style dataset (with len() and indices), got {type(dataset).__name__}."
            )
    return a, b
