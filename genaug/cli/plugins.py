"""``genaug plugins``: what is installed, and what is wrong with it."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from genaug.cli.printing import say

if TYPE_CHECKING:
    from genaug.backends.registry import Discovery, Info


def plugins(
    json: Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")] = False,
) -> None:
    """List what is installed (backends, kinds of sources and datasets) and the plugins that don't work."""
    from genaug.backends.registry import discover

    found = discover()
    say(_as_json(found) if json else _as_text(found))


def _as_json(found: "Discovery") -> str:
    from json import dumps

    told = {
        "backends": [asdict(info) for info in found.backends.values()],
        "sources": [asdict(info) for info in found.sources.values()],
        "datasets": [asdict(info) for info in found.datasets.values()],
        "problems": [asdict(problem) for problem in found.problems],
        "blocked": [asdict(blocked) for blocked in found.blocked],
    }
    return dumps(told, indent=2)


def _as_text(found: "Discovery") -> str:
    blocks = [_table(list(found.backends.values())) if found.backends else "No backends are installed."]
    if found.sources:
        blocks.append("Sources, named SCHEME:REST:\n" + _table(list(found.sources.values())))
    if found.datasets:
        blocks.append("Datasets, named --data NAME:REST:\n" + _table(list(found.datasets.values())))
    if found.blocked:
        blocks.append("Blocked by GENAUG_DISABLE_PLUGINS: " + ", ".join(map(str, found.blocked)))
    if found.problems:
        blocks.append("\n".join(["Problems:", *(f"  {problem}" for problem in found.problems)]))
    return "\n\n".join(blocks)


def _table(infos: "list[Info]") -> str:
    rows = [("NAME", "SUMMARY", "DISTRIBUTION", "VERSION")]
    rows += [(info.name, info.summary, info.distribution, info.version) for info in infos]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
