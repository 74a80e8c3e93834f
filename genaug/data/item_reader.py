"""Reading a dataset's items one by one as raw samples of one size."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor
from torchvision.transforms.v2 import functional as F

from genaug.data.items import file_of, read_item
from genaug.errors import InputError
from genaug.escaping import escaped
from genaug.modalities.known import modality_of


def fields_of(dataset: Any, index: int, what: str) -> tuple[Sequence[Any], str]:
    """The fields of an item, of which the first is its sample, and where it is, for messages.

    Raises ``InputError`` for an item that can't be read.
    """
    item = read_item(dataset, index, what)
    file = file_of(dataset, index)
    where = f"item {index} of {what}" + ("" if file is None else f" ({escaped(file)})")
    return (item if isinstance(item, (tuple, list)) and item else (item,)), where


class ItemReader:
    """Reads samples of the modality and the size of the first one.

    ``image_size`` resizes the shorter side of images and crops the center. Errors begin with ``where`` the item is.
    """

    def __init__(self, first: Any, image_size: int | None, where: str, kinds: Sequence[str]) -> None:
        self._image_size = image_size
        try:
            self._class = modality_of(first, kinds)
            self.modality = self._class.of(self._raw(first))
        except InputError as error:
            raise InputError(f"{where}: {error}") from error

    def read(self, item: Any, where: str) -> Tensor:
        """A sample of a user's dataset as a raw one. Raises ``InputError`` if it isn't like the first one."""
        try:
            sample = self._raw(item)
        except InputError as error:
            raise InputError(f"{where}: {error}") from error
        if sample.shape != self.modality.shape:
            raise InputError(
                f"{where} has shape {tuple(sample.shape)}, the ones before it {tuple(self.modality.shape)}. "
                f"{self._class.same_size}"
            )
        return sample

    def _raw(self, item: Any) -> Tensor:
        sample = self._class.read(item)
        if self._image_size is None:
            return sample
        side = [self._image_size]
        cropped: Tensor = F.center_crop(F.resize(sample, side, antialias=True), side * 2)
        return cropped
