"""The four questions of a master's thesis on MAD-GAN and generative data augmentation (its kick-off), answered.

1. loss: how does the loss change the images, and what they are worth to a classifier?
2. generators: how many should a MAD-GAN have?
3. ratio: how much of every batch should be generated?
4. against: MAD-GAN against classic augmentation and the vanilla GAN (conditional, with Goodfellow's loss).

    python benchmarks/studies/study_thesis.py --data digits --json         # on the embedded digits: minutes to an hour
    python benchmarks/studies/study_thesis.py --root MNIST_ROOT --json     # MNIST

A generator is trained for every seed on that seed's few labeled images alone, once for all questions; classifiers are
paired by seed as in genaug.study, on disjoint training images, and scored on the test set. Nothing is chosen here, so
there is no inner split and no verdict: each question's comparisons are listed, with Holm's p-values. Images are judged
by a classifier trained on the whole real training set: KID in its features, the share of samples that it labels as
requested, and the distance between samples of a class over that between real ones.

Finished cells are in benchmarks/results/study_thesis.jsonl; a run continues where the last one stopped. --table prints
the finished cells.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

import genaug
from benchmarks.common.console import end, say
from benchmarks.common.judge import Judge, judge_of, train_judge
from benchmarks.common.record import Record
from benchmarks.studies.lenet import LeNet
from benchmarks.studies.thesis_tables import (
    COUNTS,
    LOSSES,
    NAME,
    PAPER,
    RATIOS,
    cells_of,
    draw,
    questions,
    summary,
    tables,
)
from benchmarks.studies.tracked import hours, run_arms, study_arguments, tracked
from genaug.data import load_data
from genaug.evaluation import kid
from genaug.modalities.distance import distance_ratio, first_per_class
from genaug.nn.classifier import accuracy
from genaug.randomness import derive_seed
from genaug.reports.sheet import Block, draw_sheet, save_sheet
from genaug.studies import Recipe, sources as source_module
from genaug.studies.cells import Ledger, StudyFolder
from genaug.studies.jobs import Work
from genaug.studies.options import Options
from genaug.studies.preparation import prepare

SHOWN = 10  # samples in a row of a sheet


@dataclass(frozen=True)
class Data:
    """A data set, and what a generator and a classifier of it need by default."""

    name: str
    labels: int
    steps: int
    updates: int
    config: Mapping[str, Any]
    judge_updates: int
    samples: int
    classifier: Any = "small"


SMALL, MEDIUM = {"width": 16, "max_width": 64}, {"width": 16, "max_width": 128}
DATA = {
    "digits": Data("digits", 10, 400, 300, SMALL, 600, 500),
    "mnist": Data("torchvision:MNIST", 10, 1500, 500, MEDIUM, 1500, 2000, LeNet),
}


def recipes(data: Data, steps: int) -> dict[str, Recipe]:
    """All sources by name."""
    by_name = {f"cgan-{loss}": Recipe("cgan", steps, config={**data.config, "loss": loss}) for loss in LOSSES}
    for k in COUNTS:
        by_name[f"mad-gan-{k}"] = Recipe("mad-gan", steps, config={**data.config, "generators": k})
    by_name[PAPER] = Recipe("mad-gan", steps, config={**data.config, "generators": 5, "loss": "madgan"})
    return by_name


def main(argv: Sequence[str] | None = None) -> None:
    parser = study_arguments(__doc__, NAME, seeds=5, updates=None)
    parser.add_argument("--data", choices=DATA, default="mnist")
    parser.add_argument("--labels", type=int, help="a class; 10 by default")
    parser.add_argument("--steps", type=int, help="of every generator, at batch size 32; 1500, digits 400")
    options = parser.parse_args(argv)
    record = Record(options.results)
    if not options.table:
        answer(options, record)
        if options.estimate:
            return
    cells = cells_of(record, options.data)
    print(tables(cells))
    end(options, summary(cells))


def answer(options: argparse.Namespace, record: Record) -> None:
    """Train and score what isn't recorded yet."""
    data, folder = DATA[options.data], options.out / options.data
    train, test = (load_data(data.name, split=split, root=options.root) for split in ("train", "test"))
    seeds = range(options.seeds)
    settings: dict[str, Any] = {
        "sources": recipes(data, options.steps or data.steps),
        "ratios": RATIOS,
        "seeds": options.seeds,
        "labels_per_class": options.labels or data.labels,
        "classifier": data.classifier,
        "updates": options.updates or data.updates,
        "device": "cpu",
    }
    arms = tuple(dict.fromkeys(arm for question in questions().values() for arm in question.arms))
    cost = hours((train, test), settings, 1, len(arms))
    say(f"{options.data}: a full run costs about {cost:.1f} hours of one core here")
    if options.estimate:
        return
    with tracked(record, options.data, folder):
        work, study_settings, _ = prepare(train, test, StudyFolder(folder), Options(**settings))
        with work.folder.claimed(resume=True, overwrite=False):
            run_arms(work, study_settings, seeds, arms, options.workers, NAME)
            judge_images(work, data, seeds)
            write_sheet(work, options.results.parent / f"{NAME}_{options.data}_samples.png")
    draw(cells_of(record, options.data), options.results.parent, options.data)


def judge_images(work: Work, data: Data, seeds: Sequence[int]) -> None:
    """Measure every generator's images; what is measured becomes a cell, of the phase "images"."""
    ledger, judge = Ledger(work.folder.read()), None
    for seed in seeds:
        for name, recipe in work.sources.items():
            if ledger.done("images", seed, name):
                continue
            assert isinstance(recipe, Recipe)
            judge = judge or judge_for(work, data.judge_updates)
            own = work.train.part(work.rows[seed])
            place = work.folder.generator(name, "test", seed)
            generator = source_module.train(recipe, own, place, derive_seed(seed, "generator", name), work.device)
            figures = measure(generator, work, judge, data.samples)
            work.folder.append({"phase": "images", "seed": seed, "name": name, **figures})


def judge_for(work: Work, updates: int) -> Judge:
    train, test = work.train, work.test
    model = train_judge(train.samples, train.labels, work.spec.num_classes, updates=updates, seed=1000)
    return judge_of(model, train.samples, test.samples, test.labels)


def write_sheet(work: Work, path: Path) -> None:
    """A row of samples for each of the first seed's generators, where this machine has them all."""
    places = {name: work.folder.generator(name, "test", 0) for name in work.sources}
    if not all(place.is_dir() for place in places.values()):
        return
    requested = torch.arange(SHOWN) % work.spec.num_classes
    images_by_source = [
        genaug.load(place, device="cpu").sample(labels=requested, seed=2)[0] for place in places.values()
    ]
    rows = torch.arange(len(images_by_source)).repeat_interleave(SHOWN)
    save_sheet(path, draw_sheet(Block(torch.cat(images_by_source), rows), classes=list(places), columns=SHOWN))


def measure(generator: Any, work: Work, judge: Judge, samples: int) -> dict[str, float]:
    requested = torch.arange(samples) % work.spec.num_classes
    images = generator.sample(labels=requested, seed=1)[0]
    real = first_per_class(work.test.labels, 50)
    labels, rows = work.test.labels[real], first_per_class(requested, 50)
    return {
        "kid": kid(judge.real, judge.features.of(images), subsets=10),
        "agreement": accuracy(judge.model, images, requested),
        "diversity": distance_ratio(work.test.samples[real], labels, images[rows], requested[rows]),
    }


if __name__ == "__main__":
    main()
