"""The sources of a study: backends trained for every seed, functions that make one, and pretrained sources."""

import hashlib
import re
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from genaug.artifacts.claims import discard, settle
from genaug.backends import registry
from genaug.backends.backend import parse_config
from genaug.backends.spec import Spec
from genaug.checks import as_whole
from genaug.data.classes import match_classes
from genaug.data.reading import Samples, fingerprint, shared_samples
from genaug.errors import FormatError, GenaugError, InputError, OutputExistsError, SaveError, TrainingWarning
from genaug.evaluation.subject import learned_from, training_record
from genaug.labelling.source import LabelledSource
from genaug.nn.diffaugment import check_policy
from genaug.randomness import seeded
from genaug.sources.generator import Generator
from genaug.sources.loading import load_folder
from genaug.sources.pool import SamplePool
from genaug.sources.source import Source, check_source, check_supply, checked_sample, image_shape, supply_of
from genaug.studies.arms import RESERVED
from genaug.studies.cells import run_folder
from genaug.studies.identity import described
from genaug.studies.splits import Images
from genaug.training.distributed import training_alone
from genaug.training.fit import fit

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True)
class Recipe:
    """How a backend is trained for every seed: the arguments of ``genaug.fit``.

    ``augment`` is applied to the discriminator's images: "affine" is what classic augmentation does by default, so that
    both have the same knowledge about the data.
    """

    backend: str
    steps: int = 2000
    batch_size: int = 32
    augment: tuple[str, ...] = ("affine",)
    config: Mapping[str, Any] = field(default_factory=dict)


# A function of a seed's training images (a map-style dataset) and of a seed for its random numbers.
SourceFunction = Callable[[Images, int], Source]
SourcePlan = Recipe | SourceFunction | Source


def resolve(sources: Mapping[str, Any], spec: Spec, present: list[int]) -> dict[str, SourcePlan]:
    """Sources by name, checked: a backend's name, a ``Recipe`` (or a mapping of its fields), a function that makes a
    source for every seed, or a source object. What a function returns is checked when it is called.

    ``spec`` describes the data and ``present`` lists their classes. Raises ``InputError`` for invalid names and for
    sources that can't be blended with the data, ``PluginError`` for an unknown backend.
    """
    if not isinstance(sources, Mapping) or not sources:
        raise InputError(
            "sources must map at least one name to a backend's name, a Recipe, a function of (images, seed) or a "
            "source object."
        )
    checked: dict[str, SourcePlan] = {}
    for name, source in sources.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name) or name in RESERVED:
            raise InputError(
                f"a source can't be called {name!r}. Use letters, digits, '.', '_' and '-', and none of "
                f"{', '.join(RESERVED)}, which are arms already."
            )
        try:
            if isinstance(source, str | Mapping | Recipe):
                checked[name] = _recipe(source, spec)
            elif callable(source) and not isinstance(source, Source):
                checked[name] = source
            else:
                _check_pretrained(source, spec, present)
                checked[name] = source
        except InputError as error:
            raise InputError(f"source {name!r}: {error}") from error
    return checked


def _recipe(source: str | Mapping[str, Any] | Recipe, spec: Spec) -> Recipe:
    if isinstance(source, str):
        source = Recipe(source)
    elif isinstance(source, Mapping):
        try:
            source = Recipe(**source)
        except TypeError as error:
            raise InputError(f"{error}. Expected backend, steps, batch_size, augment and config.") from error
    as_whole(source.steps, "steps", 1)
    as_whole(source.batch_size, "batch_size", 1)
    backend = registry.resolve(source.backend)
    config = parse_config(source.backend, backend.Config, source.config)
    if not backend.describe(config, spec).takes_labels:
        raise InputError(
            f"{source.backend!r} with these options takes no labels, so a classifier can't learn from its samples. "
            "Train a generator first and pass genaug.with_labels(generator, labelled_set)."
        )
    return replace(source, augment=check_policy(source.augment), config=config.model_dump(mode="json"))


