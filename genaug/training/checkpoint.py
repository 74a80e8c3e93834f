"""Checkpoints of a training run: written whole, checked by hash, the newest whole one is used."""

import hashlib
import io
import json
import re
from pathlib import Path
from typing import Any

import torch

from genaug.training.run_folder import RunFolder

KEEP = 2
_NAME = re.compile(r"step-(\d{8})\.pt")


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
    """The state of the run's newest whole checkpoint, or None, and a sentence for each one that was passed over."""
    passed_over: list[str] = []
    for path in _found(folder.checkpoints):
        content = path.read_bytes()
        try:
            seal = json.loads(path.with_name(path.name + ".json").read_bytes())
            whole = {name: seal[name] for name in ("sha256", "size")} == _seal(content)
        except (OSError, ValueError, KeyError, TypeError):
            whole = False
        if not whole:
            passed_over.append(f"{path} is damaged and was passed over.")
        elif seal.get("run") != folder.identity:
            passed_over.append(f"{path} is a checkpoint of another run and was passed over.")
        else:
            state: dict[str, Any] = torch.load(io.BytesIO(content), map_location=device, weights_only=True)
            return state, passed_over
    return None, passed_over


def _seal(content: bytes) -> dict[str, Any]:
    return {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}


def newest_step(folder: Path) -> int | None:
    """The step of the newest checkpoint, whole or not; None where there is none."""
    return next((int(path.stem.removeprefix("step-")) for path in _found(folder)), None)


def _found(folder: Path) -> list[Path]:
    """Checkpoints, newest first."""
    if not folder.is_dir():
        return []
    return sorted((path for path in folder.iterdir() if _NAME.fullmatch(path.name)), reverse=True)
