"""Mixtures of Gaussians in the plane: how many of their modes a GAN finds, and how close its samples are.

A ring of 8 (radius 1, standard deviation 0.01) and a grid of 25 (spacing 2, standard deviation 0.05), as in PacGAN
(Lin et al. 2018). A sample within three standard deviations of a mode is of high quality. A mode counts as found with
at least 20% of its mass of such samples; PacGAN's own count, one sample in 2,500, is reported beside it.

GAN, MAD-GAN, WGAN-GP and the relativistic GAN are the plugins' own losses, with the same small networks, real batches
and number of steps for all. Each of MAD-GAN's generators makes a full batch, as in Ghosh et al. 2018. It is run with
the plugin's default objective (relativistic pairing and generator classification) and, as mad-gan-paper,
with the paper's joint softmax. MAD-GAN's rate and penalty were chosen on seed 100, its full batches on 101 and 102; the
relativistic GAN has the same rate and penalty. A backend that isn't installed is left out.

    OMP_NUM_THREADS=1 python benchmarks/papers/mixtures_2d.py --seeds 5 --json
"""

import statistics
import time
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import nn

from benchmarks.common.console import arguments, cost, end, say
from benchmarks.common.figures import save
from benchmarks.common.record import RESULTS, Record
from benchmarks.papers.points import DenseHeads, Mixture, PointTrainer, Unlabelled, falling, with_networks
from genaug.backends import Backend, registry
from genaug.errors import PluginError
from genaug_mad_gan.networks import MultiGenerator

ANGLES = torch.arange(8) * torch.pi / 4
GRID = torch.cartesian_prod(*[torch.arange(-4.0, 5.0, 2.0)] * 2)
MIXTURES = {
    "ring": Mixture(torch.stack([ANGLES.cos(), ANGLES.sin()], 1), torch.full((8,), 0.01)),
    "grid": Mixture(GRID, torch.full((25,), 0.05)),
}
BATCH, HIDDEN, LATENT, SLOPE = 256, 128, 64, 0.2
SAMPLES, FEW, SHOWN, FOUND = 50_000, 2500, 300, 0.2
EIGHT = {"generators": 8, "full_batch": True}
METHODS: dict[str, tuple[str, dict[str, Any]]] = {
    "gan": ("cgan", {"loss": "nonsaturating", "gamma": 0.0, "lr": 1e-3}),
    "relativistic": ("cgan", {"loss": "relativistic", "gamma": 0.02, "lr": 3e-3}),
    "wgan-gp": ("wgan-gp", {"lr": 1e-3}),
    "mad-gan": ("mad-gan", {**EIGHT, "loss": "relativistic", "gamma": 0.02, "lr": 3e-3}),
    "mad-gan-paper": ("mad-gan", {**EIGHT, "loss": "madgan", "gamma": 0.0, "lr": 1e-3}),
}
PAPER = {
    "ring": "modes: GAN 6.3, PacGAN2 7.9 of 8",
    "grid": "modes: GAN 17.3, PacGAN2 23.8, PacGAN4 24.8 of 25; high quality: DCGAN 61.9%, WGAN 58.4%, "
    "MAD-GAN (k = 8) 91.9% (at a standard deviation of 0.1)",
}
TARGET = 0.92


def main(argv: list[str] | None = None) -> None:
    parser = arguments(__doc__, seeds=5)
    parser.add_argument("--steps", type=int, default=15_000)
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    options = parser.parse_args(argv)

    record = Record(RESULTS / "mixtures_2d.jsonl")
    methods = [method for method in options.methods if installed(METHODS[method][0])]
    settings = {"steps": options.steps, "batch_size": BATCH, "samples": SAMPLES}
    keys = {
        (mixture, method): [
            {**settings, "mixture": mixture, "method": method, "config": METHODS[method][1], "seed": seed}
            for seed in range(options.seeds)
        ]
        for mixture in MIXTURES
        for method in methods
    }
    record.finish(chain.from_iterable(zip(*keys.values(), strict=True)), run)
    rows = {name: record.finish(of_name, run) for name, of_name in keys.items()}

    for mixture, gaussians in MIXTURES.items():
        every = len(gaussians.means)
        say(f"{mixture:<15}{'high quality':>13}{'lowest':>9}   modes of {every} (PacGAN's count), by seed")
        for method in methods:
            of_both = rows[mixture, method]
            quality = [row["quality"] for row in of_both]
            modes = "  ".join(f"{row['modes']} ({row['modes_of_few']})" for row in of_both)
            say(f"{method:<15}{statistics.median(quality):>13.1%}{min(quality):>9.1%}   {modes}")
        say(f"papers: {PAPER[mixture]}")
    seconds = sum(statistics.mean(row["seconds"] for row in seed_rows) for seed_rows in rows.values())
    say(f"{options.seeds} seeds like these take {cost(seconds, options.seeds)}")
    draw(rows, RESULTS / "mixtures_2d.png")
    end(options, {**summary(rows), "seeds": options.seeds, "steps": options.steps})


