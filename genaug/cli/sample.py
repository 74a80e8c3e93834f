"""``genaug sample``: images from a generator, as a sample grid or as files."""

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from genaug import checks
from genaug.cli.printing import say
from genaug.cli.sources import SOURCE, SourceOptions, source_named
from genaug.cli.train import parse_settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from PIL.Image import Image

    from genaug.artifacts.claims import Claim
    from genaug.sources.export import Part
    from genaug.sources.request import Request

_LARGEST_GRID = 4000  # images


def sample(
    source: Annotated[str, typer.Argument(help=f"What generates: {SOURCE}.")],
    out: Annotated[
        Path,
        typer.Option(
            help="NAME.png for a sample grid with a row per class; NAME.csv or NAME.parquet for rows of a table; "
            "otherwise a folder for class folders of PNG files, which the same command continues if it was stopped."
        ),
    ],
    n: Annotated[
        int | None,
        typer.Option(
            "--n", min=1, max=checks.COUNT, help="Number of images, with random classes or divided among each --class."
        ),
    ] = None,
    per_class: Annotated[int | None, typer.Option(min=1, max=checks.COUNT, help="Number of images per class.")] = None,
    class_: Annotated[
        list[str] | None,
        typer.Option("--class", metavar="NAME", help="Only this class, by name or number. May be repeated."),
    ] = None,
    setting: SourceOptions = None,
    seed: Annotated[int, typer.Option(min=0, max=checks.SEED, help="The same seed gives the same images.")] = 0,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1, …  [default: a GPU if there is one]")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the grid or the samples in --out.")] = False,
) -> None:
    """Generate images and write them as PNG, or rows of a table and write them as CSV or Parquet."""
    if (n is None) == (per_class is None):
        raise typer.BadParameter("pass either --n or --per-class.")
    from genaug.sources.request import Request

    options, request = parse_settings(setting or []), Request(n, per_class, tuple(class_ or ()))
    if out.suffix.lower() in (".csv", ".parquet"):
        count = _write_table(source, out, request, setting, seed, device, overwrite)
        say(f"{count:,} rows in {out}")
        return
    if out.suffix.lower() == ".png":
        count = _write_grid(source, out, request, setting, seed, device, overwrite)
    else:
        count = _write_folders(source, out, request, setting, options, seed, device, overwrite)
    say(f"{count:,} images in {out}")


def _write_grid(
    source: str,
    out: Path,
    request: "Request",
    setting: list[str] | None,
    seed: int,
    device: str | None,
    overwrite: bool,
) -> int:
    from genaug.artifacts.folders import resolve
    from genaug.errors import InputError
    from genaug.reports.sheet import check_free, save_sheet
    from genaug.sources.export import sample_parts

    path = resolve(out)
    check_free(path, overwrite)  # before the generator is loaded, since that takes longer
    generator = source_named(source, device, setting)
    _check_images(generator)
    labels = request.resolve(generator.spec)
    count = labels if isinstance(labels, int) else len(labels)
    if count > _LARGEST_GRID:
        raise InputError(
            f"{count:,} images are too many for a sample grid (at most {_LARGEST_GRID:,}). Pass a folder as --out."
        )
    parts = list(_with_progress(sample_parts(generator, labels, seed), count))
    save_sheet(path, _draw_grid(parts, generator.spec.class_names))
    return count


def _write_folders(
    source: str,
    out: Path,
    request: "Request",
    setting: list[str] | None,
    options: dict[str, Any],
    seed: int,
    device: str | None,
    overwrite: bool,
) -> int:
    from genaug.sources.export import claim_samples, fill, sample_settings

    settings = sample_settings(source, request, seed=seed, options=options)
    with claim_samples(out, settings, overwrite) as place:
        generator = source_named(source, device, setting)
        _check_images(generator)
        labels = request.resolve(generator.spec)
        with reporting_interruption(place):
            fill(place, generator, labels, settings, overwrite=overwrite)
    return labels if isinstance(labels, int) else len(labels)


@contextmanager
def reporting_interruption(place: "Claim") -> "Iterator[None]":
    """Around writing images into a folder: an interruption says how many there are, and how to continue."""
    try:
        yield
    except KeyboardInterrupt:
        ready = sum(name.endswith(".png") and (place.path / name).exists() for name in place.files)
        say(
            f"genaug: interrupted; {ready:,} images are in {place.path}. The same command generates the others.",
            err=True,
        )
        raise KeyboardInterrupt("reported") from None


def _write_table(
    source: str,
    out: Path,
    request: "Request",
    setting: list[str] | None,
    seed: int,
    device: str | None,
    overwrite: bool,
) -> int:
    from genaug.sources.export import sample_parts
    from genaug.sources.table_files import check_file, save_table

    path = check_file(out, overwrite)  # before the generator is loaded, since that takes longer
    generator = source_named(source, device, setting)
    labels = request.resolve(generator.spec)
    count = labels if isinstance(labels, int) else len(labels)
    save_table(path, generator.spec, _with_progress(sample_parts(generator, labels, seed), count))
    return count


def _check_images(generator: Any) -> None:
    """Raises ``InputError`` if samples aren't images."""
    from genaug.errors import InputError

    sample = generator.spec.sample
    if sample.files:
        names = " or ".join(f"NAME{suffix}" for suffix in sample.files)
        raise InputError(f"this generator makes {sample.noun} of a table, not images: pass --out {names}.")


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

    from genaug.escaping import one_line
    from genaug.reports.sheet import Block, draw_sheet

    label_parts = [labels for _, labels in parts if labels is not None]
    labels, columns, heading = torch.cat(label_parts) if label_parts else None, 10, ""
    if labels is not None and len(labels.unique()) == 1:  # in rows of 10 too
        label = int(labels[0])
        labels, heading = None, one_line(f"class {label if classes is None else classes[label]}")[:60]
    if labels is not None:
        columns = int(labels.bincount().max())
    block = Block(torch.cat([images for images, _ in parts]), labels, heading)
    return draw_sheet(block, classes=classes, columns=columns)
