import math

import pytest

from genaug.errors import InputError
from genaug.studies.compare import error_reduction, holm, overlap_correction, paired_difference, summarize


def test_the_interval_matches_a_hand_worked_example():
    # Differences 1, 2, 3, 4, 5: mean 3, sd sqrt(10 / 4); t(0.975, 4) = 2.776445 from the tables.
    difference = paired_difference([11, 22, 33, 44, 55], [10, 20, 30, 40, 50])
    half = 2.776445 * math.sqrt(2.5) / math.sqrt(5)
    assert (difference.n, difference.mean) == (5, 3)
    assert difference.sd == pytest.approx(math.sqrt(2.5))
    assert (difference.low, difference.high) == (pytest.approx(3 - half, abs=1e-5), pytest.approx(3 + half, abs=1e-5))


def test_values_are_compared_seed_by_seed():
    base, arm = [0.5, 0.7, 0.9], [0.51, 0.712, 0.909]
    assert paired_difference(arm, base).verdict == "helps"
    assert paired_difference(arm[::-1], base).verdict == "no evidence"


@pytest.mark.parametrize(
    ("arm", "verdict", "word"),
    [
        ([0.61, 0.62, 0.61], "helps", "generated helps"),
        ([0.52, 0.51, 0.52], "hurts", "generated hurts"),
        ([0.51, 0.62, 0.57], "no evidence", "no evidence that it helps or hurts"),
    ],
)
def test_verdicts(arm, verdict, word):
    difference = paired_difference(arm, [0.56, 0.57, 0.565])
    assert difference.verdict == verdict
    assert word in difference.sentence("generated", "none")


def test_the_sentence_contains_the_numbers():
    sentence = paired_difference([0.61, 0.63], [0.6, 0.6]).sentence("generated", "none")
    assert "+2.0 points against none" in sentence
    assert "95% interval -10.7 to +14.7" in sentence
    assert "2 seeds" in sentence


def test_one_seed_is_no_evidence():
    difference = paired_difference([0.9], [0.5])
    assert (difference.sd, difference.low, difference.high, difference.verdict) == (None, None, None, "no evidence")
    assert "one seed" in difference.sentence("generated", "none")


def test_equal_arms_are_no_evidence():
    assert paired_difference([0.5, 0.6], [0.5, 0.6]).verdict == "no evidence"


def test_more_confidence_is_a_wider_interval():
    narrow, wide = (paired_difference([1, 2, 4], [0, 0, 0], c) for c in (0.5, 0.99))
    assert wide.low < narrow.low < narrow.high < wide.high


def test_arms_that_cant_be_compared_are_rejected():
    with pytest.raises(InputError, match="same number of seeds"):
        paired_difference([1, 2], [1])
    with pytest.raises(InputError, match="no values"):
        paired_difference([], [])
    with pytest.raises(InputError, match="confidence"):
        paired_difference([1, 2], [1, 2], 95)


def test_summary_uses_n_minus_one():
    assert summarize([1.0, 3.0]).sd == pytest.approx(math.sqrt(2))
    assert summarize([1.0]).sd is None


def test_the_corrected_interval_is_exact_on_a_worked_example():
    # Ten resplits of 150 images, 100 to train and 50 to test: differences 1 to 10, mean 5.5, variance 55/6;
    # se = sqrt((1/10 + 50/100) * 55/6) = sqrt(5.5); t(0.975, 9) = 2.262157 from the tables.
    result = paired_difference(range(1, 11), [0] * 10, correction=50 / 100)
    half = 2.262157 * math.sqrt(5.5)
    assert (result.low, result.high) == (
        pytest.approx(5.5 - half, abs=1e-5),
        pytest.approx(5.5 + half, abs=1e-5),
    )
    # t = 5.5 / sqrt(5.5) = 2.345208 on 9 degrees of freedom: between the tables' 2.262 (.05) and 2.821 (.02).
    assert 0.02 < result.p < 0.05
    assert result.effect == pytest.approx(5.5 / math.sqrt(55 / 6))


def test_the_correction_for_overlapping_training_images_follows_from_their_correlation():
    assert overlap_correction(0.5) == pytest.approx(1)  # ρ = .5: .5 / .5
    assert overlap_correction(0.8, 0.5) == pytest.approx(0.4 / 0.6)
    assert overlap_correction(0) == 0
    assert overlap_correction(1) == 0, "all seeds train on the same: that says nothing about other images"
    for overlap, share in ((1.1, 1), (-0.1, 1), (0.5, 0), (0.5, 1.1)):
        with pytest.raises(InputError):
            overlap_correction(overlap, share)


def test_p_values_agree_with_scipy_and_with_the_interval():
    from scipy.stats import ttest_rel

    arm, base = [0.61, 0.62, 0.66, 0.6], [0.6, 0.62, 0.61, 0.59]
    difference = paired_difference(arm, base)
    assert difference.p == pytest.approx(ttest_rel(arm, base).pvalue)
    at_p = paired_difference(arm, base, 1 - difference.p)
    assert at_p.low == pytest.approx(0, abs=1e-12)
    assert paired_difference([1, 1], [0, 0]).p == 0
    assert paired_difference([1, 1], [1, 1]).p == 1


def test_holm_on_a_worked_example():
    # Sorted: .005 * 4, .01 * 3, .03 * 2, .04 * 1 -> .02, .03, .06, and not below the one before: .06.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_the_error_reduction_s_interval_is_where_the_t_test_turns():
    arm, base = [0.93, 0.94, 0.92, 0.95], [0.91, 0.92, 0.91, 0.92]
    difference = error_reduction(arm, base)
    assert difference.mean == pytest.approx(1 - 0.26 / 0.34)
    for bound in (difference.low, difference.high):
        scaled = [(1 - bound) * (1 - b) for b in base]
        assert paired_difference([1 - a for a in arm], scaled).p == pytest.approx(0.05, abs=1e-9)
    assert difference.low < difference.mean < difference.high
    wide = error_reduction(arm, base, correction=0.2)
    assert wide.low < difference.low < difference.high < wide.high


def test_without_an_error_there_is_nothing_to_reduce():
    with pytest.raises(InputError, match="no error"):
        error_reduction([0.9, 0.9], [1.0, 1.0])
    assert error_reduction([0.95], [0.9]).low is None
    assert error_reduction([0.9, 0.5], [1.0, 0.9]).low is None, "the baseline's error may be zero: no bound"
