"""Class identity: which name a class has in a dataset, and which class of a source is the same one.

Classes are the same if their names are, in Unicode's composed form, or if one name is what the other becomes as a
folder (``class_folders.folder_names``). Numbers count only if one side has no names. Then a name that is a number, such
as "2" among the series of classes 1 and 2 only, means the class of that number.
"""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import ConcatDataset, Subset

from genaug.backends.spec import MAX_CLASSES, Spec, count_of_classes
from genaug.data.apportion import Ints
from genaug.data.class_folders import folder_names
from genaug.data.items import parts_of
from genaug.data.labels import known_labels
from genaug.errors import InputError

_MAX_LISTED = 12


def class_names(dataset: Any, labels: Tensor | None = None) -> tuple[str, ...] | None:
    """Class names in label order, through Subset, ConcatDataset and wrappers; None if there are none.

    ``.class_to_idx`` determines the number of a name; without it, or if it agrees, ``.classes`` does (a sequence, an
    array, a mapping of number to name or of name to number). Both may belong to the dataset itself or to its
    ``.reader`` (timm). The parts of a ConcatDataset may have different classes but not number them differently. A
    wrapper that has another set as ``.dataset`` has that one's names if its own ``labels`` are the other's too. A
    number without a name is its own name.

    Raises ``InputError`` if the parts of a ConcatDataset disagree.
    """
    names = _names_by_number(dataset, labels)
    if not names or max(names) >= MAX_CLASSES:
        return None
    used = set(names.values())
    free = {n: str(n) if str(n) not in used else f"class {n}" for n in range(max(names) + 1)}
    return tuple(names.get(n, free[n]) for n in free)


def _names_by_number(dataset: Any, labels: Tensor | None = None) -> dict[int, str]:
    if getattr(dataset, "target_transform", None) is not None:
        return {}
    own = _own_names(dataset) or _own_names(getattr(dataset, "reader", None))
    if own or isinstance(dataset, Subset | ConcatDataset):
        return own or _agreed(map(_names_by_number, parts_of(dataset)))
    inner = getattr(dataset, "dataset", None)
    if inner is None or labels is None or not hasattr(inner, "__getitem__") or not hasattr(inner, "__len__"):
        return {}
    inner_labels, rows = known_labels(inner), getattr(dataset, "indices", None)
    try:
        if inner_labels is not None and rows is not None:
            inner_labels = inner_labels[torch.as_tensor(rows, dtype=torch.int64, device="cpu")]
    except (TypeError, ValueError, RuntimeError, IndexError):
        return {}
    return _names_by_number(inner) if inner_labels is not None and torch.equal(inner_labels, labels) else {}


def _own_names(owner: Any) -> dict[int, str]:
    """The names by number according to an object's ``class_to_idx`` and ``classes``."""
    numbers, classes = getattr(owner, "class_to_idx", None), getattr(owner, "classes", None)
    index = _as_index(numbers) if isinstance(numbers, Mapping) else {}
    by_index = {number: name for name, number in reversed(index.items())}  # of several names the first
    listed = _listed_names(classes)
    if not all(index.get(alias, number) == number for number, name in listed.items() for alias in _aliases(name)):
        return by_index
    return {**by_index, **{number: ", ".join(_aliases(name)) for number, name in listed.items()}}


def _as_index(mapping: Mapping[Any, Any]) -> dict[str, int]:
    """A mapping of name to number, or an empty one if it isn't."""
    valid = all(isinstance(n, (int, np.integer)) and not isinstance(n, bool) and n >= 0 for n in mapping.values())
    return {str(name): int(number) for name, number in mapping.items()} if valid else {}


def _listed_names(classes: Any) -> dict[int, Any]:
    """Number to name, from a sequence of names or from a mapping in either direction."""
    if not isinstance(classes, Mapping):
        return dict(enumerate(list(classes))) if _is_sequence(classes) else {}
    if all(isinstance(key, (int, np.integer)) and key >= 0 for key in classes):
        return {int(key): name for key, name in classes.items()}
    if index := _as_index(classes):
        return {number: name for name, number in index.items()}
    if all(isinstance(key, str) and key.isdecimal() for key in classes):  # as in JSON
        return {int(key): name for key, name in classes.items()}
    return {}


def _is_sequence(value: Any) -> bool:
    """Whether a value has an order and can be iterated again: lists, tuples, arrays, a pandas Index."""
    if isinstance(value, Sequence):
        return not isinstance(value, (str, bytes))
    return hasattr(value, "__array__") and getattr(value, "ndim", 0) == 1


def _aliases(name: Any) -> list[str]:
    """A class's names: torchvision's ImageNet has several per class."""
    return [str(alias) for alias in name] if isinstance(name, (tuple, list)) else [str(name)]


