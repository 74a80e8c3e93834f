"""The scales of a series' channels: fitted to training data, and compared with a user's series."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor

from genaug.errors import InputError

_OUTSIDE = 0.9  # share of a channel's values outside its range that shows other units
_FACTOR = 10  # of its standard deviation, either way, that shows them

Number = Annotated[float, Field(allow_inf_nan=False)]


class Scale(BaseModel):
    """How a channel is scaled for networks, and its range in the training data."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mean: Number
    deviation: Annotated[Number, Field(gt=0)]
    low: Number
    high: Number

    @model_validator(mode="after")
    def _bounds_fit(self) -> "Scale":
        if self.low > self.high:
            raise ValueError("low is above high")
        return self


def scales_of(samples: Tensor) -> tuple[Scale, ...]:
    """The scale of each channel of raw samples (N, channels, steps).

    Raises ``InputError`` if a series or a channel has no value, and if no channel varies.
    """
    observed = ~samples.isnan()
    empty = (~observed.flatten(1).any(1)).nonzero()[:, 0]
    if len(empty):
        raise InputError(f"series {int(empty[0])} has no value. Leave series without values out.")
    scales = []
    for channel, (values, there) in enumerate(zip(samples.unbind(1), observed.unbind(1), strict=True)):
        values = values[there].double()
        if len(values) == 0:
            raise InputError(f"channel {channel} has no value in any series. Leave it out.")
        low, high = values.min(), values.max()
        deviation = values.std(correction=0) if high > low else values.new_ones(())
        scales.append(Scale(mean=float(values.mean()), deviation=float(deviation), low=float(low), high=float(high)))
    if all(scale.low == scale.high for scale in scales):
        raise InputError(
            "all channels are constant, with the same value at every step of every series, so there is nothing to "
            "learn."
        )
    return tuple(scales)


def other_units(scales: Sequence[Scale], samples: Tensor) -> str | None:
    """A clause on how series (N, channels, steps) are in other units than those of these scales; None if not: if fewer
    than half of the channels are outside their range, or vary ten times as much or as little."""
    differing, compared = [], 0
    for channel, (scale, values) in enumerate(zip(scales, samples.double().unbind(1), strict=False)):
        values = values[values.isfinite()]
        if len(values) < 2 or values.min() == values.max() or scale.low == scale.high:
            continue
        compared += 1
        outside = ((values < scale.low) | (values > scale.high)).double().mean()
        ratio = float(values.std() / scale.deviation)
        if outside > _OUTSIDE or not 1 / _FACTOR <= ratio <= _FACTOR:
            differing.append(
                f"channel {channel} is between {values.min():.4g} and {values.max():.4g}, and between "
                f"{scale.low:.4g} and {scale.high:.4g} in the generator's training data"
            )
    return differing[0] if differing and 2 * len(differing) >= compared else None
