"""Do a generator's samples show the requested class, and is there more than one picture per class?

Three measures against real data: the share of samples that a classifier trained on real images labels as requested,
the pixel distance between samples of one class over that between real ones, and the test accuracy of a small CNN that
is trained on generated samples alone. A generator that repeats itself can't reach the last one.

    genaug train cgan --data torchvision:MNIST --root MNIST_ROOT --steps 3000 --out runs/mnist
    python benchmarks/studies/synthetic_only.py runs/mnist --data torchvision:MNIST --root MNIST_ROOT --seeds 3 --json
"""

import statistics

import torch
from torch import Tensor

import genaug
from benchmarks.common.console import arguments, end, say
from benchmarks.common.judge import labelled, read, train_judge
from genaug.modalities.distance import distance_ratio, first_per_class
from genaug.nn.classifier import SmallCNN, accuracy, shuffled_batches

BATCH = 128
POOL = 60_000
AGREEMENT_SAMPLES = 2_000
DISTANCE_PER_CLASS = 200


def train_cnn(images: Tensor, labels: Tensor, classes: int, updates: int, seed: int) -> SmallCNN:
    torch.manual_seed(seed)
    model, order = SmallCNN(tuple(images.shape[1:]), classes, width=16), shuffled_batches(images, labels, BATCH, seed)
    return train_judge(images, labels, classes, updates=updates, seed=seed, model=model, order=order)


def main() -> None:
    parser = arguments(__doc__, data="digits", seeds=3)
    parser.add_argument("source", help="a folder that genaug.load takes")
    parser.add_argument("--updates", type=int, default=1500, help="of every classifier, at batch size 128")
    options = parser.parse_args()

    generator = genaug.load(options.source, device="cpu")
    classes = generator.spec.num_classes
    train, test = map(labelled, read(options.data, options.root))

    judge = train_cnn(*train, classes, options.updates, seed=1000)
    judge_accuracy = accuracy(judge, *test)
    say(f"a classifier trained on real images: {judge_accuracy:.2%} of the real test set")

    requested = torch.arange(AGREEMENT_SAMPLES) % classes
    agreement = accuracy(judge, generator.sample(labels=requested, seed=1)[0], requested)
    say(f"it recognizes the requested label in {agreement:.2%} of {AGREEMENT_SAMPLES} samples")

    rows = first_per_class(test[1], DISTANCE_PER_CLASS)
    real, labels = (part[rows] for part in test)
    diversity = distance_ratio(real, labels, generator.sample(labels=labels, seed=2)[0], labels)
    say(f"samples of one class differ {diversity:.1%} as much as real ones")

    pool_labels = torch.arange(POOL) % classes
    pool, _ = generator.sample(labels=pool_labels, seed=3)
    scores = []
    for seed in range(options.seeds):
        model = train_cnn(pool, pool_labels, classes, options.updates, seed)
        scores.append(accuracy(model, *test))
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
    end(options, result)


if __name__ == "__main__":
    main()