def _agreed(parts: Iterable[dict[int, str]]) -> dict[int, str]:
    """The names of all parts together."""
    names: dict[int, str] = {}
    numbers: dict[str, int] = {}
    for number, name in (item for part in parts for item in part.items()):
        other_name = names.setdefault(number, name)
        other_number = numbers.setdefault(same_form(name), number)
        if same_form(other_name) != same_form(name):
            difference = f"class {number} is {other_name!r} in one and {name!r} in another"
        elif other_number != number:
            difference = f"{name!r} is class {other_number} in one and class {number} in another"
        else:
            continue
        raise InputError(
            f"the parts of a ConcatDataset number their classes differently: {difference}. Give all parts the same "
            "numbering, with a target_transform or class folders of the same names."
        )
    return names


def same_form(name: str) -> str:
    """A name in Unicode's composed form, for comparison: some systems write "é" as one character and some as two."""
    return unicodedata.normalize("NFC", name)


def class_label(label: int, names: Sequence[str] | None) -> str:
    """A class for messages, after the word "class": "3", or "3 ('cat')" if it has a name."""
    return f"{label} ({names[label]!r})" if names is not None and label < len(names) else str(label)


def class_labels(labels: Sequence[int], names: Sequence[str] | None, most: int = 8) -> str:
    """Classes for messages: "0 ('cat'), 3 ('dog'), …"."""
    listed = [class_label(label, names) for label in labels[:most]]
    return ", ".join([*listed, *(["…"] if len(labels) > most else [])])


def find_classes(names: Sequence[str], among: Sequence[str]) -> list[int]:
    """The index in ``among`` of each of ``names``, -1 if it isn't there."""
    by_name = {same_form(name): index for index, name in enumerate(among)}
    indices = [by_name.get(same_form(name), -1) for name in names]
    if -1 not in indices:
        return indices
    for sought, candidates in ((_as_folders(names), among), (names, _as_folders(among))):
        taken = set(indices)
        free = {same_form(name): i for i, name in enumerate(candidates) if name is not None and i not in taken}
        indices = [
            free.pop(same_form(name), -1) if index < 0 and name is not None else index
            for name, index in zip(sought, indices, strict=True)
        ]
    return indices


def _as_folders(names: Sequence[str]) -> list[str | None]:
    """The folder name of each class name; None if several have the same, so that it isn't clear which is which."""
    folders = [folder_names([name])[0] for name in names]
    counts = Counter(folder.lower() for folder in folders)
    return [folder if counts[folder.lower()] == 1 else None for folder in folders]


def match_classes(present: Sequence[int], names: Sequence[str] | None, spec: Spec) -> Ints:
    """The source's class for each of the real set's, int64 (classes,), -1 if the source has none.

    By name if both sides have names, else by number, which is the name of a class if all names are numbers that the
    source has; a real set without names has at least the source's classes.
    Raises ``InputError`` if the source lacks one of the real set's classes ``present``, or has no labels at all.
    """
    if not spec.takes_labels:
        raise InputError(
            "the source has no labels, so its samples can't be mixed with labeled real ones. Give it labels with "
            "genaug.with_labels(source, labelled_set), or use a generator trained with labels."
        )
    size = max(*present, len(names) - 1 if names is not None else spec.num_classes - 1) + 1
    match, rule, remedy = np.arange(size, dtype=np.int64), "number", ""
    if names is not None and spec.class_names is not None:
        match = np.array(find_classes(names, spec.class_names) + [-1] * (size - len(names)), dtype=np.int64)
        rule, remedy = "name", " If they mean the same, rename the real set's (its .classes) like the source's."
    elif names is not None and are_numbers(names, spec.num_classes):
        match = np.array([int(name) for name in names] + [-1] * (size - len(names)), dtype=np.int64)
    match[match >= spec.num_classes] = -1
    unknown = [c for c in present if match[c] < 0]
    if unknown:
        raise InputError(
            f"the source doesn't know the real set's class{'es' if len(unknown) > 1 else ''} "
            f"{class_labels(unknown, names, _MAX_LISTED)}: the real set has {_describe(max(present) + 1, names)}, "
            f"the source {spec.describe_classes()}; they are matched by {rule}.{remedy}"
        )
    return match


def are_numbers(names: Sequence[str], count: int) -> bool:
    """Whether all of these names are numbers of classes, of which there are ``count``."""
    return all(name.isascii() and name.isdecimal() and int(name) < count for name in names)


