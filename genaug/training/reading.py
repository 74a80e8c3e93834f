"""Reading a dataset once, whole, into memory: uint8 images and int64 labels."""

from collections.abc import Callable
from dataclasses import dataclass
from os import PathLike
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torchvision.transforms.v2 import functional as F

from genaug.errors import InputError
from genaug.images import to_uint8
from genaug.labels import as_labels, class_names
from genaug.precision import plain_torch
from genaug.spec import MAX_CLASSES, MAX_NAME, Spec

_TELL_EVERY = 100


@dataclass(frozen=True)
class TrainingImages:
    """uint8 images (N, C, H, W), int64 labels (N,) or None, and the spec they give (without latents)."""

    images: Tensor
    labels: Tensor | None
    spec: Spec


def read_images(
    dataset: Any, image_size: int | None = None, on_items: Callable[[int], None] | None = None
) -> TrainingImages:
    """Read ``dataset[i]`` for every i as it comes: PIL, uint8 or float in [0, 1], alone or with an integer label.

    ``image_size`` resizes the shorter side and crops the centre. Random transforms are drawn once. ``on_items(k)``
    is called now and then, after another k were read. Raises ``InputError`` for an empty dataset, sizes that vary
    without ``image_size``, normalised floats, labels that aren't integers, and an item that raises (naming its index).
    """
    _check_kind(dataset)
    count = len(dataset)
    if count == 0:
        raise InputError("the dataset is empty: expected at least one image.")
    images: Tensor | None = None
    labels: list[Any] = []
    for index in range(count):
        try:
            item = dataset[index]
        except Exception as error:
            raise InputError(f"item {index} of the dataset can't be read ({type(error).__name__}: {error}).") from error
        image, label = (*item, None)[:2] if isinstance(item, (tuple, list)) and item else (item, None)
        try:
            pixels = to_uint8(image)
        except InputError as error:
            raise InputError(f"item {index} of the dataset: {error}") from error
        if image_size is not None:
            pixels = F.center_crop(F.resize(pixels, [image_size], antialias=True), [image_size, image_size])
        if images is None:
            images = _allocate(count, pixels)
        if pixels.shape != images.shape[1:]:
            raise InputError(
                f"image {index} has shape {tuple(pixels.shape)}, the ones before it {tuple(images.shape[1:])}. "
                "Pass image_size= (--image-size), or make channels alike with a transform."
            )
        images[index] = pixels
        labels.append(label.item() if isinstance(label, Tensor) and label.ndim == 0 else label)
        if on_items is not None and ((index + 1) % _TELL_EVERY == 0 or index + 1 == count):
            on_items(index % _TELL_EVERY + 1)
    with plain_torch():
        return _with_spec(dataset, images, labels)


def _check_kind(dataset: Any) -> None:
    expected = "expected a map-style dataset (with len() and indices)"
    if isinstance(dataset, (str, PathLike)):
        name = str(dataset)
        known = name == "digits" or name.startswith(("folder:", "torchvision:"))
        remedy = f"genaug.data.load_data({name if known else f'folder:{name}'!r}) reads it"
        raise InputError(f"{expected}, got {name!r}. {remedy}: pass what it returns.")
    if isinstance(dataset, DataLoader):
        raise InputError(f"{expected}, got a DataLoader. Pass its .dataset, without random transforms.")
    if not hasattr(dataset, "__len__") or not hasattr(dataset, "__getitem__"):
        raise InputError(f"{expected}, got {type(dataset).__name__}.")


def _with_spec(dataset: Any, images: Tensor | None, labels: list[Any]) -> TrainingImages:
    assert images is not None
    found = None if all(label is None for label in labels) else as_labels(labels, "the dataset's labels").cpu()
    names = class_names(dataset) if found is not None else None
    classes = 0 if found is None else int(found.max()) + 1
    if names is not None and len(names) >= classes:
        classes = len(names)
    if classes > MAX_CLASSES:
        raise InputError(
            f"the labels go up to {classes - 1}; at most {MAX_CLASSES:,} classes are possible. Number them from 0."
        )
    if names is not None and (len(set(names)) != classes or max(map(len, names)) > MAX_NAME):
        names = None  # they don't tell the classes apart
    if names is not None and any("\udc80" <= letter <= "\udcff" for letter in "".join(names)):
        broken = next(name for name in names if not name.isprintable())
        raise InputError(f"a class has the name {broken!r}, which isn't text (in an old encoding?). Rename it.")
    channels, height, width = images.shape[1:]
    spec = Spec(shape=(channels, height, width), num_classes=classes, classes=names)
    return TrainingImages(images, found, spec)


def _allocate(count: int, first: Tensor) -> Tensor:
    if max(first.shape[1:]) > 2048:
        raise InputError(f"images of {first.shape[2]}x{first.shape[1]} are too large. Pass image_size= (--image-size).")
    try:
        with plain_torch():
            return torch.empty((count, *first.shape), dtype=torch.uint8)
    except RuntimeError as error:
        size = count * first.numel() / 2**30
        raise InputError(f"{count} images need {size:.1f} GiB of memory. Pass a smaller image_size=.") from error
