"""The scripts' command-line options and output."""

import argparse
import json
import re
import statistics
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.common.record import RESULTS, Record, Row


def arguments(
    doc: str | None,
    *,
    data: str | None = None,
    seeds: int | None = None,
    first_seed: bool = False,
    record: str | None = None,
) -> argparse.ArgumentParser:
    """A parser with the options that most scripts have, each if its default is passed.

    ``record`` is the name of the file under benchmarks/results/ by which ``finished_rows`` continues.
    """
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    if data is not None:
        parser.add_argument("--data", default=data, help=f"as genaug's --data; by default {data}")
        parser.add_argument("--root", help="folder of torchvision's files")
    if seeds is not None:
        parser.add_argument("--seeds", type=int, default=seeds, help=f"by default {seeds}")
    if first_seed:
        parser.add_argument("--first-seed", type=int, default=0, help="tune on seeds of 100 and above, report 0, 1, …")
    if record is not None:
        parser.add_argument("--results", type=Path, default=RESULTS / f"{record}.jsonl", help="of finished runs")
        parser.add_argument("--table", action="store_true", help="only print the table of the finished runs")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    return parser


def seeds_of(options: argparse.Namespace) -> range:
    """The seeds from --first-seed on."""
    return range(options.first_seed, options.first_seed + options.seeds)


def finished_rows(options: argparse.Namespace, keys: Sequence[Row], run: Callable[[Row], Row]) -> list[Row]:
    """The rows of the runs with these settings, in order, which have ``seconds``. With --table only those that are
    recorded; otherwise the others are run first."""
    record = Record(options.results)
    if options.table:
        return [row for key in keys if (row := record.done(key)) is not None]
    rows = record.finish(keys, run)
    say(f"{len(rows)} runs like these take {cost(statistics.mean(row['seconds'] for row in rows), len(rows))}")
    return rows


def mean_and_range(values: Sequence[float], form: str) -> str:
    """The mean of a figure over the seeds, with its least and its greatest value, in a format such as ".1%"."""
    return f"{statistics.mean(values):{form}} ({min(values):{form}} to {max(values):{form}})"


def parse_settings(pairs: Sequence[str]) -> dict[str, Any]:
    """``KEY=VALUE`` pairs as a dictionary; the last one of a key counts, and JSON values are parsed."""
    for pair in pairs:
        if "=" not in pair:
            sys.exit(f"--set: expected KEY=VALUE, got {pair!r}")
    return {key: _value(text) for key, _, text in (pair.partition("=") for pair in pairs)}


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def say(text: str) -> None:
    """Progress and tables, on stderr."""
    print(text, file=sys.stderr, flush=True)


def end(options: argparse.Namespace, result: Mapping[str, Any]) -> None:
    """Print the result as a line of JSON, with --json."""
    if options.json:
        print(json.dumps(result))


def cost(seconds_per_unit: float, units: float) -> str:
    """The time for ``units`` of work, in hours."""
    return f"{seconds_per_unit * units / 3600:.1f} h"


def markdown(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table in Markdown. The second line of a cell is put in parentheses."""
    cells = [[re.sub(r"\n(.*)", r" (\1)", str(cell)) for cell in row] for row in (head, *rows)]
    lines = [f"| {' | '.join(row)} |" for row in cells]
    return "\n".join([lines[0], "|---" * len(head) + "|", *lines[1:]])


def plain(name: str) -> str:
    """An arm's or a comparison's name as part of a key."""
    return name.replace(" + ", "_and_").replace(" - ", "_less_").replace(" ", "_").replace("-", "_")


def with_first_seed(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Adds the option for the first of the seeds."""
    parser.add_argument("--first-seed", type=int, default=0, help="tune on seeds of 100 and above, report 0, 1, ...")
    return parser
