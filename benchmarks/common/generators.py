"""Generators that needn't be trained, for measurements of speed."""

from typing import Any

from genaug.backends import Spec, registry
from genaug.backends.calls import kept
from genaug.modalities import Image
from genaug.sources.generator import Generator


def untrained(shape: tuple[int, int, int], classes: Any = 10, device: Any = "cpu", **options: Any) -> Generator:
    """A ``cgan`` for images (C, H, W) with random weights, by default of the usual size: as fast as a trained one.

    ``classes`` is their number or their names.
    """
    backend = registry.resolve("cgan")
    config: Any = backend.Config(**options)
    spec = backend.describe(config, Spec(sample=Image(*shape), classes=classes))
    return Generator("cgan", backend, config, spec, kept(backend, config, spec), {}).to(device)
