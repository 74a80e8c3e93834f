"""Studies whose finished cells are in a record, so that a run goes on where another one, or machine, stopped.

A line of such a record is a finished cell with its study's name, or a study's settings, which must be the same to go on
with it.
"""

import argparse
import json
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import Subset

from benchmarks.common.console import arguments
from benchmarks.common.record import RESULTS, Record
from genaug.nn.classifier import train_classifier
from genaug.progress import Progress
from genaug.randomness import derive_seed
from genaug.studies.arms import Arm, arms_of, arms_to_test
from genaug.studies.blending import blended
from genaug.studies.cells import CELLS_FILE, SETTINGS_FILE, Ledger, StudyFolder
from genaug.studies.decide import judge, select
from genaug.studies.findings import findings
from genaug.studies.jobs import Job, Phase, Work, left_to_do, one_thread, total_cost, trained
from genaug.studies.models import make_classifier
from genaug.studies.networks import Networks
from genaug.studies.options import Options
from genaug.studies.preparation import prepare
from genaug.studies.recipes import Recipe
from genaug.studies.report import Report, from_details
from genaug.studies.sources import recipes_in, train
from genaug.studies.splits import LabelledSamples
from genaug.studies.workers import run_jobs

TRIED_UPDATES, TRIED_STEPS = 20, 10
Settings = dict[str, Any] | None
Cells = list[dict[str, Any]]


def study_arguments(
    doc: str | None, name: str, *, seeds: int, updates: int | None, root: str = "where torchvision's files lie"
) -> argparse.ArgumentParser:
    """A parser with the options of the scripts whose studies take hours."""
    parser = arguments(doc, seeds=seeds)
    parser.add_argument("--root", help=root)
    parser.add_argument("--out", type=Path, default=Path("runs") / name)
    parser.add_argument("--results", type=Path, default=RESULTS / f"{name}.jsonl", help="the record; figures go beside")
    parser.add_argument("--updates", type=int, default=updates, help="of every classifier")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--estimate", action="store_true", help="print what a full run costs, in hours, and end")
    parser.add_argument("--table", action="store_true", help="print the tables of what is finished, and end")
    return parser


def recorded(record: Record, study: str) -> tuple[Settings, Cells]:
    """The settings of a study, None if the record has none of it, and its finished cells."""
    lines = [{k: v for k, v in row.items() if k != "study"} for row in record.rows({"study": study})]
    settings = [line["settings"] for line in lines if "settings" in line]
    return (settings[-1] if settings else None), [line for line in lines if "settings" not in line]


@contextmanager
def tracked(record: Record, study: str, folder: Path) -> Iterator[None]:
    """Give the folder the cells that the record has, and the record the folder's at the end: after an error, Ctrl-C and
    SIGTERM, too. A folder of other settings is left as it is, and the study will refuse it; so is the record. To start
    a study again, take its lines out of the record first."""
    settings, cells = recorded(record, study)
    if settings is not None and _settings(folder) in (None, settings):
        place = StudyFolder(folder)
        with place.claimed(resume=True, overwrite=False):
            lines = "".join(json.dumps(cell) + "\n" for cell in _merged(place.read(), cells))
            settings_text = json.dumps(settings, indent=2) + "\n"
            place.write({CELLS_FILE: lines.encode(), SETTINGS_FILE: settings_text.encode()})
    before = signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        yield
    finally:
        mine = _settings(folder)
        if mine is not None and settings in (None, mine):
            cells = _merged(StudyFolder(folder).read(), cells)
            record.replace({"study": study}, [{"settings": mine}, *cells])
        signal.signal(signal.SIGTERM, before)


def _settings(folder: Path) -> Settings:
    file = folder / SETTINGS_FILE
    return json.loads(file.read_text()) if file.is_file() else None


def _merged(*lists: Cells) -> Cells:
    """The cells of several lists, each once: that of the first list, unless it failed there and not in a later one."""
    merged: dict[tuple[Any, ...], dict[str, Any]] = {}
    for cell in (cell for cells in lists for cell in cells):
        key = cell["phase"], cell["seed"], cell["name"]
        if key not in merged or ("error" in merged[key] and "error" not in cell):
            merged[key] = cell
    return list(merged.values())


