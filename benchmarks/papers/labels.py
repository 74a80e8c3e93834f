"""Labels for generators that have none, from 10 labeled images per class: how many are wrong, how many are rejected?

Each generator is trained on all training images without their labels, then labeled by a classifier and, if it has a
categorical latent, by its codes (genaug.with_labels). A judge that is trained on all other training images and their
labels, with another network, says how many samples don't show the requested class. For the first seed, the script
writes a grid of the least certain samples of each class, to check by eye.

    python benchmarks/papers/labels.py --data torchvision:MNIST --root MNIST_ROOT --seeds 5 --json

No paper gives figures for this.
"""

import argparse
import statistics
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Subset, TensorDataset

import genaug
from benchmarks.common import console
from benchmarks.common.console import cost, end, parse_settings, say
from benchmarks.common.judge import labelled, loaded, train_judge
from benchmarks.common.record import RESULTS, Record
from genaug.artifacts import manifest
from genaug.backends import Categorical
from genaug.data import few_per_class, load_data
from genaug.data.reading import Samples, read_samples
from genaug.errors import InputError
from genaug.labelling.source import LabelledSource
from genaug.nn.classifier import SmallCNN, accuracy
from genaug.reports.sheet import Block, draw_sheet, save_sheet

METHODS = ("classifier", "codes")
SMALL = ["width=16", "max_width=128"]  # wgan-gp's five updates per step are slow enough
# At its default rate, a ninth of wgan-gp's samples after 1,500 steps is accepted, and hardly an eight.
OWN = {"wgan-gp": ["lr=0.0005"]}
JUDGE_BATCH = 128
SHEET_AMONG = 200


def name_and_folder(what: str) -> tuple[str, Path | None]:
    """A generator's name, and its folder if it is one."""
    folder = Path(what)
    return (manifest.read_manifest(folder).backend, folder) if folder.is_dir() else (what, None)


def generator_of(name: str, folder: Path | None, images: Tensor, seed: int, options: argparse.Namespace) -> Any:
    """The generator in a folder, or one that is trained here on images alone; a run that was stopped goes on."""
    if folder is not None:
        return genaug.load(folder, device=options.device)
    settings = settings_of(name, options)
    out = options.runs / f"{name}-{options.data.replace(':', '-')}-{options.steps}-{'-'.join(settings)}-seed{seed}"
    return genaug.fit(
        name,
        TensorDataset(images),
        out=out,
        steps=options.steps,
        batch_size=options.batch_size,
        seed=seed,
        device=options.device,
        config=parse_settings(settings),
        resume=out.is_dir(),
    )


def judge_for(data: Samples, few: list[int], seed: int, updates: int) -> SmallCNN:
    """A classifier trained on all images but the few labeled ones."""
    others = torch.ones(len(data.x), dtype=torch.bool)
    others[few] = False
    images, labels = (part[others] for part in labelled(data))
    order = loaded(images, labels, JUDGE_BATCH, seed)
    return train_judge(images, labels, data.spec.num_classes, updates=updates, seed=seed, order=order)


def measure(source: LabelledSource, judge: SmallCNN, samples: int, seed: int) -> dict[str, Any]:
    """The judge's results for samples with balanced classes, and the estimates of the source's report."""
    report, classes = source.report, source.spec.num_classes
    requested = torch.arange(samples) % classes
    images = source.sample(labels=requested, seed=seed)[0].cpu()
    per_class = [
        1 - accuracy(judge, images[requested == label], requested[requested == label]) for label in range(classes)
    ]
    return {
        "wrong_share": 1 - accuracy(judge, images, requested),
        "wrong_share_of_the_worst_class": max(per_class),
        "estimated_wrong_share": report.wrong_share,
        "held_out_wrong_share": report.held_out_wrong_share,
        "held_out_wrong_share_upper": report.held_out_wrong_share_upper,
        "acceptance_rate": report.acceptance_rate,
        "acceptance_rate_of_the_rarest_class": min(report.acceptance_per_class),
        "thresholds": report.thresholds,
        "temperature": report.temperature,
        "categories": report.categories,
    }


