"""Two Gaussians to classify: generated data reduces the gap between training and test loss if it is large, and
otherwise has no effect.

Zheng et al. 2023 (arXiv 2305.17476), the set-up of their code: labels y = ±1, x ~ N(y mu, s² I) in d dimensions,
|mu| = 1, s = .6, m training points. The generator is fitted to these: a mean per class, and for each dimension the
average of the classes' unbiased variances. The classifier is theta = mean of y x over the training points and gamma m
generated ones; its loss is |x - y theta|² / (2 s²). Their theorem is about the gap, the absolute difference of the loss
on all training points and on new points: generated data improves it by a constant factor if m is small and d is
large, but never its rate in m.

The reason: without generated data, training and test loss differ by d / m on average, plus chance. With very much of
it, the mean of the difference is 0, and the rest is the error of the fitted variances, on average .8 sqrt(d / (2 (m -
2))). That is less than d / m where d is well above m / 3, and only there. It takes the unbiased variances: with those
of maximum likelihood, which are smaller by 2 / m of themselves, d / m would be left.

Here the losses and errors on new points are exact expectations instead of averages over a test set. The error of the
classifier itself, which isn't part of the theorem, is reported too: theta only gets noisier.

    python benchmarks/papers/zheng_toy.py --seeds 10 --json

A seed is 100 draws of a training set, for each of which all gammas are tried.
"""

import math
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from benchmarks.common.console import arguments, cost, end, markdown, say
from benchmarks.common.figures import save
from benchmarks.common.record import RESULTS, Record

NAME = "zheng_toy"
SIGMA, DRAWS = 0.6, 100
GAMMAS = (0, 1, 2, 5, 10, 20, 50)
MANY = 50  # the gamma whose gap is compared with that of 0
WIDE, NARROW = (50, 10), (1, 40)  # (d, m) of the authors' two figures over gamma: much overfitting, and none
DIMENSIONS = [(d, 10) for d in (2, 10, 20, 100)]
SIZES = [(1, m) for m in (20, 100, 200, 500)]
SETTINGS = [WIDE, NARROW, *DIMENSIONS, *SIZES]
MOST_WIDE, LEAST_NARROW, RATES_APART = 0.5, 0.95, 0.05


def main(argv: list[str] | None = None) -> None:
    parser = arguments(__doc__, seeds=10)
    parser.add_argument("--draws", type=int, default=DRAWS, help="of a training set, in each seed")
    options = parser.parse_args(argv)
    settings = {"draws": options.draws, "gammas": list(GAMMAS), "sigma": SIGMA}
    keys = [{"seed": seed, **settings} for seed in range(options.seeds)]
    rows = Record(RESULTS / f"{NAME}.jsonl").finish(keys, lambda key: run(key["seed"], key["draws"]))
    say(f"{options.seeds} seeds like these take {cost(statistics.mean(row['seconds'] for row in rows), options.seeds)}")
    tell(rows)
    draw(rows, RESULTS / f"{NAME}.png")
    end(options, {**summary(rows), "seeds": options.seeds, "draws": options.draws})


def run(seed: int, draws: int) -> dict[str, Any]:
    """The mean gap and classifier's error of every setting and gamma."""
    began, results = time.perf_counter(), {}
    for d, m in SETTINGS:
        random = torch.Generator().manual_seed(1_000_003 * seed + 1009 * d + m)
        means = torch.tensor([one_draw(d, m, random) for _ in range(draws)], dtype=torch.float64).mean(0)
        results[setting_key(d, m)] = {"gap": means[:, 0].tolist(), "error": means[:, 1].tolist()}
    return {**results, "seconds": round(time.perf_counter() - began, 1)}


def setting_key(d: int, m: int) -> str:
    return f"d{d}_m{m}"


def one_draw(d: int, m: int, random: torch.Generator) -> list[tuple[float, float]]:
    """The gap and the classifier's error for each gamma, from one training set."""
    mu = torch.full((d,), d**-0.5, dtype=torch.float64)
    y = signs(m)
    x = y[:, None] * mu + SIGMA * torch.randn(m, d, generator=random, dtype=torch.float64)
    classes = [x[y == sign] for sign in (-1, 1)]
    low, high = (points.mean(0) for points in classes)
    spread = torch.stack([points.var(0) for points in classes]).mean(0).sqrt()
    results = []
    for gamma in GAMMAS:
        label = signs(gamma * m)
        noise = torch.randn(gamma * m, d, generator=random, dtype=torch.float64)
        generated = torch.where(label[:, None] > 0, high, low) + spread * noise
        results.append(measure(torch.cat([x, generated]), torch.cat([y, label]), mu))
    return results


def signs(count: int) -> Tensor:
    """-1, 1, -1, 1, ...: equally many of both classes."""
    return torch.arange(count, dtype=torch.float64) % 2 * 2 - 1


