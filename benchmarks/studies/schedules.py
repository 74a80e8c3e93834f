"""Constant ratio, decay, pretrain-then-fine-tune and curriculum against each other, with few labels.

For each seed, the study's small classifier is trained on 10 images per class and on samples of a published generator,
which has seen the complete training set. All ways to blend them in have the same generated share, a half of all samples
over the training: in each batch (constant); falling from all to none (decay); all in the first half of the updates and
none in the second (pretrain); or half of each batch, at first from the fifth of the samples that a classifier of the
seed's real images is most confident of, and in the end from all (curriculum). Each is trained without and with classic
augmentation, with the same initial weights, real images in the same order and number of updates, and judged on the
test set.

    OMP_NUM_THREADS=1 python benchmarks/studies/schedules.py --root MNIST_ROOT --json
    OMP_NUM_THREADS=1 python benchmarks/studies/schedules.py --data digits --json

Nothing was tuned. No two seeds share a training image; seeds of 100 and above are judged on training images that no
reported seed uses. Differences are paired by seed, and their intervals are corrected for the number of comparisons
(Bonferroni). Finished runs are in benchmarks/results/schedules.jsonl; --table prints the tables from these alone.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import genaug
from benchmarks.common.console import arguments, end, finished_rows, markdown, mean_and_range, plain, say, seeds_of
from benchmarks.common.record import TUNING
from genaug.data import load_data
from genaug.schedules import linear, steps
from genaug.studies.arms import NONE, Arm
from genaug.studies.cells import StudyFolder
from genaug.studies.compare import Difference, paired_difference
from genaug.studies.jobs import Job, Work, run_job
from genaug.studies.options import Options
from genaug.studies.preparation import prepare

SEEDS, PER_CLASS, RATIO = 10, 10, 0.5
SETTINGS: dict[str, Any] = {"updates": 500, "batch_size": 64, "lr": 1e-3, "classifier": "small"}
SCHEDULES = {
    "decay": linear(1, 0, epochs=20),
    "pretrain": steps({0: 1, 1: 0}),
    "curriculum": genaug.Curriculum(None, linear(0.2, 1, epochs=20)),
}
WAYS = {
    "none": NONE,
    "constant": Arm("generator", RATIO),
    "decay": Arm("generator", RATIO, schedule="decay"),
    "pretrain": Arm("generator", RATIO, schedule="pretrain"),
    "curriculum": Arm("generator", RATIO, curriculum="curriculum"),
}
PREFIXES = ("", "classic + ")
ARMS = {f"{prefix}{name}": replace(arm, classic=bool(prefix)) for prefix in PREFIXES for name, arm in WAYS.items()}
PAIRS = [
    (f"{prefix}{name}", f"{prefix}{other}")
    for prefix in PREFIXES
    for name, other in [
        ("decay", "constant"),
        ("pretrain", "constant"),
        ("curriculum", "constant"),
        ("pretrain", "curriculum"),
        ("constant", "none"),
    ]
]
PUBLISHED = {"digits": "model_cards/digits-cgan", "torchvision:MNIST": "model_cards/mnist-cgan"}


def main(argv: list[str] | None = None) -> None:
    parser = arguments(__doc__, data="torchvision:MNIST", seeds=SEEDS, first_seed=True, record="schedules")
    parser.add_argument("--generator", help="by default the published one of this data set")
    options = parser.parse_args(argv)
    seeds = seeds_of(options)
    if seeds.start < TUNING and seeds.stop > SEEDS:
        parser.error(f"there are images for seeds 0 to {SEEDS - 1}; seeds of {TUNING} and above are for tuning.")
    generator = options.generator or PUBLISHED.get(options.data)
    if generator is None:
        parser.error("--generator is needed for these data")
    keys = [key_of(options.data, generator, arm, seed) for seed in seeds for arm in ARMS]
    work = cache(lambda: prepared(options.data, options.root, generator))
    rows = finished_rows(options, keys, lambda key: run(key, work()))
    print(table_of(rows))
    print()
    print(differences_table(rows))
    end(options, summary(rows))


def key_of(data: str, generator: str, arm: str, seed: int) -> dict[str, Any]:
    return {
        "data": data,
        "generator": generator,
        "arm": arm,
        "labels_per_class": PER_CLASS,
        "ratio": RATIO,
        **SETTINGS,
        "seed": seed,
    }


def prepared(data: str, root: str | None, generator: str) -> Work:
    """What a study of these data has read and checked. Its subsets aren't used."""
    sets = [load_data(data, split=split, root=root) for split in ("train", "test")]
    options = Options(
        {"generator": genaug.load(generator, device="cpu")},
        ratios=(RATIO,),
        schedules=SCHEDULES,
        seeds=2,
        labels_per_class=PER_CLASS,
        device="cpu",
        **SETTINGS,
    )
    with tempfile.TemporaryDirectory() as folder:
        return prepare(*sets, StudyFolder(Path(folder) / "study"), options)[0]


