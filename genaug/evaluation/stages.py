"""The parts of an evaluation; each adds what it measured, and the reason for what it couldn't measure."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from genaug.evaluation import distributions, scores
from genaug.evaluation.arrays import Interval, check_features, half_sample_intervals
from genaug.evaluation.copying import LEAST as LEAST_FOR_COPYING, RULE, copying_and_nearness
from genaug.evaluation.features import Features
from genaug.evaluation.neighbours import nearest
from genaug.evaluation.report import Measure, measure
from genaug.evaluation.subject import Subject
from genaug.modalities.distance import distance_ratio, first_per_class
from genaug.nn.classifier import SmallCNN, predict
from genaug.randomness import derive_seed
from genaug.reports.sheet import Block, draw_sheet, sheet_labels

_PER_CLASS, _UNLABELLED = 200, 512  # images whose pixel distances are taken
_COLUMNS, _ROWS = 5, 8
Tick = Callable[[], None]


@dataclass(frozen=True)
class Findings:
    metrics: dict[str, Measure] = field(default_factory=dict)
    per_class: dict[str, dict[str, Measure]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)

    def into(self, label: str | None) -> dict[str, Measure]:
        """Where measures of a class go, or, without a label, those of all."""
        return self.metrics if label is None else self.per_class.setdefault(label, {})


def compare_distributions(
    subject: Subject, features: Features, found: Findings, *, replicates: int, seed: int, tick: Tick
) -> None:
    """FID, KID, precision, density, recall and coverage, of all and of each class that has enough samples."""
    sides = {"real": features.of(subject.real.x[subject.rows]), "generated": features.of(subject.fake)}
    real, fake = check_features(sides, 1, "the evaluation")
    names = distributions.measurable(len(real), len(fake))
    for name, kind in distributions.KINDS.items():
        if name not in names:
            told = f"{len(real):,} real and {len(fake):,} generated ones"
            found.missing[name] = f"needs {kind.least:,} images on each side, there are {told}"
    reference: dict[str, float] = {}
    if subject.held_out is not None and len(subject.held_out.x) >= len(fake) == len(real):
        draws = torch.Generator().manual_seed(derive_seed(seed, "reference"))
        some = torch.randperm(len(subject.held_out.x), generator=draws)[: len(fake)]
        unseen = features.of(subject.held_out.x[some])
        reference = distributions.compare(real, unseen, names, seed)
    for part, mine, yours in subject.parts():
        ours, theirs = real[mine], fake[yours]
        names = distributions.measurable(len(ours), len(theirs))
        values = distributions.compare(ours, theirs, names, seed)
        intervals = distributions.intervals(
            ours, theirs, values, replicates=replicates, seed=seed, on_replicate=tick if part is None else None
        )
        for name, value in values.items():
            kind = distributions.KINDS[name]
            found.into(part)[name] = measure(
                value,
                intervals[name],
                kind.bounds,
                samples=len(theirs),
                real_samples=len(ours),
                features=features.description,
                higher_is_better=kind.higher_is_better,
                reference=reference.get(name) if part is None else None,
            )


def compare_distances(subject: Subject, found: Findings, *, replicates: int, seed: int) -> None:
    """The within-class distance ratio, of all and of each class."""
    limit = _PER_CLASS if subject.labels is not None else _UNLABELLED
    images, labels, made = subject.real.x[subject.rows], subject.real_labels, subject.fake_labels
    for part, mine, yours in subject.parts():
        ours, theirs = mine[first_per_class(labels[mine], limit)], yours[first_per_class(made[yours], limit)]

        def ratio(a: Tensor, b: Tensor, ours: Tensor = ours, theirs: Tensor = theirs) -> dict[str, float]:
            a, b = ours[a], theirs[b]
            return {"ratio": distance_ratio(images[a], labels[a], subject.fake[b], made[b])}

        value = ratio(torch.arange(len(ours)), torch.arange(len(theirs)))
        if math.isnan(value["ratio"]):
            if part is None:
                found.missing["diversity_ratio"] = "needs two real images of one class that differ"
            continue
        sizes = len(ours), len(theirs)
        intervals = half_sample_intervals(
            ratio, value, sizes, replicates=replicates, seed=derive_seed(seed, "distances")
        )
        found.into(part)["diversity_ratio"] = measure(
            value["ratio"],
            intervals["ratio"],
            (0.0, math.inf),
            samples=len(theirs),
            real_samples=len(ours),
            features="pixels",
            higher_is_better=None,
            best=1.0,
        )


def score_with_classifiers(
    subject: Subject,
    judge: SmallCNN | None,
    found: Findings,
    *,
    classifiers: int,
    updates: int,
    seed: int,
    device: torch.device,
    tick: Tick,
) -> None:
    """Label agreement by ``judge``, trained on the real images, and what classifiers learn from generated ones alone.

    The reference of both, of all and of each class, is the judge's own score on the held-out images. ``tick`` is called
    after each classifier.
    """
    names = "label_agreement", "synthetic_only_accuracy"
    if judge is None or subject.labels is None or subject.real.labels is None:
        found.missing.update(dict.fromkeys(names, "needs labels on both sides"))
        return
    unseen = subject.held_out
    reference: dict[str | None, float] = {}
    if unseen is not None and unseen.labels is not None:
        recognised = (predict(judge, unseen.x) == unseen.labels).double()
        reference[None] = float(recognised.mean())
        for label, called in subject.classes.items():
            if bool((unseen.labels == label).any()):
                reference[called] = float(recognised[unseen.labels == label].mean())
    right = predict(judge, subject.fake) == subject.labels
    told = f"labels given by a small CNN trained on the {len(subject.real.x):,} real images"
    rest = {"features": told, "reference": reference, "real_samples": len(subject.real.x)}
    _shares(subject, found, names[0], [right], subject.labels, "samples", rest)
    if classifiers == 0 or unseen is None or unseen.labels is None:
        found.missing[names[1]] = "no classifiers asked for" if classifiers == 0 else "needs labelled held-out images"
        return
    shown, labels = subject.generate(subject.real.labels, derive_seed(seed, "shown"))
    rights = []
    for number in range(classifiers):
        model = scores.train_scorer(
            shown,
            labels,
            subject.real.spec.num_classes,
            updates=updates,
            seed=derive_seed(seed, "synthetic only", number),
            device=device,
        )
        rights.append(predict(model, unseen.x) == unseen.labels)
        tick()
    told = f"small CNNs ({classifiers}) trained on {len(shown):,} generated images, tested on held-out real ones"
    rest = {"features": told, "reference": reference, "samples": len(shown)}
    _shares(subject, found, names[1], rights, unseen.labels, "real_samples", rest)


def _shares(
    subject: Subject,
    found: Findings,
    name: str,
    rights: list[Tensor],
    labels: Tensor,
    tested: str,
    rest: dict[str, Any],
) -> None:
    """The share of right labels, of all and of each class: ``rights`` are (N,) of each classifier; ``tested`` is the
    field of the measure that tells how many images were labelled."""
    everything = torch.ones(len(labels), dtype=torch.bool)
    parts = [(None, everything), *((called, labels == label) for label, called in subject.classes.items())]
    for part, chosen in parts:
        count = int(chosen.sum())
        if count == 0:
            continue
        shares = [float(right[chosen].double().mean()) for right in rights]
        found.into(part)[name] = measure(
            sum(shares) / len(shares),
            scores.share_interval(shares, count),
            (0.0, 1.0),
            higher_is_better=True,
            **{**rest, tested: count, "reference": rest["reference"].get(part)},
        )


def look_for_copies(
    subject: Subject, features: Features, found: Findings, *, seed: int, doubt: str | None
) -> Image.Image:
    """C_T and the nearest-neighbour ratio where there are held-out images and no doubt that the others are what the
    generator saw; in any case a sheet of neighbours."""
    train, fake = features.of(subject.real.x), features.of(subject.fake)
    unseen = subject.held_out
    held_out = None if unseen is None else features.of(unseen.x)
    if doubt is not None or held_out is None or len(held_out) < LEAST_FOR_COPYING:
        told = "none" if held_out is None else f"{len(held_out):,}"
        found.missing["copying"] = doubt or f"needs {LEAST_FOR_COPYING} held-out real images, there are {told}"
        closeness = nearest(fake, train)[0]
    else:
        assert unseen is not None
        images = subject.real.x, unseen.x, subject.fake
        result, nearness = copying_and_nearness(
            train, held_out, fake, seed=derive_seed(seed, "copying"), identity=images
        )
        details = {name: value for name, value in result.items() if not name.startswith("c_t")}
        found.metrics["copying"] = measure(
            result["c_t"],
            Interval(result["c_t_low"], result["c_t_high"]),
            (-math.inf, math.inf),
            samples=len(fake),
            real_samples=len(train),
            features=features.description,
            higher_is_better=None,
            best=0.0,
            details={
                "statistic": "C_T",
                **details,
                "held_out_samples": len(held_out),
                "rule": RULE,
                "note": f"{result['exact']:.1%} identical to a training image, {result['near']:.1%} near duplicates",
            },
        )
        closeness = torch.from_numpy(nearness)
    closest = closeness.argsort(stable=True)
    if subject.labels is None:
        labels, chosen = None, closest[: _COLUMNS * _ROWS]
    else:
        shown = sheet_labels(subject.real.spec.num_classes, columns=1)
        order = [closest[subject.labels[closest] == label][:_COLUMNS] for label in shown]
        chosen = torch.cat(order)
        labels = subject.labels[chosen]
    blocks = [Block(subject.fake[chosen], labels, "generated, closest first")]
    near = nearest(fake[chosen], train)[1]
    blocks.append(Block(subject.real.x[near], labels, "nearest training image"))
    if unseen is not None and held_out is not None:
        near = nearest(fake[chosen], held_out)[1]
        blocks.append(Block(unseen.x[near], labels, "nearest held-out image"))
    return draw_sheet(*blocks, classes=subject.real.spec.class_names, columns=_COLUMNS)
