"""Latents: the random inputs of a generator, one class per kind. Each draws, checks and interpolates its values."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from itertools import count
from math import prod
from typing import Annotated, Any, ClassVar, Literal, Protocol, cast

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from genaug.errors import InputError
from genaug.modalities.image import native_order
from genaug.randomness import normal_rows, uniform_rows

Count = Annotated[int, Field(ge=1, le=65536)]
Size = Count | Annotated[tuple[Count, ...], Field(min_length=1, max_length=4)]

_TAIL = 0.02


class Draws(Protocol):
    """Independent random numbers; the first dimension counts the samples."""

    def normal(self, *shape: int) -> Tensor:
        """N(0, 1)."""

    def uniform(self, *shape: int) -> Tensor:
        """U[0, 1)."""


class Latent(BaseModel, ABC):
    """One named group of random inputs, the same for every sample of a generator."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")] = "z"
    is_float: ClassVar[bool] = True

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """The shape of one sample's value."""

    @abstractmethod
    def draw(self, draws: Draws, n: int) -> Tensor:
        """``n`` values from the prior, (n, ``*shape``)."""

    @abstractmethod
    def between(self, first: Tensor, second: Tensor, weight: Tensor) -> Tensor:
        """Values interpolated from ``first`` (weight 0) to ``second`` (weight 1), row by row; ``weight`` is (N,)."""

    def varied(self, own: Tensor, fresh: Tensor, strength: float) -> Tensor:
        """Values from ``own`` (strength 0) to fresh draws (strength 1), whose weight is ``strength``."""
        return self.between(own, fresh, torch.full((len(own),), strength))

    def expand(self, value: Any, n: int) -> Tensor:
        """One value for all ``n`` samples or one per sample, as (n, ``*shape``). Raises ``InputError`` otherwise."""
        try:
            rows = value if isinstance(value, Tensor) else torch.as_tensor(native_order(value), device="cpu")
            return self._rows(rows).expand(n, *self.shape)
        except (RuntimeError, TypeError, ValueError) as error:
            raise InputError(
                f"latent {self.name!r} must be a number or a tensor that fits {(n, *self.shape)}: {error}."
            ) from error

    def check(self, values: Any) -> Tensor:
        """``values`` as (N, ``*shape``). Raises ``InputError`` if they aren't values of this latent."""
        if not isinstance(values, Tensor) or values.is_floating_point() != self.is_float:
            got = values.dtype if isinstance(values, Tensor) else type(values).__name__
            expected = "a float" if self.is_float else "an int64"
            raise InputError(f"latent {self.name!r} must be {expected} tensor, got {got}.")
        rows = self._rows(values)
        if rows.ndim == 0 or tuple(rows.shape[1:]) != self.shape:
            raise InputError(
                f"latent {self.name!r} must have shape {_batch_shape(self.shape)}, got {tuple(values.shape)}."
            )
        if len(rows):
            self._check_range(rows)
        return rows

    def _rows(self, values: Tensor) -> Tensor:
        """(N,) as (N, 1) if a sample's value is a single number."""
        values = values.float()
        return values[:, None] if self.shape == (1,) and values.ndim == 1 else values

    def _check_range(self, rows: Tensor) -> None:
        if not bool(rows.isfinite().all()):
            raise InputError(f"latent {self.name!r} holds NaN or infinite values; expected finite numbers.")


class Continuous(Latent):
    """``size`` is a number of dimensions, or a shape such as (steps, dimensions)."""

    size: Size

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.size,) if isinstance(self.size, int) else self.size

    @property
    def dimensions(self) -> int:
        return prod(self.shape)

    @abstractmethod
    def axis(self, steps: int) -> Tensor:
        """Values of one dimension in order, (steps,), that cover its distribution: for grids of samples."""


class Normal(Continuous):
    """N(0, 1) in each dimension: float32 (N, ``*shape``)."""

    kind: Literal["normal"] = "normal"

    def draw(self, draws: Draws, n: int) -> Tensor:
        return draws.normal(n, *self.shape).float()

    def between(self, first: Tensor, second: Tensor, weight: Tensor) -> Tensor:
        """Along the great circle, because normal samples lie near a sphere."""
        return slerp(first.flatten(1), second.flatten(1), weight).view_as(first)

    def varied(self, own: Tensor, fresh: Tensor, strength: float) -> Tensor:
        """With weights whose squares sum to 1: normal values remain normal."""
        return math.sqrt(1 - strength**2) * own + strength * fresh

    def axis(self, steps: int) -> Tensor:
        """Quantiles, without the outermost 2 % at either end."""
        return cast("Tensor", torch.special.ndtri(torch.linspace(_TAIL, 1 - _TAIL, steps)))


class Uniform(Continuous):
    """U(-1, 1) in each dimension: float32 (N, ``*shape``)."""

    kind: Literal["uniform"] = "uniform"

    def draw(self, draws: Draws, n: int) -> Tensor:
        return (draws.uniform(n, *self.shape) * 2 - 1).float()

    def between(self, first: Tensor, second: Tensor, weight: Tensor) -> Tensor:
        return torch.lerp(first, second, weight.view(-1, *[1] * len(self.shape)))

    def axis(self, steps: int) -> Tensor:
        return torch.linspace(-1, 1, steps)


