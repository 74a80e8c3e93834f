"""``genaug.evaluate``: fidelity, diversity, classifier-based scores and the copying check of any source."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from genaug import checks
from genaug.checks import as_whole
from genaug.device import pick_device, torch_defaults
from genaug.errors import InputError
from genaug.evaluation.features import Features
from genaug.evaluation.images import evaluate_images
from genaug.evaluation.report import Evaluation
from genaug.evaluation.request import Request
from genaug.evaluation.series import evaluate_series
from genaug.evaluation.subject import FEWEST_SAMPLES
from genaug.evaluation.tables import evaluate_tables
from genaug.modalities.known import MODALITIES
from genaug.randomness import check_seed
from genaug.sources.source import Source, check_source


@dataclass(frozen=True)
class Evaluator:
    """The evaluation of a modality, and those options of ``genaug.evaluate`` that only some modalities have."""

    measure: Callable[[Request], Evaluation]
    options: tuple[str, ...] = ()


EVALUATORS: Mapping[str, Evaluator] = {
    "image": Evaluator(evaluate_images, ("features", "image_size", "updates")),
    "series": Evaluator(evaluate_series, ("updates",)),
    "table": Evaluator(evaluate_tables),
}
"""By the modality's kind."""


@torch_defaults()
def evaluate(
    source: Source,
    real_set: Any,
    *,
    held_out: Any = None,
    features: str | nn.Module | Features | None = None,
    n: int | None = None,
    image_size: int | None = None,
    seed: int = 0,
    classifiers: int = 3,
    updates: int | None = None,
    replicates: int = 30,
    device: str | torch.device | None = None,
    data: str | None = None,
    progress: bool = True,
) -> Evaluation:
    """Measure how real, how varied and how useful a source's samples are, and whether it copies its training set.

    Args:
        source: a ``Generator``, a ``SamplePool``, or anything else with ``spec`` and ``sample``.
        real_set: the source's training set: a map-style dataset of images (PIL, uint8, float in [0, 1]) with or without
            labels, a ``TableDataset``, or series, such as a ``SeriesDataset``. Classes are matched to the source's by
            name if both have names, else by number, with a ``DataWarning``. If the source's record says that it was
            trained on other data, copying isn't measured.
        held_out: real samples of the same kind that the source hasn't seen, labeled in the same way. Without them,
            copying and the scores of classifiers on real samples aren't measured.
        features: the features by which images are compared: ``"classifier"`` (the default: a small CNN trained on
            ``real_set``, which needs labels for that), ``"pixels"``, ``"timm:NAME"``, ``"inception"``, a module that
            takes floats in [0, 1], or ``genaug.evaluation.Features``. Images only.
        n: the number of samples to generate for the comparison with the same number of real ones; by default the number
            of real ones, within 200 to 10,000. Each sample of a pool is used at most once, so the size of the pool is a
            limit.
        image_size: resizes the shorter side of real images and crops the center, as ``fit`` did; by default the size
            in the source's record, if there is one. Images only.
        seed: decides everything random: the same seed gives the same report on the same machine.
        classifiers: the number of classifiers trained on generated images alone, each from its own initial weights;
            for tables, the number of generated training sets, on each of which three kinds of classifiers are trained;
            for series also the number of judges and of predictors.
        updates: of every classifier, with 128 images or series each; 1,000 by default, 2,000 of judges. Not for tables.
        replicates: the number of random halves from which intervals are estimated; 0 for no intervals.
        device: where genaug's own networks run; by default a GPU if there is one.
        data: the name of the data, for the report.
        progress: whether to show progress on stderr.

    Every number comes with its interval, its sample counts and its features; measures that are missing (too few
    samples, no labels, nothing held out) are listed with the reason. Sources without labels are evaluated without the
    per-class and classifier-based parts.

    Raises ``InputError`` for a source or a dataset that can't be used, shapes, columns or classes that differ, an ``n``
    below 200, held-out samples that are training samples, features that aren't available, and options that the
    source's modality doesn't have.
    """
    sample = check_source(source).sample
    evaluator = EVALUATORS.get(sample.kind)
    if evaluator is None:
        raise InputError(f"evaluate works on samples of kind {' or '.join(EVALUATORS)}, and these are {sample.noun}.")
    passed = {"features": features, "image_size": image_size, "updates": updates}
    for name, value in passed.items():
        if value is not None and name not in evaluator.options:
            option = name.replace("_", "-")
            nouns = " and ".join(MODALITIES[kind].noun for kind, each in EVALUATORS.items() if name in each.options)
            raise InputError(f"{name}= (--{option}) is for {nouns}, and these are {sample.noun}: leave it out.")
    pick_device(device)
    request = Request(
        source=source,
        real_set=real_set,
        held_out=held_out,
        features=features,
        n=None if n is None else as_whole(n, "n", FEWEST_SAMPLES, checks.COMPARED),
        image_size=image_size,
        seed=check_seed(seed),
        classifiers=as_whole(classifiers, "classifiers", 0, checks.CLASSIFIERS),
        updates=None if updates is None else as_whole(updates, "updates", 1),
        replicates=as_whole(replicates, "replicates", 0, checks.REPLICATES),
        device=device,
        data=data or type(real_set).__name__,
        progress=progress,
    )
    return evaluator.measure(request)
