"""``genaug convert``: a network of another library as a generator."""

from pathlib import Path
from typing import Annotated

import typer

from genaug.cli.printing import console, say, table


def convert(
    file: Annotated[Path, typer.Argument(help="A .pkl of live modules, or a .pth or .pt file of torch.save.")],
    out: Annotated[Path | None, typer.Option(help="Folder to write the generator to.")] = None,
    list_contents: Annotated[
        bool, typer.Option("--list", help="Show what the file holds, and convert nothing.")
    ] = False,
    license: Annotated[
        str | None, typer.Option(help="The license of the weights, such as mit or cc-by-nc-4.0, for the README.md.")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the generator that genaug wrote to --out before.")
    ] = False,
) -> None:
    """Convert another library's network to a generator; the file is read without unpickling it."""
    from genaug.errors import InputError

    if list_contents == (out is not None):
        raise InputError("choose one of --out FOLDER, to convert the file, and --list, to see what it holds.")
    if out is None:
        from genaug.conversion.contents import read
        from genaug.conversion.listing import sections

        for title, head, rows in sections(read(file)):
            console().print(table(title, head, rows))
        return
    from genaug.conversion.convert import convert

    generator = convert(file, out, license=license, overwrite=overwrite)
    say(f'{generator!r} is in {out}\nTo load it: genaug.load("{out}")')
