"""``genaug sample``: samples of a generator, as a sample grid or as files."""

from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from genaug import checks
from genaug.cli.printing import say
from genaug.cli.sources import SOURCE, SourceOptions, source_named
from genaug.cli.threads import Threads, running_on
from genaug.cli.train import parse_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from PIL.Image import Image

    from genaug.artifacts.claims import Claim
    from genaug.backends.spec import Spec
    from genaug.sources.export import Part
    from genaug.sources.request import Request

_LARGEST_GRID = 4000  # samples


class ShardForm(StrEnum):
    """The values of ``--format``."""

    TAR = "tar"
    PARQUET = "parquet"


class Engine(StrEnum):
    """The values of ``--engine``."""

    LOCAL = "local"
    RAY = "ray"


def sample(
    source: Annotated[str, typer.Argument(help=f"What generates: {SOURCE}.")],
    target: Annotated[
        str,
        typer.Option(
            "--out",
            help="NAME.png for a sample grid with a row per class; NAME.csv or NAME.parquet for rows of a table; "
            "NAME.npz for series; otherwise a folder for class folders of PNG files or, with --shards, for shards, "
            "which the same command continues if it was stopped. Shards can also go to a URL, such as s3://BUCKET/NAME.",
        ),
    ],
    n: Annotated[
        int | None,
        typer.Option(
            "--n", min=1, max=checks.COUNT, help="Number of samples, with random classes or divided among each --class."
        ),
    ] = None,
    per_class: Annotated[int | None, typer.Option(min=1, max=checks.COUNT, help="Number of samples per class.")] = None,
    class_: Annotated[
        list[str] | None,
        typer.Option("--class", metavar="NAME", help="Only this class, by name or number. May be repeated."),
    ] = None,
    setting: SourceOptions = None,
    seed: Annotated[int, typer.Option(min=0, max=checks.SEED, help="The same seed gives the same samples.")] = 0,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1, …  [default: a GPU if there is one]")] = None,
    shards: Annotated[
        int | None, typer.Option(min=1, max=checks.SHARDS, help="Write this many shards instead of single files.")
    ] = None,
    form: Annotated[
        ShardForm, typer.Option("--format", help="Of shards: tar (WebDataset) or parquet (datasets).")
    ] = ShardForm.TAR,
    engine: Annotated[
        Engine,
        typer.Option(help="Of shards: local (this process), or ray, several processes or machines (genaug\\[ray])."),
    ] = Engine.LOCAL,
    workers: Annotated[
        int | None,
        typer.Option(min=1, max=checks.SHARDS, help="With --engine ray: processes.  [default: all CPUs but one]"),
    ] = None,
    threads: Threads = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the grid or the samples in --out.")] = False,
) -> None:
    """Generate images and write them as PNG, rows of a table as CSV or Parquet, or series as a NumPy archive."""
    from genaug.sources.sample_files import SUFFIXES

    if (n is None) == (per_class is None):
        raise typer.BadParameter("pass either --n or --per-class.")
    from genaug.sources.request import Request

    options, request = parse_settings(setting or []), Request(n, per_class, tuple(class_ or ()))
    out = Path(target)
    if shards is None and (form, engine, workers) != (ShardForm.TAR, Engine.LOCAL, None):
        raise typer.BadParameter("--format, --engine and --workers are for shards: pass --shards N too.")
    noun = "images"
    with running_on(threads, device):
        if shards is not None:
            count = _write_shards(
                source, target, request, setting, seed, device, shards, form, engine, workers, overwrite
            )
        elif out.suffix.lower() in SUFFIXES:
            count, noun = _write_file(source, out, request, setting, seed, device, overwrite)
        elif out.suffix.lower() == ".png":
            count, noun = _write_grid(source, out, request, setting, seed, device, overwrite)
        else:
            count = _write_folders(source, out, request, setting, options, seed, device, overwrite)
    say(f"{count:,} {noun} in {out if shards is None else target}")


