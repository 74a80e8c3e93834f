from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, strategies as st

from genaug.blend.plan import draw_places, draw_slots, generated_count, level_down, level_up, make_plan
from genaug.checks import as_whole
from genaug.data.apportion import largest_remainder
from genaug.data.shares import generated_in_batches
from genaug.errors import InputError
from genaug.randomness import stream

ratios = st.floats(0, 0.99)
class_counts = st.lists(st.integers(0, 50), min_size=1, max_size=8).filter(sum)


@given(st.integers(1, 10**6), ratios)
def test_expand_gives_the_nearest_integer(n, ratio):
    assert abs(generated_count(n, ratio, "expand") - n * ratio / (1 - ratio)) <= 0.5


@given(st.integers(1, 10**6), st.floats(0, 1))
def test_replace_gives_the_nearest_integer(n, ratio):
    assert abs(generated_count(n, ratio, "replace") - n * ratio) <= 0.5


def test_known_counts():
    assert generated_count(1297, 0.3, "expand") == 556
    assert generated_count(60_000, 0.5, "expand") == 60_000
    assert generated_count(10, 0.25, "replace") in (2, 3)


@given(st.integers(0, 1000), class_counts)
def test_largest_remainder_keeps_quota(total, weights):
    parts = largest_remainder(total, weights)
    assert parts.sum() == total
    assert all(abs(part - total * w / sum(weights)) < 1 for part, w in zip(parts, weights, strict=True))


def test_largest_remainder_gives_the_rest_to_the_largest_fractions():
    assert largest_remainder(10, [1, 1, 1]).tolist() == [4, 3, 3]
    assert largest_remainder(5, [50, 30, 20]).tolist() == [3, 1, 1] or largest_remainder(5, [50, 30, 20]).sum() == 5
    assert largest_remainder(7, [10, 5, 1]).tolist() == [4, 2, 1]


@given(class_counts, st.integers(0, 300))
def test_level_up_fills_the_rarest_first(counts, total):
    counts = np.array(counts)
    added = level_up(counts, total)
    after = counts + added
    assert added.sum() == total
    assert (added >= 0).all()
    if total:
        touched = after[added > 0]
        assert touched.max() - after.min() <= 1  # no smaller class was skipped
        assert touched.max() - touched.min() <= 1


@given(class_counts, st.data())
def test_level_down_removes_the_most_common_first(counts, data):
    counts = np.array(counts)
    total = data.draw(st.integers(0, int(counts.sum())))
    taken = level_down(counts, total)
    after = counts - taken
    assert taken.sum() == total
    assert (taken >= 0).all()
    assert (after >= 0).all()
    if total:
        assert after.max() - after[taken > 0].min() <= 1


@given(class_counts, ratios, st.sampled_from(["match", "uniform"]))
def test_replace_keeps_the_length(counts, ratio, balance):
    plan = make_plan(counts, ratio=ratio, mode="replace", balance=balance)
    assert plan.added.sum() == plan.removed.sum() == generated_count(sum(counts), ratio, "replace")
    assert (plan.removed <= counts).all()
    if balance == "match":
        assert (plan.added == plan.removed).all()
    else:
        present = np.array(counts) > 0
        after = (np.array(counts) - plan.removed + plan.added)[present]
        assert after.max() - after.min() <= np.array(counts)[present].max() - np.array(counts)[present].min() + 1


def test_uniform_in_replace_evens_out():
    plan = make_plan([90, 10], ratio=0.4, mode="replace", balance="uniform")
    assert (np.array([90, 10]) - plan.removed + plan.added).tolist() == [50, 50]
    small = make_plan([90, 10], ratio=0.1, mode="replace", balance="uniform")
    assert (small.removed.tolist(), small.added.tolist()) == ([10, 0], [0, 10])


def test_uniform_ignores_classes_without_real_samples():
    assert make_plan([9, 0, 1], ratio=0.5, mode="expand", balance="uniform").added.tolist() == [1, 0, 9]


def test_counts_per_class():
    plan = make_plan([4, 4], ratio=None, mode="expand", balance=[2, 6])
    assert (plan.added.tolist(), plan.ratio) == ([2, 6], Fraction(1, 2))
    with pytest.raises(InputError, match="class 1, which has 4"):
        make_plan([4, 4], ratio=None, mode="replace", balance=[2, 6])
    with pytest.raises(InputError, match="left out"):
        make_plan([4, 4], ratio=0.5, mode="expand", balance=[2, 6])


