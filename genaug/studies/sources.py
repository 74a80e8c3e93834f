"""What a study draws generated images from: a backend trained for every seed, or a source that is there already."""

import hashlib
import re
import warnings
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from genaug.artifacts.claims import discard, settle
from genaug.backends import registry
from genaug.backends.backend import parse_config
from genaug.backends.spec import Spec
from genaug.data.classes import match_classes
from genaug.data.reading import Samples, fingerprint, shared_samples
from genaug.errors import FormatError, GenaugError, InputError, OutputExistsError, SaveError, TrainingWarning
from genaug.labelling.source import LabelledSource
from genaug.nn.diffaugment import check_policy
from genaug.sources.generator import Generator
from genaug.sources.loading import load_folder
from genaug.sources.pool import SamplePool
from genaug.sources.source import Source, check_source, check_supply, checked_sample, image_shape, supply_of
from genaug.studies.arms import RESERVED
from genaug.studies.cells import run_folder
from genaug.studies.splits import Images
from genaug.training.distributed import training_alone
from genaug.training.fit import fit

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True)
class Recipe:
    """How a backend is trained for every seed; the arguments of ``genaug.fit``.

    ``augment`` is what the discriminator's images go through: "affine" is what classic augmentation does by default,
    so that the two arms are told the same about the data.
    """

    backend: str
    steps: int = 2000
    batch_size: int = 32
    augment: tuple[str, ...] = ("affine",)
    config: Mapping[str, Any] = field(default_factory=dict)


def resolve(sources: Mapping[str, Any], spec: Spec, present: list[int]) -> dict[str, Recipe | Source]:
    """Sources by name, checked: a backend's name, a ``Recipe`` (or a mapping of its fields), or a source object.

    ``spec`` is the data's and ``present`` their classes. Raises ``InputError`` for bad names and for sources that
    can't be blended with the data, ``PluginError`` for a backend that isn't there.
    """
    if not isinstance(sources, Mapping) or not sources:
        raise InputError("sources must map at least one name to a backend's name, a Recipe or a source object.")
    found: dict[str, Recipe | Source] = {}
    for name, what in sources.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name) or name in RESERVED:
            raise InputError(
                f"a source can't be called {name!r}: use letters, digits, '.', '_' and '-', and none of "
                f"{', '.join(RESERVED)}, which are arms already."
            )
        found[name] = (
            _recipe(name, what, spec) if isinstance(what, str | Mapping | Recipe) else _ready(name, what, spec, present)
        )
    return found


def _recipe(name: str, what: Any, spec: Spec) -> Recipe:
    if isinstance(what, str):
        what = Recipe(what)
    elif isinstance(what, Mapping):
        try:
            what = Recipe(**what)
        except TypeError as error:
            raise InputError(
                f"source {name!r}: {error}. Its fields: backend, steps, batch_size, augment, config."
            ) from error
    assert isinstance(what, Recipe)
    for number in (what.steps, what.batch_size):
        if isinstance(number, bool) or not isinstance(number, int) or number < 1:
            raise InputError(f"source {name!r}: steps and batch_size must be integers of 1 or more, got {number!r}.")
    backend = registry.resolve(what.backend)
    config = parse_config(what.backend, backend.Config, what.config)
    if not backend.describe(config, spec).takes_labels:
        raise InputError(
            f"source {name!r}: what {what.backend!r} trains, as configured, has no labels, so a classifier can't learn "
            "from it. Train a generator beforehand and pass genaug.with_labels(generator, labelled_set)."
        )
    return Recipe(what.backend, what.steps, what.batch_size, check_policy(what.augment), config.model_dump(mode="json"))


def _ready(name: str, source: Any, spec: Spec, present: list[int]) -> Source:
    try:
        made = check_source(source)
        image_shape(made, "study")
        match = match_classes(present, spec.class_names, made)
        check_supply(source, match[present])
    except InputError as error:
        raise InputError(f"source {name!r}: {error}") from error
    if made.shape != spec.shape:
        shapes = ["x".join(map(str, shape)) for shape in (made.shape, spec.shape)]
        raise InputError(
            f"source {name!r} makes images of {shapes[0]}, the data are {shapes[1]}. Pass image_size= or another one."
        )
    ready: Source = source
    return ready


