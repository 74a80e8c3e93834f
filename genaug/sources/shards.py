"""Generated images as shards that other tools stream: WebDataset's tar files, or Parquet files.

A shard is written in one piece, so that a process that is stopped or killed loses only those it was writing. The images
are those of ``write_samples`` with the same arguments, whichever process writes which shard.
"""

import io
import json
import os
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import fsspec
from torch import Tensor

from genaug import checks
from genaug.artifacts.folders import saving_to, temporary_name
from genaug.checks import as_whole
from genaug.data.class_folders import RECORD_FILE
from genaug.errors import InputError, OutputExistsError, SaveError
from genaug.progress import Progress
from genaug.randomness import check_seed
from genaug.sources.export import (
    check_settings,
    claim_samples,
    difference,
    draw_part,
    images_per_call,
    labels_of_parts,
    part_seed,
    png,
    sample_record,
    sample_settings,
)
from genaug.sources.ray_engine import check_ray, run
from genaug.sources.request import Request
from genaug.sources.source import Source, check_source, image_shape

Form = Literal["tar", "parquet"]
FORMS: tuple[Form, ...] = get_args(Form)


@dataclass(frozen=True)
class ShardWriter:
    """Writes single shards; it can be sent to other processes.

    ``labels`` has a label per image, or is None for a source without classes. An image's number is its place among all.
    """

    source: Source
    count: int
    labels: Tensor | None
    seed: int
    shards: int
    form: Form
    out: str

    def name(self, shard: int) -> str:
        return f"{shard:05d}-of-{self.shards:05d}.{self.form}"

    def write(self, shard: int) -> int:
        """Generate the images of a shard and write it; returns their number. Raises ``SaveError`` if that fails."""
        content, count = self.content(shard)
        system, root = file_system(self.out)
        place = f"{root}/{self.name(shard)}"
        with saving_to(Path(place)):
            if is_local(system):
                part = Path(root) / f".{temporary_name()}"
                try:
                    with open(part, "wb") as file:
                        file.write(content)
                        file.flush()
                        os.fsync(file.fileno())
                    os.replace(part, place)
                finally:
                    part.unlink(missing_ok=True)
            else:  # an object store shows a file when it is complete
                system.pipe_file(place, content)
        return count

    def content(self, shard: int) -> tuple[bytes, int]:
        """A shard's bytes, and the number of images in it."""
        form = _write_tar if self.form == "tar" else _write_parquet
        buffer = io.BytesIO()
        count = form(buffer, self._images(shard), None if self.labels is None else self.source.spec.class_names)
        return buffer.getvalue(), count

    def _images(self, shard: int) -> Iterator[tuple[int, bytes, int | None]]:
        """The number, the PNG file and the label of each image of a shard."""
        size = images_per_call(self.source, self.count)
        parts = -(-self.count // size)
        for part in range(shard * parts // self.shards, (shard + 1) * parts // self.shards):
            start, stop = part * size, min((part + 1) * size, self.count)
            labels = None if self.labels is None else self.labels[start:stop]
            request = stop - start if labels is None else labels
            images, _ = draw_part(self.source, request, part_seed(self.seed, start, size))
            for row, image in enumerate(images):
                yield start + row, png(image), None if labels is None else int(labels[row])


def write_shards(
    source: Source,
    out: str | Path,
    *,
    n: int | None = None,
    per_class: int | None = None,
    classes: Sequence[str | int] = (),
    seed: int = 0,
    shards: int = 1,
    form: Form = "tar",
    engine: Literal["local", "ray"] = "local",
    workers: int | None = None,
    overwrite: bool = False,
    progress: bool = True,
) -> int:
    """Generate images into ``shards`` files, such as ``out/00000-of-00064.tar``, and return the number of images.

    Args:
        source: What generates images. It is sent to other processes if these take part.
        out: A folder, or a URL that fsspec opens, such as "s3://bucket/samples" (with the package ``s3fs``).
        n, per_class, classes, seed: As for ``write_samples``, and the images are the same.
        shards: The number of files. Each has one or more of the source's batches (``batch_size``), so that there are at
            most as many files as batches.
        form: "tar": ``000000000.png`` and ``000000000.cls`` (the class number) per image, as WebDataset reads them.
            "parquet": the columns ``image`` and ``label``, as ``datasets.load_dataset("parquet", ...)`` reads them.
        engine: "local" generates in this process. "ray" generates on Ray Data (package ``genaug[ray]``), in the cluster
            that this process is connected to, or else on this machine.
        workers: With "ray", the number of processes that generate; by default all of the cluster's CPUs but one.
        overwrite: Replace samples with other settings in a folder.
        progress: Show progress on stderr.

    ``samples.json`` records the settings and the classes. If an earlier call with the same arguments was stopped, the
    shards that it completed are kept. The last bits of pixels may depend on the processor and the number of threads.

    Raises ``InputError`` for invalid arguments, sources of other samples than images, and packages that are missing;
    ``OutputExistsError`` if the folder contains anything else; ``SaveError`` if writing fails.
    """
    spec = check_source(source)
    image_shape(spec, "export")
    if not isinstance(out, str | os.PathLike):
        raise InputError(f"out must be a folder or a URL, got {out!r}.")
    if form not in FORMS:
        raise InputError(f"form must be one of {', '.join(map(repr, FORMS))}, got {form!r}.")
    if engine not in ("local", "ray"):
        raise InputError(f"engine must be 'local' or 'ray', got {engine!r}.")
    if form == "parquet":
        _pyarrow()
    if engine == "ray":
        check_ray()
    elif workers is not None:
        raise InputError("workers= (--workers) is for engine='ray' (--engine ray): leave it out.")
    request = Request(n, per_class, classes)
    resolved = request.resolve(spec)
    count = resolved if isinstance(resolved, int) else len(resolved)
    size = images_per_call(source, count)
    parts = -(-count // size)
    shards = as_whole(shards, "shards", 1, checks.SHARDS)
    if shards > parts:
        raise InputError(
            f"{count:,} images in batches of {size:,} don't suffice for {shards:,} shards, which have at "
            f"least one batch each. Pass at most shards={parts} (--shards)."
        )
    labels = labels_of_parts(source, resolved, check_seed(seed), size)
    settings = {**sample_settings(type(source).__name__, request, seed=seed), "shards": shards, "form": form}
    record = sample_record(source, settings, labels, size, count)
    writer = ShardWriter(source, count, labels, seed, shards, form, str(out))
    with (
        _claimed(writer, settings, record, overwrite) as missing,
        Progress("shards", shards, progress, line_every=10) as bar,
    ):
        bar.start_at(shards - len(missing))
        images = 0
        for written in _written(writer, missing, engine, workers):
            images += written
            bar.advance()
            bar.tell(f"{images:,} images")
    return count


def _written(writer: ShardWriter, missing: Sequence[int], engine: str, workers: int | None) -> Iterator[int]:
    """The number of images of each shard, as it is written."""
    if engine == "local" or not missing:
        return map(writer.write, missing)
    return run(writer.write, missing, workers)


@contextmanager
def _claimed(
    writer: ShardWriter, settings: Mapping[str, Any], record: Mapping[str, Any], overwrite: bool
) -> Iterator[list[int]]:
    """The shards that are missing, to be written in the block, after which the record says that all are there."""
    names = [writer.name(shard) for shard in range(writer.shards)]
    system, root = file_system(writer.out)
    if is_local(system):
        with claim_samples(root, settings, overwrite) as place:
            check_settings(place, record, overwrite)
            if overwrite:
                place.clear()
            place.declare([RECORD_FILE, *names])
            place.put(RECORD_FILE, _json(record, complete=False), durable=True)
            yield [shard for shard, name in enumerate(names) if not (place.path / name).is_file()]
            _check_written(writer, [name for name in names if not (place.path / name).is_file()])
            place.put(RECORD_FILE, _json(record, complete=True), durable=True)
        return
    if overwrite:
        raise InputError(
            "overwrite=True (--overwrite) replaces samples in folders only. Remove those at the URL first."
        )
    _check_objects(system, root, writer.out, record)
    with saving_to(Path(root)):
        system.makedirs(root, exist_ok=True)
        system.pipe_file(f"{root}/{RECORD_FILE}", _json(record, complete=False))
    yield [shard for shard, name in enumerate(names) if not system.exists(f"{root}/{name}")]
    system.invalidate_cache()
    _check_written(writer, [name for name in names if not system.exists(f"{root}/{name}")])
    with saving_to(Path(root)):
        system.pipe_file(f"{root}/{RECORD_FILE}", _json(record, complete=True))


def _check_written(writer: ShardWriter, missing: Sequence[str]) -> None:
    """Raises ``SaveError`` for shards that others wrote to a place of the same name that isn't this one."""
    if missing:
        raise SaveError(
            f"{len(missing):,} shards, such as {missing[0]}, aren't in {writer.out}, though they were written: the "
            "machines that take part don't share this place. Pass one that all of them reach."
        )


def _check_objects(system: Any, root: str, out: str, record: Mapping[str, Any]) -> None:
    """Raises ``OutputExistsError`` for objects at a URL that aren't samples with these settings."""
    names = {path.rpartition("/")[2] for path in (system.ls(root, detail=False) if system.exists(root) else [])}
    if not names:
        return
    if RECORD_FILE not in names:
        raise OutputExistsError(f"{out} contains other files, such as {min(names)}. Choose another place.")
    try:
        before = json.loads(system.cat_file(f"{root}/{RECORD_FILE}"))
    except ValueError:
        before = None
    if problem := difference(before if isinstance(before, dict) else None, record):
        raise OutputExistsError(f"{out} contains samples {problem}. Choose another place.")


def _json(record: Mapping[str, Any], *, complete: bool) -> bytes:
    return (json.dumps({**record, "complete": complete}, indent=2) + "\n").encode()


def file_system(out: str) -> tuple[Any, str]:
    """The file system of a path or URL, and the path in it. Raises ``InputError`` if its package is missing."""
    try:
        system, root = fsspec.core.url_to_fs(out)
    except (ImportError, ValueError, OSError) as error:
        raise InputError(f"{out} can't be opened ({error}). Install what that takes, or pass a folder.") from error
    return system, root.rstrip("/")


def is_local(system: Any) -> bool:
    """Whether a file system is that of this machine."""
    return "file" in (system.protocol if isinstance(system.protocol, tuple | list) else [system.protocol])


def _write_tar(buffer: io.BytesIO, images: Iterator[tuple[int, bytes, int | None]], _: Any) -> int:
    count = 0
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for number, image, label in images:
            files = {"png": image} if label is None else {"png": image, "cls": str(label).encode()}
            for ending, content in files.items():
                entry = tarfile.TarInfo(f"{number:09d}.{ending}")  # its time is 0, so that files are equal
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
            count += 1
    return count


def _write_parquet(
    buffer: io.BytesIO, images: Iterator[tuple[int, bytes, int | None]], names: Sequence[str] | None
) -> int:
    """With the schema by which ``datasets`` knows the columns as images and classes."""
    pyarrow = _pyarrow()
    rows = list(images)
    columns = {"image": [{"bytes": image, "path": f"{number:09d}.png"} for number, image, _ in rows]}
    features: dict[str, Any] = {"image": {"_type": "Image"}}
    fields = [("image", pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())]))]
    if rows and rows[0][2] is not None:
        columns["label"] = [label for *_, label in rows]  # type: ignore[misc]
        known = {"_type": "Value", "dtype": "int64"}
        features["label"] = known if names is None else {"_type": "ClassLabel", "names": list(names)}
        fields.append(("label", pyarrow.int64()))
    schema = pyarrow.schema(fields, metadata={"huggingface": json.dumps({"info": {"features": features}})})
    from pyarrow import parquet

    parquet.write_table(pyarrow.table(columns, schema=schema), buffer)
    return len(rows)


def _pyarrow() -> Any:
    try:
        import pyarrow
    except ImportError as error:
        raise InputError("Parquet files need the package pyarrow: pip install pyarrow.") from error
    return pyarrow
