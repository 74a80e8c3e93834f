"""Reading images for a generator's networks: arrays, tensors, lists and datasets."""

from dataclasses import replace
from typing import Any

import numpy as np
import PIL.Image
from torch import Tensor

from genaug.backends.spec import Spec
from genaug.data.reading import Samples, read_samples
from genaug.errors import InputError
from genaug.sources.generator import Generator
from genaug.sources.image_arrays import image_array


def read_images(values: Any, generator: Generator, what: str, image_size: int | None = None) -> Samples:
    """Images of the generator's shape in memory, with their labels if a dataset has them. ``Samples`` are returned.

    ``values`` are what ``image_array`` takes, or a map-style dataset or list of images; these are resized and cropped
    to ``image_size``, by default the one in the generator's record. Raises ``InputError`` for anything else, and if
    there are no images; ``what`` is their name in the messages.
    """
    if isinstance(values, PIL.Image.Image):
        raise InputError(f"{what} must be several images, got a single one. Pass a list: [image].")
    if isinstance(values, Tensor) or hasattr(values, "__array__") or _is_nested_list(values):
        images = image_array(values, generator.spec, what)
        if not len(images):
            raise InputError(f"{what} has no images: expected at least one.")
        return Samples(images, None, Spec(sample=generator.spec.sample))
    if isinstance(values, Samples):
        return values
    recorded = generator.training.get("image_size")
    if image_size is None and isinstance(recorded, int):
        image_size = recorded
    samples = read_samples(values, image_size, what=what, needs_labels=False)
    if samples.spec.shape != generator.spec.shape:
        shapes = ["x".join(map(str, spec.shape)) for spec in (generator.spec, samples.spec)]
        raise InputError(
            f"the generator makes images of {shapes[0]} (channels first), {what} has {shapes[1]}. Convert them with a "
            "transform, or pass image_size= (--image-size) if only the size differs."
        )
    return replace(samples, label_problem=None)


def _is_nested_list(values: Any) -> bool:
    """Whether this is a list of numbers or of lists, as ``tolist()`` makes them."""
    return isinstance(values, list) and bool(values) and isinstance(values[0], (list, int, float, np.number))
