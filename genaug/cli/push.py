"""``genaug push``: publish a generator or a recipe on the Hub."""

from json import dumps
from typing import Annotated

import typer

from genaug.cli.printing import say


def push(
    source: Annotated[str, typer.Argument(help="The folder of a run, a saved generator or a recipe; or a Hub id.")],
    repo: Annotated[str, typer.Argument(help="Where to publish it: owner/name.")],
    license: Annotated[
        str | None,
        typer.Option(help="Such as apache-2.0, mit or cc-by-4.0.  [default: as the folder's README.md states]"),
    ] = None,
    dataset_name: Annotated[
        str | None, typer.Option(help="The name of the training data.  [default: as earlier cards state]")
    ] = None,
    dataset_url: Annotated[
        str | None, typer.Option(help="The URL of the training data, or the id of a dataset on the Hub.")
    ] = None,
    dataset_license: Annotated[str | None, typer.Option(help="The license of the training data.")] = None,
    keep: Annotated[
        list[str] | None,
        typer.Option(
            help="A further network to publish, such as discriminator, with which others can fine-tune the generator. "
            "May be repeated."
        ),
    ] = None,
    private: Annotated[bool, typer.Option("--private", help="Make a new repo private.")] = False,
    tag: Annotated[str | None, typer.Option(help="A tag for the commit, such as v1.0.")] = None,
    message: Annotated[str | None, typer.Option("--message", "-m", help="The commit message.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the commit and the card; send nothing.")] = False,
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="Publish without a license or after a failed copying check (the card says so), and replace edits of "
            "the card on the Hub.",
        ),
    ] = False,
    device: Annotated[
        str | None, typer.Option(help="For a recipe's sample grid: cpu, cuda, …  [default: a GPU if there is one]")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")] = False,
) -> None:
    """Publish a generator or a recipe with its card and a sample grid, in one commit."""
    from genaug.hub.push import push as publish

    published = publish(
        source,
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
        device=device,
        keep=keep or (),
    )
    if json:
        summary = {name: getattr(published, name) for name in ("repo", "url", "state", "commit", "tag", "message")}
        say(dumps({**summary, "files": {name: len(file) for name, file in published.files.items()}}, indent=2))
        return
    say(str(published))
    if dry_run:
        say(f"\nREADME.md:\n\n{published.card}")
    else:
        say(f'To load it: genaug.load("{repo}"{f", revision={tag!r}" if tag else ""})')
