"""What a study measures: how good the predictions of a classifier are, as one number in [0, 1]."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from torch import Tensor

from genaug.data.classes import class_index
from genaug.errors import InputError

METRICS = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "macro-F1",
    "recall": "recall",
    "average_precision": "average precision",
}
FORMS = "'accuracy', 'balanced_accuracy', 'macro_f1', 'recall:CLASS', 'average_precision' or 'average_precision:CLASS'"
COUNTING_ERRORS = ("accuracy", "balanced_accuracy", "recall")  # 1 minus one of these is a rate of errors


@dataclass(frozen=True)
class Predictions:
    """What a classifier says about N samples: int64 labels (N,) and, if it has them, float scores (N, classes), which
    are larger the likelier a class is."""

    labels: Tensor
    scores: Tensor | None = None


class Measure(Protocol):
    """What a cell can record besides its metric, under ``key``."""

    @property
    def key(self) -> str: ...

    def of(self, predictions: Predictions, labels: Tensor) -> float: ...


@dataclass(frozen=True)
class Metric:
    """A metric as it is computed by scikit-learn.

    ``key`` is the name under which cells record it; ``label`` is the class that recall and average precision are about,
    None for the mean of average precision over all classes, each against the others.
    """

    key: str
    label: int | None = None
    class_name: str | None = None

    @property
    def name(self) -> str:
        """As it is passed to ``genaug.study``."""
        return self.key if self.label is None else f"{self.key}:{self._class}"

    @property
    def noun(self) -> str:
        """In a sentence: "macro-F1", "recall of 'yes'"."""
        return METRICS[self.key] if self.label is None else f"{METRICS[self.key]} of {self._class!r}"

    @property
    def _class(self) -> str:
        return str(self.label) if self.class_name is None else self.class_name

    @property
    def needs_scores(self) -> bool:
        """Whether predicted labels aren't enough."""
        return self.key == "average_precision"

    def of(self, predictions: Predictions, labels: Tensor) -> float:
        """The metric, in [0, 1], of predictions for samples with these labels, int64 (N,).

        Raises ``InputError`` if the classifier has only labels and the metric needs scores.
        """
        from sklearn import metrics

        true, predicted = labels.numpy(), predictions.labels.numpy()
        if self.key == "accuracy":
            return int((true == predicted).sum()) / len(true)
        if self.key == "average_precision":
            return self._average_precision(predictions.scores, labels)
        present = np.unique(true)
        if self.key == "macro_f1":
            value = metrics.f1_score(true, predicted, labels=present, average="macro", zero_division=0)
        elif self.key == "balanced_accuracy":
            value = metrics.recall_score(true, predicted, labels=present, average="macro")
        else:
            value = metrics.recall_score(true == self.label, predicted == self.label)
        return float(value)

    def _average_precision(self, scores: Tensor | None, labels: Tensor) -> float:
        from sklearn.metrics import average_precision_score

        if scores is None:
            raise InputError(
                "average precision needs scores, and this classifier only has labels. Expected a classifier with "
                "predict_proba, decision_function or classify; or choose another metric."
            )
        classes = labels.unique().tolist() if self.label is None else [self.label]
        values = [average_precision_score((labels == label).numpy(), scores[:, label].numpy()) for label in classes]
        return float(np.mean(values))

    def resolution(self, labels: Tensor) -> float:
        """The step between two possible values for samples with these labels: what one sample of the rarest class that
        counts is worth."""
        if self.key == "accuracy":
            return 1 / len(labels)
        if self.label is not None:
            return 1 / int((labels == self.label).sum())
        counts = labels.bincount()
        counts = counts[counts > 0]
        return 1 / (len(counts) * int(counts.min()))


ACCURACY = Metric("accuracy")


def parse_metric(name: Any, labels: Tensor, names: Sequence[str] | None, num_classes: int) -> Metric:
    """The metric with this name, for data with these labels and class names.

    Average precision is about the rarer of two classes unless it names one. Raises ``InputError`` for an unknown
    metric, an unknown class, and a class without samples.
    """
    key, colon, value = name.partition(":") if isinstance(name, str) else ("", "", "")
    takes_class = key in ("recall", "average_precision")
    if key not in METRICS or (colon and not takes_class) or (key == "recall" and not value):
        raise InputError(f"metric must be {FORMS}, got {name!r}.")
    counts = labels.bincount(minlength=num_classes)
    label: int | None = None
    if value:
        is_number = value.isdecimal() and (names is None or value not in names)
        label = class_index(int(value) if is_number else value, names, num_classes, f"metric={name!r}")
        if counts[label] == 0:
            raise InputError(f"metric={name!r} is about a class without samples. Choose one that has some.")
    elif key == "average_precision" and int((counts > 0).sum()) == 2:
        present = labels.unique().tolist()
        label = min(present, key=lambda one: (int(counts[one]), -one))
    return Metric(key, label, None if label is None or names is None else names[label])


def metric_of(settings: Mapping[str, Any]) -> tuple[str, str]:
    """The key and the noun of the metric in a study's recorded settings, which omit accuracy."""
    metric = settings.get("metric") or {"key": ACCURACY.key, "noun": ACCURACY.noun}
    return metric["key"], metric["noun"]


def describe_metric(metric: Metric) -> dict[str, str]:
    """What is recorded of a metric other than accuracy."""
    return {"name": metric.name, "key": metric.key, "noun": metric.noun}
