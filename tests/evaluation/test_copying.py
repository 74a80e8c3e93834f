"""The copying check: C_T against a literal version, and generators with known behavior."""

import numpy as np
import pytest
import torch

from genaug.errors import InputError
from genaug.evaluation import copying
from genaug.evaluation.c_t import mann_whitney_z

WIDTH = 12


@pytest.fixture(scope="module")
def real():
    """Three clusters; 900 training samples, 400 held out, 400 fresh ones."""
    draws = np.random.default_rng(0)
    centers = draws.normal(0, 3, size=(3, WIDTH))
    points = centers[draws.integers(3, size=1700)] + draws.normal(size=(1700, WIDTH))
    return points[:900], points[900:1300], points[1300:]


def literal_z(first, second):
    wins = sum((a > b) + 0.5 * (a == b) for a in first for b in second)
    n, m = len(first), len(second)
    return (wins - n * m / 2) / np.sqrt(n * m * (n + m + 1) / 12)


def nearest(points, references):
    return np.sqrt(np.square(points[:, None] - references[None]).sum(-1)).min(1)


def test_mann_whitney_with_ties():
    draws = np.random.default_rng(1)
    first, second = draws.integers(6, size=30).astype(float), draws.integers(7, size=25).astype(float)
    assert mann_whitney_z(first, second) == pytest.approx(literal_z(first, second))


def test_with_one_cell_it_is_the_definition(real):
    train, held_out, fresh = real
    result = copying(train, held_out, fresh, cells=1, bootstrap=0)
    expected = literal_z(nearest(fresh, train), nearest(held_out, train))
    assert result["c_t"] == pytest.approx(expected)
    assert result["z"] == pytest.approx(expected)


def test_fresh_samples_score_about_0(real):
    result = copying(*real, bootstrap=100)
    assert result["passed"]
    assert result["cells"] > 1
    assert abs(result["z"]) < 3
    assert result["c_t_low"] < 0 < result["c_t_high"]
    assert result["nearest_ratio"] == pytest.approx(1, abs=0.06)
    assert result["copied"] < 0.04


def test_fresh_samples_z_is_standard_normal():
    draws = np.random.default_rng(2)
    points = draws.normal(size=(25, 900, 6))
    scores = [copying(p[:400], p[400:650], p[650:], cells=3, bootstrap=0)["z"] for p in points]
    assert abs(np.mean(scores)) < 0.8
    assert 0.6 < np.std(scores) < 1.5


@pytest.mark.parametrize("noise", [0, 0.02, 0.2])
def test_a_copier_is_far_below_0(real, noise):
    train, held_out, _ = real
    draws = np.random.default_rng(3)
    copies = train[draws.integers(900, size=400)] + draws.normal(0, noise, size=(400, WIDTH))
    result = copying(train, held_out, copies, bootstrap=50)
    assert result["c_t_high"] < -8
    assert result["nearest_ratio_high"] < 0.5
    assert not result["passed"]


def test_one_copy_in_five_beside_poor_samples_is_found_although_c_t_is_above_0(real):
    train, held_out, fresh = real
    poor = fresh + np.random.default_rng(4).normal(0, 2, size=fresh.shape)
    poor[:80] = train[:80]
    result = copying(train, held_out, poor, bootstrap=50)
    assert result["c_t"] > 0
    assert result["copied"] == pytest.approx(0.2, abs=0.02)
    assert not result["passed"]


def test_typical_samples_are_not_copies_although_c_t_is_below_0(real):
    train, held_out, fresh = real
    centers = train[np.argmin(np.square(fresh[:, None] - train[None]).sum(-1), axis=1)]
    typical = 0.5 * fresh + 0.5 * np.stack([train[np.linalg.norm(train - c, axis=1) < 5].mean(0) for c in centers])
    result = copying(train, held_out, typical, bootstrap=50)
    assert result["c_t_high"] < 0
    assert result["passed"]


def test_bytes_and_duplicate_images(real):
    train, held_out, fresh = (((side + 12) * 8).clip(0, 255).astype(np.uint8) for side in real)
    held_out[:20] = train[:20]
    assert copying(train, held_out, torch.from_numpy(fresh), bootstrap=20)["passed"]
    assert not copying(train, held_out, train[:300], bootstrap=20)["passed"]


