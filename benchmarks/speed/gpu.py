"""The rows of docs/performance.md that are about a GPU, in less than ten minutes.

In each measurement all sides take turns; figures are seconds, and what a side leaves the GPU to do is waited for.

* loader: the blend and the real images alone, uint8 images of 32 pixels, two workers, each batch moved to the GPU;
* sampling: 10,000 images of ``generator.sample`` in both precisions, against a bare loop (as in sampling.py);
* on the fly and pool refreshed: as in on_the_fly.py and pool_refresh.py, with 50,000 real images and a pool of 10,000;
* training: torchgan's networks in genaug's trainer, in both precisions, and in a bare loop, also compiled, with batches
  of 64 to 1,024 images; only if torchgan can be imported (see training.py);
* waits: how often the processor waits for the GPU within a training step of a ``cgan``, and within a step with
  ``GenerativeAugment``; the profile of the training step is written to --trace.

    python benchmarks/speed/gpu.py --trace trace.json --json

Without a GPU it ends. --device cpu is for trying it out.
"""

import argparse
import sys
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile
from torch.utils.data import DataLoader, TensorDataset

import genaug
from benchmarks.common.console import end, say
from benchmarks.common.generators import untrained
from benchmarks.common.pairs import alternate, finish, seconds
from benchmarks.speed import on_the_fly, pool_refresh, training
from benchmarks.speed.measured import Measurements, options_of
from benchmarks.speed.sampling import PRECISIONS, bare
from genaug.backends import Spec, registry
from genaug.backends.latents import latent_rows
from genaug.data.reading import Samples
from genaug.modalities import Image
from genaug.training.trainer import Trainer

SHAPE, CLASSES, BATCH, WORKERS = (3, 32, 32), 10, 128, 2
REAL, POOL, SAMPLED = 50_000, 10_000, 10_000
CONFIG: dict[str, Any] = {}  # of the cgan that is trained
BATCHES, STEPS = (64, 256, 1024), 20  # of a training, and steps in a round
Sides = Mapping[str, Callable[[], object]]


def main(argv: list[str] | None = None) -> None:
    parser = options_of(__doc__, rounds=10)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--trace", type=Path, help="where to write the profile of a training step")
    options = parser.parse_args(argv)
    if options.device.startswith("cuda") and not torch.cuda.is_available():
        sys.exit("this machine has no GPU that torch can use")
    torch.manual_seed(0)
    device, rows = torch.device(options.device), []
    for topic, cases in {
        "loader": {"32 pixels": loading(device)},
        "sampling": {"32 pixels": sampling(device)},
        "on the fly": {"32 pixels": on_the_fly.sides_of(SHAPE, BATCH, on_the_fly.MODEL, device)},
        "pool refreshed": {"32 pixels": pool_refresh.sides_of(REAL, POOL, on_the_fly.MODEL, device)},
        "training": trainings(device),
    }.items():
        measurements = Measurements(options, f"{topic} on a GPU")
        for case, sides in cases.items():
            measurements.add(case, figures_of(sides, options.rounds, device), device=name_of(device))
        rows += measurements.rows
    end(options, {"script": "gpu", "rows": rows, **waits(device, options)})


def name_of(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def figures_of(sides: Sides, rounds: int, device: torch.device) -> dict[str, list[float]]:
    for side in sides.values():
        side()  # allocates what is kept, compiles, warms the caches
    return alternate({name: partial(seconds, side, device) for name, side in sides.items()}, rounds)


def loading(device: torch.device) -> Sides:
    images = torch.randint(0, 256, (REAL, *SHAPE), dtype=torch.uint8)
    real = TensorDataset(images, torch.arange(REAL) % CLASSES)
    pinned: dict[str, Any] = {"num_workers": WORKERS, "pin_memory": device.type == "cuda", "persistent_workers": True}
    mixed = genaug.MixedDataset(real, untrained(SHAPE, device=device), ratio=0.5)
    loaders = {
        "blend": DataLoader(mixed, batch_sampler=mixed.batch_sampler(BATCH), **pinned),
        "real": DataLoader(real, BATCH, shuffle=True, drop_last=True, **pinned),
    }

    def per_batch(loader: DataLoader[Any]) -> None:
        for batch in loader:
            _ = [each.to(device, non_blocking=True) for each in batch]

    return {name: partial(per_batch, loader) for name, loader in loaders.items()}


def sampling(device: torch.device) -> Sides:
    generator = untrained(SHAPE, device=device)
    labels = torch.arange(SAMPLED, device=device) % CLASSES
    latents = {each.name: latent_rows(each, 0, 0, SAMPLED).to(device) for each in generator.spec.latents}
    sides: dict[str, Callable[[], object]] = {}
    for name, dtype in PRECISIONS.items():
        sides[name] = partial(generator.sample, labels=labels, seed=0, precision=name)
        for size in (256, 2048):
            sides[f"bare {name}, batches of {size}"] = partial(bare, generator, latents, labels, size, dtype)
    return sides


def trainings(device: torch.device) -> dict[str, Sides]:
    """The sides for each batch size; each runs some steps."""
    try:
        training.networks()
    except ModuleNotFoundError:
        say("training: torchgan isn't there")
        return {}
    side = training.SIDE
    images = torch.randint(0, 256, (4 * max(BATCHES), 1, side, side), dtype=torch.uint8)
    data = Samples(images, None, Spec(sample=Image(1, side, side)))

    def steps(step: Callable[[int], object]) -> None:
        for index in range(STEPS):
            step(index)

    return {
        f"batches of {batch}": {
            name: partial(steps, step)
            for name, step in {
                "bare": training.bare_loop(data, batch, device),
                "bare bfloat16": training.bare_loop(data, batch, device, bfloat16=True),
                "bare compiled": training.bare_loop(data, batch, device, compiles=True),
                "float32": training.engine(data, "float32", batch, device),
                "bfloat16": training.engine(data, "bfloat16", batch, device),
            }.items()
        }
        for batch in BATCHES
    }


def waits(device: torch.device, options: argparse.Namespace) -> dict[str, int]:
    """How often the processor waited for the GPU, within one step each; and the profile of one."""
    backend: Any = registry.resolve("cgan")
    images, labels = torch.randint(0, 256, (4 * BATCH, *SHAPE), dtype=torch.uint8), torch.arange(4 * BATCH) % CLASSES
    data = Samples(images, labels, Spec(sample=Image(*SHAPE), classes=CLASSES))
    trainer = Trainer(backend, backend.Config(**CONFIG), data, batch_size=BATCH, device=device, steps=100)
    trainer.step(0)
    counted = {"waits_training_step": count_waits(partial(trainer.step, 1), device)}
    augmented = on_the_fly.sides_of(SHAPE, BATCH, on_the_fly.MODEL, device)["generator"]
    augmented()
    counted["waits_augmented_step"] = count_waits(augmented, device)
    if options.trace is not None:
        activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if device.type == "cuda" else [])]
        with profile(activities=activities) as profiler:
            trainer.step(2)
            finish(device)
        profiler.export_chrome_trace(str(options.trace))
    return counted


def count_waits(work: Callable[[], Any], device: torch.device) -> int:
    """The calls that torch reports as synchronizing; 0 on a CPU."""
    if device.type != "cuda":
        work()
        return 0
    finish(device)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            work()
        finally:
            torch.cuda.set_sync_debug_mode("default")
    waits = [warning for warning in caught if "synchronizing" in str(warning.message)]
    for warning in waits:
        say(f"waits: {warning.filename}:{warning.lineno}")
    return len(waits)


if __name__ == "__main__":
    main()
