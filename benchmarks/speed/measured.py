"""What the scripts of this folder share: their options, and the record that docs/performance.md is written from."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.common.console import arguments, say
from benchmarks.common.machine import machine
from benchmarks.common.pairs import median_interval
from benchmarks.common.record import RESULTS, Record, Row

NAME = "speed"
Figures = Mapping[str, Sequence[float]]


def options_of(doc: str | None, rounds: int) -> argparse.ArgumentParser:
    """A parser with the options of these scripts."""
    parser = arguments(doc)
    text = f"in which all sides take turns; by default {rounds}"
    parser.add_argument("--rounds", type=int, default=rounds, help=text)
    parser.add_argument("--results", type=Path, default=RESULTS / f"{NAME}.jsonl", help="the record")
    return parser


class Measurements:
    """The measurements of one topic, each recorded when it is finished in the place of an earlier one.

    The load of the machine is that before the first of them.
    """

    def __init__(self, options: argparse.Namespace, topic: str) -> None:
        self._record, self._topic, self._machine = Record(options.results), topic, machine()
        self.rows: list[Row] = []

    def add(self, case: str, figures: Figures, **settings: Any) -> None:
        """Record the figures of all sides, each with one per round."""
        key = {"topic": self._topic, "case": case}
        rounded = {side: [float(f"{value:.5g}") for value in values] for side, values in figures.items()}
        row = {**settings, "figures": rounded, **self._machine}
        self._record.replace(key, [row])
        self.rows.append({**key, **row})
        medians = ", ".join(f"{side} {median_interval(values)[0]:.4g}" for side, values in rounded.items())
        say(f"{self._topic}, {case}: {medians}")
