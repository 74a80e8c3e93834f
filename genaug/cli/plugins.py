"""``genaug plugins``: installed plugins, and problems with them."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from json import dumps
from typing import TYPE_CHECKING, Annotated, Any

import typer

from genaug.cli.printing import say

if TYPE_CHECKING:
    from genaug.backends.registry import Discovery, Info


def plugins(
    json: Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")] = False,
) -> None:
    """List the installed backends, sources and datasets, and plugins that don't work."""
    from genaug.backends.registry import discover

    discovery = discover()
    say(_as_json(discovery) if json else _as_text(discovery))


def _as_json(discovery: "Discovery") -> str:
    sections: dict[str, Iterable[Any]] = {
        "backends": discovery.backends.values(),
        "sources": discovery.sources.values(),
        "datasets": discovery.datasets.values(),
        "problems": discovery.problems,
        "blocked": discovery.blocked,
    }
    return dumps({name: [asdict(entry) for entry in entries] for name, entries in sections.items()}, indent=2)


def _as_text(discovery: "Discovery") -> str:
    blocks = [_table(discovery.backends) if discovery.backends else "No backends are installed."]
    if discovery.sources:
        blocks.append("Sources, named SCHEME:REST:\n" + _table(discovery.sources))
    if discovery.datasets:
        blocks.append("Datasets, named --data NAME:REST:\n" + _table(discovery.datasets))
    if discovery.blocked:
        blocks.append("Blocked by GENAUG_DISABLE_PLUGINS: " + ", ".join(map(str, discovery.blocked)))
    if discovery.problems:
        blocks.append("\n".join(["Problems:", *(f"  {problem}" for problem in discovery.problems)]))
    return "\n\n".join(blocks)


def _table(infos: "Mapping[str, Info]") -> str:
    rows = [("NAME", "SUMMARY", "DISTRIBUTION", "VERSION")]
    rows += [(info.name, info.summary, info.distribution, info.version) for info in infos.values()]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
