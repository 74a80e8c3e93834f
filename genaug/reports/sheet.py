"""Sample grids: pictures of many samples, with one row per class and the classes' names beside the rows."""

import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from genaug.artifacts.folders import resolve, saving_to, sweep, temporary_name
from genaug.errors import InputError, OutputExistsError
from genaug.escaping import one_line
from genaug.modalities.base import Modality
from genaug.modalities.image import to_pil

_PAPER, _INK, _GAP, _TEXT = (255, 255, 255), (40, 40, 48), 2, 15
_SMALL, _LARGE = 48, 256  # smallest and largest side of a sample on the grid, in pixels
_LONGEST_NAME = 24
_MARK = ("Software", "genaug")


@dataclass(frozen=True)
class Block:
    """Samples of a grid: uint8 images (N, C, H, W), int64 labels (N,) or None, and a heading above them."""

    images: Tensor
    labels: Tensor | None = None
    heading: str = ""


def sheet_labels(num_classes: int, columns: int = 10, max_rows: int = 20) -> Tensor:
    """Labels of the samples that fill a grid: ``columns`` per class, int64, in order of class.

    If there are more than ``max_rows`` classes, they are that many evenly spaced ones.
    """
    rows = min(num_classes, max_rows)
    return (torch.arange(rows) * num_classes // max(rows, 1)).repeat_interleave(columns)


def draw_sheet(
    *blocks: Block, classes: Sequence[str] | None = None, columns: int = 10, sample: Modality | None = None
) -> Image.Image:
    """An RGB picture of one block, or of several side by side, each with ``columns`` samples per row.

    With labels, each class that occurs in any block has a row with its name (its number, without ``classes``) and its
    first ``columns`` samples; without labels, the samples continue from row to row. Small images are enlarged by an
    integer factor, without smoothing; large ones are reduced. ``sample`` is the modality, images by default.

    Raises ``InputError`` if images aren't uint8 (N, C, H, W), or if only some of the blocks have labels.
    """
    picture = to_pil if sample is None else sample.picture
    for block in blocks if sample is None else ():
        if block.images.ndim != 4 or block.images.dtype != torch.uint8:
            raise InputError(
                f"a sample grid needs uint8 images (N, C, H, W), got {block.images.dtype} {tuple(block.images.shape)}."
            )
    if len({block.labels is None for block in blocks}) > 1:
        raise InputError("only some blocks of the sample grid have labels. Pass labels for all blocks or for none.")
    rows = sorted({int(label) for block in blocks if block.labels is not None for label in block.labels})
    grids = [_grid(block, rows, columns) for block in blocks]
    tile = _tile_size([picture(block.images[0].cpu()).size for block in blocks if len(block.images)])
    names = [_name(row, classes) for row in rows]
    font = _font()
    margin = max((int(font.getlength(name)) for name in names), default=0) + 12 if names else _GAP
    top = _TEXT + 12 if any(block.heading for block in blocks) else _GAP
    step_x, step_y = tile[0] + _GAP, tile[1] + _GAP
    height = max([1, *map(len, grids)])
    between = max(step_x // 3, 8)
    width = margin + len(grids) * columns * step_x + (len(grids) - 1) * between
    sheet = Image.new("RGB", (width, top + height * step_y), _PAPER)
    pen = ImageDraw.Draw(sheet)
    for row, name in enumerate(names):
        pen.text((margin - 8, top + row * step_y + tile[1] // 2), name, _INK, font, anchor="rm")
    left = margin
    for block, grid in zip(blocks, grids, strict=True):
        pen.text((left, top // 2), block.heading, _INK, font, anchor="lm")
        for y, indices in enumerate(grid):
            for x, index in enumerate(indices):
                _paste(sheet, picture(block.images[index].cpu()), tile, (left + x * step_x, top + y * step_y))
        left += columns * step_x + between
    return sheet


def encode_png(image: Image.Image) -> bytes:
    """A PNG file marked as drawn by genaug."""
    buffer, info = io.BytesIO(), PngInfo()
    info.add_text(*_MARK)
    image.save(buffer, "PNG", optimize=True, pnginfo=info)
    return buffer.getvalue()


def save_sheet(path: str | Path, sheet: Image.Image) -> None:
    """Write a sample grid as PNG, replacing an existing file atomically. Raises ``SaveError`` if writing fails."""
    path = resolve(path)
    with saving_to(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        sweep(path.parent)
        part = path.parent / f".{temporary_name()}"
        try:
            with open(part, "xb") as file:
                file.write(encode_png(sheet))
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)


def check_free(path: Path, overwrite: bool) -> None:
    """Raise ``OutputExistsError`` if ``path`` exists, unless it is a sample grid that genaug drew and ``overwrite``."""
    if path.is_dir():
        raise OutputExistsError(f"{path} is a directory. Choose another name.")
    if os.path.lexists(path) and not overwrite:
        raise OutputExistsError(f"{path} exists. Choose another name or pass --overwrite.")
    if os.path.lexists(path) and not _is_sample_grid(path):
        raise OutputExistsError(f"{path} isn't a sample grid drawn by genaug; it is left alone. Choose another name.")


def _is_sample_grid(path: Path) -> bool:
    try:
        with Image.open(path, formats=["PNG"]) as image:
            return image.info.get(_MARK[0]) == _MARK[1]
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return False


def _grid(block: Block, rows: list[int], columns: int) -> list[list[int]]:
    """The indices of the images in each row; ``rows`` are the labels, if the block has them."""
    if block.labels is None:
        count = len(block.images)
        return [list(range(count))[start : start + columns] for start in range(0, count, columns)]
    return [torch.nonzero(block.labels.cpu() == row).flatten()[:columns].tolist() for row in rows]


def _name(label: int, classes: Sequence[str] | None) -> str:
    name = one_line(classes[label]) if classes is not None and label < len(classes) else str(label)
    return name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "…"


def _tile_size(sizes: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """Width and height of every picture on the grid: the largest ones of any block, scaled into bounds."""
    width, height = (max(sides) for sides in zip(*sizes, (1, 1), strict=True))
    longest = max(width, height)
    if longest <= _LARGE:
        scale = max(1, -(-_SMALL // longest))
        return width * scale, height * scale
    return max(1, width * _LARGE // longest), max(1, height * _LARGE // longest)


def _paste(sheet: Image.Image, picture: Image.Image, tile: tuple[int, int], at: tuple[int, int]) -> None:
    smaller = picture.width > tile[0] or picture.height > tile[1]
    picture = picture.resize(tile, Image.Resampling.BOX if smaller else Image.Resampling.NEAREST)
    sheet.paste(picture.convert("RGB"), at, picture.getchannel("A") if "A" in picture.getbands() else None)


def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """DejaVu Sans from matplotlib, which covers more scripts than Pillow's own font."""
    import matplotlib

    try:
        return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf", _TEXT)
    except OSError:
        return ImageFont.load_default(_TEXT)
