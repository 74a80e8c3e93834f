"""The center quarter of CIFAR-10's images, filled in by a context encoder (Pathak et al. 2016).

Test images have a square of half their sides erased in the middle. It is filled in with the mean of the known pixels
(mean), by OpenCV's inpainting with the method of Telea 2004 (opencv), and by context-encoder, trained with the squared
error and the adversarial loss. L1 (mean absolute difference of values in [0, 1]) and PSNR are those of the erased
pixels. Nothing is selected: the network is that of the last step.

    OMP_NUM_THREADS=1 python benchmarks/papers/inpaint.py --data cifar10 --root CIFAR_ROOT --json

The target: in every seed, L1 is below and PSNR above that of both fills.
"""

import statistics
import time
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import TensorDataset

from benchmarks.common import console
from benchmarks.common.console import cost, end, markdown, say, with_first_seed
from benchmarks.common.judge import read
from benchmarks.common.record import RESULTS, Record
from benchmarks.common.runs import fitted
from genaug.data.reading import Samples
from genaug.nn.erasing import DRAWS, draw_masks
from genaug.reports.sheet import Block, draw_sheet, save_sheet

NAME = "inpaint"
RUNS = Path("runs/papers/inpaint")  # training runs; interrupted ones are continued
METHODS = ("mean", "opencv", "context-encoder")
STEPS, BATCH = 8000, 64
CONFIG: dict[str, Any] = {"masks": "center", "width": 32, "max_width": 256}
RADIUS = 3  # of OpenCV's method, in pixels
CHUNK, SHOWN = 1000, 24


def main(argv: list[str] | None = None) -> None:
    options = with_first_seed(console.arguments(__doc__, data="cifar10", seeds=5)).parse_args(argv)

    @cache
    def material() -> tuple[Samples, Samples]:
        return read(options.data, options.root)

    def run(key: dict[str, Any]) -> dict[str, Any]:
        row = measure(key, *material())
        say(f"seed {key['seed']}: L1 " + ", ".join(f"{name} {row[name]['l1']:.4f}" for name in METHODS))
        return row

    training = {"steps": STEPS, "batch_size": BATCH}
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    keys = [{"data": options.data, "seed": seed, "config": CONFIG, "training": training} for seed in seeds]
    rows = Record(RESULTS / f"{NAME}.jsonl").finish(keys, run)
    tell(rows)
    end(options, summary(rows))


def measure(key: Mapping[str, Any], train: Samples, test: Samples) -> dict[str, Any]:
    """L1 and PSNR of all methods for one seed."""
    began, real = time.monotonic(), test.x
    generator, seconds = fitted(
        RUNS, "context-encoder", TensorDataset(train.x), key, config=key["config"], **key["training"]
    )
    (mask,) = draw_masks("center", 0.25, torch.zeros(1, DRAWS), *real.shape[2:])
    fills: dict[str, Callable[[Tensor], Tensor]] = {
        "mean": lambda images: mean_filled(images, mask),
        "opencv": lambda images: opencv_filled(images, mask),
        "context-encoder": lambda images: generator.complete(images, mask, seed=0),
    }
    versions = {name: torch.cat([fill(part) for part in real.split(CHUNK)]) for name, fill in fills.items()}
    if key["seed"] == 0:
        blocks = [Block(version[:SHOWN], None, name) for name, version in {**versions, "original": real}.items()]
        RESULTS.mkdir(parents=True, exist_ok=True)
        save_sheet(RESULTS / f"{NAME}.png", draw_sheet(*blocks, columns=4))
    figures = {name: nearness(version, real, mask) for name, version in versions.items()}
    return {**figures, "training_seconds": seconds, "seconds": round(time.monotonic() - began, 1)}


def mean_filled(images: Tensor, mask: Tensor) -> Tensor:
    """Images whose erased pixels have the mean of the known ones, per channel."""
    mean = images[..., ~mask].float().mean(-1).round().to(torch.uint8)
    return torch.where(mask, mean[..., None, None], images)


def opencv_filled(images: Tensor, mask: Tensor) -> Tensor:
    """Images whose erased pixels OpenCV fills in; gray or with three channels."""
    import cv2

    region = mask.numpy().astype(np.uint8)
    filled = []
    for image in images:
        pixels = np.ascontiguousarray(image.permute(1, 2, 0).numpy())
        result = cv2.inpaint(pixels, region, RADIUS, cv2.INPAINT_TELEA)
        filled.append(torch.from_numpy(result.reshape(pixels.shape)).permute(2, 0, 1))
    return torch.stack(filled)


def nearness(images: Tensor, originals: Tensor, mask: Tensor) -> dict[str, float]:
    """The mean absolute difference of the erased values, in [0, 1], and the mean PSNR of the erased parts (dB)."""
    differences = (images[..., mask].float() - originals[..., mask].float()) / 255
    squares = differences.square().flatten(1).mean(1).clamp_min(1e-8)
    return {
        "l1": round(float(differences.abs().mean()), 6),
        "psnr": round(float((-10 * torch.log10(squares)).mean()), 4),
    }


def tell(rows: list[dict[str, Any]]) -> None:
    lines = [
        [row["seed"], name, f"{row[name]['l1']:.4f}", f"{row[name]['psnr']:.2f}"] for row in rows for name in METHODS
    ]
    print(markdown(["seed", "filled in by", "L1", "PSNR (dB)"], lines))
    say(f"{len(rows)} seeds like these take {cost(statistics.mean(row['seconds'] for row in rows), len(rows))}")


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """One flat object: means over the seeds, and whether every seed meets the target."""
    result: dict[str, Any] = {"script": NAME, "data": rows[0]["data"], "seeds": len(rows)}
    for name in METHODS:
        key = console.plain(name)
        result |= {
            f"{key}_{measure}": statistics.mean(row[name][measure] for row in rows) for measure in ("l1", "psnr")
        }
    own, others = METHODS[-1], METHODS[:-1]
    met = [
        row[own]["l1"] < row[other]["l1"] and row[own]["psnr"] > row[other]["psnr"] for row in rows for other in others
    ]
    return {**result, "met": all(met)}


if __name__ == "__main__":
    main()
