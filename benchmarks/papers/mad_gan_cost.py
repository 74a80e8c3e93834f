"""What k generators cost: time and memory of a training step, and parameters, compared with one generator.

Images 1x28x28 of ten classes, batch 64, the plugin's default networks and loss. The batch of generated images is either
split over the generators (the default) or made in full by each (full_batch). All configurations take turns in one
process; a ratio is taken within a round, and the median over the rounds is reported. One step in four has gradient
penalties. Memory is what the resident set of a fresh process grows by from before the networks are built to its peak
over some steps. The images are noise: neither time nor memory depends on what they show.

    python benchmarks/papers/mad_gan_cost.py --seeds 5 --json

The seeds are the rounds.
"""

import argparse
import multiprocessing
import statistics
import time
from functools import cache
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.common.console import arguments, cost, end, say
from benchmarks.common.figures import save
from benchmarks.common.record import RESULTS, Record
from genaug.backends import Spec
from genaug.data.reading import Samples
from genaug.device import compute_dtype
from genaug.modalities import Image
from genaug.training.trainer import Trainer
from genaug_mad_gan.backend import MADGAN, MADGANConfig
from genaug_mad_gan.networks import MultiGenerator

BATCH, SHAPE, CLASSES = 64, (1, 28, 28), 10
MODES = ("split", "full")
TARGETS = {"split": 1.5, "full": 7.0}


class Run:
    """A training of k generators that can be continued for any number of steps."""

    def __init__(self, k: int, mode: str, width: int) -> None:
        config = MADGANConfig(generators=k, full_batch=mode == "full", width=width, max_width=8 * width)
        images = torch.randint(0, 256, (2 * BATCH, *SHAPE), dtype=torch.uint8)
        data = Samples(images, torch.arange(2 * BATCH) % CLASSES, Spec(sample=Image(*SHAPE), classes=CLASSES))
        dtype = compute_dtype("auto", torch.device("cpu"), data.spec.sample.in_bfloat16)
        self.trainer = Trainer(MADGAN(), config, data, batch_size=BATCH, dtype=dtype)
        self._index = 0

    def seconds(self, steps: int) -> float:
        """The time of further steps."""
        start = time.perf_counter()
        for _ in range(steps):
            self.trainer.step(self._index)
            self._index += 1
        return time.perf_counter() - start

    def parameters(self) -> dict[str, int]:
        return {name: sum(p.numel() for p in net.parameters()) for name, net in self.trainer.nets.items()}

    def unshared(self) -> float:
        """The share of one generator's multiply-adds that isn't the trunk's."""
        z = self.trainer.draws.latents(1)["z"]
        return unshared_part(self.trainer.nets["generator"], z, torch.zeros(1, dtype=torch.int64))


@torch.no_grad()
def unshared_part(generator: MultiGenerator, z: Tensor, labels: Tensor | None) -> float:
    """The share of one generator's multiply-adds that is in its head, for these latents."""
    trained = generator.training
    generator.eval()  # leaves the normalization's statistics unchanged
    with FlopCounterMode(display=False) as in_trunk:
        features = generator.trunk(z, labels)
    with FlopCounterMode(display=False) as in_head:
        generator.heads([features], [0], labels)
    generator.train(trained)
    head, trunk = int(in_head.get_total_flops()), int(in_trunk.get_total_flops())
    return head / (trunk + head)


