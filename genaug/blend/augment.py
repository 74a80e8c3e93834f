"""A transform that replaces a share of a batch's images, or series, with generated ones of the same labels."""

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import PIL.Image
import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_unflatten
from torch.utils.data import default_collate, get_worker_info
from torchvision import tv_tensors
from torchvision.transforms import v2

from genaug.blend.formats import convert_like, format_of
from genaug.blend.plan import check_ratio
from genaug.data.labels import as_labels
from genaug.errors import DataWarning, InputError
from genaug.modalities.base import Modality
from genaug.sources.source import Source, check_source, checked_sample

_UNSUPPORTED = (tv_tensors.BoundingBoxes, tv_tensors.Mask, tv_tensors.KeyPoints, tv_tensors.Video)
_NORMALIZE = "pass normalize=(mean, std) as the batch was normalized, or place GenerativeAugment before Normalize."


class GenerativeAugment(v2.Transform):  # type: ignore[misc]  # torchvision has no type information
    """Replace a share of the images with generated ones of the same label, in the manner of v2's CutMix.

    On batches, after the DataLoader on any device or in it as ``collate_fn=augment.collate``; in a ``v2.Compose``; and
    on one ``(image, label)`` sample. Labels, shapes, dtypes and device are unchanged, so it goes before CutMix and
    MixUp, which make labels soft. Random decisions come from torch's global RNG.

    Args:
        source: a source that takes labels. In DataLoader workers use one on the CPU, preferably a ``SamplePool``. Its
            class numbers must be yours: class names aren't matched here (``MixedDataset`` does that).
        ratio: the generated share, in [0, 1]. The number replaced is ratio·batch, rounded at random so that its mean
            is exact.
        labels_getter: "default" takes the second input, or the value in a dict under "labels" or a key that contains
            "label"; otherwise a function of the complete input (a module-level one, to be picklable).
        normalize: (mean, std), numbers or one per channel, if images come in normalized.

    Images are uint8 or floats in [0, 1] (in any range with ``normalize``), (N, C, H, W) with integer labels (N,), or
    one PIL image or (C, H, W) tensor with one integer label. With a source of series they are floats in the data's
    units, (N, channels, steps), or one series (channels, steps).

    Raises ``InputError`` for labels that are soft or unknown to the source, images whose shape isn't the source's,
    floats outside [0, 1] without ``normalize``, more than one image input, boxes, masks and key points, and
    for a source on a device other than the CPU in a worker.
    """

    def __init__(
        self,
        source: Source,
        *,
        ratio: float,
        labels_getter: str | Callable[[Any], Any] = "default",
        normalize: tuple[float | Sequence[float], float | Sequence[float]] | None = None,
    ) -> None:
        super().__init__()
        spec = check_source(source)
        if not spec.sample.in_batches:
            raise InputError(f"GenerativeAugment works on images and series, and these are {spec.sample.noun}.")
        if not spec.takes_labels:
            raise InputError(
                f"GenerativeAugment replaces {spec.sample.noun} with others of the same label, but this source has no "
                "labels. Give it some with genaug.with_labels(source, labelled_set), or use a generator trained with "
                "labels."
            )
        if labels_getter != "default" and not callable(labels_getter):
            raise InputError(f"labels_getter must be 'default' or a function of the input, got {labels_getter!r}.")
        self.ratio = float(check_ratio(ratio, "replace"))
        self.labels_getter = labels_getter
        self._source = (source,)  # in a tuple, or it would become a submodule: in state_dict, parameters and to
        self._units_compared = False
        self._normalize = None if normalize is None else _check_normalize(normalize, spec.shape[0])

    @property
    def source(self) -> Source:
        return self._source[0]

    def collate(self, samples: list[Any]) -> Any:
        """For ``DataLoader(collate_fn=...)``: torch's ``default_collate``, then this transform."""
        return self(default_collate(samples))

    def forward(self, *inputs: Any) -> Any:
        packed = inputs if len(inputs) > 1 else inputs[0]
        leaves, structure = tree_flatten(packed)
        for leaf in leaves:
            if isinstance(leaf, _UNSUPPORTED):
                raise InputError(
                    f"GenerativeAugment() got a {type(leaf).__name__}, which would no longer belong to a replaced "
                    "image. It is for classification: images and integer labels."
                )
        raw_labels = self._find_labels(packed)
        labels = _check_labels(raw_labels, self.source)
        place = _find_samples(
            [None if leaf is raw_labels else leaf for leaf in leaves], labels, self.source.spec.sample
        )
        params = {"labels": labels, **self.make_params([labels])}
        leaves[place] = self.transform(leaves[place], params)
        return tree_unflatten(leaves, structure)

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """Draw which samples of a batch are replaced, int64 (k,), and the seed of their images."""
        batch = flat_inputs[0].numel()
        share = self.ratio * batch
        count = math.floor(share)
        count += int(torch.rand((), device="cpu") < share - count)
        seed = int(torch.randint(2**62, (), device="cpu"))
        return {"indices": torch.randperm(batch, device="cpu")[:count], "seed": seed}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Replace ``params["indices"]`` of a batch, or the one image of a sample."""
        self._check_image(inpt, params["labels"])
        indices: Tensor = params["indices"]
        if len(indices) == 0:
            return inpt
        labels = params["labels"].reshape(-1)[indices]
        device = getattr(self.source, "device", None)
        if get_worker_info() is not None and device is not None and torch.device(device).type != "cpu":
            raise InputError(
                f"the source is on {device}, which a DataLoader worker can't use. Generate beforehand with "
                "genaug.SamplePool(source, size=...) and pass that to GenerativeAugment, or augment after the loader."
            )
        images = checked_sample(self.source, len(indices), labels, params["seed"])
        if isinstance(inpt, PIL.Image.Image):
            return convert_like(images[0].cpu().numpy(), format_of(inpt))
        generated = self._convert(images.to(inpt.device), inpt.dtype)
        if params["labels"].ndim == 0:
            out = generated[0].reshape(inpt.shape)
        else:
            out = inpt.as_subclass(Tensor).clone()
            out[indices.to(inpt.device)] = generated
        return tv_tensors.wrap(out, like=inpt) if isinstance(inpt, tv_tensors.Image) else out

    def _convert(self, images: Tensor, dtype: torch.dtype) -> Tensor:
        """Raw samples in the dtype and range of the batch."""
        if dtype == images.dtype and self._normalize is None:
            return images
        floats = self.source.spec.sample.floats(images)
        if self._normalize is not None:
            mean, std = (floats.new_tensor(each).view(-1, *[1] * (floats.ndim - 2)) for each in self._normalize)
            floats = (floats - mean) / std
        return floats.to(dtype)

    def _find_labels(self, packed: Any) -> Any:
        if callable(self.labels_getter):
            return self.labels_getter(packed)
        second = packed[1] if isinstance(packed, (tuple, list)) and len(packed) > 1 else packed
        if isinstance(second, Mapping):
            keys = [key for key in second if isinstance(key, str) and "label" in key.lower()]
            if keys:
                return second[min(keys, key=lambda key: key.lower() != "labels")]
        elif second is not packed:
            return second
        raise InputError(
            "GenerativeAugment() found no labels: pass (images, labels), or labels_getter=. A dataset's transform= "
            "sees single images without their labels: apply it to batches, for instance as collate_fn=augment.collate."
        )

    def _check_image(self, image: Any, labels: Tensor) -> None:
        sample = self.source.spec.sample
        is_picture = isinstance(image, PIL.Image.Image)
        if is_picture:
            image_format = format_of(image)
            if image_format is None:
                raise InputError(
                    f"GenerativeAugment() got a PIL image of mode {image.mode}, whose value range is unknown."
                )
            shape: tuple[int, ...] = image_format.shape
        else:
            shape = tuple(image.shape[labels.ndim :])
            shape = (1, *shape) if len(shape) < len(sample.shape) else shape
        if self._normalize is not None and (is_picture or not image.is_floating_point()):
            got = "a PIL image" if is_picture else f"{image.dtype} {sample.noun}".removeprefix("torch.")
            raise InputError(f"normalize= is for normalized float tensors, but GenerativeAugment() got {got}.")
        if shape != sample.shape:
            raise InputError(
                f"GenerativeAugment() got {sample.noun} of shape {shape} {sample.axes}, but its source makes "
                f"{sample.shape}. Resize one of them, or move GenerativeAugment to where the shapes agree."
            )
        if not is_picture:
            batch = image.as_subclass(Tensor)
            sample.check_batch(batch, _NORMALIZE if self._normalize is None else None)
            if self._normalize is None and labels.ndim and not self._units_compared:
                self._units_compared = True
                if difference := sample.other_units(batch):
                    warnings.warn(
                        f"the {sample.noun} aren't in the units of the generated ones: {difference}. If they are "
                        "normalized, pass normalize=(mean, std).",
                        DataWarning,
                        stacklevel=2,
                    )


def _check_labels(labels: Any, source: Source) -> Tensor:
    """Integer labels as int64 on the CPU, (N,) for a batch and () for one sample."""
    while isinstance(labels, (list, tuple)) and len(labels) == 1 and isinstance(labels[0], Tensor):
        labels = labels[0]  # a DataLoader makes a list of one batch from labels that are lists of one
    if not isinstance(labels, Tensor):
        single = np.ndim(labels) == 0
        labels = as_labels([labels] if single else labels, "the labels")
        labels = labels[0] if single else labels
    tensor: Tensor = labels.detach().as_subclass(Tensor)
    if tensor.ndim == 2 and tensor.shape[1] == 1 and not tensor.is_floating_point():
        tensor = tensor.flatten()
    if tensor.ndim > 1 or tensor.is_floating_point() or tensor.dtype == torch.bool:
        raise InputError(
            f"the labels must be integers of shape (N,), got {tensor.dtype} of shape {tuple(tensor.shape)}. "
            "Soft labels don't name one class to generate: place GenerativeAugment before CutMix/MixUp."
        )
    tensor = tensor.to("cpu", torch.int64)
    unknown = tensor[(tensor < 0) | (tensor >= source.spec.num_classes)]
    if len(unknown):
        raise InputError(
            f"the source doesn't know the label {int(unknown[0])}; it has {source.spec.describe_classes()}."
        )
    return tensor


def _find_samples(leaves: list[Any], labels: Tensor, sample: Modality) -> int:
    """The index of the samples: the one PIL or tv_tensors image, otherwise the one plain tensor that could be it."""
    batched, noun = labels.ndim == 1, sample.noun
    size = len(sample.shape)
    ndims = (size + 1,) if batched else (size - 1, size)
    indices = [i for i, leaf in enumerate(leaves) if isinstance(leaf, (PIL.Image.Image, tv_tensors.Image))]
    if not indices:
        indices = [i for i, leaf in enumerate(leaves) if isinstance(leaf, Tensor) and leaf.ndim in ndims]
    axes = sample.axes.strip("()")
    expected = f"{noun} (N, {axes}) for labels (N,)" if batched else f"one {sample.kind} ({axes}) for one label"
    if len(indices) != 1:
        raise InputError(f"GenerativeAugment() got {len(indices)} {sample.kind} inputs; expected {expected}.")
    image = leaves[indices[0]]
    if isinstance(image, PIL.Image.Image):
        shape, fits = "a PIL image", not batched
    else:
        shape = f"shape {tuple(image.shape)}"
        fits = image.ndim in ndims and (not batched or image.shape[0] == labels.numel())
    if not fits:
        raise InputError(
            f"GenerativeAugment() got {shape} for {labels.shape if batched else 'one label'}; expected {expected}."
        )
    return indices[0]


def _check_normalize(normalize: Any, channels: int) -> tuple[list[float], list[float]]:
    if not isinstance(normalize, (tuple, list)) or len(normalize) != 2:
        raise InputError(f"normalize must be (mean, std), got {normalize!r}.")
    values = [torch.as_tensor(value, dtype=torch.float64, device="cpu").reshape(-1).tolist() for value in normalize]
    mean, std = (value * channels if len(value) == 1 else value for value in values)
    if len(mean) != channels or len(std) != channels or min(std) <= 0 or not all(map(math.isfinite, mean + std)):
        raise InputError(
            f"normalize must be (mean, std), numbers or {channels} of each, with std above 0, got {normalize!r}."
        )
    return mean, std
