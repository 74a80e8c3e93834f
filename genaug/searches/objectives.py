"""What a search measures of a generator, on images that its training doesn't use: held-out *training* images."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from genaug.backends.spec import Spec
from genaug.data.reading import Samples
from genaug.errors import InputError
from genaug.evaluation.features import Features, classifier_features, pixel_features
from genaug.evaluation.kid import kernel_distance
from genaug.evaluation.prdc import manifold_overlap
from genaug.evaluation.scores import train_scorer
from genaug.modalities.image import Image
from genaug.nn.classifier import accuracy
from genaug.randomness import derive_seed
from genaug.searches.split import as_dataset
from genaug.sources.generator import Generator
from genaug.studies.study import study

_COMPARED = 2_000  # images on either side, at most
_GENERATED = 5_000  # images that a classifier is trained on
_UPDATES = 500  # of a classifier
_NAME = "generator"  # of the source in a study
_STUDY: Mapping[str, Any] = {"ratios": (0.5,), "seeds": 3, "updates": 300}

Measure = Callable[[Generator], float]


@dataclass(frozen=True)
class Objective:
    """A figure of a generator, called ``name``, and whether higher is better.

    ``prepare(train, held_out, seed, device)`` returns the function that measures it. ``while_training`` says whether it
    is cheap enough to be measured several times during a training.
    """

    name: str
    higher: bool
    prepare: Callable[[Samples, Samples, int, torch.device], Measure]
    needs_labels: bool = False
    while_training: bool = True

    def better(self, one: float, other: float) -> bool:
        return one > other if self.higher else one < other


def objective_named(objective: Any, higher: bool | None = None) -> Objective:
    """An objective by its name, or a function of a ``Generator`` that returns a number, for which ``higher`` is
    required. Raises ``InputError`` for anything else."""
    if callable(objective):
        if higher is None:
            raise InputError("a function as the objective needs higher_is_better=True or False.")
        name = getattr(objective, "__name__", type(objective).__name__)
        return Objective(name, higher, lambda *_: lambda generator: float(objective(generator)))
    if objective not in OBJECTIVES:
        known = ", ".join(map(repr, OBJECTIVES))
        raise InputError(f"unknown objective {objective!r}. Expected {known}, or a function of a Generator.")
    if higher is not None:
        raise InputError(f"higher_is_better is for a function as the objective; leave it out with {objective!r}.")
    return OBJECTIVES[objective]


def check_measures(objective: Objective, spec: Spec) -> None:
    """Raises ``InputError`` if an objective doesn't measure such samples: those with names measure images."""
    if objective is OBJECTIVES.get(objective.name) and not isinstance(spec.sample, Image):
        raise InputError(
            f"the objective {objective.name!r} works on images, and these are {spec.sample.noun}. In Python, pass a "
            "function of a Generator that returns a number instead, with higher_is_better=: the guide to searches has "
            "one, with genaug.evaluation.kid."
        )


def _distance(train: Samples, held_out: Samples, seed: int, device: torch.device) -> Measure:
    space = _features(train, seed, device)
    real = space.of(held_out.x[:_COMPARED])
    return lambda generator: kernel_distance(real, space.of(_like(generator, held_out, seed)), seed=seed)


def _coverage(train: Samples, held_out: Samples, seed: int, device: torch.device) -> Measure:
    space = _features(train, seed, device)
    real = space.of(held_out.x[:_COMPARED])
    return lambda generator: manifold_overlap(real, space.of(_like(generator, held_out, seed)))["coverage"]


def _synthetic_only(train: Samples, held_out: Samples, seed: int, device: torch.device) -> Measure:
    labels = held_out.labels
    assert labels is not None

    def measure(generator: Generator) -> float:
        drawn = labels[torch.randint(len(labels), (_GENERATED,), generator=torch.Generator().manual_seed(seed))]
        images = generator.sample(labels=drawn, seed=seed)[0].cpu()
        model = train_scorer(
            images, drawn, train.spec.num_classes, updates=_UPDATES, seed=derive_seed(seed, "scorer"), device=device
        )
        return accuracy(model, held_out.x, labels)

    return measure


def _gain(train: Samples, held_out: Samples, seed: int, device: torch.device) -> Measure:
    sets = [as_dataset(data) for data in (train, held_out)]

    def measure(generator: Generator) -> float:
        report = study(*sets, sources={_NAME: generator}, device=device, progress=False, explore=True, **_STUDY)
        scores = report.details["scores"]["test"]
        best = {None: -math.inf, _NAME: -math.inf}  # without and with generated images
        for arm in report.details["arms"]:
            values = scores.get(arm["name"], {}).values()
            if values and arm["source"] in best:
                best[arm["source"]] = max(best[arm["source"]], sum(values) / len(values))
        return best[_NAME] - best[None]

    return measure


def _features(train: Samples, seed: int, device: torch.device) -> Features:
    """Those of a classifier of the training images; pixels if there are no labels."""
    if train.labels is None:
        return pixel_features()
    seed = derive_seed(seed, "judge")
    model = train_scorer(train.x, train.labels, train.spec.num_classes, updates=2 * _UPDATES, seed=seed, device=device)
    return classifier_features(model, f"the training images ({len(train.x):,})", train.x)


def _like(generator: Generator, held_out: Samples, seed: int) -> torch.Tensor:
    """Generated images, uint8, with the labels of the held-out ones."""
    count = min(len(held_out.x), _COMPARED)
    if generator.spec.takes_labels and held_out.labels is not None:
        return generator.sample(labels=held_out.labels[:count], seed=seed)[0].cpu()  # type: ignore[no-any-return]
    return generator.sample(count, seed=seed)[0].cpu()  # type: ignore[no-any-return]


OBJECTIVES = {
    "kid": Objective("kid", False, _distance),
    "coverage": Objective("coverage", True, _coverage),
    "synthetic_only": Objective("synthetic_only", True, _synthetic_only, needs_labels=True),
    "gain": Objective("gain", True, _gain, needs_labels=True, while_training=False),
}
"""By name: the kernel distance between generated and held-out images in the features of a small classifier of the
training images (Binkowski et al. 2018); coverage of the held-out images (Naeem et al. 2020); accuracy on them of a
small classifier that was trained on generated images alone; and the gain of a short study, in which classifiers are
trained on the training images and tested on the held-out ones."""
