"""The folder of a training run: who may write there, its log, its checkpoints and the generator it exports.

``run.json`` (what was asked for), ``metrics.jsonl``, ``samples/``, ``checkpoints/``, and ``config.json`` with
``model.safetensors``, so that the folder itself loads.
"""

import json
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

from pydantic import ConfigDict, Field, TypeAdapter, with_config
from typing_extensions import TypedDict

from genaug.access import reading_from
from genaug.errors import FormatError, InputError, OutputExistsError
from genaug.evaluation.record import EVALUATION_FILE
from genaug.json_files import read_json, read_json_lines
from genaug.storage import remove_leftovers, replace_files, saving_to
from genaug.training.checkpoint import newest_step

_RUN_FILE = "run.json"
_METRICS_FILE = "metrics.jsonl"
_EXPORTED = ("config.json", "model.safetensors", EVALUATION_FILE)
_OURS = (_RUN_FILE, _METRICS_FILE, "samples", "checkpoints", "tensorboard", *_EXPORTED)
# Of the data their hash counts, not their name; the last ones are not what the weights depend on, but to the last bits.
_MAY_CHANGE = {"steps", "planned_steps", "planned_after", "data", "plugin", "command"}
_MAY_CHANGE |= {"device", "threads", "checkpoint_every"}


@with_config(ConfigDict(extra="allow", strict=True))
class _Settings(TypedDict):
    """What ``run.json`` must have to be one of genaug's."""

    backend: str
    config: dict[str, Any]
    genaug: str


@with_config(ConfigDict(extra="allow", strict=True))
class _LogLine(TypedDict):
    step: Annotated[int, Field(ge=0)]


_SETTINGS, _LOG_LINE = TypeAdapter(_Settings), TypeAdapter(_LogLine)


class RunFolder:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.checkpoints = path / "checkpoints"
        self._board: Any = None
        self._record: Mapping[str, Any] = {}

    def check_free(self, overwrite: bool, resume: bool) -> None:
        """Refuse a folder that holds something, unless it is a run to overwrite or to resume. Nothing is touched."""
        if self.path.exists() and not self.path.is_dir():
            raise OutputExistsError(f"{self.path} is a file. Name a folder for the run.")
        if not self.path.is_dir() or not any(self.path.iterdir()):
            return
        if not (overwrite or resume):
            raise OutputExistsError(
                f"{self.path} exists and is not empty. Choose another folder, or pass overwrite=True (--overwrite) "
                "to replace the run in it or resume=True (--resume) to go on with it."
            )
        run_file = self.path / _RUN_FILE
        if not run_file.is_file() or (overwrite and _read_settings(run_file) is None):
            raise OutputExistsError(f"{self.path} is not empty and holds no run of genaug; it is left alone.")

    def record(self) -> dict[str, Any] | None:
        """The content of ``run.json``, or None if there is none. Raises ``InputError`` if it is damaged."""
        run_file = self.path / _RUN_FILE
        if not run_file.is_file():
            return None
        record = _read_settings(run_file)
        if record is None:
            raise InputError(f"{run_file} is damaged, so the run can't be resumed. Start anew in another folder.")
        return record

    def add_to_record(self, fields: Mapping[str, Any]) -> None:
        """Write more fields into ``run.json``."""
        with saving_to(self.path):
            self._write_record({**self._record, **fields})

    def newest_step(self) -> int | None:
        """The step of the newest checkpoint; None if there is none."""
        return newest_step(self.checkpoints)

    def open(self, asked: dict[str, Any], resume: bool) -> str | None:
        """Start a run, emptying the folder of an older one, or go on with the one that is there.

        Returns what its owner should know of where the backend's plugin isn't the one that began the run, else None.
        Raises ``InputError`` where the run to resume was started with other settings or other data.
        """
        warning = None
        before = self.record() if resume else None
        if before is not None:
            refuse_changes(self.path, before, asked, set(before) | set(asked))
            if before.get("plugin") not in (None, asked.get("plugin")):
                warning = (
                    f"this run was started with {before['plugin']} and goes on with {asked.get('plugin')}: it may not "
                    "be what either alone would give. Install the one it was started with to be sure."
                )
                asked = {**asked, "plugin": before["plugin"]}  # so that the next resumption is told of it too
        elif self.path.is_dir():
            with reading_from(self.path):
                for name in _OURS:
                    entry = self.path / name
                    shutil.rmtree(entry) if entry.is_dir() else entry.unlink(missing_ok=True)
        for folder in (self.path, self.checkpoints, self.path / "samples"):
            remove_leftovers(folder)
        with saving_to(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            self._write_record(asked)
        self._board = _tensorboard(self.path / "tensorboard")
        return warning

    def _write_record(self, record: Mapping[str, Any]) -> None:
        self._record = record
        replace_files(self.path, {_RUN_FILE: (json.dumps(record, indent=2) + "\n").encode()})

    def forget_after(self, step: int) -> list[str]:
        """Drop the log's lines of steps that will be trained again. Returns a sentence for each damaged line, which is
        dropped as well."""
        path = self.path / _METRICS_FILE
        if not path.is_file():
            return []
        lines, damage = read_json_lines(path, _LOG_LINE, "It was left out.")
        with saving_to(path):
            kept = [json.dumps(line) for line in lines if line["step"] <= step]
            replace_files(self.path, {_METRICS_FILE: "".join(f"{line}\n" for line in kept).encode()})
        return damage

    def log(self, step: int, metrics: dict[str, float]) -> None:
        """Append one line to ``metrics.jsonl``."""
        with saving_to(self.path / _METRICS_FILE):
            with open(self.path / _METRICS_FILE, "a") as file:
                file.write(json.dumps({"step": step, **metrics}) + "\n")
            if self._board is not None:
                for name, value in metrics.items():
                    self._board.add_scalar(name, value, step)

    def close(self) -> None:
        if self._board is not None:
            self._board.close()

    def sheet_path(self, step: int) -> Path:
        return self.path / "samples" / f"step-{step:08d}.png"


def refuse_changes(folder: Path, before: Mapping[str, Any], now: Mapping[str, Any], names: Collection[str]) -> None:
    """Raise ``InputError`` with the settings of ``names`` that differ from those of the run in ``folder``."""
    changes = [name for name in sorted(set(names) - _MAY_CHANGE) if before.get(name) != now.get(name)]
    if changes:
        told = "; ".join(f"{name} was {old!r}, now it is {new!r}" for name, old, new in _told(changes, before, now))
        raise InputError(
            f"the run in {folder} can't be resumed: {told}. Leave out what differs, or start a new run in another "
            "folder."
        )


def _told(changes: Sequence[str], before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """Names, old and new values; of two dictionaries only the entries that differ."""
    for name in changes:
        old, new = before.get(name), now.get(name)
        if isinstance(old, dict) and isinstance(new, dict):
            keys = [key for key in (old | new) if old.get(key) != new.get(key)]
            old, new = ({key: side[key] for key in keys if key in side} for side in (old, new))
        yield name, old, new


def _read_settings(run_file: Path) -> dict[str, Any] | None:
    """What a run was asked for; None where the file isn't one that genaug wrote."""
    try:
        settings: Any = read_json(run_file, _SETTINGS, "")
    except FormatError:
        return None
    return dict(settings)


def _tensorboard(folder: Path) -> Any:
    """A TensorBoard writer where TensorBoard is installed; None where it isn't."""
    if find_spec("tensorboard") is None:
        return None
    from torch.utils.tensorboard import SummaryWriter

    with saving_to(folder):
        return SummaryWriter(str(folder))
