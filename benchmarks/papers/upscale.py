"""Images upscaled by srgan (Ledig et al. 2017) against bicubic interpolation, on MNIST (7 to 28 pixels) or CIFAR-10
(16 to 32).

The test images are reduced with an antialiased bicubic filter, and enlarged again: by bicubic
interpolation, by an upscaler that was trained with the content loss alone (content), and by one that continues from
there with a discriminator (adversarial). What counts is how near they are to the originals (PSNR and SSIM), how many a
classifier of real images of the full size recognizes, and KID in the features of that classifier. Nothing is selected:
the networks are those of the last step.

    OMP_NUM_THREADS=1 python benchmarks/papers/upscale.py --data torchvision:MNIST --factor 4 --root MNIST_ROOT --json
    OMP_NUM_THREADS=1 python benchmarks/papers/upscale.py --data cifar10 --factor 2 --root CIFAR_ROOT --json

The targets: in every seed, the content loss alone is above bicubic in PSNR and SSIM, and the adversarial one better
than bicubic in accuracy (the paired interval over test images is above 0) and KID. In the paper, PSNR and SSIM fall
with the adversarial loss.
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
from torchmetrics.functional.image import structural_similarity_index_measure

from benchmarks.common import console
from benchmarks.common.console import cost, end, markdown, plain, say, with_first_seed
from benchmarks.common.judge import judge_of, labelled, read, train_judge
from benchmarks.common.paired import gain
from benchmarks.common.record import RESULTS, Record
from benchmarks.common.runs import fitted
from genaug.data.reading import Samples
from genaug.evaluation.kid import kid
from genaug.nn.classifier import predict
from genaug.reports.sheet import Block, draw_sheet, save_sheet
from genaug.sources.generator import Generator
from genaug_srgan.networks import downsampled, enlarged

NAME = "upscale"
RUNS = Path("runs/papers/upscale")  # training runs; interrupted ones are continued
METHODS = ("bicubic", "content", "adversarial")
MEASURES = {"psnr": "PSNR (dB)", "ssim": "SSIM", "accuracy": "accuracy", "kid": "KID"}
BATCH, STEPS, UPDATES = 32, 6000, 3000
CONFIG = {"width": 48, "blocks": 4, "discriminator_width": 16, "max_width": 128}
ADVERSARIAL = {"adversarial_weight": 3e-3, "loss": "relativistic"}
CHUNK, SHOWN = 500, 24


def main(argv: list[str] | None = None) -> None:
    parser = with_first_seed(console.arguments(__doc__, data="torchvision:MNIST", seeds=5))
    parser.add_argument("--factor", type=int, choices=(2, 4), default=4)
    options = parser.parse_args(argv)

    @cache
    def material() -> tuple[Samples, Samples]:
        return read(options.data, options.root)

    def run(key: dict[str, Any]) -> dict[str, Any]:
        row = measure(key, *material())
        say(f"seed {key['seed']}: PSNR " + ", ".join(f"{name} {row[name]['psnr']:.2f}" for name in METHODS))
        return row

    seeds = range(options.first_seed, options.first_seed + options.seeds)
    rows = Record(RESULTS / f"{NAME}.jsonl").finish([key_of(options.data, options.factor, seed) for seed in seeds], run)
    tell(rows)
    end(options, summary(rows))


def key_of(data: str, factor: int, seed: int) -> dict[str, Any]:
    """The settings under which a run is recorded."""
    training = {"steps": STEPS, "batch_size": BATCH}
    config = {"factor": factor, **CONFIG}
    return {
        "data": data,
        "seed": seed,
        "config": config,
        "discriminator": ADVERSARIAL,
        "training": training,
        "judge_updates": UPDATES,
    }


def measure(key: Mapping[str, Any], train: Samples, test: Samples) -> dict[str, Any]:
    """The figures of all methods for one seed, and of the test images themselves."""
    began, seed, factor = time.monotonic(), key["seed"], key["config"]["factor"]
    (images, labels), (real, truth) = labelled(train), labelled(test)
    classifier = train_judge(images, labels, train.spec.num_classes, updates=key["judge_updates"], seed=seed)
    judge = judge_of(classifier, images, real, truth)
    small = downsampled(real, factor)
    content, adversarial, seconds = upscalers(key, images)
    versions = {
        "bicubic": bicubic(small, factor),
        "content": upscaled(content, small),
        "adversarial": upscaled(adversarial, small),
    }
    correct = {name: predict(classifier, version) == truth for name, version in versions.items()}
    row: dict[str, Any] = {"real_accuracy": judge.accuracy, "test_images": len(real)}
    for name, version in versions.items():
        difference, low, high = gain(correct[name], correct["bicubic"], seed)
        row[name] = {
            **nearness(version, real),
            "accuracy": round(float(correct[name].float().mean()), 6),
            "kid": round(kid(judge.real, judge.features.of(version), subsets=10), 6),
            "gain": [round(value, 6) for value in (difference, low, high)],
        }
    if seed == 0:
        blocks = [Block(version[:SHOWN], None, name) for name, version in {**versions, "original": real}.items()]
        RESULTS.mkdir(parents=True, exist_ok=True)
        save_sheet(RESULTS / f"{NAME}_{plain(key['data'].rpartition(':')[2])}.png", draw_sheet(*blocks, columns=4))
    return {**row, "training_seconds": seconds, "seconds": round(time.monotonic() - began, 1)}


def upscalers(key: Mapping[str, Any], images: Tensor) -> tuple[Generator, Generator, float]:
    """The upscaler of the content loss alone, the one that continues with a discriminator, and the training time."""
    data, settings = TensorDataset(images), dict(key["training"])
    content = {**key["config"], "adversarial_weight": 0}
    one, first = fitted(RUNS, "srgan", data, {**key, "discriminator": None}, config=content, **settings)
    config = {**key["config"], **key["discriminator"]}
    other, second = fitted(RUNS, "srgan", data, key, config=config, init=one, **settings)
    return one, other, first + second


def bicubic(small: Tensor, factor: int) -> Tensor:
    """Raw images enlarged by bicubic interpolation."""
    parts = [enlarged(part.float(), factor).round().clamp(0, 255) for part in small.split(CHUNK)]
    return torch.cat(parts).to(torch.uint8)


def upscaled(generator: Generator, small: Tensor) -> Tensor:
    return torch.cat([generator.translate(part, seed=0).cpu() for part in small.split(CHUNK)])


def nearness(images: Tensor, originals: Tensor) -> dict[str, float]:
    """The mean PSNR (dB) and SSIM of uint8 images, each compared with its original."""
    squares = (images.float() - originals.float()).square().flatten(1).mean(1).clamp_min(1e-3)
    psnr = 10 * torch.log10(255**2 / squares)
    pairs = zip(images.split(CHUNK), originals.split(CHUNK), strict=True)
    parts = [
        structural_similarity_index_measure(one.float(), other.float(), data_range=255.0, reduction="none")
        for one, other in pairs
    ]
    return {"psnr": round(float(psnr.mean()), 4), "ssim": round(float(torch.cat(parts).mean()), 6)}


def tell(rows: list[dict[str, Any]]) -> None:
    lines = [
        [row["seed"], name, *(f"{row[name][measure]:.4g}" for measure in MEASURES)] for row in rows for name in METHODS
    ]
    print(markdown(["seed", "method", *MEASURES.values()], lines))
    say(f"{len(rows)} seeds like these take {cost(statistics.mean(row['seconds'] for row in rows), len(rows))}")


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """One flat object: means over the seeds, and whether every seed meets the targets."""
    result: dict[str, Any] = {"script": NAME, "data": rows[0]["data"], "seeds": len(rows)}
    for name in METHODS:
        result |= {f"{name}_{measure}": statistics.mean(row[name][measure] for row in rows) for measure in MEASURES}
    nearer = [row["content"][m] > row["bicubic"][m] for row in rows for m in ("psnr", "ssim")]
    better = [row["adversarial"]["gain"][1] > 0 and row["adversarial"]["kid"] < row["bicubic"]["kid"] for row in rows]
    return {**result, "content_met": all(nearer), "adversarial_met": all(better)}


if __name__ == "__main__":
    main()
