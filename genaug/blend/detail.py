"""Warnings about generated images that show much less than the real ones beside them."""

from collections.abc import Sequence
from statistics import median

from genaug.blend.formats import Look

_FOURFOLD = 4


def enlarged(real: Sequence[Look], source_shape: tuple[int, ...], out: Look | None) -> str | None:
    """A sentence if generated images are enlarged at least fourfold more than real ones, else None.

    ``real`` are real images before their transform, ``out`` is what a generated one comes out as. Sides are compared,
    after the transform: images of 256 pixels that are scaled down to 32 show no more than generated ones of 32.
    """
    if not real or out is None:
        return None
    side, target = min(source_shape[1:]), min(out.shape[1:])
    usual = median(min(look.shape[1:]) for look in real)
    if min(usual, target) < _FOURFOLD * min(side, target):
        return None
    return (
        f"generated images of {source_shape[2]}x{source_shape[1]} pixels are enlarged {target / side:.3g}-fold, to "
        f"{out.shape[2]}x{out.shape[1]}, beside real ones of about {usual:g} pixels: they show much less detail, and a "
        "model can tell them apart by that alone. Use a generator of about the size at which you train."
    )


def recoloured(real: Sequence[Look], real_is_grey: bool, source_shape: tuple[int, ...], out: Look | None) -> str | None:
    """A sentence if generated images change their number of channels on the way and real ones don't, else None."""
    if not real or out is None:
        return None
    channels, usual = source_shape[0], real[0].shape[0]
    if channels == usual or channels == out.shape[0] or (channels == 1 and real_is_grey):
        return None
    return (
        f"generated images have {_called(channels)} and come out with {_called(out.shape[0])}, as the real ones, which "
        f"have {_called(usual)}: a model can tell them apart by that alone. Use a generator that was trained on images "
        f"with {_called(usual)}, or make the real ones alike with a transform."
    )


def _called(channels: int) -> str:
    return {1: "1 channel (grey)", 3: "3 channels (colour)"}.get(channels, f"{channels} channels")
