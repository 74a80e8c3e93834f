import numpy as np
import pytest

from genaug.anomaly.threshold import check_rate, needed, threshold_of
from genaug.errors import InputError


@pytest.mark.parametrize(("rate", "least"), [(0.05, 19), (0.1, 9), (0.01, 99), (0.5, 1), (0.3, 3), (0.9, 1)])
def test_the_fewest_images_are_those_from_which_the_rate_follows(rate, least):
    assert needed(rate) == least
    assert threshold_of(np.arange(least, dtype=float), rate) == least - 1 if rate <= 0.5 else True
    assert needed(5e-324) > 10**17
    if least > 1:
        with pytest.raises(ValueError, match="too few"):
            threshold_of(np.arange(least - 1, dtype=float), rate)


def test_the_threshold_is_the_rank_that_bounds_the_rate():
    scores = np.random.default_rng(0).permutation(100).astype(float)
    assert threshold_of(scores, 0.05) == 95  # 4 of 100 are above it, and a new one with probability 5 / 101
    assert threshold_of(scores[:99], 0.05) == np.sort(scores[:99])[94]


def test_new_normal_scores_exceed_it_at_the_stated_rate_on_average():
    rng = np.random.default_rng(0)
    rates = []
    for _ in range(4000):
        held_out, new = rng.exponential(size=39), rng.exponential(size=50)
        rates.append((new > threshold_of(held_out, 0.1)).mean())
    assert np.mean(rates) == pytest.approx(0.1, abs=0.003)  # exact, since 40 * 0.1 is a whole number


@pytest.mark.parametrize("rate", [0, 1, -0.1, 1.5, float("nan"), float("inf"), "much", None, True, [0.1]])
def test_rates_outside_0_and_1_are_rejected(rate):
    with pytest.raises(InputError, match="false_alarms must be a number between 0 and 1"):
        check_rate(rate)
