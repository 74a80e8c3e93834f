"""The census table (UCI Adult), and the scores of classifiers trained on rows of it or on generated ones."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from genaug.evaluation.trained_on_generated import fitted

TARGET, POSITIVE = "income", ">50K"
COLUMNS = [
    *("age", "workclass", "fnlwgt", "education", "education-num", "marital-status", "occupation", "relationship"),
    *("race", "sex", "capital-gain", "capital-loss", "hours-per-week", "native-country", TARGET),
]
_LARGE = 1000  # numbers that reach this many, and aren't negative, are taken by their logarithm
_SMALLEST = 0.01


def read(root: str | Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The training and the test rows, from ``adult-train.csv`` and ``adult-test.csv`` without headers."""
    frames = []
    for split in ("train", "test"):
        path = Path(root) / f"adult-{split}.csv"
        frame = pd.read_csv(path, names=COLUMNS, skipinitialspace=True, na_values="?")
        frame[TARGET] = frame[TARGET].str.rstrip(".")  # as the test rows end
        frames.append(frame)
    return frames[0], frames[1]


def tuning_split(train: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Four fifths of the training rows, and the others to judge settings by."""
    order = np.random.default_rng(0).permutation(len(train))
    held_out, kept = order[: len(train) // 5], order[len(train) // 5 :]
    return train.iloc[kept].reset_index(drop=True), train.iloc[held_out].reset_index(drop=True)


class Encoder:
    """Rows as arrays for the classifiers: numbers (large ones by their logarithm) scaled to [-1, 1] by the range in
    ``real``, categories one-hot."""

    def __init__(self, real: pd.DataFrame) -> None:
        names = [name for name in COLUMNS if name != TARGET]
        self._ends = {name: (real[name].min(), real[name].max()) for name in names if self._has_numbers(real[name])}
        self._categories = {name: sorted(real[name].fillna("?").unique()) for name in names if name not in self._ends}

    @staticmethod
    def _has_numbers(column: pd.Series) -> bool:
        return pd.api.types.is_numeric_dtype(column)

    def inputs(self, frame: pd.DataFrame) -> NDArray[np.float64]:
        """(N, D)"""
        parts = []
        for name, ends in self._ends.items():
            values, (low, high) = frame[name].to_numpy(float), ends
            if low >= 0 and high >= _LARGE:
                values, low, high = (np.log(np.maximum(v, _SMALLEST)) for v in (values, low, high))
            parts.append(((values - low) / (high - low) * 2 - 1)[:, None])
        for name, categories in self._categories.items():
            own = frame[name].fillna("?").to_numpy(object)
            parts.append((own[:, None] == np.array(categories, dtype=object)).astype(float))
        return np.concatenate(parts, 1)


def classifiers(seed: int) -> dict[str, Any]:
    """SDGym's four classifiers of this table."""
    from sklearn.ensemble import AdaBoostClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.neural_network import MLPClassifier
    from sklearn.tree import DecisionTreeClassifier

    return {
        "adaboost": AdaBoostClassifier(random_state=seed),
        "tree": DecisionTreeClassifier(max_depth=15, class_weight="balanced", random_state=seed),
        "logistic": LogisticRegression(class_weight="balanced", max_iter=50),
        "mlp": MLPClassifier((50,), max_iter=50, random_state=seed),
    }


def f1_scores(train: pd.DataFrame, test: pd.DataFrame, encoder: Encoder, seed: int) -> dict[str, float]:
    """F1 of the positive class on ``test``, by the classifier trained on ``train``, and their mean."""
    from sklearn.metrics import f1_score

    x, y = encoder.inputs(train), (train[TARGET] == POSITIVE).to_numpy(int)
    inputs, truth = encoder.inputs(test), (test[TARGET] == POSITIVE).to_numpy(int)
    scores = {
        name: round(float(f1_score(truth, fitted(model, x, y).predict(inputs))), 4)
        for name, model in classifiers(seed).items()
    }
    return {**scores, "f1": round(sum(scores.values()) / len(scores), 4)}
