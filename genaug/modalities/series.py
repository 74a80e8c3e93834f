"""Series of measurements: several channels over time, of fixed or varying length, with missing values."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, NamedTuple

import numpy as np
import torch
from PIL.Image import Image as Picture
from pydantic import Field, model_validator
from torch import Tensor

from genaug.errors import InputError
from genaug.modalities.base import Modality
from genaug.modalities.series_scales import Scale, other_units, scales_of
from genaug.modalities.series_values import as_float32, lengths_of, padded, present

MAX_CHANNELS = 1024
MAX_STEPS = 65_536
MAX_VALUES = 2**22  # of one series


class Parts(NamedTuple):
    """Encoded series (N, ...) by meaning: values (N, channels, steps), presence (N, 1, steps) if the length varies, and
    observation (N, channels, steps) if values may be missing; the last two are 1 for yes and -1 for no."""

    values: Tensor
    presence: Tensor | None
    observation: Tensor | None


class Series(Modality):
    """A series: float32 (channels, steps) in the data's own units. ``Series(3, 100)``.

    NaN stands for a missing value, and for all steps after the end of a series that is shorter than ``steps``.
    ``shortest`` is the length of the shortest series in the training data if lengths vary, so that they are generated
    too; ``has_missing`` says whether values may be missing before the end. ``scales`` are those of the channels, by
    default none.

    Networks take float32 (N, ``*encoded_shape``): values with mean 0 and standard deviation 1 per channel, 0 where
    there is none; then, if lengths vary, one channel that is 1 until the end and -1 after it; then, if values may be
    missing, one per channel that is 1 where there is a value, -1 where it is missing, and 0 after the end. ``parts``
    takes them apart, and ``gated`` makes a network's outputs consistent with them.
    """

    kind: Literal["series"] = "series"
    channels: Annotated[int, Field(ge=1, le=MAX_CHANNELS)]
    steps: Annotated[int, Field(ge=2, le=MAX_STEPS)]
    scales: Annotated[tuple[Scale, ...], Field(max_length=MAX_CHANNELS)] = ()
    shortest: Annotated[int, Field(ge=1)] | None = None
    has_missing: bool = False

    noun: ClassVar[str] = "series"
    dtype: ClassVar[torch.dtype] = torch.float32
    float_dtypes: ClassVar[tuple[torch.dtype, ...]] = (torch.float16, torch.bfloat16, torch.float64)
    encodes_once: ClassVar[bool] = True
    files: ClassVar[tuple[str, ...]] = (".npz",)
    same_size: ClassVar[str] = "Pass genaug.data.SeriesDataset(list_of_series, y), which pads the shorter ones."
    data: ClassVar[str] = "genaug.data.SeriesDataset(x, y) (--data series:FILE.npz or .ts)"
    axes: ClassVar[str] = "(channels, steps)"
    arrays: ClassVar[str] = "float32 (N, channels, steps)"
    features: ClassVar[str] = "float32 (N, channels, steps), or as rows for estimators of scikit-learn"
    has_pictures: ClassVar[bool] = True
    has_size: ClassVar[bool] = True
    item: ClassVar[str] = "series"
    classifiers: ClassVar[tuple[str, ...]] = ("small",)
    in_batches: ClassVar[bool] = True

    if TYPE_CHECKING:

        def __init__(
            self,
            channels: int,
            steps: int,
            *,
            scales: tuple[Scale, ...] = (),
            shortest: int | None = None,
            has_missing: bool = False,
            kind: Literal["series"] = "series",
        ) -> None: ...
    else:

        def __init__(self, *size, **fields):
            if len(size) > 2:
                raise TypeError(f"Series takes channels and steps, got {len(size)} numbers: {size}")
            super().__init__(**dict(zip(("channels", "steps"), size, strict=False)), **fields)

    @model_validator(mode="after")
    def _fits_together(self) -> "Series":
        if self.channels * self.steps > MAX_VALUES:
            raise ValueError(f"a series has {self.channels * self.steps:,} values; at most {MAX_VALUES:,} are possible")
        if len(self.scales) not in (0, self.channels):
            raise ValueError(f"{len(self.scales)} scales for {self.channels} channels")
        if self.shortest is not None and self.shortest > self.steps:
            raise ValueError("the shortest series is longer than the longest")
        return self

    @property
    def shape(self) -> tuple[int, int]:
        return self.channels, self.steps

    @property
    def encoded_shape(self) -> tuple[int, int]:
        return self.channels * (1 + self.has_missing) + (self.shortest is not None), self.steps

    @property
    def positions(self) -> int:
        return self.steps

    def fits(self, other: Modality) -> bool:
        """Whether networks for these series also take others: all but the scales is the same."""
        return isinstance(other, Series) and self.encoded_shape == other.encoded_shape and self.shape == other.shape

    def encode(self, samples: Tensor) -> Tensor:
        samples = samples.float()
        observed = ~samples.isnan()
        if self.scales:
            mean, deviation = self._scale("mean", samples), self._scale("deviation", samples)
            samples = (samples - mean) / deviation
        parts = [samples.where(observed, 0)]
        is_present = present(samples)[:, None]
        if self.shortest is not None:
            parts.append(is_present * 2.0 - 1)
        if self.has_missing:
            parts.append((observed * 2.0 - 1) * is_present)
        return torch.cat(parts, 1)

    def parts(self, encoded: Tensor) -> Parts:
        """Values, presence and observation of encoded series (N, ``*encoded_shape``)."""
        varies = self.shortest is not None
        values, presence, observation = encoded.split(
            [self.channels, int(varies), self.channels * self.has_missing], dim=1
        )
        return Parts(values, presence if varies else None, observation if self.has_missing else None)

    def gated(self, outputs: Tensor) -> Tensor:
        """A network's outputs (N, ``*encoded_shape``) as encoded series: presence and observation in [-1, 1] by tanh,
        and values near 0 where there is none, as in real series. Otherwise a discriminator could tell them apart."""
        values, presence, observation = self.parts(outputs)
        gate = torch.ones_like(values[:, :1])
        others = []
        if presence is not None:
            presence = presence.tanh()
            gate = (1 + presence) / 2
            others.append(presence)
        if observation is not None:
            observation = observation.tanh()
            others.append(observation * gate)
            gate = gate * (1 + observation) / 2
        return torch.cat([values * gate, *others], 1)

    def decode(self, outputs: Tensor, dtype: torch.dtype) -> Tensor:
        """Series within the range of the training data, NaN where ``outputs`` have no value. Each has one at least: the
        likeliest.

        The length is the likeliest one if presence is proportional to the log-odds of each step.
        """
        values, presence, observation = self.parts(outputs)
        if self.scales:
            values = values * self._scale("deviation", values) + self._scale("mean", values)
            values = values.clamp(self._scale("low", values), self._scale("high", values))
        ended = torch.zeros_like(values, dtype=torch.bool)
        if presence is not None and self.shortest is not None:
            lengths = presence[:, 0].cumsum(1)[:, self.shortest - 1 :].argmax(1) + self.shortest
            ended |= (torch.arange(self.steps, device=values.device) >= lengths[:, None])[:, None]
        absent = ended
        if observation is not None:
            absent = ended | (observation < 0)
            likeliest = observation.masked_fill(ended, -torch.inf).flatten(1).argmax(1, keepdim=True)
            kept = torch.zeros_like(absent).flatten(1).scatter(1, likeliest, True).view_as(absent)
            absent = absent & ~(kept & absent.all((1, 2), keepdim=True))
        return values.to(dtype).masked_fill(absent, torch.nan)

    def _scale(self, name: str, like: Tensor) -> Tensor:
        """One number of every channel's scale, (channels, 1)."""
        return torch.tensor([getattr(scale, name) for scale in self.scales], device=like.device)[:, None].to(like.dtype)

    def flatten(self, samples: Tensor) -> Tensor:
        """Values in standard deviations, and which of them there are."""
        return self.encode(samples).flatten(1)

    def fitted(self, samples: Tensor) -> "Series":
        """The series' modality with the scales, lengths and missing values of raw samples (N, channels, steps).

        Raises ``InputError`` if a series or a channel has no value, and if no channel varies.
        """
        scales = scales_of(samples)
        lengths = lengths_of(samples)
        shortest = int(lengths.min())
        return Series(
            self.channels,
            self.steps,
            scales=scales,
            shortest=shortest if shortest < self.steps else None,
            has_missing=bool((samples.isnan() & present(samples)[:, None]).any()),
        )

    def remarks(self, samples: Tensor) -> list[str]:
        """Sentences on a shape that is probably transposed, and on constant channels."""
        remarks = []
        if self.channels > self.steps:
            remarks.append(
                f"the series have {self.channels} channels and {self.steps} steps, so they are probably transposed: "
                "expected (channels, steps). Pass x.transpose(0, 2, 1) if so."
            )
        constant = [i for i, scale in enumerate(self.fitted(samples).scales) if scale.low == scale.high]
        if constant:
            names = ", ".join(map(str, constant[:8])) + (", …" if constant[8:] else "")
            remarks.append(
                f"constant channels: {names}. There is nothing to learn in them, and generated series have the same "
                "value there."
            )
        return remarks

    def like(self, sample: Any, example: Any) -> Any:
        """A raw sample, array (channels, steps), in the form of a user's own series ``example``: a tensor or an array,
        of its float dtype, without the dimension of channels if it has none."""
        if getattr(example, "ndim", 2) == 1 and self.channels == 1:
            sample = sample[0]
        if isinstance(example, np.ndarray):
            return np.array(sample, dtype=example.dtype if example.dtype.kind == "f" else sample.dtype)
        tensor = torch.from_numpy(sample)
        return tensor.to(example.dtype) if isinstance(example, Tensor) and example.is_floating_point() else tensor

    @property
    def input_shape(self) -> tuple[int, int]:
        return self.encoded_shape

    def inputs(self, samples: Tensor) -> Tensor:
        """Values of mean 0 and standard deviation 1 per channel, and where there are any: ``encode``."""
        return self.encode(samples)

    def as_features(self, samples: Tensor) -> Any:
        """An array (N, channels, steps), as aeon has it."""
        return samples.numpy()

    def with_noise(self, samples: Tensor, deviation: float, draws: torch.Generator) -> Tensor:
        """Noise on the values that there are, relative to each channel's standard deviation."""
        noise = torch.randn(samples.shape, generator=draws)
        return samples + deviation * self._scale("deviation", samples) * noise

    def check(self, samples: Any, count: int, origin: str) -> Tensor:
        """As for other modalities; if lengths vary, series that are padded to fewer steps are padded further."""
        is_shorter = isinstance(samples, Tensor) and samples.ndim == 3 and samples.shape[2] < self.steps
        if is_shorter and self.shortest is not None and samples.dtype == self.dtype:
            samples = padded(samples, self.steps)
        return super().check(samples, count, origin)

    def check_batch(self, batch: Tensor, remedy: str | None) -> None:
        if not batch.is_floating_point():
            raise InputError(f"series must be floats, got {batch.dtype}. Convert them: x.float().")

    def other_units(self, samples: Tensor) -> str | None:
        return other_units(self.scales, samples)

    def preview(self, real: Tensor, generated: Tensor) -> Picture:
        from genaug.modalities.series_preview import draw_preview

        return draw_preview(real, generated)

    def picture(self, sample: Tensor) -> Picture:
        """The curves of all channels in one frame; each channel's height is its range in the training data."""
        from genaug.modalities.series_preview import draw_curves

        return draw_curves(sample, [(scale.low, scale.high) for scale in self.scales])

    def write(self, path: Path, suffix: str, samples: Tensor, labels: Tensor | None, names: Any) -> None:
        """Write a NumPy archive with ``x`` and, if there are any, ``y``, ``classes``, ``lengths`` and ``mask``, which
        ``SeriesDataset`` takes."""
        arrays: dict[str, Any] = {"x": samples.numpy()}
        if labels is not None:
            arrays["y"] = labels.numpy() if names is None else np.array(names)[labels.numpy()]
            if names is not None:
                arrays["classes"] = np.array(names)
        if self.shortest is not None:
            arrays["lengths"] = lengths_of(samples).numpy()
        if self.has_missing:
            arrays["mask"] = ~samples.isnan().numpy()
        with open(path, "wb") as file:  # savez would append a suffix to a name
            np.savez_compressed(file, **arrays)

    @classmethod
    def accepts(cls, item: Any) -> bool:
        """A matrix; a vector may be a sample of anything, and is read if series are expected."""
        return not isinstance(item, Picture) and getattr(item, "ndim", 0) == 2

    @classmethod
    def read(cls, item: Any) -> Tensor:
        """A series (channels, steps), or (steps,) if it has one channel, as float32. Raises ``InputError`` for NaN,
        infinite values, and numbers that float32 can't hold."""
        series = as_float32(item)
        if bool(series.isnan().any()):
            raise InputError(
                "the series has NaN, and nothing says that its values are missing. Pass genaug.data.SeriesDataset(x, "
                "y, mask=~numpy.isnan(x)) if they are."
            )
        return series

    @classmethod
    def of(cls, sample: Tensor) -> "Series":
        channels, steps = sample.shape
        if steps < 2:
            raise InputError(
                f"the series has {steps} step; expected at least 2. Rows of measurements are a table: "
                "genaug.data.TableDataset."
            )
        if channels > MAX_CHANNELS or steps > MAX_STEPS or channels * steps > MAX_VALUES:
            raise InputError(
                f"series of {channels:,} channels and {steps:,} steps are too large; at most {MAX_CHANNELS:,} "
                f"channels, {MAX_STEPS:,} steps and {MAX_VALUES:,} values are possible. Cut them into windows, or use "
                "fewer samples per second."
            )
        return cls(channels, steps)

    @classmethod
    def examples(cls, labels: Tensor, shape: tuple[int, ...]) -> Tensor:
        """Waves of another frequency for each label, of various lengths and with missing values; ``shape`` decides the
        number of channels and of steps."""
        channels, count = shape[0], len(labels)
        rng = torch.Generator().manual_seed(0)
        t = torch.arange(2.0 * shape[-2] - 1)
        phase = torch.rand(count, channels, 1, generator=rng)
        waves = 20 + 5 * (2 * torch.pi * ((1 + labels.view(-1, 1, 1)) * t / len(t) + phase)).sin()
        waves[torch.rand(waves.shape, generator=rng) < 0.05] = torch.nan
        waves[:, :, : len(t) // 2] = waves[:, :, : len(t) // 2].nan_to_num(20.0)
        lengths = torch.randint(len(t) // 2, len(t) + 1, (count,), generator=rng)
        return waves.masked_fill(t >= lengths.view(-1, 1, 1), torch.nan)
