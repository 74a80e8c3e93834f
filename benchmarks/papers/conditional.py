"""Do conditional generators make the requested class, is that enough to train on, and do more generators hurt?

CGAN, with an auxiliary classifier in its discriminator, and the conditional MAD-GAN with 3, 5 and 10 generators, the
batch of generated images split over the generators. For each method and seed:

* the share of samples that a classifier, trained on the real training set and the same for all, labels as requested
  (its weights are kept beside the record);
* the accuracy on the real test set of a CNN that is trained on generated samples alone, and of one that is trained on
  them with classic augmentation;
* FID and KID to the real test set in the penultimate layer of the first classifier: not to be compared with those in
  other networks' features;
* how the generators differ: the pixel distance between their class means, beside that where samples are assigned to
  generators at random; the share of new samples whose generator is recognized by a small CNN trained for
  it, and of the last training batches by the training's own discriminator.

    python benchmarks/papers/conditional.py --root MNIST_ROOT --seeds 3 --json
    python benchmarks/papers/conditional.py --data cifar10 --root CIFAR_ROOT --json

CIFAR-10 is by default CGAN alone, one seed, as many steps as fit into an hour as ``genaug.fit`` plans them; its root
holds torchvision's files, or class folders under train/ and test/. --methods cgan r3gan --seeds 2 --max-minutes 20
compares these two at equal time. An interrupted training continues. --methods,
--seeds and --first-seed choose what is run, so that several processes may share the work.

A thesis (N10100010/mad_gan_thesis) reports FID 25.6 at k = 3 and 110.6 at k = 10.
"""

import argparse
import hashlib
import json
import time
from functools import cache
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from torch.utils.data import TensorDataset

import genaug
from benchmarks.common import console
from benchmarks.common.console import cost, end, markdown, parse_settings, say
from benchmarks.common.figures import save
from benchmarks.common.judge import Judge, labelled, read
from benchmarks.common.record import RESULTS, TUNING, Record
from benchmarks.common.runs import metrics_of, seconds_of
from benchmarks.papers.codes import RUNS
from benchmarks.papers.conditional_measures import (
    TARGETS,
    Targets,
    fixed_judge,
    measure,
    member_latents,
    summary,
)
from genaug.backends import Spec
from genaug.data.reading import Samples
from genaug.reports.sheet import Block, draw_sheet, save_sheet, sheet_labels
from genaug.sources.generator import Generator

NAME = "conditional"
METHODS = ("cgan", "mad-gan-3", "mad-gan-5", "mad-gan-10")
BATCH, COLUMNS = 64, 10
PAPER = {"cgan": "synthetic only 98.37%", "mad-gan-3": "FID 25.6", "mad-gan-10": "FID 110.6"}
SMALL = ["lr=0.002", "max_width=128", "width=16"]  # MNIST; tuned on held-out training images, as CGAN's classifier


