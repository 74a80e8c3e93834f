"""Plots as inline SVG, in the page's light or dark colors, without files or scripts."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from genaug.escaping import in_html

_WIDTH, _SIDE, _ROW, _AXIS = 480, 16, 54, 34
_MARKS = 12  # numbers on the horizontal axis, at most


@dataclass(frozen=True)
class Row:
    """One row of a dot plot: a value per seed, their mean, a band from ``low`` to ``high``, and the result as text."""

    label: str
    values: Sequence[float]
    mean: float
    low: float | None
    high: float | None
    text: str
    highlight: bool = False


def percent_row(
    label: str,
    shares: Sequence[float],
    mean: float,
    band: tuple[float | None, float | None],
    text: str,
    highlight: bool,
) -> Row:
    """A row of shares in [0, 1], converted to percent or percentage points."""
    low, high = (None if bound is None else 100 * bound for bound in band)
    return Row(label, [100 * share for share in shares], 100 * mean, low, high, text, highlight)


def dot_plot(rows: Sequence[Row], *, axis: str, alt: str, zero: bool = False) -> str:
    """An SVG with one row per arm: a dot per seed, a tick at the mean, and the band. ``zero`` draws a line at 0."""
    values = [v for row in rows for v in (*row.values, row.mean, row.low, row.high) if v is not None]
    values += [0.0] if zero else []
    ticks = nice_ticks(min(values), max(values))

    def x(value: float) -> float:
        return _SIDE + (value - ticks[0]) / (ticks[-1] - ticks[0]) * (_WIDTH - 2 * _SIDE)

    bottom = len(rows) * _ROW + 6
    parts = [
        f'<svg class="plot" viewBox="0 0 {_WIDTH} {bottom + _AXIS}" role="img" aria-label="{in_html(alt)}">',
        f"<title>{in_html(alt)}</title>",
    ]
    for tick in ticks:
        kind = "zero" if zero and tick == 0 else "grid"
        parts.append(f'<line class="{kind}" x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="4" y2="{bottom}"/>')
        parts.append(f'<text class="tick" x="{x(tick):.1f}" y="{bottom + 14}">{_number(tick, ticks, zero)}</text>')
    parts.append(f'<text class="axis" x="{_WIDTH / 2}" y="{bottom + 30}">{in_html(axis)}</text>')
    for number, row in enumerate(rows):
        parts += _row(row, number * _ROW, x)
    return "\n".join([*parts, "</svg>"])


@dataclass(frozen=True)
class Curve:
    """A line through the (x, y) points ``at``; ``kind`` is a CSS class of the page.

    A single point is drawn as a horizontal line. The point of a ``baseline`` applies to every x, so its x isn't marked
    on the axis. Without ``dots``, only the line is drawn, and round numbers are marked instead of its points.
    """

    label: str
    at: Sequence[tuple[float, float]]
    kind: str
    baseline: bool = False
    dots: bool = True


def line_plot(curves: Sequence[Curve], *, x_axis: str, y_axis: str, alt: str) -> str:
    """An SVG of curves over common axes, with a legend below."""
    xs = sorted({x for curve in curves if not curve.baseline for x, _ in curve.at}) or [0.0]
    ys = nice_ticks(min(y for c in curves for _, y in c.at), max(y for c in curves for _, y in c.at))
    left, top, bottom, pad = 52, 12, 236, 24
    span_x, span_y = xs[-1] - xs[0], ys[-1] - ys[0]

    def place(x: float, y: float) -> tuple[float, float]:
        share = (x - xs[0]) / span_x if span_x else 0.5  # a single x is centered
        across = left + pad + share * (_WIDTH - _SIDE - left - 2 * pad)
        return across, bottom - (y - ys[0]) / span_y * (bottom - top)

    height = bottom + 48 + 18 * len(curves)
    parts = [
        f'<svg class="plot" viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{in_html(alt)}">',
        f"<title>{in_html(alt)}</title>",
    ]
    for tick in ys:
        y = place(xs[0], tick)[1]
        parts.append(f'<line class="grid" x1="{left}" x2="{_WIDTH - _SIDE}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="tick end" x="{left - 6}" y="{y + 4:.1f}">{_number(tick, ys, False)}</text>')
    marks = sorted({x for curve in curves if curve.dots and not curve.baseline for x, _ in curve.at})
    if len(marks) > _MARKS or (not marks and len(xs) > 1):
        marks = [x for x in nice_ticks(xs[0], xs[-1]) if xs[0] <= x <= xs[-1]]
    parts += [f'<text class="tick" x="{place(x, ys[0])[0]:.1f}" y="{bottom + 15}">{x:g}</text>' for x in marks or xs]
    parts.append(f'<text class="axis" x="{_WIDTH / 2}" y="{bottom + 32}">{in_html(f"{x_axis} · {y_axis}")}</text>')
    for number, curve in enumerate(curves):
        dots = [place(x, y) for x, y in curve.at]
        line = dots if len(dots) > 1 else [(left, dots[0][1]), (_WIDTH - _SIDE, dots[0][1])]
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in line)
        key = bottom + 52 + 18 * number
        parts += [f'<g class="curve {curve.kind}">', f'<polyline points="{points}"/>']
        if curve.dots and not curve.baseline:
            parts += [f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="3.2"/>' for x, y in dots]
        parts.append(f'<polyline points="{left},{key - 4} {left + 30},{key - 4}"/>')
        parts.append(f'<text x="{left + 40}" y="{key}">{in_html(curve.label)}</text></g>')
    return "\n".join([*parts, "</svg>"])


def nice_ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers that cover [low, high], about ``about`` of them, spaced by 1, 2 or 5 times a power of ten."""
    span = max(high - low, 1e-9)
    power = 10 ** math.floor(math.log10(span / about))
    step = min((m * power for m in (1, 2, 5, 10)), key=lambda s: abs(span / s - about))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(i * step, 10) for i in range(first, max(last, first + 1) + 1)]


def _number(value: float, ticks: Sequence[float], signed: bool) -> str:
    decimals = max(0, -math.floor(math.log10(ticks[1] - ticks[0]) + 1e-9))
    return f"{value:{'+' if signed and value else ''}.{decimals}f}".replace("-", "−")


def _row(row: Row, top: int, x: Callable[[float], float]) -> list[str]:
    middle = top + 36
    parts = [
        f'<g class="{"new" if row.highlight else "old"}">',
        f'<text class="label" x="{_SIDE}" y="{top + 19}">{in_html(row.label)}</text>',
        f'<text class="text" x="{_WIDTH - _SIDE}" y="{top + 19}">{in_html(row.text)}</text>',
    ]
    if row.low is not None and row.high is not None:
        left, width = x(row.low), max(x(row.high) - x(row.low), 1.0)
        parts.append(f'<rect class="band" x="{left:.1f}" y="{middle - 6}" width="{width:.1f}" height="12" rx="3"/>')
    spread = 8 / max(len(row.values) - 1, 1)
    for index, value in enumerate(row.values):
        y = middle + (index - (len(row.values) - 1) / 2) * spread  # offset, so that equal values stay visible
        parts.append(f'<circle class="dot" cx="{x(value):.1f}" cy="{y:.1f}" r="3.2"/>')
    mean = x(row.mean)
    parts.append(f'<line class="mean" x1="{mean:.1f}" x2="{mean:.1f}" y1="{middle - 9}" y2="{middle + 9}"/>')
    return [*parts, "</g>"]
