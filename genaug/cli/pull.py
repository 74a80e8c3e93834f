"""``genaug pull``: download a generator from the Hub, so that it loads without a network."""

from contextlib import nullcontext
from json import dumps
from pathlib import Path
from typing import Annotated

import typer

from genaug.cli.printing import say


def pull(
    repo: Annotated[str, typer.Argument(help="The generator's Hub id: owner/name.")],
    revision: Annotated[
        str | None, typer.Option(help="A tag, a branch or the hash of a commit.  [default: the newest]")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Also copy it into this folder, which can be loaded by its path.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Download it again, and replace the generator in --out.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")] = False,
) -> None:
    """Download a generator with its card and its sample grid into the cache, and verify it."""
    from genaug.hub.pull import claim_copy, pull as fetch, write_copy

    with nullcontext() if out is None else claim_copy(out, force) as place:
        cached = fetch(repo, revision, extras=True, force=force)
        if place is not None:
            write_copy(cached, place)
    if json:
        say(dumps({"repo": repo, "commit": cached.name, "folder": str(out or cached)}, indent=2))
    else:
        say(f'{repo} at commit {cached.name} is in {out or cached}\nTo load it: genaug.load("{out or repo}")')
