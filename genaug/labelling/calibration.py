"""How sure a classifier must be, and how often it is wrong then: arithmetic on its predictions.

One is added to counts of wrong predictions, for the next one, which may be wrong too (as in Angelopoulos et al. 2022,
conformal risk control, section 2): few images can't show a small share.
"""

import math

import torch
from torch import Tensor

from genaug.errors import InputError


def fit_temperature(logits: Tensor, labels: Tensor) -> float:
    """The temperature, in [0.01, 100], at which the mean doubt (1 - confidence) is the share of wrong predictions.

    ``logits`` (N, classes) are divided by it. They are those for held-out images with ``labels``, int64 (N,); the share
    is (wrong + 1) / (N + 1). Temperatures are from Guo et al. 2017, section 4.2; with this one, the mean doubt about
    other images is the estimate of their wrong share that Guillory et al. 2021 call the difference of confidences.
    """
    logits = logits.double()
    share = (int((logits.argmax(1) != labels).sum()) + 1) / (len(labels) + 1)
    low, high = math.log(0.01), math.log(100)
    for _ in range(50):  # doubt grows with the temperature
        middle = (low + high) / 2
        doubt = 1 - (logits / math.exp(middle)).softmax(1).amax(1).mean()
        low, high = (middle, high) if doubt < share else (low, middle)
    return math.exp(low)


def fit_threshold(confidence: Tensor, right: Tensor, max_wrong: float) -> float | None:
    """The lowest confidence, (N,), at and above which (wrong + 1) / (accepted + 1) is at most ``max_wrong``.

    ``right`` is bool (N,). None if there is no such confidence.
    """
    order = confidence.argsort(descending=True)
    wrong = (~right[order]).cumsum(0)
    accepted = torch.arange(1, len(order) + 1)
    return _lowest(confidence[order], wrong + 1 <= max_wrong * (accepted + 1) + 1e-9)


def fit_doubt_threshold(confidence: Tensor, max_wrong: float) -> float:
    """The lowest confidence, (N,), at and above which the mean doubt (1 - confidence) is at most ``max_wrong``.

    1 - ``max_wrong`` if there is no such confidence: samples above it are doubted less.
    """
    falling = confidence.double().sort(descending=True).values
    mean = (1 - falling).cumsum(0) / torch.arange(1, len(falling) + 1)
    threshold = _lowest(falling, mean <= max_wrong + 1e-9)
    return 1 - max_wrong if threshold is None else threshold


def _lowest(falling: Tensor, good: Tensor) -> float | None:
    """The last of the falling confidences that is a good threshold; equal ones are accepted together."""
    last_of_equals = torch.ones_like(good)
    last_of_equals[:-1] = falling[:-1] > falling[1:]
    thresholds = falling[good & last_of_equals]
    return float(thresholds[-1]) if len(thresholds) else None


def require_threshold(confidence: Tensor, right: Tensor, max_wrong: float) -> float:
    """``fit_threshold``; raises ``InputError`` if there is no such confidence."""
    threshold = fit_threshold(confidence, right, max_wrong)
    if threshold is None:
        raise InputError(
            f"no confidence threshold limits the share of wrong labels to {max_wrong:.1%}: held out, "
            f"{int(right.sum())} of {len(right)} labeled images are labeled correctly, and to show that share, at "
            f"least {math.ceil(1 / max_wrong - 1e-9) - 1} must be, with more confidence than any wrong one. Label more "
            "images, or allow a larger max_wrong=."
        )
    return threshold


def count_wrong(confidence: Tensor, right: Tensor, held_out: list[Tensor], max_wrong: float) -> tuple[int, int]:
    """The number of held-out images that are accepted, and of those among them that are labeled wrongly, cross-fitted.

    Each fold is judged by the threshold of the other folds; if they have none, no image of the fold is accepted.
    """
    accepted = torch.zeros_like(right)
    for fold in held_out:
        threshold = fit_threshold(confidence[~fold], right[~fold], max_wrong)
        if threshold is not None:
            accepted |= fold & (confidence >= threshold)
    return int(accepted.sum()), int((accepted & ~right).sum())


def upper_bound(wrong: int, count: int) -> float:
    """The upper end of the one-sided 95% interval of the share ``wrong / count`` (Clopper and Pearson 1934)."""
    from scipy.special import betaincinv

    return 1.0 if wrong == count else float(betaincinv(wrong + 1, count - wrong, 0.95))
