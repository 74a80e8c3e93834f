"""What a training run's folder tells."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any


def metrics_of(out: Path) -> list[dict[str, Any]]:
    """The logged steps of a run."""
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


def seconds_of(metrics: list[dict[str, Any]]) -> float:
    """How long a run's steps took, whatever it was interrupted by."""
    times = [0.0, *(line["seconds"] for line in metrics)]  # of each process: they start again where one went on
    return float(sum(after - before if after >= before else after for before, after in pairwise(times)))
