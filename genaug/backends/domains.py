"""Checks of the two domains of a translation."""

from genaug.backends.spec import Spec
from genaug.errors import InputError


def check_sizes(data: Spec, *, least: int = 1, same_channels: bool = False) -> None:
    """Check that the images of a translation's condition and its samples have the same height and width.

    Raises ``InputError`` if they don't, for a side below ``least`` pixels, and, with ``same_channels``, for different
    channels. For backends with one condition, to be called by ``describe``.
    """
    condition = data.conditions[0]
    (channels, *size), (other_channels, *other_size) = condition.sample.shape, data.sample.shape
    sides = (
        f"{condition.domains[0]!r} has {condition.sample.describe()}, {condition.domains[1]!r} {data.sample.describe()}"
    )
    if size != other_size:
        raise InputError(
            f"images of both domains must have the same size: {sides}. Pass image_size= (--image-size), which resizes "
            "both, or resize one."
        )
    if same_channels and channels != other_channels:
        raise InputError(
            f"images of both domains must have the same channels: {sides}. Convert one of them with a transform, such "
            "as torchvision.transforms.v2.RGB or Grayscale."
        )
    if min(size) < least:
        raise InputError(f"images must have sides of at least {least} pixels, and {sides}. Pass a larger image_size=.")
