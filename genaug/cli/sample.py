"""``genaug sample``: samples of a generator, as a sample grid or as files."""

from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from genaug import checks
from genaug.cli.printing import say
from genaug.cli.settings import parse_settings
from genaug.cli.sources import SOURCE, SourceOptions, source_named
from genaug.cli.threads import Threads, running_on

if TYPE_CHECKING:
    from collections.abc import Iterator

    from PIL.Image import Image
    from torch import Tensor

    from genaug.artifacts.claims import Claim
    from genaug.backends.spec import Spec
    from genaug.sources.export import Part
    from genaug.sources.request import Request
    from genaug.sources.source import Source

_LARGEST_GRID = 4000  # samples


class ShardForm(StrEnum):
    """The values of ``--format``."""

    TAR = "tar"
    PARQUET = "parquet"


class Engine(StrEnum):
    """The values of ``--engine``."""

    LOCAL = "local"
    RAY = "ray"


@dataclass(frozen=True)
class Job:
    """What the command was called with: the samples, and how to generate them."""

    source: str
    out: str
    request: "Request"
    setting: list[str]
    seed: int
    device: str | None
    threads: int | None
    overwrite: bool

    @contextmanager
    def generator(self) -> "Iterator[Source]":
        """The source, on the device and, until the end of the context, on the threads."""
        with running_on(self.threads, self.device):
            yield source_named(self.source, self.device, self.setting)


@dataclass(frozen=True)
class Shards:
    """How many shards the command was called for, and how they are written."""

    count: int
    form: ShardForm
    engine: Engine
    workers: int | None


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
        typer.Option(
            min=1,
            max=checks.SHARDS,
            help="With --engine ray: processes.  [default: as many as CPUs; in a cluster, one less]",
        ),
    ] = None,
    threads: Threads = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the grid or the samples in --out.")] = False,
) -> None:
    """Generate images and write them as PNG, rows of a table as CSV or Parquet, or series as a NumPy archive."""
    from genaug.sources.sample_files import SUFFIXES

    if (n is None) == (per_class is None):
        raise typer.BadParameter("pass either --n or --per-class.")
    if shards is None and (form, engine, workers) != (ShardForm.TAR, Engine.LOCAL, None):
        raise typer.BadParameter("--format, --engine and --workers are for shards: pass --shards N too.")
    from genaug.sources.request import Request

    request = Request(n, per_class, tuple(class_ or ()))
    job = Job(source, target, request, setting or [], seed, device, threads, overwrite)
    suffix = Path(target).suffix.lower()
    if shards is not None:
        written = _write_shards(job, Shards(shards, form, engine, workers))
    elif suffix in SUFFIXES:
        written = _write_file(job)
    elif suffix == ".png":
        written = _write_grid(job)
    else:
        written = _write_folders(job)
    say(f"{written} in {target if shards is not None else Path(target)}")


def _write_grid(job: Job) -> str:
    """Write a sample grid. Like the other writers, returns how many samples of what there are."""
    from genaug.artifacts.folders import resolve
    from genaug.errors import InputError
    from genaug.reports.sheet import check_free, save_sheet
    from genaug.sources.export import sample_parts

    path = resolve(Path(job.out))
    check_free(path, job.overwrite)  # before the generator is loaded, since that takes longer
    with job.generator() as generator:
        _check_form(generator, generator.spec.sample.has_pictures)
        labels = job.request.resolve(generator.spec)
        count = _number(labels)
        if count > _LARGEST_GRID:
            raise InputError(
                f"{count:,} samples are too many for a sample grid (at most {_LARGEST_GRID:,}). Pass a folder as --out."
            )
        parts = list(_with_progress(sample_parts(generator, labels, job.seed), count))
        save_sheet(path, _draw_grid(parts, generator.spec))
    return f"{count:,} {generator.spec.sample.noun}"


def _write_folders(job: Job) -> str:
    from genaug.sources.export import claim_samples, fill, sample_settings

    settings = sample_settings(job.source, job.request, seed=job.seed, options=parse_settings(job.setting))
    with claim_samples(job.out, settings, job.overwrite) as place, job.generator() as generator:
        _check_form(generator, not generator.spec.sample.files)
        labels = job.request.resolve(generator.spec)
        with reporting_interruption(place):
            fill(place, generator, labels, settings, overwrite=job.overwrite)
    return f"{_number(labels):,} images"


def _write_shards(job: Job, shards: Shards) -> str:
    from genaug.sources.shards import write_shards

    with job.generator() as generator:
        _check_form(generator, not generator.spec.sample.files)
        try:
            count = write_shards(
                generator,
                job.out,
                n=job.request.n,
                per_class=job.request.per_class,
                classes=job.request.classes,
                seed=job.seed,
                shards=shards.count,
                form=shards.form.value,
                engine=shards.engine.value,
                workers=shards.workers,
                overwrite=job.overwrite,
            )
        except KeyboardInterrupt:
            say(f"genaug: interrupted; the same command writes the shards that {job.out} lacks.", err=True)
            raise KeyboardInterrupt("reported") from None
    return f"{count:,} images"


def _write_file(job: Job) -> str:
    from genaug.sources.export import sample_parts
    from genaug.sources.sample_files import check_file, save_samples

    path = check_file(Path(job.out), job.overwrite)  # before the generator is loaded, since that takes longer
    with job.generator() as generator:
        labels = job.request.resolve(generator.spec)
        count = _number(labels)
        save_samples(path, generator.spec, _with_progress(sample_parts(generator, labels, job.seed), count))
    return f"{count:,} {generator.spec.sample.noun}"


def _number(labels: "int | Tensor") -> int:
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
