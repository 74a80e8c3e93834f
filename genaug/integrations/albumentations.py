"""``GenerativeReplace``: generated images in an albumentations pipeline. Needs the extra ``genaug[albumentations]``."""

import inspect
from numbers import Real
from types import FrameType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from genaug.blend.formats import convert_like, format_of
from genaug.data.labels import as_labels
from genaug.errors import InputError
from genaug.sources.source import Source, check_source, checked_sample, image_shape

try:
    from albumentations import ImageOnlyTransform
    from albumentations.core.type_definitions import Targets
except ImportError as error:
    raise ImportError(
        "genaug.integrations.albumentations needs albumentations: pip install 'genaug[albumentations]'"
    ) from error

# The library's other targets: they belong to one picture and wouldn't belong to another.
_UNSUPPORTED = {"mask", "masks", "mask3d", "masks3d", "bboxes", "keypoints", "images", "volume", "volumes"}


class GenerativeReplace(ImageOnlyTransform):  # type: ignore[misc]  # albumentations isn't checked
    """Replace an image, with probability ``p``, by a generated one of the same label.

    ``transform(image=image, label=3)``: the label comes with the image, under ``label_key``, and is unchanged. In a
    ``Compose`` it goes where images have the source's size and aren't normalized yet, before or after other transforms.

    Args:
        source: a source that takes labels; preferably a ``SamplePool``, since a ``Generator`` runs once per image. Its
            class numbers must be yours: class names aren't matched here.
        label_key: the name of the label among a call's arguments. It is an integer (also numpy's, or a tensor of one).
        p: the generated share, in [0, 1].

    Images are uint8 or floats in [0, 1], (H, W, C) or (H, W), and come out with the same shape and dtype.

    Random decisions come from torch's global RNG, which the DataLoader seeds for each worker and epoch, and not from
    albumentations' own, which several workers share; ``Compose(seed=...)`` has no effect on it.

    Raises ``InputError`` for a call without a label, with a label that the source doesn't know, with an image whose
    size isn't the source's or with values outside [0, 1], and with anything else that belongs to the image that is
    replaced (masks, boxes, key points, volumes, further images). Raises ``NotImplementedError`` on serialization, like
    the library's transforms that depend on other images.
    """

    # No InitSchema: validation passes a dump of the arguments on, in which a source may no longer be a source.
    _targets = (Targets.IMAGE,)

    def __init__(self, source: Source, label_key: str = "label", p: float = 0.5) -> None:
        spec = check_source(source)
        image_shape(spec, type(self).__name__)
        if not spec.takes_labels:
            raise InputError(
                "GenerativeReplace replaces images with others of the same label, but this source has no labels. Give "
                "it some with genaug.with_labels(source, labelled_set), or use a generator trained with labels."
            )
        if not isinstance(label_key, str) or label_key in _UNSUPPORTED | {"image"}:
            raise InputError(f"label_key must be the name of the label among a call's arguments, got {label_key!r}.")
        if isinstance(p, bool) or not isinstance(p, Real) or not 0 <= p <= 1:
            raise InputError(f"p must be a number in [0, 1], got {p!r}.")
        super().__init__(p=float(p))
        self.source: Source = source
        self.label_key: str = label_key
        self._unsupported: set[str] = set(_UNSUPPORTED)

    @property
    def targets(self) -> dict[str, Any]:
        return {"image": self.apply}

    @property
    def targets_as_params(self) -> list[str]:
        return ["image", self.label_key]

    def add_targets(self, additional_targets: dict[str, str]) -> None:
        """Called by ``Compose``: additional targets wouldn't belong to another image either."""
        self._unsupported |= set(additional_targets)

    def __call__(self, *args: Any, force_apply: bool = False, **data: Any) -> Any:
        if not args:
            self._check(data)
        return super().__call__(*args, force_apply=force_apply, **data)

    def should_apply(self, force_apply: bool = False) -> bool:
        return force_apply or bool(torch.rand((), device="cpu") < self.p)

    def get_params_dependent_on_data(self, params: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
        seed = int(torch.randint(2**62, (), device="cpu"))
        return {"generated": checked_sample(self.source, 1, self._label(data), seed)[0].cpu().numpy()}

    def apply(self, img: NDArray[Any], generated: NDArray[np.uint8], **params: Any) -> Any:
        return convert_like(generated, format_of(img))

    def to_dict_private(self) -> dict[str, Any]:
        # A Compose prints itself from the same dictionaries that it is serialised from.
        if not _is_printing():
            raise NotImplementedError(f"{type(self).__name__} can't be serialized: it depends on a source of images.")
        return {"__class_fullname__": self.get_class_fullname(), "p": self.p}

    def _check(self, data: dict[str, Any]) -> None:
        """Raises ``InputError`` for a bad call, even if the image wouldn't be replaced: the mistake shows at once."""
        unsupported = sorted(key for key in self._unsupported & set(data) if data[key] is not None)
        if unsupported:
            raise InputError(
                f"GenerativeReplace got {', '.join(unsupported)}, which would no longer belong to a replaced image. It "
                "is for classification: one image and its label."
            )
        if not {"image", self.label_key} <= set(data):
            raise InputError(
                f"GenerativeReplace needs image= and {self.label_key}=, but got {', '.join(sorted(data)) or 'nothing'}."
                " Pass both to the transform, or give the label's name in the call as label_key=."
            )
        self._label(data)
        self._check_image(data["image"])

    def _check_image(self, image: Any) -> None:
        image_format = format_of(image)
        if image_format is None or image_format.kind != "array":
            got = f"{image.dtype} of shape {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
            raise InputError(f"image must be an array, uint8 or float in [0, 1], (H, W, C) or (H, W), got {got}.")
        if image_format.shape != self.source.spec.shape:
            raise InputError(
                f"GenerativeReplace got an image of shape {image_format.shape} (C, H, W), but its source makes "
                f"{self.source.spec.shape}. Place it where the shapes agree, for example after a Resize."
            )
        if not image_format.unit:
            raise InputError(
                f"float images must be in [0, 1], but these range over [{image.min():.3g}, {image.max():.3g}]. "
                "Place GenerativeReplace before Normalize."
            )

    def _label(self, data: dict[str, Any]) -> torch.Tensor:
        """The label as int64 (1,)."""
        label = as_labels([data[self.label_key]], f"{self.label_key}=")
        if int(label) >= self.source.spec.num_classes:
            raise InputError(
                f"the source doesn't know the label {int(label)}; it has {self.source.spec.describe_classes()}."
            )
        return label


def _is_printing() -> bool:
    """Whether the dictionary is for the ``repr`` of a composition, perhaps with other compositions in it."""
    frame: FrameType | None = inspect.currentframe()
    while frame is not None and frame.f_code.co_name not in ("to_dict", "get_dict_with_id"):
        if frame.f_code.co_name == "indented_repr":
            return True
        frame = frame.f_back
    return False
