"""The parts of an evaluation; each adds its measures to the findings, or the reason why one is missing."""

import math
from collections.abc import Callable
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from genaug.evaluation import distributions, scores
from genaug.evaluation.arrays import Interval, check_features, half_sample_intervals
from genaug.evaluation.copying import LEAST as LEAST_FOR_COPYING, RULE, copying_and_nearness
from genaug.evaluation.features import Features
from genaug.evaluation.report import Findings, Measure, measure
from genaug.evaluation.subject import Subject
from genaug.modalities.distance import distance_ratio, first_per_class
from genaug.nn.classifier import SmallCNN, predict
from genaug.nn.neighbours import nearest
from genaug.randomness import derive_seed
from genaug.reports.sheet import Block, draw_sheet, sheet_labels

_PER_CLASS, _UNLABELED = 200, 512  # images whose pixel distances are measured
_COLUMNS, _ROWS = 5, 8
_MOST_WITHOUT_HELD_OUT = 0.01  # of the generated samples


def compare_distributions(
    subject: Subject, features: Features, findings: Findings, *, replicates: int, seed: int, tick: Callable[[], None]
) -> None:
    """FID, KID, precision, density, recall and coverage, overall and of each class that has enough samples."""
    sides = {"real": features.of(subject.real.x[subject.rows]), "generated": features.of(subject.fake)}
    all_real, all_fake = check_features(sides, 1, "the evaluation")
    names = distributions.measurable(len(all_real), len(all_fake))
    for name, kind in distributions.KINDS.items():
        if name not in names:
            findings.missing[name] = (
                f"needs {kind.least:,} images on each side, there are {len(all_real):,} real and {len(all_fake):,} "
                "generated ones"
            )
    for class_name, real_rows, fake_rows in subject.parts():
        real, fake = all_real[real_rows], all_fake[fake_rows]
        values = distributions.compare(real, fake, distributions.measurable(len(real), len(fake)), seed)
        unseen, reference = subject.held_out_rows(class_name), dict[str, float]()
        if values and subject.held_out is not None and len(unseen) >= len(fake) == len(real):
            draws = torch.Generator().manual_seed(derive_seed(seed, "reference"))
            rows = unseen[torch.randperm(len(unseen), generator=draws)[: len(fake)]]
            reference = distributions.compare(real, features.of(subject.held_out.x[rows]), list(values), seed)
        intervals = distributions.intervals(
            real, fake, values, replicates=replicates, seed=seed, on_replicate=tick if class_name is None else None
        )
        for name, value in values.items():
            kind = distributions.KINDS[name]
            findings.measures(class_name)[name] = measure(
                value,
                intervals[name],
                kind.bounds,
                samples=len(fake),
                real_samples=len(real),
                features=features.description,
                higher_is_better=kind.higher_is_better,
                reference=reference.get(name),
            )


def compare_distances(
    subject: Subject,
    sides: tuple[Tensor, Tensor, Tensor | None],
    features: str,
    findings: Findings,
    *,
    replicates: int,
    seed: int,
) -> None:
    """The ratio of distances within a class, overall and per class; the reference is that of held-out samples.

    ``sides`` are the real samples at ``subject.rows``, the generated and the held-out ones (all, the first ones, or
    None), as ``within_class_distance`` takes them; ``features`` says what is compared.
    """
    limit = _PER_CLASS if subject.labels is not None else _UNLABELED
    (real_side, fake_side, unseen), labels, fake_labels = sides, subject.real_labels, subject.fake_labels
    for class_name, real_rows, fake_rows in subject.parts():
        real_rows = real_rows[first_per_class(labels[real_rows], limit)]
        fake_rows = fake_rows[first_per_class(fake_labels[fake_rows], limit)]

        def ratio(a: Tensor, b: Tensor, real: Tensor = real_rows, fake: Tensor = fake_rows) -> dict[str, float]:
            a, b = real[a], fake[b]
            return {"ratio": distance_ratio(real_side[a], labels[a], fake_side[b], fake_labels[b])}

        sizes = len(real_rows), len(fake_rows)
        value = ratio(*(torch.arange(size) for size in sizes))
        if math.isnan(value["ratio"]):
            if class_name is None:
                findings.missing["diversity_ratio"] = f"needs two different real {subject.noun} of the same class"
            continue
        intervals = half_sample_intervals(
            ratio, value, sizes, replicates=replicates, seed=derive_seed(seed, "distances")
        )
        findings.measures(class_name)["diversity_ratio"] = measure(
            value["ratio"],
            intervals["ratio"],
            (0.0, math.inf),
            samples=len(fake_rows),
            real_samples=len(real_rows),
            features=features,
            higher_is_better=None,
            best=1.0,
            reference=_held_out_ratio(subject, class_name, real_side[real_rows], labels[real_rows], unseen, limit),
        )


