"""The base class of modalities. A modality is what a sample is: an image, a series or a row of a table."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import Any, ClassVar

import torch
from PIL.Image import Image as Picture
from torch import Tensor

from genaug.errors import InputError
from genaug.modalities.frozen import FrozenModel


class Modality(FrozenModel, ABC):
    """The kind, size and number format of one sample.

    *Raw* samples are what is stored (``dtype``, shape (N, ``*shape``)) and, unless ``present`` returns something else,
    what users get; networks take floats (N, ``*encoded_shape``). Bounds are checked when an instance is created, before
    anything is allocated.
    """

    kind: str
    noun: ClassVar[str]
    """What several samples are called in messages: "images"."""
    long_noun: ClassVar[str] = ""
    """The same, if ``noun`` alone doesn't say what they belong to: "rows of a table"."""
    dtype: ClassVar[torch.dtype]
    """The number format of raw samples."""
    float_dtypes: ClassVar[tuple[torch.dtype, ...]] = ()
    """Other number formats in which a generator can return samples."""
    in_bfloat16: ClassVar[bool] = False
    """Whether networks compute samples in bfloat16 by default where that is faster: its 8 significant bits suffice for
    256 levels, but not for measurements."""
    encodes_once: ClassVar[bool] = False
    """Whether a training encodes all samples at its start, if they fit into memory, rather than each batch."""
    files: ClassVar[tuple[str, ...]] = ()
    """The suffixes of files that hold many samples, such as ".csv"; none if each sample is a file of its own."""
    data: ClassVar[str] = ""
    """What is passed as a dataset of such samples, for messages: "a TableDataset (--data table:FILE.csv)"."""
    axes: ClassVar[str] = "(...)"
    """The dimensions of a sample, for messages: "(C, H, W)"."""
    is_augmentable: ClassVar[bool] = False
    """Whether ``image_size`` and the augmentations for discriminators apply to samples."""
    has_pictures: ClassVar[bool] = False
    """Whether a picture of one sample says much, so that samples of the latents' grids are shown as pictures."""
    has_size: ClassVar[bool] = False
    """Whether samples come in various sizes, so that ``examples`` follow the suggested shape."""
    in_batches: ClassVar[bool] = False
    """Whether batches are tensors of samples, in which ``GenerativeAugment`` can replace some."""
    same_size: ClassVar[str] = "Give all samples one shape."
    """What to do about a dataset whose samples have different shapes, in a sentence."""
    blended: ClassVar[str] = ""
    """How generated samples join real ones, in a sentence, if it isn't sample by sample in a ``MixedDataset``."""
    item: ClassVar[str] = "sample"
    """What one sample is called in messages: "image"."""
    batch_size: ClassVar[int] = 32
    """The samples per step with which a study trains generators by default."""
    may_coincide: ClassVar[bool] = False
    """Whether equal samples can be different observations, as rows of few columns can."""
    classifiers: ClassVar[tuple[str, ...]] = ()
    """The classifiers that a study trains by default, by name; none if there are none for these samples."""

    arrays: ClassVar[str] = "(N, ...)"
    """The form of ``as_arrays``, in code that a report prints: "uint8 (N, C, H, W)"."""
    features: ClassVar[str] = "(N, numbers)"
    """The form of what estimators are fitted to, in such code."""

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """The shape of one sample."""

    @property
    def encoded_shape(self) -> tuple[int, ...]:
        """The shape of one sample as networks take and return it; by default that of a raw one."""
        return self.shape

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
        """Raw samples (N, ``*shape``) as float32 for networks, (N, ``*encoded_shape``)."""

    @abstractmethod
    def decode(self, outputs: Tensor, dtype: torch.dtype) -> Tensor:
        """Finite floats from a network (N, ``*encoded_shape``) as samples (N, ``*shape``) of ``dtype``, which is the
        raw one or a float one."""

    @abstractmethod
    def flatten(self, samples: Tensor) -> Tensor:
        """Raw samples as float32 vectors (N, D) whose Euclidean distance is the samples' distance."""

    def as_features(self, samples: Tensor) -> Any:
        """Raw samples as estimators take them, without labels: here an array (N, numbers)."""
        return samples.flatten(1).numpy()

    def as_arrays(self, samples: Tensor) -> Any:
        """Raw samples as a classifier with ``predict`` takes them that isn't an estimator: here an array of them."""
        return samples.numpy()

    def with_noise(self, samples: Tensor, deviation: float, draws: torch.Generator) -> Tensor:
        """Raw samples with Gaussian noise whose standard deviation is this share of the range of values, or of the
        deviation of values that have no range."""
        floats = self.encode(samples)
        noise = torch.randn(floats.shape, generator=draws)
        return self.decode(floats + 2 * deviation * noise, self.dtype)

    def fitted(self, samples: Tensor) -> "Modality":
        """This modality with what only all samples of a training set (N, ...) tell, such as scales; by default the
        same. Raises ``InputError`` if there is nothing to learn in them."""
        return self

    def remarks(self, samples: Tensor) -> list[str]:
        """What is worth checking about the raw samples of a training set, in sentences."""
        return []

    def fits(self, other: "Modality") -> bool:
        """Whether networks for samples of this modality also take those of another one."""
        return self == other

    def present(self, samples: Tensor, labels: Tensor | None) -> Any:
        """Samples from ``decode``, and their labels, if any, in the form that users get: here the same tensor.

        ``check`` returns the raw samples again.
        """
        return samples

    def adopt(
        self, samples: Tensor, labels: Tensor | None, other: "Modality", origin: str
    ) -> tuple["Modality", Tensor, Tensor | None]:
        """Raw samples of ``other`` and their labels, for a generator of this modality that is trained further on them:
        the modality to train with, for which this one's networks fit, the samples as its raw ones, and their labels.

        ``origin`` is the generator's name, for messages. Raises ``InputError`` if the samples are of another size.
        """
        if not self.fits(other):
            raise InputError(
                f"{origin} generates {self.noun} of size {self.describe()}, but the training data are {other.noun} of "
                f"size {other.describe()}. Fine-tuning needs data of the same kind and size: convert them "
                "(image_size=, --image-size, resizes images), or train without init=."
            )
        return other, samples, labels

    def draw_labels(self, uniform: Tensor) -> Tensor | None:
        """A label for each of float64 U[0, 1) numbers (N,), for ``Generator.sample(n)``; None if all classes are
        equally likely there."""
        return None

    def like(self, sample: Any, example: Any) -> Any:
        """A raw sample, as an array, in the form of a sample ``example`` of a user's dataset; by default a tensor."""
        return torch.from_numpy(sample)

    def floats(self, samples: Tensor) -> Tensor:
        """Raw samples as floats in the form that users' batches have; by default the same values."""
        return samples.float()

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of one sample as a classifier that is a network takes it."""
        return self.shape

    def inputs(self, samples: Tensor) -> Tensor:
        """Raw samples, or floats in the form of users' batches, as classifiers that are networks take them, float32 (N,
        ``*input_shape``); by default as ``floats`` does."""
        return self.floats(samples)

    def check_batch(self, batch: Tensor, remedy: str | None) -> None:
        """Raises ``InputError`` if a batch of a user's samples has another number format, or values out of range.

        ``remedy`` ends the message; None if the batch is normalized, so that any range is right.
        """

    def other_units(self, samples: Tensor) -> str | None:
        """A clause on how a user's samples (N, ...) are plainly in other units than the training data; None if not."""
        return None

    def write(
        self, path: Path, suffix: str, samples: Tensor, labels: Tensor | None, names: Sequence[str] | None
    ) -> None:
        """Write raw samples (N, ...) and labels (N,), if any, of classes of these names, to a new file of one of the
        formats in ``files``."""
        raise NotImplementedError

    @property
    def identity(self) -> bytes:
        """What distinguishes raw samples of the same numbers but another meaning, for a dataset's fingerprint."""
        return b""

    def preview(self, real: Tensor, generated: Tensor) -> Picture | None:
        """A picture that compares raw samples (N, ...) with real ones, for modalities whose single samples say little;
        None for a grid of pictures."""
        return None

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

    @classmethod
    def example(cls, labels: Tensor, shape: tuple[int, ...]) -> tuple["Modality", Tensor]:
        """The modality and raw samples of ``examples``."""
        samples = cls.examples(labels, shape)
        return cls.of(samples[0]).fitted(samples), samples

    def describe(self) -> str:
        """The size for messages: "1x28x28"."""
        return "x".join(map(str, self.shape))

    def describe_all(self) -> str:
        """What samples are, for a model card: "1×28×28 images"."""
        return f"{'×'.join(map(str, self.shape))} {self.noun}"

    def describe_batch(self, count: int) -> str:
        """What ``Generator.sample`` returns, for an example on a model card: "uint8 (64, 1, 28, 28)"."""
        return f"{str(self.dtype).removeprefix('torch.')} ({', '.join(map(str, (count, *self.shape)))})"

    def check(self, samples: Any, count: int, origin: str) -> Tensor:
        """``samples`` as ``count`` raw samples, also if they are in the form of ``present``. Raises ``InputError`` for
        anything else.

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
