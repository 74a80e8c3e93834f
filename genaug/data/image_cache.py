"""A folder with a dataset's images as uint8 pixels, which is read through a memory map: for more images than memory.

``images.npy`` and ``labels.npy`` are ordinary NumPy files. The folder is filled once; an interrupted filling goes on
from where it stopped.
"""

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import numpy as np
import torch
from numpy.lib import format as npy
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from genaug.artifacts.claims import Claim, claim
from genaug.artifacts.folders import resolve, saving_to
from genaug.artifacts.json_files import read_json
from genaug.artifacts.marker import LOCK
from genaug.backends.spec import Spec
from genaug.data.domains import Unpaired
from genaug.data.item_reader import ItemReader, fields_of
from genaug.data.items import file_of
from genaug.data.labels import as_labels, known_labels
from genaug.data.reading import Samples, check_kind, rows_dataset, with_labels_of
from genaug.data.state import state_kept
from genaug.errors import InputError

RECORD, IMAGES, LABELS = "cache.json", "images.npy", "labels.npy"
NO_LABEL = -(2**63)
_COMPARED = 100  # items of a complete cache that are compared with the dataset's
_SAVED_EVERY = 5.0  # seconds
_CHUNK = 2**24  # bytes to hash at once
_PATIENCE = 60.0  # seconds until the process that fills a cache must have begun
_WHAT = "the dataset"


class _Record(BaseModel):
    """What a cache contains, or will when it is complete."""

    model_config = ConfigDict(strict=True, extra="forbid")

    format: Annotated[int, Field(ge=1, le=1)] = 1
    count: Annotated[int, Field(ge=1)]
    shape: list[int]
    image_size: int | None
    files: str | None  # a hash of the names, sizes and times of the dataset's files
    done: Annotated[int, Field(ge=0)] = 0
    label_problem: str | None = None
    sha256: dict[str, str] | None = None  # fingerprints of the data, by whether labels count; when it is complete

    def differs_from(self, other: "_Record") -> str | None:
        """What distinguishes the dataset of this record from that of another one, if anything."""
        for name in ("count", "image_size", "shape", "files"):
            one, two = getattr(self, name), getattr(other, name)
            if one != two:
                return "other files, or changed ones" if name == "files" else f"{name} {one}, and here it is {two}"
        return None


_SCHEMA = TypeAdapter(_Record)


