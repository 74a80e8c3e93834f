"""Are samples of a generator trained in bfloat16 as good as those of one trained in float32? KID, paired by seed.

For each seed both start from the same weights and see the same batches and latents. KID is measured against the test
images in the features of a classifier trained on the training images. It is the mean of several looks in the second
half of the training: two trainings that differ in the last bit part soon, and a single look would mostly tell by how
much a generator differs from itself a hundred steps later. bfloat16 passes if the upper 95% bound (one-sided,
Student's t) of the mean difference is at most a tenth of float32's mean KID.

    python benchmarks/speed/precision.py --root MNIST_ROOT --seeds 5 --json
"""

import argparse
import json
import statistics
from typing import Any

import torch
from scipy.stats import t as student
from torch import Tensor

from benchmarks.common.console import arguments, say
from benchmarks.common.judge import Judge, judge_of, labelled, loaded, read, train_judge
from genaug.backends import registry
from genaug.data.reading import Samples
from genaug.evaluation import kid
from genaug.evaluation.features import Features
from genaug.nn.classifier import new_classifier
from genaug.sources.generator import Generator
from genaug.training.trainer import Trainer

BATCH = 64
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
BOUND, SUBSETS = 0.1, 20


def main(argv: list[str] | None = None) -> None:
    parser = arguments(__doc__, data="torchvision:MNIST", seeds=5)
    parser.add_argument("--image-size", type=int, default=14, help="pixels; MNIST's 28 take four times as long")
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--looks", type=int, default=10)
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--samples", type=int, default=2000, help="at each look")
    parser.add_argument("--judge-updates", type=int, default=600)
    options = parser.parse_args(argv)
    if options.seeds < 2:
        parser.error("a bound needs at least 2 seeds")

    train, test = read(options.data, options.root, options.image_size)
    judge = judge_for(train, test, options.judge_updates)
    scores: dict[str, list[float]] = {name: [] for name in DTYPES}
    for seed in range(options.seeds):
        for name, dtype in DTYPES.items():
            values = follow(train, judge.features, judge.real, seed, dtype, options)
            scores[name].append(statistics.mean(values))
            each = ", ".join(f"{value:.4g}" for value in values)
            say(f"seed {seed}, {name}: KID {scores[name][-1]:.4g} ({each})")
    print(json.dumps(summary(scores)) if options.json else summary(scores))


def judge_for(train: Samples, test: Samples, updates: int) -> Judge:
    """A classifier that is twice as wide as the other scripts', trained at half their rate."""
    (images, labels), classes = labelled(train), train.spec.num_classes
    model, order = new_classifier(train.spec.shape, classes, seed=0), loaded(images, labels, BATCH, 0)
    trained = train_judge(images, labels, classes, updates=updates, seed=0, model=model, order=order, lr=1e-3)
    judge = judge_of(trained, images, *labelled(test))
    say(f"the features' classifier: {judge.accuracy:.1%} on test")
    return judge


def follow(
    data: Samples, features: Features, real: Tensor, seed: int, dtype: torch.dtype, options: argparse.Namespace
) -> list[float]:
    """KID of the averaged generator at evenly spaced steps of the second half of one training."""
    backend = registry.resolve("cgan")
    config: Any = backend.Config(width=options.width, max_width=8 * options.width)
    trainer = Trainer(backend, config, data, seed=seed, batch_size=BATCH, dtype=dtype, steps=options.steps)
    half, distances = options.steps // 2, []
    looks = {half + (options.steps - half) * (number + 1) // options.looks for number in range(options.looks)}
    for index in range(options.steps):
        trainer.step(index)
        if index + 1 in looks:
            generator = Generator("cgan", backend, config, trainer.spec, trainer.averaged(), {})
            images, _ = generator.sample(options.samples, seed=index, precision="float32")
            distances.append(kid(real, features.of(images), subsets=SUBSETS))
    return distances


def summary(scores: dict[str, list[float]]) -> dict[str, Any]:
    differences = [b - a for a, b in zip(scores["float32"], scores["bfloat16"], strict=True)]
    count, mean = len(differences), statistics.mean(scores["float32"])
    error = statistics.stdev(differences) / count**0.5
    bound = statistics.mean(differences) + float(student.ppf(0.95, count - 1)) * error
    return {
        "kid_float32": mean,
        "kid_bfloat16": statistics.mean(scores["bfloat16"]),
        "difference": statistics.mean(differences),
        "difference_sd": statistics.stdev(differences),
        "difference_upper_95": bound,
        "upper_bound_over_float32": bound / mean,
        "target": BOUND,
        "target_met": bound <= BOUND * mean,
        "seeds": count,
    }


if __name__ == "__main__":
    main()
