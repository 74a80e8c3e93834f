"""The labels of a dataset, read without decoding its images if possible."""

from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import ConcatDataset, Subset

from genaug.data.items import read_item
from genaug.data.state import state_kept
from genaug.errors import InputError
from genaug.modalities.image import native_order


def as_labels(values: Any, what: str = "labels", *, least: int = 0) -> Tensor:
    """Integer labels as an int64 tensor of shape (N,) on the CPU.

    Accepts what a DataLoader collates to a batch of labels: tensors, arrays, sequences and other iterables of integers,
    of any integer dtype, each also as a tensor, an array or a list of one; also of shape (N, 1). A pandas Series is
    read in its order, whatever its index. Raises ``InputError`` for soft labels (a row per sample), floats, strings,
    booleans and numbers below ``least``.
    """
    try:
        tensor = _as_tensor(values, what)
    except InputError:
        raise
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise InputError(f"{what} must be integers, one per sample ({error}).") from error
    if tensor.ndim == 2 and tensor.shape[1] == 1 and not tensor.is_floating_point():
        tensor = tensor.flatten()  # MedMNIST has labels of shape (N, 1)
    if tensor.ndim == 2 or (tensor.ndim == 1 and tensor.is_floating_point() and tensor.numel()):
        raise InputError(
            f"{what} must be integers, one per sample, got {str(tensor.dtype).removeprefix('torch.')} of shape "
            f"{tuple(tensor.shape)}. Soft or one-hot labels, or a label per step of a series, can't be "
            "matched to classes: blend before CutMix/MixUp, or pass labels.argmax(1)."
        )
    if tensor.ndim != 1 or (tensor.numel() and (tensor.dtype == torch.bool or tensor.is_complex())):
        raise InputError(f"{what} must be integers of shape (N,), got {tensor.dtype} of shape {tuple(tensor.shape)}.")
    tensor = tensor.to(torch.int64)
    if tensor.numel() and int(tensor.min()) < least:
        raise InputError(f"{what} must be {least} or more, got {int(tensor.min())}.")
    return tensor


def _as_tensor(values: Any, what: str) -> Tensor:
    if isinstance(values, Tensor):
        return values.detach().cpu()
    if isinstance(values, (str, bytes, Mapping, Set)):
        raise InputError(f"{what} must be integers in the order of the samples, got a {type(values).__name__}.")
    if not isinstance(values, (list, tuple)) and hasattr(values, "__array__"):
        values = np.asarray(values)  # a Series too, whose items as a sequence depend on its index
        if values.dtype != object:
            return _from_array(values)
    if not isinstance(values, Iterable):
        raise InputError(f"{what} must be integers, one per sample, got {values!r}.")
    values = list(values)
    if values and all(type(value) is int for value in values):  # fast for the usual list of a large dataset
        return torch.tensor(values, dtype=torch.int64, device="cpu")
    numbers = [number_of(value) for value in values]
    for value in numbers:
        if value is None or isinstance(value, str):
            problem = "one per sample, got None for some" if value is None else f"got strings such as {value!r}"
            raise InputError(f"{what} must be integers, {problem}.")
    if any(isinstance(value, (Tensor, np.ndarray)) and value.ndim for value in numbers):
        return torch.stack([torch.as_tensor(value, device="cpu") for value in numbers])  # rows: soft labels
    if any(isinstance(value, (bool, np.bool_)) for value in numbers):
        return torch.tensor([bool(value) for value in numbers], device="cpu")
    return _from_array(np.asarray(numbers, dtype=None if numbers else np.int64))


def _from_array(array: Any) -> Tensor:
    if array.dtype.kind == "u":
        array = array.astype(np.uint64)
        if array.size and array.max() > np.iinfo(np.int64).max:
            raise InputError(f"labels must be integers below 2^63, got {array.max()}.")
    if array.dtype.kind in "iu":
        array = array.astype(np.int64)  # of any size and byte order
    return torch.as_tensor(native_order(array), device="cpu")


def number_of(label: Any) -> Any:
    """The number in a label that is a tensor, an array or a sequence of one; otherwise the label itself."""
    while isinstance(label, (list, tuple)) and len(label) == 1:
        label = label[0]
    single = isinstance(label, (Tensor, np.ndarray)) and np.prod(label.shape) == 1
    return label.item() if single else label


def known_labels(dataset: Any) -> Tensor | None:
    """Labels from ``.targets`` (or ``.labels``), through Subset and ConcatDataset; None if there are none.

    Not used if the dataset has a ``target_transform``, since its items then have other labels, nor if these attributes
    contain anything but an integer per item: names, rows, floats, a number of labels.
    """
    if isinstance(dataset, Subset):
        inner = known_labels(dataset.dataset)
        return None if inner is None else inner[torch.as_tensor(list(dataset.indices), dtype=torch.int64, device="cpu")]
    if isinstance(dataset, ConcatDataset):
        parts = [labels for part in dataset.datasets if (labels := known_labels(part)) is not None]
        return torch.cat(parts) if len(parts) == len(dataset.datasets) else None
    if getattr(dataset, "target_transform", None) is not None:
        return None
    for name in ("targets", "labels"):
        labels = _labels_in(getattr(dataset, name, None), len(dataset))
        if labels is not None:
            return labels
    samples = getattr(getattr(dataset, "reader", None), "samples", None)  # timm's ImageDataset: (file, label)
    if isinstance(samples, Sequence) and len(samples) == len(dataset) and all(len(pair) == 2 for pair in samples):
        return _labels_in([label for _, label in samples], len(dataset))
    return None


def _labels_in(values: Any, count: int) -> Tensor | None:
    """Values as labels; None if they aren't labels or can be read only once."""
    try:
        if values is None or callable(values) or len(values) != count:
            return None
        return as_labels(values)
    except (TypeError, InputError):
        return None


def labels_of(dataset: Any, labels: Any = None) -> Tensor:
    """One int64 label per item, shape (len(dataset),): ``labels``, or ``.targets``, or from one pass over the items.

    Raises ``InputError`` for labels that aren't integers, or aren't one per item.
    """
    if labels is not None:
        checked = as_labels(labels)
        if len(checked) != len(dataset):
            raise InputError(f"labels= has {len(checked)} entries for a dataset of {len(dataset)} items.")
        return checked
    known = known_labels(dataset)
    if known is not None:
        return known
    with state_kept(dataset):
        return as_labels(_read_labels(dataset), f"the labels of {type(dataset).__name__}")


def _read_labels(dataset: Any) -> list[Any]:
    """The second field of every item."""
    labels = []
    for index in range(len(dataset)):
        item = read_item(dataset, index)
        if not isinstance(item, (tuple, list)) or len(item) < 2:
            raise InputError(
                f"item {index} of {type(dataset).__name__} carries no label: expected (image, label), got "
                f"{type(item).__name__}. Pass labels=."
            )
        labels.append(item[1])
    return labels


def check_carried(carried: Tensor, known: Tensor | None, what: str) -> None:
    """Raises ``InputError`` if the labels of the items differ from ``known``, those of the dataset's ``.targets``."""
    if known is None:
        return
    wrong = torch.nonzero(carried != known).flatten()
    if len(wrong):
        first = int(wrong[0])
        raise InputError(disagreement(first, what, int(carried[first]), int(known[first]), ".targets (or .labels)"))


def disagreement(index: int, what: str, carried: Any, known: int, where: str) -> str:
    """The message for an item whose label differs from what its dataset says."""
    return (
        f"item {index} of {what} carries the label {carried}, but its {where} say {known}, so it is unclear which one "
        "counts. Correct them so that they contain the labels of the items."
    )
