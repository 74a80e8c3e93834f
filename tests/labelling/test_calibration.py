import math

import pytest
import torch
from hypothesis import given, strategies as st
from scipy.stats import binomtest

from genaug.errors import InputError
from genaug.labelling.calibration import (
    count_wrong,
    fit_doubt_threshold,
    fit_temperature,
    fit_threshold,
    require_threshold,
    upper_bound,
)

predictions = st.lists(st.tuples(st.integers(1, 6), st.booleans()), min_size=1, max_size=40)


def counts(confidence, right, threshold):
    accepted = confidence >= threshold
    return int(accepted.sum()), int((accepted & ~right).sum())


@given(predictions, st.sampled_from([0.02, 0.05, 0.1, 0.25, 0.5, 0.9]))
def test_the_threshold_is_the_lowest_that_keeps_the_share(pairs, max_wrong):
    confidence = torch.tensor([level / 8 for level, _ in pairs])
    right = torch.tensor([good for _, good in pairs])
    allowed = []
    for level in confidence.unique().tolist():
        accepted, wrong = counts(confidence, right, level)
        if (wrong + 1) / (accepted + 1) <= max_wrong + 1e-9:
            allowed.append(level)
    assert fit_threshold(confidence, right, max_wrong) == (min(allowed) if allowed else None)


@pytest.mark.parametrize(("max_wrong", "least"), [(0.5, 1), (0.1, 9), (0.05, 19), (0.02, 49), (0.01, 99)])
def test_a_small_share_needs_many_images(max_wrong, least):
    for count in (least - 1, least):
        confidence, right = torch.linspace(0.5, 1, count), torch.ones(count, dtype=torch.bool)
        assert (fit_threshold(confidence, right, max_wrong) is not None) == (count == least)


def test_without_a_threshold_the_error_says_how_many_images_are_needed():
    confidence, right = torch.linspace(0.1, 1, 30), torch.arange(30) < 29  # the surest of all is wrong
    with pytest.raises(InputError, match=r"5\.0%: held out, 29 of 30 labeled images .* at least 19 must be"):
        require_threshold(confidence, right, 0.05)


def test_wrong_labels_are_counted_by_the_other_folds_threshold():
    confidence = torch.tensor([0.9, 0.8, 0.7, 0.6, 0.95, 0.65, 0.5, 0.4])
    right = torch.tensor([True, True, False, True, True, False, True, True])
    folds = torch.tensor([0, 0, 0, 0, 1, 1, 1, 1])
    # Fold 1 gives (1, 2, 2, 2) / (2, 3, 4, 5): at most 0.5 from 0.4 on; all of fold 0 is accepted, one of it wrong.
    # Fold 0 gives (1, 1, 2, 2) / (2, 3, 4, 5): at most 0.5 from 0.6 on; two of fold 1 are accepted, one of them wrong.
    assert count_wrong(confidence, right, [folds == 0, folds == 1], 0.5) == (6, 2)
    # A third takes two right ones first: fold 0 gives 0.8, by which one of fold 1 is accepted; fold 1 gives none.
    assert count_wrong(confidence, right, [folds == 0, folds == 1], 1 / 3) == (1, 0)
    assert count_wrong(confidence, right, [folds == 0, folds == 1], 0.01) == (0, 0)


@given(st.integers(1, 200), st.data())
def test_the_upper_bound_is_the_exact_binomial_one(count, data):
    wrong = data.draw(st.integers(0, count))
    exact = binomtest(wrong, count).proportion_ci(0.9, "exact").high  # two-sided 90% is one-sided 95%
    assert upper_bound(wrong, count) == pytest.approx(exact)


def test_without_judged_images_the_bound_is_1():
    assert upper_bound(0, 0) == 1.0
    assert upper_bound(0, 59) == pytest.approx(1 - math.exp(math.log(0.05) / 59))


@given(st.lists(st.integers(0, 10), max_size=30), st.sampled_from([0.02, 0.1, 0.3, 0.9]))
def test_the_doubt_threshold_is_the_lowest_that_keeps_the_mean(levels, max_wrong):
    confidence = torch.tensor(levels, dtype=torch.float64) / 10
    allowed = [
        level for level in confidence.tolist() if (1 - confidence[confidence >= level]).mean() <= max_wrong + 1e-9
    ]
    assert fit_doubt_threshold(confidence, max_wrong) == (min(allowed) if allowed else 1 - max_wrong)


@pytest.mark.parametrize("factor", [6, 1 / 6])
def test_the_temperature_corrects_overconfident_and_underconfident_logits(factor):
    draws = torch.Generator().manual_seed(0)
    honest = torch.randn(4000, 5, generator=draws) * 2
    labels = torch.multinomial(honest.softmax(1), 1, generator=draws)[:, 0]
    assert fit_temperature(honest * factor, labels) == pytest.approx(factor, rel=0.1)


@given(st.integers(2, 30), st.integers(2, 5), st.integers(0, 9))
def test_at_the_temperature_doubt_is_the_share_of_errors(count, classes, seed):
    draws = torch.Generator().manual_seed(seed)
    logits, labels = torch.randn(count, classes, generator=draws), torch.randint(classes, (count,), generator=draws)
    share = (int((logits.argmax(1) != labels).sum()) + 1) / (count + 1)
    doubt = 1 - float((logits.double() / fit_temperature(logits, labels)).softmax(1).amax(1).mean())
    at_most = 1 - float((logits.double() / 100).softmax(1).amax(1).mean())
    assert doubt == pytest.approx(min(share, at_most), abs=1e-6)
