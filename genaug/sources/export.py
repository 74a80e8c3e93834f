"""Generated images as files: a folder of class folders with PNG files, as ImageFolder reads them.

The images are written one by one, so that a process that is stopped or killed loses only those it was generating; the
next one with the same settings continues, and the files end up the same. ``samples.json`` records the settings.
"""

import hashlib
import io
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter
from torch import Tensor

from genaug.artifacts.claims import Claim, claim
from genaug.artifacts.folders import is_file
from genaug.artifacts.json_files import read_json
from genaug.artifacts.manifest import WEIGHTS_FILE, encode_generator
from genaug.artifacts.recipe import recipe_of
from genaug.checks import as_whole
from genaug.data.class_folders import MAX_RECORD_BYTES, RECORD_FILE, folder_names
from genaug.errors import FormatError, OutputExistsError
from genaug.escaping import escaped
from genaug.modalities.image import to_pil
from genaug.progress import Progress
from genaug.randomness import category_rows, check_seed, derive_seed
from genaug.sources.generator import BATCH_SIZE, Generator
from genaug.sources.request import Request
from genaug.sources.source import Source, check_source, image_shape, supply_of

_RECORD: TypeAdapter[dict[str, Any]] = TypeAdapter(dict[str, Any])
_PNG_END = b"\0\0\0\0IEND\xaeB`\x82"

Part = tuple[Tensor, Tensor | None]


def sample_parts(source: Source, request: int | Tensor, seed: int, size: int = BATCH_SIZE) -> Iterator[Part]:
    """Images and labels on the CPU, ``size`` at a time: a number of samples with random labels, or one per label.

    The first part is drawn with ``seed``, the others with seeds derived from it; image i of a seed doesn't depend on
    the number of images. Raises ``InputError`` if samples don't fit the source's spec, such as floats or NaN.
    """
    count = request if isinstance(request, int) else len(request)
    for start in range(0, count, size):
        rows = min(size, count - start) if isinstance(request, int) else request[start : start + size]
        yield draw_part(source, rows, part_seed(seed, start, size))


def draw_part(source: Source, request: int | Tensor, seed: int) -> Part:
    part: Any = {"n": request} if isinstance(request, int) else {"labels": request}
    images, labels = source.sample(**part, seed=seed)
    count = request if isinstance(request, int) else len(request)
    return (
        source.spec.sample.check(images, count, f"{type(source).__name__}.sample returned").cpu(),
        None if labels is None else labels.cpu(),
    )