def _check_pretrained(source: Any, spec: Spec, present: list[int]) -> None:
    source_spec = check_source(source)
    image_shape(source_spec, "study")
    check_supply(source, match_classes(present, spec.class_names, source_spec)[present])
    if source_spec.shape != spec.shape:
        shapes = ["x".join(map(str, shape)) for shape in (source_spec.shape, spec.shape)]
        raise InputError(
            f"it makes images of {shapes[0]}, the data are {shapes[1]}. Pass image_size= or another source."
        )


def check_saw(sources: Mapping[str, SourcePlan], test: Samples) -> None:
    """Raises ``InputError`` for a source whose record says that it was trained on the test set itself, and for a pool
    that contains a test image, byte for byte."""
    for name, source in sources.items():
        if learned_from(source, test):
            raise InputError(
                f"source {name!r} was trained on the test set, according to its record, so it can't be judged on it. "
                "Pass another test set."
            )
        inner: Any = source
        while isinstance(inner, LabelledSource):
            inner = inner.inner
        if isinstance(inner, SamplePool) and (shared := len(shared_samples(inner.images, test.x))):
            raise InputError(
                f"{shared:,} of the {len(inner):,} images of source {name!r} are test images, byte for byte, so it "
                "can't be judged on them. Remove them from the source."
            )


def describe_source(source: SourcePlan, train: Samples) -> dict[str, Any]:
    """A description of a source, for the report and to recognize the source when a study is resumed."""
    if isinstance(source, Recipe):
        return {"trained": "for every seed, on that seed's training images only", **asdict(source)}
    if not isinstance(source, Source):
        return {"trained": "for every seed, by a function of its training images", "function": described(source)}
    record, supply = dict(training_record(source)), supply_of(source)
    images = record.get("images")
    saw = f"{images:,} images" if isinstance(images, int) else "unknown: it has no record of that"
    if record.get("data_sha256") == fingerprint(train):
        saw += ", the whole training set of this study, other seeds' images included"
    if isinstance(record.get("labelled_images"), int):
        saw += f", and its labels come from {record['labelled_images']:,} labeled images"
    return {
        "trained": "before the study (declared pretrained); it may have seen more than the seeds' training images",
        "saw": saw,
        "record": record,
        "type": type(source).__name__ + ("" if supply is None else f" of {sum(supply):,} images"),
        "samples_sha256": _samples_sha256(source),
    }


def _samples_sha256(source: Source) -> str:
    """A hash that identifies a pretrained source: of a few samples, or of all images of a pool."""
    if isinstance(source, SamplePool):
        return hashlib.sha256(source.counts.tobytes() + source.images.numpy().tobytes()).hexdigest()
    labels = torch.arange(source.spec.num_classes)[:16] if source.spec.takes_labels else None
    images = checked_sample(source, 16 if labels is None else len(labels), labels, 0)
    return hashlib.sha256(images.cpu().numpy().tobytes()).hexdigest()


def call(function: SourceFunction, images: Images, seed: int, spec: Spec) -> Source:
    """The source that a function makes of a seed's training images. Raises ``InputError`` if it can't be blended."""
    with seeded(seed):
        source = function(images, seed)
    _check_pretrained(source, spec, images.labels.unique().tolist())
    return source


def train(recipe: Recipe, images: Images, folder: Path, seed: int, device: str) -> Generator:
    """Train a generator and save it as ``folder``, or load it if it exists already; a killed training is resumed.

    A generator that is damaged, or whose saving was interrupted, is trained again.
    """
    run = run_folder(folder)
    if folder.is_dir():
        settle(folder)
        with suppress(FormatError):
            generator = load_folder(folder, device=device)
            discard(run)  # left by a process that was killed after it had saved the generator
            return generator
    settings: dict[str, Any] = {
        **{key: value for key, value in asdict(recipe).items() if key != "backend"},
        "seed": seed,
        "device": device,
        "checkpoint_every": max(500, recipe.steps // 4),
        "progress": False,
    }
    with warnings.catch_warnings(), training_alone():
        warnings.filterwarnings("ignore", "no training sample is of class", TrainingWarning)  # the report says so
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
