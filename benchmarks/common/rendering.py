"""Digits rendered from the fonts that matplotlib ships, with random slant, stroke and shift."""

from functools import cache
from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from genaug.randomness import stream

# Fonts whose digits are upright and legible; those of symbols, and of capital letters in the place of digits, are out.
FONTS = (
    "DejaVuSans",
    "DejaVuSans-Bold",
    "DejaVuSans-Oblique",
    "DejaVuSansMono",
    "DejaVuSansMono-Bold",
    "DejaVuSerif",
    "DejaVuSerif-Bold",
    "DejaVuSerif-Italic",
    "STIXGeneral",
    "STIXGeneralBol",
    "STIXGeneralItalic",
    "cmr10",
    "cmss10",
    "cmtt10",
)
SIDE, SCALE = 28, 4  # digits are drawn four times as large, then reduced
HEIGHT = (17, 21)  # of a digit, in pixels of the result; those of MNIST fit a square of 20
SLANT, SHIFT = 0.35, 2.0  # at most: a tangent, and pixels
STROKE = (0, 3)  # further pixels around a stroke, on the large image


def rendered_digits(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """``count`` images, uint8 (N, 1, 28, 28), white on black, and their labels, int64 (N,): 0 to 9 in turn."""
    draws, labels = stream(seed, "rendered digits"), torch.arange(count) % 10
    return torch.stack([_digit(int(label), draws) for label in labels]), labels


def _digit(label: int, draws: np.random.Generator) -> Tensor:
    font = _font(FONTS[draws.integers(len(FONTS))])
    side = SIDE * SCALE
    image = Image.new("L", (2 * side, 2 * side))
    pen = ImageDraw.Draw(image)
    pen.text((side, side), str(label), 255, font, anchor="mm", stroke_width=int(draws.integers(*STROKE, endpoint=True)))
    left, top, right, bottom = image.getbbox() or (0, 0, 1, 1)
    zoom = (bottom - top) / (draws.uniform(*HEIGHT) * SCALE)
    slant = draws.uniform(-SLANT, SLANT)
    x, y = draws.uniform(-SHIFT, SHIFT, 2) * SCALE + side / 2
    # from a position of the result to that on the large image, whose digit is centered at (x, y)
    middle = (left + right) / 2, (top + bottom) / 2
    across = (zoom, zoom * slant, middle[0] - zoom * (x + slant * y))
    down = (0, zoom, middle[1] - zoom * y)
    slanted = image.transform((side, side), Image.Transform.AFFINE, (*across, *down), Image.Resampling.BICUBIC)
    small = slanted.resize((SIDE, SIDE), Image.Resampling.BOX)
    return torch.from_numpy(np.array(small))[None]


@cache
def _font(name: str) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(Path(mpl.get_data_path()) / "fonts" / "ttf" / f"{name}.ttf"), 100)
