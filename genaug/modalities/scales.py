"""How the numbers of a table's column become network inputs: by modes, by quantiles, or as one category per value.

Each scale maps numbers in [0, 1] (``ByValue``: numbers as they are) to a slot of a one-hot group, and most also to a
scalar in [-1, 1] within the slot.
"""

from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, model_validator
from torch import Tensor

from genaug.modalities.frozen import FrozenModel

MAX_SLOTS = 1000
MODES = 10
QUANTILES = 101
_FIT_ROWS = 4000
_SPREAD = 4.0  # a mode's scalar is -1 and 1 at this many standard deviations
_LEAST_WEIGHT = 0.005
_LEAST_DEVIATION = 1e-9

Finite = Annotated[float, Field(allow_inf_nan=False)]
Unit = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class Scale(FrozenModel):
    """Base of the scales. ``slots`` is the number of one-hot slots."""

    has_scalar: ClassVar[bool] = True

    @property
    def slots(self) -> int:
        raise NotImplementedError

    def encode(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Scalars float32 and slots int64, both (N,), of numbers float64 (N,)."""
        raise NotImplementedError

    def decode(self, scalars: Tensor, slots: Tensor) -> Tensor:
        """The numbers float64 (N,) of scalars and slots."""
        raise NotImplementedError


class Modes(Scale):
    """Mode-specific normalization (Xu et al. 2019, section 4.2): the slot is the most likely mode of a Gaussian
    mixture, the scalar the distance from its mean, in units of four standard deviations.

    The paper draws the mode from its probabilities; here a number always has the same one.
    """

    kind: Literal["modes"] = "modes"
    weights: Annotated[tuple[Annotated[float, Field(gt=0, le=1)], ...], Field(min_length=1, max_length=MAX_SLOTS)]
    means: tuple[Finite, ...]
    deviations: tuple[Annotated[float, Field(gt=0, allow_inf_nan=False)], ...]

    @model_validator(mode="after")
    def _lengths_agree(self) -> "Modes":
        if not len(self.weights) == len(self.means) == len(self.deviations):
            raise ValueError("weights, means and deviations differ in length")
        return self

    @property
    def slots(self) -> int:
        return len(self.means)

    @cached_property
    def _tensors(self) -> tuple[Tensor, Tensor, Tensor]:
        rows = (self.weights, self.means, self.deviations)
        weights, means, deviations = (torch.tensor(row, dtype=torch.float64, device="cpu") for row in rows)
        return weights, means, deviations

    def encode(self, values: Tensor) -> tuple[Tensor, Tensor]:
        weights, means, deviations = (tensor.to(values.device) for tensor in self._tensors)
        distances = (values[:, None] - means) / deviations
        slots = ((weights / deviations).log() - distances.square() / 2).argmax(1)
        scalars = distances.gather(1, slots[:, None])[:, 0] / _SPREAD
        return scalars.clamp(-1, 1).float(), slots

    def decode(self, scalars: Tensor, slots: Tensor) -> Tensor:
        _, means, deviations = (tensor.to(scalars.device) for tensor in self._tensors)
        return means[slots] + scalars.double().clamp(-1, 1) * _SPREAD * deviations[slots]

    @classmethod
    def fit(cls, values: NDArray[np.float64]) -> "Modes":
        """The modes of numbers in [0, 1], by a Bayesian Gaussian mixture whose modes with little weight are left out.

        Fitted to at most 4,000 evenly spaced rows; the result depends on the numbers only.
        """
        import warnings

        from sklearn.exceptions import ConvergenceWarning
        from sklearn.mixture import BayesianGaussianMixture

        rows = values[np.linspace(0, len(values) - 1, min(len(values), _FIT_ROWS)).astype(np.int64)]
        center, spread = float(rows.mean()), float(rows.std()) or 1.0
        distinct = len(np.unique(rows))
        mixture = BayesianGaussianMixture(
            n_components=min(MODES, distinct),
            weight_concentration_prior_type="dirichlet_process",
            weight_concentration_prior=0.001,
            random_state=0,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            mixture.fit(((rows - center) / spread)[:, None])
        keep = mixture.weights_ > min(_LEAST_WEIGHT, float(mixture.weights_.max()) / 2)
        weights = mixture.weights_[keep] / mixture.weights_[keep].sum()
        deviations = np.sqrt(mixture.covariances_[keep].flatten()) * spread
        return cls(
            weights=tuple(weights.tolist()),
            means=tuple((mixture.means_[keep].flatten() * spread + center).tolist()),
            deviations=tuple(np.maximum(deviations, _LEAST_DEVIATION).tolist()),
        )


class Quantiles(Scale):
    """The scalar is 2 F(x) - 1, where F is the distribution function of the training data, linear between quantiles.

    ``points`` are the quantiles at evenly spaced levels from 0 to 1. A number that is several of them, because it
    occurs often, has the middle of their levels.
    """

    kind: Literal["quantiles"] = "quantiles"
    points: Annotated[tuple[Unit, ...], Field(min_length=2, max_length=MAX_SLOTS)]

    @model_validator(mode="after")
    def _ascending(self) -> "Quantiles":
        if list(self.points) != sorted(self.points) or self.points[0] == self.points[-1]:
            raise ValueError("points must be ascending")
        return self

    @property
    def slots(self) -> int:
        return 1

    @cached_property
    def _knots(self) -> tuple[list[float], list[float], list[float]]:
        """The levels of all points, and the different points with the middles of their levels."""
        levels = np.linspace(0, 1, len(self.points))
        points, first, counts = np.unique(self.points, return_index=True, return_counts=True)
        middles = (levels[first] + levels[first + counts - 1]) / 2
        return levels.tolist(), points.tolist(), middles.tolist()

    def encode(self, values: Tensor) -> tuple[Tensor, Tensor]:
        _, points, middles = self._knots
        scalars = 2 * _interpolated(values, points, middles) - 1
        return scalars.float(), torch.zeros(len(values), dtype=torch.int64, device=values.device)

    def decode(self, scalars: Tensor, slots: Tensor) -> Tensor:
        return _interpolated((scalars.double() + 1) / 2, self._knots[0], self.points)

    @classmethod
    def fit(cls, values: NDArray[np.float64]) -> "Quantiles":
        """The quantiles of numbers in [0, 1], at least two of them different."""
        points = np.quantile(values, np.linspace(0, 1, QUANTILES)).clip(0, 1)
        points[0], points[-1] = values.min(), values.max()
        return cls(points=tuple(np.sort(points).tolist()))


class ByValue(Scale):
    """One slot per value, for a column with few different ones."""

    kind: Literal["values"] = "values"
    values: Annotated[tuple[int | Finite, ...], Field(max_length=MAX_SLOTS)]

    has_scalar: ClassVar[bool] = False

    @model_validator(mode="after")
    def _are_ascending(self) -> "ByValue":
        if not _ascending(self.values):
            raise ValueError("values must be ascending")
        return self

    @property
    def slots(self) -> int:
        return len(self.values)


AnyScale = Annotated[Modes | Quantiles | ByValue, Field(discriminator="kind")]


def _ascending(values: Sequence[Any]) -> bool:
    return all(one < other for one, other in pairwise(values))


def _interpolated(x: Tensor, xs: Sequence[float], ys: Sequence[float]) -> Tensor:
    """A piecewise linear function through (xs, ys), constant outside, of float64 (N,)."""
    knots = torch.tensor(xs, dtype=torch.float64, device=x.device)
    heights = torch.tensor(ys, dtype=torch.float64, device=x.device)
    x = x.double().clamp(xs[0], xs[-1])
    right = torch.searchsorted(knots, x.contiguous()).clamp(1, len(xs) - 1)
    left = right - 1
    return torch.lerp(heights[left], heights[right], (x - knots[left]) / (knots[right] - knots[left]))
