"""Training runs of scripts: where they are, and what their folders say."""

import hashlib
import json
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import genaug
from genaug.sources.generator import Generator


def metrics_of(out: Path) -> list[dict[str, Any]]:
    """The logged steps of a run."""
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


def seconds_of(metrics: list[dict[str, Any]]) -> float:
    """How long a run's steps took, whatever it was interrupted by."""
    times = [0.0, *(line["seconds"] for line in metrics)]  # of each process: they start again where one went on
    return float(sum(after - before if after >= before else after for before, after in pairwise(times)))


def fitted(runs: Path, backend: str, dataset: Any, key: Mapping[str, Any], **arguments: Any) -> tuple[Generator, float]:
    """A generator trained in a folder of its own under ``runs``, and the time that all of its steps took.

    The folder is named after ``key``, the settings that decide the training; an interrupted run is continued.
    """
    digest = hashlib.sha256(json.dumps(dict(key), sort_keys=True).encode()).hexdigest()[:8]
    out = runs / f"{backend}-seed-{key['seed']}-{digest}"
    resume = (out / "run.json").is_file()
    generator = genaug.fit(backend, dataset, out=out, seed=key["seed"], resume=resume, **arguments)
    return generator, round(seconds_of(metrics_of(out)), 1)
