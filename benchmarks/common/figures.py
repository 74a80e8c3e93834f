"""Figures next to the records."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure


def save(figure: Figure, path: Path, dpi: int = 90) -> None:
    """Write a figure as PNG, atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path.with_suffix(".part"), format="png", dpi=dpi)
    path.with_suffix(".part").replace(path)


def montage(path: Path, pictures: Mapping[str, Any], columns: int, title: str) -> None:
    """Sample grids as the subplots of one PNG."""
    rows = -(-len(pictures) // columns)
    figure = Figure(figsize=(3.2 * columns, 3.5 * rows + 0.4))
    axes = figure.subplots(rows, columns, squeeze=False)
    for place in axes.flat:
        place.axis("off")
    for place, (name, picture) in zip(axes.flat, pictures.items(), strict=False):
        place.imshow(picture, interpolation="antialiased")
        place.set_title(name, fontsize=9)
    figure.suptitle(title, fontsize=10)
    figure.tight_layout()
    save(figure, path)