def report_of(settings: Settings, cells: Cells, *, classes: int = 10) -> Report | None:
    """A study's report from its cells, without its page; None if some are missing. No two seeds share a sample."""
    if settings is None:
        return None
    ledger, seeds = Ledger(cells), settings["seeds"]
    arms = arms_of(settings)

    def results(phase: Phase, arms: Sequence[Arm]) -> dict[Arm, dict[int, float]] | None:
        """None if some cells are missing; one that failed is not."""
        if not all(ledger.tried(phase, seed, arm.name) for arm in arms for seed in seeds):
            return None
        return {arm: ledger.scores(phase, arm.name) for arm in arms}

    inner = results("inner", arms)
    if inner is None:
        return None
    chosen = select(inner, seeds)
    table = results("test", arms_to_test(chosen))
    if table is None:
        return None
    n_test = settings["test"]["images"]
    judgement = judge(chosen, table, seeds, resolution=1 / n_test)
    statistics = {"correction": 0.0, "n_test": n_test, "n_train": classes * settings["labels_per_class"]}
    return from_details(findings(judgement, ledger, arms, settings, {**statistics, "classes": classes}))


def run_arms(
    work: Work,
    settings: dict[str, Any],
    seeds: Sequence[int],
    arms: tuple[Arm, ...],
    workers: int,
    title: str,
    phase: Phase = "test",
) -> None:
    """Train and judge what isn't done yet, in a study's folder that this process has claimed."""
    work.folder.open(settings, work.trained(), resume=True)
    jobs = left_to_do([Job(phase, seed, arms) for seed in seeds], Ledger(work.folder.read()).done)
    with Progress(title, total_cost(work, jobs), line_every=30) as bar:
        run_jobs(work, jobs, workers, bar)


def rest_of(dataset: Any, used: Subset[Any]) -> Subset[Any]:
    """The dataset without what a subset of it uses."""
    others = torch.ones(len(dataset), dtype=torch.bool)
    others[torch.tensor(list(used.indices))] = False
    return Subset(dataset, torch.nonzero(others).flatten().tolist())


def hours(data: tuple[Any, Any], settings: dict[str, Any], trainings: int, classifiers: int | None = None) -> float:
    """What a study of the training and the test set with these settings takes here, in hours, from a few updates of
    each kind: so many trainings of each generator per seed, and classifiers, by default those of a complete study."""
    with tempfile.TemporaryDirectory() as folder, one_thread():
        scratch = Path(folder)
        work, prepared, _ = prepare(*data, StudyFolder(scratch / "study"), Options(**settings))
        classifiers = classifiers or len(arms_of(prepared)) + 5
        seed = next(iter(work.rows))
        images = work.train.part(work.rows[seed])
        learner = work.learner
        assert isinstance(learner, Networks)
        model = make_classifier(learner.network, work.spec.shape, work.spec.num_classes, seed)
        began = time.process_time()
        train_classifier(model, blended(images, (), 1, learner.batch_size, seed), updates=TRIED_UPDATES, seed=seed)
        seconds = classifiers * (time.process_time() - began) / TRIED_UPDATES * learner.updates
        began = time.process_time()
        with torch.inference_mode():
            model.eval()(work.test.samples[:256].float() / 255)
        seconds += classifiers * (time.process_time() - began) / 256 * len(work.test)
        for name, source in work.sources.items():
            for key, recipe in recipes_in(name, source).items():
                seconds += trainings * training_seconds(work, key, recipe, images, scratch)
        return len(work.rows) * seconds / 3600


def training_seconds(work: Work, name: str, recipe: Recipe, samples: LabelledSamples, scratch: Path) -> float:
    """What the training of a generator takes here, in seconds of one core, from a few steps."""
    times = []
    for steps in (1, 1 + TRIED_STEPS):  # the difference, since reading the samples isn't part of a step
        began = time.process_time()
        folder = scratch / f"{trained(name)} {steps}"
        train(replace(recipe, steps=steps), samples, folder, derive_seed(0, "timing"), work.device)
        times.append(time.process_time() - began)
    return max(times[1] - times[0], 0) / TRIED_STEPS * recipe.steps
