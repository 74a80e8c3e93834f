"""The interface of a source of samples, and checks of sources and their samples."""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from genaug.backends.spec import Spec
from genaug.data.apportion import largest_remainder
from genaug.data.classes import class_label
from genaug.errors import InputError
from genaug.modalities.image import Image


@runtime_checkable
class Source(Protocol):
    """Anything that samples can be drawn from: a ``Generator``, a ``SamplePool``, or a class of your own.

    A source may have further attributes:

    * ``supply``: the number of its distinct samples of each class (see ``supply_of``);
    * ``identity``: plain values of JSON that differ between sources whose samples differ, so that exports aren't
      continued with another source;
    * ``batch_size``: how many samples exports ask for at a time; one if it is missing;
    * ``training``: a record of its training, a mapping;
    * ``recipe``: how it was built, a mapping of plain values with ``source`` ("SCHEME:REST"), ``revision`` (the hash
      of a commit, or None) and ``options``, so that ``genaug.load(source, revision=revision, **options)`` builds the
      same source. ``genaug.save_recipe`` needs it.
    """

    @property
    def spec(self) -> Spec: ...

    def sample(
        self,
        n: int | None = None,
        *,
        labels: Tensor | None = None,
        seed: int | None = None,
    ) -> tuple[Any, Tensor | None]:
        """Draw ``n`` samples, or one for each of ``labels``.

        Returns samples, as ``spec.sample.check`` accepts them: raw ones, shape (N, ``*spec.shape``) (images are uint8
        in [0, 255], channels first), or what ``spec.sample.present`` makes of these (rows of a table are a DataFrame);
        and int64 labels of shape (N,), or None for a source without labels. The same seed gives the same samples.
        """
        ...


def supply_of(source: Any) -> list[int] | None:
    """The number of distinct samples of each class (one entry without labels) that a source has, or None if unlimited.

    It is the source's attribute ``supply``; the supply of a source without this attribute is unlimited. Raises
    ``InputError`` if it isn't one count per class.
    """
    supply = getattr(source, "supply", None)
    if supply is None:
        return None
    counts = [int(count) for count in supply]
    if len(counts) != max(source.spec.num_classes, 1) or min(counts) < 0:
        raise InputError(
            f"{type(source).__name__}.supply must be one count of 0 or more for each of "
            f"{source.spec.describe_classes()}, got {counts}."
        )
    return counts


def check_supply(source: Any, classes: Sequence[int] | Any) -> None:
    """Raises ``InputError`` if a source has no sample of one of these classes."""
    supply = supply_of(source)
    absent = [] if supply is None else [int(label) for label in classes if supply[label] == 0]
    if absent:
        name = class_label(absent[0], source.spec.class_names)
        raise InputError(f"{type(source).__name__} has no sample of class {name}, and some are needed.")


def distinct_labels(source: Any, labels: Tensor, match: Tensor) -> Tensor:
    """The most labels, int64, for which a source has distinct samples.

    All of ``labels`` if the supply suffices or is unlimited; else fewer of each class, in the same shares (by largest
    remainder). ``match`` maps a label to the source's class.
    """
    supply = supply_of(source)
    if supply is None:
        return labels
    weights = labels.bincount(minlength=len(match))
    classes = torch.nonzero(weights)[:, 0]
    available = torch.as_tensor(supply, device="cpu")[match[classes]]
    size = int(min(len(labels), *(available * len(labels) // weights[classes] + 1).tolist()))
    while (torch.from_numpy(largest_remainder(size, weights.tolist()))[classes] > available).any():
        size -= 1
    if size == len(labels):
        return labels
    return torch.arange(len(match), device="cpu").repeat_interleave(
        torch.from_numpy(largest_remainder(size, weights.tolist()))
    )


def check_source(source: Any) -> Spec:
    """The spec of a source. Raises ``InputError`` for anything else."""
    if isinstance(source, str):
        raise InputError(
            f"source must be an object with spec and sample, got the string {source!r}. Pass genaug.load({source!r}), "
            "or SamplePool.from_dataset for a folder of images."
        )
    spec = getattr(source, "spec", None)
    if not isinstance(spec, Spec) or not callable(getattr(source, "sample", None)):
        raise InputError(
            f"source must be an object with spec and sample (see genaug.sources.source.Source), got "
            f"{type(source).__name__}."
        )
    return spec


def image_shape(spec: Spec, what: str) -> tuple[int, int, int]:
    """The shape (channels, height, width) of the images that a spec describes.

    Raises ``InputError``, saying that ``what`` works on images, for another modality.
    """
    if not isinstance(spec.sample, Image):
        raise InputError(f"{what} works on images, and these are {spec.sample.noun}.")
    return spec.sample.shape


def checked_sample(source: Source, n: int, labels: Tensor | None, seed: int) -> Tensor:
    """``n`` raw samples from a source, on its device. Raises ``InputError`` if they don't fit its spec."""
    samples, _ = source.sample(n, seed=seed) if labels is None else source.sample(labels=labels, seed=seed)
    return source.spec.sample.check(samples, n, f"{type(source).__name__}.sample returned")
