"""The base class of modalities. A modality is what a sample is: an image, a series or a row of a table."""

from abc import ABC, abstractmethod
from math import prod
from typing import Any, ClassVar

import torch
from PIL.Image import Image as Picture
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from genaug.errors import InputError


class Modality(BaseModel, ABC):
    """The kind, size and number format of one sample.

    *Raw* samples are what users get and what is stored (``dtype``, shape (N, ``*shape``)); networks take floats of the
    same shape. Bounds are checked when an instance is created, before anything is allocated.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str
    noun: ClassVar[str]
    """What several samples are called in messages: "images"."""
    dtype: ClassVar[torch.dtype]
    """The number format of raw samples."""
    float_dtypes: ClassVar[tuple[torch.dtype, ...]] = ()
    """Other number formats in which a generator can return samples."""

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """The shape of one sample."""

    @property
    def nbytes(self) -> int:
        """The bytes of one raw sample."""
        return prod(self.shape) * self.dtype.itemsize

    @property
    def positions(self) -> int:
        """The number of positions in a sample that have features in a network (pixels), to estimate memory."""
        return prod(self.shape)

    @abstractmethod
    def encode(self, samples: Tensor) -> Tensor:
        """Raw samples (N, ``*shape``) as float32 for networks."""

    @abstractmethod
    def decode(self, outputs: Tensor, dtype: torch.dtype) -> Tensor:
        """Finite floats from a network (N, ``*shape``) as samples of ``dtype``, which is the raw one or a float one."""

    @abstractmethod
    def flatten(self, samples: Tensor) -> Tensor:
        """Raw samples as float32 vectors (N, D) whose Euclidean distance is the samples' distance."""

    @abstractmethod
    def picture(self, sample: Tensor) -> Picture:
        """One raw sample as a picture, for sample grids."""

    @classmethod
    @abstractmethod
    def accepts(cls, item: Any) -> bool:
        """Whether an item of a user's dataset, without its label, is a sample of this modality."""

    @classmethod
    @abstractmethod
    def read(cls, item: Any) -> Tensor:
        """An item of a user's dataset as one raw sample. Raises ``InputError`` if it isn't one."""

    @classmethod
    @abstractmethod
    def of(cls, sample: Tensor) -> "Modality":
        """The modality of one raw sample. Raises ``InputError`` if it is too large."""

    @classmethod
    @abstractmethod
    def examples(cls, labels: Tensor, shape: tuple[int, ...]) -> Tensor:
        """Raw samples for tests of backends: a fixed pattern per label, with some noise.

        ``shape`` is a suggestion, for modalities whose samples have various shapes.
        """

    def describe(self) -> str:
        """The size for messages: "1x28x28"."""
        return "x".join(map(str, self.shape))

    def check(self, samples: Any, count: int, origin: str) -> Tensor:
        """``samples`` if they are ``count`` raw samples. Raises ``InputError`` otherwise.

        ``origin`` begins the message: "SamplePool.sample returned".
        """
        expected = (count, *self.shape)
        if isinstance(samples, Tensor) and samples.dtype == self.dtype and tuple(samples.shape) == expected:
            return samples
        got = type(samples).__name__
        hint = ""
        if hasattr(samples, "dtype") and not isinstance(samples, Tensor):
            got, hint = f"{got} of {samples.dtype}, shape {tuple(samples.shape)}", " Pass torch.from_numpy(samples)."
        elif isinstance(samples, list | tuple):
            hint = " Pass one tensor: torch.stack joins several."
        if isinstance(samples, Tensor):
            got = f"{samples.dtype} of shape {tuple(samples.shape)}"
            if samples.is_floating_point() and not bool(samples.isfinite().all()):
                hint = " It contains NaN or infinity: did the generator's training diverge?"
        raise InputError(f"{origin} {got}; expected {self.dtype} of shape {expected}.{hint}")
