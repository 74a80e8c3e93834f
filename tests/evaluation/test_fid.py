import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm

from genaug.errors import InputError
from genaug.evaluation import fid

RNG = np.random.default_rng(0)


def definition(a, b):
    first, second = np.cov(a.T), np.cov(b.T)
    root = sqrtm(first @ second).real
    return np.square(a.mean(0) - b.mean(0)).sum() + np.trace(first + second - 2 * root)


@pytest.mark.parametrize("offset", [0, 1e4])
def test_equals_the_definition(offset):
    a = RNG.normal(size=(2048, 6)) @ RNG.normal(size=(6, 6)) + offset
    b = RNG.normal(0.2, 1.3, size=(2300, 6)) + offset
    assert fid(a, b) == pytest.approx(definition(a, b), rel=1e-6)
    assert fid(a, b) == pytest.approx(fid(b, a), rel=1e-9)


@pytest.mark.parametrize("dead", [0, 30])
def test_the_distance_of_a_set_to_itself_is_0(dead):
    x = RNG.normal(3, 5, size=(2100, 40))
    x[:, :dead] = 0  # as ReLUs that never fire leave them: the covariance is singular
    assert 0 <= fid(x, x) < 1e-3
    assert 0 <= fid(torch.from_numpy(x).float(), x.astype(np.float32)) < 1e-3


def test_a_shift_is_measured():
    x = torch.randn(4000, 5, generator=torch.Generator().manual_seed(0))
    assert fid(x, x + torch.tensor([3.0, 0, 0, 0, 0])) == pytest.approx(9, rel=1e-4)


def test_too_few_samples_are_rejected():
    with pytest.raises(InputError, match="FID needs at least 2,048 samples on each side, got 2,047 second"):
        fid(np.zeros((2048, 3)), np.zeros((2047, 3)))
