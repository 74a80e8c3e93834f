"""How a study's classifiers learn: as networks from batches, or as estimators from all samples at once."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from torch import Tensor

from genaug.backends.spec import Spec
from genaug.studies.arms import Arm
from genaug.studies.blending import Part
from genaug.studies.metrics import Metric, Predictions
from genaug.studies.splits import LabelledSamples

IMBALANCED = 2  # a class has this many times as many samples as another


class Fitted(NamedTuple):
    """A trained classifier, and what its training says: "loss", late and at the end, if it is a network."""

    predict: Callable[[Tensor], Predictions]
    notes: Mapping[str, Any]


@dataclass(frozen=True)
class Learner(ABC):
    """Classifiers by name, and how they are trained for an arm."""

    classifiers: Mapping[str, Any]
    methods: ClassVar[tuple[str, ...]]
    """The baselines besides "none" that are possible."""

    @abstractmethod
    def check(self, spec: Spec, train: LabelledSamples, baselines: Sequence[Arm], metric: Metric) -> None:
        """Raises ``InputError`` for classifiers that don't suit the data, the baselines or the metric."""

    @abstractmethod
    def settings(self, spec: Spec, train: LabelledSamples) -> dict[str, Any]:
        """The settings to record: "classifier", a description that is the same in every process, by which a resumed
        study recognizes it, "updates", "batch_size", "lr" and "classic", None if they don't apply, and "classifiers",
        their names, if there are several."""

    @abstractmethod
    def generated(self, real: int, ratio: float) -> int:
        """The number of generated samples for a classifier at this ratio, beside ``real`` real ones."""

    @abstractmethod
    def fit(self, arm: Arm, real: LabelledSamples, parts: Sequence[Part], spec: Spec, seed: int) -> Fitted:
        """Train an arm's classifier. It sees nothing but these samples; ``parts`` are what is generated, in turn, and
        empty for an arm without generated samples."""

    def default_baselines(self, labels: Tensor, metric: Metric) -> tuple[str, ...]:
        """The baselines for training data with these labels: those against imbalance, too, if the classes are
        imbalanced and the metric isn't accuracy."""
        if metric.key == "accuracy" or not is_imbalanced(labels):
            return ("none", *(method for method in self.methods if method == "classic"))
        both = ("classic + oversample",) if "classic" in self.methods else ()
        return ("none", *self.methods, *both)


def is_imbalanced(labels: Tensor) -> bool:
    """Whether a class has twice as many samples as another, or more."""
    counts = labels.bincount()
    counts = counts[counts > 0]
    return int(counts.max()) >= IMBALANCED * int(counts.min())


def class_weights(labels: Tensor, num_classes: int) -> Tensor:
    """Weights (classes,) with which each class counts equally: scikit-learn's "balanced"."""
    counts = labels.bincount(minlength=num_classes)
    return len(labels) / ((counts > 0).sum() * counts.clamp(min=1).float())