def without_rejection(source: LabelledSource, generator: Any, judge: SmallCNN, samples: int, seed: int) -> float:
    """The wrong share if every sample of the generator gets the classifier's most likely class."""
    images: Tensor = generator.sample(samples, seed=seed)[0]
    return 1 - accuracy(judge, images.cpu(), source.class_probabilities(images).argmax(1).cpu())


def label_and_measure(
    generator: Any, method: Any, few: Any, exclude: Any, judge: SmallCNN, seed: int, options: argparse.Namespace
) -> tuple[dict[str, Any], LabelledSource | None]:
    """One row, and the source for its sample grid. A rejected source is a result too."""
    try:
        source = genaug.with_labels(
            generator,
            few,
            method=method,
            exclude=exclude,
            updates=options.updates,
            max_wrong=options.max_wrong if method == "classifier" else None,
            seed=seed,
        )
        row = measure(source, judge, options.samples, seed)
    except InputError as error:
        return {"refused": str(error)}, None
    if method == "classifier":
        row["wrong_share_without_rejection"] = without_rejection(source, generator, judge, options.samples, seed)
    return row, source


def write_sheet(path: Path, source: LabelledSource) -> None:
    images, labels, certainty = source.least_certain(10, among=SHEET_AMONG)
    heading = f"the 10 least certain of {SHEET_AMONG} samples, down to {float(certainty.min()):.2f}"
    save_sheet(path, draw_sheet(Block(images, labels, heading), classes=source.spec.class_names))
    say(f"to check by eye: {path}")


def run_seed(seed: int, record: Record, options: argparse.Namespace) -> None:
    """Run all generators and methods of one seed that aren't recorded yet."""
    todo = {(what, method): key_of(what, method, seed, options) for what in options.generators for method in METHODS}
    todo = {which: key for which, key in todo.items() if record.done(key) is None}
    if not todo:
        return
    train, test = (load_data(options.data, split=split, root=options.root) for split in ("train", "test"))
    few = few_per_class(train, options.per_class, seed)
    assert isinstance(few, Subset)
    started = time.perf_counter()
    data = read_samples(train)
    judge = judge_for(data, list(few.indices), seed, options.judge_updates)
    judge_accuracy = accuracy(judge, *labelled(read_samples(test)))
    judge_seconds = time.perf_counter() - started
    say(f"seed {seed}: the judge recognizes {judge_accuracy:.2%} of the test images")
    for what in options.generators:
        started = time.perf_counter()
        name, folder = name_and_folder(what)
        generator = generator_of(name, folder, data.x, seed, options)
        shared_seconds = judge_seconds / len(options.generators) + time.perf_counter() - started
        for method in METHODS:
            if (what, method) not in todo:
                continue
            started = time.perf_counter()
            if method == "codes" and not any(isinstance(latent, Categorical) for latent in generator.spec.latents):
                row: dict[str, Any] = {"refused": "it has no categorical latent"}
                source = None
            else:
                row, source = label_and_measure(generator, method, few, test, judge, seed, options)
            if source is not None and seed == 0:
                write_sheet(options.results / f"labels-{name}-{method}.png", source)
            row |= {"judge_accuracy": judge_accuracy}
            row["seconds"] = round(time.perf_counter() - started + shared_seconds, 1)
            shared_seconds = 0.0
            record.add(todo[what, method], row)
            say(f"seed {seed}, {name}, {method}: {describe(row)}")


def settings_of(name: str, options: argparse.Namespace) -> list[str]:
    """A backend's options: those of --set, by default small networks and the backend's own ones."""
    return options.set or [*SMALL, *OWN.get(name, [])]


