"""Does fine-tuning pay? A generator of some classes, tuned on a few images of others.

digits: the classes 0 to 4 of MNIST, tuned on 20 images of each of the digits 5 to 9; photos: the first eight classes
of CIFAR-10, tuned on 50 ships and 50 trucks. The ancestor is trained on all training images of the old classes. For
each seed, other images of the new ones are selected, and generators are trained on these for the same number of steps:
one from scratch, one that starts from the ancestor, and the latter with the discriminator's first 1 and 2 blocks frozen
(FreezeD, Mo et al. 2020). A classifier of all training images of the new classes that no try-out was judged on gives
the label agreement of the samples, and the features for their KID to the test images.

    OMP_NUM_THREADS=1 python benchmarks/studies/fine_tuning.py digits --root MNIST_ROOT --seeds 5 --json
    OMP_NUM_THREADS=1 python benchmarks/studies/fine_tuning.py photos --root CIFAR_ROOT --seeds 5 --json

CIFAR_ROOT has class folders under train/ and test/. Settings were fixed on seed 100, which is judged on held-out
training images instead of the test images. Finished runs are in benchmarks/results/fine_tuning.jsonl; --table prints
the table of the docs from these alone.
"""

import shutil
import statistics
import time
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import TensorDataset

import genaug
from benchmarks.common.console import arguments, end, finished_rows, markdown, say, seeds_of
from benchmarks.common.judge import Judge, judge_of, labelled, read, train_judge
from benchmarks.common.record import TUNING
from genaug.evaluation.kid import kid
from genaug.modalities.distance import distance_ratio, first_per_class
from genaug.nn.classifier import accuracy
from genaug.randomness import derive_seed
from genaug.studies.compare import Difference, paired_difference

ARMS: dict[str, int | None] = {"scratch": None, "tuned": 0, "tuned, 1 frozen": 1, "tuned, 2 frozen": 2}
BATCH, SAMPLES, DISTANCE_PER_CLASS, JUDGE_UPDATES = 64, 5000, 200, 1500
MEASURES = {"kid": "KID", "agreement": "label agreement"}


@dataclass(frozen=True)
class Setting:
    """Some classes, others that are new to the ancestor, and how both are trained."""

    data: str
    old: range
    new: range
    per_class: int
    held_out: int  # training images of the new classes that the tried settings are judged on
    ancestor_steps: int
    steps: int
    augment: tuple[str, ...]
    config: dict[str, Any]


_DIGITS = Setting(
    "torchvision:MNIST", range(5), range(5, 10), 20, 5000, 3000, 1000, ("affine",), {"width": 16, "max_width": 128}
)
SETTINGS = {
    "digits": _DIGITS,
    "digits-short": replace(_DIGITS, steps=300),
    "photos": replace(
        _DIGITS,
        data="CIFAR-10",
        old=range(8),
        new=range(8, 10),
        per_class=50,
        held_out=2000,
        ancestor_steps=6000,
        augment=("color", "translation"),
    ),
}


class Labelled(NamedTuple):
    """Images uint8 (N, C, H, W) of some classes, and labels int64 (N,) counted from 0."""

    images: Tensor
    labels: Tensor

    def rows(self, rows: Tensor | slice) -> "Labelled":
        return Labelled(self.images[rows], self.labels[rows])

    def dataset(self, classes: range) -> TensorDataset:
        """As a dataset whose classes are named after their numbers."""
        dataset = TensorDataset(self.images, self.labels)
        dataset.classes = list(map(str, classes))  # type: ignore[attr-defined]
        return dataset


class Material(NamedTuple):
    """The ancestor's training images; those to tune on; those to compare with, for reported seeds and for tried ones;
    and the judge with its features of both."""

    old: Labelled
    few: Labelled
    test: Labelled
    held_out: Labelled
    judge: Judge


