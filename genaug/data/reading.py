"""Reading a dataset once, whole, into memory: uint8 images and int64 labels."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from os import PathLike
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torchvision.transforms.v2 import functional as F

from genaug.backends.spec import MAX_CLASSES, MAX_NAME, Spec
from genaug.checks import SIDE, as_whole
from genaug.data.classes import class_names, same_form
from genaug.data.items import file_of, read_item
from genaug.data.labels import as_labels, check_carried, known_labels
from genaug.data.state import state_kept
from genaug.device import torch_defaults
from genaug.errors import InputError
from genaug.escaping import escaped
from genaug.modalities.image import to_uint8

_TELL_EVERY = 100


@dataclass(frozen=True)
class TrainingImages:
    """uint8 images (N, C, H, W), int64 labels (N,) or None, and the spec they give (without latents).

    ``label_problem`` is why the items' labels can't be used, if they aren't and ``read_images`` was to go on.
    """

    images: Tensor
    labels: Tensor | None
    spec: Spec
    label_problem: InputError | None = None

    def check_labels(self) -> None:
        """Raises ``label_problem``, if there is one."""
        if self.label_problem is not None:
            raise self.label_problem


def read_images(
    dataset: Any,
    image_size: int | None = None,
    on_items: Callable[[int], None] | None = None,
    *,
    what: str = "the dataset",
    needs_labels: bool = True,
) -> TrainingImages:
    """Read ``dataset[i]`` for every i as it comes: PIL, uint8 or float in [0, 1], alone or with an integer label.

    ``image_size`` resizes the shorter side and crops the centre. Random transforms are drawn once. ``on_items(k)``
    is called now and then, after another k were read. ``what`` is the dataset's name in messages. Unless
    ``needs_labels``, labels that can't be used are left out, with the reason as ``label_problem``.

    Raises ``InputError`` for an empty dataset, sizes that vary without ``image_size``, normalised floats, an item that
    raises (naming its index, and its file if the dataset tells it), labels that aren't integers, and labels that
    aren't those of the dataset's ``.targets``.
    """
    _check_kind(dataset)
    if image_size is not None:
        image_size = as_whole(image_size, "image_size", 1, SIDE)
    if len(dataset) == 0:
        raise InputError(f"{what} is empty: expected at least one image.")
    with state_kept(dataset):
        images, carried = _read_items(dataset, image_size, on_items, what)
    channels, height, width = images.shape[1:]
    shape = (channels, height, width)
    try:
        with torch_defaults():
            labels, classes, names = _labels(dataset, carried, what)
    except InputError as error:
        if needs_labels:
            raise
        return TrainingImages(images, None, Spec(shape=shape), error)
    return TrainingImages(images, labels, Spec(shape=shape, num_classes=classes, classes=names))


def _read_items(
    dataset: Any, image_size: int | None, on_items: Callable[[int], None] | None, what: str
) -> tuple[Tensor, list[Any]]:
    """The images, uint8 (N, C, H, W), and the labels as the items carry them, None where they don't."""
    count = len(dataset)
    images: Tensor | None = None
    carried: list[Any] = []
    for index in range(count):
        item = read_item(dataset, index, what)
        image, label = (*item, None)[:2] if isinstance(item, (tuple, list)) and item else (item, None)
        try:
            pixels = to_uint8(image)
        except InputError as error:
            raise InputError(f"item {index} of {what}{_file(dataset, index)}: {error}") from error
        if image_size is not None:
            pixels = F.center_crop(F.resize(pixels, [image_size], antialias=True), [image_size, image_size])
        if images is None:
            images = _allocate(count, pixels, _file(dataset, index))
        if pixels.shape != images.shape[1:]:
            raise InputError(
                f"image {index}{_file(dataset, index)} has shape {tuple(pixels.shape)}, the ones before it "
                f"{tuple(images.shape[1:])}. Pass image_size= (--image-size), or make channels alike with a transform."
            )
        images[index] = pixels
        carried.append(label)
        if on_items is not None and ((index + 1) % _TELL_EVERY == 0 or index + 1 == count):
            on_items(index % _TELL_EVERY + 1)
    assert images is not None
    return images, carried


def _check_kind(dataset: Any) -> None:
    expected = "expected a map-style dataset (with len() and indices)"
    if isinstance(dataset, (str, PathLike)):
        name = str(dataset)
        known = name == "digits" or name.startswith(("folder:", "torchvision:"))
        remedy = f"genaug.data.datasets.load_data({name if known else f'folder:{name}'!r}) reads it"
        raise InputError(f"{expected}, got {name!r}. {remedy}: pass what it returns.")
    if isinstance(dataset, DataLoader):
        raise InputError(f"{expected}, got a DataLoader. Pass its .dataset, without random transforms.")
    if not hasattr(dataset, "__len__") or not hasattr(dataset, "__getitem__"):
        raise InputError(f"{expected}, got {type(dataset).__name__}.")


def _labels(dataset: Any, carried: list[Any], what: str) -> tuple[Tensor | None, int, tuple[str, ...] | None]:
    """The labels that the items carry, the number of classes, and the names of these."""
    if all(label is None for label in carried):
        return None, 0, None
    labels = as_labels(carried, f"{what}'s labels")
    check_carried(labels, known_labels(dataset), what)
    names = class_names(dataset, labels)
    classes = int(labels.max()) + 1
    if names is not None and len(names) >= classes:
        classes = len(names)
    if classes > MAX_CLASSES:
        raise InputError(
            f"the labels go up to {classes - 1}; at most {MAX_CLASSES:,} classes are possible. Number them from 0."
        )
    if names is not None and (len(set(map(same_form, names))) != classes or max(map(len, names)) > MAX_NAME):
        names = None  # they don't tell the classes apart
    broken = next((name for name in names or () if any("\ud800" <= letter <= "\udfff" for letter in name)), None)
    if broken is not None:
        raise InputError(f"a class has the name {broken!r}, which isn't text (in an old encoding?). Rename it.")
    return labels, classes, names


def _file(dataset: Any, index: int) -> str:
    """An item's file in parentheses, to follow its number; empty if the dataset doesn't tell it."""
    file = file_of(dataset, index)
    return "" if file is None else f" ({escaped(file)})"


def _allocate(count: int, first: Tensor, file: str) -> Tensor:
    if max(first.shape[1:]) > SIDE:
        size = f"{first.shape[2]}x{first.shape[1]}"
        raise InputError(f"images of {size}{file} are too large. Pass image_size= (--image-size).")
    try:
        return torch.empty((count, *first.shape), dtype=torch.uint8, device="cpu")
    except RuntimeError as error:
        needed = count * first.numel() / 2**30
        raise InputError(f"{count} images need {needed:.1f} GiB of memory. Pass a smaller image_size=.") from error


def fingerprint(data: TrainingImages) -> str:
    """The sha256 of all images and labels: ``data_sha256`` in the record of a run."""
    digest = hashlib.sha256(data.images.numpy().data)
    if data.labels is not None:
        digest.update(data.labels.numpy().data)
    return digest.hexdigest()


def shared_images(train: Tensor, test: Tensor) -> Tensor:
    """Indices, int64, of the test images that the training set holds too, pixel for pixel; both uint8 (N, C, H, W)."""
    if train.shape[1:] != test.shape[1:]:
        return torch.empty(0, dtype=torch.int64)
    seen = {image.tobytes() for image in train.numpy()}
    return torch.tensor([i for i, image in enumerate(test.numpy()) if image.tobytes() in seen], dtype=torch.int64)
