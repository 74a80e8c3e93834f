"""Checkpoints of a training run: written whole, checked by hash, the newest whole one is used."""

import hashlib
import io
import json
import re
from pathlib import Path
from pickle import UnpicklingError
from typing import Annotated, Any

import torch
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from genaug.artifacts.json_files import check, read_json
from genaug.artifacts.paths import reading_from
from genaug.errors import FormatError
from genaug.training.run_folder import RunFolder

KEEP = 2
_NAME = re.compile(r"step-(\d{8})\.pt")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Seal(_Strict):
    """What a checkpoint must be, to the byte, and the run that it is of."""

    sha256: str
    size: Annotated[int, Field(ge=0)]
    run: str


class _State(_Strict):
    step: Annotated[int, Field(ge=0)]
    nets: dict[str, Any]
    ema: dict[str, Any]
    optimizers: list[dict[str, Any]]


_SEAL, _STATE = TypeAdapter(_Seal), TypeAdapter(_State)


def write_checkpoint(folder: RunFolder, step: int, state: dict[str, Any]) -> None:
    """Write ``step-<number>.pt`` and its seal into a run's folder, then drop all but the newest ``KEEP``.

    The seal holds the hash and the run that the checkpoint is of. Checkpoints of later steps go as well: the run fell
    back behind them, since they are damaged.

    Raises ``SaveError`` where writing fails; older checkpoints are then untouched.
    """
    buffer = io.BytesIO()
    torch.save(state, buffer)
    content = buffer.getvalue()
    name = f"step-{step:08d}.pt"
    place = folder.checkpoints.name
    seal = json.dumps({**_seal(content), "run": folder.identity})
    folder.write({f"{place}/{name}": content, f"{place}/{name}.json": seal.encode()})
    paths = _found(folder.checkpoints)
    this = paths.index(folder.checkpoints / name)
    old = [f"{place}/{path.name}" for path in paths[:this] + paths[this + KEEP :]]
    folder.remove([*old, *(f"{name}.json" for name in old)])


def newest_checkpoint(folder: RunFolder, device: torch.device) -> tuple[dict[str, Any] | None, list[str]]:
    """The state of the run's newest complete checkpoint, or None, and a sentence for each one that was passed over.

    Raises ``ReadError`` for one that can't be read, since it may be complete.
    """
    passed_over: list[str] = []
    for path in _found(folder.checkpoints):
        seal = _read_seal(path)
        state = None if seal is None else _read(path, seal, device)
        if seal is None or state is None:
            passed_over.append(f"{path} is damaged and was passed over.")
        elif seal.run != folder.identity:
            passed_over.append(f"{path} is a checkpoint of another run and was passed over.")
        else:
            return state, passed_over
    return None, passed_over


def _seal(content: bytes) -> dict[str, Any]:
    return {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}


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


def _read(path: Path, seal: _Seal, device: torch.device) -> dict[str, Any] | None:
    """The state in a checkpoint; None if it isn't what its seal says, or no state of a run at that step."""
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
    """The step of the newest checkpoint, whole or not; None where there is none."""
    return next(map(_step, _found(folder)), None)


def _found(folder: Path) -> list[Path]:
    """Checkpoints, newest first."""
    with reading_from(folder):
        if not folder.is_dir():
            return []
        return sorted((path for path in folder.iterdir() if _NAME.fullmatch(path.name)), reverse=True)
