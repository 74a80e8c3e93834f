"""Shared by the InfoGAN scripts: runs that continue where they stopped, and Q after the last step."""

import argparse
import copy
import hashlib
import json
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.utils.data import TensorDataset

import genaug
from benchmarks.common import console
from benchmarks.common.console import cost, say, seeds_of
from benchmarks.common.record import RESULTS, Record
from genaug.backends import registry
from genaug.backends.backend import parse_config
from genaug.sources.generator import Generator
from genaug.training.checkpoint import newest_checkpoint, newest_step
from genaug.training.run_folder import RunFolder

RUNS = Path("runs/papers")  # training runs; interrupted ones are continued
BATCH = 128
AUGMENT = ("affine",)  # a digit stays the same when rotated, scaled and shifted


def arguments(doc: str | None, seeds: int) -> argparse.ArgumentParser:
    parser = console.arguments(doc, data="torchvision:MNIST", seeds=seeds, first_seed=True)
    parser.add_argument("--steps", type=int, default=5000)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="an option of infogan")
    return parser


def all_options(config: Mapping[str, Any]) -> dict[str, Any]:
    """All options of infogan, including the defaults."""
    parsed: dict[str, Any] = parse_config("infogan", registry.resolve("infogan").Config, config).model_dump(mode="json")
    return parsed


@dataclass(frozen=True)
class Trained:
    """The averaged generator, the same with the weights of the last step, whose Q is recorded, and the time of a
    complete training (None if it was already finished)."""

    generator: Generator
    last: Generator
    seconds: float | None

    def categories(self, images: Tensor) -> Tensor:
        """The most likely category of the first code according to Q, int64 (N,), for uint8 images (N, C, H, W)."""
        return self.last.classify(images).argmax(1).cpu()


def train(images: Tensor, name: str, *, steps: int, seed: int, config: Mapping[str, Any]) -> Trained:
    """Train on images without labels, in a folder of ``RUNS``."""
    digest = hashlib.sha256(json.dumps(all_options(config), sort_keys=True).encode()).hexdigest()[:8]
    out = RUNS / name / f"seed-{seed}-{steps}-steps-{digest}"
    before = newest_step(out / "checkpoints") or 0
    started = time.monotonic()
    generator = genaug.fit(
        "infogan",
        TensorDataset(images),
        out=out,
        steps=steps,
        batch_size=BATCH,
        seed=seed,
        config=config,
        augment=AUGMENT,
        resume=(out / "run.json").is_file(),
    )
    seconds = (time.monotonic() - started) * steps / (steps - before) if before < steps else None
    state, _ = newest_checkpoint(RunFolder(out), generator.device)
    assert state is not None
    last = copy.deepcopy(generator)
    last.nets.load_state_dict(state["nets"])
    return Trained(generator, last, None if seconds is None else round(seconds, 1))


def every_seed(
    options: argparse.Namespace, name: str, config: Mapping[str, Any], one: Callable[[int], dict[str, Any]]
) -> list[dict[str, Any]]:
    """A row of results for each seed: from the record if it is finished, otherwise from ``one``, and then recorded."""
    record, every_option = Record(RESULTS / f"{name}.jsonl"), all_options(config)
    rows: list[dict[str, Any]] = []
    for seed in seeds_of(options):
        key = {
            "seed": seed,
            "data": options.data,
            "steps": options.steps,
            "batch_size": BATCH,
            "augment": AUGMENT,
            "config": every_option,
        }
        rows += record.finish([key], lambda key: one(key["seed"]))
        figures = {k: v for k, v in rows[-1].items() if k not in key and isinstance(v, float)}
        say(f"seed {seed}: " + ", ".join(f"{k} {v}" for k, v in figures.items()))
        seconds = [row["seconds"] for row in rows if row["seconds"] is not None]
        price = cost(statistics.median(seconds), options.seeds) if seconds else "an unknown time"
        say(f"a full run of {options.seeds} seeds takes {price}")
    return rows
