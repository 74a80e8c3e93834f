"""Sines of five channels and 24 steps, as in TimeGAN (Yoon et al. 2019): the scores of ``rcgan`` and ``timevae``.

The paper (section 5.1) draws sin(2 pi eta t + theta) with eta from U[0, 1] and theta from U[-pi, pi] for each channel;
the authors' code draws sin(eta t + theta) with both from U[0, 0.1], which is less than half a period in 24 steps. Both
are measured, at t = 0, 1, ..., 23 and scaled from [-1, 1] to [0, 1], as in the code; 10,000 training series.

The discriminative score is that of the code's judge, a GRU of two units, the mean of several trainings; beside it those
of a GRU of two layers of 32 units and of a small CNN. The predictive score is that of the code, a GRU of two units that
predicts the last channel from the others. The scores of new real series are the floor.

    python benchmarks/papers/series_sines.py

Seeds from 100 on are for tuning.
"""

import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import product
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

import genaug
from benchmarks.common.console import arguments, end, mean_and_range, parse_settings, say, seeds_of
from benchmarks.common.record import RESULTS, Record
from genaug.evaluation.series_judges import judge, published_judge, strong_judge
from genaug.evaluation.series_prediction import prediction_errors
from genaug.nn.recurrent import Recurrent
from genaug.randomness import derive_seed

CHANNELS, STEPS = 5, 24
FREQUENCIES = ("code", "paper")
BACKENDS = ("rcgan", "timevae")
TARGETS = {"discriminative": 0.022, "stretch": 0.011}  # RCGAN and TimeGAN, as quoted by Yoon et al. 2019, table 2


def sines(frequencies: str, n: int, seed: int) -> Tensor:
    """Series, float32 (n, 5, 24) in [0, 1]."""
    rng = np.random.default_rng(seed)
    size = (n, CHANNELS, 1)
    if frequencies == "code":
        frequency, phase = rng.uniform(0, 0.1, size), rng.uniform(0, 0.1, size)
    else:
        frequency, phase = 2 * np.pi * rng.uniform(0, 1, size), rng.uniform(-np.pi, np.pi, size)
    return torch.from_numpy((np.sin(frequency * np.arange(STEPS) + phase) + 1) / 2).float()


def published_predictor(inputs: int, outputs: int) -> nn.Module:
    """A GRU of as many units as half of the channels, and a sigmoid."""
    return nn.Sequential(Recurrent(inputs, CHANNELS // 2, outputs, predicts=True), nn.Sigmoid())


def scores(real: Tensor, fake: Tensor, key: dict[str, Any]) -> dict[str, float]:
    """The scores of generated series: of the published judge and predictor, and of the stronger judges."""
    judges: dict[str, tuple[Callable[[], nn.Module], int]] = {
        "discriminative": (published_judge(CHANNELS, CHANNELS), key["judges"]),
        "discriminative_gru": (partial(Recurrent, CHANNELS, 32, layers=2), 1),
        "discriminative_cnn": (strong_judge((CHANNELS, STEPS)), 1),
    }
    result = {}
    for name, (build, count) in judges.items():
        seeds = [derive_seed(key["seed"], name, number) for number in range(count)]
        accuracies = [judge(real, fake, build, updates=key["judge_updates"], seed=seed)[0] for seed in seeds]
        result[name] = mean(abs(accuracy - 0.5) for accuracy in accuracies)
    train, test = (fake, torch.ones_like(fake)), (real, torch.ones_like(real))
    errors = prediction_errors(
        train,
        test,
        published_predictor,
        updates=key["predictor_updates"],
        seed=derive_seed(key["seed"], "predictive"),
        inputs=slice(0, CHANNELS - 1),
        targets=slice(CHANNELS - 1, CHANNELS),
    )
    return {**result, "predictive": float(errors.mean())}


def run(key: dict[str, Any]) -> dict[str, Any]:
    """Train a generator and measure it; without a backend, measure new real series."""
    n, seed = key["series"], key["seed"]
    real = sines(key["frequencies"], n, derive_seed(seed, "training"))
    result: dict[str, Any] = {}
    if key["backend"] is None:
        fake = sines(key["frequencies"], n, derive_seed(seed, "new"))
    else:
        began, cpu = time.monotonic(), time.process_time()
        with TemporaryDirectory() as folder:
            generator = genaug.fit(
                key["backend"],
                TensorDataset(real),
                out=Path(folder) / "run",
                steps=key["steps"],
                batch_size=key["batch_size"],
                seed=seed,
                device="cpu",
                threads=key["threads"],
                config=key["config"],
                checkpoint_every=key["steps"],
                progress=False,
            )
        result = {"seconds": time.monotonic() - began, "cpu_seconds": time.process_time() - cpu}
        fake = generator.sample(n, seed=seed)[0]
    result |= scores(real, fake, key)
    name = key["backend"] or "new real series"
    say(f"{name}, {key['frequencies']}, seed {seed}: " + ", ".join(f"{k} {value:.3f}" for k, value in result.items()))
    return result


def summary(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Means over the seeds by backend and frequencies, and whether the targets are met."""
    result: dict[str, Any] = {}
    names = ("discriminative", "discriminative_gru", "discriminative_cnn", "predictive", "cpu_seconds")
    for backend, frequencies in product((*BACKENDS, None), FREQUENCIES):
        own = [row for row in rows if (row["backend"], row["frequencies"]) == (backend, frequencies)]
        if not own:
            continue
        prefix = f"{backend or 'real'}_{frequencies}"
        for name in names:
            if name in own[0]:
                result[f"{prefix}_{name}"] = mean(row[name] for row in own)
                say(f"{prefix + ' ' + name:<36} {mean_and_range([row[name] for row in own], '.3f')}")
        if backend is not None:
            score = result[f"{prefix}_discriminative"]
            result |= {f"target_{prefix}_met": score <= TARGETS["discriminative"]}
            result |= {f"stretch_{prefix}_met": score <= TARGETS["stretch"]}
    return result


def main(argv: Sequence[str] | None = None) -> None:
    parser = arguments(__doc__, seeds=5, first_seed=True)
    parser.add_argument("--backend", action="append", choices=BACKENDS, help="by default both")
    parser.add_argument("--frequencies", action="append", choices=FREQUENCIES, help="by default both")
    parser.add_argument("--steps", type=int, default=4000, help="of a training; by default 4000")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--series", type=int, default=10_000, help="training series, and as many generated ones")
    parser.add_argument("--judges", type=int, default=5, help="trainings of the published judge")
    parser.add_argument("--judge-updates", type=int, default=2000, help="of a judge; by default as published")
    parser.add_argument("--predictor-updates", type=int, default=5000, help="of a predictor; by default as published")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], help="options of the backends")
    options = parser.parse_args(argv)
    measured = {name: getattr(options, name) for name in ("series", "judges", "judge_updates", "predictor_updates")}
    training = {name: getattr(options, name) for name in ("steps", "batch_size", "threads")}
    training["config"] = parse_settings(options.set)
    keys: list[dict[str, Any]] = []
    for seed, frequencies in product(seeds_of(options), options.frequencies or FREQUENCIES):
        common = {"seed": seed, "frequencies": frequencies, **measured}
        keys.append({**common, "backend": None})
        keys += [{**common, "backend": backend, **training} for backend in options.backend or BACKENDS]
    result = summary(Record(RESULTS / "series_sines.jsonl").finish(keys, run))
    end(options, result)


if __name__ == "__main__":
    main()
