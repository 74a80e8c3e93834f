"""Pictures of series: curves, real beside generated."""

import io
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import PIL.Image
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
    return picture


def draw_preview(real: Tensor, generated: Tensor) -> PIL.Image.Image:
    """Real series above generated ones of the same classes, with up to six channels each, in common axes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = np.linspace(0, len(real) - 1, min(_COLUMNS, len(real))).astype(int).tolist()
    figure = Figure(figsize=(2.4 * len(rows) + 0.4, 4.2), dpi=72, layout="constrained")
    FigureCanvasAgg(figure)
    grid: Any = figure.subplots(2, len(rows), sharex=True, sharey=True, squeeze=False)
    for column, row in enumerate(rows):
        for axes, samples, name in ((grid[0][column], real, "real"), (grid[1][column], generated, "generated")):
            for channel, curve in enumerate(samples[row][:_CHANNELS].numpy()):
                axes.plot(curve, color=_COLORS[channel % len(_COLORS)], linewidth=1)
            axes.tick_params(labelsize=6)
            if column == 0:
                axes.set_ylabel(name, fontsize=9)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return PIL.Image.open(io.BytesIO(buffer.getvalue())).convert("RGB")
