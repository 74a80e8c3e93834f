"""Classic augmentation of series (Iglesias et al. 2023, section 3): functions of one series, for a dataset's transform.

Each takes a tensor of floats (channels, steps), in which NaN stands for missing values and for the steps after the end,
and returns a new series of the same shape; the end stays where it is. Random numbers come from torch's global
generator. Amounts are relative to the series' own standard deviation per channel, as for standardized series.
"""

from typing import Any

import torch
from scipy.interpolate import CubicSpline
from torch import Tensor

from genaug.errors import InputError
from genaug.modalities.series_values import lengths_of


def jitter(series: Tensor, sigma: float = 0.03) -> Tensor:
    """Adds N(0, (sigma s)²) to every value; s is the channel's standard deviation in this series."""
    deviation = _moments(series)[1]
    return series + sigma * deviation * torch.randn(series.shape, device="cpu").to(series.dtype)


def scaling(series: Tensor, sigma: float = 0.1) -> Tensor:
    """Multiplies each channel's differences from its mean by one factor, N(1, sigma²)."""
    mean, _ = _moments(series)
    factors = 1 + sigma * torch.randn(len(series), 1, device="cpu").to(series.dtype)
    return mean + factors * (series - mean)


def magnitude_warp(series: Tensor, sigma: float = 0.2, knots: int = 4) -> Tensor:
    """Multiplies each channel's differences from its mean by a smooth curve: a cubic spline through ``knots`` + 2
    values N(1, sigma²) at equal distances."""
    mean, _ = _moments(series)
    length = _length(series)
    values = 1 + sigma * torch.randn(knots + 2, len(series), dtype=torch.float64, device="cpu")
    places = torch.linspace(0, max(length - 1, 1), knots + 2, dtype=torch.float64)
    curves = torch.from_numpy(CubicSpline(places.numpy(), values.numpy())(torch.arange(length).numpy())).T
    warped = series.clone()
    warped[:, :length] = mean + curves.to(series.dtype) * (series[:, :length] - mean)
    return warped


def window_slice(series: Tensor, share: float = 0.9) -> Tensor:
    """Cuts a window of ``share`` of the steps, in (0, 1], at a random place, and stretches it to the series' length."""
    _check_share(share)
    length = _length(series)
    size = max(2, round(share * length))
    if size >= length:
        return series.clone()
    start = int(torch.randint(length - size + 1, (), device="cpu"))
    return _resampled(series, length, torch.linspace(start, start + size - 1, length, dtype=torch.float64))


def window_warp(series: Tensor, share: float = 0.1, factors: tuple[float, ...] = (0.5, 2.0)) -> Tensor:
    """Stretches a window of ``share`` of the steps, in (0, 1], at a random place, by one of ``factors``, and resamples
    the result to the series' length."""
    _check_share(share)
    length = _length(series)
    size = max(1, round(share * (length - 1)))
    if length < 3 or size >= length - 1:
        return series.clone()
    factor = factors[int(torch.randint(len(factors), (), device="cpu"))]
    start = int(torch.randint(length - size, (), device="cpu"))
    warped = torch.tensor([0.0, start, start + factor * size, length - 1 + (factor - 1) * size], dtype=torch.float64)
    places = torch.linspace(0, float(warped[-1]), length, dtype=torch.float64)
    within = ((places - warped[1]) / factor + start).where(places >= warped[1], places)
    return _resampled(series, length, (places - (factor - 1) * size).where(places >= warped[2], within))


def random_transform(series: Tensor) -> Tensor:
    """One of the transforms of this module at random, with its default amount, as classic augmentation in a study: a
    single random transform per sample, as TrivialAugment (Müller and Hutter 2021) does for images."""
    transforms = (jitter, scaling, magnitude_warp, window_slice, window_warp)
    return transforms[int(torch.randint(len(transforms), (), device="cpu"))](series)


def _check(series: Any) -> None:
    if not isinstance(series, Tensor):
        raise InputError(
            f"expected a series as a tensor (channels, steps), got {type(series).__name__}. Pass "
            "torch.as_tensor(series)."
        )
    if series.ndim != 2 or not series.is_floating_point():
        raise InputError(
            f"expected a series of floats, (channels, steps), got {series.dtype} of shape {tuple(series.shape)}."
        )


def _check_share(share: float) -> None:
    if not 0 < share <= 1:
        raise InputError(f"share must be above 0 and at most 1, got {share!r}.")


def _length(series: Tensor) -> int:
    """The number of steps until the last value."""
    _check(series)
    return int(lengths_of(series[None]))


def _moments(series: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of the values of each channel that are there, (channels, 1); 0 without any."""
    _check(series)
    mean = series.nanmean(1, keepdim=True).nan_to_num(0)
    return mean, (series - mean).square().nanmean(1, keepdim=True).sqrt().nan_to_num(0)


def _resampled(series: Tensor, length: int, places: Tensor) -> Tensor:
    """The series with the values at fractional steps ``places`` (length,), by linear interpolation, instead of its
    first ``length``. A value between a missing one and its neighbor is missing."""
    places = places.clamp(0, length - 1)
    low = places.floor().long()
    weight = (places - low).to(series.dtype)
    first, second = series[:, low], series[:, (low + 1).clamp(max=length - 1)]
    resampled = series.clone()
    resampled[:, :length] = torch.where(weight == 0, first, first + weight * (second - first))
    return resampled