def main(arguments: list[str] | None = None) -> None:
    options = parse(arguments)
    record = Record(RESULTS / f"{NAME}.jsonl")
    rows: dict[str, list[dict[str, Any]]] = {method: [] for method in options.methods}

    @cache
    def material() -> tuple[Samples, Samples, Judge, dict[str, Any]]:
        train, test = read(options.data, options.root)
        return train, test, *fixed_judge(train, test, options, RESULTS)

    def one(key: dict[str, Any]) -> dict[str, Any]:
        return run(key["method"], key["seed"], *material(), options)

    for seed in range(options.first_seed, options.first_seed + options.seeds):
        for method in options.methods:
            rows[method] += record.finish([key_of(method, seed, options)], one)
        seconds = sum(row["seconds"] for of_method in rows.values() for row in of_method[-1:])
        say(f"{options.seeds} seeds like this take {cost(seconds, options.seeds)}")
    tell(rows, options)
    entries = recorded(record, options)
    if sum(map(len, entries.values())) > 1:
        draw(entries, beside_the_record(options, ".png"), targets_of(options))


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = console.arguments(__doc__, data="torchvision:MNIST")
    parser.add_argument("--methods", nargs="+", type=method_name, help=f"by default {' '.join(METHODS)}; CIFAR-10 cgan")
    parser.add_argument("--seeds", type=int, help="by default 3; CIFAR-10 1")
    parser.add_argument("--first-seed", type=int, default=0, help="tune on seeds of 100 and above, report 0, 1, ...")
    parser.add_argument("--steps", type=int, help="of each training; by default 9000; CIFAR-10 what the minutes allow")
    parser.add_argument("--max-minutes", type=float, help="of each training; CIFAR-10 60")
    parser.add_argument(
        "--set",
        action="append",
        metavar="KEY=VALUE",
        help=f"an option of the backends'; by default {' '.join(SMALL)}; CIFAR-10 none",
    )
    parser.add_argument("--judge-updates", type=int, default=3000, help="of the classifier trained on real images")
    parser.add_argument("--updates", type=int, default=1500, help="of each CNN trained on samples, at batch size 128")
    parser.add_argument("--samples", type=int, default=10_000, help="that are judged")
    parser.add_argument("--pool", type=int, default=192_000, help="samples that the CNNs are trained on: each once")
    options = parser.parse_args(arguments)
    cifar = options.data == "cifar10"
    options.methods = options.methods or (["cgan"] if cifar else list(METHODS))
    options.seeds = options.seeds or (1 if cifar else 3)
    options.steps = options.steps or (None if cifar else 9000)
    options.set = options.set or ([] if cifar else SMALL)
    if options.steps is None:
        options.max_minutes = options.max_minutes or 60.0
    return options


def method_name(text: str) -> str:
    name, _, k = text.rpartition("-")
    if text not in ("cgan", "r3gan") and not (name == "mad-gan" and k.isdecimal()):
        raise argparse.ArgumentTypeError(f"{text!r} is none of cgan, r3gan and mad-gan-K")
    return text


def backend_of(method: str) -> tuple[str, dict[str, Any]]:
    if method == "cgan":
        return "cgan", {"classifier_weight": 0.1}
    if method == "r3gan":
        return "r3gan", {}
    return "mad-gan", {"generators": int(method.rpartition("-")[2])}