def _held_out_ratio(
    subject: Subject, class_name: str | None, real: Tensor, real_labels: Tensor, unseen: Tensor | None, limit: int
) -> float | None:
    """The ratio for held-out samples in place of generated ones; None if there aren't enough."""
    labels, rows = subject.held_out_labels, subject.held_out_rows(class_name)
    if unseen is None or labels is None:
        return None
    rows = rows[rows < len(unseen)]
    if not len(rows):
        return None
    rows = rows[first_per_class(labels[rows], limit)]
    ratio = distance_ratio(real, real_labels, unseen[rows], labels[rows])
    return None if math.isnan(ratio) else ratio


def score_with_classifiers(
    subject: Subject,
    judge: SmallCNN | None,
    findings: Findings,
    *,
    classifiers: int,
    updates: int,
    seed: int,
    device: torch.device,
    tick: Callable[[], None],
    inputs: Callable[[Tensor], Tensor] = lambda samples: samples,
) -> None:
    """Label agreement by ``judge``, which was trained on the real samples, and the accuracy of classifiers trained on
    generated ones alone.

    ``inputs`` turns raw samples into what classifiers take. The reference of both, overall and per class, is the
    judge's own score on the held-out samples. ``tick`` is called after each classifier.
    """
    names = "label_agreement", "synthetic_only_accuracy"
    if judge is None or subject.labels is None or subject.real.labels is None:
        findings.missing.update(dict.fromkeys(names, "needs labels on both sides"))
        return
    unseen = subject.held_out
    reference: dict[str | None, float] = {}
    if unseen is not None and unseen.labels is not None:
        correct = predict(judge, inputs(unseen.x)) == unseen.labels
        reference = {
            class_name: float(correct[rows].double().mean()) for class_name, rows in _parts(subject, unseen.labels)
        }
    fields: dict[str, Any] = {
        "features": f"labels given by a small CNN trained on the {len(subject.real.x):,} real {subject.noun}",
        "real_samples": len(subject.real.x),
    }
    correct = predict(judge, inputs(subject.fake)) == subject.labels
    for class_name, rows in _parts(subject, subject.labels):
        findings.measures(class_name)[names[0]] = _share(
            [correct[rows]], reference.get(class_name), samples=int(rows.sum()), **fields
        )
    if classifiers == 0 or unseen is None or unseen.labels is None:
        needed = "no classifiers requested" if classifiers == 0 else f"needs labeled held-out {subject.noun}"
        findings.missing[names[1]] = needed
        return
    images, labels = subject.generate(subject.real.labels, derive_seed(seed, "shown"))
    predictions = []
    for number in range(classifiers):
        model = scores.train_scorer(
            inputs(images),
            labels,
            subject.real.spec.num_classes,
            updates=updates,
            seed=derive_seed(seed, "synthetic only", number),
            device=device,
        )
        predictions.append(predict(model, inputs(unseen.x)) == unseen.labels)
        tick()
    description = (
        f"small CNNs ({classifiers}) trained on {len(images):,} generated {subject.noun}, tested on held-out real ones"
    )
    fields = {"features": description, "samples": len(images)}
    for class_name, rows in _parts(subject, unseen.labels):
        findings.measures(class_name)[names[1]] = _share(
            [correct[rows] for correct in predictions],
            reference.get(class_name),
            real_samples=int(rows.sum()),
            **fields,
        )


def _parts(subject: Subject, labels: Tensor) -> list[tuple[str | None, Tensor]]:
    """All of ``labels`` (None), then each generated class that occurs among them, with its rows, bool (N,)."""
    classes = [(name, labels == label) for label, name in subject.classes.items()]
    return [(None, torch.ones(len(labels), dtype=torch.bool)), *((name, rows) for name, rows in classes if rows.any())]


