"""The networks of ``timevae``: a convolutional encoder, and a decoder that adds trend, seasonality and a residual."""

from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from genaug.modalities.series import Series
from genaug_series.networks import SLOPE, embedded

if TYPE_CHECKING:
    from genaug_series.timevae import TimeVAEConfig

_SHORTEST = 8  # steps of the shortest feature maps


def stage_lengths(steps: int) -> list[int]:
    """``steps``, halved and rounded up until at most 8 are left."""
    lengths = [steps]
    while lengths[-1] > _SHORTEST:
        lengths.append(-(-lengths[-1] // 2))
    return lengths


def stage_widths(config: "TimeVAEConfig", stages: int) -> list[int]:
    """The channels of each stage."""
    return [min(config.width * 2**stage, config.max_width) for stage in range(stages)]


class Encoder(nn.Module):
    """Series (N, channels, steps) and labels (N,), or None without classes, to (N, 2 latent_size)."""

    def __init__(self, config: "TimeVAEConfig", shape: tuple[int, int], num_classes: int) -> None:
        super().__init__()
        channels, steps = shape
        lengths = stage_lengths(steps)
        widths = stage_widths(config, len(lengths))
        self.first = nn.Conv1d(channels, widths[0], 3, padding=1)
        self.offsets = embedded(num_classes, widths[0])
        self.stages = nn.ModuleList(
            nn.Conv1d(before, after, 3, stride=2, padding=1) for before, after in pairwise(widths)
        )
        self.code = nn.Linear(widths[-1] * lengths[-1], 2 * config.latent_size)

    def forward(self, x: Tensor, labels: Tensor | None) -> Tensor:
        x = self.first(x)
        if self.offsets is not None and labels is not None:
            x = x + self.offsets(labels)[..., None]
        x = leaky_relu(x, SLOPE)
        for stage in self.stages:
            x = leaky_relu(stage(x), SLOPE)
        code: Tensor = self.code(x.flatten(1))
        return code


class Decoder(nn.Module):
    """Latents (N, latent_size) and labels (N,), or None without classes, to outputs (N, channels, steps): the sum of a
    polynomial of time, a value per season, and the residual of transposed convolutions."""

    def __init__(self, config: "TimeVAEConfig", sample: Series, num_classes: int) -> None:
        super().__init__()
        self.sample, self.draw = sample, config.draw
        channels, steps = sample.encoded_shape
        self.first = nn.Linear(config.latent_size, config.hidden)
        self.offsets = embedded(num_classes, config.hidden)
        self.trend = Trend(config.hidden, channels, steps, config.trend) if config.trend else None
        self.seasons = nn.ModuleList(
            Season(config.hidden, channels, steps, count, length) for count, length in config.seasons
        )
        self.lengths = stage_lengths(steps)[::-1]
        widths = stage_widths(config, len(self.lengths))[::-1]
        self.spread = nn.Linear(config.hidden, widths[0] * self.lengths[0])
        self.stages = nn.ModuleList(
            nn.ConvTranspose1d(before, after, 4, stride=2, padding=1) for before, after in pairwise(widths)
        )
        self.last = nn.Conv1d(widths[-1], channels, 3, padding=1)
        self.log_scales = nn.Parameter(torch.full((sample.channels, 1), -1.0))

    def forward(self, z: Tensor, labels: Tensor | None) -> Tensor:
        hidden = self.first(z)
        if self.offsets is not None and labels is not None:
            hidden = hidden + self.offsets(labels)
        hidden = leaky_relu(hidden, SLOPE)
        outputs = self._residual(hidden)
        for part in [*self.seasons, *([] if self.trend is None else [self.trend])]:
            outputs = outputs + part(hidden)
        return outputs

    def _residual(self, hidden: Tensor) -> Tensor:
        x = leaky_relu(self.spread(hidden), SLOPE).unflatten(1, (-1, self.lengths[0]))
        for stage, length in zip(self.stages, self.lengths[1:], strict=True):
            x = leaky_relu(stage(x)[:, :, :length], SLOPE)
        outputs: Tensor = self.last(x)
        return outputs


class Trend(nn.Module):
    """A polynomial of time without a constant: sum over p from 1 to ``degree`` of theta_p (t / steps)^p, with theta
    from two layers (Desai et al. 2021, section 3.1)."""

    powers: Tensor

    def __init__(self, hidden: int, channels: int, steps: int, degree: int) -> None:
        super().__init__()
        self.channels = channels
        self.body = nn.Sequential(nn.Linear(hidden, hidden), nn.LeakyReLU(SLOPE), nn.Linear(hidden, channels * degree))
        time = torch.arange(steps) / steps
        self.register_buffer("powers", torch.stack([time**p for p in range(1, degree + 1)]), persistent=False)

    def forward(self, hidden: Tensor) -> Tensor:
        theta: Tensor = self.body(hidden).unflatten(1, (self.channels, -1))
        return theta @ self.powers.to(theta.dtype)


class Season(nn.Module):
    """One value for each of ``count`` seasons of ``length`` steps, again and again (Desai et al. 2021, section 3.1)."""

    numbers: Tensor

    def __init__(self, hidden: int, channels: int, steps: int, count: int, length: int) -> None:
        super().__init__()
        self.channels = channels
        self.values = nn.Linear(hidden, channels * count)
        self.register_buffer("numbers", torch.arange(steps) // length % count, persistent=False)

    def forward(self, hidden: Tensor) -> Tensor:
        values: Tensor = self.values(hidden).unflatten(1, (self.channels, -1))[:, :, self.numbers]
        return values