def key_of(method: str, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """All settings that determine a row."""
    return {
        "data": options.data,
        "method": method,
        "seed": seed,
        "steps": options.steps,
        "max_minutes": options.max_minutes,
        "batch_size": BATCH,
        "config": backend_of(method)[1],
        "set": sorted(options.set),
        "judge_updates": options.judge_updates,
        "updates": options.updates,
        "samples": options.samples,
        "pool": options.pool,
    }


def targets_of(options: argparse.Namespace) -> Targets:
    """By measure and kind of method; CIFAR-10 has none."""
    return {} if options.data == "cifar10" else TARGETS


def recorded(record: Record, options: argparse.Namespace) -> dict[str, list[dict[str, Any]]]:
    """The reported seeds that are finished with these settings, by method, whichever process made them."""
    rows: dict[str, list[dict[str, Any]]] = {}
    for row in record.rows({"data": options.data}):
        if row["seed"] < TUNING and row == record.done(key_of(row["method"], row["seed"], options)):
            rows.setdefault(row["method"], []).append(row)
    return dict(sorted(rows.items(), key=lambda item: backend_of(item[0])[1].get("generators", 1)))


def beside_the_record(options: argparse.Namespace, ending: str) -> Path:
    """A figure of results on this data set."""
    return RESULTS / f"{NAME}_{Path(options.data.rpartition(':')[2]).name.lower()}{ending}"


def run(
    method: str,
    seed: int,
    train: Samples,
    test: Samples,
    judge: Judge,
    of_judge: dict[str, Any],
    options: argparse.Namespace,
) -> dict[str, Any]:
    """Train one generator, measure it, and draw a sheet of the first seed's."""
    out = RUNS / NAME / f"{options.data.replace(':', '-')}-{method}-seed{seed}-{settings_hash(method, options)}"
    backend, config = backend_of(method)
    generator = genaug.fit(
        backend,
        TensorDataset(*labelled(train)),
        out=out,
        steps=options.steps,
        batch_size=BATCH,
        seed=seed,
        config=config | parse_settings(options.set),
        resume=(out / "run.json").is_file(),
        max_minutes=options.max_minutes,
    )
    began, of_training = time.monotonic(), log_of(out)
    figures = measure(generator, judge, test, options)
    if seed == 0:
        write_sheet(beside_the_record(options, f"_{method}.png"), generator, test.spec)
    row = {
        **of_judge,
        **figures,
        "named_by_discriminator": of_training["generators_named"],
        "steps_made": generator.training["steps"],
        "seconds": round(of_training["seconds"] + time.monotonic() - began, 1),
        "threads": torch.get_num_threads(),
    }
    say(f"{method}, seed {seed}: " + ", ".join(f"{k} {v:.4g}" for k, v in row.items() if isinstance(v, float)))
    return row


def settings_hash(method: str, options: argparse.Namespace) -> str:
    """Of what decides a training besides its seed, so that no folder is taken for that of other settings."""
    decides = [options.steps, options.max_minutes, BATCH, backend_of(method), sorted(options.set)]
    return hashlib.sha256(json.dumps(decides).encode()).hexdigest()[:8]


def log_of(out: Path) -> dict[str, Any]:
    """How long a run's steps took, whatever it was interrupted by, and how well its discriminator named generators."""
    lines = metrics_of(out)
    return {"seconds": seconds_of(lines), "generators_named": lines[-1].get("generators_named")}


def write_sheet(path: Path, generator: Generator, spec: Spec) -> None:
    """Ten samples of each class; a MAD-GAN's generators take turns along a row."""
    labels = sheet_labels(spec.num_classes, COLUMNS)
    latents = member_latents(generator, torch.arange(len(labels)) % COLUMNS)
    images, _ = generator.sample(labels=labels, seed=1, **latents)
    save_sheet(path, draw_sheet(Block(images.cpu(), labels), classes=spec.class_names, columns=COLUMNS))


def tell(rows: dict[str, list[dict[str, Any]]], options: argparse.Namespace) -> None:
    """The table and the line of JSON."""
    first_row = rows[options.methods[0]][0]
    say(f"the fixed classifier: {first_row['judge_accuracy']:.2%} of the real test set; {first_row['judge']}")
    say(f"FID of as many real training images in its features: {first_row['fid_of_real']:.3f}")
    if len({row["judge"] for of_method in rows.values() for row in of_method}) > 1:
        say("warning: the rows come from different fixed classifiers, so their FID can't be compared")
    columns = {
        "agreement": "label recognized",
        "agreement_of_worst_member": "worst generator",
        "synthetic_only": "synthetic only",
        "synthetic_only_classic": "with classic",
        "fid": "FID",
        "named_by_cnn": "generator recognized",
    }
    lines, targets = [], targets_of(options)
    papers = PAPER if targets else {}
    for method, of_method in rows.items():
        for row in of_method:
            values = [row[name] for name in columns]
            entries = ["-" if v is None else f"{v:.4f}" for v in values]
            lines.append([method, str(row["seed"]), *entries, papers.get(method, "-")])
    print(markdown(["method", "seed", *columns.values(), "published (other features)"], lines))
    result = summary(rows, targets)
    end(options, {**result, "seeds": options.seeds, "steps": first_row["steps_made"], "data": options.data})


def draw(rows: dict[str, list[dict[str, Any]]], path: Path, targets: Targets) -> None:
    """A panel for each measure: every seed a dot, the targets as lines."""
    entries = {
        "agreement": "label recognized",
        "synthetic_only": "synthetic only, accuracy",
        "fid": "FID (own features)",
    }
    figure = Figure(figsize=(11, 3.4), layout="constrained")
    for axis, (name, title) in zip(figure.subplots(1, len(entries)), entries.items(), strict=True):
        for place, (method, of_method) in enumerate(rows.items()):
            axis.plot([place] * len(of_method), [row[name] for row in of_method], "o", color="#4477aa")
            least = targets.get(name, {}).get(method.partition("-")[0])
            if least is not None:
                axis.plot([place - 0.3, place + 0.3], [least, least], "--", color="#cc6677")
        axis.set(title=title, xlim=(-0.5, len(rows) - 0.5))
        axis.set_xticks(range(len(rows)), [method.replace("-gan-", "-gan\nk = ") for method in rows])
    save(figure, path)


if __name__ == "__main__":
    main()