class _Planar(Continuous):
    """Points of a distribution in the plane, one for each pair of dimensions: float32 (N, ``size``)."""

    size: Annotated[Count, Field(multiple_of=2)]

    def draw(self, draws: Draws, n: int) -> Tensor:
        numbers = draws.normal(n, self.dimensions // 2, 3)  # in one call, since calls may share their random numbers
        return self._points(torch.special.ndtr(numbers[..., 0]), numbers[..., 1:]).flatten(1).float()

    @abstractmethod
    def _points(self, position: Tensor, normal: Tensor) -> Tensor:
        """Points (..., 2) from U(0, 1) numbers (...) and N(0, 1) numbers (..., 2)."""

    def between(self, first: Tensor, second: Tensor, weight: Tensor) -> Tensor:
        """Along a straight line, which may leave the distribution."""
        return torch.lerp(first, second, weight[:, None])

    def axis(self, steps: int) -> Tensor:
        return torch.linspace(-2, 2, steps)


class Mixture(_Planar):
    """In each plane, ``components`` equally likely normal distributions in a ring, like petals: float32 (N, ``size``).

    Their means are 1.4 from the center; the standard deviation is 0.5 along the radius and 0.1 across. After the
    mixture of ten in Makhzani et al. 2015, section 2.3, which gives no figures.
    """

    kind: Literal["mixture"] = "mixture"
    components: Count = 10

    def _points(self, position: Tensor, normal: Tensor) -> Tensor:
        angle = 2 * math.pi / self.components * (position * self.components).floor()
        along, across = 1.4 + 0.5 * normal[..., 0], 0.1 * normal[..., 1]
        cos, sin = angle.cos(), angle.sin()
        return torch.stack([along * cos - across * sin, along * sin + across * cos], dim=-1)


class SwissRoll(_Planar):
    """In each plane, a spiral of two turns, equally dense, plus N(0, 0.05²): float32 (N, ``size``).

    Its distance from the center is 1 after the first turn and 2 after the second. After Makhzani et al. 2015, section
    2.3, which gives no figures.
    """

    kind: Literal["swiss_roll"] = "swiss_roll"

    def _points(self, position: Tensor, normal: Tensor) -> Tensor:
        radius = 2 * position.sqrt()  # the length of a spiral grows with the square of its radius
        angle = 2 * math.pi * radius
        return radius[..., None] * torch.stack([angle.cos(), angle.sin()], dim=-1) + 0.05 * normal


class Categorical(Latent):
    """One of ``size`` equally likely categories: int64 (N,)."""

    kind: Literal["categorical"] = "categorical"
    size: Count
    is_float: ClassVar[bool] = False

    @property
    def shape(self) -> tuple[int, ...]:
        return ()

    def draw(self, draws: Draws, n: int) -> Tensor:
        return (draws.uniform(n) * self.size).long().clamp_(max=self.size - 1)

    def between(self, first: Tensor, second: Tensor, weight: Tensor) -> Tensor:
        """The category of ``first``: there is nothing in between."""
        return first

    def _rows(self, values: Tensor) -> Tensor:
        return values

    def _check_range(self, rows: Tensor) -> None:
        if not 0 <= int(rows.min()) <= int(rows.max()) < self.size:
            raise InputError(f"latent {self.name!r} must hold categories in [0, {self.size}).")


AnyLatent = Annotated[Normal | Uniform | Mixture | SwissRoll | Categorical, Field(discriminator="kind")]


class Rows:
    """Random numbers for a seed's samples from ``start`` on; sample i gets the same ones for any number of samples."""

    def __init__(self, seed: int, stream: str, start: int) -> None:
        self._seed, self._stream, self._start = seed, stream, start

    def normal(self, *shape: int) -> Tensor:
        """float64, (N, ...)."""
        rows = normal_rows(self._seed, self._stream, self._start, shape[0], prod(shape[1:]))
        return torch.from_numpy(rows).view(shape)

    def uniform(self, *shape: int) -> Tensor:
        """float64, (N, ...)."""
        rows = uniform_rows(self._seed, self._stream, self._start, shape[0], prod(shape[1:]))
        return torch.from_numpy(rows).reshape(shape)


def latent_rows(latent: Latent, seed: int, start: int, n: int) -> Tensor:
    """A latent's values for samples ``start`` to ``start + n`` of a seed, on the CPU."""
    return latent.draw(Rows(seed, f"latent:{latent.name}", start), n)


def noise_rows(seed: int, start: int, n: int, device: torch.device) -> Callable[..., Tensor]:
    """``Inputs.noise`` for samples ``start`` to ``start + n`` of a seed: every call has its own stream."""
    calls = count()
    return lambda *shape: Rows(seed, f"noise:{next(calls)}", start).normal(n, *shape).float().to(device)


def slerp(first: Tensor, second: Tensor, weight: Tensor) -> Tensor:
    """Spherical interpolation of rows (N, size) with weights (N,): the results are as far from 0 as the ends.

    The direction follows the great circle (White 2016, Sampling generative networks, section 2.1, after Shoemake
    1985), and the length changes linearly; a straight line if the ends are parallel or opposite.
    """
    lengths = first.norm(dim=1), second.norm(dim=1)
    units = [end / length.clamp(min=1e-12)[:, None] for end, length in zip((first, second), lengths, strict=True)]
    angle = (units[0] * units[1]).sum(1).clamp(-1, 1).acos()[:, None]
    share = weight[:, None]
    arc = (((1 - share) * angle).sin() * units[0] + (share * angle).sin() * units[1]) / angle.sin()
    line = torch.lerp(first, second, share)
    return torch.where(angle.sin() < 1e-3, line, torch.lerp(*lengths, weight)[:, None] * arc)


def _batch_shape(shape: tuple[int, ...]) -> str:
    return f"({', '.join(['N', *map(str, shape)])}{'' if shape else ','})"
