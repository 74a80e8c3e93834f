"""A curriculum: generated samples that a classifier is sure of first, and the others later (Bengio et al. 2009)."""

import copy
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from genaug.data.apportion import Ints
from genaug.data.shares import as_share
from genaug.errors import InputError
from genaug.schedules import Schedule
from genaug.sources.confidence import ClassProbabilities
from genaug.sources.pool import SamplePool
from genaug.sources.source import image_shape

_CHUNK = 1024


class Curriculum:
    """Which generated samples each epoch of a ``MixedDataset`` draws from: the most confident share of each class.

    ``MixedDataset(real, generator, ratio=0.5, curriculum=Curriculum(classifier, linear(0.2, 1, epochs=10)))`` draws
    from the fifth of the generated samples that the classifier is most confident of in epoch 0, and from all of them
    from epoch 9 on. ``set_epoch`` sets the epoch.

    Args:
        classifier: what ``genaug.filtered`` accepts as ``agree``: a torch module or a function from floats in [0, 1]
            (N, C, H, W) to logits (N, classes), with the real set's classes in their order; or a ``Generator`` that
            classifies, whose classes are matched with the real set's. In a study it may be None: the study then trains
            a classifier of its own for every seed, on that seed's real samples.
        share: the share of the samples of each class that are drawn from, above 0: a number, or a schedule of
            ``genaug.schedules``. At least one sample of a class is always used.

    A sample's confidence is the probability that the classifier gives to the sample's class. If an epoch needs more
    samples than its share has, some are repeated; pass a ``SamplePool`` that is larger than the number that epochs use
    to avoid that. The order is computed whenever the pool is filled: with ``refresh="epoch"``, in every epoch.

    Raises ``InputError`` for anything but a classifier, and for a share of 0.
    """

    def __init__(self, classifier: Any, share: float | Schedule) -> None:
        self.share = share if isinstance(share, Schedule) else Schedule([_number(share)])
        for epoch, value in enumerate(self.share.values):
            if value == 0:
                raise InputError(f"a curriculum's share must be above 0, but it is 0 in epoch {epoch}.")
        if classifier is not None and not callable(classifier) and not callable(getattr(classifier, "classify", None)):
            raise InputError(
                "a curriculum needs a classifier: a torch module, a function from floats in [0, 1] to logits, or a "
                f"generator that classifies; got {type(classifier).__name__}."
            )
        self.classifier = classifier

    def __repr__(self) -> str:
        classifier = None if self.classifier is None else type(self.classifier).__name__
        return f"Curriculum({classifier}, share={self.share!r})"


class Ranking:
    """The samples of a pool, class by class, from the most confident to the least.

    ``match`` is the pool's class for each of the real set's, int64 (classes,), and ``needed`` the number of samples
    per class, int64 (classes,): those that are 0 aren't ranked. ``names`` are the real set's class names.
    """

    def __init__(
        self, curriculum: Curriculum, match: Ints, needed: Ints, names: Sequence[str] | None, pool: SamplePool
    ) -> None:
        image_shape(pool.spec, "a curriculum")
        self._share, self._pool, self._match, self._classes = curriculum.share, pool, match, np.flatnonzero(needed)
        self._probabilities: ClassProbabilities | None = ClassProbabilities(
            curriculum.classifier,
            pool.spec.sample,
            self._classes.tolist(),
            names,
            "the curriculum's classifier",
            exact=False,
        )
        self._order: Ints = np.arange(len(pool))
        self._seed: int | None = None

    def usable(self, available: Ints, epoch: int) -> Ints:
        """How many of the ``available`` samples per class an epoch draws from, int64 (classes,)."""
        share = as_share(self._share(epoch), "a curriculum's share")
        counts = [math.ceil(share * int(count)) for count in available]
        return np.array(counts, dtype=np.int64)

    def slots(self, ranks: Ints) -> Ints:
        """The slots of the pool that have these ranks, which count through the classes as slots do."""
        self._update()
        return self._order[ranks]

    def _update(self) -> None:
        """Rank the samples if the pool was filled since."""
        if self._probabilities is not None and self._seed != self._pool.seed:
            self._order, self._seed = self._ranked(self._probabilities), self._pool.seed

    def _ranked(self, probabilities: ClassProbabilities) -> Ints:
        order = np.arange(len(self._pool))
        counts = self._pool.counts
        starts = np.cumsum(counts) - counts
        for label in self._classes:
            start, count = int(starts[self._match[label]]), int(counts[self._match[label]])
            confidence = self._confidence(probabilities, start, count, int(label))
            order[start : start + count] = start + np.argsort(-confidence, kind="stable")
        return order

    def _confidence(self, probabilities: ClassProbabilities, start: int, count: int, label: int) -> NDArray[np.float64]:
        """The probability of class ``label`` for ``count`` samples from slot ``start`` on, float64 (count,)."""
        values = []
        for first in range(start, start + count, _CHUNK):
            slots = range(first, min(first + _CHUNK, start + count))
            images = torch.from_numpy(self._pool.take(slots))
            values.append(probabilities(images)[:, label].double().numpy())
        return np.concatenate(values)

    def __getstate__(self) -> dict[str, Any]:
        """Without the classifier: workers and spawned processes keep the order that there is."""
        if self._pool.seed is not None:
            self._update()
        return {**self.__dict__, "_probabilities": None}

    def __deepcopy__(self, memo: dict[int, Any]) -> "Ranking":
        twin = copy.copy(self)
        memo[id(self)] = twin
        twin._probabilities, twin._pool = self._probabilities, copy.deepcopy(self._pool, memo)
        return twin


def _number(share: Any) -> Any:
    try:
        as_share(share, "share")
    except InputError as error:
        raise InputError(f"a curriculum's {error}") from error
    return share