def part_seed(seed: int, start: int, size: int) -> int:
    """The seed of the part of an export that begins with image ``start``."""
    return seed if start == 0 else derive_seed(seed, "part", start // size)


def write_samples(
    source: Source,
    out: str | Path,
    *,
    n: int | None = None,
    per_class: int | None = None,
    classes: Sequence[str | int] = (),
    seed: int = 0,
    overwrite: bool = False,
    progress: bool = True,
) -> Path:
    """Generate images into a folder, as ``out/CLASS/00000.png``, and return the folder.

    ``n`` images with random classes, or ``per_class`` images per class; with ``classes``, names or numbers, of these
    only, among which ``n`` is divided equally. A source without classes writes to ``out`` itself. If an earlier process
    with the same source and settings was stopped, its images are kept and the others are generated; if it completed,
    nothing is generated. The files are the same either way. ``overwrite`` replaces samples with other settings.
    ``samples.json`` records the settings and the classes, which ``load_data("folder:OUT")`` reads.

    Images are generated ``source.batch_size`` at a time, by default one by one, or in a single call if the source has a
    ``supply``. Raises ``InputError`` for invalid arguments, ``OutputExistsError`` if the folder contains anything else,
    ``SaveError`` if writing fails.
    """
    request = Request(n, per_class, classes)
    labels = request.resolve(check_source(source))
    settings = sample_settings(type(source).__name__, request, seed=check_seed(seed))
    with claim_samples(out, settings, overwrite) as place:
        fill(place, source, labels, settings, overwrite=overwrite, progress=progress)
    return place.path


def sample_settings(
    source: str, request: Request, *, seed: int, options: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The settings that are known before the source is loaded, as ``samples.json`` has them."""
    return {"source": escaped(source), "options": dict(options or {}), **request.settings(), "seed": seed}


def sample_record(
    source: Source, settings: Mapping[str, Any], labels: Tensor | None, size: int, count: int
) -> dict[str, Any]:
    """What ``samples.json`` says of ``count`` samples that are generated ``size`` at a time."""
    spec = source.spec
    return {
        **settings,
        **identity_of(source),
        "batch_size": size,
        "count": count,
        "counts": None if labels is None else labels.bincount(minlength=spec.num_classes).tolist(),
        "classes": None if spec.class_names is None else list(spec.class_names),
    }


@contextmanager
def claim_samples(out: str | Path, settings: Mapping[str, Any], overwrite: bool) -> Iterator[Claim]:
    """Claim a folder for samples: an empty one, or one with samples of the same settings, or with ``overwrite`` others.

    Raises ``OutputExistsError``, which says which settings differ, for other samples, and for a folder that contains
    anything else.
    """
    with claim(out, "samples", replace=True) as place:
        check_settings(place, settings, overwrite)
        yield place


def fill(
    place: Claim,
    source: Source,
    request: int | Tensor,
    settings: Mapping[str, Any],
    *,
    overwrite: bool = False,
    progress: bool = True,
) -> None:
    """Generate the images that a claimed folder lacks. The arguments are those of ``write_samples``; ``settings`` are
    those of ``claim_samples``."""
    spec = source.spec
    image_shape(spec, "export")
    count = request if isinstance(request, int) else len(request)
    size, seed = images_per_call(source, count), settings["seed"]
    labels = labels_of_parts(source, request, seed, size)
    folders = folder_names(spec.class_names if spec.class_names is not None else spec.num_classes)
    files = file_names(labels, folders, count)
    record = {"folders": folders, **sample_record(source, settings, labels, size, count)}

    def draw(start: int, stop: int) -> Tensor:
        part = stop - start if labels is None else labels[start:stop]
        return draw_part(source, part, part_seed(seed, start, size))[0]

    fill_files(place, files, record, draw, overwrite=overwrite, progress=progress)


def fill_files(
    place: Claim,
    files: Sequence[str],
    record: Mapping[str, Any],
    draw: Callable[[int, int], Tensor],
    *,
    overwrite: bool,
    progress: bool,
    doing: str = "sample",
) -> None:
    """Write the PNG ``files`` that a claimed folder lacks, and its record, which decides whether it is continued.

    ``draw(start, stop)`` returns the images of these files, raw samples on the CPU, ``record["batch_size"]`` at a time;
    it is called only for parts that aren't complete.
    """
    count, size = len(files), record["batch_size"]
    check_settings(place, record, overwrite)
    old = _read_record(place)
    complete = old is not None and old.get("complete") is not False
    fresh = old is None or bool(differences(old, record)) or (overwrite and complete)
    recorded = complete and not fresh
    place.check_free([RECORD_FILE, *files])
    absent = set(files) if fresh else {name for name in files if not _is_complete(place.path / name)}
    with Progress(doing, count, progress, line_every=10) as bar:
        bar.start_at(count - len(absent))
        for start in range(0, count, size):
            names = files[start : start + size]
            if absent.isdisjoint(names):
                continue
            images = draw(start, start + len(names))
            if fresh:  # only now, since a source that fails must not cost what was there before
                place.clear()
                place.declare([RECORD_FILE, *files])
                _write_record(place, record, complete=False)
                fresh = False
            for name, image in zip(names, images, strict=True):
                if name in absent:
                    place.put(name, png(image))
                    absent.remove(name)
                    bar.advance()
            bar.tell(f"{count - len(absent):,} of {count:,} images")
    if not recorded:
        _write_record(place, record, complete=True)


def images_per_call(source: Any, count: int) -> int:
    """How many images are generated at a time. All of them for a source with a supply, since only within a call no
    sample comes twice."""
    if supply_of(source) is not None:
        return count
    return as_whole(getattr(source, "batch_size", 1), f"{type(source).__name__}.batch_size", 1)


def labels_of_parts(source: Source, request: int | Tensor, seed: int, size: int) -> Tensor | None:
    """The label of each image, known before any is generated; None for a source without classes."""
    if not source.spec.takes_labels:
        return None
    if isinstance(request, Tensor):
        return request
    supply = supply_of(source)
    classes = range(source.spec.num_classes) if supply is None else [c for c, images in enumerate(supply) if images]
    draws = [
        category_rows(len(classes), part_seed(seed, start, size), "labels", 0, min(size, request - start))
        for start in range(0, request, size)
    ]
    return torch.tensor(list(classes), device="cpu")[torch.cat(draws)]


def file_names(labels: Tensor | None, folders: list[str], count: int) -> list[str]:
    """The files of ``count`` images in their order: numbered, in the folders of their labels if they have any."""
    numbers: Counter[str] = Counter()
    names = []
    for label in [None] * count if labels is None else labels.tolist():
        folder = "" if label is None else f"{folders[label]}/"
        names.append(f"{folder}{numbers[folder]:05d}.png")
        numbers[folder] += 1
    return names


def identity_of(source: Any) -> dict[str, Any]:
    """What distinguishes this source from others of the same name, in plain values: its recipe, its weights, and its
    own ``identity``, if it has one."""
    identity: dict[str, Any] = {"shape": list(source.spec.shape)}
    own = getattr(source, "identity", None)
    if own is not None:
        identity["identity"] = own
    recipe = recipe_of(source)
    if recipe is not None:
        identity["recipe"] = recipe.model_dump(mode="json")
    elif isinstance(source, Generator):
        weights = encode_generator(source.manifest_fields(), source.nets.state_dict())[WEIGHTS_FILE]
        identity["weights_sha256"] = hashlib.sha256(weights).hexdigest()
    return identity


def check_settings(place: Claim, settings: Mapping[str, Any], overwrite: bool) -> None:
    """Raises ``OutputExistsError`` if the folder contains images with other settings, or with settings that its record
    doesn't tell, unless ``overwrite``."""
    if overwrite or not any(is_file(place.path / name) for name in place.files if name != RECORD_FILE):
        return
    if problem := difference(_read_record(place), settings):
        raise OutputExistsError(
            f"{place.path} contains samples {problem}. Choose another folder, or pass overwrite=True (--overwrite) to "
            "replace them."
        )


def difference(record: Mapping[str, Any] | None, settings: Mapping[str, Any]) -> str | None:
    """What distinguishes samples with this record, None for a damaged one, from those of other settings, in words that
    follow "samples"; None if nothing does."""
    if record is None or "source" not in record:
        return f"with unknown settings, since their {RECORD_FILE} is missing or damaged"
    changed = differences(record, settings)
    return f"with other settings: {changed[0]}" if changed else None


def differences(record: Mapping[str, Any], settings: Mapping[str, Any]) -> list[str]:
    """A clause for each setting that a record has with another value, or not at all."""
    return [
        f"{name} was {_brief(record.get(name))}, now it is {_brief(value)}"
        for name, value in settings.items()
        if _as_json(record.get(name)) != _as_json(value)
    ]


def _as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def _brief(value: Any) -> str:
    text = _as_json(value)
    return text if len(text) <= 100 else f"{text[:100]}…"


def _read_record(place: Claim) -> dict[str, Any] | None:
    """The record that genaug wrote with the samples; None if there is none, or it is damaged."""
    if RECORD_FILE not in place.files or not is_file(place.path / RECORD_FILE):
        return None
    try:
        return read_json(place.path / RECORD_FILE, _RECORD, "Remove it.", limit=MAX_RECORD_BYTES)
    except FormatError:
        return None


def _write_record(place: Claim, record: Mapping[str, Any], *, complete: bool) -> None:
    content = json.dumps({**record, "complete": complete}, indent=2) + "\n"
    place.put(RECORD_FILE, content.encode(), durable=True)


def _is_complete(path: Path) -> bool:
    """Whether an image was written to its end: after a power failure a file may be empty or cut short."""
    if not is_file(path) or path.stat().st_size < len(_PNG_END):
        return False
    with open(path, "rb") as file:
        file.seek(-len(_PNG_END), io.SEEK_END)
        return file.read() == _PNG_END


def png(image: Tensor) -> bytes:
    buffer = io.BytesIO()
    to_pil(image).save(buffer, "PNG")
    return buffer.getvalue()
