"""Checkpoints of a training run: written atomically and verified by hash; the newest complete one is used."""

import hashlib
import io
import json
import re
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, TypeAdapter

from genaug.artifacts.json_files import check, read_json
from genaug.artifacts.paths import reading_from
from genaug.errors import FormatError
from genaug.training.run_folder import RunFolder

KEEP = 2
_NAME = re.compile(r"step-(\d{8})\.pt")


class _Seal(BaseModel):
    """The hash and size of a checkpoint's bytes, and the identity of its run."""

    model_config = ConfigDict(extra="forbid", strict=True)

    sha256: str
    size: int
    run: str


class _State(BaseModel):
    """What a checkpoint holds."""

    model_config = ConfigDict(extra="forbid", strict=True)

    step: int
    nets: dict[str, Any]
    ema: dict[str, Any]
    optimizers: list[dict[str, Any]]


_SEAL, _STATE = TypeAdapter(_Seal), TypeAdapter(_State)


def write_checkpoint(folder: RunFolder, step: int, state: dict[str, Any]) -> None:
    """Write ``step-<number>.pt`` and its seal into a run's folder, then remove all but the newest ``KEEP``.

    Checkpoints of later steps are removed as well: they are damaged, since the run was resumed before them.

    Raises ``SaveError`` if writing fails; older checkpoints are then untouched.
    """
    buffer = io.BytesIO()
    torch.save(state, buffer)
    content = buffer.getvalue()
    name = f"step-{step:08d}.pt"
    parent = folder.checkpoints.name
    seal = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content), "run": folder.identity}
    folder.write({f"{parent}/{name}": content, f"{parent}/{name}.json": json.dumps(seal).encode()})
    paths = _checkpoints(folder.checkpoints)
    index = paths.index(folder.checkpoints / name)
    obsolete = [f"{parent}/{path.name}" for path in paths[:index] + paths[index + KEEP :]]
    folder.remove([*obsolete, *(f"{name}.json" for name in obsolete)])


def newest_checkpoint(folder: RunFolder, device: torch.device) -> tuple[dict[str, Any] | None, list[str]]:
    """The state of the run's newest complete checkpoint, or None, and a sentence for each one that was skipped.

    Raises ``ReadError`` for one that can't be read, since it may be complete.
    """
    skipped: list[str] = []
    for path in _checkpoints(folder.checkpoints):
        seal = _read_seal(path)
        state = None if seal is None else _read_state(path, seal, device)
        if seal is None or state is None:
            skipped.append(f"{path} is damaged and was skipped.")
        elif seal.run != folder.identity:
            skipped.append(f"{path} is a checkpoint of another run and was skipped.")
        else:
            return state, skipped
    return None, skipped


def _read_seal(path: Path) -> _Seal | None:
    """The seal of a checkpoint; None if it is missing or damaged."""
    seal = path.with_name(path.name + ".json")
    with reading_from(seal):
        if not seal.is_file():
            return None
    try:
        return read_json(seal, _SEAL, "", limit=1000)
    except FormatError:
        return None


def _read_state(path: Path, seal: _Seal, device: torch.device) -> dict[str, Any] | None:
    """The state in a checkpoint; None if its bytes don't match its seal or aren't a state at that step."""
    with reading_from(path):
        try:
            if path.stat().st_size != seal.size:
                return None
            content = path.read_bytes()
            if hashlib.sha256(content).hexdigest() != seal.sha256:
                return None
            state: Any = torch.load(io.BytesIO(content), map_location=device, weights_only=True)
            check(state, _STATE, str(path), "")
        except torch.OutOfMemoryError:
            raise
        except (FormatError, UnpicklingError, RuntimeError, ValueError, EOFError, KeyError, TypeError, AttributeError):
            return None
    return dict(state) if state["step"] == _step(path) else None


def _step(path: Path) -> int:
    return int(path.stem.removeprefix("step-"))


def newest_step(folder: Path) -> int | None:
    """The step of the newest checkpoint, complete or not; None if there is none."""
    return next(map(_step, _checkpoints(folder)), None)


def _checkpoints(folder: Path) -> list[Path]:
    """Paths of checkpoints, newest first."""
    with reading_from(folder):
        if not folder.is_dir():
            return []
        return sorted((path for path in folder.iterdir() if _NAME.fullmatch(path.name)), reverse=True)
