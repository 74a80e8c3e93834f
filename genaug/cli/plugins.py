"""``genaug plugins``: installed plugins, and problems with them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from json import dumps
from typing import TYPE_CHECKING, Annotated, Any

import typer

from genaug.cli.printing import say

if TYPE_CHECKING:
    from genaug.backends.registry import Discovery, Info

# keywords of JSON schema, in words
_LOWER = {"exclusiveMinimum": "above", "minimum": "from"}
_UPPER = {"exclusiveMaximum": "to below", "maximum": "to"}
_KINDS = {"integer": "an integer", "number": "a number", "boolean": "true, false", "null": "null", "string": "a text"}


def plugins(
    backend: Annotated[
        str | None, typer.Argument(help="A backend, to list its options (--set).  [default: list all plugins]")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")] = False,
) -> None:
    """List the installed backends, sources and datasets, and plugins that don't work; or a backend's options."""
    from genaug.backends.registry import discover, resolve

    discovery = discover()
    if backend is None:
        say(_as_json(discovery) if json else _as_text(discovery))
        return
    schema = resolve(backend).Config.model_json_schema()
    say(dumps(schema, indent=2) if json else _as_options(discovery.backends[backend], schema))


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
    rows = [(info.name, info.summary, info.distribution, info.version) for info in infos.values()]
    return _columns(("NAME", "SUMMARY", "DISTRIBUTION", "VERSION"), rows)


def _as_options(info: "Info", schema: Mapping[str, Any]) -> str:
    """A backend and its options, from the JSON schema of its ``Config``."""
    rows = [
        (name, dumps(field.get("default")), _values(field, schema), field.get("description", ""))
        for name, field in schema.get("properties", {}).items()
    ]
    options = _columns(("OPTION", "DEFAULT", "VALUES", "DESCRIPTION"), rows) if rows else "It has no options."
    return f"{info.name}: {info.summary} ({info.distribution} {info.version})\n\n{options}"


def _values(field: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    """What an option can be, in words."""
    if "$ref" in field:
        return _values(schema["$defs"][field["$ref"].rpartition("/")[2]], schema)
    if "anyOf" in field:
        return " or ".join(_values(each, schema) for each in field["anyOf"])
    if "enum" in field or "const" in field:
        return ", ".join(map(str, field.get("enum", [field.get("const")])))
    if field.get("type") == "array":
        return "a list"
    low = next((f"{word} {field[key]:g}" for key, word in _LOWER.items() if key in field), "")
    high = next((f"{word} {field[key]:g}" for key, word in _UPPER.items() if key in field), "")
    return f"{low} {high}".strip() or _KINDS.get(field.get("type", ""), "")


def _columns(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    rows = [head, *rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
