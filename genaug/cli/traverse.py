"""``genaug traverse``: sample grids over a generator's latents."""

from pathlib import Path
from typing import Annotated

import typer

from genaug import checks
from genaug.cli.printing import say


def traverse(
    source: Annotated[str, typer.Argument(help="A generator: the folder of a run, a saved generator, or a Hub id.")],
    out: Annotated[Path, typer.Option(help="A folder for the sample grids, as PNG.")],
    seed: Annotated[int, typer.Option(min=0, max=checks.SEED, help="Determines latents that a grid doesn't vary.")] = 0,
    labels: Annotated[str | None, typer.Option(help="Labels to show, such as 0,3,7.  [default: up to ten]")] = None,
    axes: Annotated[
        str | None,
        typer.Option(help="Latents to vary, such as u1,z.3.  [default: the uniform ones, otherwise z.0,z.1]"),
    ] = None,
    steps: Annotated[int, typer.Option(min=2, max=50, help="Images along an axis.")] = 10,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1, …  [default: a GPU if there is one]")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the sample grids in --out.")] = False,
) -> None:
    """Draw the effect of each latent: grids over pairs of codes, a grid per category, and paths between samples."""
    axis_names = None if axes is None else [name.strip() for name in axes.split(",")]
    label_list = _integers(labels)
    from genaug.errors import InputError
    from genaug.hub.load import load
    from genaug.reports.traverse import claim_sheets, draw, write
    from genaug.sources.generator import Generator

    with claim_sheets(out, overwrite) as place:
        generator = load(source, device=device)
        if not isinstance(generator, Generator):
            raise InputError(
                f"{source} is not a generator of genaug, so it has no latents to traverse. Sample it instead."
            )
        grids = draw(generator, axes=axis_names, labels=label_list, seed=seed, steps=steps)
        write(place, grids)
    say(f"{len(grids)} sample grids in {out}: {', '.join(grids)}")


def _integers(text: str | None) -> list[int] | None:
    try:
        return None if text is None else [int(word) for word in text.split(",")]
    except ValueError:
        raise typer.BadParameter(
            f"expected integers separated by commas, got {text!r}.", param_hint="--labels"
        ) from None
