"""Does the critic's estimate of the distance show the quality of the samples?

Gulrajani et al. 2017 (figure 5) show the negative critic loss falling while the samples get better, and give no figure.
Here: Spearman's correlation, over points of a training that are evenly spaced on a logarithmic scale from step 200, of

* the critic's estimate E D(x) - E D(G(z)) without the penalty, a mean over the 50 steps that end at the point, and
* KID (Binkowski et al. 2018) of the generator that this critic judges, against the real test set, in the last hidden
  layer of a small classifier that the script trains on the real training set.

Both fall as samples get better, so the correlation should be near 1. KID of the averaged generator, which users get,
is reported too. The generator is unconditional. KID falls nearly all the time here, so the negated step correlates with
it too, which is also reported; in the trainings of ``wgan_gp_limits.py``, KID also rises.

    python benchmarks/papers/wgan_gp_curve.py --root MNIST_ROOT --seeds 3 --json
"""

import copy
import statistics
import time
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator
from scipy.stats import spearmanr
from torch import Tensor, nn

from benchmarks.common.console import arguments, cost, end, say
from benchmarks.common.figures import save
from benchmarks.common.judge import Judge, judge_of, labelled, loaded, read, train_judge
from benchmarks.common.record import RESULTS, Record
from genaug.backends import registry
from genaug.data.reading import Samples
from genaug.device import compute_dtype, pick_device
from genaug.evaluation import kid
from genaug.sources.generator import Generator
from genaug.training.statistics import recompute_statistics
from genaug.training.trainer import Trainer

FIRST = 200  # the critic has to catch up with its task before its estimate means anything
WINDOW = 50  # as a line of metrics.jsonl
BATCH = 64
SAMPLES = 2500
SUBSETS = 10  # of 1,000 samples, for KID
JUDGE_UPDATES = 600
TARGET = 0.8


def main(argv: list[str] | None = None) -> None:
    parser = arguments(__doc__, data="torchvision:MNIST", seeds=3)
    parser.add_argument("--steps", type=int, default=3000, help="of the generator; the critic has five updates in each")
    parser.add_argument("--points", type=int, default=20)
    parser.add_argument("--width", type=int, default=16, help="channels at the image's side; 8 times as many at most")
    options = parser.parse_args(argv)

    recipe = registry.resolve("wgan-gp")
    config = recipe.Config(width=options.width, max_width=8 * options.width, conditional=False)
    points = log_spaced(FIRST if options.steps > FIRST else 1, options.steps, options.points)
    if len(points) < 3:
        parser.error(f"a correlation needs at least 3 points, and these steps and points make {len(points)}")
    settings = {
        "data": options.data,
        "config": config.model_dump(mode="json"),
        "batch_size": BATCH,
        "points": points,
        "window": WINDOW,
        "samples": SAMPLES,
        "subsets": SUBSETS,
        "judge_updates": JUDGE_UPDATES,
    }

    @cache
    def material() -> tuple[Samples, Judge]:
        train, test = read(options.data, options.root)
        judge = judge_for(train, test)
        say(f"the classifier labels {judge.accuracy:.2%} of the real test set correctly")
        return train, judge

    keys = [{**settings, "seed": seed} for seed in range(options.seeds)]
    rows = Record(RESULTS / "wgan_gp_curve.jsonl").finish(keys, lambda key: follow(key, config, *material()))
    say(f"{'seed':<8}{'Spearman':>9}{'averaged generator':>20}{'minus the step':>16}   aim: {TARGET} in every seed")
    for row in rows:
        say(f"{row['seed']:<8}{row['spearman']:>9.3f}{row['spearman_averaged']:>20.3f}{of_the_step(row):>16.3f}")
    say("Gulrajani et al. 2017: a correlation is claimed (figure 5), no figure is given.")
    say(f"{options.seeds} seeds like these take {cost(statistics.mean(row['seconds'] for row in rows), options.seeds)}")
    draw(rows, RESULTS / "wgan_gp_curve.png")
    correlations = [row["spearman"] for row in rows]
    result = {
        "spearman_min": min(correlations),
        "spearman_median": statistics.median(correlations),
        **{f"spearman_seed_{row['seed']}": row["spearman"] for row in rows},
        "spearman_averaged_generator_min": min(row["spearman_averaged"] for row in rows),
        "target": TARGET,
        "target_met": min(correlations) >= TARGET,
        "paper_spearman": None,
        "seeds": options.seeds,
        "steps": options.steps,
        "points": len(points),
        "judge_accuracy": rows[0]["judge_accuracy"],
    }
    end(options, result)


def of_the_step(row: dict[str, Any]) -> float:
    """Spearman's correlation of the negated step with KID: that of any number that falls all the time."""
    return float(spearmanr([-point for point in row["points"]], row["kid"]).statistic)


