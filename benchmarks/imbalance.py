"""A long tail of classes: do generated images of the rare ones help, from a generator that has only seen the same tail?

Each seed draws its own long tail (``genaug.data.long_tail``), trains two generators on it, without ``balance`` and with
``balance="uniform"``, and trains the study's small classifier in eight ways, with the same initial weights and number
of updates: on the tail as it is (none), with class weights, with oversampling, with classic augmentation and
oversampling, and, without and with classic augmentation, on the tail in which either generator fills up all classes to
the size of the largest. All are judged on the complete test set, in which classes are about equally frequent: by the
recall of the three rarest classes, and by macro-F1.

    OMP_NUM_THREADS=1 python benchmarks/imbalance.py --root MNIST_ROOT --json

The verdict of an arm with generated images is "use" only if its 95% interval against each of the four arms without them
lies above 0, and "don't use" if one lies below. The intervals allow for the images that the seeds' tails have in
common. Finished seeds are in benchmarks/results/imbalance.jsonl; a run continues where the last one stopped.
"""

import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import torch
from sklearn.metrics import f1_score, recall_score
from torch import Tensor
from torch.nn.functional import one_hot

import genaug
from benchmarks.common.console import arguments, cost, end, markdown, plain, say, seeds_of
from benchmarks.common.judge import labelled
from benchmarks.common.record import RESULTS, Record
from genaug.data import load_data, long_tail
from genaug.data.labels import labels_of
from genaug.data.reading import Samples, read_samples
from genaug.nn.classifier import predict, shuffled_batches, train_classifier
from genaug.randomness import derive_seed
from genaug.studies.classic import classic_augmentation
from genaug.studies.compare import Difference, overlap_correction, paired_difference
from genaug.studies.models import make_classifier

Batches = Iterator[tuple[Tensor, Tensor]]

NAME = "imbalance"
RARE = 3  # classes
GENERATOR = {"backend": "cgan", "steps": 3000, "config": {"width": 16, "max_width": 128}, "augment": ["affine"]}
CLASSIFIER = {"updates": 1500, "batch_size": 128, "lr": 1e-3}
BALANCES = {"generated": None, "balanced generated": "uniform"}
BASELINES = ("none", "class weights", "oversampling", "classic + oversampling")
ARMS = (*BASELINES, *(f"{classic}{name}" for classic in ("", "classic + ") for name in BALANCES))
METRICS = {"rare_recall": "recall of the three rarest classes", "macro_f1": "macro-F1", "accuracy": "accuracy"}


def main(argv: list[str] | None = None) -> None:
    parser = arguments(__doc__, data="torchvision:MNIST", seeds=5, first_seed=True)
    parser.add_argument("--factor", type=float, default=100, help="largest class / smallest class, by default 100")
    parser.add_argument("--out", type=Path, default=Path("runs") / NAME, help="folder for the generators")
    options = parser.parse_args(argv)

    @cache
    def material() -> tuple[Any, Samples]:
        train, test = (load_data(options.data, split=split, root=options.root) for split in ("train", "test"))
        return train, read_samples(test)

    def run(key: dict[str, Any]) -> dict[str, Any]:
        return measure(key, *material(), options.out / f"{plain(options.data)}-{options.factor:g}-seed-{key['seed']}")

    fixed = {"data": options.data, "factor": options.factor, "generator": GENERATOR, "classifier": CLASSIFIER}
    seeds = seeds_of(options)
    rows = Record(RESULTS / f"{NAME}.jsonl").finish([{**fixed, "seed": seed} for seed in seeds], run)
    tell(rows)
    say(f"{len(seeds)} seeds take {cost(sum(row['seconds'] for row in rows), 1)}")
    end(options, summary(rows))


def measure(key: dict[str, Any], train: Any, test: Samples, folder: Path) -> dict[str, Any]:
    """The figures of all arms with one seed."""
    start, seed = time.perf_counter(), key["seed"]
    subset = long_tail(train, key["factor"], seed)
    tail = read_samples(subset)
    images, labels = labelled(tail)
    counts = labels.bincount(minlength=tail.spec.num_classes)
    say(f"seed {seed}: {len(labels):,} images, {counts.tolist()} per class")
    missing = torch.arange(len(counts)).repeat_interleave(counts.max() - counts)
    filled = {}
    for name, balance in BALANCES.items():
        settings = {**key["generator"], "balance": balance, "seed": seed}
        out = folder / plain(name)
        generator = genaug.fit(
            settings.pop("backend"), subset, out=out, resume=out.exists(), device="cpu", precision="float32", **settings
        )
        samples, _ = generator.sample(labels=missing, seed=derive_seed(seed, NAME))
        filled[name] = torch.cat([images, samples]), torch.cat([labels, missing])
    figures = {}
    for arm in ARMS:
        model = make_classifier("small", tail.spec.shape, len(counts), derive_seed(seed, "weights"))
        augment = classic_augmentation if arm.startswith("classic + ") else None
        data = batches_of(arm.removeprefix("classic + "), images, labels, filled, key["classifier"]["batch_size"], seed)
        updates, lr = key["classifier"]["updates"], key["classifier"]["lr"]
        train_classifier(model, data, updates=updates, seed=derive_seed(seed, "training"), augment=augment, lr=lr)
        figures[arm] = score(predict(model, test.x), labelled(test)[1], counts)
        say(f"  {arm}: " + ", ".join(f"{METRICS[name]} {value:.1%}" for name, value in figures[arm].items()))
    shares = (counts / labels_of(train).bincount(minlength=len(counts)).clamp(min=1)).tolist()
    seconds = round(time.perf_counter() - start, 1)
    return {"arms": figures, "counts": counts.tolist(), "shares": shares, "seconds": seconds}


