"""``genaug.evaluate``: fidelity, diversity, classifier-based scores and the copying check of any source."""

import platform
import warnings
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
from genaug.evaluation.subject import FEWEST_SAMPLES, new_subject, read_split, training_set_mismatch
from genaug.progress import Progress
from genaug.randomness import check_seed, derive_seed
from genaug.sources.source import Source, check_source, image_shape
from genaug.version import __version__

_CLASSIFIER_COST = 10  # training a classifier takes as long as this many replicates: for the progress bar only


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
    """Measure how real, how varied and how useful a source's images are, and whether it copies its training set.

    Args:
        source: a ``Generator``, a ``SamplePool``, or anything else with ``spec`` and ``sample``.
        real_set: the source's training set: a map-style dataset of images (PIL, uint8, float in [0, 1]) with or without
            labels. Classes are matched to the source's by name if both have names, else by number, with a
            ``DataWarning``. If the source's record says that it was trained on other images, copying isn't measured.
        held_out: real images of the same kind that the source hasn't seen, labeled in the same way. Without them,
            copying and the classifier-based scores on real images aren't measured.
        features: the features by which images are compared: ``"classifier"`` (a small CNN trained on ``real_set``),
            ``"pixels"``, ``"timm:NAME"``, ``"inception"``, a module that takes floats in [0, 1], or
            ``genaug.evaluation.Features``.
        n: the number of images to generate for the comparison with the same number of real ones; by default the number
            of real ones, within 200 to 10,000. Each image of a pool is used at most once, so the size of the pool is a
            limit.
        image_size: resizes the shorter side of real images and crops the center, as ``fit`` did; by default the size
            in the source's record, if there is one.
        seed: decides everything random: the same seed gives the same report on the same machine.
        classifiers: the number of classifiers trained on generated images alone, each from its own initial weights.
        updates: of every classifier, with 128 images each.
        replicates: the number of random halves from which intervals are estimated; 0 for no intervals.
        device: where genaug's own networks run; by default a GPU if there is one.
        data: the name of the data, for the report.
        progress: whether to show progress on stderr.

    Every number comes with its interval, its sample counts and its features; measures that are missing (too few
    samples, no labels, nothing held out) are listed with the reason. Sources without labels are evaluated without the
    per-class and classifier-based parts.

    Raises ``InputError`` for a source or a dataset that can't be used, shapes or classes that differ, an ``n`` below
    200, held-out images that are training images, and features that aren't available.
    """
    image_shape(check_source(source), "evaluate")
    seed = check_seed(seed)
    classifiers = as_whole(classifiers, "classifiers", 0, checks.CLASSIFIERS)
    updates, replicates = as_whole(updates, "updates", 1), as_whole(replicates, "replicates", 0, checks.REPLICATES)
    n = None if n is None else as_whole(n, "n", FEWEST_SAMPLES, checks.COMPARED)
    torch_device = pick_device(device)
    space = None if isinstance(features, str) and features == "classifier" else features_named(features, device)
    name = data or type(real_set).__name__
    findings = stages.Findings()
    with Progress("evaluate", replicates + _CLASSIFIER_COST * (classifiers + 2), progress, line_every=10) as bar:
        bar.tell("reading the real images")
        real, unseen = read_split(source, real_set, held_out, image_size)
        if space is None:
            real.check_labels()
            if real.labels is None:
                raise InputError("features='classifier' needs labels, and real_set has none. Pass other features=.")
        if real.labels is not None and (by_number := matched_by_number(real.spec.class_names, source.spec)):
            warnings.warn(by_number, DataWarning, stacklevel=2)
        bar.tell("generating")
        subject = new_subject(source, real, unseen, n, seed)
        judge = None
        if real.labels is not None and (space is None or subject.labels is not None):
            if unseen is not None:
                unseen.check_labels()
            bar.tell("training a classifier on the real images")
            judge = train_scorer(
                real.x,
                real.labels,
                real.spec.num_classes,
                updates=updates,
                seed=derive_seed(seed, "judge"),
                device=torch_device,
            )
        bar.advance(_CLASSIFIER_COST)
        if space is None:
            assert judge is not None
            space = classifier_features(judge, f"{name} ({len(real.x):,} images, {updates:,} updates)", real.x)
        bar.tell("fidelity and diversity")
        stages.compare_distributions(
            subject, space, findings, replicates=replicates, seed=seed, tick=lambda: bar.advance(1)
        )
        stages.compare_distances(subject, findings, replicates=replicates, seed=seed)
        bar.tell("training classifiers on generated images")
        stages.score_with_classifiers(
            subject,
            judge,
            findings,
            classifiers=classifiers,
            updates=updates,
            seed=seed,
            device=torch_device,
            tick=lambda: bar.advance(_CLASSIFIER_COST),
        )
        bar.tell("looking for copies")
        copying_space = pixel_features() if space.saw_data else space
        sheet = stages.check_copying(
            subject, copying_space, findings, seed=seed, objection=training_set_mismatch(source, real)
        )
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
        "features": space.description,
        "copying_features": copying_space.description,
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
    return Evaluation(header, findings.metrics, findings.per_class, findings.missing, sheet)