@pytest.mark.parametrize("share", [0.01, 0.05])
@pytest.mark.parametrize("rest", ["fresh", "poor"])
def test_one_verbatim_copy_in_a_hundred_fails(real, share, rest):
    train, held_out, fresh = real
    samples = fresh + (0 if rest == "fresh" else np.random.default_rng(4).normal(0, 2, size=fresh.shape))
    count = int(share * len(samples))
    samples[:count] = train[100 : 100 + count]
    result = copying(train, held_out, samples, bootstrap=20)
    assert result["exact"] == share
    assert result["exact_low"] > result["exact_limit"] == 0
    assert not result["passed"]
    assert result["exact_low"] < share < result["exact_high"]


def test_one_coincidence_decides_nothing(real):
    train, held_out, fresh = (side.copy() for side in real)
    fresh[0] = train[0]
    result = copying(train, held_out, fresh, bootstrap=20)
    assert result["exact"] == 1 / 400
    assert result["passed"]


def test_three_near_duplicates_in_a_hundred_fail_and_fresh_samples_do_not(real):
    train, held_out, fresh = (side.copy() for side in real)
    fresh[:14] = train[:14] + np.random.default_rng(5).normal(0, 0.02, size=(14, WIDTH))
    result = copying(train, held_out, fresh, bootstrap=20)
    assert result["exact"] == 0
    assert result["near"] >= 14 / 400
    assert result["near_low"] > result["near_limit"]
    assert result["copied_low"] < 0.05, "the other rule alone would let it pass"
    assert not result["passed"]


def test_images_that_occur_twice_in_real_data_are_not_copies_unless_the_training_set_was_repeated():
    draws = np.random.default_rng(6)
    pictures = draws.normal(size=(2000, 6))
    blank = np.zeros((1, 6))

    def draw(size, start):
        side = pictures[start : start + size].copy()
        side[: int(0.04 * size)] = blank
        return side

    assert copying(draw(800, 0), draw(400, 800), draw(400, 1200), bootstrap=20)["passed"]
    repeated = np.repeat(pictures[:200], 4, axis=0)
    samples = pictures[1200:1600].copy()
    samples[:20] = repeated[:80:4]
    result = copying(repeated, pictures[800:1200], samples, bootstrap=20)
    assert 0 < result["exact_limit"] < 0.01
    assert not result["passed"]


def test_false_alarms_are_rare():
    draws = np.random.default_rng(9)
    alarms = 0
    for _ in range(60):
        points = draws.normal(size=(900, 8))
        alarms += not copying(points[:400], points[400:650], points[650:], cells=1, bootstrap=20)["passed"]
    assert alarms <= 4


def test_a_figure_that_is_nan_does_not_pass(real):
    """Held-out samples that are all in the training set have no ratio."""
    train, _, fresh = real
    result = copying(train, train[:400], fresh, bootstrap=5)
    assert np.isnan(result["nearest_ratio"])
    assert not result["passed"]


def test_zero_has_no_sign_and_a_number_no_dtype(real):
    train, held_out, fresh = (np.round(side).astype(np.float32) for side in real)
    train[0], fresh[0] = 0.0, -0.0
    held_out = held_out + np.float32(0.5)
    expected = (fresh[:, None] == train[None]).all(-1).any(1).mean()
    assert copying(train, held_out, fresh.astype(np.float64), bootstrap=0)["exact"] == pytest.approx(expected)


def test_a_collapsed_generator_falls_into_one_cell(real):
    train, held_out, fresh = real
    result = copying(train, held_out, np.repeat(fresh[:1], 200, axis=0) + 1e-3, bootstrap=0)
    assert result["cells"] == 1


def test_the_same_seed_gives_the_same(real):
    assert copying(*real, seed=5, bootstrap=5) == copying(*real, seed=5, bootstrap=5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"held_out": np.zeros((199, WIDTH))}, "199 held-out"),
        ({"fake": np.zeros((10, WIDTH))}, "10 generated"),
        ({"train": np.zeros((0, WIDTH))}, "0 training"),
        ({"train": np.zeros((9, WIDTH + 1))}, "the same width"),
        ({"fake": np.full((200, WIDTH), np.nan)}, "NaN"),
        ({"cells": 0}, "cells"),
        ({"cells": 901}, "cells"),
    ],
)
def test_invalid_input_is_rejected(real, change, message):
    with pytest.raises(InputError, match=message):
        copying(**{**dict(zip(("train", "held_out", "fake"), real, strict=True)), **change})
