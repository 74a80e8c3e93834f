"""``genaug sample``: images from a generator, as a sheet or as files."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from genaug import limits
from genaug.cli.printing import say
from genaug.escaping import escaped

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from PIL.Image import Image

    from genaug.export import Part
    from genaug.progress import Progress

_LARGEST_SHEET = 4000


def sample(
    source: Annotated[str, typer.Argument(help="A generator: a run's folder, a saved one, or a Hub id.")],
    out: Annotated[
        Path,
        typer.Option(
            help="NAME.png for a sheet with a row for each class; else a folder for class folders of PNG files."
        ),
    ],
    n: Annotated[
        int | None, typer.Option("--n", min=1, max=limits.COUNT, help="How many images, of classes drawn at random.")
    ] = None,
    per_class: Annotated[
        int | None, typer.Option(min=1, max=limits.COUNT, help="How many images of each class.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=limits.SEED, help="The same seed gives the same images.")] = 0,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1, …  [default: a GPU if there is one]")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the sheet or the samples in --out.")] = False,
) -> None:
    """Generate images and write them as PNG."""
    if (n is None) == (per_class is None):
        raise typer.BadParameter("say either --n or --per-class.")
    as_sheet = out.suffix.lower() == ".png"
    _check_free(out, as_sheet, overwrite)

    import torch

    from genaug.errors import InputError
    from genaug.export import sample_parts, write_class_folders
    from genaug.loading import load
    from genaug.progress import Progress
    from genaug.sheet import save_sheet

    generator = load(source, device=device)
    spec = generator.spec
    if per_class is not None and not spec.takes_labels:
        raise InputError("this generator has no classes: use --n.")
    count = n if per_class is None else per_class * spec.num_classes
    assert count is not None
    if count > limits.COUNT:
        raise InputError(f"{count:,} images are too many for one folder: {limits.COUNT:,} at most.")
    if as_sheet and count > _LARGEST_SHEET:
        raise InputError(
            f"{count:,} images are too many for a sheet (at most {_LARGEST_SHEET:,}). Name a folder with --out."
        )
    wanted = count if per_class is None else torch.arange(spec.num_classes).repeat_interleave(per_class)
    with Progress("sample", count, line_every=10) as bar:
        parts = _told(sample_parts(generator, wanted, seed), count, bar)
        if as_sheet:
            save_sheet(out, _sheet(list(parts), spec.classes))
        else:
            names = spec.classes if spec.classes is not None else spec.num_classes
            write_class_folders(out, parts, names, {"source": escaped(source), "seed": seed}, overwrite=overwrite)
    say(f"{count:,} images in {out}")


def _told(parts: "Iterator[Part]", count: int, bar: "Progress") -> "Iterator[Part]":
    """The parts, counted once what asks for the next one is done with them."""
    done = 0
    for images, labels in parts:
        yield images, labels
        done += len(images)
        bar.advance(len(images))
        bar.tell(f"{done:,} of {count:,} images")


def _sheet(parts: "list[Part]", classes: "Sequence[str] | None") -> "Image":
    import torch

    from genaug.sheet import Block, draw_sheet

    images = torch.cat([images for images, _ in parts])
    known = [labels for _, labels in parts if labels is not None]
    labels = torch.cat(known) if known else None
    columns = 10 if labels is None else int(labels.bincount().max())
    return draw_sheet(Block(images, labels), classes=classes, columns=columns)


def _check_free(out: Path, as_sheet: bool, overwrite: bool) -> None:
    """Before the generator is loaded, since that takes longer."""
    from genaug.errors import OutputExistsError

    if as_sheet and out.exists() and (out.is_dir() or not overwrite):
        remedy = (
            "is a folder. Choose another name." if out.is_dir() else "exists. Choose another name or pass --overwrite."
        )
        raise OutputExistsError(f"{out} {remedy}")
    if not as_sheet:
        from genaug.export import check_free

        check_free(out, overwrite)
