import numpy as np
import pytest
import torch

from genaug.errors import InputError
from genaug.evaluation.arrays import check_features, half_sample_intervals

GOOD = np.zeros((10, 3))


def test_bytes_and_single_precision_keep_their_dtype_and_half_precision_becomes_double():
    sides = {"a": np.zeros((4, 3), np.uint8), "b": torch.zeros(5, 3), "c": torch.zeros(6, 3, dtype=torch.float16)}
    a, b, c = check_features(sides, 4, "FID")
    assert (a.dtype, b.dtype, c.dtype) == (torch.uint8, torch.float32, torch.float64)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (np.zeros((9, 3)), "FID needs at least 10 samples on each side, got 9 generated"),
        (np.zeros((10, 4)), r"the same width, got 3 \(real\), 4 \(generated\)"),
        (np.zeros((10, 3, 1)), r"generated features must have shape \(N, d\), got \(10, 3, 1\)"),
        (np.zeros((10, 0)), "shape"),
        (np.zeros((10, 3), complex), "real numbers"),
        (np.full((10, 3), np.inf), "NaN or infinity, first in row 0"),
        (np.where(np.arange(30).reshape(10, 3) == 14, np.nan, 0), "first in row 4"),
        ("features", "array or a tensor"),
        ([[1, 2], [3]], "array or a tensor"),
    ],
)
def test_anything_but_feature_arrays_of_one_width_is_rejected(other, message):
    with pytest.raises(InputError, match=message):
        check_features({"real": GOOD, "generated": other}, 10, "FID")


def test_half_samples_give_the_standard_error_of_a_mean():
    values = torch.randn(400, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def mean(rows, _):
        return {"mean": float(values[rows].mean())}

    statistic = mean(torch.arange(400), None)
    interval = half_sample_intervals(mean, statistic, (400, 2), replicates=2000, seed=0)["mean"]
    assert (interval.low + interval.high) / 2 == pytest.approx(statistic["mean"])
    assert (interval.high - interval.low) / 2 / 1.96 == pytest.approx(float(values.std()) / 20, rel=0.05)


def test_without_replicates_there_is_no_interval():
    intervals = half_sample_intervals(lambda a, b: {"x": 1.0}, {"x": 1.0}, (4, 4), replicates=0, seed=0)
    assert np.isnan(intervals["x"]).all()