def main(argv: list[str] | None = None) -> None:
    parser = arguments(__doc__, seeds=5, first_seed=True, record="fine_tuning")
    parser.add_argument("setting", choices=SETTINGS, nargs="?", default="digits", help="by default digits")
    parser.add_argument("--data", help="as genaug's --data; by default torchvision's set or, for photos, class folders")
    parser.add_argument("--root", help="folder of torchvision's files, or of CIFAR-10's class folders")
    parser.add_argument("--out", type=Path, default=Path("runs/fine-tuning"), help="for the generators")
    options = parser.parse_args(argv)
    setting, photos = SETTINGS[options.setting], options.setting == "photos"
    keys = [key_of(setting, arm, seed) for seed in seeds_of(options) for arm in ARMS]
    data = options.data or (f"folder:{options.root}" if photos else setting.data)
    material = cache(lambda: read_material(setting, data, options.root))
    out = options.out / ("photos" if photos else "digits")
    rows = finished_rows(options, keys, lambda key: run(key, setting, material(), out))
    print(table_of(rows))
    end(options, summary(rows))


def key_of(setting: Setting, arm: str, seed: int) -> dict[str, Any]:
    """The settings under which a run is recorded."""
    return {
        "arm": arm,
        "data": setting.data,
        "config": setting.config,
        "steps": setting.steps,
        "ancestor_steps": setting.ancestor_steps,
        "batch_size": BATCH,
        "per_class": setting.per_class,
        "augment": list(setting.augment),
        "seed": seed,
    }


def read_material(setting: Setting, data: str, root: str | None) -> Material:
    train, test = map(labelled, read(data, root))
    new, held = of_classes(train, setting.new), setting.held_out
    shuffled = new.rows(torch.randperm(len(new.labels), generator=torch.Generator().manual_seed(0)))
    held_out, few = shuffled.rows(slice(held)), shuffled.rows(slice(held, None))
    test_new = of_classes(test, setting.new)
    model = train_judge(few.images, few.labels, len(setting.new), updates=JUDGE_UPDATES, seed=1000)
    judge = judge_of(model, few.images, test_new.images, test_new.labels)
    say(f"the judge recognizes {judge.accuracy:.2%} of the test images")
    return Material(of_classes(train, setting.old), few, test_new, held_out, judge)


def of_classes(data: tuple[Tensor, Tensor], classes: range) -> Labelled:
    images, labels = data
    rows = (labels >= classes.start) & (labels < classes.stop)
    return Labelled(images[rows], labels[rows] - classes.start)


def few_of(data: Labelled, per_class: int, seed: int) -> Labelled:
    """``per_class`` random images of each class."""
    order = torch.randperm(len(data.labels), generator=torch.Generator().manual_seed(derive_seed(seed, "few images")))
    return data.rows(order[first_per_class(data.labels[order], per_class)])


def ancestor_of(setting: Setting, old: Labelled, out: Path) -> Path:
    """The run folder of the ancestor, which is trained if it isn't complete."""
    folder = out / "ancestor"
    settings = {"steps": setting.ancestor_steps, "batch_size": BATCH, "config": setting.config}
    resume = (folder / "run.json").is_file()
    done = genaug.load(folder, device="cpu").training["steps"] if (folder / "config.json").is_file() else 0
    if done < setting.ancestor_steps:
        images = old.dataset(setting.old)
        genaug.fit("cgan", images, out=folder, device="cpu", precision="float32", resume=resume, **settings)
    return folder


def run(key: dict[str, Any], setting: Setting, material: Material, out: Path) -> dict[str, Any]:
    """Train one generator and measure it."""
    frozen, seed = ARMS[key["arm"]], key["seed"]
    start: dict[str, Any] = {"config": setting.config}
    if frozen is not None:
        start = {"init": ancestor_of(setting, material.old, out), "freeze_discriminator": frozen}
    few = few_of(material.few, setting.per_class, seed)
    began = time.process_time()
    folder = out / "run"
    if folder.exists():
        shutil.rmtree(folder)
    generator = genaug.fit(
        "cgan",
        few.dataset(setting.new),
        out=folder,
        steps=setting.steps,
        batch_size=BATCH,
        augment=setting.augment,
        seed=seed,
        device="cpu",
        precision="float32",
        checkpoint_every=setting.steps,
        **start,
    )
    seconds = time.process_time() - began
    result = {**measure(generator, seed, material), "seconds": round(seconds, 1)}
    say(f"{key['arm']}, seed {seed}: " + ", ".join(f"{name} {value:.4f}" for name, value in result.items()))
    return result


