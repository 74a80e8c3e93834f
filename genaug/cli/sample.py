"""``genaug sample``: images from a generator, as a sheet or as files."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from genaug import checks
from genaug.cli.printing import say
from genaug.escaping import escaped

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from PIL.Image import Image

    from genaug.backends.spec import Spec
    from genaug.sources.export import Part

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
        int | None, typer.Option("--n", min=1, max=checks.COUNT, help="How many images, of classes drawn at random.")
    ] = None,
    per_class: Annotated[
        int | None, typer.Option(min=1, max=checks.COUNT, help="How many images of each class.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=checks.SEED, help="The same seed gives the same images.")] = 0,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1, …  [default: a GPU if there is one]")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the sheet or the samples in --out.")] = False,
) -> None:
    """Generate images and write them as PNG."""
    if (n is None) == (per_class is None):
        raise typer.BadParameter("say either --n or --per-class.")
    from genaug.artifacts.folders import resolve
    from genaug.reports.sheet import check_free, save_sheet
    from genaug.sources.export import claim_samples, fill_class_folders

    if out.suffix.lower() == ".png":
        sheet = resolve(out)
        check_free(sheet, overwrite)  # before the generator is loaded, since that takes longer
        count, parts, spec = _parts(source, n, per_class, seed, device, _LARGEST_SHEET)
        save_sheet(sheet, _sheet(list(parts), spec.class_names))
    else:
        with claim_samples(out, overwrite) as place:
            count, parts, spec = _parts(source, n, per_class, seed, device, None)
            names = spec.class_names if spec.class_names is not None else spec.num_classes
            fill_class_folders(place, parts, names, {"source": escaped(source), "seed": seed})
    say(f"{count:,} images in {out}")


def _parts(
    source: str, n: int | None, per_class: int | None, seed: int, device: str | None, most: int | None
) -> "tuple[int, Iterator[Part], Spec]":
    """How many images, the images in parts, with progress, and the generator's spec."""
    import torch

    from genaug.errors import InputError
    from genaug.hub.load import load
    from genaug.sources.export import sample_parts

    generator = load(source, device=device)
    spec = generator.spec
    if per_class is not None and not spec.takes_labels:
        raise InputError("this generator has no classes: use --n.")
    count = n if per_class is None else per_class * spec.num_classes
    assert count is not None
    if count > checks.COUNT:
        raise InputError(f"{count:,} images are too many for one folder: {checks.COUNT:,} at most.")
    if most is not None and count > most:
        raise InputError(f"{count:,} images are too many for a sheet (at most {most:,}). Name a folder with --out.")
    wanted = count if per_class is None else torch.arange(spec.num_classes).repeat_interleave(per_class)
    return count, _told(sample_parts(generator, wanted, seed), count), spec


def _told(parts: "Iterator[Part]", count: int) -> "Iterator[Part]":
    """The parts, counted once what asks for the next one is done with them."""
    from genaug.progress import Progress

    done = 0
    with Progress("sample", count, line_every=10) as bar:
        for images, labels in parts:
            yield images, labels
            done += len(images)
            bar.advance(len(images))
            bar.tell(f"{done:,} of {count:,} images")


def _sheet(parts: "list[Part]", classes: "Sequence[str] | None") -> "Image":
    import torch

    from genaug.reports.sheet import Block, draw_sheet

    images = torch.cat([images for images, _ in parts])
    known = [labels for _, labels in parts if labels is not None]
    labels = torch.cat(known) if known else None
    columns = 10 if labels is None else int(labels.bincount().max())
    return draw_sheet(Block(images, labels), classes=classes, columns=columns)
