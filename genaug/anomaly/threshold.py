"""A threshold from held-out normal images whose false-alarm rate is bounded, whatever the scores' distribution."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genaug.errors import InputError

_ROUNDING = 1e-9


def check_share(value: Any, name: str, meaning: str) -> float:
    """``value`` as a float. Raises ``InputError`` if it isn't a number between 0 and 1, both excluded."""
    try:
        share = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        share = math.nan
    if not 0 < share < 1:
        raise InputError(f"{name} must be a number between 0 and 1 ({meaning}), such as 0.05, got {str(value)[:80]!r}.")
    return share


def check_rate(false_alarms: Any) -> float:
    """A false-alarm rate as a float. Raises ``InputError`` if it isn't between 0 and 1."""
    return check_share(false_alarms, "false_alarms", "the share of normal images called anomalous")


def needed(false_alarms: float) -> int:
    """The fewest held-out images from which a threshold with this rate of false alarms follows."""
    return max(1, math.ceil(min(1 / false_alarms, 1e18) - _ROUNDING) - 1)


def threshold_of(scores: NDArray[np.float64], false_alarms: float) -> float:
    """The smallest of held-out ``scores`` that a new normal image exceeds with probability ``false_alarms`` at most.

    If n held-out images and the new one are exchangeable, the new score is equally likely to have any of the n + 1
    ranks, so the k-th smallest score is exceeded with probability (n + 1 - k) / (n + 1) at most (split conformal
    prediction, Vovk et al. 2005). The rate is one on average over the choice of the held-out images.
    """
    above = math.floor((len(scores) + 1) * false_alarms + _ROUNDING)
    if above < 1:
        raise ValueError(f"{len(scores)} scores are too few for false_alarms={false_alarms}")
    return float(np.sort(scores)[len(scores) - above])
