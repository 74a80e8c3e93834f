"""The sources of a study: backends trained for every seed, functions that make one, and pretrained sources; of samples
or, as ``AsClassifier``, of classifiers."""

import hashlib
import re
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch

from genaug.artifacts.claims import discard, settle
from genaug.backends.spec import Spec
from genaug.data.classes import match_classes
from genaug.data.reading import Samples, fingerprint, shared_samples
from genaug.errors import FormatError, GenaugError, InputError, OutputExistsError, SaveError, TrainingWarning
from genaug.evaluation.subject import learned_from, training_record
from genaug.randomness import seeded
from genaug.sources.export import identity_of
from genaug.sources.generator import Generator
from genaug.sources.loading import load_folder
from genaug.sources.pool import SamplePool
from genaug.sources.source import Source, check_source, check_supply, checked_sample, supply_of
from genaug.studies.arms import RESERVED
from genaug.studies.blending import draw
from genaug.studies.cells import run_folder
from genaug.studies.classifiers import AsClassifier, check_trained, generators_of, is_estimator, is_trained
from genaug.studies.identity import described
from genaug.studies.mixes import Mix, plans_in
from genaug.studies.recipes import Recipe, checked_recipe, describe_recipe
from genaug.studies.splits import LabelledSamples
from genaug.training.balance import few_images_expected
from genaug.training.callbacks import without_sample_grids
from genaug.training.distributed import training_alone
from genaug.training.fit import fit

_LEARNED_FROM_TEST = (
    "{} was trained on the test set, according to its record, so it can't be judged on it. Pass another test set."
)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


# A function of a seed's training set (a map-style dataset) and of a seed for its random numbers.
SourceFunction = Callable[[Any, int], Source]
SourcePlan = Recipe | SourceFunction | Source | AsClassifier | Mix


def resolve(
    sources: Mapping[str, Any], spec: Spec, train: LabelledSamples, image_size: int | None = None
) -> dict[str, SourcePlan]:
    """Sources by name, checked: a backend's name, a ``Recipe`` (or a mapping of its fields), a function that makes a
    source for every seed, a source object, ``AsClassifier``, or a ``Mix``. What a function returns is checked when it
    is called.

    ``spec`` describes the training samples ``train``. Raises ``InputError`` for invalid names and for sources that
    can't be blended with the data, ``PluginError`` for an unknown backend.
    """
    if not isinstance(sources, Mapping) or not sources:
        raise InputError(
            "sources must map at least one name to a backend's name, a Recipe, a function of (images, seed), a source "
            "object, AsClassifier(...) or Mix(...)."
        )
    checked: dict[str, SourcePlan] = {}
    for name, source in sources.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name) or name in RESERVED:
            raise InputError(
                f"a source can't be called {name!r}. Use letters, digits, '.', '_' and '-', and none of "
                f"{', '.join(RESERVED)}, which are arms already."
            )
        try:
            if isinstance(source, AsClassifier):
                checked[name] = AsClassifier(_classifier(source.of, spec, train, image_size))
            elif isinstance(source, Mix):
                checked[name] = _mix(source, spec, train, image_size)
            else:
                checked[name] = _checked(source, spec, train, image_size)
        except InputError as error:
            raise InputError(f"source {name!r}: {error}") from error
    return checked


def _checked(
    source: Any, spec: Spec, train: LabelledSamples, image_size: int | None
) -> Recipe | SourceFunction | Source:
    """One source of samples, checked."""
    if isinstance(source, str | Mapping | Recipe):
        return checked_recipe(source, spec, image_size)
    if not callable(source) or isinstance(source, Source):
        _check_pretrained(source, spec, train)
    return source  # type: ignore[no-any-return]


def _mix(mix: Mix, spec: Spec, train: LabelledSamples, image_size: int | None) -> Mix:
    """A mix with its sources checked."""
    parts = {}
    for name, source in mix.sources.items():
        if not _NAME.fullmatch(name):
            raise InputError(f"a source can't be called {name!r}. Use letters, digits, '.', '_' and '-'.")
        if isinstance(source, AsClassifier | Mix):
            raise InputError(f"{name!r} is {type(source).__name__}(...), which can't be part of a Mix. Leave it out.")
        try:
            parts[name] = _checked(source, spec, train, image_size)
        except InputError as error:
            raise InputError(f"{name!r}: {error}") from error
    return Mix(parts, mix.weights)


