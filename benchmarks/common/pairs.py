"""Paired measurements: several sides take turns within one run, and are compared within a round."""

import statistics
import time
from collections.abc import Callable, Iterable, Mapping

import torch
from scipy.stats import binom


def alternate(sides: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """The figure of each side in each round, such as its seconds. Every second round goes in the reverse order."""
    figures: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds):
        for name in reversed(sides) if number % 2 else sides:
            figures[name].append(sides[name]())
    return figures


def seconds(work: Callable[[], object], device: torch.device | None = None) -> float:
    """How long a call takes on the clock, with what it leaves a GPU to do."""
    finish(device)
    began = time.perf_counter()
    work()
    finish(device)
    return time.perf_counter() - began


def finish(device: torch.device | None) -> None:
    """Wait for what a GPU was given to do."""
    if device is not None and device.type == "cuda":
        torch.cuda.synchronize(device)


def median_interval(values: Iterable[float]) -> tuple[float, float, float]:
    """The median and its 95% interval from order statistics (binomial, without assumptions on the noise)."""
    ordered = sorted(values)
    outside = max(int(binom.ppf(0.025, len(ordered), 0.5)), 1)
    return statistics.median(ordered), ordered[outside - 1], ordered[-outside]
