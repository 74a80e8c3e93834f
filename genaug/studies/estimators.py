"""Scikit-learn's estimators as a study's classifiers: fitted to the samples of a seed all at once."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np

from genaug.backends.spec import Spec
from genaug.blend.plan import generated_count
from genaug.errors import InputError
from genaug.modalities.series import Series
from genaug.randomness import derive_seed, seeded
from genaug.studies import series_classifiers
from genaug.studies.arms import Arm
from genaug.studies.blending import Part
from genaug.studies.classifiers import features_of, predicted
from genaug.studies.feature_columns import boosting, logistic
from genaug.studies.identity import described
from genaug.studies.learners import Fitted, Learner
from genaug.studies.metrics import Metric
from genaug.studies.resampling import import_smote, joined, repeated_rows, smote, to_fill
from genaug.studies.splits import LabelledSamples

BUILT_IN: Mapping[str, Callable[[], Any]] = {"boosting": boosting, "logistic": logistic, **series_classifiers.BUILT_IN}


@dataclass(frozen=True)
class Estimators(Learner):
    """Estimators by name: instances, which are cloned, functions without arguments that make one, or the names of
    built-in ones. They get the samples as ``features_of`` has them."""

    methods: ClassVar[tuple[str, ...]] = ("weights", "oversample", "smote")

    def check(self, spec: Spec, train: LabelledSamples, baselines: Sequence[Arm], metric: Metric) -> None:
        for name in self.classifiers:
            if self.classifiers[name] in series_classifiers.BUILT_IN and not isinstance(spec.sample, Series):
                raise InputError(f"classifier {name!r} is for series, and these are {spec.sample.noun}.")
            estimator = self._new(name)
            if metric.needs_scores and not any(
                hasattr(estimator, each) for each in ("predict_proba", "decision_function")
            ):
                raise InputError(
                    f"classifier {name!r} has neither predict_proba nor decision_function, which average precision "
                    "needs. Choose another metric or another classifier."
                )
            if any(arm.method == "weights" for arm in baselines):
                _weighted(estimator)
        if any(arm.method == "smote" for arm in baselines):
            import_smote()

    def settings(self, spec: Spec, train: LabelledSamples) -> dict[str, Any]:
        descriptions = [
            name if name == one else f"{name}: {' '.join(described(self._new(name)).split())}"
            for name, one in self.classifiers.items()
        ]
        several = {"classifiers": list(self.classifiers)} if len(self.classifiers) > 1 else {}
        options = dict.fromkeys(("classic", "updates", "batch_size", "lr"))
        return {"classifier": ", ".join(descriptions), **options, **several}

    def generated(self, real: int, ratio: float) -> int:
        return generated_count(real, ratio, "expand")

    def fit(self, arm: Arm, real: LabelledSamples, parts: Sequence[Part], spec: Spec, seed: int) -> Fitted:
        name = arm.classifier or next(iter(self.classifiers))
        estimator = self._new(name)
        features, labels = features_of(estimator, real.samples, spec), real.labels.numpy()
        rows = [(features, labels)]
        if parts and (generated := parts[0].generated) is not None:
            rows.append((features_of(estimator, generated.samples, spec), generated.labels.numpy()))
        others = np.concatenate([own for _, own in rows])
        if arm.method == "oversample":
            repeated = repeated_rows(labels, to_fill(others), derive_seed(seed, "oversample"))
            rows.append((_at(features, repeated), labels[repeated]))
        elif arm.method == "smote":
            rows.append(smote(features, labels, to_fill(others), derive_seed(seed, "smote")))
        if arm.method == "weights":
            estimator = _weighted(estimator)
        estimator = _with_seed(estimator, derive_seed(seed, "classifier") % 2**32)
        with seeded(derive_seed(seed, "training")):
            estimator.fit(joined([own for own, _ in rows]), np.concatenate([own for _, own in rows]))
        present = real.labels.unique().tolist()
        return Fitted(partial(predicted, estimator, spec=spec, present=present, as_features=True), {})

    def _new(self, name: str) -> Any:
        """A new estimator that isn't fitted."""
        from sklearn.base import clone

        what = self.classifiers[name]
        if isinstance(what, str):
            if what not in BUILT_IN:
                raise InputError(
                    f"classifier must be {' or '.join(map(repr, BUILT_IN))}, an estimator of scikit-learn, or a "
                    f"mapping of names to estimators, got {what!r}."
                )
            what = BUILT_IN[what]
        if isinstance(what, type) or not hasattr(what, "fit"):
            if not callable(what):
                raise InputError(
                    f"classifier {name!r} must be an estimator of scikit-learn, got {type(what).__name__}."
                )
            what = what()
        missing = [each for each in ("fit", "predict", "get_params") if not callable(getattr(what, each, None))]
        if missing:
            raise InputError(
                f"classifier {name!r} must be an estimator of scikit-learn, which has {missing[0]}, got "
                f"{type(what).__name__}."
            )
        return clone(what)


class SeriesEstimators(Estimators):
    """Estimators of series, between two of which there is nothing that SMOTE could make."""

    methods: ClassVar[tuple[str, ...]] = ("weights", "oversample")


def _weighted(estimator: Any) -> Any:
    """The estimator with ``class_weight="balanced"``, wherever it is a parameter. Raises ``InputError`` if none is."""
    names = [name for name in estimator.get_params() if name.rpartition("__")[2] == "class_weight"]
    if not names:
        raise InputError(
            f"{type(estimator).__name__} has no parameter class_weight, so 'weights' isn't possible. Leave it out of "
            "baselines=, or pass another classifier."
        )
    return estimator.set_params(**dict.fromkeys(names, "balanced"))


def _with_seed(estimator: Any, seed: int) -> Any:
    """The estimator with a seed for each ``random_state`` that is None."""
    names = [n for n, value in estimator.get_params().items() if n.endswith("random_state") and value is None]
    return estimator.set_params(**dict.fromkeys(names, seed))


def _at(features: Any, rows: Any) -> Any:
    return features.iloc[rows] if hasattr(features, "iloc") else features[rows]
