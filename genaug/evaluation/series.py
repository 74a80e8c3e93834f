"""The evaluation of series: values, their order in time, judges and predictors, classifiers, and copies."""

import warnings
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from genaug.data.classes import matched_by_number
from genaug.data.reading import Samples, read_samples
from genaug.device import pick_device
from genaug.errors import DataWarning, InputError
from genaug.evaluation import series_judges, series_prediction, stages
from genaug.evaluation.aligned_series import AlignedSeries, align
from genaug.evaluation.report import Evaluation, Findings
from genaug.evaluation.request import Request, versions
from genaug.evaluation.scores import train_scorer
from genaug.evaluation.series_statistics import compare_series
from genaug.evaluation.subject import Subject, new_subject, read_sides, training_set_mismatch
from genaug.modalities.series import Series
from genaug.nn.neighbours import nearest
from genaug.progress import Progress
from genaug.randomness import derive_seed

PICTURE_FILE = "series.png"
_CAPTION = (
    "Real series above generated ones of the same classes; below, the generated series nearest to a training series, "
    "under their nearest training series."
)
_COST = 10  # of a training, in replicates, for the progress bar only
_CLASSIFIER_UPDATES = 1000
_SHOWN = 6


def evaluate_series(request: Request) -> Evaluation:
    """Raises ``InputError`` as ``genaug.evaluate`` does."""
    source, seed, replicates, count = request.source, request.seed, request.replicates, request.classifiers
    device, findings = pick_device(request.device), Findings()
    updates = {
        "classifiers": request.updates or _CLASSIFIER_UPDATES,
        "judges": request.updates or series_judges.UPDATES,
        "predictors": request.updates or series_prediction.UPDATES,
    }
    with Progress("evaluate", replicates + _COST * (4 * count + 8), request.progress, line_every=10) as bar:
        bar.tell("reading the real series")
        real, unseen = read_sides(
            source, request.real_set, request.held_out, lambda dataset, name: _read(source, dataset, name)
        )
        if real.labels is not None and (by_number := matched_by_number(real.spec.class_names, source.spec)):
            warnings.warn(by_number, DataWarning, stacklevel=4)
        bar.tell("generating")
        subject = new_subject(source, real, unseen, request.n, seed)
        if bool(subject.fake.isinf().any()):
            raise InputError("the source returned series with infinite values. Did its training diverge?")
        aligned = _aligned(subject)
        bar.advance(_COST)
        bar.tell("distributions of values and of series")
        compare_series(subject, aligned, findings, replicates=replicates, seed=seed)
        bar.advance(replicates)
        options: dict[str, Any] = {"seed": seed, "device": device, "tick": lambda: bar.advance(_COST)}
        bar.tell("training judges and predictors")
        rows = subject.rows
        series_judges.discriminate(aligned, rows, findings, judges=count, updates=updates["judges"], **options)
        series_prediction.predict(aligned, rows, findings, predictors=count, updates=updates["predictors"], **options)
        bar.tell("training classifiers")
        _classify(subject, aligned, findings, classifiers=count, updates=updates["classifiers"], **options)
        bar.tell("looking for copies")
        nearness = _compare_distances(
            subject, aligned, findings, request, objection=training_set_mismatch(source, real)
        )
    header = {
        **request.header(samples=len(subject.fake), real=len(real.x), held_out=0 if unseen is None else len(unseen.x)),
        "features": aligned.features,
        "classifiers": count,
        "updates": ", ".join(f"{number:,} of {name}" for name, number in updates.items()),
        "replicates": replicates,
        "versions": versions("torch", "scipy"),
    }
    return findings.report(
        header, _picture(subject, aligned, nearness), noun="series", sheet_file=PICTURE_FILE, caption=_CAPTION
    )


