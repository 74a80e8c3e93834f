"""``genaug.refined``: every sample of a source, passed through an image-to-image generator."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from genaug.backends.spec import Spec
from genaug.data.apportion import Ints
from genaug.data.classes import match_classes
from genaug.errors import InputError
from genaug.randomness import derive_seed
from genaug.sources import arguments
from genaug.sources.export import identity_of
from genaug.sources.source import Source, check_source, supply_of

_EXPECTED = (
    "Expected a generator with one condition, such as an upscaler, or an object with spec and translate(samples, "
    "labels=None, *, seed)."
)


def refined(source: Source, refiner: Any) -> "Refined":
    """A source of the samples of another one, each passed through an image-to-image generator.

    An upscaler (backend ``srgan``) gives the samples of a generator of small images two or four times its sides, a
    refiner (``simgan``) the look of real images. Labels stay as they are.

    Args:
        source: A source of samples that fit the refiner's condition.
        refiner: A ``Generator`` with one condition, or any object with ``translate(samples, labels=None, *, seed)``,
            which returns raw samples, and ``spec``, which describes them and has one condition: the samples that it
            takes. If it takes labels, it gets those of the samples; classes are matched by name if both have names,
            else by number.

    ``supply`` is that of ``source``. Sample i of a seed doesn't depend on the number of samples if that is true of the
    source. Raises ``InputError`` for a refiner without exactly one condition, and for samples or classes that don't fit
    it.
    """
    return Refined(source, refiner)


class Refined:
    """The source that ``genaug.refined`` returns: ``spec`` has the refiner's samples and the source's classes."""

    def __init__(self, source: Source, refiner: Any) -> None:
        spec = check_source(source)
        arguments.check_method("the refiner", refiner, "translate", _EXPECTED, {"seed": 0})
        target: Any = getattr(refiner, "spec", None)
        if not isinstance(target, Spec) or len(target.conditions) != 1:
            conditions = f"{len(target.conditions)} conditions" if isinstance(target, Spec) else "no spec"
            raise InputError(f"the refiner, {refiner!r}, has {conditions}. {_EXPECTED}")
        takes = target.conditions[0].sample
        if takes != spec.sample:
            raise InputError(
                f"the refiner takes {takes.noun} of {takes.describe()}, and the source makes {spec.sample.noun} of "
                f"{spec.sample.describe()}. Train the refiner for these, or pass another source."
            )
        self.source, self.refiner = source, refiner
        self._spec = Spec(sample=target.sample, classes=spec.classes)
        self._match: Ints | None = None
        if target.takes_labels:
            if not spec.takes_labels:
                raise InputError(
                    f"the refiner takes labels ({target.describe_classes()}), and the source has none. Pass a source "
                    "with labels: genaug.with_labels labels the samples of one without."
                )
            self._match = match_classes(range(spec.num_classes), spec.class_names, target)

    @property
    def spec(self) -> Spec:
        return self._spec

    @property
    def supply(self) -> list[int] | None:
        """The number of distinct samples of each class: the source's."""
        return supply_of(self.source)

    @property
    def identity(self) -> dict[str, Any]:
        """What decides the samples: the source and the refiner."""
        return {"source": identity_of(self.source), "refiner": identity_of(self.refiner)}

    @property
    def batch_size(self) -> int:
        """The number of samples that exports ask for at a time: the source's."""
        return int(getattr(self.source, "batch_size", 1))

    @property
    def device(self) -> torch.device:
        """The refiner's device."""
        return torch.device(getattr(self.refiner, "device", "cpu"))

    def to(self, device: str | torch.device) -> "Refined":
        """Move the source and the refiner to a device, in place."""
        parts: tuple[Any, ...] = (self.source, self.refiner)
        for part in parts:
            if not callable(getattr(part, "to", None)):
                raise InputError(f"a {type(part).__name__} can't be moved to a device.")
        for part in parts:
            part.to(device)
        return self

    @property
    def training(self) -> dict[str, Any]:
        """The source's training record, with the refiner's as ``refiner`` and the size of the refined images."""
        records = [getattr(part, "training", None) for part in (self.source, self.refiner)]
        own, refiner = (dict(record) if isinstance(record, Mapping) else {} for record in records)
        return {**own, "image_size": refiner.get("image_size"), "refiner": refiner}

    def __repr__(self) -> str:
        return f"Refined({self.source!r}, {self._spec.sample.describe()} by {self.refiner!r})"

    def sample(
        self, n: int | None = None, *, labels: Any = None, seed: int | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Draw ``n`` samples of the source, or one for each of ``labels``, and refine them.

        Returns raw samples (N, ...) and int64 labels (N,), or None for a source without labels. Raises ``InputError``
        as the source does.
        """
        count, labels = arguments.count_and_labels(n, labels)
        seed = arguments.pick_seed(seed)
        request: Any = {"n": count} if labels is None else {"labels": labels}
        samples, labels = self.source.sample(**request, seed=seed)
        samples = self.source.spec.sample.check(samples, count, f"{type(self.source).__name__}.sample returned")
        passed = None
        if self._match is not None:
            assert labels is not None
            passed = torch.from_numpy(self._match)[labels.cpu()]
        refined = self.refiner.translate(samples, passed, seed=derive_seed(seed, "refined"))
        refined = self._spec.sample.check(refined, count, f"{type(self.refiner).__name__}.translate returned")
        return refined, None if labels is None else labels.to(refined.device)
