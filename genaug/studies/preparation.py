"""Everything that a study reads, checks and records before it trains anything."""

import math
from collections.abc import Mapping
from typing import Any

import PIL.Image
import torch
from torch import Tensor
from torch.utils.data import Subset

from genaug import checks
from genaug.backends.spec import Spec
from genaug.checks import as_whole
from genaug.data.classes import matched_by_number
from genaug.data.reading import Samples, fingerprint
from genaug.device import pick_device
from genaug.errors import InputError
from genaug.modalities.series import Series
from genaug.schedules import Schedule
from genaug.sources.source import Source
from genaug.studies import sources as source_module
from genaug.studies.arms import BASELINES
from genaug.studies.cells import StudyFolder
from genaug.studies.courses import (
    check_classifiers,
    check_courses,
    classifiers_in,
    describe_course,
    mean_ratios,
)
from genaug.studies.estimators import Estimators, SeriesEstimators
from genaug.studies.jobs import Work, one_thread
from genaug.studies.learner_choice import classifiers_of, uses_estimators
from genaug.studies.learners import Learner
from genaug.studies.metrics import ACCURACY, Metric, describe_metric, parse_metric
from genaug.studies.mixes import plans_in
from genaug.studies.networks import POOL, Networks
from genaug.studies.options import Options, check_applicable, check_baselines, check_ratios, check_seeds
from genaug.studies.reading import Sets, read_sets
from genaug.studies.sources import SourcePlan
from genaug.studies.splits import Subsets, coinciding, draw_subsets, per_class_counts, too_rare, without_samples
from genaug.version import __version__


def prepare(
    train_set: Any, test_set: Any, folder: StudyFolder, options: Options
) -> tuple[Work, dict[str, Any], Subsets]:
    """Read and check everything that a study needs, without writing anything.

    Returns the work to do, the settings as they are recorded, and the seeds' subsets.
    """
    seeds, courses = check_seeds(options.seeds), check_courses(options.schedules)
    alone = bool(courses) and all(isinstance(course, Schedule) for course in courses.values())
    ratios = check_ratios(options.ratios, required=not alone)
    sets = read_sets(train_set, test_set, options.image_size, options.sources)
    train, test, spec = sets.train, sets.test, sets.spec
    per_class = per_class_counts(options.labels_per_class, train.labels, spec.class_names, spec.num_classes)
    subsets = draw_subsets(train.labels, per_class, seeds, spec.sample.noun)
    metric = parse_metric(options.metric, train.labels, spec.class_names, spec.num_classes)
    device = str(pick_device(options.device))
    learner = _learner(options, spec, subsets, max(mean_ratios(ratios, courses)), device)
    of_seed = train.labels[next(iter(subsets.rows.values()))]
    names = learner.default_baselines(of_seed, metric) if options.baselines is None else options.baselines
    baselines = check_baselines(names, learner.methods)
    sources = source_module.resolve(options.sources, spec, train, options.image_size)
    source_module.check_saw(sources, sets.test_record, sets.train_record, sets.test_as_read)
    source_module.check_not_learned_from(classifiers_in(courses), sets.test_as_read or sets.test_record)
    learner.check(spec, train, baselines, metric)
    check_classifiers(courses, spec, train)
    with one_thread():
        descriptions = {
            name: source_module.describe_source(source, sets.train_record) for name, source in sources.items()
        }
    settings = {
        "sources": descriptions,
        "ratios": ratios,
        "seeds": seeds,
        "labels_per_class": per_class,
        **learner.settings(spec, train),
        "image_size": options.image_size,
        "device": device,
        "train": _data_record(sets.train_record),
        "test": _data_record(sets.test_record),
        "torch": str(torch.__version__),
        "genaug": __version__,
    }
    # What is usual is omitted, so that studies of versions without these settings can be resumed.
    if metric != ACCURACY:
        settings["metric"] = describe_metric(metric)
    if tuple(baselines) != BASELINES:
        settings["baselines"] = [arm.name for arm in baselines]
    if courses:
        settings["schedules"] = {name: describe_course(course, spec, train) for name, course in courses.items()}
    work = Work(
        train=train,
        test=test,
        spec=spec,
        rows=subsets.rows,
        sources=sources,
        learner=learner,
        ratios=tuple(ratios),
        device=device,
        folder=folder,
        metric=metric,
        courses=courses,
        pil=_pil(train_set) if spec.sample.is_augmentable else None,
        notes=_notes(sets, sources, metric, of_seed),
    )
    return work, settings, subsets


def _learner(options: Options, spec: Spec, subsets: Subsets, ratio: float, device: str) -> Learner:
    """How classifiers are trained, with the options that apply. ``ratio`` is the highest mean."""
    classifiers = classifiers_of(options.classifier, spec.sample)
    if uses_estimators(classifiers, spec.sample):
        check_applicable(options, spec.sample.noun)
        return SeriesEstimators(classifiers) if isinstance(spec.sample, Series) else Estimators(classifiers)
    updates = as_whole(options.updates, "updates", 1)
    batch_size = as_whole(options.batch_size, "batch_size", 1, checks.BATCH)
    if not 0 < options.lr < math.inf:
        raise InputError(f"lr must be above 0, got {options.lr!r}.")
    most = max(POOL, *(len(rows) for rows in subsets.rows.values()))
    pool = min(most, max(spec.num_classes, math.ceil(updates * batch_size * ratio)))
    return Networks(classifiers, options.classic, updates, batch_size, options.lr, device, pool)


def _notes(sets: Sets, sources: Mapping[str, SourcePlan], metric: Metric, labels: Tensor) -> tuple[str, ...]:
    """Notes on the data for the report: classes without samples, classes that are matched by number instead of by name,
    test rows that equal training rows, and classes that are so rare among a seed's ``labels`` that accuracy says little
    about them."""
    spec = sets.spec
    specs = {"the test set": sets.test_record.spec}
    parts = {key: part for name, source in sources.items() for key, part in plans_in(name, source).items()}
    specs |= {f"source {name!r}": source.spec for name, source in parts.items() if isinstance(source, Source)}
    notes = [
        without_samples(sets.train, spec.num_classes, spec.sample),
        coinciding(sets.train, sets.test, spec.sample),
        too_rare(labels, spec.class_names, spec.sample) if metric == ACCURACY else None,
        *(matched_by_number(spec.class_names, other, "the training set", name) for name, other in specs.items()),
    ]
    return tuple(f"{note[0].upper()}{note[1:]}" for note in notes if note)


def _pil(dataset: Any) -> str | None:
    """An expression for the dataset within ``train_set`` whose transform decides its images, if they are Pillow's."""
    item = dataset[0]
    if not isinstance(item[0] if isinstance(item, tuple | list) else item, PIL.Image.Image):
        return None
    expression = "train_set"
    while isinstance(dataset, Subset):
        dataset, expression = dataset.dataset, f"{expression}.dataset"
    return expression if hasattr(dataset, "transform") else None


def _data_record(data: Samples) -> dict[str, Any]:
    return {"images": len(data.x), "shape": data.spec.sample.describe(), "sha256": fingerprint(data)}