def main(argv: list[str] | None = None) -> None:
    parser = arguments(__doc__, seeds=5)
    parser.add_argument("--k", type=int, nargs="+", default=[1, 2, 5, 10], help="numbers of generators, 1 first")
    parser.add_argument("--steps", type=int, default=4, help="of each configuration in a round")
    parser.add_argument("--width", type=int, default=32, help="channels at the image's side; 8 times as many at most")
    options = parser.parse_args(argv)

    @cache
    def runs() -> dict[tuple[int, str], Run]:
        trainings = {(k, mode): Run(k, mode, options.width) for mode in MODES for k in options.k}
        for run in trainings.values():
            run.seconds(options.steps)  # to warm up
        return trainings

    def measure(key: dict[str, Any]) -> dict[str, Any]:
        sides, start = runs(), time.perf_counter()
        figures: dict[str, Any] = {
            f"ms_{mode}_k{k}": round(1000 * run.seconds(options.steps) / options.steps, 2)
            for (k, mode), run in sides.items()
        }
        figures |= memory(options)
        for k in options.k:
            figures |= {f"{name}_k{k}": count for name, count in sides[k, "split"].parameters().items()}
        figures |= {"unshared": sides[1, "split"].unshared(), "seconds": round(time.perf_counter() - start, 1)}
        say(f"round {key['round']}: {figures['seconds']} s")
        return figures

    threads = torch.get_num_threads()
    settings = {"k": options.k, "steps": options.steps, "width": options.width, "batch_size": BATCH, "threads": threads}
    keys = [{**settings, "round": number} for number in range(options.seeds)]
    rows = Record(RESULTS / "mad_gan_cost.jsonl").finish(keys, measure)
    result = summary(rows, options.k)
    say(f"multiply-adds of a generator that aren't shared: {result['unshared']:.0%} (at least 30%)")
    say(f"{'k':<5}{'time, split':>12}{'full':>8}{'memory, split':>15}{'full':>8}{'generators':>12}{'k apart':>11}")
    for k in options.k:
        ratios = [result[f"{what}_{mode}_k{k}"] for what in ("time", "memory") for mode in MODES]
        counts = f"{result[f'generator_k{k}']:>12,}{k * result['generator_k1']:>11,}"
        say(f"{k:<5}{ratios[0]:>12.2f}{ratios[1]:>8.2f}{ratios[2]:>15.2f}{ratios[3]:>8.2f}{counts}")
    say("thesis kick-off: linear in k. Targets at k = 10: time <= 1.5 (split) and <= 7 (full); memory less than linear")
    each = statistics.mean(row["seconds"] for row in rows)
    say(f"{options.seeds} rounds like these take {cost(each, options.seeds)}")
    draw(result, options.k, RESULTS / "mad_gan_cost.png")
    end(options, {**result, "rounds": len(rows), "threads": threads})


def memory(options: argparse.Namespace) -> dict[str, float]:
    """``peak_growth`` of every configuration, each in a new process."""
    sides = [(k, mode) for mode in MODES for k in options.k]
    context = multiprocessing.get_context("forkserver")  # a process that has only imported this
    context.set_forkserver_preload(["benchmarks.papers.mad_gan_cost"])
    with context.Pool(1, maxtasksperchild=1) as fresh:
        growth = fresh.starmap(peak_growth, [(*side, options.steps, options.width) for side in sides], chunksize=1)
    return {f"mib_{mode}_k{k}": mib for (k, mode), mib in zip(sides, growth, strict=True)}


def peak_growth(k: int, mode: str, steps: int, width: int) -> float:
    """How much the resident set grows to its peak over building and training, in MiB (Linux)."""
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    before = resident("VmRSS")
    Run(k, mode, width).seconds(max(2, steps))
    return round((resident("VmHWM") - before) / 1024, 1)


def resident(field: str) -> int:
    """In KiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(f"{field}:")).split()[1])


def summary(rows: list[dict[str, Any]], ks: list[int]) -> dict[str, Any]:
    """One flat object: each k's ratio to k = 1, within rounds, its median over them, and the targets."""
    result: dict[str, Any] = {"unshared": rows[0]["unshared"]}
    for what, unit in (("time", "ms"), ("memory", "mib")):
        for mode in MODES:
            for k in ks:
                ratios = [row[f"{unit}_{mode}_k{k}"] / row[f"{unit}_{mode}_k1"] for row in rows]
                result[f"{what}_{mode}_k{k}"] = statistics.median(ratios)
    result |= {"ms_split_k1": statistics.median(row["ms_split_k1"] for row in rows)}
    result |= {f"{name}_k{k}": rows[0][f"{name}_k{k}"] for name in ("generator", "discriminator") for k in ks}
    result |= {f"target_time_{mode}_met": result[f"time_{mode}_k{ks[-1]}"] <= most for mode, most in TARGETS.items()}
    result["target_memory_met"] = all(result[f"memory_{mode}_k{k}"] < k for mode in MODES for k in ks[1:])
    return result


def draw(result: dict[str, Any], ks: list[int], path: Path) -> None:
    figure = Figure(figsize=(8, 3.2), layout="constrained")
    for axis, what in zip(figure.subplots(1, 2), ("time", "memory"), strict=True):
        axis.plot(ks, ks, "--", color="0.6", label="linear")
        for mode in MODES:
            axis.plot(ks, [result[f"{what}_{mode}_k{k}"] for k in ks], "o-", label=f"{mode} batch")
        axis.set(xlabel="generators, k", ylabel=f"{what} of a step, over k = 1", xticks=ks)
        axis.legend()
    save(figure, path, dpi=130)


if __name__ == "__main__":
    main()
