"""``genaug sample``: images from a generator, as a sample grid or as files."""

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

_LARGEST_GRID = 4000  # images


def sample(
    source: Annotated[str, typer.Argument(help="A generator: the folder of a run, a saved generator, or a Hub id.")],
    out: Annotated[
        Path,
        typer.Option(
            help="NAME.png for a sample grid with a row per class; otherwise a folder for class folders of PNG files."
        ),
    ],
    n: Annotated[
        int | None, typer.Option("--n", min=1, max=checks.COUNT, help="Number of images, with random classes.")
    ] = None,
    per_class: Annotated[int | None, typer.Option(min=1, max=checks.COUNT, help="Number of images per class.")] = None,
    seed: Annotated[int, typer.Option(min=0, max=checks.SEED, help="The same seed gives the same images.")] = 0,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1, …  [default: a GPU if there is one]")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the grid or the samples in --out.")] = False,
) -> None:
    """Generate images and write them as PNG."""
    if (n is None) == (per_class is None):
        raise typer.BadParameter("pass either --n or --per-class.")
    from genaug.artifacts.folders import resolve
    from genaug.reports.sheet import check_free, save_sheet
    from genaug.sources.export import claim_samples, fill_class_folders

    if out.suffix.lower() == ".png":
        path = resolve(out)
        check_free(path, overwrite)  # before the generator is loaded, since that takes longer
        count, parts, spec = _parts(source, n, per_class, seed, device, _LARGEST_GRID)
        save_sheet(path, _draw_grid(list(parts), spec.class_names))
    else:
        with claim_samples(out, overwrite) as place:
            count, parts, spec = _parts(source, n, per_class, seed, device, None)
            names = spec.class_names if spec.class_names is not None else spec.num_classes
            fill_class_folders(place, parts, names, {"source": escaped(source), "seed": seed})
    say(f"{count:,} images in {out}")


def _parts(
    source: str, n: int | None, per_class: int | None, seed: int, device: str | None, most: int | None
) -> "tuple[int, Iterator[Part], Spec]":
    """The number of images, the images in parts, with progress, and the generator's spec."""
    import torch

    from genaug.errors import InputError
    from genaug.hub.load import load
    from genaug.sources.export import sample_parts

    generator = load(source, device=device)
    spec = generator.spec
    if per_class is not None and not spec.takes_labels:
        raise InputError("this generator has no classes. Pass --n instead of --per-class.")
    count = (n or 0) + (per_class or 0) * spec.num_classes
    if count > checks.COUNT:
        raise InputError(f"{count:,} images are too many for one folder, which has {checks.COUNT:,} at most.")
    if most is not None and count > most:
        raise InputError(f"{count:,} images are too many for a sample grid (at most {most:,}). Pass a folder as --out.")
    request = count if per_class is None else torch.arange(spec.num_classes).repeat_interleave(per_class)
    return count, _with_progress(sample_parts(generator, request, seed), count), spec


def _with_progress(parts: "Iterator[Part]", count: int) -> "Iterator[Part]":
    """The parts; each counts as done once the next one is requested."""
    from genaug.progress import Progress

    done = 0
    with Progress("sample", count, line_every=10) as bar:
        for images, labels in parts:
            yield images, labels
            done += len(images)
            bar.advance(len(images))
            bar.tell(f"{done:,} of {count:,} images")


def _draw_grid(parts: "list[Part]", classes: "Sequence[str] | None") -> "Image":
    import torch

    from genaug.reports.sheet import Block, draw_sheet

    label_parts = [labels for _, labels in parts if labels is not None]
    labels = torch.cat(label_parts) if label_parts else None
    columns = 10 if labels is None else int(labels.bincount().max())
    return draw_sheet(Block(torch.cat([images for images, _ in parts]), labels), classes=classes, columns=columns)