@pytest.mark.parametrize("ratio", [float("nan"), -0.1, 1.01, 1, "half", True, None])
def test_bad_ratios(ratio):
    with pytest.raises(InputError, match="ratio"):
        make_plan([4, 4], ratio=ratio, mode="expand", balance="match")


@pytest.mark.parametrize("number", [np.float32, np.float64, np.float16, Fraction])
@pytest.mark.parametrize("mode", ["expand", "replace"])
def test_ratios_of_any_kind_of_number(number, mode):
    ratio = Fraction(3, 10) if number is Fraction else number(0.3)
    plan = make_plan([7_000_000, 70], ratio=ratio, mode=mode, balance="match")
    expected = make_plan([7_000_000, 70], ratio=0.3, mode=mode, balance="match")
    assert plan.ratio == Fraction(3, 10)
    assert plan.added.tolist() == expected.added.tolist()


@pytest.mark.parametrize("value", [3, np.int64(3), np.uint8(3)])
def test_integers_of_any_kind(value):
    assert type(as_whole(value, "size", 3)) is int
    with pytest.raises(InputError, match="size must be an integer of 4 or more, got"):
        as_whole(value, "size", 4)


@pytest.mark.parametrize("value", [3.0, np.float64(3), True, np.True_, "3", None, [3]])
def test_anything_but_an_integer_is_an_error(value):
    with pytest.raises(InputError, match="size must be an integer"):
        as_whole(value, "size", 0)


def test_ratio_one_replaces_everything():
    assert make_plan([4, 6], ratio=1, mode="replace", balance="match").added.tolist() == [4, 6]


def test_more_than_can_be_indexed_is_an_error():
    with pytest.raises(InputError, match="2\\^31"):
        make_plan([60_000], ratio=0.999999, mode="expand", balance="match")


def test_bad_mode_and_balance():
    with pytest.raises(InputError, match="mode must be"):
        make_plan([4], ratio=0.5, mode="append", balance="match")
    with pytest.raises(InputError, match="balance must be"):
        make_plan([4], ratio=0.5, mode="expand", balance="equal")


@given(st.integers(0, 2**60))
def test_places_are_real_samples_of_the_same_class(seed):
    labels = np.array([0] * 20 + [1] * 30)
    plan = make_plan([20, 30], ratio=0.3, mode="replace", balance="match")
    places = draw_places(labels, plan, stream(seed))
    assert len(set(places.tolist())) == 15
    assert labels[places].tolist() == [0] * 6 + [1] * 9


def test_places_of_other_classes_are_mixed():
    labels = np.array([0] * 50 + [1] * 50 + [2] * 5 + [3] * 5)
    plan = make_plan([50, 50, 5, 5], ratio=0.4, mode="replace", balance="uniform")
    assert plan.added.tolist() == [0, 0, 22, 22]
    places = draw_places(labels, plan, stream(0))
    assert set(labels[places[:22]]) == set(labels[places[22:]]) == {0, 1}


def test_slots_without_and_with_replacement():
    slots = draw_slots(np.array([3, 5]), np.array([3, 2]), np.array([0, 3]), stream(1))
    assert sorted(slots[:3].tolist()) == [0, 1, 2]
    assert set(slots[3:].tolist()) <= {3, 4}


@given(
    st.integers(1, 500), st.integers(1, 64), st.integers(0, 99), st.sampled_from(["expand", "replace"]), st.integers(0)
)
def test_every_batch_gets_floor_or_ceiling(n, batch, percent, mode, seed):
    ratio = Fraction(percent, 100)
    plan = make_plan([n], ratio=percent / 100, mode=mode, balance="match")
    total = n + plan.generated if mode == "expand" else n
    sizes = np.diff(np.append(np.arange(0, total, batch), total))
    counts = generated_in_batches(sizes, plan.generated, plan.ratio, stream(seed % 2**63))
    assert plan.ratio == ratio
    assert counts.sum() == plan.generated
    assert all(int(ratio * int(s)) <= c <= -int(-ratio * int(s) // 1) for s, c in zip(sizes, counts, strict=True))
