"""The folder of a training run: who may write there, its log, its checkpoints and the generator it exports.

``run.json`` (the settings), ``metrics.jsonl``, ``samples/``, ``checkpoints/``, and ``config.json`` with
``model.safetensors``, so that ``genaug.load`` takes the folder itself.
"""

import json
import re
import secrets
from collections.abc import Collection, Iterator, Mapping
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
# The data are compared by their hash, not their name; on the last three, only the last bits of the weights depend.
_MAY_CHANGE = {"steps", "planned_steps", "planned_after", "data", "plugin", "command", "run"}
_MAY_CHANGE |= {"device", "threads", "checkpoint_every"}
_OPTIONS = (
    "Choose another folder, or pass overwrite=True (--overwrite) to replace the run in it or resume=True (--resume) to "
    "continue it."
)


@with_config(ConfigDict(extra="allow", strict=True))
class _Settings(TypedDict):
    """The fields that every ``run.json`` has."""

    backend: str
    config: dict[str, Any]
    genaug: str
    run: str


@with_config(ConfigDict(extra="allow", strict=True))
class _LogLine(TypedDict):
    step: Annotated[int, Field(ge=0)]


_SETTINGS, _LOG_LINE = TypeAdapter(_Settings), TypeAdapter(_LogLine)


class RunFolder:
    """The folder of a run at ``path``, which need not exist yet."""

    def __init__(self, path: str | Path) -> None:
        self.path = resolve(path)
        self.checkpoints = self.path / "checkpoints"
        self._claim: Claim | None = None
        self._board: Any = None
        self._record: Mapping[str, Any] = {}

    @contextmanager
    def claimed(self, what: str, *, overwrite: bool, resume: bool) -> Iterator[None]:
        """Claim the folder within the context, for ``what``. Its content stays as it is until ``open``.

        Raises ``OutputExistsError`` if it contains anything but a run to overwrite or to resume, or if another process
        writes to it.
        """
        with claim(self.path, "run", what=what, replace=overwrite or resume, options=_OPTIONS) as self._claim:
            yield

    @property
    def is_claimed(self) -> bool:
        return self._claim is not None

    @property
    def _claimed(self) -> Claim:
        if self._claim is None:  # for example in a process whose rank isn't 0
            raise InputError(f"{self.path} isn't claimed by this process, which therefore can't write to it.")
        return self._claim

    def record(self) -> dict[str, Any] | None:
        """The content of ``run.json``, or None if there is none. Raises ``InputError`` if it is damaged."""
        run_file = self.path / _RUN_FILE
        if not run_file.is_file():
            return None
        try:
            record: Any = read_json(run_file, _SETTINGS, "")
        except FormatError as error:
            raise InputError(
                f"{run_file} is damaged, so the run can't be resumed. Start a new run in another folder."
            ) from error
        return dict(record)

    def add_to_record(self, fields: Mapping[str, Any]) -> None:
        """Write more fields into ``run.json``."""
        self._write_record({**self._record, **fields})

    def open(self, settings: dict[str, Any], resume: bool) -> str | None:
        """Start a run, removing an older one, or continue the one that is there.

        Returns a warning if the run was started with another version of the backend's plugin, else None. Raises
        ``InputError`` if the run to resume was started with other settings or other data.
        """
        claimed, run_file, warning = self._claimed, self.path / _RUN_FILE, None
        self._check_names()
        run = secrets.token_hex(8)
        record = self.record() if resume and _RUN_FILE in claimed.files else None
        if record is not None:
            refuse_changes(self.path, record, settings, set(record) | set(settings))
            if record.get("plugin") not in (None, settings.get("plugin")):
                warning = (
                    f"this run was started with {record['plugin']} and continues with {settings.get('plugin')}: its "
                    "result may differ from that of either alone. Install the original one to be sure."
                )
                settings = {**settings, "plugin": record["plugin"]}  # so that the next resumption warns as well
            run = str(record["run"])
        elif resume and any((self.path / name).exists() for name in claimed.files):
            raise InputError(
                f"{run_file} is missing, so the run can't be resumed. Start again with overwrite=True (--overwrite)."
            )
        else:  # also with ``resume``: a run that was killed before it had written anything
            claimed.clear()
        self._write_record({**settings, "run": run})
        claimed.declare([_METRICS_FILE])
        self._open_board()
        return warning

    def _write_record(self, record: Mapping[str, Any]) -> None:
        self._record = record
        self.write({_RUN_FILE: (json.dumps(record, indent=2) + "\n").encode()})

    def _check_names(self) -> None:
        """Raise an error for files of others that the run would replace, before it starts rather than in the middle."""
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
        """The run's identity from ``run.json``; checkpoints carry it, and a run that starts over gets a new one."""
        return str((self.record() or {})["run"])

    def write(self, contents: Mapping[str, bytes]) -> None:
        """Write files of the run, all or none. Raises ``SaveError`` if that fails."""
        self._claimed.write(contents)

    def remove(self, names: Collection[str]) -> None:
        """Remove files of the run."""
        self._claimed.remove(names)

    def forget_after(self, step: int) -> list[str]:
        """Remove the log's lines of later steps, and its damaged lines; returns a sentence for each damaged one."""
        lines, damage = self._logged()
        if not lines and not damage:
            return []
        log = "".join(f"{json.dumps(line)}\n" for line in lines if line["step"] <= step)
        self.write({_METRICS_FILE: log.encode()})
        return damage

    def logged(self, metric: str) -> dict[int, float]:
        """The values of a metric in the log, by step."""
        return {line["step"]: float(line[metric]) for line in self._logged()[0] if metric in line}  # type: ignore[literal-required]

    def _logged(self) -> tuple[list[_LogLine], list[str]]:
        """The lines of the log, and a sentence for each damaged one."""
        path = self.path / _METRICS_FILE
        return read_json_lines(path, _LOG_LINE, "It was left out.") if path.is_file() else ([], [])

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
        """Log to TensorBoard as well, if it is installed; it names its files itself."""
        if find_spec("tensorboard") is None:
            return
        from torch.utils.tensorboard import SummaryWriter

        self._claimed.check_free(["tensorboard/x"])
        folder = self.path / "tensorboard"
        existing = _file_names(folder)
        with saving_to(folder):
            self._board = SummaryWriter(str(folder), filename_suffix=self._claimed.suffix)
        self._claimed.adopt([f"tensorboard/{name}" for name in _file_names(folder) - existing])


def refuse_changes(folder: Path, before: Mapping[str, Any], now: Mapping[str, Any], names: Collection[str]) -> None:
    """Raises ``InputError`` if settings among ``names`` differ from those of the run in ``folder``."""
    names = sorted(set(names) - _MAY_CHANGE)
    changes = [_change(name, before.get(name), now.get(name)) for name in names if before.get(name) != now.get(name)]
    if changes:
        raise InputError(
            f"the run in {folder} can't be resumed: {'; '.join(changes)}. Continue it with what it started with, or "
            "start a new run in another folder."
        )


def _change(name: str, old: Any, new: Any) -> str:
    """Describe a changed setting; of two dictionaries, only the entries that differ."""
    if name == "data_sha256":
        return "the content of the training data has changed"
    if isinstance(old, dict) and isinstance(new, dict):
        keys = [key for key in (old | new) if old.get(key) != new.get(key)]
        old, new = ({key: side[key] for key in keys if key in side} for side in (old, new))
    return f"{name} was {old!r}, now it is {new!r}"


def _file_names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} if folder.is_dir() else set()
