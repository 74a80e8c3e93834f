"""Are samples of a generator trained in bfloat16 as good as those of one trained in float32? KID, paired by seed.

For each seed both start from the same weights and see the same batches and latents. KID is measured against the test
images in the features of a classifier trained on the training images. It is the mean of several looks in the second
half of the training: two trainings that differ in the last bit part soon, and a single look would mostly tell by how
much a generator differs from itself a hundred steps later. bfloat16 passes where the upper 95 % bound (one-sided,
Student's t) of the mean difference is at most a tenth of float32's mean KID.

    python benchmarks/precision.py --root MNIST_ROOT --seeds 5 --json
"""

import argparse
import json
import statistics
import sys
from typing import Any

import torch
from scipy.stats import t as student
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from genaug.backends import registry
from genaug.data.datasets import load_data
from genaug.data.reading import Samples, read_samples
from genaug.evaluation import kid
from genaug.evaluation.features import Features, classifier_features
from genaug.nn.classifier import accuracy, batches, new_classifier, train_classifier
from genaug.sources.generator import Generator
from genaug.training.distributed import Share
from genaug.training.game import Game
from genaug.training.streams import BatchStream, TrainingStep

CPU, BATCH = torch.device("cpu"), 64
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
BOUND, SUBSETS = 0.1, 20


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", default="torchvision:MNIST")
    parser.add_argument("--root", help="where torchvision's files lie")
    parser.add_argument("--image-size", type=int, default=14, help="pixels; MNIST's 28 take four times as long")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--looks", type=int, default=10)
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--samples", type=int, default=2000, help="at each look")
    parser.add_argument("--judge-updates", type=int, default=600)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    if options.seeds < 2:
        parser.error("a bound needs at least 2 seeds")

    train, test = (
        read_samples(load_data(options.data, split=split, root=options.root), options.image_size)
        for split in ("train", "test")
    )
    features = train_features(train, test, options.judge_updates)
    real = features.of(test.images)
    scores: dict[str, list[float]] = {name: [] for name in DTYPES}
    for seed in range(options.seeds):
        for name, dtype in DTYPES.items():
            values = follow(train, features, real, seed, dtype, options)
            scores[name].append(statistics.mean(values))
            told = ", ".join(f"{value:.4g}" for value in values)
            print(f"seed {seed}, {name}: KID {scores[name][-1]:.4g} ({told})", file=sys.stderr, flush=True)
    print(json.dumps(summary(scores)) if options.json else summary(scores))


def train_features(train: Samples, test: Samples, updates: int) -> Features:
    assert train.labels is not None
    assert test.labels is not None
    judge = new_classifier(train.spec.shape, train.spec.num_classes, seed=0)
    order = torch.Generator().manual_seed(0)
    loader = DataLoader(TensorDataset(train.images, train.labels), BATCH, shuffle=True, generator=order)
    train_classifier(judge, batches(loader), updates=updates, seed=0)
    print(f"the features' classifier: {accuracy(judge, test.images, test.labels):.1%} on test", file=sys.stderr)
    return classifier_features(judge, "the training images", train.images)


def follow(
    data: Samples, features: Features, real: Tensor, seed: int, dtype: torch.dtype, options: argparse.Namespace
) -> list[float]:
    """KID of the averaged generator at evenly spaced steps of the second half of one training."""
    backend = registry.resolve("cgan")
    config: Any = backend.Config(width=options.width, max_width=8 * options.width)
    spec = backend.describe(config, data.spec)
    game = Game(backend, config, spec, seed, CPU, Share(), options.steps)
    step = TrainingStep(config, spec, seed=seed, device=CPU, dtype=dtype, share=Share(), policy=())
    stream = BatchStream(data, BATCH, seed, CPU, Share())
    half, found = options.steps // 2, []
    looks = {half + (options.steps - half) * (number + 1) // options.looks for number in range(options.looks)}
    for index in range(options.steps):
        step.begin(index)
        game.play(step, stream)
        if index + 1 in looks:
            generator = Generator("cgan", backend, config, spec, game.averaged_generator(data.labels), {})
            images, _ = generator.sample(options.samples, seed=index, precision="float32")
            found.append(kid(real, features.of(images), subsets=SUBSETS))
    return found


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
