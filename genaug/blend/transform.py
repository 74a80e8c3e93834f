"""How generated images go through the real dataset's transform."""

import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils._pytree import tree_leaves
from torchvision.datasets.vision import StandardTransform, VisionDataset

from genaug.blend.formats import ImageFormat, convert_all_like, convert_like, format_of, image_in, is_gray, pixels_like
from genaug.blend.pointwise import split_pointwise, transform_all
from genaug.data.items import parts_of, read_item
from genaug.data.state import state_kept
from genaug.errors import InputError
from genaug.modalities import image as images
from genaug.modalities.base import Modality

_OVERRIDE = "Pass generated_transform=, which takes a PIL image and returns what the real set's items contain."


class TransformAdapter:
    """Turns generated images, each uint8 (C, H, W), into what the real set's items contain.

    ``generated_transform``, if there is one, is applied to an image as PIL. Otherwise the image is converted to the
    format of the real set's own images before their transform (PIL, in nearly all sets) and goes through that same
    transform, found through Subset and ConcatDataset. If a set has no transform, or doesn't call it, generated images
    get the format of its images. The steps of a transform that treat every pixel alike, such as ``ToTensor``, are
    applied to all images of a batch at once.
    """

    noun = images.Image.noun

    def __init__(self, real: Any, generated_transform: Callable[[Any], Any] | None) -> None:
        self._owners = _transform_owners(real)
        self._generated_transform = generated_transform
        self._is_called = True
        self._by_keyword = False
        self._format: ImageFormat | None = None
        self.real_images: list[tuple[ImageFormat, bool]] = []
        """The format of each real image that ``learn`` read, before its transform, and whether it is gray."""
        self.other_units: str | None = None
        """How the real samples that ``learn`` read are in other units than generated ones; see the modality's."""

    @property
    def transform(self) -> Any:
        """The real set's transform; None if it has none."""
        return getattr(self._owners[0], "transform", None)

    def assign(self, transform: Any) -> None:
        """Set the transform of every dataset that the real set consists of."""
        for owner in self._owners:
            if not hasattr(owner, "transform"):
                raise InputError(f"{type(owner).__name__} has no transform attribute, so none can be assigned to it.")
        for owner in self._owners:
            _assign(owner, transform)

    def learn(self, real: Any, indices: list[int]) -> list[Any]:
        """Learn how the real set treats its images. Returns its items at ``indices`` and leaves the set as it was.

        Raises ``InputError`` if generated images couldn't be treated in the same way: transforms that differ, a
        set that changes its images after its transform, floats outside [0, 1] that no transform explains.
        """
        with state_kept(real):
            return self._learn(real, indices)

    def _learn(self, real: Any, indices: list[int]) -> list[Any]:
        self._is_called, self._by_keyword, self._format = True, False, None
        self.real_images = []
        if self._generated_transform is None:
            self._check_one_transform()
            if self.transform is not None:
                return self._learn_calls(real, indices)
        items = _read_items(real, indices)
        if self._generated_transform is None:
            self._learn_plain(items)
            return items
        image_format = format_of(image_in(items[0]))
        self._format = image_format if image_format is not None and image_format.kind == "pil" else None
        if self.transform is None:
            self._note_images(items)
        return items

    def __call__(self, samples: NDArray[Any] | Sequence[NDArray[Any]]) -> list[Any]:
        transform = self.transform if self._is_called and self._generated_transform is None else None
        if transform is not None and isinstance(samples, np.ndarray):
            pixels, (pointwise, rest) = pixels_like(samples, self._format), split_pointwise(transform)
            if pixels is not None and pointwise:
                return transform_all(pixels, pointwise, rest)
        # All are converted before the first is transformed: two short loops take less time than one long loop.
        converted = self._convert(samples)
        if self._generated_transform is not None:
            return [self._generated_transform(image) for image in converted]
        if transform is None:
            return list(converted)
        if self._by_keyword:
            return [transform(image=image)["image"] for image in converted]
        return [transform(image) for image in converted]

    def _convert(self, samples: NDArray[Any] | Sequence[NDArray[Any]]) -> Sequence[Any]:
        """Raw samples in the form that the real ones have before their transform."""
        if isinstance(samples, np.ndarray):
            return convert_all_like(samples, self._format)
        return [convert_like(sample, self._format) for sample in samples]

    def _learn_plain(self, items: list[Any]) -> None:
        """For a set that calls no transform: generated images get the format of its images."""
        self._note_images(items)
        if not all(image_format.unit for image_format, _ in self.real_images):
            raise InputError(
                "the real set gives float images outside [0, 1] (they look normalized) and has no transform of its own "
                f"that could normalize generated images too. {_OVERRIDE}"
            )
        self._format = self.real_images[0][0] if self.real_images else None

    def _note_images(self, items: list[Any]) -> None:
        for image in map(image_in, items):
            if (image_format := format_of(image)) is not None:
                self.real_images.append((image_format, is_gray(image)))

    def _learn_calls(self, real: Any, indices: list[int]) -> list[Any]:
        """For a set with a transform: generated images get the format of the images that it is called with."""
        items = []
        for index in indices:
            with _recorded(self._owners) as calls:
                items += _read_items(real, [index])
            self._is_called = bool(calls)
            if calls:
                self._learn_call(calls[-1], items[-1])
        if not self._is_called:
            self._learn_plain(items)
        return items

    def _learn_call(self, call: "_Call", item: Any) -> None:
        self._by_keyword = call.by_keyword
        output = call.result["image"] if call.by_keyword and isinstance(call.result, Mapping) else call.result
        leaves = tree_leaves(item)
        if not all(any(_equal(leaf, other) for other in leaves) for leaf in tree_leaves(output)):
            raise InputError(
                "the real set changes its images after its transform (or calls it in an unusual way), so generated "
                f"images can't be treated in the same way. {_OVERRIDE}"
            )
        if call.format is None and call.mode is not None:
            raise InputError(
                f"the real set's images are PIL images of mode {call.mode} before its transform, whose value range is "
                f"unknown, so generated ones can't be converted to it. {_OVERRIDE}"
            )
        if call.format is not None:
            if not call.format.unit:
                raise InputError(
                    f"the real set's images are floats outside [0, 1] even before its transform. {_OVERRIDE}"
                )
            self.real_images.append((call.format, call.gray))
            self._format = self.real_images[0][0]

    def _check_one_transform(self) -> None:
        transforms = [getattr(owner, "transform", None) for owner in self._owners]
        if not all(_same_transform(transform, transforms[0]) for transform in transforms):
            raise InputError(
                f"the parts of the real set have different transforms, {transforms[0]!r} and others, or some that "
                "can't be compared: which one should run on generated images? Give all parts the same transform "
                f"object. Or p{_OVERRIDE[1:]}"
            )
        for owner in self._owners:
            joint = getattr(owner, "transforms", None)
            if isinstance(owner, VisionDataset) and joint is not None and not isinstance(joint, StandardTransform):
                raise InputError(
                    f"{type(owner).__name__} has a joint transform of image and target (transforms=), which can't "
                    f"run on generated images. Use transform= instead. {_OVERRIDE}"
                )


