"""Reading the items of a user's dataset, with errors that name the item and its file."""

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

from torch.utils.data import ConcatDataset, IterableDataset, Subset

from genaug.data.image_files import explained
from genaug.errors import InputError
from genaug.escaping import escaped

# Names of a dataset's list of files, or of (file, label): torchvision's, in this order.
_FILE_LISTS = ("samples", "imgs", "_samples", "_image_files", "image_files", "_images")


def parts_of(dataset: Any) -> list[Any]:
    """The datasets that a Subset or a ConcatDataset consists of; empty for any other."""
    if isinstance(dataset, Subset):
        return [dataset.dataset]
    return list(dataset.datasets) if isinstance(dataset, ConcatDataset) else []


def check_map_style(dataset: Any, what: str) -> None:
    """Raises ``InputError`` for a dataset without a length or items by index, and for an empty one."""
    if isinstance(dataset, IterableDataset) or not (hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__")):
        raise InputError(
            f"{what} must be a map-style dataset, with __len__ and __getitem__, got {type(dataset).__name__}."
        )
    if len(dataset) == 0:
        raise InputError(f"{what} is empty.")


def read_item(dataset: Any, index: int, what: str = "the dataset") -> Any:
    """``dataset[index]``. Raises ``InputError`` naming the item, and its file if it is known."""
    try:
        return dataset[index]
    except Exception as error:
        raise unreadable(dataset, index, what, error) from error


def unreadable(dataset: Any, index: int, what: str, error: Exception) -> InputError:
    """The error for an item that can't be read."""
    if isinstance(error, InputError):
        return InputError(f"item {index} of {what}: {error}")
    file = file_of(dataset, index)
    if file is None:
        return InputError(f"item {index} of {what} can't be read ({type(error).__name__}: {error}).")
    return InputError(f"item {index} of {what} ({escaped(file)}) can't be read ({explained(error)}")


def file_of(dataset: Any, index: int) -> str | None:
    """The file of an item, through Subset and ConcatDataset; None if it isn't known."""
    try:
        if isinstance(dataset, Subset):
            return file_of(dataset.dataset, dataset.indices[index])
        if isinstance(dataset, ConcatDataset):
            part = bisect_right(dataset.cumulative_sizes, index)
            return file_of(dataset.datasets[part], index - [0, *dataset.cumulative_sizes][part])
        lists = [getattr(dataset, name, None) for name in _FILE_LISTS]
        lists.append(getattr(getattr(dataset, "reader", None), "samples", None))  # timm's ImageDataset
        for files in lists:
            if isinstance(files, Sequence) and len(files) == len(dataset):
                file = files[index]
                file = file[0] if isinstance(file, (tuple, list)) and file else file
                if isinstance(file, str) or hasattr(file, "__fspath__"):
                    return str(file)
    except Exception:  # it is only for a message
        return None
    return None