def log_spaced(first: int, last: int, count: int) -> list[int]:
    """Distinct steps from ``first`` to ``last``, at most ``count``."""
    return np.unique(np.geomspace(first, last, count).round().astype(int)).tolist()


def judge_for(train: Samples, test: Samples) -> Judge:
    """The same for all seeds, so that their KID is comparable."""
    (images, labels), order = labelled(train), loaded(*labelled(train), 128, 0)
    model = train_judge(images, labels, train.spec.num_classes, updates=JUDGE_UPDATES, seed=1000, order=order)
    return judge_of(model, images, *labelled(test))


def follow(
    key: dict[str, Any], config: Any, data: Samples, judge: Judge, held_out: Tensor | None = None
) -> dict[str, Any]:
    """Train one generator; the estimate and KID at each of the key's points.

    With held-out uint8 images, the estimate is also computed on these, as ``held_out``. If the key has
    ``"statistics": "recomputed"``, the latest generator gets new batch-norm statistics before it is judged.
    """
    backend, seed, device = registry.resolve("wgan-gp"), key["seed"], pick_device(None)
    dtype = compute_dtype("auto", device, data.spec.sample.in_bfloat16)
    trainer = Trainer(backend, config, data, seed=seed, batch_size=key["batch_size"], device=device, dtype=dtype)

    def samples_of(nets: nn.ModuleDict) -> Tensor:
        return Generator("wgan-gp", backend, config, trainer.spec, nets, {}).sample(key["samples"], seed=seed)[0]

    def distance(images: Tensor) -> float:
        return kid(judge.real, judge.features.of(images), subsets=key["subsets"])

    @torch.inference_mode()
    def mean_score(images: Tensor) -> float:
        parts = trainer.spec.sample.encode(images).to(device).split(500)
        scores = [trainer.nets["critic"](part, None) for part in parts]
        return float(torch.cat(scores).mean())

    latest: list[Tensor] = []
    curves: dict[str, list[float]] = {"estimate": [], "kid": [], "kid_averaged": []}
    if held_out is not None:
        curves["held_out"] = []
    start = time.perf_counter()
    for index in range(key["points"][-1]):
        latest = [*latest[1 - key["window"] :], trainer.step(index)["wasserstein_estimate"]]
        if index + 1 in key["points"]:
            curves["estimate"].append(float(torch.stack(latest).mean()))
            nets = nn.ModuleDict({"generator": copy.deepcopy(trainer.nets["generator"])})
            if key.get("statistics") == "recomputed":
                recompute_statistics(backend, trainer.spec, nets, data, seed)
            latest_images = samples_of(nets)
            curves["kid"].append(distance(latest_images))
            curves["kid_averaged"].append(distance(samples_of(trainer.averaged())))
            if held_out is not None:
                curves["held_out"].append(mean_score(held_out) - mean_score(latest_images))
            seconds = time.perf_counter() - start
            progress = "  ".join(f"{name} {values[-1]:.4g}" for name, values in curves.items())
            total = cost(seconds / (index + 1), key["points"][-1])
            say(f"seed {seed}, step {index + 1}: {progress}  (a seed takes about {total})")
    return {
        "judge_accuracy": judge.accuracy,
        "spearman": float(spearmanr(curves["estimate"], curves["kid"]).statistic),
        "spearman_averaged": float(spearmanr(curves["estimate"], curves["kid_averaged"]).statistic),
        **curves,
        "seconds": round(time.perf_counter() - start, 1),
    }


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """One panel per seed: the estimate and KID over the steps; KID on a logarithmic scale."""
    figure = Figure(figsize=(4.5 * len(rows), 3.6), layout="constrained")
    for axis, row in zip(figure.subplots(1, len(rows), squeeze=False)[0], rows, strict=True):
        other = axis.twinx()
        axis.plot(row["points"], row["estimate"], "o-", color="C0", markersize=3)
        other.plot(row["points"], row["kid"], "s-", color="C1", markersize=3)
        axis.set(xscale="log", xlabel="step (logarithmic)", title=f"seed {row['seed']}: Spearman {row['spearman']:.2f}")
        axis.set_xticks([t for t in (200, 500, 1000, 2000, 5000, 10_000) if t <= row["points"][-1]])
        axis.xaxis.set_major_formatter("{x:,.0f}")
        axis.xaxis.set_minor_locator(NullLocator())
        other.set_yscale("log", nonpositive="clip")
        axis.set_ylabel("critic's estimate of the distance", color="C0")
        other.set_ylabel("KID", color="C1")
    save(figure, path, dpi=130)


if __name__ == "__main__":
    main()
