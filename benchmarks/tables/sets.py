"""Adult, mammography and phoneme as DataFrames with a target of "yes" and "no"."""

from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.tables import census

TARGET = "positive"


def read_set(name: str, folder: Path) -> pd.DataFrame:
    """All rows of "adult", "mammography" or "phoneme", whose files are in ``folder``, without headers; target last.

    The positive class is the rarer one: an income above 50,000, a calcification, an oral vowel.
    """
    if name == "adult":
        frame = pd.concat(census.read(folder), ignore_index=True)
        positive = frame[census.TARGET] == census.POSITIVE
        names = list(frame.columns[:-1])
    else:
        frame = pd.read_csv(folder / f"{name}.csv", header=None, skipinitialspace=True, na_values=[])
        positive = frame.iloc[:, -1].astype(str).str.strip("'") == "1"
        names = [f"v{number}" for number in range(1, frame.shape[1])]
    frame = frame.iloc[:, :-1].set_axis(names, axis=1)
    return frame.assign(**{TARGET: np.where(positive, "yes", "no")})


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
