"""The schedules and curricula of a study: checks, descriptions, and what an arm's training uses when."""

import hashlib
import math
import re
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

import torch
from torch import Tensor

from genaug.backends.spec import Spec
from genaug.blend.curriculum import Curriculum
from genaug.data.shares import as_share
from genaug.errors import InputError
from genaug.randomness import derive_seed
from genaug.schedules import Schedule
from genaug.sources.confidence import ClassProbabilities
from genaug.sources.generator import Generator
from genaug.sources.source import image_shape
from genaug.studies.arms import NONE, Arm
from genaug.studies.blending import Part, part_of
from genaug.studies.learners import Learner
from genaug.studies.splits import LabelledSamples

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,63}")
_IMAGES, _DIGITS = 16, 3  # of which a curriculum's classifier is recognized, by rounded probabilities
Course = Schedule | Curriculum


def check_courses(schedules: Any) -> dict[str, Course]:
    """The schedules and curricula by name. Raises ``InputError`` for anything else, and for a schedule that uses only
    real or only generated samples."""
    if schedules is None:
        return {}
    if not isinstance(schedules, Mapping):
        raise InputError(
            "schedules must map names to schedules of genaug.schedules or genaug.Curriculum(...), such as "
            f"{{'decay': linear(0.8, 0, epochs=10)}}, got {type(schedules).__name__}."
        )
    for name, course in schedules.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise InputError(
                f"a schedule can't be called {name!r}. Use letters, digits, '.', '_' and '-', and begin with a letter."
            )
        if not isinstance(course, Schedule | Curriculum):
            raise InputError(
                f"schedule {name!r} must be a schedule of genaug.schedules or a genaug.Curriculum, got {course!r}."
            )
        if isinstance(course, Schedule) and not 0 < fmean(course.values) < 1:
            kind = "real" if course.values[0] == 0 else "generated"
            raise InputError(
                f"schedule {name!r} uses only {kind} samples in every epoch. Expected one that uses real and generated "
                "ones."
            )
    return dict(schedules)


def check_classifiers(courses: Mapping[str, Course], spec: Spec, train: LabelledSamples) -> None:
    """Raises ``InputError`` for a curriculum whose classifier doesn't classify the training samples."""
    for name, course in courses.items():
        if isinstance(course, Curriculum):
            try:
                image_shape(spec, "a curriculum")
                if course.classifier is not None:
                    _probabilities(course, spec, train)(train.samples[:_IMAGES])
            except InputError as error:
                raise InputError(f"schedule {name!r}: {error}") from error


def describe_course(course: Course, spec: Spec, train: LabelledSamples) -> dict[str, Any]:
    """A description for the report, by which a resumed study recognizes the schedule or curriculum."""
    if isinstance(course, Schedule):
        return {"kind": "ratio", "values": [float(value) for value in course.values], "text": repr(course)}
    values = [float(value) for value in course.share.values]
    described = {"kind": "curriculum", "values": values, "text": repr(course.share)}
    if course.classifier is None:
        return {**described, "classifier": "the study's, trained on each seed's real samples"}
    scores = _probabilities(course, spec, train)(train.samples[:_IMAGES])
    rounded = " ".join(str(round(value, _DIGITS) + 0.0) for value in scores.flatten().tolist())
    name = type(course.classifier).__name__
    return {**described, "classifier": f"{name} [{hashlib.sha256(rounded.encode()).hexdigest()[:8]}]"}


def ratios_of(ratios: Sequence[float], courses: Mapping[str, Course]) -> tuple[float, ...]:
    """All generated shares of batches in a study, ascending, without 0."""
    values = {value for course in courses.values() if isinstance(course, Schedule) for value in course.values}
    return tuple(sorted({float(value) for value in (*ratios, *values) if value}))


def mean_ratios(ratios: Sequence[float], courses: Mapping[str, Course]) -> list[float]:
    """The mean generated share of each arm's training: its ratio, or the mean of its schedule."""
    return [*ratios, *(fmean(course.values) for course in courses.values() if isinstance(course, Schedule))]


def scheduled(schedule: Schedule, pool: LabelledSamples, counts: Mapping[float, Tensor]) -> list[Part]:
    """The parts of a training with a schedule. ``counts`` are the generated samples of each class by ratio."""
    pools: dict[tuple[int, ...], LabelledSamples] = {}
    parts: dict[float, Part] = {0.0: Part(0.0, None)}
    for ratio in map(float, schedule.values):
        if ratio not in parts:
            key = tuple(counts[ratio].tolist())
            pools.setdefault(key, part_of(pool, counts[ratio]))
            parts[ratio] = Part(ratio, pools[key])
    return [parts[float(ratio)] for ratio in schedule.values]


def confident_first(curriculum: Curriculum, generated: LabelledSamples, confidence: Tensor, ratio: float) -> list[Part]:
    """The parts of a training at a constant ratio that draws from the share of each class, at least one sample, with
    the highest ``confidence`` (N,)."""
    parts: dict[float, Part] = {}
    order = torch.argsort(confidence, descending=True, stable=True)
    ranked = [order[generated.labels[order] == label] for label in generated.labels.unique()]
    for value in map(float, curriculum.share.values):
        if value not in parts:
            share = as_share(value, "a curriculum's share")
            rows = torch.cat([own[: math.ceil(share * len(own))] for own in ranked])
            parts[value] = Part(ratio, generated.part(rows))
    return [parts[float(value)] for value in curriculum.share.values]


def confidence_of(
    curriculum: Curriculum,
    generated: LabelledSamples,
    real: LabelledSamples,
    *,
    learner: Learner,
    spec: Spec,
    seed: int,
) -> Tensor:
    """The probability (N,) that the curriculum's classifier gives to each sample's label. Without one, it is the
    study's own, trained on the seed's ``real`` samples alone."""
    if curriculum.classifier is None:
        fitted = learner.fit(NONE, real, (), spec, derive_seed(seed, "curriculum"))
        scores = fitted.predict(generated.samples).scores
        assert scores is not None
    else:
        scores = _probabilities(curriculum, spec, real)(generated.samples)
    return scores[torch.arange(len(generated)), generated.labels].double()


def classifiers_in(courses: Mapping[str, Course]) -> dict[str, Generator]:
    """The curricula's classifiers that are generators, by the name of the curriculum: their records say what they were
    trained on."""
    curricula = {name: course for name, course in courses.items() if isinstance(course, Curriculum)}
    return {name: each.classifier for name, each in curricula.items() if isinstance(each.classifier, Generator)}


def label_of(arm: Arm) -> str:
    """How an arm's generated samples are blended in, in words: "at ratio 0.5"."""
    if arm.schedule is not None:
        return f"with the schedule {arm.schedule!r} (mean ratio {arm.ratio:.3g})"
    return f"at ratio {arm.ratio:g}" + (f" with the curriculum {arm.curriculum!r}" if arm.curriculum else "")


def _probabilities(curriculum: Curriculum, spec: Spec, samples: LabelledSamples) -> ClassProbabilities:
    present = samples.labels.unique().tolist()
    return ClassProbabilities(
        curriculum.classifier, spec.sample, present, spec.class_names, "the curriculum's classifier", exact=False
    )
