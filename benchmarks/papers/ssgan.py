"""Semi-supervised MNIST: the test error of a GAN's classifier that was trained with ten labels per class.

Salimans et al. 2016, section 6.1: 100 labels, 10 per class, and all 60,000 training images without labels. A draw
chooses the labeled images and seeds the training. What counts is the averaged classifier after the last step, on the
10,000 test images, which nothing else is measured on; the paper's error is 93 +- 6.5 test images over ten draws.

    python benchmarks/papers/ssgan.py --root MNIST_ROOT --draws 3 --json
"""

import argparse
import copy
import hashlib
import json
import statistics
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import genaug
from benchmarks.common import console
from benchmarks.common.console import cost, end, markdown, parse_settings, say
from benchmarks.common.judge import labelled
from benchmarks.common.record import RESULTS, Record
from genaug.backends import registry
from genaug.backends.backend import parse_config
from genaug.data.datasets import few_per_class, load_data
from genaug.data.reading import read_samples
from genaug.sources.generator import Generator
from genaug.training.checkpoint import newest_checkpoint, newest_step
from genaug.training.run_folder import RunFolder

NAME = "ssgan"
RUNS = Path("runs/papers")  # training runs; interrupted ones are continued
BATCH = 200  # half of it labeled
STEPS = 50_000
CONFIG = {"label_weight": 1e-6}  # practically the paper's generator, which takes no labels
TARGET, STRETCH, PAPER = 0.012, 0.0093, 0.0093


def arguments() -> argparse.ArgumentParser:
    parser = console.arguments(__doc__, data="torchvision:MNIST")
    parser.add_argument("--draws", type=int, default=3, help="draws of the labels; by default 3")
    parser.add_argument("--first-draw", type=int, default=0, help="tune on draws of 100 and above, report 0, 1, ...")
    parser.add_argument("--per-class", type=int, default=10, help="labels per class; by default 10")
    parser.add_argument("--steps", type=int, default=STEPS, help=f"by default {STEPS:,}")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="an option of ssgan")
    return parser


def main(argv: list[str] | None = None) -> None:
    options = arguments().parse_args(argv)
    parsed = parse_config(NAME, registry.resolve(NAME).Config, CONFIG | parse_settings(options.set))
    config: dict[str, Any] = parsed.model_dump(mode="json")
    record, rows = Record(RESULTS / f"{NAME}.jsonl"), []
    for draw in range(options.first_draw, options.first_draw + options.draws):
        key = {
            "seed": draw,
            "data": options.data,
            "per_class": options.per_class,
            "steps": options.steps,
            "batch_size": BATCH,
            "config": config,
        }
        rows += record.finish([key], lambda key: train_and_test(key, options.root))
        row = rows[-1]
        say(f"draw {draw}: {row['errors']} of {row['test_images']} test images wrong ({row['error']:.2%})")
        seconds = [row["seconds"] for row in rows if row["seconds"] is not None]
        say(f"a full run of {options.draws} draws takes {cost(statistics.mean(seconds or [0]), options.draws)}")
    tell(rows, options)


def train_and_test(key: Mapping[str, Any], root: str | None) -> dict[str, Any]:
    """The errors of one draw's classifier on the test images."""
    generator, last, seconds = train(key, root)
    test = read_samples(load_data(key["data"], split="test", root=root))
    images, labels = labelled(test)
    wrong = count_errors(generator, images, labels)
    return {
        "errors": wrong,
        "error": round(wrong / len(images), 6),
        "errors_not_averaged": count_errors(last, images, labels),
        "test_images": len(images),
        "labels": generator.training["labels"],
        "seconds": seconds,
    }


def train(key: Mapping[str, Any], root: str | None) -> tuple[Generator, Generator, float | None]:
    """The averaged generator, the same with the weights of the last step, and the time of a complete training (None if
    it was already finished)."""
    digest = hashlib.sha256(json.dumps(dict(key), sort_keys=True).encode()).hexdigest()[:8]
    out = RUNS / NAME / f"draw-{key['seed']}-{key['steps']}-steps-{digest}"
    data, test = (load_data(key["data"], split=split, root=root) for split in ("train", "test"))
    before = newest_step(out / "checkpoints") or 0
    started = time.monotonic()
    generator = genaug.fit(
        NAME,
        few_per_class(data, key["per_class"], seed=key["seed"]),
        unlabelled=data,
        exclude=test,
        out=out,
        steps=key["steps"],
        batch_size=key["batch_size"],
        seed=key["seed"],
        config=key["config"],
        resume=(out / "run.json").is_file(),
    )
    steps = key["steps"]
    seconds = round((time.monotonic() - started) * steps / (steps - before), 1) if before < steps else None
    state, _ = newest_checkpoint(RunFolder(out), generator.device)
    assert state is not None
    last = copy.deepcopy(generator)
    last.nets.load_state_dict(
        {name: value for name, value in state["nets"].items() if name.partition(".")[0] in last.nets}
    )
    return generator, last, seconds


def count_errors(generator: Generator, images: Tensor, labels: Tensor) -> int:
    """The number of uint8 images (N, C, H, W) that the generator's classifier gives another label."""
    predicted = torch.cat([generator.classify(part).argmax(1).cpu() for part in images.split(1000)])
    return int((predicted != labels).sum())


def tell(rows: list[dict[str, Any]], options: argparse.Namespace) -> None:
    errors = [row["error"] for row in rows]
    mean, spread = statistics.mean(errors), statistics.stdev(errors) if len(errors) > 1 else 0.0
    hours = sum(row["seconds"] or 0 for row in rows) / 3600
    lines = [[f"draw {row['seed']}", f"{row['error']:.2%}", f"{row['errors']} images"] for row in rows]
    lines += [
        [f"mean of {len(rows)}", f"{mean:.2%} ± {spread:.2%}", f"target {TARGET:.1%}, stretch {STRETCH:.2%}"],
        ["Salimans et al. 2016", f"{PAPER:.2%}", "93 ± 6.5 images, 10 draws"],
    ]
    print(markdown([f"{options.per_class} labels per class", "test error", ""], lines))
    print(f"{hours:.1f} hours of training")
    result = {
        "script": NAME,
        "draws": len(rows),
        "mean_error": round(mean, 6),
        "sd_error": round(spread, 6),
        "min_error": min(errors),
        "max_error": max(errors),
        "target": TARGET,
        "met": mean <= TARGET,
        "stretch_met": mean <= STRETCH,
        "paper_error": PAPER,
        "per_class": options.per_class,
        "steps": options.steps,
        "hours": round(hours, 2),
        "data": options.data,
    }
    end(options, result)


if __name__ == "__main__":
    main()
