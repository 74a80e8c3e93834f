"""The scripts' command-line options and output."""

import argparse
import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def arguments(doc: str | None, *, data: str | None = None, seeds: int | None = None) -> argparse.ArgumentParser:
    """A parser with the options that most scripts have, each if its default is given."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    if data is not None:
        parser.add_argument("--data", default=data, help=f"as genaug's --data; by default {data}")
        parser.add_argument("--root", help="folder of torchvision's files")
    if seeds is not None:
        parser.add_argument("--seeds", type=int, default=seeds, help=f"by default {seeds}")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    return parser


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
