"""Raw series: a user's values as float32, with errors for those that it can't hold, and where there are values."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genaug.errors import InputError
from genaug.modalities.image import native_order

_EXACT = 2**24  # float32 holds all integers up to this one
_ROUNDING = 0.01  # largest rounding error, in shares of a channel's range


def as_float32(item: Any) -> Tensor:
    """A series (channels, steps) or (steps,) as float32 (channels, steps); NaN stays.

    Raises ``InputError`` for another shape, values that aren't numbers, infinite ones, and those that float32 rounds:
    integers above 2^24, floats with tiny differences beside a large offset, and those near 0 that it can't tell apart.
    """
    try:
        values = item if isinstance(item, Tensor) else torch.as_tensor(_forward(native_order(np.asarray(item))))
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"expected a series of numbers, (channels, steps), got {type(item).__name__}.") from error
    values = values.detach().as_subclass(Tensor).cpu()
    values = values[None] if values.ndim == 1 else values
    if values.ndim != 2 or values.numel() == 0:
        raise InputError(f"expected a series of shape (channels, steps), got one of shape {tuple(values.shape)}.")
    if values.dtype == torch.bool or values.is_complex():
        raise InputError(f"expected a series of integers or floats, got {values.dtype}.")
    if not values.is_floating_point():
        numbers = values.to(torch.int64)
        if int(numbers.max()) > _EXACT or int(numbers.min()) < -_EXACT:
            largest = max(int(numbers.max()), -int(numbers.min()))
            raise InputError(
                f"integers go up to {largest:,}, but float32, the format of series, holds integers only up to "
                f"{_EXACT:,} exactly. Subtract an offset, or divide by a constant, first."
            )
        return values.float()
    single = values.float()
    if bool(single.isinf().any()):
        raise InputError("the series has infinite values, or values above 3.4e38. Expected finite ones.")
    if values.dtype == torch.float64:
        rounding = (values - single.double()).nan_to_num(0).abs().amax(1)
        spread = (values.nan_to_num(nan=-torch.inf).amax(1) - values.nan_to_num(nan=torch.inf).amin(1)).clamp(min=0)
        rounded = (rounding > _ROUNDING * spread).logical_and(spread > 0)
        if bool((rounded & (values.nan_to_num(0).abs().amax(1) < torch.finfo(torch.float32).tiny)).any()):
            raise InputError(
                "values lie below 1e-38, where float32, the format of series, hardly tells them apart. Multiply them "
                "by a constant first."
            )
        if bool(rounded.any()):
            raise InputError(
                "values differ too little beside their size for float32, the format of series, such as seconds since "
                "1970. Subtract an offset first."
            )
    return single.contiguous()


def _forward(values: NDArray[Any]) -> NDArray[Any]:
    """The array itself, or a copy if it is a reversed view, which torch can't take."""
    return values.copy() if any(stride < 0 for stride in values.strides) else values


def present(samples: Tensor) -> Tensor:
    """Whether each step is before the end, bool (N, steps)."""
    return torch.arange(samples.shape[-1], device=samples.device) < lengths_of(samples)[:, None]


def padded(samples: Tensor, steps: int) -> Tensor:
    """Raw series (N, channels, steps) with NaN after their end, up to this number of steps."""
    return torch.nn.functional.pad(samples, (0, steps - samples.shape[-1]), value=torch.nan)


def lengths_of(samples: Tensor) -> Tensor:
    """The length of each of raw series (N, channels, steps), int64 (N,): up to the last step with a value."""
    observed = (~samples.isnan()).any(1)
    steps = torch.arange(1, samples.shape[-1] + 1, device=samples.device)
    return (observed * steps).amax(1)