def _read(source: Any, dataset: Any, name: str) -> Samples:
    """A dataset of series with the source's channels."""
    data = read_samples(dataset, what=name, needs_labels=source.spec.takes_labels, kinds=("series",))
    own, other = source.spec.sample, data.spec.sample
    if not isinstance(other, Series):
        raise InputError(
            f"the source generates series, and {name} has {other.noun}. Pass a genaug.data.SeriesDataset (--data "
            "series:FILE)."
        )
    if own.channels != other.channels:
        raise InputError(
            f"the source generates series of {own.channels} channels, {name} has {other.channels}. Expected the same "
            "channels, in the same order."
        )
    if own.steps != other.steps and own.shortest is None and other.shortest is None:
        raise InputError(
            f"the source generates series of {own.steps} steps, {name} has {other.steps}, and neither varies. Cut or "
            "resample them to the same number of steps."
        )
    return data


def _aligned(subject: Subject) -> AlignedSeries:
    sample = subject.real.spec.sample
    assert isinstance(sample, Series)
    sides = {"real": subject.real.x, "generated": subject.fake}
    return align(sample, sides if subject.held_out is None else {**sides, "held_out": subject.held_out.x})


def _classify(
    subject: Subject,
    aligned: AlignedSeries,
    findings: Findings,
    *,
    classifiers: int,
    updates: int,
    seed: int,
    device: torch.device,
    tick: Any,
) -> None:
    """``label_agreement`` (trained on real series, tested on generated ones) and ``synthetic_only_accuracy`` (the
    reverse)."""
    real, judge = subject.real, None
    if real.labels is not None and subject.labels is not None:
        if subject.held_out is not None:
            subject.held_out.check_labels()
        judge = train_scorer(
            aligned.inputs(real.x),
            real.labels,
            real.spec.num_classes,
            updates=updates,
            seed=derive_seed(seed, "judge"),
            device=device,
        )
    tick()
    stages.score_with_classifiers(
        subject,
        judge,
        findings,
        classifiers=classifiers,
        updates=updates,
        seed=seed,
        device=device,
        tick=tick,
        inputs=aligned.inputs,
    )


def _compare_distances(
    subject: Subject, aligned: AlignedSeries, findings: Findings, request: Request, *, objection: str | None
) -> Tensor:
    """``diversity_ratio`` and ``copying``. Returns how near to the training set each generated series lies."""
    raw = aligned.sides
    train, fake = aligned.vectors(raw["real"]), aligned.vectors(raw["generated"])
    held_out = aligned.vectors(raw["held_out"]) if "held_out" in raw else None
    stages.compare_distances(
        subject,
        (train[subject.rows], fake, held_out),
        aligned.features,
        findings,
        replicates=request.replicates,
        seed=request.seed,
    )
    return stages.measure_copying(
        subject,
        (train, held_out, fake),
        (
            raw["real"].nan_to_num(),
            None if held_out is None else raw["held_out"].nan_to_num(),
            raw["generated"].nan_to_num(),
        ),
        aligned.features,
        findings,
        seed=request.seed,
        objection=objection,
    )


def _picture(subject: Subject, aligned: AlignedSeries, nearness: Tensor) -> Image.Image:
    """Real and generated series of the same classes, and the nearest pairs."""
    real, fake, sample = aligned.sides["real"], aligned.sides["generated"], aligned.sample
    rows = torch.linspace(0, min(len(subject.rows), len(fake)) - 1, _SHOWN).round().long().unique()
    if subject.labels is not None:  # one class after the other
        by_class = subject.labels[: len(subject.rows)].argsort(stable=True)
        rows = by_class[rows]
    closest = nearness.argsort(stable=True)[:_SHOWN]
    neighbors = nearest(aligned.vectors(fake[closest]), aligned.vectors(real))[1]
    parts = [sample.preview(real[subject.rows[rows]], fake[rows]), sample.preview(real[neighbors], fake[closest])]
    picture = Image.new("RGB", (max(part.width for part in parts), sum(part.height for part in parts)), "white")
    for part, top in zip(parts, (0, parts[0].height), strict=True):
        picture.paste(part, (0, top))
    return picture
