"""Differentiable augmentation of the discriminator's images (DiffAugment, Zhao et al. 2020, section 3.2).

Each function takes images in [-1, 1], shape (N, C, H, W), and uniform numbers in [0, 1), shape (N, width), so that
the caller decides how they are drawn. It is differentiable with respect to the images.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from genaug.errors import InputError


def translation(images: Tensor, u: Tensor) -> Tensor:
    """Shift by up to an eighth of each side, in entire pixels, filled with the nearest edge (1 x 2 numbers)."""
    height, width = images.shape[2:]
    reach_y, reach_x = max(1, round(height / 8)), max(1, round(width / 8))
    dy = (u[:, 0] * (2 * reach_y + 1)).floor().long() - reach_y
    dx = (u[:, 1] * (2 * reach_x + 1)).floor().long() - reach_x
    rows = (torch.arange(height, device=images.device) + dy[:, None]).clamp(0, height - 1)
    columns = (torch.arange(width, device=images.device) + dx[:, None]).clamp(0, width - 1)
    sample = torch.arange(len(images), device=images.device)[:, None, None]
    return images[sample, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def affine(images: Tensor, u: Tensor) -> Tensor:
    """Rotate by up to 15 degrees, scale by 0.9 to 1.1, shift by up to a tenth, bilinear, edges repeated (4 numbers)."""
    angle = (u[:, 0] * 2 - 1) * (torch.pi / 12)
    scale = 0.9 + 0.2 * u[:, 1]
    shift = (u[:, 2:4] * 2 - 1) * 0.2  # grid coordinates span 2
    cos, sin = torch.cos(angle) / scale, torch.sin(angle) / scale
    aspect = images.shape[2] / images.shape[3]  # grid coordinates span a square, but pixels must stay square
    rows = [torch.stack([cos, -sin * aspect, shift[:, 0]], 1), torch.stack([sin / aspect, cos, shift[:, 1]], 1)]
    exact = torch.promote_types(images.dtype, torch.float32)  # positions in bfloat16 are off by parts of a pixel
    with torch.autocast(images.device.type, enabled=False):
        grid = affine_grid(torch.stack(rows, 1).to(exact), list(images.shape), align_corners=False)
        return grid_sample(images.to(exact), grid, padding_mode="border", align_corners=False).to(images.dtype)


def color(images: Tensor, u: Tensor) -> Tensor:
    """Brightness by up to 0.5, saturation by 0 to 2, contrast by 0.5 to 1.5 (3 numbers); may leave [-1, 1]."""
    brightness, saturation, contrast = (u[:, i, None, None, None] for i in range(3))
    images = images + (brightness - 0.5)
    gray = images.mean(1, keepdim=True)
    images = (images - gray) * (2 * saturation) + gray
    mean = images.mean((1, 2, 3), keepdim=True)
    return (images - mean) * (contrast + 0.5) + mean


def cutout(images: Tensor, u: Tensor) -> Tensor:
    """Blank a rectangle of half of each side, centerd anywhere, to mid-gray (2 numbers)."""
    height, width = images.shape[2:]

    def outside(side: int, center: Tensor) -> Tensor:
        position = torch.arange(side, device=images.device)
        return ((position + 0.5 - center[:, None] * side).abs() > side / 4).to(images.dtype)

    keep_y, keep_x = outside(height, u[:, 0]), outside(width, u[:, 1])
    blank = (1 - keep_y)[:, None, :, None] * (1 - keep_x)[:, None, None, :]
    return images * (1 - blank)


POLICIES: dict[str, tuple[Callable[[Tensor, Tensor], Tensor], int]] = {
    "translation": (translation, 2),
    "affine": (affine, 4),
    "color": (color, 3),
    "cutout": (cutout, 2),
}


def check_policy(names: Sequence[str]) -> tuple[str, ...]:
    names = (names,) if isinstance(names, str) else names
    unknown = [name for name in names if name not in POLICIES]
    if unknown or len(set(names)) != len(names):
        raise InputError(f"augment must be distinct names among {', '.join(POLICIES)}; got {', '.join(names)}.")
    return tuple(names)


def augment(images: Tensor, policy: Sequence[str], draw: Callable[[int, int], Tensor]) -> Tensor:
    """Apply the named policies in order; ``draw(n, width)`` gives the uniform numbers."""
    for name in policy:
        function, width = POLICIES[name]
        images = function(images, draw(len(images), width))
    return images
