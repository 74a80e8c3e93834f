"""The labels and class names of a dataset, found without decoding its images where that is possible."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import ConcatDataset, Subset

from genaug.errors import InputError
from genaug.images import native_order


def as_labels(values: Any, what: str = "labels") -> Tensor:
    """Integer labels as an int64 tensor of shape (N,).

    Takes tensors, arrays and sequences of integers, also of shape (N, 1). Raises ``InputError`` for soft labels (a row
    per sample), floats, strings, booleans and negative numbers.
    """
    if isinstance(values, Sequence) and not isinstance(values, str) and any(isinstance(v, str) for v in values):
        raise InputError(
            f"{what} must be integers, got strings such as {next(v for v in values if isinstance(v, str))!r}."
        )
    try:
        if isinstance(values, Sequence) and any(isinstance(v, (Tensor, np.ndarray)) for v in values):
            # as_tensor can't take rows that are tensors, nor arrays without a dimension
            values = torch.stack([torch.as_tensor(native_order(v)) for v in values])
        tensor = torch.as_tensor(native_order(values))
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{what} must be integers, one for each sample ({error}).") from error
    if tensor.ndim == 2 and tensor.shape[1] == 1 and not tensor.is_floating_point():
        tensor = tensor.flatten()  # MedMNIST has labels of shape (N, 1)
    if tensor.ndim == 2 or (tensor.ndim == 1 and tensor.is_floating_point() and tensor.numel()):
        raise InputError(
            f"{what} must be integers, one for each sample, got {str(tensor.dtype).removeprefix('torch.')} of shape "
            f"{tuple(tensor.shape)}. Soft or one-hot labels can't be matched to classes: blend before CutMix/MixUp, "
            "or pass labels.argmax(1)."
        )
    if tensor.ndim != 1 or (tensor.numel() and tensor.dtype == torch.bool):
        raise InputError(f"{what} must be integers of shape (N,), got {tensor.dtype} of shape {tuple(tensor.shape)}.")
    tensor = tensor.to(torch.int64)
    if tensor.numel() and int(tensor.min()) < 0:
        raise InputError(f"{what} must be 0 or more, got {int(tensor.min())}.")
    return tensor


def known_labels(dataset: Any) -> Tensor | None:
    """Labels from ``.targets`` (or ``.labels``), through Subset and ConcatDataset; None where there are none.

    Not used where the dataset has a ``target_transform``, since its items then carry other labels.
    """
    if isinstance(dataset, Subset):
        inner = known_labels(dataset.dataset)
        return None if inner is None else inner[torch.as_tensor(list(dataset.indices), dtype=torch.int64)]
    if isinstance(dataset, ConcatDataset):
        parts = [known_labels(part) for part in dataset.datasets]
        return None if any(part is None for part in parts) else torch.cat([p for p in parts if p is not None])
    if getattr(dataset, "target_transform", None) is not None:
        return None
    for name in ("targets", "labels"):
        values = getattr(dataset, name, None)
        if values is not None and not callable(values) and len(values) == len(dataset):
            return as_labels(values, f"{type(dataset).__name__}.{name}")
    samples = getattr(getattr(dataset, "reader", None), "samples", None)  # timm's ImageDataset: (file, label)
    if isinstance(samples, Sequence) and len(samples) == len(dataset) and all(len(pair) == 2 for pair in samples):
        return as_labels([label for _, label in samples], f"{type(dataset).__name__}.reader.samples")
    return None


def labels_of(dataset: Any, labels: Any = None) -> Tensor:
    """One int64 label an item, shape (len(dataset),): ``labels``, else ``.targets``, else one pass over the items."""
    if labels is not None:
        given = as_labels(labels)
        if len(given) != len(dataset):
            raise InputError(f"labels= has {len(given)} entries for a dataset of {len(dataset)} items.")
        return given
    known = known_labels(dataset)
    if known is not None:
        return known
    found = []
    for index in range(len(dataset)):
        item = dataset[index]
        if not isinstance(item, (tuple, list)) or len(item) < 2:
            raise InputError(
                f"item {index} of {type(dataset).__name__} carries no label: expected (image, label), got "
                f"{type(item).__name__}. Pass labels=."
            )
        label = item[1]
        found.append(label.item() if isinstance(label, Tensor) and label.ndim == 0 else label)
    return as_labels(found, f"the labels of {type(dataset).__name__}")


def class_names(dataset: Any) -> tuple[str, ...] | None:
    """Class names in label order, through Subset and ConcatDataset (all parts alike); else None.

    From ``.classes``, or the names and labels in ``.class_to_idx``, the data set's own or its ``.reader``'s (timm).
    """
    if isinstance(dataset, Subset):
        return class_names(dataset.dataset)
    if isinstance(dataset, ConcatDataset):
        names = {class_names(part) for part in dataset.datasets}
        return names.pop() if len(names) == 1 else None
    if getattr(dataset, "target_transform", None) is not None:
        return None
    own = getattr(dataset, "classes", None)
    if not isinstance(own, (list, tuple)):
        index = getattr(dataset, "class_to_idx", None) or getattr(getattr(dataset, "reader", None), "class_to_idx", {})
        own = sorted(index, key=lambda name: index[name]) if isinstance(index, Mapping) else []
        if [index[name] for name in own] != list(range(len(own))):
            return None
    return tuple(str(name) for name in own) or None
