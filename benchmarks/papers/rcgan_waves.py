"""The waves of Ferreira 2017 (figures 13 and 14): sines and sawtooths of 30 steps on demand, by a recurrent GAN.

A wave is offset + amplitude * shape(2 pi frequency t), with t from 0 to 1 in 30 steps, and one of two shapes. The
article gives no ranges: frequency U[1, 5] and amplitude U[0.1, 0.9] are those of Esteban et al. 2017 (section 4.1), and
the offset is U[-0.5, 0.5]. Training waves are 14,000, as there.

Two generators per seed: one with the backend's default latent, which is measured against the article's figure 13 (a
classifier of real waves recognizes the requested shape; the factors of generated waves, by least squares, are
distributed like those of real ones; TSTR and TRTS, the protocol of Esteban et al. 2017, section 5: accuracy of
classifiers trained on synthetic and tested on real waves, and the reverse), and one with two dimensions against figure
14 (a 10-nearest-neighbor regression from the latent to the factors, R² on held-out latents).

    python benchmarks/papers/rcgan_waves.py

Seeds from 100 on are for tuning: on those, a recurrent generator was chosen over a dilated one, and the number of
steps.
"""

import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.stats import ks_2samp
from sklearn.neighbors import KNeighborsRegressor
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import TensorDataset

import genaug
from benchmarks.common.console import arguments, cost, end, parse_settings, say, seeds_of
from benchmarks.common.figures import save
from benchmarks.common.record import RESULTS, Record
from genaug.randomness import derive_seed

STEPS = 30
SHAPES = ("sine", "sawtooth")
FACTORS = ("offset", "frequency", "amplitude")
RANGES = {"offset": (-0.5, 0.5), "frequency": (1.0, 5.0), "amplitude": (0.1, 0.9)}
TARGETS = {"recognition": 0.99, "ks": 0.1, "r2": 0.9, "tstr": 0.97, "trts": 0.98, "cpu_seconds": 300}
SIDE = 10  # waves in a row, and rows, of a panel of the figure
_GRID = 451  # frequencies of the least-squares fit

Floats = NDArray[np.float64]
Pair = tuple[Tensor, Tensor]  # series and labels


def shape_of(kind: int, phase: Floats) -> Floats:
    """A sine or a sawtooth, in [-1, 1], of phases in periods."""
    return np.sin(2 * np.pi * phase) if kind == 0 else 2 * (phase % 1) - 1


def waves(n: int, seed: int) -> tuple[Tensor, Tensor, dict[str, Floats]]:
    """Waves, float32 (n, 1, 30), the labels of their shapes, int64 (n,), and their factors by name."""
    rng = np.random.default_rng(seed)
    factors = {name: rng.uniform(*RANGES[name], n) for name in FACTORS}
    kinds, t = np.arange(n) % 2, np.arange(STEPS) / STEPS
    phase = factors["frequency"][:, None] * t
    shapes = np.where(kinds[:, None] == 0, shape_of(0, phase), shape_of(1, phase))
    x = factors["offset"][:, None] + factors["amplitude"][:, None] * shapes
    return torch.from_numpy(x[:, None]).float(), torch.from_numpy(kinds), factors


def factors_of(x: Tensor, labels: Tensor) -> dict[str, Floats]:
    """Offset, frequency and amplitude of the waves of their shape that are nearest in squared distance."""
    series, t = x[:, 0].double().numpy(), np.arange(STEPS) / STEPS
    factors = {name: np.zeros(len(x)) for name in FACTORS}
    frequencies = np.linspace(0.5, 5.5, _GRID)
    for kind in range(len(SHAPES)):
        rows = np.flatnonzero(labels.numpy() == kind)
        own = series[rows]
        shapes = shape_of(kind, frequencies[:, None] * t)
        centered = shapes - shapes.mean(1, keepdims=True)
        energy = (centered**2).sum(1)
        amplitudes = (own - own.mean(1, keepdims=True)) @ centered.T / energy
        best = (np.maximum(amplitudes, 0) ** 2 * energy).argmax(1)  # the least squares, for an amplitude above 0
        amplitude = np.maximum(amplitudes[np.arange(len(own)), best], 0)
        factors["frequency"][rows], factors["amplitude"][rows] = frequencies[best], amplitude
        factors["offset"][rows] = own.mean(1) - amplitude * shapes.mean(1)[best]
    return factors


