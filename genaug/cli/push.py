"""``genaug push``: publish a generator on the Hub."""

from typing import TYPE_CHECKING, Annotated

import typer

from genaug.cli.printing import say

if TYPE_CHECKING:
    from genaug.hub.push import Publication


def push(
    source: Annotated[str, typer.Argument(help="A generator: a run's folder, a saved one, or a Hub id.")],
    repo: Annotated[str, typer.Argument(help="Where to publish it: owner/name.")],
    license: Annotated[
        str | None,
        typer.Option(help="Such as apache-2.0, mit or cc-by-4.0.  [default: what the folder's README.md states]"),
    ] = None,
    dataset_name: Annotated[
        str | None, typer.Option(help="What the training data are called.  [default: what earlier cards state]")
    ] = None,
    dataset_url: Annotated[
        str | None, typer.Option(help="Where they are published: a URL, or the id of a data set on the Hub.")
    ] = None,
    dataset_license: Annotated[str | None, typer.Option(help="The licence of the training data.")] = None,
    private: Annotated[bool, typer.Option("--private", help="Make the repo a private one.")] = False,
    tag: Annotated[str | None, typer.Option(help="A name for the commit, such as v1.0.")] = None,
    message: Annotated[str | None, typer.Option("--message", "-m", help="The commit's message.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the commit and the card, and send nothing.")] = False,
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="Publish without a licence or after a failed copying check (the card says so), and over edits of the "
            "card on the Hub.",
        ),
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")] = False,
) -> None:
    """Publish a generator with its card, a sheet of samples and its weights, in one commit."""
    from genaug.hub.load import load

    published = load(source, device="cpu").push(
        repo,
        license=license,
        private=private,
        tag=tag,
        commit_message=message,
        dry_run=dry_run,
        force=force,
        dataset_name=dataset_name,
        dataset_url=dataset_url,
        dataset_license=dataset_license,
    )
    if json:
        say(_as_json(published))
        return
    say(str(published))
    if dry_run:
        say(f"\nREADME.md:\n\n{published.card}")
    else:
        say(f'To load it: genaug.load("{repo}"{f", revision={tag!r}" if tag else ""})')


def _as_json(published: "Publication") -> str:
    from json import dumps

    told = {"repo": published.repo, "url": published.url, "state": published.state, "commit": published.commit}
    told |= {"tag": published.tag, "message": published.message}
    return dumps({**told, "files": {name: len(content) for name, content in published.files.items()}}, indent=2)
