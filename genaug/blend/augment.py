"""A transform that replaces a share of a batch's images with generated ones of the same labels."""

import math
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

from genaug.blend.formats import dress, look_of
from genaug.blend.plan import as_number
from genaug.data.labels import as_labels
from genaug.errors import InputError
from genaug.modalities.image import check_unit_range
from genaug.sources.source import Source, check_source, checked_sample, image_shape

_REFUSED = (tv_tensors.BoundingBoxes, tv_tensors.Mask, tv_tensors.KeyPoints, tv_tensors.Video)
_NORMALISE = "pass normalize=(mean, std) as the batch was normalised, or place GenerativeAugment before Normalize."


class GenerativeAugment(v2.Transform):  # type: ignore[misc]  # torchvision has no type information
    """Replace a share of the images with generated ones of the same label, in the manner of v2's CutMix.

    On batches, after the DataLoader on any device or in it as ``collate_fn=augment.collate``; in a ``v2.Compose``; and
    on one ``(image, label)`` sample. Labels, shapes, dtypes and device are unchanged, so it goes before CutMix and
    MixUp, which make labels soft. Random decisions come from torch's global RNG.

    Args:
        source: a source that takes labels. In DataLoader workers use one on the CPU, best a ``SamplePool``. Its class
            numbers must be yours: nothing here knows your classes' names (``MixedDataset`` matches these).
        ratio: the generated share, in [0, 1]. The number replaced is ratio·batch, rounded at random so that its mean
            is exact.
        labels_getter: "default" takes the second input, or what a dict has under "labels" or a key with "label" in
            it; else a function of the whole input (a module-level one, to be picklable).
        normalize: (mean, std), numbers or one for each channel, where images come in normalised.

    Images are uint8 or floats in [0, 1] (in any range with ``normalize``), (N, C, H, W) with integer labels (N,), or
    one PIL image or (C, H, W) tensor with one integer label.

    Raises ``InputError`` for labels that are soft or that the source doesn't know, images of another shape than the
    source's, floats outside [0, 1] without ``normalize``, more than one image input, boxes, masks and key points, and
    for a source on another device than the CPU in a worker.
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
        channels, _, _ = image_shape(spec, "GenerativeAugment")
        if not spec.takes_labels:
            raise InputError(
                "GenerativeAugment replaces images with others of the same label, and this source has no labels. Give "
                "it some with genaug.with_labels(source, labelled_set), or use a generator trained with labels."
            )
        ratio = as_number(ratio)
        if not 0 <= ratio <= 1:
            raise InputError(f"ratio must be a number in [0, 1], got {ratio!r}.")
        if labels_getter != "default" and not callable(labels_getter):
            raise InputError(f"labels_getter must be 'default' or a function of the input, got {labels_getter!r}.")
        self.ratio = float(ratio)
        self.labels_getter = labels_getter
        self._held = (source,)  # in a tuple, or it would become a submodule: in state_dict, parameters and to
        self._normalize = None if normalize is None else _check_normalize(normalize, channels)

    @property
    def source(self) -> Source:
        return self._held[0]

    def collate(self, samples: list[Any]) -> Any:
        """For ``DataLoader(collate_fn=...)``: torch's ``default_collate``, then this transform."""
        return self(default_collate(samples))

    def forward(self, *inputs: Any) -> Any:
        packed = inputs if len(inputs) > 1 else inputs[0]
        leaves, structure = tree_flatten(packed)
        for leaf in leaves:
            if isinstance(leaf, _REFUSED):
                raise InputError(
                    f"GenerativeAugment() got a {type(leaf).__name__}, which would no longer belong to a replaced "
                    "image. It is for classification: images and integer labels."
                )
        found = self._find_labels(packed)
        labels = _check_labels(found, self.source)
        place = _find_image(leaves, found, labels)
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
        self._check_place()
        images = checked_sample(self.source, len(indices), labels, params["seed"])
        if isinstance(inpt, PIL.Image.Image):
            return dress(images[0].cpu().numpy(), look_of(inpt))
        made = self._like(images.to(inpt.device), inpt)
        if params["labels"].ndim == 0:
            out = made[0].reshape(inpt.shape)
        else:
            out = inpt.as_subclass(Tensor).clone()
            out[indices.to(inpt.device)] = made
        return tv_tensors.wrap(out, like=inpt) if isinstance(inpt, tv_tensors.Image) else out

    def _like(self, images: Tensor, inpt: Tensor) -> Tensor:
        """uint8 images in the dtype and range of ``inpt``."""
        if inpt.dtype == torch.uint8:
            return images
        unit = images.float() / 255
        if self._normalize is not None:
            mean, std = (
                torch.tensor(values, dtype=torch.float32, device=inpt.device)[:, None, None]
                for values in self._normalize
            )
            unit = (unit - mean) / std
        return unit.to(inpt.dtype)

    def _find_labels(self, packed: Any) -> Any:
        if callable(self.labels_getter):
            return self.labels_getter(packed)
        second = packed[1] if isinstance(packed, (tuple, list)) and len(packed) > 1 else packed
        if isinstance(second, Mapping):
            keys = [key for key in second if isinstance(key, str) and "label" in key.lower()]
            exact = [key for key in keys if key.lower() == "labels"]
            if keys:
                return second[(exact or keys)[0]]
        elif second is not packed:
            return second
        raise InputError(
            "GenerativeAugment() found no labels: pass (images, labels), or labels_getter=. A dataset's transform= "
            "sees single images without their labels: apply it to batches, for instance as collate_fn=augment.collate."
        )

    def _check_image(self, image: Any, labels: Tensor) -> None:
        shape = self.source.spec.shape
        if isinstance(image, PIL.Image.Image):
            look = look_of(image)
            if look is None:
                raise InputError(f"GenerativeAugment() got a PIL image of mode {image.mode}, whose range isn't known.")
            got = look.shape
            if self._normalize is not None:
                raise InputError("normalize= is for normalised float tensors, but GenerativeAugment() got a PIL image.")
        else:
            got = tuple(image.shape[labels.ndim :])
            got = (1, *got) if labels.ndim == 0 and len(got) == 2 else got
            if image.dtype == torch.uint8 and self._normalize is not None:
                raise InputError("normalize= is for normalised float images, but GenerativeAugment() got uint8 ones.")
            if image.dtype != torch.uint8 and not image.is_floating_point():
                raise InputError(f"images must be uint8 or floats in [0, 1], got {image.dtype}.")
        if got != shape:
            raise InputError(
                f"GenerativeAugment() got images of shape {got} (C, H, W), and its source makes {shape}. "
                "Resize one of them, or place GenerativeAugment where the shapes agree."
            )
        if isinstance(image, Tensor) and image.is_floating_point() and self._normalize is None:
            check_unit_range(image.as_subclass(Tensor), _NORMALISE)

    def _check_place(self) -> None:
        device = getattr(self.source, "device", None)
        if get_worker_info() is not None and device is not None and torch.device(device).type != "cpu":
            raise InputError(
                f"the source is on {device}, which a DataLoader worker can't use. Generate beforehand with "
                "genaug.SamplePool(source, size=...) and give that to GenerativeAugment, or augment after the loader."
            )


