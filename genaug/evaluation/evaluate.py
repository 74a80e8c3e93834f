"""``genaug.evaluate``: fidelity, diversity, classifier-based scores and copying of any source, in one report."""

import platform
import warnings
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import torch
from torch import nn

from genaug import checks
from genaug.checks import as_whole
from genaug.data.classes import matched_by_number
from genaug.device import pick_device, torch_defaults
from genaug.errors import DataWarning, InputError
from genaug.evaluation import stages
from genaug.evaluation.features import Features, classifier_features, features_named, pixel_features
from genaug.evaluation.report import Evaluation
from genaug.evaluation.scores import train_scorer
from genaug.evaluation.subject import FEWEST_SAMPLES, new_subject, not_what_it_saw, read_split
from genaug.progress import Progress
from genaug.randomness import check_seed, derive_seed
from genaug.sources.source import Source, check_source, image_shape
from genaug.version import __version__

_CLASSIFIER_COST = 10  # of training one, in replicates: for the progress bar only


@torch_defaults()
def evaluate(
    source: Source,
    real_set: Any,
    *,
    held_out: Any = None,
    features: str | nn.Module | Features = "classifier",
    n: int | None = None,
    image_size: int | None = None,
    seed: int = 0,
    classifiers: int = 3,
    updates: int = 1000,
    replicates: int = 30,
    device: str | torch.device | None = None,
    data: str | None = None,
    progress: bool = True,
) -> Evaluation:
    """Measure how real, how varied, how useful and how much its own a source's images are.

    Args:
        source: a ``Generator``, a ``SamplePool``, or anything else with ``spec`` and ``sample``.
        real_set: what it was trained on: a map-style dataset of images (PIL, uint8, float in [0, 1]) with labels or
            without. Classes are matched to the source's by name if both have names, else by number, with a
            ``DataWarning``.
            Where the source's record says that it was trained on others, copying isn't measured.
        held_out: real images of the same kind that the source hasn't seen, labelled alike. Without them copying and
            the classifier-based scores on real images aren't measured.
        features: what images are compared by: ``"classifier"`` (a small CNN trained on ``real_set``), ``"pixels"``,
            ``"timm:NAME"``, ``"inception"``, a module that takes floats in [0, 1], or ``genaug.evaluation.Features``.
        n: how many images to generate for the comparison, against as many real ones; by default as many as there are
            real ones, 200 to 10,000. Of a pool each image is taken once at most, so they are no more than it holds.
        image_size: resizes the shorter side of real images and crops the centre, as ``fit`` did; by default to the
            size that the source's record says, if it says one.
        seed: decides all that is random: the same report on the same machine.
        classifiers: how many classifiers are trained on generated images alone, each from its own start.
        updates: of every classifier, at 128 images each.
        replicates: random halves that intervals are estimated from; 0 for no intervals.
        device: where networks of ours run: by default a GPU where there is one.
        data: the data's name, for the report.
        progress: whether to tell what is being done, on stderr.

    Every number carries its interval, its counts and its features; what can't be measured (too few samples, no
    labels, nothing held out) is named with its reason. Sources without labels are measured without the per-class and
    classifier-based parts.

    Raises ``InputError`` for a source or a data set that can't be used, shapes or classes that differ, fewer than 200
    samples asked for, held-out images that are training images, and features that can't be had.
    """
    image_shape(check_source(source), "evaluate")
    seed = check_seed(seed)
    classifiers = as_whole(classifiers, "classifiers", 0, checks.CLASSIFIERS)
    updates, replicates = as_whole(updates, "updates", 1), as_whole(replicates, "replicates", 0, checks.REPLICATES)
    n = None if n is None else as_whole(n, "n", FEWEST_SAMPLES, checks.COMPARED)
    place = pick_device(device)
    compared_by = None if isinstance(features, str) and features == "classifier" else features_named(features, device)
    if image_size is None:
        record = getattr(source, "training", None)
        size = record.get("image_size") if isinstance(record, Mapping) else None
        image_size = size if isinstance(size, int) else None
    found = stages.Findings()
    with Progress("evaluate", replicates + _CLASSIFIER_COST * (classifiers + 2), progress, line_every=10) as bar:
        bar.tell("reading the real images")
        real, unseen = read_split(source, real_set, held_out, image_size)
        if compared_by is None:
            real.check_labels()
        if compared_by is None and real.labels is None:
            raise InputError("features='classifier' needs labels, which real_set doesn't have. Name other features=.")
        if real.labels is not None and (by_number := matched_by_number(real.spec.class_names, source.spec)):
            warnings.warn(by_number, DataWarning, stacklevel=2)
        bar.tell("generating")
        subject = new_subject(source, real, unseen, n, seed)
        judge = None
        if real.labels is not None and (compared_by is None or subject.labels is not None):
            if unseen is not None:
                unseen.check_labels()
            bar.tell("training a classifier on the real images")
            judge = train_scorer(
                real.x,
                real.labels,
                real.spec.num_classes,
                updates=updates,
                seed=derive_seed(seed, "judge"),
                device=place,
            )
        bar.advance(_CLASSIFIER_COST)
        name = data or type(real_set).__name__
        if compared_by is None:
            assert judge is not None
            trained_on = f"{name} ({len(real.x):,} images, {updates:,} updates)"
            compared_by = classifier_features(judge, trained_on, real.x)
        bar.tell("fidelity and diversity")
        stages.compare_distributions(
            subject, compared_by, found, replicates=replicates, seed=seed, tick=lambda: bar.advance(1)
        )
        stages.compare_distances(subject, found, replicates=replicates, seed=seed)
        bar.tell("training classifiers on generated images")
        stages.score_with_classifiers(
            subject,
            judge,
            found,
            classifiers=classifiers,
            updates=updates,
            seed=seed,
            device=place,
            tick=lambda: bar.advance(_CLASSIFIER_COST),
        )
        bar.tell("looking for copies")
        space = pixel_features() if compared_by.saw_data else compared_by
        sheet = stages.look_for_copies(subject, space, found, seed=seed, doubt=not_what_it_saw(source, real))
        bar.advance(_CLASSIFIER_COST)
    backend = getattr(source, "backend_name", None)
    header = {
        "data": name,
        "source": type(source).__name__ + (f" ({backend})" if backend else ""),
        "shape": list(source.spec.shape),
        "seed": seed,
        "samples": len(subject.fake),
        "real_images": len(real.x),
        "held_out_images": 0 if unseen is None else len(unseen.x),
        "features": compared_by.description,
        "copying_features": space.description,
        "classifiers": classifiers,
        "updates": updates,
        "replicates": replicates,
        "versions": {
            "genaug": __version__,
            "torch": torch.__version__,
            "torchmetrics": version("torchmetrics"),
            "python": platform.python_version(),
        },
    }
    return Evaluation(header, found.metrics, found.per_class, found.missing, sheet)