class ImageCache:
    """The cache in a folder, which need not exist yet. Unless ``fills``, ``read`` waits for a process that does."""

    def __init__(self, folder: str | Path, *, fills: bool = True) -> None:
        self.path, self._fills = resolve(folder), fills

    def read(
        self,
        dataset: Any,
        image_size: int | None,
        on_items: Callable[[int], None],
        *,
        unlabelled: bool = False,
        kinds: Sequence[str] = (),
    ) -> Samples:
        """A dataset of images, mapped from the cache, which is filled before if it is not complete.

        Arguments are those of ``read_samples``, and so are the errors. A complete cache is compared with the dataset by
        the number of items, the names, sizes and times of its files, if it has any, its ``targets``, and the pixels and
        labels of 100 items. Labels that can't be used are left out, with the reason as ``label_problem``.

        Raises ``InputError`` for data other than images, if the cache is that of another dataset, and if it is damaged;
        ``OutputExistsError`` if the folder contains anything else, or another process fills it; ``SaveError`` if it
        can't be written.
        """
        if isinstance(dataset, Unpaired):
            raise InputError("cache= (--cache) is for one dataset of images, not for two domains. Leave it out.")
        check_kind(dataset)
        if rows_dataset(dataset) is not None or len(dataset) == 0:
            raise InputError("cache= (--cache) is for datasets of at least one image. Leave it out.")
        with state_kept(dataset):
            fields, where = fields_of(dataset, 0, _WHAT)
            reader = ItemReader(fields[0], image_size, where, kinds)
            if reader.modality.kind != "image":
                raise InputError(f"cache= (--cache) is for images, and these are {reader.modality.noun}. Leave it out.")
            expected = _Record(
                count=len(dataset),
                shape=list(reader.modality.shape),
                image_size=image_size,
                files=_hash_of_files(dataset),
            )
            record = self._read_record(expected)
            if record is not None and record.sha256 is not None:
                on_items(len(dataset))
            elif self._fills:
                record = self._fill(dataset, reader, expected, on_items)
            else:
                record = self._wait(expected)
            images, labels = self._open(record)
            self._compare(dataset, reader, images, labels)
        carried = [None if label == NO_LABEL else label for label in labels.tolist()]
        samples = Samples(torch.from_numpy(images), None, Spec(sample=reader.modality))
        if record.label_problem is not None:
            problem = f"{record.label_problem} When that is corrected, remove the cache in {self.path}."
            samples = replace(samples, label_problem=InputError(problem))
        else:
            samples = with_labels_of(dataset, samples, carried, _WHAT, needs_labels=False, unlabelled=unlabelled)
        assert record.sha256 is not None
        which = "images" if samples.labels is None else "images and labels"
        return replace(samples, sha256=record.sha256[which])

    def _read_record(self, expected: _Record) -> _Record | None:
        """The record, None without one. Raises ``InputError`` if it is that of another dataset."""
        if not (self.path / RECORD).is_file():
            return None
        record = read_json(self.path / RECORD, _SCHEMA, "Remove the folder, so that it is filled again.")
        if difference := record.differs_from(expected):
            raise InputError(
                f"the cache in {self.path} is that of another dataset: it has {difference}. Pass another folder, or "
                "remove this one so that it is filled again."
            )
        return record

    def _wait(self, expected: _Record) -> _Record:
        """The record, when another process has filled the cache."""
        last = time.monotonic()
        while (record := self._read_record(expected)) is None or record.sha256 is None:
            if (self.path / LOCK).exists():
                last = time.monotonic()
            elif time.monotonic() - last > _PATIENCE:
                raise InputError(
                    f"the first process of this training should fill the cache in {self.path}, and doesn't. See the "
                    "error of that process."
                )
            time.sleep(0.2)
        return record

    def _fill(self, dataset: Any, reader: ItemReader, record: _Record, on_items: Callable[[int], None]) -> _Record:
        with claim(self.path, "cache", what="a cache of images", replace=True) as claimed:
            before = self._read_record(record)
            if before is None:
                claimed.clear()
                claimed.declare([RECORD, IMAGES, LABELS])
            else:
                record = before
            on_items(record.done)
            sample = fields_of(dataset, 0, _WHAT)
            if not torch.equal(
                reader.read(sample[0][0], sample[1]), reader.read(fields_of(dataset, 0, _WHAT)[0][0], "")
            ):
                raise InputError(
                    f"{sample[1]} is another image each time that it is read, so images can't be kept in a cache. Pass "
                    "the dataset without random transforms, or leave cache= (--cache) out."
                )
            with (
                _rows_of_file(self.path / IMAGES, np.uint8, (record.count, *record.shape), record.done) as images,
                _rows_of_file(self.path / LABELS, np.int64, (record.count,), record.done) as labels,
            ):
                self._append(dataset, reader, record, claimed, (images, labels), on_items)
            pixels, numbers = self._open(record)
            record.sha256 = _fingerprints(reader.modality.identity, pixels, numbers)
            _save(claimed, record)
        return record

    def _append(
        self,
        dataset: Any,
        reader: ItemReader,
        record: _Record,
        claimed: Claim,
        files: tuple[BinaryIO, BinaryIO],
        on_items: Callable[[int], None],
    ) -> None:
        """Append the rest of the dataset to the files, and save the state every few seconds and at the end."""
        saved, first = time.monotonic(), record.done
        reported = first

        def save() -> None:
            with saving_to(self.path):
                for file in files:
                    file.flush()
            _save(claimed, record)

        try:
            for index in range(first, record.count):
                fields, where = fields_of(dataset, index, _WHAT)
                pixels = reader.read(fields[0], where).contiguous().numpy()
                label, problem = _label_of(fields, where)
                record.label_problem = record.label_problem or problem
                with saving_to(self.path):
                    files[0].write(pixels.data)
                    files[1].write(np.int64(label).tobytes())
                record.done = index + 1
                if record.done % 100 == 0 or record.done == record.count:
                    on_items(record.done - reported)
                    reported = record.done
                    if time.monotonic() - saved > _SAVED_EVERY:
                        save()
                        saved = time.monotonic()
        except BaseException:
            with suppress(Exception):
                save()
            raise
        save()

    def _open(self, record: _Record) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """The images, mapped copy-on-write and never written to, and the labels. Raises ``InputError`` if they aren't
        those of the record."""
        try:
            images = np.load(self.path / IMAGES, mmap_mode="c")
            labels = np.load(self.path / LABELS)
            if images.shape != (record.count, *record.shape) or images.dtype != np.uint8:
                raise ValueError(f"{IMAGES} holds {images.dtype} of shape {images.shape}")
            if labels.shape != (record.count,) or labels.dtype != np.int64:
                raise ValueError(f"{LABELS} holds {labels.dtype} of shape {labels.shape}")
        except (OSError, ValueError, EOFError) as error:
            raise InputError(
                f"the cache in {self.path} is damaged ({error}). Remove the folder, so that it is filled again."
            ) from error
        return images, labels

    def _compare(self, dataset: Any, reader: ItemReader, images: NDArray[np.uint8], labels: NDArray[np.int64]) -> None:
        """Raises ``InputError`` if the dataset's known labels, or 100 items, aren't those in the cache."""
        changed = (
            f"than the cache in {self.path} holds. If the dataset has changed, remove the folder, so that it is filled "
            "again"
        )
        known = known_labels(dataset)
        if known is not None and len(known) == len(labels) and (labels != NO_LABEL).all():
            differing = np.flatnonzero(known.numpy() != labels)
            if len(differing):
                raise InputError(f"item {differing[0]} of {_WHAT} has another label {changed}.")
        count = len(images)
        for index in sorted({i * (count - 1) // (_COMPARED - 1) for i in range(_COMPARED)}):
            fields, where = fields_of(dataset, index, _WHAT)
            if not np.array_equal(reader.read(fields[0], where).numpy(), images[index]):
                raise InputError(
                    f"{where} has another image {changed}; if it has random transforms, pass it without them."
                )
            if _label_of(fields, where)[0] != labels[index]:
                raise InputError(f"{where} has another label {changed}.")


def _label_of(fields: Sequence[Any], where: str) -> tuple[int, str | None]:
    """An item's label, or ``NO_LABEL`` and, if it has one that isn't a label, why."""
    if len(fields) < 2 or fields[1] is None:
        return NO_LABEL, None
    try:
        return int(as_labels([fields[1]], f"the label of {where}", least=-1)), None
    except InputError as error:
        return NO_LABEL, str(error)


def _save(claimed: Claim, record: _Record) -> None:
    claimed.put(RECORD, record.model_dump_json(indent=2).encode())


@contextmanager
def _rows_of_file(path: Path, dtype: Any, shape: tuple[int, ...], done: int) -> Iterator[BinaryIO]:
    """A NumPy file of this dtype and shape, which has no more than ``done`` rows yet, opened for appending rows."""
    with saving_to(path), open(path, "r+b" if done else "wb") as file:
        size = file.seek(0, 2)
        file.seek(0)
        npy.write_array_header_1_0(
            file, {"descr": npy.dtype_to_descr(np.dtype(dtype)), "fortran_order": False, "shape": shape}
        )
        row = int(np.dtype(dtype).itemsize * np.prod(shape[1:], dtype=np.int64))
        end = file.tell() + done * row
        if done and size < end:
            raise InputError(f"{path} is damaged: it is too short. Remove the folder, so that it is filled again.")
        file.seek(end)
        file.truncate()
        yield file


def _fingerprints(identity: bytes, images: NDArray[np.uint8], labels: NDArray[np.int64]) -> dict[str, str]:
    """The fingerprint of the data without and with labels, as ``genaug.data.reading.fingerprint`` computes it."""
    digest = hashlib.sha256(identity)
    rows = max(1, _CHUNK // images[0].nbytes)
    for start in range(0, len(images), rows):
        digest.update(np.ascontiguousarray(images[start : start + rows]).data)
    alone = digest.hexdigest()
    digest.update(labels.data)
    return {"images": alone, "images and labels": digest.hexdigest()}


def _hash_of_files(dataset: Any) -> str | None:
    """A hash of the names, sizes and times of the dataset's files; None if its items aren't files."""
    if file_of(dataset, 0) is None:
        return None
    digest = hashlib.sha256()
    for index in range(len(dataset)):
        file = file_of(dataset, index)
        with suppress(OSError):  # what can't be read is reported when it is read
            state = Path(str(file)).stat()
            digest.update(
                f"{Path(str(file)).absolute()}\0{state.st_size}\0{state.st_mtime_ns}\n".encode(errors="surrogateescape")
            )
    return digest.hexdigest()
