"""Classifiers that are trained on generated rows and tested on real ones (Esteban et al. 2017: TSTR)."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genaug.evaluation.aligned_rows import AlignedRows
from genaug.evaluation.arrays import Z
from genaug.evaluation.report import Findings, PageTable, measure
from genaug.evaluation.scores import interval_over_models
from genaug.randomness import derive_seed

KINDS = ("gradient boosting", "logistic regression", "decision tree")

Ints = NDArray[np.int64]


def score_with_classifiers(
    aligned: AlignedRows,
    generated: Sequence[Tensor],
    names: Sequence[str],
    findings: Findings,
    *,
    replicates: int,
    seed: int,
    tick: Callable[[], None],
) -> None:
    """``synthetic_only_macro_f1``, overall and per class (then the F1 of the class).

    ``generated`` are sets of generated raw rows, each of which trains all kinds of classifiers; ``names`` are those of
    the classes. The reference is the score of the same kinds trained on the real rows. Macro-F1 gives each class the
    same weight, however rare it is. ``tick`` is called after each set, the real one included.
    """
    features = aligned.without_target()
    test, train = aligned.rows["held_out"], aligned.rows["real"]
    truth, real_labels = (_numbers(aligned.labels(side)) for side in (test, train))
    classes = np.unique(np.concatenate([truth, real_labels]))
    inputs = _Inputs(features, aligned, test)
    of_real = inputs.predictions(train, real_labels, derive_seed(seed, "real"))
    tick()
    of_generated = []
    for number, rows in enumerate(generated):
        labels = _numbers(aligned.labels(rows))
        of_generated.append(inputs.predictions(rows, labels, derive_seed(seed, "generated", number)))
        tick()
    draws = np.random.Generator(np.random.Philox(key=derive_seed(seed, "test rows")))
    resamples = [draws.integers(len(truth), size=len(truth)) for _ in range(replicates)]
    description = (
        f"{', '.join(KINDS)}: trained on {len(generated)} sets of generated rows, tested on held-out real ones"
    )
    fields: dict[str, Any] = {
        "samples": len(generated[0]),
        "real_samples": len(test),
        "features": description,
        "higher_is_better": True,
    }
    for label in [None, *classes.tolist()]:
        chosen = classes if label is None else np.array([label])
        if label is not None and not (truth == label).any():
            continue

        def scores(sides: Sequence[Mapping[str, Ints]], rows: Any = slice(None), of: Ints = chosen) -> list[float]:
            return [float(np.mean([mean_f1(truth[rows], side[kind][rows], of) for kind in KINDS])) for side in sides]

        values = scores(of_generated)
        means = [float(np.mean(scores(of_generated, rows))) for rows in resamples]
        variance = float(np.var(means, ddof=1)) if len(means) > 1 else float("nan")
        findings.measures(None if label is None else names[label])["synthetic_only_macro_f1"] = measure(
            float(np.mean(values)),
            interval_over_models(values, Z**2 * variance),
            (0.0, 1.0),
            reference=scores([of_real])[0],
            details=_by_kind(of_generated, of_real, truth, classes) if label is None else {},
            **fields,
        )
    findings.tables.append(_page_table(of_generated, of_real, truth, classes))


class _Inputs:
    """The features of rows, for trees and for linear models, and those of the rows that classifiers are tested on."""

    def __init__(self, features: AlignedRows, aligned: AlignedRows, test: Tensor) -> None:
        self._features = features
        self._kept = [i for i, name in enumerate(aligned.names) if name != aligned.target]
        self._test = self._of(test)

    def _of(self, rows: Tensor) -> dict[str, Any]:
        own = rows[:, self._kept]
        values, inputs = self._features.values(own), self._features.inputs(own)
        return dict(zip(KINDS, (values, inputs, inputs), strict=True))

    def predictions(self, rows: Tensor, labels: Ints, seed: int) -> dict[str, Ints]:
        """The predicted labels of the test rows, by the kind of classifier."""
        train = self._of(rows)
        if len(np.unique(labels)) == 1:  # nothing to learn
            return {kind: np.full(len(self._test[kind]), labels[0]) for kind in KINDS}
        models = new_classifiers(self._features.native, seed)
        return {kind: fitted(models[kind], train[kind], labels).predict(self._test[kind]) for kind in KINDS}


def new_classifiers(categories: Sequence[int] | None, seed: int) -> dict[str, Any]:
    """One of each of the ``KINDS``."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.tree import DecisionTreeClassifier

    state = seed % 2**32
    boosted = HistGradientBoostingClassifier(categorical_features=categories, early_stopping=False, random_state=state)
    tree = DecisionTreeClassifier(max_depth=15, min_samples_leaf=5, random_state=state)
    return dict(zip(KINDS, (boosted, LogisticRegression(max_iter=300), tree), strict=True))


def fitted(model: Any, x: Any, y: Any) -> Any:
    """The model, trained as far as its number of iterations goes."""
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(x, y)


def mean_f1(truth: Ints, predicted: Ints, classes: Ints) -> float:
    """The mean F1 of these classes, 2 TP / (2 TP + FP + FN); 0 for one that neither occurs nor is predicted."""
    count = int(max(truth.max(), predicted.max(), classes.max())) + 1
    hits, of_truth, of_predicted = (
        np.bincount(labels, minlength=count)[classes] for labels in (truth[truth == predicted], truth, predicted)
    )
    return float(np.mean(2 * hits / np.maximum(of_truth + of_predicted, 1)))


def _by_kind(
    of_generated: Sequence[Mapping[str, Ints]], of_real: Mapping[str, Ints], truth: Ints, classes: Ints
) -> dict[str, float]:
    """Macro-F1 and accuracy of each kind, for the JSON."""
    result = {}
    for kind in KINDS:
        name = kind.replace(" ", "_")
        result[name] = float(np.mean([mean_f1(truth, side[kind], classes) for side in of_generated]))
        result[f"{name}_real"] = mean_f1(truth, of_real[kind], classes)
        result[f"{name}_accuracy"] = float(np.mean([(side[kind] == truth).mean() for side in of_generated]))
        result[f"{name}_real_accuracy"] = float((of_real[kind] == truth).mean())
    return result


def _page_table(
    of_generated: Sequence[Mapping[str, Ints]], of_real: Mapping[str, Ints], truth: Ints, classes: Ints
) -> PageTable:
    scores = _by_kind(of_generated, of_real, truth, classes)
    rows = []
    for kind in KINDS:
        name = kind.replace(" ", "_")
        cells = [f"{scores[name + end]:.3f}" for end in ("", "_real", "_accuracy", "_real_accuracy")]
        rows.append([kind, *cells])
    head = ["classifier", "macro-F1\ntrained on generated rows", "macro-F1\ntrained on real rows"]
    head += ["accuracy\ntrained on generated rows", "accuracy\ntrained on real rows"]
    return PageTable("Classifiers trained on generated rows", head, rows, "Tested on the held-out real rows.")


def _numbers(labels: Tensor | None) -> Ints:
    assert labels is not None
    numbers: Ints = labels.to(torch.int64).numpy()
    return numbers