def _classifier(what: Any, spec: Spec, train: LabelledSamples, image_size: int | None) -> Any:
    """The argument of ``AsClassifier``, checked."""
    if isinstance(what, Recipe):
        return checked_recipe(what, spec, image_size, classifies=True)
    if not is_estimator(what) and (is_trained(what) or not callable(what) or isinstance(what, type)):
        check_trained(what, spec, train)
    return what


def recipes_in(name: str, source: SourcePlan) -> dict[str, Recipe]:
    """The recipes that are trained for every seed, by the names of their generators: none or one, or several of a
    ``Mix``."""
    plans = plans_in(name, source.of if isinstance(source, AsClassifier) else source)
    return {key: plan for key, plan in plans.items() if isinstance(plan, Recipe)}


def _check_pretrained(source: Any, spec: Spec, train: LabelledSamples) -> None:
    """Raises ``InputError`` unless a source's samples can be blended with the training samples."""
    source_spec, modality = check_source(source), spec.sample
    if source_spec.sample.kind != modality.kind:
        raise InputError(
            f"its samples are {source_spec.sample.noun}, and the data are {modality.noun}. Pass another source."
        )
    present = train.labels.unique().tolist()
    match = match_classes(present, spec.class_names, source_spec)[present]
    check_supply(source, match)
    if modality.is_augmentable and source_spec.shape != spec.shape:
        shapes = ["x".join(map(str, shape)) for shape in (source_spec.shape, spec.shape)]
        raise InputError(
            f"it makes {modality.noun} of {shapes[0]}, the data are {shapes[1]}. Pass image_size= or another source."
        )
    if source_spec.sample != modality:  # such as rows of a table with other columns
        draw(source, torch.as_tensor(match), 0, spec)


def check_saw(
    sources: Mapping[str, SourcePlan], test: Samples, train: Samples, test_as_read: Samples | None = None
) -> None:
    """``test_as_read`` is the test set as a training would have read it, if ``test`` has the form of ``train`` instead.

    Raises ``InputError`` for a source whose record, or that of a generator that it visibly uses, says that it was
    trained on the test set itself, for a pool or unlabeled images that contain a test image, byte for byte, and for a
    trained classifier that has seen the labels of the complete training set, with those that inner splits hold out."""
    may_coincide = train.spec.sample.may_coincide
    parts = {key: part for name, source in sources.items() for key, part in plans_in(name, source).items()}
    for name, source in parts.items():
        plan = source.of if isinstance(source, AsClassifier) else source
        if any(learned_from(origin, test_as_read or test) for origin in (plan, *generators_of(plan))):
            raise InputError(_LEARNED_FROM_TEST.format(f"source {name!r}"))
        record = training_record(plan)
        if isinstance(source, AsClassifier) and fingerprint(train) in (
            record.get("data_sha256"),
            record.get("labelled_sha256"),
        ):
            raise InputError(
                f"source {name!r} is a classifier that was trained on all of these training {train.spec.sample.noun} "
                "and their labels, according to its record, also on those by which the study chooses an arm. Pass a "
                f"Recipe or a function, which see a seed's {train.spec.sample.noun} only, or a classifier that was "
                "trained on others."
            )
        unlabelled = plan.unlabelled if isinstance(plan, Recipe) else None
        if unlabelled is not None and (shared := len(shared_samples(unlabelled.images, test.x))):
            raise InputError(
                f"{shared:,} of the {len(unlabelled):,} unlabeled images of source {name!r} are test images, byte for "
                "byte, so it can't be judged on them. Remove them."
            )
        inner: Any = source
        while not isinstance(inner, SamplePool) and hasattr(inner, "inner"):  # labeled or filtered
            inner = inner.inner
        if not may_coincide and isinstance(inner, SamplePool) and (shared := len(shared_samples(inner.images, test.x))):
            raise InputError(
                f"{shared:,} of the {len(inner):,} images of source {name!r} are test images, byte for byte, so it "
                "can't be judged on them. Remove them from the source."
            )


def check_not_learned_from(classifiers: Mapping[str, Any], test: Samples) -> None:
    """Raises ``InputError`` for a curriculum's classifier whose record says that it was trained on the test set."""
    for name, classifier in classifiers.items():
        if learned_from(classifier, test):
            raise InputError(_LEARNED_FROM_TEST.format(f"the classifier of schedule {name!r}"))


