"""Precision, recall, density and coverage against a brute-force version in float64."""

import numpy as np
import pytest
import torch

from genaug.errors import InputError
from genaug.evaluation import prdc
from genaug.nn import neighbours

RNG = np.random.default_rng(0)


def distances(x, y):
    return np.sqrt(np.square(x[:, None].astype(np.float64) - y[None].astype(np.float64)).sum(-1))


def brute_force(real, fake, k):
    real_radius = np.sort(distances(real, real), axis=1)[:, k]  # the first is the point itself
    fake_radius = np.sort(distances(fake, fake), axis=1)[:, k]
    between = distances(real, fake)
    in_real = between < real_radius[:, None]
    return {
        "precision": in_real.any(0).mean(),
        "recall": (between < fake_radius[None]).any(1).mean(),
        "density": in_real.sum(0).mean() / k,
        "coverage": in_real.any(1).mean(),
    }


@pytest.mark.parametrize("k", [1, 5])
@pytest.mark.parametrize(("sizes", "width"), [((200, 230), 4), ((301, 200), 30)])
def test_equals_brute_force(sizes, width, k):
    real, fake = RNG.normal(size=(sizes[0], width)), RNG.normal(0.3, 0.8, size=(sizes[1], width))
    assert prdc(real, fake, k) == pytest.approx(brute_force(real, fake, k), abs=1e-6)


def test_far_from_the_origin_and_in_single_precision():
    real = RNG.normal(500, 1, size=(220, 8)).astype(np.float32)
    fake = RNG.normal(500.2, 1, size=(210, 8)).astype(np.float32)
    assert prdc(torch.from_numpy(real), fake) == pytest.approx(brute_force(real, fake, 5), abs=1e-6)


def test_blocks_make_no_difference(monkeypatch):
    real, fake = RNG.normal(size=(205, 3)), RNG.normal(0.5, 1, size=(333, 3))
    complete = prdc(real, fake)
    monkeypatch.setattr(neighbours, "_BLOCK", 64)
    assert prdc(real, fake) == complete


def test_distances_come_in_blocks_of_bounded_size():
    sizes = [block.numel() for *_, block in neighbours.squared_distances(torch.rand(2100, 2), torch.rand(4200, 2))]
    assert sum(sizes) == 2100 * 4200
    assert max(sizes) <= 2048**2


def test_copies_of_real_points_lie_on_surfaces_as_in_brute_force():
    real = RNG.normal(100, 1, size=(300, 6)).astype(np.float32)
    fake = real[RNG.integers(300, size=250)]
    assert prdc(real, fake) == pytest.approx(brute_force(real, fake, 5), abs=1e-6)


def test_one_picture_over_and_over_and_pure_noise():
    real = RNG.normal(size=(300, 4))
    one = prdc(real, np.repeat(real[:1], 200, axis=0))
    assert one["precision"] == 1
    assert one["recall"] == 0
    assert one["coverage"] < 0.1
    assert prdc(real, RNG.normal(50, 1, size=(200, 4))) == {"precision": 0, "recall": 0, "density": 0, "coverage": 0}


def with_duplicates(case):
    """Features with exact duplicates: generated points that are real ones, real ones that are held many times (more
    than k and exactly k + 1), and a generator that makes few pictures."""
    draws = np.random.default_rng(7)
    real, fake = draws.normal(size=(330, 5)), draws.normal(size=(280, 5))
    if case == "copies":
        fake[:140] = real[:140]
    elif case == "real duplicates":
        real[:20], real[20:26], fake[:50] = real[0], real[20], real[0]
        fake[50:60] = real[20]
    elif case == "few pictures":
        fake[:] = np.concatenate([real[:2], fake[:2]])[draws.integers(4, size=280)]
    elif case == "tight clusters":
        centers = draws.normal(0, 1000, size=(6, 5))
        real, fake = centers[draws.integers(6, size=330)] + 1e-2 * real, centers[draws.integers(6, size=280)]
        fake[140:] = real[:140]
    return real, fake


DUPLICATES = ["copies", "real duplicates", "few pictures", "tight clusters"]


@pytest.mark.parametrize("k", [1, 5])
@pytest.mark.parametrize("case", DUPLICATES)
def test_duplicates_count_as_in_brute_force_and_rounding_decides_nothing(case, k, monkeypatch):
    real, fake = with_duplicates(case)
    expected = brute_force(real, fake, k)
    assert prdc(real, fake, k) == pytest.approx(expected, abs=1e-12)
    draws = np.random.default_rng(8)
    for block in (2048, 97):
        monkeypatch.setattr(neighbours, "_BLOCK", block)
        shuffled = real[draws.permutation(len(real))], fake[draws.permutation(len(fake))]
        assert prdc(*shuffled, k) == pytest.approx(expected, abs=1e-12), block


@pytest.mark.parametrize("offset", [1e3, -1e5, 2.0**24])
@pytest.mark.parametrize("case", DUPLICATES)
def test_duplicates_far_from_the_origin(case, offset, monkeypatch):
    real, fake = (np.round(side * 2**12) / 2**12 for side in with_duplicates(case))  # so that the sum is exact
    expected = prdc(real, fake)
    assert prdc(real + offset, fake + offset) == expected
    monkeypatch.setattr(neighbours, "_BLOCK", 50)
    assert prdc(real + offset, fake + offset) == expected


def test_distances_of_duplicates_are_exactly_0():
    points = torch.from_numpy(np.random.default_rng(3).normal(1e6, 1, size=(300, 7))).float()
    for mine, theirs, squared in neighbours.squared_distances(points, points.flip(0)):
        assert torch.equal(squared == 0, torch.eye(300, dtype=torch.bool).flip(0)[mine, theirs])
    assert neighbours.kth_squared_radii(points[:1].repeat(50, 1), 5).tolist() == [0] * 50


def test_a_ball_of_radius_0_is_empty():
    real = np.concatenate([np.ones((100, 3)), np.random.default_rng(0).normal(50, 1, size=(200, 3))])
    assert prdc(real, np.ones((200, 3))) == {"precision": 0, "recall": 0, "density": 0, "coverage": 0}


@pytest.mark.parametrize("k", [0, 200, 1.5, True])
def test_a_k_that_gives_no_ball_is_rejected(k):
    with pytest.raises(InputError, match=r"k must be (an integer of 1 or more|199 at most)"):
        prdc(np.zeros((200, 2)), np.zeros((200, 2)), k)


def test_too_few_samples_are_rejected():
    with pytest.raises(InputError, match="PRDC needs at least 200 samples on each side, got 199 generated"):
        prdc(np.zeros((200, 2)), np.zeros((199, 2)))


@pytest.mark.slow
def test_equal_gaussians_have_density_1_and_coverage_as_expected():
    """Naeem et al. 2020 derive 1 - 2^-k for coverage; the mean of five draws."""
    draws = np.random.default_rng(1)
    measures = [prdc(*draws.normal(size=(2, 10_000, 1000)).astype(np.float32), 5) for _ in range(5)]
    assert np.mean([m["density"] for m in measures]) == pytest.approx(1, abs=0.1)
    assert np.mean([m["coverage"] for m in measures]) == pytest.approx(0.969, abs=0.012)
