"""The way of a generated image through the real dataset's transform."""

import pickle
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils._pytree import tree_leaves
from torch.utils.data import ConcatDataset, Subset
from torchvision.datasets.vision import StandardTransform, VisionDataset

from genaug.blend.formats import Look, dress, is_grey, look_of
from genaug.data.items import read_item
from genaug.data.state import state_kept
from genaug.errors import InputError
from genaug.modalities import image as images
from genaug.modalities.base import Modality
from genaug.modalities.image import to_pil

_OVERRIDE = "Pass generated_transform=, which takes a PIL image and returns what the real set's items hold."


class Pipeline:
    """Turns a generated image, uint8 (C, H, W), into what the real set's items hold.

    With ``generated_transform`` it is that of the image as PIL. Else the image is dressed as the real set dresses its
    own images before its transform (PIL, in nearly all sets) and goes through that same transform, found through
    Subset and ConcatDataset. A set without a transform, or which doesn't call it, gets images that look like its own.
    """

    def __init__(self, real: Any, generated_transform: Callable[[Any], Any] | None) -> None:
        self._holders = _holders(real)
        self._generated_transform = generated_transform
        self._called = True
        self._by_keyword = False
        self._look: Look | None = None
        self.real_looks: list[Look] = []  # of the real images that ``learn`` saw, before their transform
        self.real_is_grey = False  # whether these have no colour, whatever their channels

    @property
    def transform(self) -> Any:
        """The real set's transform; None where it has none."""
        return getattr(self._holders[0], "transform", None)

    def assign(self, transform: Any) -> None:
        """Set the transform of every dataset that the real set is made of."""
        for holder in self._holders:
            if not hasattr(holder, "transform"):
                raise InputError(f"{type(holder).__name__} has no transform attribute, so none can be assigned to it.")
        for holder in self._holders:
            _assign(holder, transform)

    def learn(self, real: Any, indices: list[int]) -> list[Any]:
        """Look how the real set treats its images; returns its items at ``indices`` and leaves the set as it was.

        Raises ``InputError`` where generated images couldn't be treated in the same way: transforms that differ, a
        set that works on its images after its transform, floats outside [0, 1] that no transform explains.
        """
        with state_kept(real):
            return self._learn(real, indices)

    def _learn(self, real: Any, indices: list[int]) -> list[Any]:
        self.real_looks, self.real_is_grey = [], True
        if self._generated_transform is not None:
            items = [read_item(real, index, "the real set") for index in indices]
            self._look = look_in(items[0])
            if self.transform is None:
                self._note_images(items)
            return items
        self._check_one_transform()
        self._called, self._by_keyword, self._look = True, False, None
        if self.transform is None:
            items = [read_item(real, index, "the real set") for index in indices]
            self._learn_bare(items)
            return items
        items = []
        for index in indices:
            with _recorded(self._holders) as records:
                items.append(read_item(real, index, "the real set"))
            self._called = bool(records)
            if records:
                self._learn_call(records[-1], items[-1])
        if not self._called:
            self._learn_bare(items)
        return items

    def __call__(self, image: NDArray[np.uint8]) -> Any:
        if self._generated_transform is not None:
            return self._generated_transform(self._as_pil(image))
        dressed = dress(image, self._look)
        transform = self._holders[0].transform if self._called and hasattr(self._holders[0], "transform") else None
        if transform is None:
            return dressed
        return transform(image=dressed)["image"] if self._by_keyword else transform(dressed)

    def _as_pil(self, image: NDArray[np.uint8]) -> Any:
        as_real = self._look is not None and self._look.kind == "pil"
        return dress(image, self._look) if as_real else to_pil(torch.from_numpy(image))

    def _learn_bare(self, items: list[Any]) -> None:
        """The set has no transform that it calls: generated images are to look like what it gives."""
        self._note_images(items)
        for item in items:
            look = look_in(item)
            if look is not None and not look.unit:
                raise InputError(
                    "the real set gives float images outside [0, 1] (they look normalised) and no transform of its own "
                    f"that could normalise generated images too. {_OVERRIDE}"
                )
            self._look = self._look or look

    def _note_images(self, items: list[Any]) -> None:
        for item in items:
            self._note(
                *next(((look_of(leaf), is_grey(leaf)) for leaf in tree_leaves(item) if look_of(leaf)), (None, True))
            )

    def _note(self, look: Look | None, grey: bool) -> None:
        self.real_looks += [] if look is None else [look]
        self.real_is_grey = self.real_is_grey and grey

    def _learn_call(self, record: "_Call", item: Any) -> None:
        self._note(record.look, record.grey)
        self._by_keyword = record.by_keyword
        given = record.result["image"] if record.by_keyword and isinstance(record.result, Mapping) else record.result
        held = tree_leaves(item)
        if not all(any(_same(leaf, other) for other in held) for leaf in tree_leaves(given)):
            raise InputError(
                "the real set changes its images after its transform (or calls it in a way of its own), so generated "
                f"images can't be treated in the same way. {_OVERRIDE}"
            )
        if record.look is None and record.mode is not None:
            raise InputError(
                f"the real set's images are PIL images of mode {record.mode} before its transform, whose range isn't "
                f"known, so generated ones can't be made like them. {_OVERRIDE}"
            )
        if record.look is not None and not record.look.unit:
            raise InputError(
                f"the real set's images are floats outside [0, 1] before its transform already. {_OVERRIDE}"
            )
        self._look = self._look or record.look

    def _check_one_transform(self) -> None:
        transforms = [getattr(holder, "transform", None) for holder in self._holders]
        if not all(_same_transform(transform, transforms[0]) for transform in transforms):
            raise InputError(
                f"the parts of the real set have different transforms, {transforms[0]!r} and others, or such as can't "
                "be compared: which one should run on generated images? Give all parts the same transform object. "
                f"Or p{_OVERRIDE[1:]}"
            )
        for holder in self._holders:
            joint = getattr(holder, "transforms", None)
            if isinstance(holder, VisionDataset) and joint is not None and not isinstance(joint, StandardTransform):
                raise InputError(
                    f"{type(holder).__name__} has a joint transform of image and target (transforms=), which can't "
                    f"run on generated images. Use transform= instead. {_OVERRIDE}"
                )


