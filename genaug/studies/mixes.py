"""``Mix``: several sources as one arm of a study."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from numbers import Real
from typing import Any

import torch
from torch import Tensor

from genaug.backends.spec import Spec
from genaug.data.apportion import largest_remainder
from genaug.data.classes import match_classes
from genaug.data.shares import as_number
from genaug.errors import InputError
from genaug.randomness import derive_seed
from genaug.sources.source import Source, supply_of
from genaug.studies.blending import draw


@dataclass(frozen=True, repr=False)
class Mix:
    """Several sources of a study as one: ``Mix({"gan": "cgan", "hub": generator})``.

    ``sources`` are sources by name, each as ``genaug.study`` takes one, except for ``AsClassifier`` and another
    ``Mix``. At ratio r, each has an equal share of r or, with ``weights`` by the same names, one in proportion to its
    weight, as in ``MixedDataset(real, {"gan": …, "hub": …}, ratio={"gan": r / 2, "hub": r / 2})``. Each class is
    divided in this way.

    Raises ``InputError`` for fewer than two sources, and for weights that aren't positive numbers of the same names.
    """

    sources: Mapping[str, Any]
    weights: Mapping[str, float] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.sources, Mapping) or len(self.sources) < 2:
            raise InputError("Mix takes a mapping of name to source with two sources or more.")
        for name in self.sources:
            if not isinstance(name, str) or not name:
                raise InputError(f"the names of sources must be strings, got {name!r}.")
        if self.weights is None:
            return
        if not isinstance(self.weights, Mapping) or set(self.weights) != set(self.sources):
            raise InputError(
                f"weights= must have a number for each of {', '.join(map(repr, self.sources))}, got {self.weights!r}."
            )
        for name, weight in self.weights.items():
            valid = isinstance(weight, Real) and not isinstance(weight, bool) and 0 < weight < math.inf
            if not valid:
                raise InputError(f"the weight of {name!r} must be a number above 0, got {weight!r}.")

    @property
    def shares(self) -> dict[str, float]:
        """The sources' shares of the generated samples, which sum to 1."""
        weights = self.weights or dict.fromkeys(self.sources, 1)
        fractions = {name: Fraction(as_number(weights[name])) for name in self.sources}
        return {name: float(weight / sum(fractions.values())) for name, weight in fractions.items()}

    def __repr__(self) -> str:
        weights = "" if self.weights is None else f", {dict(self.weights)!r}"
        return f"Mix({dict(self.sources)!r}{weights})"


def plans_in(name: str, plan: Any) -> dict[str, Any]:
    """What the source called ``name`` consists of: itself, or the parts of a ``Mix``, called "name+part"."""
    if not isinstance(plan, Mix):
        return {name: plan}
    return {f"{name}+{part}": source for part, source in plan.sources.items()}


def descriptions_in(sources: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The recorded descriptions of sources by name, with those of the parts of a ``Mix`` instead of its own."""
    for name, source in sources.items():
        parts = source.get("parts")
        yield from ((f"{name}+{part}", each) for part, each in parts.items()) if parts else [(name, source)]


class MixedSources:
    """The sources of a ``Mix`` as one source, with the classes of ``spec``, of which some are ``present``.

    Samples of each class are divided among the sources by their ``shares``, in turn.
    """

    def __init__(self, sources: Sequence[Source], shares: Sequence[float], spec: Spec, present: Sequence[int]) -> None:
        self.spec, self._sources, self._shares = spec, list(sources), list(shares)
        self._matches = [
            torch.from_numpy(match_classes(present, spec.class_names, source.spec)) for source in self._sources
        ]

    @property
    def supply(self) -> list[int] | None:
        """The number of distinct samples of each class, so that no source repeats one; None if it is unlimited."""
        limits = []
        for source, share, match in zip(self._sources, self._shares, self._matches, strict=True):
            counts = supply_of(source)
            if counts is not None:
                own = [counts[label] if label >= 0 else 0 for label in match.tolist()]
                limits.append([int(count / share) for count in own] + [0] * (self.spec.num_classes - len(own)))
        return [min(counts) for counts in zip(*limits, strict=True)] if limits else None

    def sample(
        self, n: int | None = None, *, labels: Tensor | None = None, seed: int | None = None
    ) -> tuple[Tensor, Tensor]:
        assert labels is not None
        numbers = self._numbers(labels)
        samples: Tensor | None = None
        for number, (source, match) in enumerate(zip(self._sources, self._matches, strict=True)):
            rows = torch.nonzero(numbers == number).flatten()
            if len(rows) == 0:
                continue
            own = draw(source, match[labels[rows]], derive_seed(seed or 0, "mix", number), self.spec)
            samples = torch.empty(len(labels), *own.shape[1:], dtype=own.dtype) if samples is None else samples
            samples[rows] = own
        if samples is None:
            samples = torch.empty(0, *self.spec.shape, dtype=self.spec.sample.dtype)
        return samples, labels

    def _numbers(self, labels: Tensor) -> Tensor:
        """The number of each sample's source, int64 (N,)."""
        numbers = torch.zeros(len(labels), dtype=torch.int64)
        for label in labels.unique():
            rows = torch.nonzero(labels == label).flatten()
            counts = largest_remainder(len(rows), self._shares).tolist()
            places = torch.cat([(torch.arange(count) + 0.5) / count for count in counts if count])
            own = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
            numbers[rows] = own[torch.argsort(places, stable=True)]
        return numbers
