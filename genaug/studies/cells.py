"""The folder of a running study: its settings, and every finished cell as a line of ``cells.jsonl``."""

import json
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NotRequired

from pydantic import ConfigDict, Field, FiniteFloat, TypeAdapter, with_config
from typing_extensions import TypedDict

from genaug.artifacts.claimed_folder import ClaimedFolder
from genaug.artifacts.folders import saving_to
from genaug.artifacts.json_files import read_json_lines
from genaug.artifacts.settings import check_same_settings
from genaug.errors import FormatWarning, InputError
from genaug.studies.metrics import ACCURACY

SETTINGS_FILE, CELLS_FILE, GENERATORS = "study.json", "cells.jsonl", "generators"
REPORT_FILES = ("report.json", "report.html")
PHASES = ("inner", "test")


Share = Annotated[FiniteFloat, Field(ge=0, le=1)]


@with_config(ConfigDict(extra="allow", strict=True))
class Cell(TypedDict):
    """A line of ``cells.jsonl``: an arm of a seed, or the training of a source, with its result, under the key of its
    metric, or its error."""

    phase: Annotated[str, Field(pattern="^[a-z]{1,20}$")]  # inner or test; benchmarks add others
    seed: Annotated[int, Field(ge=0)]
    name: str
    accuracy: NotRequired[Share]
    balanced_accuracy: NotRequired[Share]
    macro_f1: NotRequired[Share]
    recall: NotRequired[Share]
    average_precision: NotRequired[Share]
    loss: NotRequired[Annotated[list[FiniteFloat], Field(min_length=2, max_length=2)]]
    seconds: NotRequired[Annotated[FiniteFloat, Field(ge=0)]]
    error: NotRequired[str]


_CELL = TypeAdapter(Cell)


class StudyFolder(ClaimedFolder):
    """Several processes may ``append`` at once: a line is one write to a file opened for appending."""

    kind = "study"

    def __init__(self, path: str | Path) -> None:
        super().__init__(path)
        self.cells = self.path / CELLS_FILE

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_claim": None}  # workers only append cells; the claiming process writes the rest

    def open(self, settings: Mapping[str, Any], generators: Sequence[str], *, resume: bool) -> None:
        """Start a study, removing an older one, or continue the existing one. ``generators`` are the names of the
        sources to train.

        Raises ``InputError`` if the study to resume was started with other settings or data.
        """
        claimed, settings_file = self._claimed, self.path / SETTINGS_FILE
        claimed.check_free([SETTINGS_FILE, CELLS_FILE, *REPORT_FILES, f"{GENERATORS}/x"])
        if resume and settings_file.exists():
            check_same_settings(settings_file, settings, "study")
        elif resume and self._read()[0]:
            raise InputError(
                f"{settings_file} is missing, so the study can't be resumed. Start again with overwrite=True "
                "(--overwrite)."
            )
        else:  # also with ``resume``, if the study was killed before it had written anything
            claimed.clear()
        folders = [
            self.generator(name, phase, seed) for name in generators for phase in PHASES for seed in settings["seeds"]
        ]
        folders += [run_folder(folder) for folder in folders]
        claimed.declare([f"{folder.relative_to(self.path).as_posix()}/" for folder in folders])
        cells, damage = self._read()
        lines = "".join(f"{json.dumps(cell)}\n" for cell in cells)
        claimed.write({SETTINGS_FILE: (json.dumps(settings, indent=2) + "\n").encode(), CELLS_FILE: lines.encode()})
        for sentence in damage:
            warnings.warn(f"{sentence} It is ignored, and its arm will run again.", FormatWarning, stacklevel=3)

    def write(self, contents: Mapping[str, bytes]) -> None:
        """Write files of the study, all or none."""
        self._claimed.write(contents)

    def append(self, cell: Mapping[str, Any]) -> None:
        line = (json.dumps(cell, allow_nan=False) + "\n").encode()
        with saving_to(self.cells), self.cells.open("ab", buffering=0) as file:
            file.write(line)

    def read(self) -> list[dict[str, Any]]:
        """All finished cells, in the order in which they finished."""
        return self._read()[0]

    def generator(self, source: str, phase: str, seed: int) -> Path:
        return self.path / GENERATORS / source / f"{phase}-{seed}"

    def _read(self) -> tuple[list[dict[str, Any]], list[str]]:
        """All finished cells, and a sentence for each damaged line."""
        if not self.cells.is_file():
            return [], []
        cells, damage = read_json_lines(self.cells, _CELL, "")
        return [dict(cell) for cell in cells], damage


def run_folder(folder: Path) -> Path:
    """The folder of the training run of the generator in a folder, until it is finished."""
    return folder.with_name(folder.name + ".run")


class Ledger:
    """The cells by (phase, seed, name). An arm that failed was tried, but isn't done."""

    def __init__(self, cells: Sequence[Mapping[str, Any]]) -> None:
        self._cells = {(c["phase"], c["seed"], c["name"]): c for c in cells}

    def done(self, phase: str, seed: int, name: str) -> bool:
        return "error" not in self._cells.get((phase, seed, name), {"error": ""})

    def tried(self, phase: str, seed: int, name: str) -> bool:
        return (phase, seed, name) in self._cells

    def of(self, phase: str) -> list[Mapping[str, Any]]:
        return [cell for cell in self._cells.values() if cell["phase"] == phase]

    def scores(self, phase: str, name: str, metric: str = ACCURACY.key) -> dict[int, float]:
        """An arm's values of a metric by seed, without those that failed."""
        return {c["seed"]: c[metric] for c in self.of(phase) if c["name"] == name and metric in c}

    def failures(self) -> list[Mapping[str, Any]]:
        return [cell for cell in self._cells.values() if "error" in cell]
