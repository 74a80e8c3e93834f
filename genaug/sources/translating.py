"""A translator as an editor for ``variations``: the samples of a dataset in another domain."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from genaug.backends.spec import Spec
from genaug.data.classes import same_form
from genaug.data.reading import Samples
from genaug.errors import InputError
from genaug.modalities.base import Modality
from genaug.sources.export import identity_of
from genaug.sources.generator import Generator


class Translating:
    """An image-to-image generator that translates into the domain ``to``, with the methods of an editor."""

    def __init__(self, generator: Generator, to: str | None) -> None:
        self.generator, self._to = generator, to
        self.spec: Spec = generator.translation(to)
        self.batch_size = generator.batch_size

    @property
    def identity(self) -> dict[str, Any]:
        return {**identity_of(self.generator), "to": self.spec.conditions[0].domains[1]}

    @property
    def device(self) -> torch.device:
        return self.generator.device

    def to(self, device: str | torch.device) -> "Translating":
        self.generator.to(device)
        return self

    @property
    def training(self) -> dict[str, Any]:
        return self.generator.training

    @property
    def strength(self) -> float:
        """As that of ``variations``: 0 if a sample has a single translation, 1 if it has endless ones."""
        return 1.0 if self.spec.latents else 0.0

    def vary(self, samples: Any, labels: Any = None, *, strength: float, seed: int | None) -> Tensor:
        translated: Tensor = self.generator.translate(samples, labels, to=self._to, seed=seed)
        return translated

    def check_vary(self, samples: Modality, strength: float) -> None:
        """Raises ``InputError`` if the generator can't translate samples of this modality."""
        condition = self.spec.conditions[0]
        if samples != condition.sample:
            raise InputError(
                f"the translator takes {condition.sample.describe()} of the domain {condition.domains[0]!r}, the "
                f"dataset has {samples.describe()}. Convert them with a transform, or pass image_size=."
            )

    def __repr__(self) -> str:
        return f"{self.generator!r} to {self.spec.conditions[0].domains[1]!r}"

    def class_to(self, data: Samples) -> tuple[Samples, int | None]:
        """If the target domain is one of the data's classes, its number, and the samples to translate into it.

        These are the class with the name of the other domain, or all other classes if there is none.
        """
        names = [same_form(name) for name in data.spec.class_names or ()]
        own, target = (same_form(name) for name in self.spec.conditions[0].domains)
        if target not in names or data.labels is None:
            return data, None
        if own in names:
            rows = data.labels == names.index(own)
            data = replace(data, x=data.x[rows], labels=data.labels[rows])
        return data, names.index(target)