def describe_source(source: SourcePlan, train: Samples) -> dict[str, Any]:
    """A description of a source, for the report and to recognize the source when a study is resumed."""
    if isinstance(source, AsClassifier):
        return {"route": "classifier", **_describe_classifier(source.of, train)}
    if isinstance(source, Mix):
        parts = {name: describe_source(part, train) for name, part in source.sources.items()}
        return {"trained": "as its parts are", "parts": parts, "shares": source.shares}
    if isinstance(source, Recipe):
        return describe_recipe(source, train)
    if not isinstance(source, Source):
        return _describe_function(source, train)
    supply = supply_of(source)
    return {
        **_describe_pretrained(source, train),
        "type": type(source).__name__ + ("" if supply is None else f" of {sum(supply):,} images"),
        "samples_sha256": _samples_sha256(source),
    }


def _describe_pretrained(what: Any, train: Samples) -> dict[str, Any]:
    """What a pretrained source or classifier has seen, according to its record."""
    record = dict(training_record(what))
    count = record.get("images")
    saw = f"{count:,} {train.spec.sample.noun}" if isinstance(count, int) else "unknown: it has no record of that"
    if fingerprint(train) in (record.get("data_sha256"), record.get("labelled_sha256")):
        saw += f", the whole training set of this study, other seeds' {train.spec.sample.noun} included"
    if isinstance(record.get("labelled_images"), int):
        saw += f", and its labels come from {record['labelled_images']:,} labeled images"
    return {
        "trained": "before the study (declared pretrained); it may have seen more than the seeds' training "
        f"{train.spec.sample.noun}",
        "saw": saw,
        "record": record,
    }


def _describe_function(function: Any, train: Samples) -> dict[str, Any]:
    """A function of a seed's training samples, and the pretrained generators that it visibly uses."""
    generators = list(generators_of(function))
    description = {
        "trained": f"for every seed, by a function of its training {train.spec.sample.noun}",
        "function": " ".join(described(function).split()),
    }
    if not generators:
        return description
    saw = "; ".join(_describe_pretrained(generator, train)["saw"] for generator in generators)
    return {
        **description,
        "saw": f"these {train.spec.sample.noun}, and its pretrained generator: {saw}",
        "generators": [identity_of(generator) for generator in generators],
    }


def _describe_classifier(what: Any, train: Samples) -> dict[str, Any]:
    if isinstance(what, Recipe):
        return describe_recipe(what, train)
    if not is_estimator(what) and not is_trained(what):
        return _describe_function(what, train)
    generators = [identity_of(generator) for generator in generators_of(what)]
    if is_estimator(what):
        estimator, noun = " ".join(described(what).split()), train.spec.sample.noun
        trained = {"trained": f"for every seed, by its fit to that seed's training {noun}", "estimator": estimator}
    else:
        trained = {**_describe_pretrained(what, train), "type": type(what).__name__}
    return {**trained, **({"generators": generators} if generators else {})}


def _samples_sha256(source: Source) -> str:
    """A hash that identifies a pretrained source: of a few samples, or of all images of a pool."""
    if isinstance(source, SamplePool):
        return hashlib.sha256(source.counts.tobytes() + source.images.numpy().tobytes()).hexdigest()
    labels = torch.arange(source.spec.num_classes)[:16] if source.spec.takes_labels else None
    samples = checked_sample(source, 16 if labels is None else len(labels), labels, 0)
    return hashlib.sha256(samples.cpu().numpy().tobytes()).hexdigest()


def call(function: SourceFunction, samples: LabelledSamples, seed: int, spec: Spec) -> Source:
    """The source that a function makes of a seed's training samples. Raises ``InputError`` if it can't be blended."""
    with seeded(seed):
        source = function(samples.dataset, seed)
    _check_pretrained(source, spec, samples)
    return source


def train(recipe: Recipe, samples: LabelledSamples, folder: Path, seed: int, device: str) -> Generator:
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
        **{field.name: getattr(recipe, field.name) for field in fields(recipe) if field.name != "backend"},
        "seed": seed,
        "device": device,
        "checkpoint_every": max(500, recipe.steps // 4),
        "progress": False,
    }
    with warnings.catch_warnings(), training_alone(), few_images_expected(), without_sample_grids():
        warnings.filterwarnings("ignore", "no training sample is of class", TrainingWarning)  # the report says so
        try:
            generator = fit(recipe.backend, samples.dataset, out=run, resume=run.exists(), **settings)
        except (SaveError, OutputExistsError):
            raise
        except GenaugError:
            if not run.exists():
                raise
            generator = fit(recipe.backend, samples.dataset, out=run, overwrite=True, **settings)
    generator.save(folder, overwrite=True)
    discard(run)
    return generator
