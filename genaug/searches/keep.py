"""Keeping the best generator of a training, by an objective on held-out training images."""

from typing import Any

import torch

from genaug.data.reading import read_samples
from genaug.device import pick_device
from genaug.errors import InputError
from genaug.searches.objectives import check_measures, objective_named
from genaug.searches.split import split, without_held_out
from genaug.training.keeping import KeepBest


def keep_best(
    dataset: Any,
    objective: Any = "kid",
    *,
    higher_is_better: bool | None = None,
    patience: int | None = None,
    image_size: int | None = None,
    seed: int = 0,
    device: str | torch.device | None = None,
) -> tuple[Any, KeepBest]:
    """Divide a training set for ``genaug.fit(backend, train, keep=keep)``: ``train, keep = keep_best(dataset)``.

    The generator that is kept is the best one by ``objective`` on the held-out part: "kid", "coverage",
    "synthetic_only", or a function of a ``Generator`` with ``higher_is_better``, as for ``genaug.search``.
    That is a fifth of each class, and always the same one of the same dataset. ``patience`` ends a training after that
    many checkpoints without a better generator. ``image_size`` is that of ``fit``, ``seed`` decides the samples that
    are measured.

    Returns a ``Subset`` of the dataset with the other images, and the rule for ``keep=``. Raises ``InputError`` for
    unusable arguments and data.
    """
    judged = objective_named(objective, higher_is_better)
    if not judged.while_training:
        raise InputError(f"the objective {judged.name!r} takes too long to be measured at every checkpoint.")
    data = read_samples(dataset, image_size, needs_labels=judged.needs_labels)
    check_measures(judged, data.spec)
    measure = judged.prepare(*split(data), seed, pick_device(device))
    return without_held_out(dataset, image_size), KeepBest(measure, judged.name, judged.higher, patience)
