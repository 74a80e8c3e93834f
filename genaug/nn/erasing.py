"""Masks of images, and erased images: an image with a further channel, 255 where its pixels are known and 0 elsewhere.

A mask is bool (N, H, W), True for the pixels to fill in.
"""

from math import sqrt
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn.functional import interpolate

Masks = Literal["center", "block", "random"]
KINDS: tuple[Masks, ...] = get_args(Masks)

DRAWS = 16  # uniform numbers per mask
_GRID = 4  # side of the noise that gives a random mask its shape
_BLOCKS = 4


def erased(images: Tensor, masks: Tensor) -> Tensor:
    """Raw images (N, C, H, W), uint8, as erased ones, (N, C + 1, H, W)."""
    known = ~masks[:, None]
    return torch.cat([images * known, known.to(torch.uint8) * 255], 1)


def draw_masks(kind: Masks, area: float, uniform: Tensor, height: int, width: int) -> Tensor:
    """Masks, bool (N, H, W), that cover about a share ``area`` of an image; none is empty.

    ``uniform`` has the random numbers, U[0, 1), (N, ``DRAWS``). Pathak et al. 2016, section 3.2: "center" is a
    rectangle with the image's proportions in its middle, "block" several such rectangles anywhere, which may overlap
    (and then cover less), and "random" a region of any shape: where smooth noise is largest.
    """
    rows, columns = (torch.arange(side, device=uniform.device) for side in (height, width))
    if kind == "random":
        noise = interpolate(uniform.view(-1, 1, _GRID, _GRID), size=(height, width), mode="bicubic")[:, 0]
        size = max(1, round(area * height * width))
        least = noise.flatten(1).topk(size, dim=1).values[:, -1]
        return noise >= least[:, None, None]
    count = 1 if kind == "center" else _BLOCKS
    sides = [max(1, min(side, round(side * sqrt(area / count)))) for side in (height, width)]
    masks = torch.zeros(len(uniform), height, width, dtype=torch.bool, device=uniform.device)
    for block in range(count):
        inside = []
        for axis, (positions, side, length) in enumerate(zip((rows, columns), sides, (height, width), strict=True)):
            free = length - side
            draw = uniform[:, 2 * block + axis]
            start = torch.full_like(draw, free // 2) if kind == "center" else (draw * (free + 1)).floor()
            inside.append((positions >= start[:, None]) & (positions < start[:, None] + side))
        masks |= inside[0][:, :, None] & inside[1][:, None, :]
    return masks