class PlainAdapter(TransformAdapter):
    """For samples that aren't images: an item contains the sample in the form of the real ones (``Modality.like``),
    after the real set's transform if it calls one, or what ``generated_transform`` returns."""

    def __init__(self, sample: Modality, real: Any, generated_transform: Callable[[Any], Any] | None) -> None:
        super().__init__(real, generated_transform)
        self._sample = sample
        self._example: Any = None
        self.noun = sample.noun

    def _convert(self, samples: NDArray[Any] | Sequence[NDArray[Any]]) -> Sequence[Any]:
        if self._generated_transform is not None:
            return [torch.from_numpy(sample) for sample in samples]
        return [self._sample.like(sample, self._example) for sample in samples]

    def _learn(self, real: Any, indices: list[int]) -> list[Any]:
        if self._generated_transform is None:
            self._check_one_transform()
        if self._generated_transform is not None or self.transform is None:
            calls, items = [], _read_items(real, indices)
        else:
            with _recorded(self._owners) as calls:
                items = _read_items(real, indices)
        self._is_called = bool(calls)
        examples = [call.input for call in calls] or [
            next((leaf for leaf in tree_leaves(item) if getattr(leaf, "ndim", 0) > 0), None) for item in items
        ]
        self._example = examples[0]
        if self._generated_transform is None:
            self.other_units = self._compare_units(examples)
        return items

    def _compare_units(self, examples: list[Any]) -> str | None:
        with suppress(Exception):  # of examples that aren't samples, which other checks name
            return self._sample.other_units(
                torch.stack([torch.as_tensor(each).view(self._sample.shape) for each in examples])
            )
        return None


