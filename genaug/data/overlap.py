"""Samples that are in two sets, compared by content: a test set must have none in common with what is learned from."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from genaug.data.reading import read_samples, shared_samples
from genaug.errors import InputError

_SHOWN = 5


def check_disjoint(images: Tensor, exclude: Any, image_size: int | None, what: str, kinds: Sequence[str] = ()) -> None:
    """Raises ``InputError`` if a raw image, or series, (N, ...) of the set ``what`` is in the dataset ``exclude`` too.

    Samples are compared after the same preprocessing; the labels of ``exclude`` aren't read. ``kinds`` are as in
    ``read_samples``.
    """
    others = read_samples(exclude, image_size, what="exclude", ignore_labels=True, kinds=kinds)
    noun = others.spec.sample.noun
    shape = tuple(images.shape[1:])
    if others.spec.sample.identity:  # the same numbers may mean something else there
        raise InputError(
            f"exclude is for images and series, and these are {noun}. Leave it out, and compare tables with "
            "pandas.merge first."
        )
    if others.spec.shape != shape:
        raise InputError(
            f"exclude has {noun} of shape {others.spec.shape} {others.spec.sample.axes} and {what} of {shape}, so "
            f"{noun} in both would not be detected. Give both the same transform, or pass image_size=."
        )
    shared = [index for index, _ in shared_samples(images, others.x)]
    if shared:
        listing = ", ".join(map(str, shared[:_SHOWN])) + (", …" if len(shared) > _SHOWN else "")
        raise InputError(
            f"{len(shared)} of the {len(images)} {noun} of {what} are in exclude too (items {listing} of {what}): "
            f"what is learned from them would leak into the held-out data. Remove them from {what}."
        )
