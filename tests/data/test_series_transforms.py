"""Classic augmentation of series."""

import pytest
import torch

from genaug.data.series_transforms import jitter, magnitude_warp, scaling, window_slice, window_warp
from genaug.errors import InputError

T = torch.arange(50.0)
SERIES = torch.stack([100 + 10 * (T / 8).sin(), T])
ALL = (jitter, scaling, magnitude_warp, window_slice, window_warp)


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


@pytest.mark.parametrize("function", ALL)
def test_shape_dtype_and_end_stay_and_the_argument_is_unchanged(function):
    series = SERIES.double().clone()
    series[:, 40:] = torch.nan
    series[0, 7] = torch.nan
    before = series.clone()
    changed = function(series)
    assert changed.dtype == torch.float64
    assert changed.shape == series.shape
    assert torch.equal(series.nan_to_num(-1), before.nan_to_num(-1))
    assert changed[:, 40:].isnan().all()
    assert not changed[1, :40].isnan().any()
    assert not torch.equal(changed[1, :40], series[1, :40])
    torch.manual_seed(0)
    assert torch.equal(function(series).nan_to_num(-1), changed.nan_to_num(-1))


def test_jitter_is_relative_to_each_channels_deviation():
    noise = torch.stack([jitter(SERIES, 0.1) - SERIES for _ in range(200)])
    assert (noise.std((0, 2)) / SERIES.std(1, correction=0)).tolist() == pytest.approx([0.1, 0.1], rel=0.05)


def test_scaling_has_one_factor_per_channel_and_keeps_the_mean():
    scaled = scaling(SERIES, 0.5)
    assert scaled.mean(1).tolist() == pytest.approx(SERIES.mean(1).tolist(), rel=1e-4)
    factors = (scaled - scaled.mean(1, keepdim=True)) / (SERIES - SERIES.mean(1, keepdim=True))
    assert factors[0, 0] != pytest.approx(float(factors[1, 0]))
    assert (factors.max(1).values - factors.min(1).values).max() < 0.01


def test_magnitude_warp_is_smooth():
    curve = (magnitude_warp(SERIES, 0.2) - SERIES.mean(1, keepdim=True)) / (SERIES - SERIES.mean(1, keepdim=True))
    assert curve[1].std() > 0.01
    assert curve[1].diff().diff().abs().max() < 0.05


def test_a_window_slice_is_a_stretched_part():
    sliced = window_slice(SERIES, 0.5)[1]
    assert float(sliced[-1] - sliced[0]) == pytest.approx(24)
    assert sliced.diff().tolist() == pytest.approx([24 / 49] * 49, rel=1e-3)
    assert torch.equal(window_slice(SERIES, 1.0), SERIES)


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_a_window_warp_changes_the_pace_within_a_window_only(factor):
    warped = window_warp(SERIES, 0.2, (factor,))[1]
    assert (float(warped[0]), float(warped[-1])) == pytest.approx((0, 49))
    pace = (49 + (factor - 1) * 10) / 49  # of the steps outside of the window
    steps = warped.diff()
    outside, inside = steps[(steps - pace).abs() < 1e-3], steps[(steps - pace / factor).abs() < 1e-3]
    assert len(outside) + len(inside) >= 47
    assert len(inside) == pytest.approx(10 * factor / pace, abs=2)


def test_bad_arguments():
    for share in (0, 1.5, float("nan")):
        with pytest.raises(InputError, match="share must be"):
            window_slice(SERIES, share)
    for function in ALL:
        for series in (SERIES.long(), SERIES[0]):
            with pytest.raises(InputError, match="series of floats"):
                function(series)
        for series in (SERIES.numpy(), SERIES.tolist()):
            with pytest.raises(InputError, match=r"as a tensor.*torch\.as_tensor"):
                function(series)
    short = torch.tensor([[1.0, 2.0]])
    for function in ALL:
        assert function(short).shape == (1, 2)
