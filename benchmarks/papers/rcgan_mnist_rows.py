"""MNIST's digits as series, row by row: how useful are those of a recurrent GAN to a classifier?

Esteban et al. 2017, section 5: each image is a series of 28 steps, its rows, with 28 channels, and its label is the
condition. TSTR is the accuracy of a classifier that is trained on generated digits and tested on real ones, TRTS the
reverse; the classifier is a small CNN of images. The paper chooses the epoch of the generator and that of the
classifier on a validation set. Here both are those after the last step, and the test images are used once.

Networks get each channel with a standard deviation of 1. The columns at the border are nearly always 0, so that the few
pixels there would be hundreds of deviations from the mean. Therefore the columns of each row are rotated by the row's
number, which gives all channels much the same distribution, and rotated back before a classifier gets them.

    python benchmarks/papers/rcgan_mnist_rows.py --root MNIST_ROOT --json

Finished seeds are in benchmarks/results/rcgan_mnist_rows.jsonl. Seeds from 100 on are for tuning.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from statistics import mean
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.utils import make_grid

from benchmarks.common.console import arguments, cost, end, mean_and_range, parse_settings, say, seeds_of
from benchmarks.common.figures import montage
from benchmarks.common.judge import labelled, read, train_judge
from benchmarks.common.record import RESULTS, Record
from benchmarks.papers.rcgan_waves import train, tstr_and_trts
from genaug.nn.classifier import accuracy as accuracy_of

NAME = "rcgan_mnist_rows"
CONFIG = {"latent_size": 32, "hidden": 128}
TARGET = 0.93  # of TSTR
PAPER = {"real": 0.991, "tstr": 0.975, "trts": 0.988}
HOURS = 0.5  # of a seed, on one core


def series_of(images: Tensor) -> Tensor:
    """Images, uint8 (N, 1, height, width), as series, float32 (N, width, height) in [0, 1]: a step per row, whose
    columns are rotated by the number of the row."""
    height, width = images.shape[2:]
    rows, channels = torch.arange(height), torch.arange(width)[:, None]
    return images[:, 0, rows, (channels + rows) % width].float() / 255


def images_of(series: Tensor) -> Tensor:
    """The reverse of ``series_of``."""
    width, height = series.shape[1:]
    rows, columns = torch.arange(height)[:, None], torch.arange(width)
    images = series[:, (columns - rows) % width, rows]
    return (255 * images).round().clamp(0, 255).byte()[:, None]


def accuracy(model: nn.Module, series: Tensor, labels: Tensor) -> float:
    return accuracy_of(model, images_of(series), labels)


def train_classifier(series: Tensor, labels: Tensor, classes: int, updates: int, seed: int) -> nn.Module:
    return train_judge(images_of(series), labels, classes, updates=updates, seed=seed)


def run(key: dict[str, Any], root: str | None) -> dict[str, Any]:
    """Train a generator and measure it."""
    seed = key["seed"]
    real, test = ((series_of(x), labels) for x, labels in map(labelled, read(key["data"], root)))
    generator, seconds = train(*real, key)
    classes = int(real[1].max()) + 1
    classifier = partial(train_classifier, classes=classes, updates=key["updates"], seed=seed)
    result, fake = tstr_and_trts(generator, real, test, classifier, accuracy, seed)
    if seed == 0:
        pictures = {name: grid(images_of(x), test[1], classes) for name, x in (("real", test[0]), ("generated", fake))}
        montage(RESULTS / f"{NAME}.png", pictures, 2, f"Digits row by row, seed {seed}")
    say(f"seed {seed}: " + ", ".join(f"{name} {value:.4f}" for name, value in result.items()))
    return {"cpu_seconds": seconds, **result}


def grid(images: Tensor, labels: Tensor, classes: int) -> Any:
    """The first ten images of every class, a row per class."""
    rows = [images[labels == label][:10] for label in range(classes)]
    return make_grid([image for row in rows for image in row], nrow=10).permute(1, 2, 0).numpy()


def summary(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Means over the seeds, their extremes, and whether the target is met by the mean."""
    result: dict[str, Any] = {"seeds": len(rows)}
    for name in ("real", "tstr", "trts"):
        values = [row[f"{name}_accuracy"] for row in rows]
        result |= {f"{name}_accuracy_mean": mean(values), f"{name}_accuracy_min": min(values)}
        say(f"{name:<6} {mean_and_range(values, '.2%')}; the paper: {PAPER[name]:.1%}")
    met = result["tstr_accuracy_mean"] >= TARGET
    return {**result, "target_tstr_met": met, "hours": sum(row["cpu_seconds"] for row in rows) / 3600}


def main(argv: Sequence[str] | None = None) -> None:
    parser = arguments(__doc__, data="torchvision:MNIST", seeds=2, first_seed=True)
    parser.add_argument("--results", type=Path, default=RESULTS / f"{NAME}.jsonl", help="of finished seeds")
    parser.add_argument("--steps", type=int, default=10_000, help="of a training; by default 10,000")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--updates", type=int, default=1500, help="of a classifier")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], help="options of the backend")
    options = parser.parse_args(argv)
    names = ("data", "steps", "batch_size", "updates", "threads")
    common = {name: getattr(options, name) for name in names}
    common["config"] = CONFIG | parse_settings(options.set)
    say(f"about {cost(3600 * HOURS, options.seeds)} on one idle core")
    keys = [{"seed": seed, **common} for seed in seeds_of(options)]
    end(options, summary(Record(options.results).finish(keys, partial(run, root=options.root))))


if __name__ == "__main__":
    main()