def batches_of(
    arm: str, images: Tensor, labels: Tensor, filled: dict[str, tuple[Tensor, Tensor]], size: int, seed: int
) -> Batches:
    """Endless training batches of an arm, without classic augmentation."""
    order = derive_seed(seed, "order")
    if arm in filled:
        return shuffled_batches(*filled[arm], size, order)
    if arm == "oversampling":
        return oversampled(images, labels, size, order)
    plain_batches = shuffled_batches(images, labels, size, order)
    return weighted(plain_batches, labels) if arm == "class weights" else plain_batches


def oversampled(images: Tensor, labels: Tensor, size: int, seed: int) -> Batches:
    """Batches in which all classes are equally frequent on average, from images drawn with replacement."""
    draws, weights = torch.Generator().manual_seed(seed), 1 / labels.bincount()[labels].double()
    while True:
        rows = torch.multinomial(weights, size, replacement=True, generator=draws)
        yield images[rows], labels[rows]


def weighted(batches: Batches, labels: Tensor) -> Batches:
    """Batches with one row of targets per image, the class's weight at its label: the cross-entropy with these is the
    weighted one. Weights are inverse to the counts, with a mean of 1 over the images, as scikit-learn's "balanced"."""
    counts = labels.bincount()
    weights = len(labels) / (int((counts > 0).sum()) * counts.clamp(min=1).double())
    for images, own in batches:
        yield images, (weights[own, None] * one_hot(own, len(counts))).float()


def score(predicted: Tensor, labels: Tensor, counts: Tensor) -> dict[str, float]:
    """Recall of the classes that are rarest in training, macro-F1 and accuracy on the test set."""
    rarest = counts.argsort(stable=True, descending=True)[-RARE:].tolist()
    recalls = recall_score(labels, predicted, labels=rarest, average="macro", zero_division=0)
    f1 = f1_score(labels, predicted, labels=list(range(len(counts))), average="macro", zero_division=0)
    accuracy = float((predicted == labels).double().mean())
    return {"rare_recall": float(recalls), "macro_f1": float(f1), "accuracy": accuracy}


def difference(rows: list[dict[str, Any]], metric: str, arm: str, baseline: str) -> Difference:
    """The paired difference of two arms. Two seeds share n/N of the images of a class, for n of N that a tail keeps;
    both metrics weigh classes equally."""
    shares = sorted(rows[0]["shares"])
    shares = shares[:RARE] if metric == "rare_recall" else shares
    ours, theirs = ([row["arms"][name][metric] for row in rows] for name in (arm, baseline))
    return paired_difference(ours, theirs, correction=overlap_correction(sum(shares) / len(shares)))


def verdict(rows: list[dict[str, Any]], metric: str, arm: str) -> str:
    verdicts = [difference(rows, metric, arm, baseline).verdict for baseline in BASELINES]
    if all(one == "helps" for one in verdicts):
        return "use"
    return "don't use" if "hurts" in verdicts else "no evidence"


def tell(rows: list[dict[str, Any]]) -> None:
    """A table of the arms' means, and of the differences from each baseline with their intervals."""
    for metric in ("rare_recall", "macro_f1"):
        lines = []
        for arm in ARMS:
            values = [row["arms"][arm][metric] for row in rows]
            cells = [arm, f"{sum(values) / len(values):.1%}"]
            if arm not in BASELINES:
                cells += [_cell(difference(rows, metric, arm, baseline)) for baseline in BASELINES]
                cells.append(verdict(rows, metric, arm))
            lines.append([*cells, *[""] * (len(BASELINES) + 3 - len(cells))])
        print(markdown([METRICS[metric], "mean", *(f"less {name}" for name in BASELINES), "verdict"], lines))


def _cell(one: Difference) -> str:
    interval = "" if one.low is None or one.high is None else f" ({100 * one.low:+.1f} to {100 * one.high:+.1f})"
    return f"{100 * one.mean:+.1f}{interval}"


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """One flat object: means over the seeds, differences from the baselines with their intervals, and verdicts."""
    result: dict[str, Any] = {"script": NAME, "seeds": len(rows), "smallest_class": min(rows[0]["counts"])}
    for metric in METRICS:
        for arm in ARMS:
            values = [row["arms"][arm][metric] for row in rows]
            result[f"{plain(arm)}_{metric}"] = sum(values) / len(values)
    for metric in ("rare_recall", "macro_f1"):
        for arm in ARMS[len(BASELINES) :]:
            for baseline in BASELINES:
                one = difference(rows, metric, arm, baseline)
                key = f"{plain(arm)}_less_{plain(baseline)}_{metric}"
                result |= {key: one.mean, f"{key}_low": one.low, f"{key}_high": one.high}
            result[f"{plain(arm)}_{metric}_verdict"] = verdict(rows, metric, arm)
    return result


if __name__ == "__main__":
    main()
