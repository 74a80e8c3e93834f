"""The options ``--set`` and ``--balance``, which commands that train share."""

import json
from typing import Annotated, Any

import typer

Balance = Annotated[
    str | None,
    typer.Option(
        help="Show rare classes more often: uniform (all classes equally often) or sqrt (in proportion to the "
        "square root of their counts).  [default: as in the data]"
    ),
]


def parse_settings(pairs: list[str]) -> dict[str, Any]:
    """``key=value`` pairs as a dictionary; a value that isn't JSON is a string."""
    config: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise typer.BadParameter(f"expected KEY=VALUE, got {pair!r}.", param_hint="--set")
        if key in config:
            raise typer.BadParameter(f"{key} is set twice.", param_hint="--set")
        try:
            config[key] = json.loads(value)
        except (ValueError, RecursionError):  # RecursionError: nested too deeply
            config[key] = value
    return config
