"""The labels of a dataset, found without decoding its images if possible."""

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

    Takes what a DataLoader makes a batch of labels from: tensors, arrays, sequences and other iterables of integers,
    of any integer dtype, each also as a tensor, an array or a list of one; also of shape (N, 1). A pandas Series is
    read in its order, whatever its index. Raises ``InputError`` for soft labels (a row per sample), floats, strings,
    booleans and numbers below ``least``.
    """
    try:
        tensor = _as_tensor(values, what)
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{what} must be integers, one for each sample ({error}).") from error
    if tensor.ndim == 2 and tensor.shape[1] == 1 and not tensor.is_floating_point():
        tensor = tensor.flatten()  # MedMNIST has labels of shape (N, 1)
    if tensor.ndim == 2 or (tensor.ndim == 1 and tensor.is_floating_point() and tensor.numel()):
        raise InputError(
            f"{what} must be integers, one for each sample, got {str(tensor.dtype).removeprefix('torch.')} of shape "
            f"{tuple(tensor.shape)}. Soft or one-hot labels can't be matched to classes: blend before CutMix/MixUp, "
            "or pass labels.argmax(1)."
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
        values = np.asarray(values)  # a Series too: as a sequence, it would be asked for the labels of its own index
        if values.dtype != object:
            return _from_array(values)
    if not isinstance(values, Iterable):
        raise InputError(f"{what} must be integers, one for each sample, got {values!r}.")
    values = list(values)
    if values and all(type(value) is int for value in values):  # the usual list of a large dataset
        return torch.tensor(values, dtype=torch.int64, device="cpu")
    numbers = [number_of(value) for value in values]
    wrong = next((value for value in numbers if isinstance(value, str) or value is None), 0)
    if isinstance(wrong, str):
        raise InputError(f"{what} must be integers, got strings such as {wrong!r}.")
    if wrong is None:
        raise InputError(f"{what} must be integers, one for each sample, got None for some.")
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
    """What a label holds if it is a tensor, an array or a sequence of one number; else the label itself."""
    while True:
        if isinstance(label, Tensor) and label.numel() == 1:
            return label.item()
        if isinstance(label, np.ndarray) and label.size == 1:
            return label.item()
        if not (isinstance(label, (list, tuple)) and len(label) == 1):
            return label
        label = label[0]


def known_labels(dataset: Any) -> Tensor | None:
    """Labels from ``.targets`` (or ``.labels``), through Subset and ConcatDataset; None if there are none.

    Not used if the dataset has a ``target_transform``, since its items then carry other labels, nor if it keeps
    something else there than an integer for each item: names, rows, floats, their number.
    """
    if isinstance(dataset, Subset):
        inner = known_labels(dataset.dataset)
        return None if inner is None else inner[torch.as_tensor(list(dataset.indices), dtype=torch.int64, device="cpu")]
    if isinstance(dataset, ConcatDataset):
        parts = [known_labels(part) for part in dataset.datasets]
        return None if any(part is None for part in parts) else torch.cat([p for p in parts if p is not None])
    if getattr(dataset, "target_transform", None) is not None:
        return None
    for name in ("targets", "labels"):
        labels = _labels_kept(getattr(dataset, name, None), len(dataset))
        if labels is not None:
            return labels
    samples = getattr(getattr(dataset, "reader", None), "samples", None)  # timm's ImageDataset: (file, label)
    if isinstance(samples, Sequence) and len(samples) == len(dataset) and all(len(pair) == 2 for pair in samples):
        return _labels_kept([label for _, label in samples], len(dataset))
    return None


def _labels_kept(values: Any, count: int) -> Tensor | None:
    """Values as labels, if that is what they are; what can be read only once is left alone."""
    try:
        if values is None or callable(values) or len(values) != count:
            return None
        return as_labels(values)
    except (TypeError, InputError):
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
    with state_kept(dataset):
        return as_labels(_read_labels(dataset), f"the labels of {type(dataset).__name__}")


def _read_labels(dataset: Any) -> list[Any]:
    """The second field of every item."""
    found = []
    for index in range(len(dataset)):
        item = read_item(dataset, index)
        if not isinstance(item, (tuple, list)) or len(item) < 2:
            raise InputError(
                f"item {index} of {type(dataset).__name__} carries no label: expected (image, label), got "
                f"{type(item).__name__}. Pass labels=."
            )
        found.append(item[1])
    return found


def check_carried(carried: Tensor, known: Tensor | None, what: str) -> None:
    """Raises ``InputError`` if items carry other labels than ``known``, which their dataset's ``.targets`` say."""
    if known is None:
        return
    wrong = torch.nonzero(carried != known).flatten()
    if len(wrong):
        first = int(wrong[0])
        raise InputError(disagreement(first, what, int(carried[first]), int(known[first]), ".targets (or .labels)"))


def disagreement(index: int, what: str, carried: Any, known: int, where: str) -> str:
    """The message for an item that carries another label than its dataset says."""
    return (
        f"item {index} of {what} carries the label {carried}, but its {where} say {known}. Make them agree, so that it "
        "is clear which one counts: let them hold what the items carry."
    )
