"""Are a generator's samples of the class they were asked for, and are they more than one picture a class?

Three measures against real data: the share of samples that a classifier trained on real images labels as requested,
the pixel distance between samples of one class over that between real ones, and the test accuracy of a small CNN that
is trained on generated samples alone. The last one can't be had by a generator that repeats itself.

    genaug train cgan --data torchvision:MNIST --root MNIST_ROOT --steps 3000 --out runs/mnist
    python benchmarks/synthetic_only.py runs/mnist --data torchvision:MNIST --root MNIST_ROOT --seeds 3 --json
"""

import argparse
import json
import statistics
import sys

import torch
from torch import Tensor

import genaug
from genaug.data.datasets import load_data
from genaug.data.reading import read_samples
from genaug.modalities.distance import distance_ratio, first_per_class
from genaug.nn.classifier import SmallCNN, accuracy, shuffled_batches, train_classifier

BATCH = 128
POOL = 60_000
AGREEMENT_SAMPLES = 2_000
DISTANCE_PER_CLASS = 200


def train_cnn(images: Tensor, labels: Tensor, classes: int, updates: int, seed: int) -> SmallCNN:
    torch.manual_seed(seed)
    model = SmallCNN(tuple(images.shape[1:]), classes, width=16)
    train_classifier(model, shuffled_batches(images, labels, BATCH, seed), updates=updates, seed=seed, lr=2e-3)
    return model


def balanced(classes: int, count: int) -> Tensor:
    return torch.arange(count) % classes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("source", help="a folder that genaug.load takes")
    parser.add_argument("--data", default="digits")
    parser.add_argument("--root", help="where torchvision's files lie")
    parser.add_argument("--updates", type=int, default=1500, help="of every classifier, at batch size 128")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()

    generator = genaug.load(options.source, device="cpu")
    classes = generator.spec.num_classes
    train = read_samples(load_data(options.data, split="train", root=options.root))
    test = read_samples(load_data(options.data, split="test", root=options.root))
    assert train.labels is not None
    assert test.labels is not None

    judge = train_cnn(train.images, train.labels, classes, options.updates, seed=1000)
    judge_accuracy = accuracy(judge, test.images, test.labels)
    say(f"a classifier trained on real images: {judge_accuracy:.2%} of the real test set")

    asked = balanced(classes, AGREEMENT_SAMPLES)
    agreement = accuracy(judge, generator.sample(labels=asked, seed=1)[0], asked)
    say(f"it recognises the requested label in {agreement:.2%} of {AGREEMENT_SAMPLES} samples")

    real = first_per_class(test.labels, DISTANCE_PER_CLASS)
    labels = test.labels[real]
    diversity = distance_ratio(test.images[real], labels, generator.sample(labels=labels, seed=2)[0], labels)
    say(f"samples of one class differ {diversity:.1%} as much as real ones")

    pool_labels = balanced(classes, POOL)
    pool, _ = generator.sample(labels=pool_labels, seed=3)
    scores = []
    for seed in range(options.seeds):
        model = train_cnn(pool, pool_labels, classes, options.updates, seed)
        scores.append(accuracy(model, test.images, test.labels))
        say(f"a CNN trained on generated samples alone, seed {seed}: {scores[-1]:.2%} of the real test set")
    result = {
        "judge_accuracy": judge_accuracy,
        "label_agreement": agreement,
        "diversity_ratio": diversity,
        "synthetic_only_mean": statistics.mean(scores),
        "synthetic_only_sd": statistics.stdev(scores) if len(scores) > 1 else None,
        "synthetic_only_min": min(scores),
        "seeds": options.seeds,
        "generator_steps": generator.training.get("steps"),
    }
    if options.json:
        print(json.dumps(result))


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
