"""``genaug pull``: download a generator from the Hub, so that it loads without a network."""

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from genaug.cli.printing import say


def pull(
    repo: Annotated[str, typer.Argument(help="What to download: owner/name.")],
    revision: Annotated[
        str | None, typer.Option(help="A tag, a branch or a commit's hash.  [default: the newest]")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Also copy it into this folder, which then loads by its path.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Download it again, and replace the generator in --out.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")] = False,
) -> None:
    """Download a generator into the cache, checked, with its card and its sample sheet."""
    from genaug.hub.pull import claim_copy, pull as fetch, write_copy

    with nullcontext() if out is None else claim_copy(out, force) as place:
        folder = fetch(repo, revision, extras=True, force=force)
        commit = folder.name
        if out is not None and place is not None:
            write_copy(folder, place)
            folder = out
    if json:
        from json import dumps

        say(dumps({"repo": repo, "commit": commit, "folder": str(folder)}, indent=2))
    else:
        where = f"{out}" if out is not None else repo
        say(f'{repo} at commit {commit} is in {folder}\nTo load it: genaug.load("{where}")')
