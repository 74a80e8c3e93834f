"""The evaluation of images: distributions in features, classifier-based scores, and copies."""

import warnings

from genaug.data.classes import matched_by_number
from genaug.device import pick_device
from genaug.errors import DataWarning, InputError
from genaug.evaluation import stages
from genaug.evaluation.features import classifier_features, features_named, pixel_features
from genaug.evaluation.report import Evaluation, Findings
from genaug.evaluation.request import Request, versions
from genaug.evaluation.scores import train_scorer
from genaug.evaluation.subject import new_subject, read_split, training_set_mismatch
from genaug.progress import Progress
from genaug.randomness import derive_seed
from genaug.sources.source import image_shape

_CLASSIFIER_COST = 10  # training a classifier takes as long as this many replicates: for the progress bar only
_UPDATES = 1000


def evaluate_images(request: Request) -> Evaluation:
    """Raises ``InputError`` as ``genaug.evaluate`` does."""
    source, seed, replicates, classifiers = request.source, request.seed, request.replicates, request.classifiers
    image_shape(source.spec, "evaluate")
    features = "classifier" if request.features is None else request.features
    updates = _UPDATES if request.updates is None else request.updates
    torch_device = pick_device(request.device)
    space = None if isinstance(features, str) and features == "classifier" else features_named(features, request.device)
    findings = Findings()
    with Progress(
        "evaluate", replicates + _CLASSIFIER_COST * (classifiers + 2), request.progress, line_every=10
    ) as bar:
        bar.tell("reading the real images")
        real, unseen = read_split(source, request.real_set, request.held_out, request.image_size)
        if space is None:
            real.check_labels()
            if real.labels is None:
                raise InputError("features='classifier' needs labels, and real_set has none. Pass other features=.")
        if real.labels is not None and (by_number := matched_by_number(real.spec.class_names, source.spec)):
            warnings.warn(by_number, DataWarning, stacklevel=4)
        bar.tell("generating")
        subject = new_subject(source, real, unseen, request.n, seed)
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
            space = classifier_features(judge, f"{request.data} ({len(real.x):,} images, {updates:,} updates)", real.x)
        bar.tell("fidelity and diversity")
        stages.compare_distributions(
            subject, space, findings, replicates=replicates, seed=seed, tick=lambda: bar.advance(1)
        )
        images = subject.real.x[subject.rows], subject.fake, None if unseen is None else unseen.x
        stages.compare_distances(subject, images, "pixels", findings, replicates=replicates, seed=seed)
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
    header = {
        **request.header(samples=len(subject.fake), real=len(real.x), held_out=0 if unseen is None else len(unseen.x)),
        "features": space.description,
        "copying_features": copying_space.description,
        "classifiers": classifiers,
        "updates": updates,
        "replicates": replicates,
        "versions": versions("torch", "torchmetrics"),
    }
    return findings.report(header, sheet)