def key_of(what: str, method: str, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """All settings that determine a row. A generator from a folder is identified by its weights."""
    name, folder = name_and_folder(what)
    training: dict[str, Any] = {"steps": options.steps, "batch_size": options.batch_size}
    training["set"] = sorted(settings_of(name, options))
    if folder is not None:
        training = {"weights": manifest.read_manifest(folder).weights.sha256[:16]}
    return {
        "generator": name,
        **training,
        "method": method,
        "seed": seed,
        "data": options.data,
        "per_class": options.per_class,
        "updates": options.updates,
        "max_wrong": options.max_wrong if method == "classifier" else None,
        "judge_updates": options.judge_updates,
        "samples": options.samples,
    }


def describe(row: dict[str, Any]) -> str:
    if "refused" in row:
        return f"refused: {row['refused']}"
    estimate = row["estimated_wrong_share"]
    guess = "unknown" if estimate is None else f"{estimate:.1%}"
    return f"{row['wrong_share']:.2%} wrong labels (estimated {guess}), {row['acceptance_rate']:.1%} accepted"


def summary(what: str, method: str, record: Record, options: argparse.Namespace) -> dict[str, Any]:
    """Medians over the seeds, and the range of the wrong share; refused seeds are counted."""
    rows = [record.done(key_of(what, method, seed, options)) or {} for seed in range(options.seeds)]
    good = [row for row in rows if "refused" not in row]
    prefix = f"{name_and_folder(what)[0]}_{method}".replace("-", "_")
    medians: dict[str, Any] = {f"{prefix}_refused": len(rows) - len(good)}
    for name in ("wrong_share", "estimated_wrong_share", "acceptance_rate", "wrong_share_without_rejection"):
        values = [row[name] for row in good if row.get(name) is not None]
        if values:
            medians[f"{prefix}_{name}_median"] = statistics.median(values)
        if values and name == "wrong_share":
            medians |= {f"{prefix}_{name}_min": min(values), f"{prefix}_{name}_max": max(values)}
    return medians


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = console.arguments(__doc__, data="torchvision:MNIST", seeds=5)
    parser.add_argument("generators", nargs="*", help="backends to train, or folders that genaug.load takes")
    parser.add_argument("--steps", type=int, default=1500, help="of each generator that is trained here")
    parser.add_argument("--batch-size", type=int, default=64)
    default = ", ".join([*SMALL, *OWN["wgan-gp"]])
    help_text = f"an option of the backends, instead of {default} (wgan-gp)"
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help=help_text)
    parser.add_argument("--per-class", type=int, default=10, help="labeled images")
    parser.add_argument("--updates", type=int, default=400, help="of each classifier that labels")
    parser.add_argument("--max-wrong", type=float, default=0.05)
    parser.add_argument("--judge-updates", type=int, default=1500)
    parser.add_argument("--samples", type=int, default=5000)
    parser.add_argument("--device")
    parser.add_argument(
        "--runs", type=Path, default=Path("runs/papers/labels"), help="folder of the generators trained here"
    )
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args(arguments)
    options.generators = options.generators or ["infogan", "wgan-gp"]
    return options


def main(arguments: list[str] | None = None) -> None:
    options = parse(arguments)
    record = Record(options.results / "labels.jsonl")
    rows: list[dict[str, Any]] = []
    for seed in range(options.seeds):
        run_seed(seed, record, options)
        keys = [key_of(what, method, seed, options) for what in options.generators for method in METHODS]
        rows += [record.done(key) or {} for key in keys]
        say(f"a full run costs {cost(sum(row['seconds'] for row in rows) / (seed + 1), options.seeds)}")
    result: dict[str, Any] = {"seeds": options.seeds, "judge_accuracy_min": min(row["judge_accuracy"] for row in rows)}
    for what in options.generators:
        for method in METHODS:
            result |= summary(what, method, record, options)
    for name, value in result.items():
        print(f"{name}: {value}")
    print("the papers: none")
    end(options, result)


if __name__ == "__main__":
    main()
