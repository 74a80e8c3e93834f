"""Do filters repair a damaged generator? 30% of its labels are shuffled, and 20% of its samples are noise.

The generator is a published one. Half of the real training images train the filter's classifier, the other half the
judge, which no filter uses. For each seed: the share of wrong labels, by the judge, among the samples that aren't
noise; the share of noise that is left; and the filters' acceptance rate.

    python benchmarks/studies/filters.py --json
    python benchmarks/studies/filters.py --data torchvision:MNIST --root MNIST_ROOT --json

The least confidence was fixed on seed 100. Finished seeds are in benchmarks/results/filters.jsonl; --table prints the
table of the docs from these alone.
"""

import statistics
import time
from functools import cache
from typing import Any

import torch
from torch import Tensor

import genaug
from benchmarks.common.console import arguments, end, finished_rows, markdown, mean_and_range, say, seeds_of
from benchmarks.common.judge import labelled, read, train_judge
from genaug.nn.classifier import SmallCNN, accuracy, predict
from genaug.randomness import category_rows, derive_seed, uniform_rows

SHUFFLED, NOISE = 0.3, 0.2
MIN_CONFIDENCE, SAMPLES, UPDATES = 0.95, 10_000, 600
ARMS: dict[str, dict[str, Any]] = {
    "no filter": {},
    "agreement": {"agree": True},
    f"agreement, confidence {MIN_CONFIDENCE}": {"agree": True, "min_confidence": MIN_CONFIDENCE},
}


class Damaged:
    """A generator of which some samples show another class than their label, and some are noise."""

    def __init__(self, generator: genaug.Generator) -> None:
        self._generator, self.spec, self.batch_size = generator, generator.spec, 1024

    def sample(
        self, n: int | None = None, *, labels: Tensor | None = None, seed: int | None = None
    ) -> tuple[Tensor, Tensor]:
        assert seed is not None
        classes = self.spec.num_classes
        if labels is None:
            assert n is not None
            labels = category_rows(classes, seed, "labels", 0, n)
        draws = torch.from_numpy(uniform_rows(seed, "damage", 0, len(labels), 2))
        others = (labels + category_rows(classes - 1, seed, "others", 0, len(labels)) + 1) % classes
        images, _ = self._generator.sample(labels=torch.where(draws[:, 0] < SHUFFLED, others, labels), seed=seed)
        noisy = draws[:, 1] < NOISE
        size = images[0].numel()
        values = torch.from_numpy(uniform_rows(seed, "noise", 0, len(labels), size)) * 256
        images[noisy] = values.to(torch.uint8).view_as(images)[noisy]
        return images, labels


def is_noise(images: Tensor) -> Tensor:
    """Which images are uniform noise: digits have a background."""
    return (images.flatten(1) < 8).float().mean(1) < 0.1


def main(argv: list[str] | None = None) -> None:
    parser = arguments(__doc__, data="digits", seeds=5, first_seed=True, record="filters")
    parser.add_argument("--generator", help="by default the published one of this data set")
    options = parser.parse_args(argv)
    keys = [key_of(options.data, arm, seed) for seed in seeds_of(options) for arm in ARMS]
    published = "model_cards/digits-cgan" if options.data == "digits" else "model_cards/mnist-cgan"
    generator = cache(lambda: genaug.load(options.generator or published, device="cpu"))
    judges = cache(lambda seed: classifiers(options.data, options.root, seed))
    rows = finished_rows(options, keys, lambda key: run(key, generator(), *judges(key["seed"])))
    print(table_of(rows))
    end(options, summary(rows))


def key_of(data: str, arm: str, seed: int) -> dict[str, Any]:
    return {"data": data, "arm": arm, "shuffled": SHUFFLED, "noisy": NOISE, "samples": SAMPLES, "seed": seed}


def classifiers(data: str, root: str | None, seed: int) -> tuple[SmallCNN, SmallCNN]:
    """The filter's classifier and the judge, trained on different halves of the training images."""
    (images, labels), test = map(labelled, read(data, root))
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(derive_seed(seed, "halves")))
    classes = int(labels.max()) + 1
    models = [
        train_judge(images[half], labels[half], classes, updates=UPDATES, seed=derive_seed(seed, name))
        for name, half in zip(("filter", "judge"), order.chunk(2), strict=True)
    ]
    say(f"seed {seed}: test accuracies " + ", ".join(f"{accuracy(model, *test):.2%}" for model in models))
    return models[0], models[1]


def run(key: dict[str, Any], generator: genaug.Generator, classifier: SmallCNN, judge: SmallCNN) -> dict[str, Any]:
    began = time.process_time()
    options = ARMS[key["arm"]]
    source: Any = Damaged(generator)
    if options:
        source = genaug.filtered(source, **{**options, "agree": classifier})
    images, labels = source.sample(key["samples"], seed=derive_seed(key["seed"], "samples"))
    noise = is_noise(images)
    wrong = predict(judge, images[~noise]) != labels[~noise]
    rate = source.report.acceptance_rate if options else 1.0
    result = {"wrong": float(wrong.float().mean()), "noise": float(noise.float().mean()), "accepted": rate}
    say(f"{key['arm']}, seed {key['seed']}: " + ", ".join(f"{name} {value:.4f}" for name, value in result.items()))
    if options:
        say(str(source.report))
    return {**result, "seconds": round(time.process_time() - began, 1)}


def noise_removed(row: dict[str, Any]) -> float:
    """The share of the noisy candidates that didn't pass: there were 1 / accepted candidates per sample."""
    return 1 - row["noise"] * row["accepted"] / NOISE


def table_of(rows: list[dict[str, Any]]) -> str:
    """Mean and range over the seeds."""
    lines = []
    for arm in ARMS:
        of_arm = [row for row in rows if row["arm"] == arm]
        values = [[row["wrong"] for row in of_arm], [row["noise"] for row in of_arm]]
        if ARMS[arm]:
            values += [[noise_removed(row) for row in of_arm], [row["accepted"] for row in of_arm]]
        if of_arm:
            cells = [mean_and_range(v, ".1%") for v in values]
            lines.append([arm, *cells, *["–"] * (4 - len(cells))])
    return markdown(["filter", "wrong labels", "noise", "of the noise removed", "accepted"], lines)


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = {"rows": len(rows)}
    for arm in ARMS:
        of_arm = [row for row in rows if row["arm"] == arm]
        name = arm.replace(",", "").replace(" ", "_").replace(".", "_")
        if of_arm and ARMS[arm]:
            result[f"{name}_most_wrong"] = max(row["wrong"] for row in of_arm)
            result[f"{name}_least_noise_removed"] = min(map(noise_removed, of_arm))
            result[f"{name}_accepted"] = statistics.mean(row["accepted"] for row in of_arm)
    return result


if __name__ == "__main__":
    main()
