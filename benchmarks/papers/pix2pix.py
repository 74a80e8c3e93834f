"""Gray images colored by pix2pix (Isola et al. 2017): can a classifier of color images read them better than gray ones?

The paper's measure of colored images is how well a classifier that was trained on real photographs recognizes them
(section 4.2, on ImageNet). Here, on CIFAR-10: pix2pix learns from the training images in gray and in color; a
classifier learns from the training images in color. Both are then used on the test images: as they are, in gray (the
same value in all three channels), and colored from gray. The gain is the share of colored images that are classified
correctly minus that of gray ones; its interval is from a paired bootstrap over the test images, for each seed by
itself. Nothing is selected: the networks are those of the last step. Tune on seeds of 100 and above.

    OMP_NUM_THREADS=1 python benchmarks/papers/pix2pix.py --data cifar10 --root CIFAR_ROOT --json

CIFAR_ROOT may hold class folders in train/ and test/. If their files are JPEGs, the accuracies differ a little from
those of the original files.
"""

import argparse
import hashlib
import json
import statistics
import time
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import TensorDataset
from torchvision.transforms.v2 import functional as F

import genaug
from benchmarks.common import console
from benchmarks.common.console import cost, end, markdown, parse_settings, say
from benchmarks.common.judge import labelled, read, train_judge
from benchmarks.common.paired import gain
from benchmarks.common.record import RESULTS, Record
from benchmarks.common.runs import metrics_of, seconds_of
from genaug.backends import registry
from genaug.backends.backend import parse_config
from genaug.data import Pairs
from genaug.data.reading import Samples
from genaug.modalities import Image
from genaug.nn.classifier import predict
from genaug.reports.sheet import encode_png
from genaug.reports.translations import draw_translations, translation_blocks
from genaug.sources.generator import Generator

NAME = "pix2pix"
RUNS = Path("runs/papers")  # training runs; interrupted ones are continued
BATCH = 64
STEPS = 8000
SHOWN = 40  # test images on the sheet


def arguments() -> argparse.ArgumentParser:
    parser = console.arguments(__doc__, data="cifar10", seeds=5)
    parser.add_argument("--first-seed", type=int, default=0, help="tune on seeds of 100 and above, report 0, 1, ...")
    parser.add_argument("--steps", type=int, default=STEPS, help=f"by default {STEPS:,}")
    parser.add_argument("--updates", type=int, default=3000, help="of the classifier, at batch size 128")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="an option of pix2pix")
    return parser


def main(argv: list[str] | None = None) -> None:
    options = arguments().parse_args(argv)
    config = parse_config(NAME, registry.resolve(NAME).Config, parse_settings(options.set)).model_dump(mode="json")

    @cache
    def material() -> tuple[Samples, Samples]:
        return read(options.data, options.root)

    def run(key: dict[str, Any]) -> dict[str, Any]:
        result = measure(key, *material())
        say(f"seed {key['seed']}: gain {result['gain']:+.4f} [{result['low']:+.4f}, {result['high']:+.4f}]")
        return result

    keys = [
        {
            "seed": seed,
            "data": options.data,
            "steps": options.steps,
            "batch_size": BATCH,
            "config": config,
            "judge_updates": options.updates,
        }
        for seed in range(options.first_seed, options.first_seed + options.seeds)
    ]
    rows = Record(RESULTS / f"{NAME}.jsonl").finish(keys, run)
    tell(rows, options)


def measure(key: Mapping[str, Any], train: Samples, test: Samples) -> dict[str, Any]:
    """The accuracies on real, gray and colored test images of one seed, and the gain over gray ones."""
    seed = key["seed"]
    (images, labels), (real, truth) = labelled(train), labelled(test)
    generator, seconds = colorizer(key, images)
    began = time.monotonic()
    classifier = train_judge(images, labels, train.spec.num_classes, updates=key["judge_updates"], seed=seed)
    gray = F.rgb_to_grayscale(real)
    versions = {"real": real, "gray": gray.expand(-1, 3, -1, -1), "colored": colored(generator, gray)}
    correct = {name: predict(classifier, version) == truth for name, version in versions.items()}
    difference, low, high = gain(correct["colored"], correct["gray"], seed)
    if seed == 0:
        draw(generator, gray, real)
    return {
        **{name: round(float(right.float().mean()), 6) for name, right in correct.items()},
        "l1_gray": round(distance(versions["gray"], real), 6),
        "l1_colored": round(distance(versions["colored"], real), 6),
        "gain": round(difference, 6),
        "low": round(low, 6),
        "high": round(high, 6),
        "test_images": len(real),
        "seconds": round(seconds + time.monotonic() - began, 1),
        "threads": torch.get_num_threads(),
    }


def colorizer(key: Mapping[str, Any], images: Tensor) -> tuple[Generator, float]:
    """A generator of color images from gray ones, and the time that its training took in all."""
    digest = hashlib.sha256(json.dumps(dict(key), sort_keys=True).encode()).hexdigest()[:8]
    out = RUNS / NAME / f"seed-{key['seed']}-{key['steps']}-steps-{digest}"
    generator = genaug.fit(
        NAME,
        Pairs(TensorDataset(F.rgb_to_grayscale(images)), TensorDataset(images), names=("gray", "color")),
        out=out,
        steps=key["steps"],
        batch_size=key["batch_size"],
        seed=key["seed"],
        config=key["config"],
        resume=(out / "run.json").is_file(),
    )
    return generator, round(seconds_of(metrics_of(out)), 1)


def colored(generator: Generator, gray: Tensor) -> Tensor:
    """Gray test images (N, 1, H, W) in color (N, 3, H, W), on the CPU."""
    return torch.cat([generator.translate(part, to="color", seed=0).cpu() for part in gray.split(1024)])


def distance(one: Tensor, other: Tensor) -> float:
    """The mean absolute difference of pixels in [0, 1]."""
    return float((one.float() - other.float()).abs().mean()) / 255


def draw(generator: Generator, gray: Tensor, real: Tensor) -> None:
    """The first test images in gray, colored, and as they are."""
    blocks = translation_blocks(generator, gray[:SHOWN], to="color", targets=real[:SHOWN])
    sheet = draw_translations(blocks, Image(*real.shape[1:]))
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / f"{NAME}.png").write_bytes(encode_png(sheet))


def tell(rows: list[dict[str, Any]], options: argparse.Namespace) -> None:
    lines = [
        [
            f"seed {row['seed']}",
            *(f"{row[name]:.2%}" for name in ("real", "gray", "colored")),
            f"{row['gain']:+.2%}\n{row['low']:+.2%} to {row['high']:+.2%}",
        ]
        for row in rows
    ]
    print(markdown(["", "accuracy on real images", "on gray ones", "on colored ones", "gain over gray"], lines))
    hours = sum(row["seconds"] for row in rows) / 3600
    say(f"{len(rows)} seeds like these take {cost(hours * 3600 / len(rows), len(rows))}")
    result = {
        "script": NAME,
        "seeds": len(rows),
        **{name: round(statistics.mean(row[name] for row in rows), 6) for name in ("real", "gray", "colored", "gain")},
        "lowest_bound": min(row["low"] for row in rows),
        "above_gray": sum(row["low"] > 0 for row in rows),
        "met": all(row["low"] > 0 for row in rows),
        "steps": options.steps,
        "hours": round(hours, 2),
        "data": options.data,
    }
    end(options, result)


if __name__ == "__main__":
    main()
