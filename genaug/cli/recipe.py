"""``genaug recipe``: save how another library's generator is loaded, without its weights."""

from pathlib import Path
from typing import Annotated

import typer

from genaug.cli.printing import say
from genaug.cli.sources import SourceOptions, source_named


def recipe(
    source: Annotated[
        str, typer.Argument(help="A source SCHEME:REST of a plugin; `genaug plugins` lists the schemes.")
    ],
    out: Annotated[Path, typer.Option(help="A folder for recipe.json, which can be loaded, evaluated and pushed.")],
    setting: SourceOptions = None,
    license: Annotated[
        str | None, typer.Option(help="The license of the generator, such as apache-2.0 or openrail.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1, …  [default: a GPU if there is one]")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the recipe in --out.")] = False,
) -> None:
    """Save a source of a plugin with its commit and its options, as a folder without weights."""
    from genaug.sources.recipes import save_recipe

    save_recipe(source_named(source, device, setting), out, license=license, overwrite=overwrite)
    say(f'The recipe is in {out}\nTo load it: genaug.load("{out}")')
