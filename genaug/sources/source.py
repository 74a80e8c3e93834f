"""What every use asks of a source of samples, and what it checks of what it gets."""

from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from genaug.backends.spec import Spec
from genaug.errors import InputError


@runtime_checkable
class Source(Protocol):
    """Anything that a blend can draw from: a ``Generator``, a ``SamplePool``, somebody's own pipeline."""

    @property
    def spec(self) -> Spec: ...

    def sample(
        self,
        n: int | None = None,
        *,
        labels: "torch.Tensor | None" = None,
        seed: int | None = None,
    ) -> "tuple[torch.Tensor, torch.Tensor | None]":
        """Draw ``n`` samples, or one for each of ``labels``.

        Returns images, uint8 in [0, 255] of shape (N, C, H, W), and int64 labels of shape (N,), or None for
        a source without labels. The same seed gives the same samples.
        """
        ...


def image_bytes(spec: Spec) -> int:
    channels, height, width = spec.shape
    return channels * height * width


def check_source(source: Any) -> Spec:
    """The spec of a source of images. Raises ``InputError`` for anything else."""
    if isinstance(source, str):
        raise InputError(
            f"source must be an object with spec and sample, got the string {source!r}: genaug.load({source!r})? "
            "For a folder of images there is SamplePool.from_dataset."
        )
    spec = getattr(source, "spec", None)
    if not isinstance(spec, Spec) or not callable(getattr(source, "sample", None)):
        raise InputError(
            f"source must have spec and sample (see genaug.sources.source.Source), got {type(source).__name__}."
        )
    if spec.kind != "image":
        raise InputError(f"images can't be blended with a source of kind {spec.kind!r}.")
    return spec


def checked_sample(source: Source, n: int, labels: Tensor | None, seed: int) -> Tensor:
    """``n`` images from a source, on its device. Raises ``InputError`` where they aren't what its spec says."""
    images, _ = source.sample(n, seed=seed) if labels is None else source.sample(labels=labels, seed=seed)
    return check_images(source, images, n)


def check_images(source: Source, images: Any, n: int) -> Tensor:
    """What a source gave for ``n`` images. Raises ``InputError`` if it isn't what the source's spec says."""
    expected = (n, *source.spec.shape)
    if not isinstance(images, Tensor) or images.dtype != torch.uint8 or tuple(images.shape) != expected:
        got = f"{images.dtype} of shape {tuple(images.shape)}" if isinstance(images, Tensor) else type(images).__name__
        nan = ""
        if isinstance(images, Tensor) and images.is_floating_point() and not bool(torch.isfinite(images).all()):
            nan = " It holds NaN or infinity: has its generator's training diverged?"
        raise InputError(f"{type(source).__name__}.sample gave {got}; expected torch.uint8 of shape {expected}.{nan}")
    return images