def measure(generator: genaug.Generator, seed: int, material: Material) -> dict[str, float]:
    reference = material.test if seed < TUNING else material.held_out
    labels = torch.arange(SAMPLES) % generator.spec.num_classes
    images, _ = generator.sample(labels=labels, seed=derive_seed(seed, "samples"))
    features = material.judge.features
    real = reference.rows(first_per_class(reference.labels, DISTANCE_PER_CLASS))
    rows = first_per_class(labels, DISTANCE_PER_CLASS)
    return {
        "kid": kid(features.of(reference.images), features.of(images)),
        "agreement": accuracy(material.judge.model, images, labels),
        "diversity": distance_ratio(real.images, real.labels, images[rows], labels[rows]),
        "judge_accuracy": material.judge.accuracy,
    }


def complete_seeds(rows: list[dict[str, Any]]) -> dict[int, dict[str, dict[str, Any]]]:
    """The rows by arm, for every seed that has all arms."""
    seeds: dict[int, dict[str, dict[str, Any]]] = {}
    for row in rows:
        seeds.setdefault(row["seed"], {})[row["arm"]] = row
    return {seed: arms for seed, arms in sorted(seeds.items()) if len(arms) == len(ARMS)}


def difference(rows: list[dict[str, Any]], measure: str, arm: str, baseline: str) -> Difference:
    """Arm minus baseline, paired by seed."""
    seeds = complete_seeds(rows).values()
    return paired_difference(*([arms[name][measure] for arms in seeds] for name in (arm, baseline)))


def table_of(rows: list[dict[str, Any]]) -> str:
    """Each arm's mean, and its paired differences from training from scratch and from tuning without frozen blocks."""
    seeds = complete_seeds(rows)
    if len(seeds) < 2:
        return "fewer than two seeds are complete"
    formats = {"kid": ("{:.3f}", "{:+.3f}", 1), "agreement": ("{:.1f}%", "{:+.1f}", 100)}
    baselines = ("scratch", "tuned")
    head = [
        "training",
        *(f"{text}{of}" for text in MEASURES.values() for of in ("", *(f" against {b}" for b in baselines))),
    ]
    lines = []
    for arm in ARMS:
        cells = [arm]
        for name in MEASURES:
            mean, signed, scale = formats[name]
            cells.append(mean.format(scale * statistics.mean(arms[arm][name] for arms in seeds.values())))
            for baseline in baselines:
                compared = list(ARMS).index(arm) > list(ARMS).index(baseline)
                cells.append(_interval(difference(rows, name, arm, baseline), signed, scale) if compared else "")
        lines.append(cells)
    return markdown(head, lines).replace("-", "−").replace("|−−−", "|---")


def _interval(of: Difference, text: str, scale: int) -> str:
    assert of.low is not None
    assert of.high is not None
    mean, low, high = (text.format(scale * value) for value in (of.mean, of.low, of.high))
    return f"{mean} ({low} to {high})"


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """One flat object: paired differences with their intervals."""
    seeds = complete_seeds(rows)
    result: dict[str, Any] = {"seeds": len(seeds)}
    if len(seeds) < 2:
        return result
    pairs = [("tuned", "scratch"), ("tuned, 1 frozen", "tuned"), ("tuned, 2 frozen", "tuned")]
    for name in MEASURES:
        for arm in ARMS:
            values = [arms[arm][name] for arms in seeds.values()]
            result[f"{name}_{_plain(arm)}"] = statistics.mean(values)
        for arm, baseline in pairs:
            of = difference(rows, name, arm, baseline)
            key = f"{name}_{_plain(arm)}_less_{_plain(baseline)}"
            result |= {f"{key}_mean": of.mean, f"{key}_low": of.low, f"{key}_high": of.high}
    kids, agreements = (difference(rows, name, "tuned", "scratch") for name in MEASURES)
    result["met"] = bool(kids.verdict == "hurts" and agreements.verdict == "helps")  # a lower KID is better
    return result


def _plain(arm: str) -> str:
    return arm.replace(",", "").replace(" ", "_")


if __name__ == "__main__":
    main()
