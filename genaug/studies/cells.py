"""The folder of a study while it runs: what was asked for, and every finished cell as a line of ``cells.jsonl``."""

import json
import os
import shutil
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired

from pydantic import ConfigDict, Field, FiniteFloat, TypeAdapter, with_config
from typing_extensions import TypedDict

from genaug.errors import FormatError, FormatWarning, InputError, OutputExistsError
from genaug.folders import check_replaceable
from genaug.json_files import read_json, read_json_lines
from genaug.storage import remove_leftovers, replace_files, saving_to

SETTINGS_FILE, CELLS_FILE, GENERATORS = "study.json", "cells.jsonl", "generators"
REPORT_FILES = ("report.json", "report.html")


@with_config(ConfigDict(extra="allow", strict=True))
class Cell(TypedDict):
    """A line of ``cells.jsonl``: an arm of a seed, or the training of a source, with its result or its error."""

    phase: Literal["inner", "test"]
    seed: Annotated[int, Field(ge=0)]
    name: str
    accuracy: NotRequired[Annotated[FiniteFloat, Field(ge=0, le=1)]]
    loss: NotRequired[Annotated[list[FiniteFloat], Field(min_length=2, max_length=2)]]
    seconds: NotRequired[Annotated[FiniteFloat, Field(ge=0)]]
    error: NotRequired[str]


_CELL, _SETTINGS = TypeAdapter(Cell), TypeAdapter(dict[str, Any])


class StudyFolder:
    """Several processes may ``append`` at once: a line is one write to a file opened for appending."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.cells = path / CELLS_FILE

    def open(self, settings: Mapping[str, Any], *, resume: bool, overwrite: bool) -> None:
        """Start a study, or go on with the one that is there.

        Raises ``OutputExistsError`` where the folder holds something else, or a study and neither ``resume`` nor
        ``overwrite`` is true; ``InputError`` where the study there was started with other settings or data.
        """
        check_replaceable(self.path)
        settings_file = self.path / SETTINGS_FILE
        if self.path.is_dir() and any(self.path.iterdir()):
            if not (resume or overwrite):
                raise OutputExistsError(
                    f"{self.path} exists and is not empty. Choose another folder, or pass resume=True (--resume) to go "
                    "on with the study in it or overwrite=True (--overwrite) to replace it."
                )
            if not settings_file.is_file():
                raise OutputExistsError(f"{self.path} is not empty and holds no study; it is left alone.")
            if resume:
                self._check_same(settings)
        with saving_to(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            remove_leftovers(self.path)
            if overwrite:
                self._clear()
            cells, damage = self._read()
            replace_files(
                self.path,
                {
                    SETTINGS_FILE: (json.dumps(settings, indent=2) + "\n").encode(),
                    CELLS_FILE: "".join(f"{json.dumps(cell)}\n" for cell in cells).encode(),
                },
            )
        for sentence in damage:
            warnings.warn(f"{sentence} It was left out, and its arm is run again.", FormatWarning, stacklevel=3)

    def append(self, cell: Mapping[str, Any]) -> None:
        line = (json.dumps(cell, allow_nan=False) + "\n").encode()
        with saving_to(self.cells):
            file = os.open(self.cells, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            try:
                os.write(file, line)
            finally:
                os.close(file)

    def read(self) -> list[dict[str, Any]]:
        """All finished cells, in the order in which they were finished."""
        return self._read()[0]

    def generator(self, source: str, phase: str, seed: int) -> Path:
        return self.path / GENERATORS / source / f"{phase}-{seed}"

    def _read(self) -> tuple[list[dict[str, Any]], list[str]]:
        """All finished cells, and a sentence for each damaged line."""
        if not self.cells.is_file():
            return [], []
        cells, damage = read_json_lines(self.cells, _CELL, "")
        return [dict(cell) for cell in cells], damage

    def _check_same(self, settings: Mapping[str, Any]) -> None:
        file = self.path / SETTINGS_FILE
        try:
            before = read_json(file, _SETTINGS, "")
        except FormatError as error:
            raise InputError(
                f"{file} is damaged, so the study can't be resumed. Start again in another folder. ({error})"
            ) from error
        now = json.loads(json.dumps(settings))
        if found := _first_difference(before, now):
            name, was, new = found
            raise InputError(
                f"the study in {self.path} can't be resumed: {name} was {_short(was)}, now it is {_short(new)}. "
                "Results of different settings don't mix: take the same, or a new folder."
            )

    def _clear(self) -> None:
        for name in (CELLS_FILE, *REPORT_FILES):
            (self.path / name).unlink(missing_ok=True)
        shutil.rmtree(self.path / GENERATORS, ignore_errors=True)


class Ledger:
    """What was tried, by (phase, seed, name), and what is done: an arm that failed isn't."""

    def __init__(self, cells: list[dict[str, Any]]) -> None:
        self._cells = {(c["phase"], c["seed"], c["name"]): c for c in cells}

    def done(self, phase: str, seed: int, name: str) -> bool:
        return "error" not in self._cells.get((phase, seed, name), {"error": ""})

    def tried(self, phase: str, seed: int, name: str) -> bool:
        return (phase, seed, name) in self._cells

    def of(self, phase: str, wanted: Callable[[dict[str, Any]], bool] = lambda cell: True) -> list[dict[str, Any]]:
        return [cell for (where, _, _), cell in self._cells.items() if where == phase and wanted(cell)]

    def accuracies(self, phase: str, name: str) -> dict[int, float]:
        """Accuracy by seed of an arm that finished."""
        return {c["seed"]: c["accuracy"] for c in self.of(phase) if c["name"] == name and "accuracy" in c}

    def failures(self) -> list[dict[str, Any]]:
        return [cell for cell in self._cells.values() if "error" in cell]


def _first_difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[str, Any, Any] | None:
    """Where settings first differ, as a dotted name, and what is there; one that is missing is the same as null."""
    for name in sorted(set(before) | set(now)):
        was, new = before.get(name), now.get(name)
        if isinstance(was, dict) and isinstance(new, dict):
            if found := _first_difference(was, new):
                return f"{name}.{found[0]}", *found[1:]
        elif was != new:
            return name, was, new
    return None


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 200 else text[:199] + "…"
