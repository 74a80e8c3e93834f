"""Finished cells of long studies in a tracked file, so that a run goes on where another one, or machine, stopped.

A line is a finished cell with its study's name, or a study's settings, which must be the same to go on with it.
"""

import json
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from genaug.nn.classifier import train_classifier
from genaug.randomness import mix
from genaug.studies.blending import blended
from genaug.studies.cells import CELLS_FILE, SETTINGS_FILE, StudyFolder
from genaug.studies.jobs import Work, one_thread, trained
from genaug.studies.models import make_classifier
from genaug.studies.sources import Recipe, train

TRIED_UPDATES, TRIED_STEPS = 20, 10


class TrackedCells:
    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def study(self, study: str, folder: Path) -> Iterator[None]:
        """Give the folder the cells that the file has, and the file the folder's in the end: also where that is an
        error, Ctrl-C or SIGTERM."""
        self.restore(study, folder)
        before = signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
        try:
            yield
        finally:
            self.collect(study, folder)
            signal.signal(signal.SIGTERM, before)

    def restore(self, study: str, folder: Path) -> None:
        """Give a study's folder the cells that the file has and it lacks. One of other settings is left as it is, and
        the study will refuse it."""
        settings, cells = self.cells(study)
        if settings is None or _settings(folder) not in (None, settings):
            return
        place = StudyFolder(folder)
        with place.claimed(resume=True, overwrite=False):
            lines = "".join(json.dumps(cell) + "\n" for cell in _merged(place.read(), cells))
            settings_text = json.dumps(settings, indent=2) + "\n"
            place.write({CELLS_FILE: lines.encode(), SETTINGS_FILE: settings_text.encode()})

    def collect(self, study: str, folder: Path) -> None:
        """Write a study's cells into the file, beside those that it has of that study. Those of other settings stay
        out: to start a study anew, take its lines out of the file first."""
        settings, cells = self.cells(study)
        mine = _settings(folder)
        if mine is None or settings not in (None, mine):
            return
        others = [line for line in self._lines() if line["study"] != study]
        told = [{"settings": mine}, *_merged(StudyFolder(folder).read(), cells)]
        self._write([*others, *({"study": study, **line} for line in told)])

    def cells(self, study: str) -> tuple[dict[str, Any] | None, list[dict[str, Any]]]:
        """The settings of a study, None where the file has none of it, and its finished cells."""
        lines = [{k: v for k, v in line.items() if k != "study"} for line in self._lines() if line["study"] == study]
        settings = [line["settings"] for line in lines if "settings" in line]
        return (settings[-1] if settings else None), [line for line in lines if "settings" not in line]

    def result(self, study: str) -> dict[str, Any] | None:
        """What ``keep`` kept."""
        return next((line["result"] for line in self._lines() if line["study"] == study and "result" in line), None)

    def keep(self, study: str, result: dict[str, Any]) -> None:
        self._write([*(line for line in self._lines() if line["study"] != study), {"study": study, "result": result}])

    def _lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.path.read_text().splitlines()] if self.path.is_file() else []

    def _write(self, lines: list[dict[str, Any]]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        new = self.path.with_suffix(".new")
        new.write_text("".join(json.dumps(line) + "\n" for line in lines))
        new.replace(self.path)


def _settings(folder: Path) -> dict[str, Any] | None:
    file = folder / SETTINGS_FILE
    return json.loads(file.read_text()) if file.is_file() else None


def _merged(*lists: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The cells of several lists, each once: that of the first list, unless it failed there and not in a later one."""
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for cell in (cell for cells in lists for cell in cells):
        key = cell["phase"], cell["seed"], cell["name"]
        if key not in found or ("error" in found[key] and "error" not in cell):
            found[key] = cell
    return list(found.values())


def hours(work: Work, classifiers: int, trainings: int, scratch: Path) -> float:
    """What so many classifiers and trainings of the first backend take here, in hours, from a few updates of each."""
    seed = next(iter(work.rows))
    images = work.train.part(work.rows[seed])
    with one_thread():
        model = make_classifier(work.classifier, work.spec.shape, work.spec.num_classes, seed)
        began = time.process_time()
        train_classifier(model, blended(images, None, 0, work.batch_size, seed), updates=TRIED_UPDATES, seed=seed)
        seconds = classifiers * (time.process_time() - began) / TRIED_UPDATES * work.updates
        began = time.process_time()
        with torch.inference_mode():
            model.eval()(work.test.images[:256].float() / 255)
        seconds += classifiers * (time.process_time() - began) / 256 * len(work.test)
        for name, source in work.sources.items():
            if not isinstance(source, Recipe) or not trainings:
                continue
            short = Recipe(source.backend, TRIED_STEPS, source.batch_size, source.augment, source.config)
            began = time.process_time()
            train(short, images, scratch / trained(name), mix(seed, "timing"), work.device)
            seconds += trainings * (time.process_time() - began) / TRIED_STEPS * source.steps
    return seconds / 3600
