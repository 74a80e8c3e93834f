"""The folder of a training run: who may write there, its log, its checkpoints and the generator it exports.

``run.json`` (what was asked for), ``metrics.jsonl``, ``samples/``, ``checkpoints/``, and ``config.json`` with
``model.safetensors``, so that the folder itself loads.
"""

import json
import re
import secrets
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from genaug.claims import Claim, claim
from genaug.errors import InputError
from genaug.folders import resolve, saving_to

_RUN_FILE = "run.json"
_METRICS_FILE = "metrics.jsonl"
_EXPORTED = ("config.json", "model.safetensors")
_NUMBERED = re.compile(r"step-\d{8}\.(png|pt|pt\.json)")
_MAY_CHANGE = ("steps", "data", "plugin", "run")  # the data's name: what counts is their hash
_OPTIONS = (
    "Choose another folder, or pass overwrite=True (--overwrite) to replace the run in it or resume=True (--resume) to "
    "go on with it."
)


class RunFolder:
    """``identity`` is the run's own, which its checkpoints carry: a run that is started again has another one."""

    def __init__(self, path: str | Path) -> None:
        self.path = resolve(path)
        self.checkpoints = self.path / "checkpoints"
        self._claim: Claim | None = None
        self._board: Any = None

    @contextmanager
    def claimed(self, what: str, *, overwrite: bool, resume: bool) -> Iterator[None]:
        """Hold the folder for the block. What is there stays as it is until ``open``.

        Raises ``OutputExistsError`` if it holds something that isn't a run to overwrite or to resume, or if another
        process writes to it.
        """
        with claim(self.path, "run", what=what, replace=overwrite or resume, options=_OPTIONS) as self._claim:
            yield

    @property
    def _claimed(self) -> Claim:
        if self._claim is None:  # such as for another process than that of rank 0
            raise InputError(f"{self.path} isn't claimed by this process, which therefore can't write to it.")
        return self._claim

    def open(self, asked: dict[str, Any], resume: bool) -> str | None:
        """Start a run, removing an older one, or go on with the one that is there.

        Returns what its owner should know of where the backend's plugin isn't the one that began the run, else None.
        Raises ``InputError`` where the run to resume was started with other settings or other data.
        """
        claimed, run_file, warning = self._claimed, self.path / _RUN_FILE, None
        self._check_names()
        run = secrets.token_hex(8)
        if resume and _RUN_FILE in claimed.files and run_file.exists():
            before = _read_settings(run_file)
            if before is None:
                raise InputError(f"{run_file} is damaged, so the run can't be resumed. Start anew in another folder.")
            for name in sorted((set(before) | set(asked)) - set(_MAY_CHANGE)):
                if before.get(name) != asked.get(name):
                    raise InputError(
                        f"the run in {self.path} can't be resumed: {name} was {before.get(name)!r}, now it is "
                        f"{asked.get(name)!r}. Use the same, or start anew with another folder."
                    )
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
        claimed.write({_RUN_FILE: (json.dumps({**asked, "run": run}, indent=2) + "\n").encode()})
        claimed.declare([_METRICS_FILE])
        self._open_board()
        return warning

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
        return str(json.loads((self.path / _RUN_FILE).read_bytes())["run"])

    def write(self, contents: Mapping[str, bytes]) -> None:
        """Write files of the run, all or none; ``SaveError`` where that fails."""
        self._claimed.write(contents)

    def remove(self, names: Collection[str]) -> None:
        """Remove files of the run."""
        self._claimed.remove(names)

    def forget_after(self, step: int) -> None:
        """Drop the log's lines of steps that will be trained again."""
        path = self.path / _METRICS_FILE
        if path.is_file():
            kept = [line for line in path.read_text().splitlines() if _step_of(line) <= step]
            self.write({_METRICS_FILE: "".join(f"{line}\n" for line in kept).encode()})

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


def _read_settings(run_file: Path) -> dict[str, Any] | None:
    """What a run was asked for; None where the file isn't one that genaug wrote."""
    try:
        content = json.loads(run_file.read_bytes())
    except ValueError:
        return None
    return content if isinstance(content, dict) and {"backend", "config", "genaug", "run"} <= set(content) else None


def _files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} if folder.is_dir() else set()


def _step_of(line: str) -> float:
    """The step of a log line; a line that was cut short counts as never reached."""
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return float("inf")
