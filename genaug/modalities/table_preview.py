"""Pictures of tables: how columns are distributed and associated, real beside generated, and a row as text."""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import PIL.Image
from numpy.typing import NDArray
from PIL import ImageDraw
from torch import Tensor

from genaug.escaping import one_line
from genaug.modalities.columns import MISSING, Column, Numeric

Groups = NDArray[np.int64]

_COLUMNS = 12  # of the picture
_GROUPS = 10  # of a column's values
_TITLE = 24  # characters
_COLORS = ("#4c72b0", "#dd8452")


def draw_preview(columns: Sequence[Column], real: Tensor, generated: Tensor) -> PIL.Image.Image:
    """The distribution of up to 12 columns in both sets of raw rows, and Cramér's V of all pairs of them."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shown = [i for i, column in enumerate(columns) if not column.is_constant][:_COLUMNS]
    groups = [grouped(columns[i], real[:, i], generated[:, i]) for i in shown]
    sides = ([real_groups for real_groups, _, _ in groups], [generated_groups for _, generated_groups, _ in groups])
    rows = -(-len(shown) // 4)
    figure = Figure(figsize=(12, 2 * rows + 4), dpi=72, layout="constrained")
    FigureCanvasAgg(figure)
    parts: Any = figure.subfigures(2, 1, height_ratios=[2 * rows, 4])
    upper, lower = parts
    for number, (i, (first, second, names)) in enumerate(zip(shown, groups, strict=True)):
        axes = upper.add_subplot(rows, 4, number + 1)
        for offset, (values, label) in enumerate(((first, "real"), (second, "generated"))):
            shares = np.bincount(values, minlength=len(names)) / max(len(values), 1)
            axes.bar(np.arange(len(names)) + 0.4 * offset, shares, 0.4, color=_COLORS[offset], label=label)
        axes.set_title(_short(columns[i].name), fontsize=9, parse_math=False)
        axes.set_xticks(np.arange(len(names)) + 0.2)
        axes.set_xticklabels(names, fontsize=6, rotation=60, ha="right", parse_math=False)
        axes.tick_params(axis="y", labelsize=6)
        if number == 0:
            axes.legend(fontsize=7)
    for number, title in enumerate(("association, real", "association, generated")):
        axes = lower.add_subplot(1, 2, number + 1)
        picture = axes.imshow(associations(sides[number]), vmin=0, vmax=1, cmap="viridis")
        axes.set_title(title, fontsize=9)
        ticks = [_short(columns[i].name) for i in shown]
        axes.set_xticks(range(len(shown)))
        axes.set_xticklabels(ticks, fontsize=6, rotation=60, ha="right", parse_math=False)
        axes.set_yticks(range(len(shown)))
        axes.set_yticklabels(ticks, fontsize=6, parse_math=False)
        lower.colorbar(picture, ax=axes)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return PIL.Image.open(io.BytesIO(buffer.getvalue())).convert("RGB")


def grouped(column: Column, real: Tensor, generated: Tensor) -> tuple[Groups, Groups, list[str]]:
    """The values of both sets in at most 10 groups, and one for missing values: numbers of groups, int64 (N,), and the
    groups' names. Numbers are grouped by the real ones' quantiles; of categories, the rarer ones are one group."""
    if isinstance(column, Numeric):
        groups, names = _intervals(column, real, generated)
    else:
        groups, names = _frequent(column, real, generated)
    for values, group in zip((real, generated), groups, strict=True):
        group[values.numpy() == MISSING] = len(names)
    return groups[0], groups[1], [*names, "(missing)"] if column.missing else names


def _intervals(column: Numeric, real: Tensor, generated: Tensor) -> tuple[list[Groups], list[str]]:
    numbers = [column.numbers(values).double().numpy() for values in (real, generated)]
    present = numbers[0][real.numpy() != MISSING]
    if len(present) == 0:
        return [np.zeros(len(values), np.int64) for values in numbers], ["-"]
    edges = np.unique(np.quantile(present, np.linspace(0, 1, _GROUPS + 1)[1:-1], method="higher"))
    starts = [present.min(), *edges[edges > present.min()]]
    names = [_text(column, start) for start in starts]
    return [np.searchsorted(starts[1:], values, side="right").astype(np.int64) for values in numbers], names


def _text(column: Numeric, number: float) -> str:
    if column.kind != "date":
        return f"{number:.4g}"
    unit = column.dtype.partition("[")[2].rstrip("]").partition(",")[0] or "ns"
    return str(np.array(int(number)).astype(f"{column.dtype.partition('64')[0]}64[{unit}]"))[:10]


def _frequent(column: Any, real: Tensor, generated: Tensor) -> tuple[list[Groups], list[str]]:
    counts = real[real != MISSING].bincount(minlength=len(column.categories))
    kept = counts.argsort(descending=True, stable=True)[:_GROUPS].tolist()
    rest = [code for code in column.levels if code not in kept]
    names = [_short(column.categories[code]) for code in kept] + (["(others)"] if rest else [])
    numbers = np.full(len(column.categories) + 1, len(kept))
    numbers[kept] = np.arange(len(kept))
    return [numbers[values.masked_fill(values == MISSING, 0).numpy()] for values in (real, generated)], names


def associations(groups: list[Groups]) -> NDArray[np.float64]:
    """Cramér's V of all pairs of columns of groups, (columns, columns), in [0, 1]; 0 for one with a single group."""
    values = np.zeros((len(groups), len(groups)))
    for i, one in enumerate(groups):
        for j, other in enumerate(groups[: i + 1]):
            values[i, j] = values[j, i] = _cramers_v(one, other)
    return values


def _cramers_v(one: Groups, other: Groups) -> float:
    shape = one.max(initial=0) + 1, other.max(initial=0) + 1
    table = np.bincount(one * shape[1] + other, minlength=shape[0] * shape[1]).reshape(shape).astype(np.float64)
    table = table[table.sum(1) > 0][:, table.sum(0) > 0]
    if min(table.shape, default=0) < 2:
        return 0.0
    expected = table.sum(1, keepdims=True) * table.sum(0, keepdims=True) / table.sum()
    statistic = ((table - expected) ** 2 / expected).sum()
    return float(np.sqrt(statistic / (table.sum() * (min(table.shape) - 1))))


def draw_row(columns: Sequence[Column], sample: Tensor) -> PIL.Image.Image:
    """A row as lines of text, "name: value"."""
    lines = []
    for column, raw in zip(columns[: 2 * _COLUMNS], sample.tolist(), strict=False):
        value = "-" if raw == MISSING else column.text(raw)
        lines.append(f"{_short(column.name)}: {_short(value)}")
    text = "\n".join(lines).encode("latin-1", "replace").decode("latin-1")  # which Pillow's own font has
    width, height = 8 * max(map(len, lines), default=1) + 8, 14 * len(lines) + 8
    picture = PIL.Image.new("RGB", (width, height), "white")
    ImageDraw.Draw(picture).multiline_text((4, 4), text, "black")
    return picture


def _short(value: Any) -> str:
    text = one_line(str(value))
    return text if len(text) <= _TITLE else text[: _TITLE - 1] + "…"
