"""Items of the real set, an image and its label: reading them, and the types of their labels."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import TensorDataset

from genaug.data.apportion import Ints
from genaug.data.items import read_item
from genaug.data.labels import disagreement, number_of
from genaug.errors import InputError

Labels = Callable[[list[int]], list[Any]]  # a function that makes labels of these numbers


class RealItems:
    """The items of the real set. With ``check_labels``, an item whose label isn't that of ``labels`` is an error.

    Raises ``InputError`` naming the item, and its file if it is known, if an item can't be read.
    """

    def __init__(self, real: Any, labels: Ints, check_labels: bool) -> None:
        self._real, self._labels, self._check_labels = real, labels, check_labels

    def __getitem__(self, index: int) -> Any:
        return self._checked([index], self._one_by_one([index]))[0]

    def read(self, indices: list[int]) -> list[Any]:
        """The items at ``indices``, through the real set's ``__getitems__`` if it has one."""
        if not indices:
            return []
        if type(self._real) is TensorDataset:  # one gather per tensor takes less time than one per item
            rows = torch.tensor(indices, device="cpu")
            with suppress(IndexError):  # the error of that item names it
                parts = [tensor.index_select(0, rows.to(tensor.device)) for tensor in self._real.tensors]
                return self._checked(indices, list(zip(*(part.unbind() for part in parts), strict=True)), parts[1:2])
        return self._checked(indices, self._together(indices) or self._one_by_one(indices))

    def _one_by_one(self, indices: list[int]) -> list[Any]:
        return [read_item(self._real, index, "the real set") for index in indices]

    def _together(self, indices: list[int]) -> list[Any] | None:
        """The items from the real set's ``__getitems__``; None if it has none, or it fails."""
        read_all = getattr(self._real, "__getitems__", None)
        if callable(read_all):
            with suppress(Exception):
                items = list(read_all(indices))
                return items if len(items) == len(indices) else None
        return None

    def _checked(self, indices: list[int], items: list[Any], labels: Sequence[Tensor] = ()) -> list[Any]:
        """The items, if their labels are right. ``labels`` may have them in one tensor."""
        if self._check_labels:
            carried = labels[0].tolist() if labels else _numbers([item[1] for item in items])
            if carried != self._labels[indices].tolist():
                for index, item in zip(indices, items, strict=True):
                    _check_label(index, item[1], self._labels)
        return items


def _numbers(labels: list[Any]) -> list[Any]:
    """Labels as plain numbers in one step, if they are tensors of one number each."""
    if all(type(label) is Tensor and label.ndim == 0 for label in labels):
        with suppress(RuntimeError):  # on several devices
            return torch.stack(labels).tolist()
    return labels


def _check_label(index: int, label: Any, labels: Ints) -> None:
    carried, expected = number_of(label), int(labels[index])
    if carried != expected:
        raise InputError(disagreement(index, "the real set", carried, expected, "labels= or .targets"))


def labels_like(example: Any) -> Labels | None:
    """A function that makes labels of the type of ``example``: an integer, a numpy integer, or a tensor, array or
    list of one. None if ``example`` is none of these."""
    return partial(_all_like, example) if _is_integer_label(example) else None


def _is_integer_label(label: Any) -> bool:
    if isinstance(label, (list, tuple)):
        return len(label) == 1 and not hasattr(label, "_fields") and _is_integer_label(label[0])
    if isinstance(label, Tensor):
        dtype = label.dtype
        return label.numel() == 1 and not (dtype.is_floating_point or dtype.is_complex or dtype == torch.bool)
    if isinstance(label, np.ndarray):
        return label.size == 1 and np.issubdtype(label.dtype, np.integer)
    return isinstance(label, (int, np.integer)) and not isinstance(label, bool)


def _all_like(example: Any, labels: list[int]) -> list[Any]:
    if type(example) is Tensor and len(labels) > 1:  # in one step, which takes less time
        values = torch.tensor(labels, dtype=example.dtype, device=example.device)
        return list(values.view(-1, *example.shape).unbind())
    return labels if type(example) is int else [_like(example, label) for label in labels]


def _like(example: Any, label: int) -> Any:
    if isinstance(example, (list, tuple)):
        return type(example)([_like(example[0], label)])
    if isinstance(example, Tensor):
        return torch.full_like(example, label)
    if isinstance(example, np.ndarray):
        return np.full_like(example, label)
    return int(label) if isinstance(example, int) else type(example)(label)


def labels_of_any_items(items: list[Any]) -> Labels:
    """A function that makes labels of the type of the first second field that an item has; int without such a field."""
    seconds = [item[1] for item in items if isinstance(item, (tuple, list)) and len(item) >= 2]
    return (labels_like(seconds[0]) if seconds else None) or list


def labels_of_pairs(items: list[Any], indices: list[int], labels: Ints) -> Labels:
    """A function that makes labels of the type that the real items at ``indices`` have.

    Raises ``InputError`` for items that aren't (image, label), labels that aren't integers, and labels that aren't
    those of ``labels``.
    """
    for item in items:
        if not isinstance(item, (tuple, list)) or len(item) != 2:
            form = f"{len(item)} fields" if isinstance(item, (tuple, list)) else f"a {type(item).__name__}"
            raise InputError(
                f"the real set's items must be (image, label), got {form}. "
                "Pass make_item=, a function of (image, label) that builds a generated item like the real ones."
            )
    example = items[0][1]
    like = labels_like(example)
    if like is None:
        raise InputError(
            f"the real set's items must have integer labels, got {example!r}. Soft or one-hot labels can't be "
            "matched to classes: blend before CutMix/MixUp, or pass make_item=."
        )
    for index, (_, label) in zip(indices, items, strict=True):
        _check_label(index, label, labels)
    return like
