"""The sources of a blend: which of their classes are the real set's, and whether their samples go together."""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from genaug.backends.spec import Spec
from genaug.blend.shares import ONLY
from genaug.data.apportion import Ints
from genaug.data.classes import match_classes, matching_note
from genaug.errors import BlendWarning, InputError
from genaug.modalities.image import Image
from genaug.randomness import derive_seed
from genaug.sources.source import Source, check_source, checked_sample


@dataclass(frozen=True)
class BlendSource:
    """A source, and its class for each of the real set's, int64 (classes,), -1 if it has none."""

    name: str
    source: Source
    match: Ints

    @property
    def spec(self) -> Spec:
        return self.source.spec

    def seed(self, seed: int) -> int:
        """The seed of the source's samples in a blend with ``seed``: sources with names differ."""
        return seed if self.name == ONLY else derive_seed(seed, "source", self.name)

    def sample(self, label: int, seed: int) -> NDArray[Any]:
        """One raw sample of a class of the real set."""
        labels = torch.tensor([self.match[label]], device="cpu")
        sample: NDArray[Any] = checked_sample(self.source, 1, labels, derive_seed(seed, "probe"))[0].cpu().numpy()
        return sample


def checked_spec(named: Mapping[str, Any]) -> Spec:
    """The spec of the first source. Raises ``InputError`` for sources that can't be blended, or not together."""
    specs = {}
    for name, source in named.items():
        with naming(name):
            specs[name] = check_source(source)
            if blended := specs[name].sample.blended:
                raise InputError(f"MixedDataset doesn't blend {specs[name].sample.noun}. {blended}")
    first, *others = specs
    for name in others:
        if type(specs[name].sample) is not type(specs[first].sample):
            raise InputError(_differing(specs, first, name, "Sources of one blend must make the same kind of sample."))
    return specs[first]


def check_sizes(named: Mapping[str, Source]) -> None:
    """Raises ``InputError`` if sources make samples of different sizes: without a transform they don't go into one
    batch."""
    specs = {name: source.spec for name, source in named.items()}
    first, *others = specs
    for name in others:
        if _size(specs[name]) != _size(specs[first]):
            remedy = "Give the real set a transform that brings all images to one shape, or pass generated_transform=."
            raise InputError(_differing(specs, first, name, remedy))


def matched_sources(
    named: Mapping[str, Source], real: Any, labels: Ints, names: tuple[str, ...] | None
) -> list[BlendSource]:
    """The sources with their classes for the real set's, which are matched by name if both sides have names.

    Issues a ``BlendWarning`` if they are matched by number although one side has names. Raises ``InputError`` if a
    source lacks a class of the real set.
    """
    present = np.unique(labels).tolist()
    matches, notes = {}, []
    for name, source in named.items():
        with naming(name):
            if (note := matching_note(real, names, source.spec)) and note not in notes:
                notes.append(note)
            matches[name] = match_classes(present, names, source.spec)
    for note in notes:
        warnings.warn(note, BlendWarning, stacklevel=3)
    size = max(map(len, matches.values()))
    return [
        BlendSource(name, source, np.pad(matches[name], (0, size - len(matches[name])), constant_values=-1))
        for name, source in named.items()
    ]


@contextmanager
def naming(name: str) -> Iterator[None]:
    """In the block, ``InputError`` begins with the name of the source, unless it has none."""
    try:
        yield
    except InputError as error:
        if name == ONLY:
            raise
        raise InputError(f"source {name!r}: {error}") from error


def _size(spec: Spec) -> tuple[int, ...]:
    """The shape of a sample; of an image only the height and width, since channels are converted."""
    return spec.shape[1:] if isinstance(spec.sample, Image) else spec.shape


def _differing(specs: Mapping[str, Spec], first: str, other: str, remedy: str) -> str:
    return (
        f"source {first!r} makes {specs[first].sample.describe()}, and source {other!r} makes "
        f"{specs[other].sample.describe()}. {remedy}"
    )
