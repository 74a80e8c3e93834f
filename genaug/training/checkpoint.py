"""Checkpoints of a training run: written whole, checked by hash, the newest whole one is used."""

import hashlib
import io
import json
import re
from pathlib import Path
from typing import Any

import torch

from genaug.storage import replace_files, saving_to

KEEP = 2
_NAME = re.compile(r"step-(\d{8})\.pt")


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
    """The state of the newest whole checkpoint, or None, and a sentence for each damaged one that was passed over."""
    damaged: list[str] = []
    for path in _found(folder):
        content = path.read_bytes()
        try:
            seal = json.loads(path.with_name(path.name + ".json").read_bytes())
            whole = seal == {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
        except (OSError, ValueError):
            whole = False
        if whole:
            state: dict[str, Any] = torch.load(io.BytesIO(content), map_location=device, weights_only=True)
            return state, damaged
        damaged.append(f"{path} is damaged and was passed over.")
    return None, damaged


def newest_step(folder: Path) -> int | None:
    """The step of the newest checkpoint, whole or not; None where there is none."""
    return next((int(path.stem.removeprefix("step-")) for path in _found(folder)), None)


def _found(folder: Path) -> list[Path]:
    """Checkpoints, newest first."""
    if not folder.is_dir():
        return []
    return sorted((path for path in folder.iterdir() if _NAME.fullmatch(path.name)), reverse=True)
