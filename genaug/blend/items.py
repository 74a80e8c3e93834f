"""Whole items, image and label, real and generated: their labels' types, and whether they fit in one batch."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils._pytree import tree_leaves
from torch.utils.data import IterableDataset

from genaug.data.apportion import Ints
from genaug.data.labels import disagreement, number_of
from genaug.errors import InputError


def check_map_style(real: Any) -> None:
    """Refuse what has no length and no items by index, and what is empty, with an ``InputError``."""
    if isinstance(real, IterableDataset) or not (hasattr(real, "__len__") and hasattr(real, "__getitem__")):
        raise InputError(f"expected a map-style dataset, with __len__ and __getitem__, got {type(real).__name__}.")
    if len(real) == 0:
        raise InputError("the real dataset is empty.")


def label_like(example: Any) -> Callable[[int], Any] | None:
    """What makes a label of the kind of ``example``: an integer, a numpy one, or a tensor, array or list of one."""
    if isinstance(example, bool | np.bool_):
        return None
    if isinstance(example, int):
        return int
    if isinstance(example, np.integer):
        return type(example)
    if isinstance(example, Tensor) and example.numel() == 1 and not _inexact(example.dtype):
        return _TensorLabel(tuple(example.shape), example.dtype, example.device)
    if isinstance(example, np.ndarray) and example.size == 1 and np.issubdtype(example.dtype, np.integer):
        return _ArrayLabel(example.shape, example.dtype)
    if isinstance(example, (list, tuple)) and len(example) == 1 and not hasattr(example, "_fields"):
        inner = label_like(example[0])
        return None if inner is None else _ListLabel(type(example), inner)
    return None


def _inexact(dtype: torch.dtype) -> bool:
    return dtype.is_floating_point or dtype.is_complex or dtype == torch.bool


@dataclass(frozen=True)
class _TensorLabel:
    shape: tuple[int, ...]
    dtype: torch.dtype
    device: torch.device

    def __call__(self, label: int) -> Tensor:
        return torch.full(self.shape, label, dtype=self.dtype, device=self.device)


@dataclass(frozen=True)
class _ArrayLabel:
    shape: tuple[int, ...]
    dtype: Any

    def __call__(self, label: int) -> NDArray[Any]:
        return np.full(self.shape, label, dtype=self.dtype)


@dataclass(frozen=True)
class _ListLabel:
    container: type[Any]
    inner: Callable[[int], Any]

    def __call__(self, label: int) -> Any:
        return self.container([self.inner(label)])


@dataclass(frozen=True)
class Shown:
    """One image-like leaf of an item, for comparison and for messages."""

    kind: str
    size: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.kind} {'x'.join(map(str, self.size))}"


def shown(item: Any) -> list[Shown]:
    """All that an item holds of images, arrays and tensors with more than one element, in order.

    A tv_tensors.Image counts as a tensor: they go into one batch.
    """
    found = []
    for leaf in tree_leaves(item):
        if isinstance(leaf, Image.Image):
            found.append(Shown(f"PIL {leaf.mode}", (leaf.height, leaf.width)))
        elif isinstance(leaf, Tensor) and leaf.numel() > 1:
            found.append(Shown(f"tensor {str(leaf.dtype).removeprefix('torch.')}", tuple(leaf.shape)))
        elif isinstance(leaf, np.ndarray) and leaf.size > 1:
            found.append(Shown(f"array {leaf.dtype}", leaf.shape))
    return found


def sizes_agree(real_items: list[Any], made: Any) -> bool:
    """Whether a generated item has the real ones' sizes, or these differ among themselves."""
    first, *others = [[leaf.size for leaf in shown(item)] for item in real_items]
    return any(sizes != first for sizes in others) or [leaf.size for leaf in shown(made)] == first


def check_alike(real_items: list[Any], made: Any, source_shape: tuple[int, ...], *, sizes: bool) -> None:
    """Refuse a generated item that could not stand in one batch with the real ones.

    Sizes are compared if ``sizes`` is true and the real ones don't differ among themselves. Raises ``InputError`` that
    shows both sides.
    """
    real, other = shown(real_items[0]), shown(made)
    alike = [leaf.kind for leaf in real] == [leaf.kind for leaf in other]
    alike = alike and (not sizes or sizes_agree(real_items, made))
    if type(made) is not type(real_items[0]) or _outline(made) != _outline(real_items[0]):
        raise InputError(
            f"make_item gives {_outline(made)}, but the real set's items are {_outline(real_items[0])}. Build the same."
        )
    if _scalars(made) != _scalars(real_items[0]):
        raise InputError(
            f"make_item gives {', '.join(_scalars(made))} beside the image, but the real set's items have "
            f"{', '.join(_scalars(real_items[0]))}, which doesn't go into one batch. Build the same."
        )
    if not alike:
        raise InputError(
            f"the real set gives {_listed(real)}, but generated images come out as {_listed(other)} (the source makes "
            f"{'x'.join(map(str, source_shape))}). Give the real set a transform that brings both to one shape and "
            "type, or pass generated_transform=."
        )


def _outline(item: Any) -> str:
    if isinstance(item, dict):
        return f"a dict of {', '.join(map(str, item))}"
    if isinstance(item, (tuple, list)):
        return f"a {type(item).__name__} of {len(item)}"
    return f"a {type(item).__name__}"


def _scalars(item: Any) -> list[str]:
    """What an item holds besides images, in order: tensors and arrays of one number by dtype, all else as "plain"."""
    found = []
    for leaf in tree_leaves(item):
        if isinstance(leaf, Tensor) and leaf.numel() <= 1:
            found.append(f"tensor {str(leaf.dtype).removeprefix('torch.')}")
        elif isinstance(leaf, np.ndarray) and leaf.size <= 1:
            found.append(f"array {leaf.dtype}")
        elif not isinstance(leaf, (Tensor, np.ndarray, Image.Image)):
            found.append("plain")
    return found


def _listed(leaves: list[Shown]) -> str:
    return ", ".join(map(str, leaves)) or "no image"


def check_labels(items: list[Any], indices: list[int], labels: Ints, custom: bool) -> Callable[[int], Any]:
    """What makes a label as the real items have them. ``custom``: items of any form, which make_item builds.

    Raises ``InputError`` for items that aren't (image, label), labels that aren't integers, and labels that aren't
    what the blend took them for.
    """
    pairs = [item for item in items if isinstance(item, (tuple, list)) and len(item) == 2]
    if custom:
        seconds = [item[1] for item in items if isinstance(item, (tuple, list)) and len(item) >= 2]
        return (label_like(seconds[0]) if seconds else None) or int
    if len(pairs) < len(items):
        form = f"{len(items[0])} fields" if isinstance(items[0], (tuple, list)) else f"a {type(items[0]).__name__}"
        raise InputError(
            f"the real set's items must be (image, label), got {form}. "
            "Pass make_item=, a function of (image, label) that builds a generated item like the real ones."
        )
    like = label_like(pairs[0][1])
    if like is None:
        raise InputError(
            f"the real set's items must carry integer labels, got {pairs[0][1]!r}. Soft or one-hot labels can't be "
            "matched to classes: blend before CutMix/MixUp, or pass make_item=."
        )
    for index, (_, label) in zip(indices, pairs, strict=True):
        number = number_of(label)
        if number != labels[index]:
            raise InputError(disagreement(index, "the real set", number, int(labels[index]), "labels= or .targets"))
    return like
