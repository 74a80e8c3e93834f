import numpy as np
import pytest

from genaug.errors import InputError
from genaug.evaluation import kid

RNG = np.random.default_rng(0)


def brute_force(x, y):
    """The unbiased estimate, term by term in float64."""

    def kernel(a, b):
        return (a @ b / len(a) + 1) ** 3

    n, m = len(x), len(y)
    xx = sum(kernel(x[i], x[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    yy = sum(kernel(y[i], y[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    return xx + yy - 2 * sum(kernel(a, b) for a in x for b in y) / (n * m)


def test_equals_the_definition():
    x, y = RNG.normal(size=(200, 5)), RNG.normal(0.3, 1.2, size=(200, 5))
    assert kid(x, y, subsets=1) == pytest.approx(brute_force(x, y), rel=1e-9)


def test_is_unbiased_on_two_halves():
    values = [kid(*np.split(RNG.normal(size=(500, 8)), 2), subsets=1) for _ in range(40)]
    assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(len(values))
    assert min(values) < 0


def test_subsets_are_averaged():
    x, y = RNG.normal(size=(300, 4)), RNG.normal(0.5, 1, size=(350, 4))
    complete = kid(x, y[:300])
    assert kid(x, y, subset_size=200, subsets=200) == pytest.approx(complete, rel=0.15)
    assert kid(x, y, seed=1) == kid(x, y, seed=1) != kid(x, y, seed=2)


def test_grows_with_the_distance():
    real = RNG.normal(size=(400, 6))
    near, far = RNG.normal(0.2, 1, size=(400, 6)), RNG.normal(1.0, 1, size=(400, 6))
    assert kid(real, RNG.normal(size=(400, 6))) < kid(real, near) < kid(real, far)


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        (np.zeros((199, 3)), np.zeros((300, 3)), "KID needs at least 200 samples on each side, got 199 first"),
        (np.zeros((300, 3)), np.zeros((300, 4)), "the same width"),
        (np.zeros((300, 3, 1)), np.zeros((300, 3)), r"shape \(N, d\)"),
    ],
)
def test_features_that_cannot_be_compared_are_rejected(a, b, message):
    with pytest.raises(InputError, match=message):
        kid(a, b)
