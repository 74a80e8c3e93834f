"""Series in the blend: sample by sample in a dataset, and in batches."""

import warnings

import numpy as np
import pytest
import torch
from helpers.waves import ragged, waves
from torch.utils.data import DataLoader, Dataset, Subset, TensorDataset

import genaug
from genaug.data import SeriesDataset
from genaug.errors import BlendWarning, DataWarning, InputError

pytestmark = pytest.mark.filterwarnings("ignore:the (real )?series aren't in the units")  # the pool's are easy to tell
X, Y = waves(40)


@pytest.fixture(scope="module")
def pool():
    """Constant series, -1 for class 0 and -2 for class 1, which no real wave is."""
    data = SeriesDataset(torch.linspace(0, 1, 24).expand(20, 2, 24) - 2 - (torch.arange(20) % 2).view(-1, 1, 1), Y[:20])
    return genaug.SamplePool.of_samples(data.read_rows())


def generated(mixed):
    return [mixed[index] for index in np.flatnonzero(mixed.generated_mask())]


def test_a_dataset_of_tensors_is_blended(pool):
    mixed = genaug.MixedDataset(TensorDataset(X, Y), pool, ratio=0.5)
    assert len(mixed) == 80
    batch, _labels = next(iter(DataLoader(mixed, batch_sampler=mixed.batch_sampler(16))))
    assert (batch.shape, batch.dtype) == ((16, 2, 24), torch.float32)
    assert int((batch[:, 0, 0] < 0).sum()) == 8
    for series, label in generated(mixed):
        assert float(series[0, 0]) == -2 - int(label)


def test_generated_series_have_the_form_of_the_real_ones(pool):
    class Doubles(Dataset):
        def __len__(self):
            return 40

        def __getitem__(self, index):
            return X[index].double().numpy(), int(Y[index])

    mixed = genaug.MixedDataset(Doubles(), pool, ratio=0.5)
    assert all(isinstance(series, np.ndarray) and series.dtype == np.float64 for series, _ in generated(mixed))
    doubled = genaug.MixedDataset(TensorDataset(X, Y), pool, ratio=0.5, generated_transform=lambda x: x * 2)
    assert {float(series[0, 0]) for series, _ in generated(doubled)} == {-4.0, -6.0}


def test_univariate_series_without_a_dimension_of_channels():
    data = SeriesDataset(X[:, :1], Y)
    pool = genaug.SamplePool.of_samples(data.read_rows())
    mixed = genaug.MixedDataset(TensorDataset(X[:, 0], Y), pool, ratio=0.5)
    assert {series.shape for series, _ in generated(mixed)} == {(24,)}


def test_the_transform_of_the_real_set_runs_on_generated_series_too(pool):
    real = SeriesDataset(X, Y, transform=lambda series: series + 1000)
    for part in (real, Subset(real, range(30))):
        mixed = genaug.MixedDataset(part, pool, ratio=0.5)
        assert all(998 - int(label) == float(series[0, 0]) for series, label in generated(mixed))
    mixed.transform = lambda series: series - 1000
    assert float(generated(mixed)[0][0][0, 0]) < -1000


def test_series_of_various_lengths_are_blended():
    real = ragged()
    mixed = genaug.MixedDataset(real, genaug.SamplePool.of_samples(real.read_rows()), ratio=0.5, mode="replace")
    batch, _ = next(iter(DataLoader(mixed, batch_size=30)))
    assert batch.shape == (30, 2, 24)
    assert batch.isnan().any()


def test_other_shapes_are_reported(pool):
    mixed = genaug.MixedDataset(TensorDataset(X[:, :, :20], Y), pool, ratio=0.5)
    with pytest.raises(InputError, match="but generated series come out as"):
        next(iter(DataLoader(mixed, batch_sampler=mixed.batch_sampler(16))))


class TestBatches:
    def test_a_share_is_replaced(self, pool):
        augment = genaug.GenerativeAugment(pool, ratio=0.5)
        x, y = augment(X, Y)
        replaced = x[:, 0, 0] < 0
        assert int(replaced.sum()) == 20
        assert torch.equal(x[~replaced], X[~replaced])
        assert torch.equal(x[replaced][:, 0, 0], -2.0 - Y[replaced])
        assert y is Y

    def test_other_float_dtypes_and_normalized_batches(self, pool):
        augment = genaug.GenerativeAugment(pool, ratio=1.0, normalize=((1, 2), (10, 100)))
        x, _ = augment((X.double() - 1) / 10, Y)
        assert x.dtype == torch.float64
        assert x[0, :, 0].tolist() == pytest.approx([-3 / 10, -4 / 100])

    def test_one_series_with_one_label(self, pool):
        series, label = genaug.GenerativeAugment(pool, ratio=1.0)(X[0], 1)
        assert (float(series[0, 0]), label) == (-3.0, 1)

    @pytest.mark.parametrize(
        ("inputs", "message"),
        [
            ((X.long(), Y), "series must be floats, got torch.int64"),
            ((X[:, :, :20], Y), r"series of shape \(2, 20\) \(channels, steps\)"),
            ((X, Y, X), "2 series inputs"),
            ((X[0], Y), "0 series inputs"),
            ((X, torch.zeros(40, 24, dtype=torch.int64)), "Soft labels"),
        ],
    )
    def test_bad_input(self, pool, inputs, message):
        with pytest.raises(InputError, match=message):
            genaug.GenerativeAugment(pool, ratio=0.5)(*inputs)


@pytest.fixture(scope="module")
def same_units():
    return genaug.SamplePool.of_samples(SeriesDataset(*waves(30)).read_rows())


@pytest.mark.parametrize("change", [lambda x: (x - 50) / 5, lambda x: x * 1000, lambda x: 50 + (x - 50) / 100])
def test_other_units_are_noticed_once(same_units, change):
    with pytest.warns(BlendWarning, match=r"channel 0 is between .* generated_transform"):
        mixed = genaug.MixedDataset(TensorDataset(change(X), Y), same_units, ratio=0.5)
    augment = genaug.GenerativeAugment(same_units, ratio=0.5)
    with pytest.warns(DataWarning, match=r"channel 0 is between .* normalize="):
        augment(change(X), Y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mixed.set_epoch(1)
        mixed.__getitems__([0, 50])
        augment(change(X), Y)


def test_a_transform_that_is_meant_for_other_units_is_noticed(same_units):
    normalized = SeriesDataset((X - 50) / 5, Y, transform=lambda x: x * 5 + 50)
    with pytest.warns(BlendWarning, match="the real series aren't in the units of the generated ones"):
        genaug.MixedDataset(normalized, same_units, ratio=0.5)


def test_the_same_units_are_not_warned_about(same_units):
    flat = X.clone()
    flat[:, 1] = 50
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for x in (X, X[Y == 0], flat):
            genaug.MixedDataset(TensorDataset(x, torch.arange(len(x)) % 2), same_units, ratio=0.5)
            genaug.GenerativeAugment(same_units, ratio=0.5)(x, torch.arange(len(x)) % 2)
        genaug.GenerativeAugment(same_units, ratio=0.5, normalize=(50, 5))((X - 50) / 5, Y)
        genaug.MixedDataset(
            TensorDataset((X - 50) / 5, Y), same_units, ratio=0.5, generated_transform=lambda x: (x - 50) / 5
        )
