"""The folder of a training run: who may write there, its log, its checkpoints and the generator it exports.

``run.json`` (what was asked for), ``metrics.jsonl``, ``samples/``, ``checkpoints/``, and ``config.json`` with
``model.safetensors``, so that the folder itself loads.
"""

import json
import re
import secrets
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

from pydantic import ConfigDict, Field, TypeAdapter, with_config
from typing_extensions import TypedDict

from genaug.artifacts.claims import Claim, claim
from genaug.artifacts.folders import resolve, saving_to
from genaug.artifacts.json_files import read_json, read_json_lines
from genaug.errors import FormatError, InputError

_RUN_FILE = "run.json"
_METRICS_FILE = "metrics.jsonl"
_EXPORTED = ("config.json", "model.safetensors")
_NUMBERED = re.compile(r"step-\d{8}\.(png|pt|pt\.json)")
# Of the data their hash counts, not their name; the last ones are not what the weights depend on, but to the last bits.
_MAY_CHANGE = {"steps", "planned_steps", "planned_after", "data", "plugin", "command", "run"}
_MAY_CHANGE |= {"device", "threads", "checkpoint_every"}
_OPTIONS = (
    "Choose another folder, or pass overwrite=True (--overwrite) to replace the run in it or resume=True (--resume) to "
    "go on with it."
)


@with_config(ConfigDict(extra="allow", strict=True))
class _Settings(TypedDict):
    """What ``run.json`` must have to be one of genaug's."""

    backend: str
    config: dict[str, Any]
    genaug: str
    run: str


@with_config(ConfigDict(extra="allow", strict=True))
class _LogLine(TypedDict):
    step: Annotated[int, Field(ge=0)]


_SETTINGS, _LOG_LINE = TypeAdapter(_Settings), TypeAdapter(_LogLine)


class RunFolder:
    """``identity`` is the run's own, which its checkpoints carry: a run that is started again has another one."""

    def __init__(self, path: str | Path) -> None:
        self.path = resolve(path)
        self.checkpoints = self.path / "checkpoints"
        self._claim: Claim | None = None
        self._board: Any = None
        self._record: Mapping[str, Any] = {}

    @contextmanager
    def claimed(self, what: str, *, overwrite: bool, resume: bool) -> Iterator[None]:
        """Hold the folder for the block. What is there stays as it is until ``open``.

        Raises ``OutputExistsError`` if it holds something that isn't a run to overwrite or to resume, or if another
        process writes to it.
        """
        with claim(self.path, "run", what=what, replace=overwrite or resume, options=_OPTIONS) as self._claim:
            yield

    @property
    def is_claimed(self) -> bool:
        return self._claim is not None

    @property
    def _claimed(self) -> Claim:
        if self._claim is None:  # such as for another process than that of rank 0
            raise InputError(f"{self.path} isn't claimed by this process, which therefore can't write to it.")
        return self._claim

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
        self._write_record({**self._record, **fields})

    def open(self, asked: dict[str, Any], resume: bool) -> str | None:
        """Start a run, removing an older one, or go on with the one that is there.

        Returns what its owner should know of where the backend's plugin isn't the one that began the run, else None.
        Raises ``InputError`` where the run to resume was started with other settings or other data.
        """
        claimed, run_file, warning = self._claimed, self.path / _RUN_FILE, None
        self._check_names()
        run = secrets.token_hex(8)
        before = self.record() if resume and _RUN_FILE in claimed.files else None
        if before is not None:
            refuse_changes(self.path, before, asked, set(before) | set(asked))
            if before.get("plugin") not in (None, asked.get("plugin")):
                warning = (
                    f"this run was started with {before['plugin']} and goes on with {asked.get('plugin')}: it may not "
                    "be what either alone would give. Install the one it was started with to be sure."
                )
                asked = {**asked, "plugin": before["plugin"]}  # so that the next resumption is told of it too
            run = str(before["run"])
        elif resume and any((self.path / name).exists() for name in claimed.files):
            raise InputError(
                f"{run_file} is missing, so the run can't be resumed. Start again with overwrite=True (--overwrite)."
            )
        else:  # also with ``resume``: a run that was killed before it had written anything
            claimed.clear()
        self._write_record({**asked, "run": run})
        claimed.declare([_METRICS_FILE])
        self._open_board()
        return warning

    def _write_record(self, record: Mapping[str, Any]) -> None:
        self._record = record
        self.write({_RUN_FILE: (json.dumps(record, indent=2) + "\n").encode()})

    def _check_names(self) -> None:
        """Refuse files of others' that the run would come to replace, before it starts rather than in the middle."""
        numbered = [
            f"{part}/{path.name}"
            for part in ("samples", "checkpoints")
            if (self.path / part).is_dir()
            for path in (self.path / part).iterdir()
            if _NUMBERED.fullmatch(path.name)
        ]
        self._claimed.check_free([_RUN_FILE, _METRICS_FILE, *_EXPORTED, "samples/x", "checkpoints/x", *numbered])

    @cached_property
    def identity(self) -> str:
        """As ``run.json`` has it, so that all processes of a run agree."""
        return str((self.record() or {})["run"])

    def write(self, contents: Mapping[str, bytes]) -> None:
        """Write files of the run, all or none; ``SaveError`` where that fails."""
        self._claimed.write(contents)

    def remove(self, names: Collection[str]) -> None:
        """Remove files of the run."""
        self._claimed.remove(names)

    def forget_after(self, step: int) -> list[str]:
        """Drop the log's lines of steps that will be trained again. Returns a sentence for each damaged line, which is
        dropped as well."""
        path = self.path / _METRICS_FILE
        if not path.is_file():
            return []
        lines, damage = read_json_lines(path, _LOG_LINE, "It was left out.")
        kept = [json.dumps(line) for line in lines if line["step"] <= step]
        self.write({_METRICS_FILE: "".join(f"{line}\n" for line in kept).encode()})
        return damage

    def log(self, step: int, metrics: dict[str, float]) -> None:
        """Append one line to ``metrics.jsonl``."""
        self._claimed.check_held()
        with saving_to(self.path / _METRICS_FILE):
            with open(self.path / _METRICS_FILE, "a") as file:
                file.write(json.dumps({"step": step, **metrics}) + "\n")
            if self._board is not None:
                for name, value in metrics.items():
                    self._board.add_scalar(name, value, step)

    def close(self) -> None:
        if self._board is not None:
            self._board.close()

    def _open_board(self) -> None:
        """Log to TensorBoard as well where it is installed; it names its files itself."""
        if find_spec("tensorboard") is None:
            return
        from torch.utils.tensorboard import SummaryWriter

        self._claimed.check_free(["tensorboard/x"])
        folder = self.path / "tensorboard"
        before = _files(folder)
        with saving_to(folder):
            self._board = SummaryWriter(str(folder), filename_suffix=self._claimed.suffix)
        self._claimed.adopt([f"tensorboard/{name}" for name in _files(folder) - before])


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


def _files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} if folder.is_dir() else set()