def _write_grid(
    source: str,
    out: Path,
    request: "Request",
    setting: list[str] | None,
    seed: int,
    device: str | None,
    overwrite: bool,
) -> tuple[int, str]:
    from genaug.artifacts.folders import resolve
    from genaug.errors import InputError
    from genaug.reports.sheet import check_free, save_sheet
    from genaug.sources.export import sample_parts

    path = resolve(out)
    check_free(path, overwrite)  # before the generator is loaded, since that takes longer
    generator = source_named(source, device, setting)
    _check_form(generator, generator.spec.sample.has_pictures)
    labels = request.resolve(generator.spec)
    count = labels if isinstance(labels, int) else len(labels)
    if count > _LARGEST_GRID:
        raise InputError(
            f"{count:,} samples are too many for a sample grid (at most {_LARGEST_GRID:,}). Pass a folder as --out."
        )
    parts = list(_with_progress(sample_parts(generator, labels, seed), count))
    save_sheet(path, _draw_grid(parts, generator.spec))
    return count, generator.spec.sample.noun


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
        _check_form(generator, not generator.spec.sample.files)
        labels = request.resolve(generator.spec)
        with reporting_interruption(place):
            fill(place, generator, labels, settings, overwrite=overwrite)
    return labels if isinstance(labels, int) else len(labels)


def _write_shards(
    source: str,
    out: str,
    request: "Request",
    setting: list[str] | None,
    seed: int,
    device: str | None,
    shards: int,
    form: "ShardForm",
    engine: "Engine",
    workers: int | None,
    overwrite: bool,
) -> int:
    from genaug.sources.shards import write_shards

    generator = source_named(source, device, setting)
    _check_form(generator, not generator.spec.sample.files)
    try:
        return write_shards(
            generator,
            out,
            n=request.n,
            per_class=request.per_class,
            classes=request.classes,
            seed=seed,
            shards=shards,
            form=form.value,
            engine=engine.value,
            workers=workers,
            overwrite=overwrite,
        )
    except KeyboardInterrupt:
        say(f"genaug: interrupted; the same command writes the shards that {out} lacks.", err=True)
        raise KeyboardInterrupt("reported") from None


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


def _write_file(
    source: str,
    out: Path,
    request: "Request",
    setting: list[str] | None,
    seed: int,
    device: str | None,
    overwrite: bool,
) -> tuple[int, str]:
    from genaug.sources.export import sample_parts
    from genaug.sources.sample_files import check_file, save_samples

    path = check_file(out, overwrite)  # before the generator is loaded, since that takes longer
    generator = source_named(source, device, setting)
    labels = request.resolve(generator.spec)
    count = labels if isinstance(labels, int) else len(labels)
    save_samples(path, generator.spec, _with_progress(sample_parts(generator, labels, seed), count))
    return count, generator.spec.sample.noun


def _check_form(generator: Any, fits: bool) -> None:
    """Raises ``InputError``, which names the files that samples can be written to, unless a form ``fits`` them."""
    from genaug.errors import InputError

    sample = generator.spec.sample
    if not fits:
        names = " or ".join(f"NAME{suffix}" for suffix in sample.files)
        raise InputError(f"this generator makes {sample.long_noun or sample.noun}, not images: pass --out {names}.")


def _with_progress(parts: "Iterator[Part]", count: int) -> "Iterator[Part]":
    """The parts; each counts as done once the next one is requested."""
    from genaug.progress import Progress

    done = 0
    with Progress("sample", count, line_every=10) as bar:
        for samples, labels in parts:
            yield samples, labels
            done += len(samples)
            bar.advance(len(samples))
            bar.tell(f"{done:,} of {count:,}")


def _draw_grid(parts: "list[Part]", spec: "Spec") -> "Image":
    import torch

    from genaug.escaping import one_line
    from genaug.reports.sheet import Block, draw_sheet

    label_parts = [labels for _, labels in parts if labels is not None]
    classes = spec.class_names
    labels, columns, heading = torch.cat(label_parts) if label_parts else None, 10, ""
    if labels is not None and len(labels.unique()) == 1:  # in rows of 10 too
        label = int(labels[0])
        labels, heading = None, one_line(f"class {label if classes is None else classes[label]}")[:60]
    if labels is not None:
        columns = int(labels.bincount().max())
    block = Block(torch.cat([samples for samples, _ in parts]), labels, heading)
    return draw_sheet(block, classes=classes, columns=columns, sample=spec.sample)
