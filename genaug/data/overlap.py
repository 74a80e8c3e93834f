"""Images that are in two sets, found by content: a test set must have none in common with what is learned from."""

from typing import Any

from torch import Tensor

from genaug.data.reading import read_samples, shared_samples
from genaug.errors import InputError

_SHOWN = 5


def check_disjoint(images: Tensor, exclude: Any, image_size: int | None, what: str) -> None:
    """Raises ``InputError`` if a raw image (N, ...) of the set ``what`` is in the dataset ``exclude`` too.

    Images are compared after the same preprocessing; the labels of ``exclude`` aren't read.
    """
    others = read_samples(exclude, image_size, what="exclude", ignore_labels=True)
    shape = tuple(images.shape[1:])
    if not others.spec.sample.is_augmentable:
        raise InputError(
            f"exclude is for images, and these are {others.spec.sample.noun}. Leave it out, and compare tables with "
            "pandas.merge first."
        )
    if others.spec.shape != shape:
        raise InputError(
            f"exclude has images of shape {others.spec.shape} (C, H, W) and {what} of {shape}, so images in both would "
            "not be found. Give both the same transform, or pass image_size=."
        )
    shared = [index for index, _ in shared_samples(images, others.x)]
    if shared:
        listing = ", ".join(map(str, shared[:_SHOWN])) + (", …" if len(shared) > _SHOWN else "")
        raise InputError(
            f"{len(shared)} of the {len(images)} images of {what} are in exclude too (items {listing} of {what}): "
            f"what is learned from them would leak into the held-out data. Remove them from {what}."
        )
