"""Adult, mammography and phoneme as DataFrames with a target of "yes" and "no"."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

TARGET = "positive"
_ADULT = [
    *("age", "workclass", "fnlwgt", "education", "education-num", "marital-status", "occupation", "relationship"),
    *("race", "sex", "capital-gain", "capital-loss", "hours-per-week", "native-country"),
]


def read_set(name: str, folder: Path) -> pd.DataFrame:
    """All rows of "adult", "mammography" or "phoneme", whose files are in ``folder``, without headers; target last.

    The positive class is the rarer one: an income above 50,000, a calcification, an oral vowel.
    """
    if name == "adult":
        parts = [_read(folder / f"adult-{part}.csv", "?") for part in ("train", "test")]
        frame = pd.concat(parts, ignore_index=True)
        positive = frame.iloc[:, -1].str.contains(">50K")
        names = _ADULT
    else:
        frame = _read(folder / f"{name}.csv", "")
        positive = frame.iloc[:, -1].astype(str).str.strip("'") == "1"
        names = [f"v{number}" for number in range(1, frame.shape[1])]
    frame = frame.iloc[:, :-1].set_axis(names, axis=1)
    return frame.assign(**{TARGET: np.where(positive, "yes", "no")})


def _read(path: Path, missing: str) -> Any:
    return pd.read_csv(path, header=None, skipinitialspace=True, na_values=[missing] if missing else [])


def split_in_two(frame: pd.DataFrame, split: int, share: float) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Training and test rows: half of the rows of each class each, by the number of the ``split``, and of the positive
    ones in the test half only so many that they are this ``share`` of it."""
    rng = np.random.default_rng(split)
    train, test = [], []
    for label in ("no", "yes"):
        rows = rng.permutation(np.flatnonzero(frame[TARGET] == label))
        half = len(rows) // 2
        train.append(rows[:half])
        test.append(rows[half:])
    positives = max(2, round(len(test[0]) * share / (1 - share)))
    test[1] = test[1][:positives]
    return tuple(frame.iloc[np.sort(np.concatenate(rows))].reset_index(drop=True) for rows in (train, test))  # type: ignore[return-value]