def blocks(labels: Tensor) -> Tensor:
    """The block of each training image, int64 (N,), each with ``PER_CLASS`` random images of each class."""
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    block = torch.empty_like(labels)
    for label in labels.unique():
        rows = order[labels[order] == label]
        block[rows] = torch.arange(len(rows)) // PER_CLASS
    return block


def of_seed(work: Work, seed: int) -> Work:
    """The work with a seed's training images; for tuning, with other training images in place of the test set."""
    block, labels = blocks(work.train.labels), work.train.labels
    own = seed if seed < TUNING else SEEDS + seed - TUNING
    rows = torch.nonzero(block == own).flatten()
    if len(rows) < PER_CLASS * len(labels.unique()):
        raise SystemExit(f"there aren't enough images for seed {seed}.")
    test = work.test
    if seed >= TUNING:
        held_out = torch.nonzero((block >= SEEDS) & (block != own)).flatten()
        test = work.train.part(held_out[: len(work.test)])
    return replace(work, rows={seed: rows}, test=test)


def run(key: dict[str, Any], work: Work) -> dict[str, Any]:
    """Train and judge one arm of a seed."""
    cells: list[dict[str, Any]] = []
    own = of_seed(work, key["seed"])
    run_job(own, Job("test", key["seed"], (ARMS[key["arm"]],)), cells.append)
    if "error" in cells[0]:
        raise SystemExit(f"{key['arm']}, seed {key['seed']}: {cells[0]['error']}")
    result = {name: cells[0][name] for name in ("accuracy", "loss", "seconds")} | {"tested": len(own.test)}
    say(f"{key['arm']}, seed {key['seed']}: {result['accuracy']:.2%}, {result['seconds']:.0f} s")
    return result


def complete_seeds(rows: Sequence[dict[str, Any]]) -> list[dict[str, float]]:
    """The accuracies by arm, for every seed that has all arms."""
    seeds: dict[int, dict[str, float]] = {}
    for row in rows:
        seeds.setdefault(row["seed"], {})[row["arm"]] = row["accuracy"]
    return [arms for _, arms in sorted(seeds.items()) if set(arms) == set(ARMS)]


def difference(rows: Sequence[dict[str, Any]], arm: str, baseline: str) -> Difference:
    """Arm minus baseline, paired by seed, with an interval that is corrected for the number of pairs."""
    seeds = complete_seeds(rows)
    values = ([arms[name] for arms in seeds] for name in (arm, baseline))
    return paired_difference(*values, 1 - 0.05 / len(PAIRS), resolution=1 / rows[0]["tested"])


def table_of(rows: Sequence[dict[str, Any]]) -> str:
    """Each way's accuracy, its mean and range over the seeds."""
    seeds = complete_seeds(rows)
    if not seeds:
        return "no seed is complete"
    lines = [[way, *(mean_and_range([arms[p + way] for arms in seeds], ".1%") for p in PREFIXES)] for way in WAYS]
    return markdown(["generated samples", "accuracy", "with classic augmentation"], lines)


def differences_table(rows: Sequence[dict[str, Any]]) -> str:
    """The differences in points, and what their intervals say."""
    if len(complete_seeds(rows)) < 2:
        return "fewer than two seeds are complete"
    lines = []
    for pair in PAIRS:
        of = difference(rows, *pair)
        assert of.low is not None
        assert of.high is not None
        numbers = [f"{100 * value:+.1f}".replace("-", "−") for value in (of.mean, of.low, of.high)]
        verdict = {"helps": "better", "hurts": "worse"}.get(of.verdict, "no evidence")
        lines.append([" against ".join(pair), numbers[0], f"{numbers[1]} to {numbers[2]}", verdict])
    return markdown(["comparison", "points", f"{100 - 5 / len(PAIRS):g}% interval", "result"], lines)


def summary(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """One flat object: the differences with their intervals, and how many are different from 0."""
    seeds = complete_seeds(rows)
    result: dict[str, Any] = {"seeds": len(seeds)}
    if len(seeds) < 2:
        return result
    clear = 0
    for arm, baseline in PAIRS:
        of = difference(rows, arm, baseline)
        key = f"{plain(arm)}_less_{plain(baseline)}"
        result |= {f"{key}_mean": of.mean, f"{key}_low": of.low, f"{key}_high": of.high}
        clear += of.verdict in ("helps", "hurts")
    return {**result, "clear_differences": clear}


if __name__ == "__main__":
    main()
