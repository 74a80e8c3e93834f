"""``genaug check-backend``: the conformance checks of an installed backend."""

from dataclasses import asdict
from json import dumps
from typing import Annotated

import typer

from genaug.cli.printing import say
from genaug.cli.settings import parse_settings


def check_backend(
    name: Annotated[str, typer.Argument(help="A backend; `genaug plugins` lists them.")],
    setting: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="An option of the backend. May be repeated."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")] = False,
) -> None:
    """Run the checks that every backend has to pass; the exit code is 1 if any fails."""
    config = parse_settings(setting or [])
    from genaug.testing import run_checks

    results = []
    for result in run_checks(name, config=config):
        results.append(result)
        if not json:
            say(f"{result.outcome:8}{result.check}" + (f": {result.why}" if result.why else ""))
    failed = [result.check for result in results if result.outcome == "failed"]
    if json:
        say(dumps({"backend": name, "passed": not failed, "checks": [asdict(r) for r in results]}, indent=2))
    elif failed:
        say(f"\n{len(failed)} of {len(results)} checks fail.")
    else:
        say(f"\n{name} keeps the contract.")
    raise typer.Exit(bool(failed))
