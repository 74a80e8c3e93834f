"""Real, held-out and generated series of the same length, with the scales of the real ones."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from genaug.modalities.series import Series
from genaug.modalities.series_values import lengths_of, padded

MOST_STEPS = 256  # that recurrent networks take: longer series are averaged down
_MOST_COMPARED, _MOST_VALUES = 1024, 2**16  # steps and numbers of a vector


@dataclass(frozen=True)
class AlignedSeries:
    """``sides`` are raw series, float32 (N, channels, steps), "real", "generated" and, if there are any, "held_out",
    padded with NaN to the longest of all.

    ``sample`` has the scales of the real series, and says whether lengths vary or values are missing on any side.
    """

    sample: Series
    sides: Mapping[str, Tensor]

    @property
    def is_ragged(self) -> bool:
        return self.sample.shortest is not None

    def inputs(self, raw: Tensor) -> Tensor:
        """Raw series as networks take them: values of mean 0 and standard deviation 1, and where there are any."""
        return self.sample.encode(padded(raw, self.sample.steps))

    @property
    def compared_steps(self) -> int:
        """The steps of ``vectors``: at most 1,024, and fewer if there are many channels, to bound memory."""
        return min(self.sample.steps, _MOST_COMPARED, max(2, _MOST_VALUES // self.sample.encoded_shape[0]))

    @property
    def features(self) -> str:
        """What ``vectors`` are, in words."""
        shorter = f", averaged down to {self.compared_steps:,} steps" if self.compared_steps < self.sample.steps else ""
        return f"series in standard deviations of each channel{shorter}"

    def vectors(self, raw: Tensor) -> Tensor:
        """The same as vectors (N, D), whose Euclidean distance is compared; longer series are averaged down to
        ``compared_steps``."""
        inputs = self.inputs(raw)
        if self.compared_steps < self.sample.steps:
            inputs = F.adaptive_avg_pool1d(inputs, self.compared_steps)
        return inputs.flatten(1)

    def unit(self, raw: Tensor) -> tuple[Tensor, Tensor]:
        """Values scaled to [0, 1] by the range of the real ones, and 0 where there is none, and where there is one as 1
        and 0; both float32 (N, channels, steps)."""
        series = padded(raw, self.sample.steps)
        low, high = (torch.tensor([getattr(s, end) for s in self.sample.scales])[:, None] for end in ("low", "high"))
        span = torch.where(high > low, high - low, torch.ones_like(high))
        return ((series - low) / span).nan_to_num(0.0), (~series.isnan()).float()

    def judged(self, raw: Tensor) -> Tensor:
        """Values of ``unit``, followed by where there are any if some are missing or after the end; series of over 256
        steps are averaged down."""
        values, observed = self.unit(raw)
        inputs = torch.cat([values, observed], 1) if self.is_ragged or self.sample.has_missing else values
        return F.adaptive_avg_pool1d(inputs, MOST_STEPS) if inputs.shape[2] > MOST_STEPS else inputs


def align(real: Series, sides: Mapping[str, Tensor]) -> AlignedSeries:
    """Sides of raw series with the same channels; ``real`` has the scales."""
    steps = max(raw.shape[2] for raw in sides.values())
    sides = {side: padded(raw, steps) for side, raw in sides.items()}
    lengths = torch.cat([lengths_of(raw) for raw in sides.values()])
    absent = sum(int(raw.isnan().sum()) for raw in sides.values())
    after_end = int((steps - lengths).sum()) * real.channels
    shortest = int(lengths.min())
    sample = Series(
        real.channels,
        steps,
        scales=real.scales,
        shortest=max(shortest, 1) if shortest < steps else None,
        has_missing=absent > after_end,
    )
    return AlignedSeries(sample, sides)
