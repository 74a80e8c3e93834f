"""The infinite tables of random numbers: every slice equals the same slice of a longer table."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from scipy.stats import chisquare, kstest

from genaug.backends import Categorical, Normal, Uniform
from genaug.backends.latents import latent_rows
from genaug.errors import InputError
from genaug.randomness import category_rows, check_seed, derive_seed, normal_rows, uniform_rows

KINDS = (Normal, Uniform, Categorical)
SEEDS = st.integers(0, 2**63 - 1)


@given(SEEDS, st.integers(0, 200), st.integers(0, 70), st.integers(1, 11), st.sampled_from([uniform_rows, normal_rows]))
@settings(max_examples=150)
def test_a_slice_equals_the_same_slice_of_a_longer_table(seed, start, count, width, rows):
    piece, table = rows(seed, "a", start, count, width), rows(seed, "a", 0, start + count + 5, width)
    assert piece.shape == (count, width)
    assert np.array_equal(piece, table[start : start + count])


@given(SEEDS, st.sampled_from(KINDS), st.integers(0, 100), st.integers(0, 40), st.integers(1, 9))
@settings(max_examples=100)
def test_a_slice_of_a_latent_equals_the_same_slice_of_a_longer_one(seed, kind, start, count, size):
    latent = kind(size=size)
    table = latent_rows(latent, seed, 0, start + count + 3)
    assert torch.equal(latent_rows(latent, seed, start, count), table[start : start + count])


def test_distant_rows_are_reached_directly():
    far = uniform_rows(0, "a", 2**50, 3, 5)
    assert np.array_equal(far[1:], uniform_rows(0, "a", 2**50 + 1, 2, 5))


def test_normal_rows_are_standard_normal_and_independent():
    numbers = normal_rows(0, "a", 0, 20_000, 5)
    assert np.allclose(numbers.mean(0), 0, atol=0.03)
    assert np.allclose(numbers.var(0), 1, atol=0.04)
    assert all(kstest(column, "norm").pvalue > 1e-3 for column in numbers.T)
    neighbors = np.concatenate([numbers[:-1], numbers[1:]], axis=1)
    assert np.allclose(np.corrcoef(neighbors.T), np.eye(10), atol=0.03)
    assert np.allclose(np.corrcoef((neighbors**2).T), np.eye(10), atol=0.03)  # a Box-Muller pair shares its radius


def test_uniform_rows_are_uniform():
    numbers = uniform_rows(0, "a", 0, 20_000, 3)
    assert numbers.min() >= 0
    assert numbers.max() < 1
    assert all(kstest(column, "uniform").pvalue > 1e-3 for column in numbers.T)


@pytest.mark.parametrize("categories", [1, 2, 7, 1000])
def test_categories_are_equally_likely(categories):
    numbers = category_rows(categories, 0, "a", 0, 20_000)
    assert numbers.dtype == torch.int64
    assert 0 <= int(numbers.min()) <= int(numbers.max()) < categories
    if categories > 1:
        assert chisquare(torch.bincount(numbers, minlength=categories).numpy()).pvalue > 1e-3


def test_latents_have_the_type_and_range_of_their_kind():
    normal, uniform = (latent_rows(kind(size=3), 0, 0, 5000) for kind in (Normal, Uniform))
    categorical = latent_rows(Categorical(size=3), 0, 0, 5000)
    assert (normal.dtype, normal.shape) == (torch.float32, (5000, 3))
    assert (uniform.dtype, uniform.shape) == (torch.float32, (5000, 3))
    assert (categorical.dtype, categorical.shape) == (torch.int64, (5000,))
    assert float(normal.min()) < -2.5
    assert -1 <= float(uniform.min()) < -0.99
    assert 0.99 < float(uniform.max()) <= 1
    assert categorical.unique().tolist() == [0, 1, 2]


def test_other_seeds_streams_and_latent_names_give_unrelated_numbers():
    tables = [uniform_rows(seed, stream, 0, 50, 4) for seed in (0, 1, 2**32, 2**62) for stream in ("a", "b", "labels")]
    tables += [latent_rows(Uniform(name=name, size=4), 0, 0, 50).numpy() for name in ("z", "c")]
    flat = np.stack([table.ravel() for table in tables])
    assert np.abs(np.corrcoef(flat) - np.eye(len(flat))).max() < 0.4


@given(SEEDS, SEEDS, st.lists(st.integers(0, 2**32 - 1), max_size=3), st.lists(st.integers(0, 2**32 - 1), max_size=3))
@settings(max_examples=200)
def test_derived_seeds_are_equal_only_if_everything_is(one, other, salts, more):
    assert (derive_seed(one, *salts) == derive_seed(other, *more)) == ((one, salts) == (other, more))


def test_a_zero_or_a_word_of_the_seed_counts_as_a_salt():
    """NumPy's SeedSequence alone doesn't distinguish (1, 0) from (1,), or 5 · 2^32 + 3 from (3, 5)."""
    assert derive_seed(1) != derive_seed(1, 0) != derive_seed(1, 0, 0)
    assert derive_seed(3, 5, 7) != derive_seed(5 * 2**32 + 3, 7)
    assert derive_seed(1, "order") != derive_seed(1, "order", 0)


def test_derived_seeds_are_valid_seeds():
    assert all(check_seed(derive_seed(seed, "x", index)) >= 0 for seed in (0, 2**63 - 1) for index in range(20))


@pytest.mark.parametrize("seed", [-1, 2**63, 1.0, "1", None, True, float("nan")])
def test_an_invalid_seed_is_rejected(seed):
    with pytest.raises(InputError, match=r"seed must be an integer in \[0, 2\^63\)"):
        check_seed(seed)


@pytest.mark.parametrize("seed", [0, 2**63 - 1])
def test_the_smallest_and_the_largest_seed_work(seed):
    assert check_seed(seed) == seed
    assert uniform_rows(seed, "a", 0, 2, 2).shape == (2, 2)
