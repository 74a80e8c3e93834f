"""``genaug traverse``: sheets over a generator's latents."""

from pathlib import Path
from typing import Annotated

import typer

from genaug import checks
from genaug.cli.printing import say


def traverse(
    source: Annotated[str, typer.Argument(help="A generator's folder: a run of `genaug train`, or a saved one.")],
    out: Annotated[Path, typer.Option(help="A folder for the sheets, as PNG.")],
    seed: Annotated[int, typer.Option(min=0, max=checks.SEED, help="Draws what a sheet doesn't vary.")] = 0,
    labels: Annotated[str | None, typer.Option(help="Labels to show, such as 0,3,7.  [default: up to ten]")] = None,
    axes: Annotated[
        str | None,
        typer.Option(help="Latents to go along, such as u1,z.3.  [default: the uniform ones, else z.0,z.1]"),
    ] = None,
    steps: Annotated[int, typer.Option(min=2, max=50, help="Images along an axis.")] = 10,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1, …  [default: a GPU if there is one]")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the sheets in --out.")] = False,
) -> None:
    """Draw what each latent changes: grids over pairs of codes, a sheet per category, the way from sample to sample."""
    wanted = _numbers(labels)
    from genaug.hub.load import load
    from genaug.reports.traverse import claim_sheets, draw, write

    names = None if axes is None else [name.strip() for name in axes.split(",")]
    with claim_sheets(out, overwrite) as place:
        sheets = draw(load(source, device=device), axes=names, labels=wanted, seed=seed, steps=steps)
        write(place, sheets)
    say(f"{len(sheets)} sheets in {out}: {', '.join(sheets)}")


def _numbers(text: str | None) -> list[int] | None:
    try:
        return None if text is None else [int(word) for word in text.split(",")]
    except ValueError:
        raise typer.BadParameter(
            f"expected numbers with commas between them, got {text!r}.", param_hint="--labels"
        ) from None