def adapter_for(sample: Modality, real: Any, generated_transform: Callable[[Any], Any] | None) -> TransformAdapter:
    """The adapter that turns raw samples of a modality into what the real set's items contain."""
    if isinstance(sample, images.Image):
        return TransformAdapter(real, generated_transform)
    return PlainAdapter(sample, real, generated_transform)


def _read_items(real: Any, indices: list[int]) -> list[Any]:
    return [read_item(real, index, "the real set") for index in indices]


def _transform_owners(dataset: Any) -> list[Any]:
    """The datasets whose ``transform`` is applied, outermost first, each once."""
    parts = [] if hasattr(dataset, "transform") else parts_of(dataset)
    if not parts:
        return [dataset]
    return list({id(owner): owner for part in parts for owner in _transform_owners(part)}.values())


def _assign(owner: Any, transform: Any) -> None:
    try:
        owner.transform = transform
    except AttributeError as error:
        raise InputError(f"the transform of {type(owner).__name__} can't be assigned ({error}). {_OVERRIDE}") from error
    if isinstance(owner, VisionDataset) and (
        owner.transforms is None or isinstance(owner.transforms, StandardTransform)
    ):
        # OxfordIIITPet, Places365 and others call this pair, which has a second reference to the transform.
        owner.transforms = StandardTransform(transform, owner.target_transform)


class _Call:
    """One call of the real set's transform: how it was called, with which image, and what it returned."""

    def __init__(self, transform: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.by_keyword = not args and set(kwargs) == {"image"}
        self.input = image = args[0] if args else kwargs.get("image")
        self.format = format_of(image)  # before the call, which may change the image in place
        self.gray = is_gray(image)
        self.mode: str | None = getattr(image, "mode", None) if isinstance(image, Image.Image) else None
        self.result = transform(*args, **kwargs)


@contextmanager
def _recorded(owners: list[Any]) -> Iterator[list[_Call]]:
    """In the block, record the calls of these datasets' transforms."""
    calls: list[_Call] = []
    transforms = [owner.transform for owner in owners]

    def recorder(transform: Any) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            calls.append(_Call(transform, args, kwargs))
            return calls[-1].result

        return call

    try:
        for owner, transform in zip(owners, transforms, strict=True):
            _assign(owner, recorder(transform))
        yield calls
    finally:
        for owner, transform in zip(owners, transforms, strict=True):
            _assign(owner, transform)


def _same_transform(one: Any, other: Any) -> bool:
    """Whether both certainly do the same. Two lambdas have the same repr but can't be pickled, so they count as two."""
    with suppress(Exception):  # pickle raises whatever the object does
        return one is other or (repr(one) == repr(other) and pickle.dumps(one) == pickle.dumps(other))
    return False


def _equal(one: Any, other: Any) -> bool:
    if one is other:
        return True
    if type(one) is not type(other) or not isinstance(one, (Tensor, np.ndarray)) or one.dtype != other.dtype:
        return False
    return torch.equal(one, other) if isinstance(one, Tensor) else np.array_equal(one, other)