def measure(x: Tensor, y: Tensor, mu: Tensor) -> tuple[float, float]:
    """The gap of the classifier of these points, and its error on new ones."""
    theta = (y[:, None] * x).mean(0)
    trained = (x - y[:, None] * theta).square().sum(1).mean() / (2 * SIGMA**2)
    new = len(mu) / 2 + (theta - mu).square().sum() / (2 * SIGMA**2)
    error = torch.special.ndtr(-(theta @ mu) / (SIGMA * theta.norm()))
    return float((trained - new).abs()), float(error)


def ratio(row: dict[str, Any], d: int, m: int) -> float:
    """The gap with MANY generated points over that without."""
    gaps = row[setting_key(d, m)]["gap"]
    return float(gaps[GAMMAS.index(MANY)] / gaps[0])


def error_change(row: dict[str, Any], d: int, m: int) -> float:
    """What MANY generated points do to the classifier's error."""
    errors = row[setting_key(d, m)]["error"]
    return float(errors[GAMMAS.index(MANY)] - errors[0])


def rate(row: dict[str, Any], gamma: int) -> float:
    """The power of m with which the gap falls in one dimension: a slope on logarithmic scales."""
    sizes = sorted(m for d, m in SETTINGS if d == 1)
    gaps = [row[setting_key(1, m)]["gap"][GAMMAS.index(gamma)] for m in sizes]
    return float(np.polyfit(np.log(sizes), np.log(gaps), 1)[0])


def rate_change(row: dict[str, Any]) -> float:
    return abs(rate(row, MANY) - rate(row, 0))


def expected(d: int, m: int) -> tuple[float, float]:
    """The gap without and with very many generated points, for d well above m / 3 (module docstring)."""
    return d / m, math.sqrt(2 / math.pi) * math.sqrt(d / (2 * (m - 2)))


def tell(rows: list[dict[str, Any]]) -> None:
    lines = []
    for d, m in SETTINGS:
        gaps = [statistics.mean(row[setting_key(d, m)]["gap"][i] for row in rows) for i in range(len(GAMMAS))]
        errors = statistics.mean(error_change(row, d, m) for row in rows)
        lines.append([f"d = {d}, m = {m}", *(f"{gap:.3f}" for gap in gaps), f"{100 * errors:+.2f}"])
    print(markdown(["gap", *(f"gamma {gamma}" for gamma in GAMMAS), "error, points"], lines))
    powers = [f"{statistics.mean(rate(row, gamma) for row in rows):.2f}" for gamma in (0, MANY)]
    print(f"the gap falls with m to the power of {powers[0]} without generated points, {powers[1]} with {MANY} m")
    print("Zheng et al. 2023: a gain at d = 50, m = 10, none at d = 1, and the same rate in m (figures only)")


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    wide, narrow = ([ratio(row, *setting) for row in rows] for setting in (WIDE, NARROW))
    apart = [rate_change(row) for row in rows]
    return {
        "gap_ratio_d50_m10_median": statistics.median(wide),
        "gap_ratio_d50_m10_max": max(wide),
        "gain_where_theory_says_gain": max(wide) <= MOST_WIDE,
        "gap_ratio_d1_m40_median": statistics.median(narrow),
        "none_where_theory_says_none": statistics.median(narrow) >= LEAST_NARROW,
        "rates_apart_median": statistics.median(apart),
        "same_rate": statistics.median(apart) <= RATES_APART,
        "error_change_points_d50_m10": 100 * statistics.median(error_change(row, *WIDE) for row in rows),
        "error_change_points_d1_m40": 100 * statistics.median(error_change(row, *NARROW) for row in rows),
    }


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """The gap over gamma where theory says gain and where it says none, and over m with and without."""
    figure = Figure(figsize=(11, 3.4), layout="constrained")
    axes = figure.subplots(1, 3)
    for axis, (d, m), word in zip(axes, (WIDE, NARROW), ("gain", "none"), strict=False):
        for row in rows:
            axis.plot(range(len(GAMMAS)), row[setting_key(d, m)]["gap"], color="#4477aa", linewidth=0.8)
        axis.set(
            title=f"d = {d}, m = {m}: theory says {word}", xlabel="generated points / m", ylabel="gap", ylim=(0, None)
        )
        axis.set_xticks(range(len(GAMMAS)), [str(gamma) for gamma in GAMMAS])
    for value, style in zip(expected(*WIDE), ("--", ":"), strict=True):
        axes[0].axhline(value, color="#cc6677", linestyle=style)
    sizes = sorted(m for d, m in SETTINGS if d == 1)
    for gamma in (0, MANY):
        gaps = [statistics.mean(row[setting_key(1, m)]["gap"][GAMMAS.index(gamma)] for row in rows) for m in sizes]
        axes[2].plot(sizes, gaps, "o-", label=f"{gamma} m generated")
    axes[2].set(xscale="log", yscale="log", xlabel="m", ylabel="gap", title="d = 1: the same rate in m")
    axes[2].set_xticks(sizes, [str(m) for m in sizes])
    axes[2].minorticks_off()
    axes[2].legend()
    save(figure, path)


if __name__ == "__main__":
    main()