def matched_by_number(
    names: Sequence[str] | None, spec: Spec, real_set: str = "the real set", source: str = "the source"
) -> str | None:
    """A note for the user if only one of the real set and the source has class names; otherwise None.

    Names that are the classes' own numbers count as no names.
    """
    named = names or spec.class_names or ()
    if (
        (names is None) == (spec.class_names is None)
        or not spec.takes_labels
        or list(named) == [*map(str, range(len(named)))]
        or (names is not None and are_numbers(names, spec.num_classes))
    ):
        return None
    side, other = (source, real_set) if names is not None else (real_set, source)
    return (
        f"{side} has no class names, so its classes are matched with those of {other} by number (0: {named[0]!r}, "
        f"...). Make sure that both number them alike, or give {side} class names (.classes)."
    )


def matching_note(dataset: Any, names: Sequence[str] | None, spec: Spec) -> str | None:
    """A note for the user if a dataset's classes can't be matched with a source's by name; otherwise None."""
    if names is None and spec.class_names is not None and (relabeled := _relabeled_type(dataset)):
        return (
            f"{relabeled} has a target_transform, so its class names don't tell what its labels are; they are "
            f"matched with the generator's classes by number (0: {spec.class_names[0]!r}, ...)."
        )
    return matched_by_number(names, spec)


def _relabeled_type(dataset: Any) -> str | None:
    """The type of a dataset with class names that changes its labels, through Subset and ConcatDataset."""
    if isinstance(dataset, Subset | ConcatDataset):
        return next(filter(None, map(_relabeled_type, parts_of(dataset))), None)
    changed = getattr(dataset, "target_transform", None) is not None and getattr(dataset, "classes", None)
    return type(dataset).__name__ if changed else None


def renumbered(
    labels: Tensor, names: Sequence[str] | None, target: Sequence[str] | None, count: int, what: str
) -> Tensor:
    """Labels of a set whose classes have ``names``, in the numbering of another whose ``count`` classes are ``target``.

    Unchanged if one of them has no names, unless the names are numbers of its classes. Raises ``InputError`` for a
    class that occurs and that the other lacks.
    """
    if names is not None and target is None and are_numbers(names, count) and int(labels.max()) < len(names):
        return torch.tensor([int(name) for name in names], dtype=torch.int64, device="cpu")[labels]
    if names is None or target is None or list(names) == list(target):
        return labels
    indices = find_classes(names, target) + [-1] * (int(labels.max()) + 1 - len(names))
    match = torch.tensor(indices, dtype=torch.int64, device="cpu")
    unknown = [label for label in labels.unique().tolist() if match[label] < 0]
    if unknown:
        raise InputError(
            f"{what} has classes that the other set lacks: {class_labels(unknown, names, _MAX_LISTED)}; that one has "
            f"{_describe(len(target), target)}. Give the same classes the same names."
        )
    return match[labels]


def given_counts(balance: Mapping[Any, Any], match: Ints, names: Sequence[str] | None, spec: Spec) -> Ints:
    """A mapping of class (number or name) to number of samples, as int64 (classes,).

    Names are the real set's, or the source's if only that has names. Raises ``InputError`` for unknown classes,
    for a class named twice, and for counts that aren't integers of 0 or more.
    """
    counts = np.zeros(len(match), dtype=np.int64)
    keys: dict[int, Any] = {}
    for key, count in balance.items():
        label = class_index(key, names if names is not None else spec.class_names, len(counts), "balance=")
        if isinstance(count, (bool, np.bool_)) or not isinstance(count, (int, np.integer)) or count < 0:
            raise InputError(f"balance= must map classes to integers of 0 or more, got {count!r} for {key!r}.")
        if label in keys:
            raise InputError(f"balance= names one class twice, as {keys[label]!r} and {key!r}.")
        if count and match[label] < 0:
            raise InputError(
                f"the source doesn't know class {class_label(label, names)}; it has {spec.describe_classes()}."
            )
        keys[label], counts[label] = key, count
    return counts


def class_index(key: Any, names: Sequence[str] | None, num_classes: int, what: str) -> int:
    """The number of a class given by number or by name. Raises ``InputError`` for an unknown one."""
    if isinstance(key, str) and names is not None:
        forms = [same_form(name) for name in names]
        if same_form(key) in forms:
            return forms.index(same_form(key))
    if isinstance(key, (int, np.integer)) and not isinstance(key, bool) and 0 <= key < num_classes:
        return int(key)
    valid = f"0 to {num_classes - 1}" + (f" or {', '.join(list(names)[:_MAX_LISTED])}" if names is not None else "")
    raise InputError(f"{what} names the unknown class {key!r}; valid are {valid}.")


def _describe(size: int, names: Sequence[str] | None) -> str:
    if names is None:
        return f"classes 0 to {size - 1}"
    return (
        f"{count_of_classes(len(names))} ({', '.join(names[:_MAX_LISTED])}{', …' if len(names) > _MAX_LISTED else ''})"
    )
