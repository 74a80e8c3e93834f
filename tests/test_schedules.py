import pickle
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, strategies as st

from genaug import schedules
from genaug.errors import InputError
from genaug.schedules import Schedule, constant, cosine, linear, pretrain, steps

numbers = st.floats(0, 1)


def values(schedule, epochs):
    return [schedule(epoch) for epoch in range(epochs)]


def test_each_kind_has_its_numbers():
    assert values(constant(0.3), 3) == [0.3] * 3
    assert values(linear(0.5, 0, 6), 8) == pytest.approx([0.5, 0.4, 0.3, 0.2, 0.1, 0, 0, 0])
    assert values(cosine(0.8, 0, 5), 6) == pytest.approx([0.8, 0.6828, 0.4, 0.1172, 0, 0], abs=1e-4)
    assert values(steps({0: 0.5, 2: 0.25, 4: 0}), 6) == [0.5, 0.5, 0.25, 0.25, 0, 0]
    assert values(pretrain(2), 4) == [1, 1, 0, 0]
    assert values(pretrain(1, ratio=0.9, then=0.1), 3) == [0.9, 0.1, 0.1]
    assert values(Schedule([0.1, 0.2]), 3) == [0.1, 0.2, 0.2]
    assert linear(0.5, 0.2, 1)(0) == 0.2


@pytest.mark.parametrize("kind", [linear, cosine])
@given(start=numbers, end=numbers, epochs=st.integers(1, 50))
def test_ramps_are_monotone_and_end_exactly(kind, start, end, epochs):
    schedule = kind(start, end, epochs)
    curve = values(schedule, epochs + 2)
    differences = np.diff(curve) * np.sign(end - start)
    assert (differences >= -1e-12).all()
    assert epochs == 1 or curve[0] == pytest.approx(start)
    assert curve[epochs - 1 :] == [end] * 3
    assert schedule.epochs == epochs


def test_a_schedule_is_a_value():
    schedule = linear(0.5, 0, 4)
    assert pickle.loads(pickle.dumps(schedule)) == schedule == Schedule(schedule.values)
    assert hash(schedule) == hash(linear(0.5, 0, 4))
    assert repr(schedule) == "linear(0.5, 0, epochs=4)"
    assert eval(repr(schedule), vars(schedules)) == schedule
    assert eval(repr(pretrain(3)), vars(schedules)) == pretrain(3)
    assert eval(repr(steps({5: 0, 0: 0.5})), vars(schedules)) == steps({0: 0.5, 5: 0})
    assert repr(Schedule(np.array([0.5, 0.3], dtype=np.float32))) == "Schedule([0.5, 0.3])"


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Schedule([]), "at least one epoch"),
        (lambda: Schedule([0.5, 1.2]), r"must stay in \[0, 1\], but has 1.2 in epoch 1"),
        (lambda: Schedule([-0.1]), "has -0.1 in epoch 0"),
        (lambda: Schedule([float("nan")]), "has nan in epoch 0"),
        (lambda: Schedule([True]), "has True"),
        (lambda: Schedule(["half"]), "has 'half'"),
        (lambda: Schedule("0.5"), "a list of numbers, one per epoch, got '0.5'"),
        (lambda: Schedule(0.5), "a list of numbers"),
        (lambda: constant(2), "must stay in"),
        (lambda: linear(0.5, 1.5, 4), r"linear must start and end with numbers in \[0, 1\], got 1.5"),
        (lambda: cosine("a", 0, 4), "cosine must start and end"),
        (lambda: linear(0.5, 0, 0), "epochs must be an integer of 1 or more"),
        (lambda: linear(0.5, 0, 1.5), "epochs must be an integer"),
        (lambda: linear(0.5, 0, 10**9), "epochs must be 100,000 at most"),
        (lambda: steps({}), "a mapping of first epoch to number"),
        (lambda: steps([0.5]), "a mapping of first epoch to number"),
        (lambda: steps({1: 0.5}), "must begin with epoch 0, got 1"),
        (lambda: steps({0: 0.5, 2.5: 0}), "the epoch of a step must be an integer"),
        (lambda: pretrain(0), "epochs must be an integer of 1 or more"),
        (lambda: pretrain(2, ratio=1.1), "has 1.1 in epoch 0"),
        (lambda: linear(0.5, 0, 4)(-1), "epoch must be an integer of 0 or more"),
    ],
)
def test_bad_input(build, message):
    with pytest.raises(InputError, match=message):
        build()


def test_they_are_imported_without_torch():
    code = "import genaug, sys; genaug.schedules.linear(0.5, 0, 3); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=7), st.integers(1, 9))
def test_over_as_many_epochs_each_number_lasts_equally_long(values, times):
    schedule = Schedule(values)
    assert schedule.over(times * len(values)).values == tuple(value for value in values for _ in range(times))


def test_over_spreads_numbers_over_any_number_of_epochs_and_its_repr_is_python():
    spread = steps({0: 1, 1: 0}).over(5)
    assert spread.values == (1, 1, 1, 0, 0)
    assert eval(repr(spread), vars(schedules)) == spread
    assert linear(0.8, 0, epochs=5).over(2).values == (0.8, pytest.approx(0.4)), "fewer epochs leave some out"
    with pytest.raises(InputError, match="epochs"):
        constant(0.5).over(0)