class PlainAdapter(Pipeline):
    """For samples that aren't images: they are items as they are, tensors, or what ``generated_transform`` returns."""

    def __call__(self, sample: NDArray[Any]) -> Any:
        tensor = torch.from_numpy(sample)
        return tensor if self._generated_transform is None else self._generated_transform(tensor)

    def _learn(self, real: Any, indices: list[int]) -> list[Any]:
        return [read_item(real, index, "the real set") for index in indices]


def adapter_for(sample: Modality, real: Any, generated_transform: Callable[[Any], Any] | None) -> Pipeline:
    """What makes items like the real set's of raw samples."""
    kind = Pipeline if isinstance(sample, images.Image) else PlainAdapter
    return kind(real, generated_transform)


def _holders(dataset: Any) -> list[Any]:
    """The datasets whose ``transform`` is applied, outermost first found, each once."""
    parts: list[Any] = [dataset]
    if not hasattr(dataset, "transform"):
        if isinstance(dataset, Subset):
            parts = _holders(dataset.dataset)
        elif isinstance(dataset, ConcatDataset):
            parts = [holder for part in dataset.datasets for holder in _holders(part)]
    return list({id(part): part for part in parts}.values())


def _assign(holder: Any, transform: Any) -> None:
    try:
        holder.transform = transform
    except AttributeError as error:
        raise InputError(
            f"the transform of {type(holder).__name__} can't be assigned ({error}). {_OVERRIDE}"
        ) from error
    if isinstance(holder, VisionDataset) and (
        holder.transforms is None or isinstance(holder.transforms, StandardTransform)
    ):
        # OxfordIIITPet, Places365 and others call this pair, which holds the transform a second time.
        holder.transforms = StandardTransform(transform, holder.target_transform)


class _Call:
    """One call of the real set's transform: how it was called, with what, and what came out."""

    def __init__(self, transform: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.by_keyword = not args and set(kwargs) == {"image"}
        image = args[0] if args else kwargs.get("image")
        self.look = look_of(image)  # before the call: it may work in place
        self.grey = is_grey(image)
        self.mode: str | None = getattr(image, "mode", None) if isinstance(image, Image.Image) else None
        self.result = transform(*args, **kwargs)


@contextmanager
def _recorded(holders: list[Any]) -> Iterator[list[_Call]]:
    """For a moment, write down what the transforms of these datasets are called with and what they return."""
    records: list[_Call] = []
    before = [holder.transform for holder in holders]

    def recorder(transform: Any) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            records.append(_Call(transform, args, kwargs))
            return records[-1].result

        return call

    try:
        for holder, transform in zip(holders, before, strict=True):
            _assign(holder, recorder(transform))
        yield records
    finally:
        for holder, transform in zip(holders, before, strict=True):
            _assign(holder, transform)


def _same_transform(one: Any, other: Any) -> bool:
    """Whether both surely do the same. Two lambdas have the same repr and can't be pickled: they may not."""
    if one is other:
        return True
    try:
        return repr(one) == repr(other) and pickle.dumps(one) == pickle.dumps(other)
    except Exception:  # pickle raises whatever the object does
        return False


def _same(one: Any, other: Any) -> bool:
    if one is other:
        return True
    if type(one) is not type(other):
        return False
    if isinstance(one, Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    return isinstance(one, np.ndarray) and one.dtype == other.dtype and np.array_equal(one, other)


def look_in(item: Any) -> Look | None:
    """The look of the first image in an item."""
    return next((look for look in map(look_of, tree_leaves(item)) if look is not None), None)
