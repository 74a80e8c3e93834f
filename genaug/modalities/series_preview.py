"""Pictures of series: curves, real beside generated."""

import io
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import PIL.Image
from numpy.typing import NDArray
from PIL import ImageDraw
from torch import Tensor

_COLORS = ("#4c72b0", "#dd8452", "#55a868", "#c44e52", "#8172b3", "#937860")
_SIDE = (96, 64)  # width and height of a small picture, in pixels
_COLUMNS, _CHANNELS = 6, 6


def draw_curves(sample: Tensor, ranges: Sequence[tuple[float, float]] = ()) -> PIL.Image.Image:
    """The channels of a raw series (channels, steps) as curves, each within its range, by default its own; 96x64."""
    width, height = _SIDE
    picture = PIL.Image.new("RGB", _SIDE, "white")
    pen = ImageDraw.Draw(picture)
    values = sample.double().numpy()
    x = np.linspace(2, width - 3, values.shape[1])
    for channel, curve in enumerate(values):
        present = curve[~np.isnan(curve)]
        if len(present) == 0:
            continue
        low, high = ranges[channel] if ranges else (present.min(), present.max())
        y = height - 3 - (height - 6) * (curve - low) / ((high - low) or 1.0)
        points = list(zip(x.tolist(), y.tolist(), strict=True))
        for one, other in itertools.pairwise(points):
            if one[1] == one[1] and other[1] == other[1]:  # not NaN
                pen.line([one, other], _COLORS[channel % len(_COLORS)])
        for step in _isolated(curve):
            pen.point(points[step], _COLORS[channel % len(_COLORS)])
    return picture


def draw_preview(real: Tensor, generated: Tensor) -> PIL.Image.Image:
    """Real series above generated ones of the same classes, with up to six channels each, in common axes.

    One channel is in its own unit; of several, each is within its range among the real series that are shown.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = np.linspace(0, len(real) - 1, min(_COLUMNS, len(real))).astype(int).tolist()
    shown = {
        name: samples[rows, :_CHANNELS].double().numpy() for name, samples in (("real", real), ("generated", generated))
    }
    if shown["real"].shape[1] > 1:
        present = (
            np.nan_to_num(shown["real"], nan=np.inf).min((0, 2)),
            np.nan_to_num(shown["real"], nan=-np.inf).max((0, 2)),
        )
        low, high = (np.where(np.isfinite(bound), bound, 0)[:, None] for bound in present)
        shown = {name: (curves - low) / np.where(high > low, high - low, 1) for name, curves in shown.items()}
    figure = Figure(figsize=(2.4 * len(rows) + 0.4, 4.2), dpi=72, layout="constrained")
    FigureCanvasAgg(figure)
    grid: Any = figure.subplots(2, len(rows), sharex=True, sharey=True, squeeze=False)
    for line, (name, series) in zip(grid, shown.items(), strict=True):
        line[0].set_ylabel(name, fontsize=9)
        for axes, curves in zip(line, series, strict=True):
            for channel, curve in enumerate(curves):
                color, dots = _COLORS[channel % len(_COLORS)], _isolated(curve)
                axes.plot(curve, color=color, linewidth=1)
                axes.plot(dots, curve[dots], ".", color=color, markersize=3)
            axes.tick_params(labelsize=6)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return PIL.Image.open(io.BytesIO(buffer.getvalue())).convert("RGB")


def _isolated(curve: NDArray[np.float64]) -> NDArray[np.int64]:
    """The steps with a value whose neighbors have none, which no line goes through."""
    absent = np.pad(np.isnan(curve), 1, constant_values=True)
    return np.flatnonzero(~absent[1:-1] & absent[:-2] & absent[2:])
