"""``genaug.erase_and_fill``: the user's own images, with parts erased and filled in by a generator."""

from typing import Any

import torch
from torch import Tensor

from genaug.backends.spec import Spec
from genaug.errors import InputError
from genaug.nn.erasing import DRAWS, KINDS, Masks, draw_masks
from genaug.randomness import derive_seed, uniform_rows
from genaug.sources.export import identity_of
from genaug.sources.generator import Generator
from genaug.sources.variations import Variations, variations


def erase_and_fill(
    generator: Generator, dataset: Any, area: float = 0.25, masks: Masks = "block", *, image_size: int | None = None
) -> Variations:
    """A source of a dataset's own images in which parts are erased and filled in, with their labels.

    Random erasing (Zhong et al. 2020) with plausible content instead of noise. Each sample has a new mask; all images
    of a class are used before one is used again.

    Args:
        generator: A generator of images of the dataset's size, which fills in the parts (``Generator.complete``): best
            one of ``context-encoder``, which takes one pass; any other one searches its latents, which takes seconds.
        dataset: A map-style dataset of images, with labels or without. A generator that takes labels gets them; classes
            are matched by name if both have names, else by number.
        area: The share of an image that is erased, above 0 and at most 0.9.
        masks: "block": rectangles anywhere, which may overlap; "center": one in the middle; "random": regions of any
            shape.
        image_size: Resizes the shorter side to this and crops the center.

    Raises ``InputError`` for an area or kind of mask that isn't one of these, and for images or classes that don't fit.
    """
    if isinstance(area, bool) or not isinstance(area, int | float) or not 0 < area <= 0.9:
        raise InputError(f"area must be a number above 0 and at most 0.9, got {area!r}.")
    return variations(_Eraser(generator, masks), dataset, float(area), image_size=image_size)


class _Eraser:
    """An editor for ``genaug.variations``, whose strength is the share of an image that is erased."""

    def __init__(self, generator: Generator, masks: Masks) -> None:
        if not isinstance(generator, Generator):
            raise InputError(f"erase_and_fill needs a Generator, got {type(generator).__name__}.")
        if masks not in KINDS:
            raise InputError(f"masks must be one of {', '.join(KINDS)}, got {masks!r}.")
        generator.check_complete()
        self._generator, self._masks = generator, masks
        self.spec = Spec(sample=generator.spec.sample, classes=generator.spec.classes)
        self.batch_size, self.training = generator.batch_size, generator.training

    @property
    def identity(self) -> dict[str, Any]:
        """What decides the samples, beside the area."""
        return {"masks": self._masks, "generator": identity_of(self._generator)}

    @property
    def device(self) -> torch.device:
        return self._generator.device

    def to(self, device: str | torch.device) -> "_Eraser":
        self._generator.to(device)
        return self

    def __repr__(self) -> str:
        return f"erased ({self._masks}) and filled in by {self._generator!r}"

    def check_vary(self, samples: Any, strength: float) -> None:
        if samples != self.spec.sample:
            raise InputError(
                f"the generator fills in images of {self.spec.sample.describe()}, the dataset has "
                f"{samples.describe()}. Convert them with a transform, or pass image_size=."
            )

    def vary(self, samples: Tensor, labels: Any = None, *, strength: float, seed: int) -> Tensor:
        height, width = self.spec.shape[1:]
        draws = torch.from_numpy(uniform_rows(seed, "masks", 0, len(samples), DRAWS)).float()
        masks = draw_masks(self._masks, strength, draws, height, width)
        own = labels if self.spec.takes_labels else None
        return self._generator.complete(samples, masks, own, seed=derive_seed(seed, "filled in"))
