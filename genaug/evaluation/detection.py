"""Can a classifier tell generated rows from real ones?"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from genaug.evaluation.aligned_rows import AlignedRows
from genaug.evaluation.arrays import Interval, Z
from genaug.evaluation.report import Findings, measure

FOLDS = 5
_LEAST = 200  # rows per side

Floats = NDArray[np.float64]


def detect(aligned: AlignedRows, rows: Tensor, findings: Findings, *, seed: int) -> None:
    """``detection_auc``: a gradient-boosted classifier between ``rows`` of the real side and generated ones.

    Each row is scored by a classifier that was trained on the other folds. The reference is the same of held-out rows
    against real ones, if there are enough: about 0.5.
    """
    real, fake, unseen = aligned.rows["real"][rows], aligned.rows["generated"], aligned.rows.get("held_out")
    count = min(len(real), len(fake))
    if count < _LEAST:
        findings.missing["detection_auc"] = f"needs {_LEAST} rows on each side, there are {count:,} of one"
        return
    auc, interval = cross_fitted_auc(aligned.values(real), aligned.values(fake), aligned.native, seed)
    reference = None
    if unseen is not None and len(unseen) >= _LEAST:
        reference = cross_fitted_auc(aligned.values(real), aligned.values(unseen[: len(fake)]), aligned.native, seed)[0]
    findings.metrics["detection_auc"] = measure(
        auc,
        interval,
        (0.0, 1.0),
        samples=len(fake),
        real_samples=len(real),
        features=f"gradient-boosted trees that tell generated rows from real ones, cross-fitted in {FOLDS} folds",
        higher_is_better=None,
        best=0.5,
        reference=reference,
    )


def cross_fitted_auc(real: Floats, fake: Floats, categories: Sequence[int] | None, seed: int) -> tuple[float, Interval]:
    """The area under the ROC curve of a classifier that tells the rows of two arrays (N, columns) apart, and its 95%
    interval.

    ``categories`` are the columns of numbers of categories. The area is the mean over the folds, whose variances are
    those of DeLong et al. (1988).
    """
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.model_selection import StratifiedKFold

    x = np.concatenate([real, fake])
    y = np.repeat([0, 1], [len(real), len(fake)])
    areas, variances = [], []
    for train, test in StratifiedKFold(FOLDS, shuffle=True, random_state=_state(seed)).split(x, y):
        model: Any = HistGradientBoostingClassifier(
            categorical_features=categories, early_stopping=False, random_state=_state(seed)
        )
        scores = model.fit(x[train], y[train]).predict_proba(x[test])[:, 1]
        area, variance = area_under_curve(scores[y[test] == 0], scores[y[test] == 1])
        areas.append(area)
        variances.append(variance)
    mean, margin = float(np.mean(areas)), Z * float(np.sqrt(np.sum(variances)) / FOLDS)
    return mean, Interval(mean - margin, mean + margin)


def area_under_curve(low: Floats, high: Floats) -> tuple[float, float]:
    """P(high > low) + P(high = low) / 2 of two samples of scores, and the variance of this estimate.

    That is the sum of the placement values' variances over the numbers of scores (DeLong et al. 1988, section 3).
    """
    from scipy.stats import rankdata

    ranks = rankdata(np.concatenate([low, high]))
    of_low = 1 - (ranks[: len(low)] - rankdata(low)) / len(high)
    of_high = (ranks[len(low) :] - rankdata(high)) / len(low)
    return float(of_high.mean()), float(of_low.var(ddof=1) / len(low) + of_high.var(ddof=1) / len(high))


def _state(seed: int) -> int:
    return seed % 2**32