def check_saw(sources: Mapping[str, Recipe | Source], test: Samples) -> None:
    """Raises ``InputError`` for a source whose record says that it was trained on the test set itself, and for a pool
    that holds a test image, to the byte."""
    for name, source in sources.items():
        if not isinstance(source, Recipe) and _record(source).get("data_sha256") == fingerprint(test):
            raise InputError(f"source {name!r} was trained on the test set, its record says: it can't be judged on it.")
        held = _pool_within(source)
        if held is not None:
            shared = len(shared_samples(held.images, test.x))
            if shared:
                raise InputError(
                    f"{shared:,} of the {len(held):,} images of source {name!r} are test images, to the byte: it can't "
                    "be judged on them."
                )


def _pool_within(source: Any) -> SamplePool | None:
    """The pool that a source is, or that it labels."""
    while isinstance(source, LabelledSource):
        source = source.inner
    return source if isinstance(source, SamplePool) else None


def told(source: Recipe | Source, train: Samples) -> dict[str, Any]:
    """What the report says of a source, and what makes it the same one when a study is resumed."""
    if isinstance(source, Recipe):
        return {"trained": "for every seed, on that seed's training images only", **asdict(source)}
    record = _record(source)
    saw = (
        f"{record['images']:,} images" if isinstance(record.get("images"), int) else "unknown: it has no record of that"
    )
    if record.get("data_sha256") == fingerprint(train):
        saw += ", the whole training set of this study, other seeds' images included"
    if isinstance(record.get("labelled_images"), int):
        saw += f", and its labels come from {record['labelled_images']:,} labelled images"
    return {
        "trained": "before the study (declared pretrained); it may have seen more than the seeds' training images",
        "saw": saw,
        "record": record,
        "type": _kind(source),
        "samples_sha256": _samples_sha256(source),
    }


def _kind(source: Source) -> str:
    supply = supply_of(source)
    return type(source).__name__ + ("" if supply is None else f" of {sum(supply):,} images")


def _record(source: Any) -> dict[str, Any]:
    record = getattr(source, "training", None)
    return dict(record) if isinstance(record, Mapping) else {}


def _samples_sha256(source: Source) -> str:
    """A few samples tell one pretrained source from another; of a pool all."""
    if isinstance(source, SamplePool):
        return hashlib.sha256(source.counts.tobytes() + source.images.numpy().tobytes()).hexdigest()
    labels = None
    if source.spec.takes_labels:
        import torch

        labels = torch.arange(source.spec.num_classes)[:16]
    images = checked_sample(source, 16 if labels is None else len(labels), labels, 0)
    return hashlib.sha256(images.cpu().numpy().tobytes()).hexdigest()


def train(recipe: Recipe, images: Images, folder: Path, seed: int, device: str) -> Generator:
    """Train a generator and save it as ``folder``, or load it where it is there already; a killed training goes on.

    A generator that was damaged, or killed while it was saved, is trained again.
    """
    run = run_folder(folder)
    if folder.is_dir():
        settle(folder)
        with suppress(FormatError):
            generator = load_folder(folder, device=device)
            discard(run)  # of a process that was killed after it had saved the generator
            return generator
    settings: dict[str, Any] = {
        **{key: value for key, value in asdict(recipe).items() if key != "backend"},
        "seed": seed,
        "device": device,
        "checkpoint_every": max(500, recipe.steps // 4),
        "progress": False,
    }
    with warnings.catch_warnings(), training_alone():
        warnings.filterwarnings("ignore", "no training image is of class", TrainingWarning)  # the report says so, once
        try:
            generator = fit(recipe.backend, images, out=run, resume=run.exists(), **settings)
        except (SaveError, OutputExistsError):
            raise
        except GenaugError:
            if not run.exists():
                raise
            generator = fit(recipe.backend, images, out=run, overwrite=True, **settings)
    generator.save(folder, overwrite=True)
    discard(run)
    return generator
