"""Digits rendered from fonts, refined by SimGAN (Shrivastava et al. 2017), as training images for handwritten digits.

Digits are drawn with the fonts that matplotlib ships, with random slant, stroke and shift. simgan learns from them and
from MNIST's training images, whose labels nobody reads. A classifier is then trained on the rendered images as they
are (raw), and another one on the refined ones with the labels of the rendered ones; both are tested on MNIST's test
images. Labels are kept as often as a classifier of real training images gives a refined image the rendered one's label.

    OMP_NUM_THREADS=1 python benchmarks/papers/refine.py --root MNIST_ROOT --json

The targets: the mean gain of refined over raw images over the seeds has a 95% interval above 0 (Student's t, paired by
seed), and in every seed 95% of the labels are kept. Nothing is selected: the networks are those of the last step.
The paper refines images of eyes and hands; there is no figure for digits in it.
"""

import statistics
import time
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import TensorDataset

from benchmarks.common import console
from benchmarks.common.console import cost, end, markdown, say, with_first_seed
from benchmarks.common.judge import labelled, read, train_judge
from benchmarks.common.paired import interval
from benchmarks.common.record import RESULTS, Record
from benchmarks.common.rendering import rendered_digits
from benchmarks.common.runs import fitted
from genaug.data import Unpaired
from genaug.data.reading import Samples
from genaug.nn.classifier import accuracy
from genaug.reports.sheet import Block, draw_sheet, save_sheet
from genaug.sources.generator import Generator

NAME = "refine"
RUNS = Path("runs/papers/refine")  # training runs; interrupted ones are continued
TARGET = 0.95  # of the labels
RENDERED, STEPS, BATCH, UPDATES = 20_000, 4000, 64, 2000
CONFIG: dict[str, Any] = {"width": 32, "blocks": 4, "regularization": 5.0}
CHUNK, SHOWN = 1000, 40


def main(argv: list[str] | None = None) -> None:
    parser = with_first_seed(console.arguments(__doc__, data="torchvision:MNIST", seeds=5))
    options = parser.parse_args(argv)

    @cache
    def material() -> tuple[Samples, Samples]:
        return read(options.data, options.root)

    def run(key: dict[str, Any]) -> dict[str, Any]:
        row = measure(key, *material())
        say(f"seed {key['seed']}: raw {row['raw']:.2%}, refined {row['refined']:.2%}, labels kept {row['kept']:.2%}")
        return row

    seeds = range(options.first_seed, options.first_seed + options.seeds)
    rows = Record(RESULTS / f"{NAME}.jsonl").finish([key_of(options.data, seed) for seed in seeds], run)
    tell(rows)
    end(options, summary(rows))


def key_of(data: str, seed: int) -> dict[str, Any]:
    """The settings under which a run is recorded."""
    training = {"steps": STEPS, "batch_size": BATCH}
    return {
        "data": data,
        "seed": seed,
        "rendered": RENDERED,
        "config": CONFIG,
        "training": training,
        "judge_updates": UPDATES,
    }


def measure(key: Mapping[str, Any], train: Samples, test: Samples) -> dict[str, Any]:
    """The accuracies on real test images after training on raw and on refined images, and the share of labels kept."""
    began, seed = time.monotonic(), key["seed"]
    images, labels = rendered_digits(key["rendered"], seed)
    data = Unpaired(TensorDataset(images, labels), TensorDataset(train.x), names=("rendered", "real"))
    refiner, seconds = fitted(RUNS, "simgan", data, key, config=key["config"], **key["training"])
    versions = {"raw": images, "refined": refined(refiner, images)}
    learn = {"updates": key["judge_updates"], "seed": seed}
    real = train_judge(*labelled(train), 10, **learn)
    accuracies = {
        name: accuracy(train_judge(version, labels, 10, **learn), *labelled(test)) for name, version in versions.items()
    }
    if seed == 0:
        blocks = [Block(version[:SHOWN], None, name) for name, version in {**versions, "real": train.x}.items()]
        RESULTS.mkdir(parents=True, exist_ok=True)
        save_sheet(RESULTS / f"{NAME}.png", draw_sheet(*blocks))
    return {
        **accuracies,
        "kept": accuracy(real, versions["refined"], labels),
        "kept_raw": accuracy(real, images, labels),
        "real": accuracy(real, *labelled(test)),
        "training_seconds": seconds,
        "seconds": round(time.monotonic() - began, 1),
    }


def refined(refiner: Generator, images: Tensor) -> Tensor:
    return torch.cat([refiner.translate(part, seed=0).cpu() for part in images.split(CHUNK)])


def tell(rows: list[dict[str, Any]]) -> None:
    names = ("raw", "refined", "kept", "kept_raw", "real")
    head = ["seed", "trained on raw", "on refined", "labels kept", "raw images recognized", "trained on real"]
    print(markdown(head, [[row["seed"], *(f"{row[name]:.2%}" for name in names)] for row in rows]))
    say(f"{len(rows)} seeds like these take {cost(statistics.mean(row['seconds'] for row in rows), len(rows))}")


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """One flat object: means over the seeds, the gain with its interval, and whether the targets are met."""
    gains = [row["refined"] - row["raw"] for row in rows]
    mean, low, high = interval(gains)
    kept = min(row["kept"] for row in rows)
    return {
        "script": NAME,
        "seeds": len(rows),
        **{name: statistics.mean(row[name] for row in rows) for name in ("raw", "refined", "real", "kept")},
        "gain": mean,
        "gain_low": low,
        "gain_high": high,
        "least_kept": kept,
        "met": low is not None and low > 0 and kept >= TARGET,
    }


if __name__ == "__main__":
    main()
