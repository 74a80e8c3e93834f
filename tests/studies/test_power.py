import math

import numpy as np
import pytest

from genaug.studies.compare import Difference, paired_difference
from genaug.studies.power import power, sensitivity


def difference(mean, sd, n=10):
    return Difference(n, mean, sd, None, None, 0.95)


def test_power_agrees_with_a_simulation():
    rng = np.random.default_rng(0)
    for n, correction in ((5, 0.0), (10, 0.2)):
        # Seeds whose differences correlate: their mean has the variance that the correction accounts for.
        correlation = correction / (1 + correction)
        scale = 1 / math.sqrt(1 - correlation)
        detected = 0
        for _ in range(3000):
            common, own = rng.normal(0, math.sqrt(correlation)), rng.normal(0, math.sqrt(1 - correlation), n)
            row = 0.02 + 0.013 * scale * (common + own)
            detected += paired_difference(list(row), [0.0] * n, correction=correction).verdict == "helps"
        assert power(0.02, 0.013, n, correction=correction) == pytest.approx(detected / 3000, abs=0.03)


def test_power_at_its_ends():
    assert power(0, 0.01, 10) == pytest.approx(0.025)
    assert power(1, 0.01, 10) == 1
    assert power(0.02, 0.01, 1) == 0
    assert (power(0.01, 0, 5), power(0, 0, 5)) == (1, 0)


def test_the_detectable_gain_has_the_power_that_is_stated():
    far = sensitivity([difference(0.1, 0.013), difference(0.0, 0.013)])
    assert power(far.gain, 0.013, 10) == pytest.approx(0.8, abs=1e-3)
    close = sensitivity([difference(0.0, 0.013), difference(0.0, 0.013)])
    assert close.gain > far.gain, "two equally good baselines must both be beaten"
    assert power(close.gain, 0.013, 10) == pytest.approx(0.9, abs=1e-3)


def test_the_number_of_seeds_is_the_smallest_that_shows_two_points():
    result = sensitivity([difference(0.1, 0.03), difference(0.0, 0.03)])
    assert power(0.02, 0.03, result.seeds) >= 0.8 > power(0.02, 0.03, result.seeds - 1)
    assert result.of == 0.02


def test_overlap_can_make_a_gain_invisible_to_any_number_of_seeds():
    rows = [difference(0.1, 0.03), difference(0.0, 0.03)]
    assert sensitivity(rows, correction=1.0).seeds is None
    assert sensitivity(rows, correction=1.0).gain > sensitivity(rows).gain
    assert sensitivity([difference(0.0, 2.0)], correction=9.0).gain is None


def test_equal_accuracies_count_as_rounding():
    rows = [difference(0.0, 0.0)]
    assert sensitivity(rows, resolution=0.01).gain == sensitivity([difference(0.0, 0.01 / 6**0.5)]).gain > 0