def _check_labels(found: Any, source: Source) -> Tensor:
    """Integer labels as int64 on the CPU, (N,) for a batch and () for one sample."""
    while isinstance(found, (list, tuple)) and len(found) == 1 and isinstance(found[0], Tensor):
        found = found[0]  # a DataLoader makes a list of one batch of labels that are lists of one
    if isinstance(found, (int, np.integer)) and not isinstance(found, bool):
        found = torch.tensor(int(found), device="cpu")
    elif not isinstance(found, Tensor) and np.ndim(found) == 0:
        found = torch.tensor(int(as_labels([found], "the labels")), device="cpu")
    elif not isinstance(found, Tensor):
        found = as_labels(found, "the labels")
    labels: Tensor = found.as_subclass(Tensor)
    if labels.ndim == 2 and labels.shape[1] == 1 and not labels.is_floating_point():
        labels = labels.flatten()
    if labels.ndim > 1 or labels.is_floating_point() or labels.dtype == torch.bool:
        raise InputError(
            f"the labels must be integers of shape (N,), got {labels.dtype} of shape {tuple(labels.shape)}. "
            "Soft labels have no one class to generate: place GenerativeAugment before CutMix/MixUp."
        )
    labels = labels.detach().to("cpu", torch.int64)
    unknown = labels[(labels < 0) | (labels >= source.spec.num_classes)]
    if len(unknown):
        raise InputError(
            f"the source doesn't know the label {int(unknown[0])}; it has {source.spec.describe_classes()}."
        )
    return labels


def _find_image(leaves: list[Any], found: Any, labels: Tensor) -> int:
    """Where the image is: the one PIL or tv_tensors image, else the one plain tensor that could be it.

    ``found`` are the labels as they came, and ``labels`` what they were read as.
    """
    batched = labels.ndim == 1
    wanted = (PIL.Image.Image, tv_tensors.Image)
    places = [place for place, leaf in enumerate(leaves) if isinstance(leaf, wanted)]
    if not places:
        ndims = (4,) if batched else (2, 3)
        places = [
            place
            for place, leaf in enumerate(leaves)
            if isinstance(leaf, Tensor) and leaf is not found and leaf.ndim in ndims
        ]
    expected = "images (N, C, H, W) for labels (N,)" if batched else "one image (C, H, W) for one label"
    if len(places) != 1:
        raise InputError(f"GenerativeAugment() found {len(places)} image inputs; expected {expected}.")
    image = leaves[places[0]]
    if isinstance(image, PIL.Image.Image):
        good = not batched
    else:
        good = (image.ndim == 4 and image.shape[0] == labels.numel()) if batched else image.ndim in (2, 3)
    if not good:
        got = "a PIL image" if isinstance(image, PIL.Image.Image) else f"shape {tuple(image.shape)}"
        raise InputError(
            f"GenerativeAugment() got {got} for {labels.shape if batched else 'one label'}; expected {expected}."
        )
    return places[0]


def _check_normalize(normalize: Any, channels: int) -> tuple[list[float], list[float]]:
    if not isinstance(normalize, (tuple, list)) or len(normalize) != 2:
        raise InputError(f"normalize must be (mean, std), got {normalize!r}.")
    mean, std = (
        [
            float(v)
            for v in (
                values
                if isinstance(values, (tuple, list))
                else torch.as_tensor(values, device="cpu").reshape(-1).tolist()
            )
        ]
        for values in normalize
    )
    mean, std = (values * channels if len(values) == 1 else values for values in (mean, std))
    if len(mean) != channels or len(std) != channels or min(std) <= 0 or not all(map(math.isfinite, mean + std)):
        raise InputError(
            f"normalize must be (mean, std), numbers or {channels} of each, std above 0; got {normalize!r}."
        )
    return mean, std
