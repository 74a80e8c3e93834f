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

from genaug.access import reading_from
from genaug.errors import FormatError
from genaug.json_files import check, read_json
from genaug.storage import replace_files, saving_to

KEEP = 2
_NAME = re.compile(r"step-(\d{8})\.pt")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Seal(_Strict):
    """What a checkpoint must be, to the byte."""

    sha256: str
    size: Annotated[int, Field(ge=0)]


class _State(_Strict):
    step: Annotated[int, Field(ge=0)]
    nets: dict[str, Any]
    ema: dict[str, Any]
    optimizers: list[dict[str, Any]]


_SEAL, _STATE = TypeAdapter(_Seal), TypeAdapter(_State)


def write_checkpoint(folder: Path, step: int, state: dict[str, Any]) -> None:
    """Write ``step-<number>.pt`` and its hash into a folder, then drop all but the newest ``KEEP``.

    Checkpoints of later steps go as well: the run fell back behind them, since they are damaged.

    Raises ``SaveError`` where writing fails; older checkpoints are then untouched.
    """
    buffer = io.BytesIO()
    torch.save(state, buffer)
    content = buffer.getvalue()
    name = f"step-{step:08d}.pt"
    seal = json.dumps({"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)})
    with saving_to(folder):
        folder.mkdir(parents=True, exist_ok=True)
        replace_files(folder, {name: content, f"{name}.json": seal.encode()})
        found = _found(folder)
        this = found.index(folder / name)
        for old in found[:this] + found[this + KEEP :]:
            old.unlink(missing_ok=True)
            old.with_name(old.name + ".json").unlink(missing_ok=True)


def newest_checkpoint(folder: Path, device: torch.device) -> tuple[dict[str, Any] | None, list[str]]:
    """The state of the newest whole checkpoint, or None, and a sentence for each damaged one that was passed over.

    Raises ``ReadError`` for one that can't be read, since it may be whole.
    """
    damaged: list[str] = []
    for path in _found(folder):
        state = _read(path, device)
        if state is not None:
            return state, damaged
        damaged.append(f"{path} is damaged and was passed over.")
    return None, damaged


def _read(path: Path, device: torch.device) -> dict[str, Any] | None:
    """The state in a checkpoint; None if it isn't what its seal says, or no state of a run at that step."""
    seal_path = path.with_name(path.name + ".json")
    with reading_from(path):
        if not seal_path.is_file():
            return None
        try:
            seal = read_json(seal_path, _SEAL, "", limit=1000)
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