def _share(correct: list[Tensor], reference: float | None, **fields: Any) -> Measure:
    """The mean share of correct labels; ``correct`` is bool (N,) per classifier."""
    shares = [float(part.double().mean()) for part in correct]
    return measure(
        sum(shares) / len(shares),
        scores.share_interval(shares, len(correct[0])),
        (0.0, 1.0),
        higher_is_better=True,
        reference=reference,
        **fields,
    )


def measure_copying(
    subject: Subject,
    vectors: tuple[Tensor, Tensor | None, Tensor],
    identity: tuple[Tensor, Tensor | None, Tensor],
    features: str,
    findings: Findings,
    *,
    seed: int,
    objection: str | None,
) -> Tensor:
    """The copying check, if there are enough held-out samples, of all classes, and no ``objection`` to it.

    ``vectors`` are the features (N, d), described by ``features``, and ``identity`` the raw samples of the training
    set, the held-out set and the generated samples. Returns how near each generated sample is to the training set.
    """
    train, held_out, fake = vectors
    count = 0 if held_out is None else len(held_out)
    objection = objection or _lacks_classes(subject)
    if objection is not None or held_out is None or count < LEAST_FOR_COPYING:
        reason = f"needs {LEAST_FOR_COPYING} held-out real {subject.noun}, there are {count:,}"
        findings.missing["copying"] = objection or reason
        return nearest(fake, train)[0]
    samples = identity[0], train.new_empty(0) if identity[1] is None else identity[1], identity[2]
    seed = derive_seed(seed, "copying")
    result, nearness = copying_and_nearness(train, held_out, fake, seed=seed, identity=samples)
    findings.metrics["copying"] = measure(
        result["c_t"],
        Interval(result["c_t_low"], result["c_t_high"]),
        (-math.inf, math.inf),
        samples=len(fake),
        real_samples=len(train),
        features=features,
        higher_is_better=None,
        best=0.0,
        details={
            "statistic": "C_T",
            **{name: value for name, value in result.items() if not name.startswith("c_t")},
            "held_out_samples": count,
            "rule": RULE,
            "note": f"{result['exact']:.1%} identical to one of the training {subject.noun}, {result['near']:.1%} near "
            "duplicates",
        },
    )
    return torch.from_numpy(nearness)


def _lacks_classes(subject: Subject) -> str | None:
    """Why copying can't be measured, if too many generated samples are of classes that no held-out sample is of: they
    can only be near training samples."""
    labels = subject.held_out_labels
    if labels is None or subject.labels is None:
        return None
    absent = sorted(subject.classes.keys() - set(labels.tolist()))
    share = torch.isin(subject.labels, torch.tensor(absent, dtype=torch.int64)).float().mean() if absent else 0
    if share <= _MOST_WITHOUT_HELD_OUT:
        return None
    names = ", ".join(repr(subject.classes[label]) for label in absent[:5]) + (", ..." if len(absent) > 5 else "")
    return f"needs held-out {subject.noun} of every class, and there are none of {names}"


def check_copying(
    subject: Subject, features: Features, findings: Findings, *, seed: int, objection: str | None
) -> Image.Image:
    """The copying check of images, and a sheet of neighbors."""
    unseen = subject.held_out
    unseen_images = None if unseen is None else unseen.x
    train, fake = features.of(subject.real.x), features.of(subject.fake)
    held_out = None if unseen_images is None else features.of(unseen_images)
    images = subject.real.x, unseen_images, subject.fake
    closeness = measure_copying(
        subject, (train, held_out, fake), images, features.description, findings, seed=seed, objection=objection
    )
    closest = closeness.argsort(stable=True)
    if subject.labels is None:
        labels, rows = None, closest[: _COLUMNS * _ROWS]
    else:
        classes = sheet_labels(subject.real.spec.num_classes, columns=1)
        rows = torch.cat([closest[subject.labels[closest] == label][:_COLUMNS] for label in classes])
        labels = subject.labels[rows]
    blocks = [
        Block(subject.fake[rows], labels, "generated, closest first"),
        Block(subject.real.x[nearest(fake[rows], train)[1]], labels, "nearest training image"),
    ]
    if held_out is not None and unseen_images is not None:
        blocks.append(Block(unseen_images[nearest(fake[rows], held_out)[1]], labels, "nearest held-out image"))
    return draw_sheet(*blocks, classes=subject.real.spec.class_names, columns=_COLUMNS)