def installed(name: str) -> bool:
    try:
        registry.resolve(name)
    except PluginError as error:
        say(f"left out: {error}")
        return False
    return True


def run(key: dict[str, Any]) -> dict[str, Any]:
    """Train one method on one mixture, one seed, and measure its averaged generator."""
    start, steps, gaussians = time.perf_counter(), key["steps"], MIXTURES[key["mixture"]]
    name, options = METHODS[key["method"]]
    trainer = PointTrainer(backend(name, options), {**options, "latent_size": LATENT}, gaussians, BATCH, key["seed"])
    for index in range(steps):
        trainer.change(falling(options["lr"], index, steps))
        trainer.step(index)
    points = trainer.sample(SAMPLES, averaged=True)
    shares, few = gaussians.shares(points), gaussians.shares(points[:FEW])
    seconds = round(time.perf_counter() - start, 1)
    row = {
        "quality": float(shares.sum()),
        "modes": int((shares >= FOUND / len(shares)).sum()),
        "modes_of_few": int((few > 0).sum()),
        "points": [[round(x, 3) for x in point] for point in points[:SHOWN].tolist()],
        "seconds": seconds,
        "threads": torch.get_num_threads(),
    }
    outcome = f"{row['quality']:.1%} of high quality, {row['modes']} modes, {seconds:.0f} s"
    say(f"{key['mixture']}, {key['method']}, seed {key['seed']}: {outcome}")
    return row


def backend(name: str, options: dict[str, Any]) -> Backend:
    """A plugin with three hidden layers on either side; of a MAD-GAN's generators the first two are shared."""
    k = options.get("generators")

    def generator() -> nn.Module:
        first = Unlabelled(*hidden(LATENT, HIDDEN, HIDDEN))
        if k is not None:
            return MultiGenerator(k, first, DenseHeads(k, (HIDDEN, HIDDEN, 2), nn.LeakyReLU(SLOPE), nn.Linear))
        return Unlabelled(*first, *hidden(HIDDEN, HIDDEN), nn.Linear(HIDDEN, 2), nn.Unflatten(1, (2, 1, 1)))

    def critic() -> nn.Module:
        last = nn.Linear(HIDDEN, 1 if k is None else k + 1)
        return Unlabelled(nn.Flatten(), *hidden(2, HIDDEN, HIDDEN, HIDDEN), last)

    return with_networks(name, generator, critic)


def hidden(*sizes: int) -> list[nn.Module]:
    pairs = pairwise(sizes)
    return [layer for before, after in pairs for layer in (nn.Linear(before, after), nn.LeakyReLU(SLOPE))]


def summary(rows: dict[tuple[str, str], list[dict[str, Any]]]) -> dict[str, Any]:
    """One flat object: medians and extremes, and the targets where MAD-GAN was run."""
    result: dict[str, Any] = {}
    for (mixture, method), seed_rows in rows.items():
        name, quality = f"{mixture}_{method.replace('-', '_')}", [row["quality"] for row in seed_rows]
        result |= {f"{name}_quality_median": statistics.median(quality), f"{name}_quality_min": min(quality)}
        result |= {f"{name}_modes_min": min(row["modes"] for row in seed_rows)}
        if method == "mad-gan":
            every = len(MIXTURES[mixture].means)
            result[f"{mixture}_target_modes_met"] = result[f"{name}_modes_min"] == every
            result[f"{mixture}_target_quality_met"] = statistics.median(quality) >= TARGET
    return result


def draw(rows: dict[tuple[str, str], list[dict[str, Any]]], path: Path) -> None:
    """A panel for each mixture and method, seed 0: samples over the modes."""
    across = len(rows) // len(MIXTURES)
    figure = Figure(figsize=(3 * across, 3 * len(MIXTURES)), layout="constrained")
    axes = figure.subplots(len(MIXTURES), across, squeeze=False).flat
    for axis, ((mixture, method), seed_rows) in zip(axes, rows.items(), strict=True):
        means, points = MIXTURES[mixture].means, torch.tensor(seed_rows[0]["points"])
        axis.scatter(*means.T, s=60, color="0.85")
        axis.scatter(*points.T, s=2)
        reach = 1.3 * float(means.abs().max())
        axis.set(title=f"{mixture}, {method}", xlim=(-reach, reach), ylim=(-reach, reach), xticks=[], yticks=[])
    save(figure, path, dpi=130)


if __name__ == "__main__":
    main()
