"""How the costs of generated samples grow, as a figure of six panels.

* samples: milliseconds per sample of ``Generator.sample``, by the side of images;
* batch and ratio: milliseconds per batch of ``GenerativeAugment`` from a generator, by either;
* loader: microseconds per image of a ``DataLoader`` of a blend of uint8 tensors, by its ratio, the number of workers
  and the number of sources.

In each panel all values take turns in each round. The figures are in benchmarks/results/speed.jsonl and
speed_growth.png.

    OMP_NUM_THREADS=1 python benchmarks/speed/growth.py --json
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

import genaug
from benchmarks.common.console import end
from benchmarks.common.figures import save
from benchmarks.common.generators import untrained
from benchmarks.common.pairs import alternate, median_interval, seconds
from benchmarks.speed.measured import Measurements, options_of

FIGURE = "speed_growth.png"
SIDE, BATCH, RATIO, CLASSES = 32, 128, 0.3, 10
SIDES, BATCHES, RATIOS = (16, 32, 48, 64), (32, 64, 128, 256, 512), (0.1, 0.3, 0.5, 0.7, 0.9)
BLENDED, WORKERS, SOURCES = (0.0, 0.25, 0.5, 0.75), (0, 1, 2, 4), (1, 2, 4, 8)
SAMPLES, IMAGES = 64, 8_192
Sides = Mapping[Any, Callable[[], float]]


def sampled(side: int) -> Callable[[], float]:
    generator = untrained((3, side, side))
    return lambda: 1e3 * seconds(partial(generator.sample, SAMPLES, seed=0)) / SAMPLES


def augmented(source: Any, batch: int, ratio: float) -> Callable[[], float]:
    augment = genaug.GenerativeAugment(source, ratio=ratio)
    images, labels = torch.rand(batch, 3, SIDE, SIDE), torch.arange(batch) % CLASSES
    return lambda: 1e3 * seconds(partial(augment, images, labels))


def loaded(pools: Sequence[Any], ratio: float, workers: int, images: int) -> Callable[[], float]:
    real = real_set(round(images * (1 - ratio)))
    shares = {str(number): ratio / len(pools) for number in range(len(pools))}
    named = dict(zip(shares, pools, strict=True))
    mixed: Any = genaug.MixedDataset(real, named, ratio=shares, refresh=None) if ratio else real
    loader = DataLoader(mixed, BATCH, shuffle=True, num_workers=workers, persistent_workers=workers > 0)

    def one_pass() -> None:
        for _ in loader:
            pass

    one_pass()  # starts the workers
    return lambda: 1e6 * seconds(one_pass) / len(mixed)


def real_set(count: int) -> TensorDataset:
    images: Tensor = torch.zeros(count, 3, SIDE, SIDE, dtype=torch.uint8)
    return TensorDataset(images, torch.arange(count) % CLASSES)


def panels(images: int) -> dict[str, tuple[str, str, Sides]]:
    """The label of each panel's axes, and its sides by their value on the first."""
    generator = untrained((3, SIDE, SIDE))
    pools = [genaug.SamplePool(generator, size=8 * BATCH) for _ in range(max(SOURCES))]
    loading = "loading, µs per image"
    return {
        "image size": ("side in pixels", "sampling, ms per image", {s: sampled(s) for s in SIDES}),
        "batch": ("batch", "augmenting, ms per batch", {b: augmented(generator, b, RATIO) for b in BATCHES}),
        "ratio": ("ratio", "augmenting, ms per batch", {r: augmented(generator, BATCH, r) for r in RATIOS}),
        "ratio of the blend": ("ratio", loading, {r: loaded(pools[:1], r, 0, images) for r in BLENDED}),
        "workers": ("workers", loading, {w: loaded(pools[:1], 0.5, w, images) for w in WORKERS}),
        "sources": ("sources", loading, {n: loaded(pools[:n], 0.5, 0, images) for n in SOURCES}),
    }


def draw(measured: Mapping[str, tuple[str, str, Mapping[Any, Sequence[float]]]], path: Path) -> None:
    """The figure, with the median of each value and its 95% interval."""
    figure = Figure(figsize=(11, 6))
    for place, (title, (across, up, values)) in zip(figure.subplots(2, 3).flat, measured.items(), strict=True):
        middles = [median_interval(each) for each in values.values()]
        below, above = [m - low for m, low, _ in middles], [high - m for m, _, high in middles]
        place.errorbar(list(values), [m for m, _, _ in middles], [below, above], marker="o", capsize=3)
        place.set(title=title, xlabel=across, ylabel=up, ylim=(0, None))
    figure.tight_layout()
    save(figure, path)


def main(argv: list[str] | None = None) -> None:
    parser = options_of(__doc__, rounds=9)
    parser.add_argument("--images", type=int, default=IMAGES, help=f"that a pass loads, by default {IMAGES:,}")
    options = parser.parse_args(argv)
    torch.manual_seed(0)
    measurements, measured = Measurements(options, "growth"), {}
    for title, (across, up, sides) in panels(options.images).items():
        for side in sides.values():
            side()  # warms the caches
        figures = alternate(sides, options.rounds)
        measured[title] = across, up, figures
        measurements.add(title, {str(value): each for value, each in figures.items()}, unit=up)
    draw(measured, options.results.parent / FIGURE)
    end(options, {"script": "growth", "rows": measurements.rows})


if __name__ == "__main__":
    main()
