"""Intervals of classifier-based scores."""

import numpy as np
import pytest
from scipy import stats

from genaug.evaluation.scores import share_interval


def test_a_single_classifier_has_the_interval_of_the_images():
    low, high = share_interval([0.9], 1000)
    p = (900 + 2) / 1004
    assert (high - low) / 2 == pytest.approx(1.959964 * np.sqrt(p * (1 - p) / 1000))
    assert (low + high) / 2 == pytest.approx(0.9)


def test_if_training_dominates_it_is_students_interval_of_the_classifiers():
    shares = [0.80, 0.84, 0.91]
    expected = stats.t.interval(0.95, 2, np.mean(shares), stats.sem(shares))
    assert share_interval(shares, 10**9) == pytest.approx(expected)


def test_if_the_images_dominate_it_is_the_normal_interval():
    low, high = share_interval([0.5, 0.5, 0.5000001], 100)
    assert (high - low) / 2 == pytest.approx(1.959964 * np.sqrt(0.25 / 100), rel=1e-3)


@pytest.mark.parametrize("classifiers", [2, 3, 5])
@pytest.mark.parametrize("share_of_training", [0.1, 0.5, 1, 4, 30])
def test_at_least_95_percent_of_intervals_contain_the_truth(classifiers, share_of_training):
    """The squared error of the training over that of the images, from small to large. 1.96 instead of Student's
    quantile covers 74% to 95%, Welch and Satterthwaite's degrees of freedom 87% to 95%."""
    draws, count, repeats = np.random.default_rng(0), 2000, 1500
    images = np.sqrt(0.8 * 0.2 / count)
    spread = images * np.sqrt(share_of_training * classifiers)
    covered = 0
    for _ in range(repeats):
        shares = 0.8 + draws.normal(0, images) + draws.normal(0, spread, size=classifiers)  # of the same test images
        low, high = share_interval(list(shares), count)
        covered += low <= 0.8 <= high
    assert covered / repeats > 0.935