class Classifier(nn.Sequential):
    """A small one-dimensional CNN: waves (N, 1, 30) to logits (N, 2)."""

    def __init__(self) -> None:
        layers: list[nn.Module] = []
        for before, after in ((1, 32), (32, 32), (32, 32)):
            layers += [nn.Conv1d(before, after, 5, padding=2), nn.ReLU()]
        super().__init__(*layers, nn.Flatten(), nn.Linear(32 * STEPS, len(SHAPES)))


def train_classifier(x: Tensor, labels: Tensor, updates: int, seed: int) -> nn.Module:
    """A classifier of waves."""
    torch.manual_seed(seed)
    model, rng = Classifier(), torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    for _ in range(updates):
        rows = torch.randint(len(x), (128,), generator=rng)
        loss = cross_entropy(model(x[rows]), labels[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model.eval()


@torch.inference_mode()
def accuracy(model: nn.Module, x: Tensor, labels: Tensor) -> float:
    return float((model(x).argmax(1) == labels).double().mean())


def train(x: Tensor, labels: Tensor, key: dict[str, Any], **config: Any) -> tuple[genaug.Generator, float]:
    """A generator of series and the seconds of processor time that its training took, of all threads together."""
    began = time.process_time()
    with TemporaryDirectory() as folder:
        generator = genaug.fit(
            "rcgan",
            TensorDataset(x, labels),
            out=Path(folder) / "run",
            steps=key["steps"],
            batch_size=key["batch_size"],
            seed=key["seed"],
            device="cpu",
            threads=key["threads"],
            config={**key["config"], **config},
            checkpoint_every=key["steps"],
            progress=False,
        )
    return generator, time.process_time() - began


def tstr_and_trts(
    generator: genaug.Generator,
    real: Pair,
    test: Pair,
    train_classifier: Callable[[Tensor, Tensor], nn.Module],
    accuracy: Callable[[nn.Module, Tensor, Tensor], float],
    seed: int,
) -> tuple[dict[str, float], Tensor]:
    """Accuracies of classifiers of series: trained and tested on ``real`` and ``test``, TSTR, and TRTS (Esteban et al.
    2017, section 5); and the generated series of TRTS, which have the labels of ``test``. Those of TSTR have the labels
    of ``real``."""
    x, labels = real
    judge = train_classifier(x, labels)
    fake = generator.sample(labels=test[1], seed=seed)[0]
    result = {"real_accuracy": accuracy(judge, *test), "trts_accuracy": accuracy(judge, fake, test[1])}
    student = train_classifier(generator.sample(labels=labels, seed=derive_seed(seed, "TSTR"))[0], labels)
    return {**result, "tstr_accuracy": accuracy(student, *test)}, fake


def run(key: dict[str, Any]) -> dict[str, Any]:
    """Train both generators of a seed and measure them."""
    seed, n = key["seed"], key["waves"]
    x, labels, _ = waves(n, derive_seed(seed, "training"))
    test, test_labels, _ = waves(key["samples"], derive_seed(seed, "test"))
    generator, seconds = train(x, labels, key)
    classifier = partial(train_classifier, updates=key["updates"], seed=seed)
    accuracies, fake = tstr_and_trts(generator, (x, labels), (test, test_labels), classifier, accuracy, seed)
    result: dict[str, Any] = {"cpu_seconds": seconds, **accuracies}
    result["recognition"] = result["trts_accuracy"]
    result |= {name: result[f"{name}_accuracy"] / result["real_accuracy"] for name in ("tstr", "trts")}
    real, generated = factors_of(test, test_labels), factors_of(fake, test_labels)
    result |= {f"ks_{name}": float(ks_2samp(real[name], generated[name]).statistic) for name in FACTORS}
    measures, two_dimensions = walk(x, labels, key)
    result |= measures
    if seed == 0:
        draw(generator, two_dimensions, RESULTS / "rcgan_waves.png")
    say(f"seed {seed}: " + ", ".join(f"{name} {value:.3f}" for name, value in result.items()))
    return result


def walk(x: Tensor, labels: Tensor, key: dict[str, Any]) -> tuple[dict[str, Any], Any]:
    """R² of the factors of sines as functions of a latent of two dimensions, and the generator."""
    generator, seconds = train(x, labels, key, latent_size=2)
    result = {"walk_cpu_seconds": seconds}
    z = torch.randn(key["samples"], 2, generator=torch.Generator().manual_seed(key["seed"]))
    sines = torch.zeros(len(z), dtype=torch.int64)
    factors = factors_of(generator.decode(z, sines), sines)
    half = len(z) // 2
    for name in FACTORS:
        neighbors = KNeighborsRegressor(10).fit(z[:half].numpy(), factors[name][:half])
        result[f"r2_{name}"] = float(neighbors.score(z[half:].numpy(), factors[name][half:]))
    return result, generator


def draw(generator: Any, two_dimensions: Any, path: Path) -> None:
    """The article's figures: random waves of both shapes (13), and sines over a grid of two latents (14)."""
    figure = Figure(figsize=(11, 5.4))
    kinds = torch.arange(len(SHAPES)).repeat_interleave(SIDE**2 // len(SHAPES))
    axis = two_dimensions.spec.latents[0].axis(SIDE)
    z = torch.cartesian_prod(axis, axis)
    panels = {
        f"on demand: {' above '.join(f'{shape}s' for shape in SHAPES)}": generator.sample(labels=kinds, seed=0)[0],
        "sines, by a latent of two dimensions": two_dimensions.decode(z, torch.zeros(len(z), dtype=torch.int64)),
    }
    for place, (title, series) in zip(figure.subplots(1, len(panels)), panels.items(), strict=True):
        for index, wave in enumerate(series[:, 0].numpy()):
            row, column = divmod(index, SIDE)
            place.plot(column + np.linspace(0.05, 0.95, STEPS), wave / 3 - row, color="tab:blue", linewidth=0.9)
        place.set_title(title, fontsize=10)
        place.axis("off")
    figure.tight_layout()
    save(figure, path)


def summary(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Means over the seeds, their extremes, and whether the targets are met by the means."""
    names = [name for name in rows[0] if isinstance(rows[0][name], float)]
    result: dict[str, Any] = {f"{name}_mean": mean(row[name] for row in rows) for name in names}
    result["recognition_min"] = min(row["recognition"] for row in rows)
    for name in FACTORS:
        result[f"ks_{name}_max"] = max(row[f"ks_{name}"] for row in rows)
        result[f"r2_{name}_min"] = min(row[f"r2_{name}"] for row in rows)
    result["target_recognition_met"] = result["recognition_mean"] >= TARGETS["recognition"]
    result["target_ks_met"] = all(result[f"ks_{name}_mean"] <= TARGETS["ks"] for name in FACTORS)
    result["target_r2_met"] = all(result[f"r2_{name}_mean"] >= TARGETS["r2"] for name in ("frequency", "amplitude"))
    result["target_tstr_met"] = result["tstr_mean"] >= TARGETS["tstr"]
    result["target_trts_met"] = result["trts_mean"] >= TARGETS["trts"]
    result["target_time_met"] = result["cpu_seconds_mean"] <= TARGETS["cpu_seconds"]
    return result


def main(argv: Sequence[str] | None = None) -> None:
    parser = arguments(__doc__, seeds=5, first_seed=True)
    parser.add_argument("--steps", type=int, default=5000, help="of a training; by default 5000")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--waves", type=int, default=14_000, help="training waves")
    parser.add_argument("--samples", type=int, default=10_000, help="generated and real test waves")
    parser.add_argument("--updates", type=int, default=1000, help="of a classifier")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], help="options of the backend")
    options = parser.parse_args(argv)
    names = ("steps", "batch_size", "waves", "samples", "updates", "threads")
    common = {**{name: getattr(options, name) for name in names}, "config": parse_settings(options.set)}
    seeds = seeds_of(options)
    say(f"about {cost(600, options.seeds)} on an idle core")
    rows = Record(RESULTS / "rcgan_waves.jsonl").finish(({"seed": seed, **common} for seed in seeds), run)
    result = summary(rows)
    for name, value in result.items():
        say(f"{name:<28} {value if isinstance(value, bool) else f'{value:.4f}'}")
    end(options, result)


if __name__ == "__main__":
    main()
