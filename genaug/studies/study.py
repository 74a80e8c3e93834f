"""``genaug.study``: do generated samples improve a classifier of these data, from which source, at which ratio?"""

import math
import multiprocessing
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from genaug import checks
from genaug.backends.spec import Spec
from genaug.checks import as_whole
from genaug.data.classes import matched_by_number
from genaug.data.reading import Samples, fingerprint
from genaug.device import pick_device
from genaug.errors import InputError
from genaug.progress import Progress
from genaug.sources.source import Source
from genaug.studies import sources as source_module
from genaug.studies.arms import BASELINES, Arm, arms_of, arms_to_test, baselines_of
from genaug.studies.cells import Ledger, StudyFolder
from genaug.studies.compare import overlap_correction
from genaug.studies.decide import judge, select
from genaug.studies.diagnosis import examine
from genaug.studies.estimators import Estimators
from genaug.studies.findings import findings, inference
from genaug.studies.jobs import Job, Phase, Work, cost, left_to_do, one_thread, total_cost
from genaug.studies.learner_choice import classifiers_of, uses_estimators
from genaug.studies.learners import Learner
from genaug.studies.metrics import ACCURACY, Metric, describe_metric, parse_metric
from genaug.studies.networks import POOL, Networks
from genaug.studies.options import (
    Options,
    check_applicable,
    check_baselines,
    check_ratios,
    check_seeds,
    data_name,
    python_call,
)
from genaug.studies.reading import Sets, read_sets
from genaug.studies.report import Report, from_details
from genaug.studies.sources import SourcePlan
from genaug.studies.splits import Subsets, coinciding, draw_subsets, per_class_counts, too_rare, without_samples
from genaug.studies.study_page import study_html
from genaug.studies.workers import check_picklable, run_jobs
from genaug.training.signals import ended_by_sigterm
from genaug.version import __version__


def study(
    train_set: Any,
    test_set: Any,
    *,
    sources: Mapping[str, Any],
    ratios: Sequence[float] = (0.25, 0.5),
    seeds: int | Sequence[int] = 10,
    labels_per_class: int | Mapping[Any, int] | None = None,
    metric: str = "accuracy",
    baselines: Sequence[str] | None = None,
    classifier: Any = None,
    classic: Any = None,
    updates: int = 500,
    batch_size: int = 64,
    lr: float = 1e-3,
    image_size: int | None = None,
    device: str | torch.device | None = None,
    workers: int = 1,
    explore: bool = False,
    out: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    progress: bool = True,
    command: str | None = None,
) -> Report:
    """Measure whether generated samples help, and say "use", "don't use" or "no evidence".

    For every seed, a classifier is trained in each of these ways, on the same samples: with nothing added ("none"); as
    the other ``baselines`` say; with noisy copies of real samples blended in ("noise", the control); and with each
    source's samples at each ratio, alone and with the baseline augmentation, classic or SMOTE. Networks start from the
    same weights, and see the same images in the same order for the same number of updates. Source, ratio and
    augmentation are chosen together by the mean of the metric on the samples that the seeds' inner splits hold out;
    then the choice is compared with all baselines on the test set, once. "use" requires all 95% intervals to lie above
    0, "don't use" one interval below 0, of 97.5% if there are two baselines. ``docs/study.md`` explains the statistics.

    Args:
        train_set: a map-style dataset of (image, label): PIL, uint8 or floats in [0, 1], without random augmentation,
            which goes into ``classic``. Or a ``genaug.data.TableDataset`` with a target.
        test_set: another one, with every class of the first and none of its images. Classes are matched by name if both
            datasets have names, even if their numbers differ. The test set of a table may also be a DataFrame; its rows
            are read with the training table's columns and classes, and categories that this one doesn't have count as
            missing.
        sources: the sources by name. A backend's name or a ``genaug.studies.Recipe`` is trained for every seed, on that
            seed's samples only. A function is called for every seed as ``function(dataset, seed)`` with that seed's
            training set (of (image, label), or a ``TableDataset``), and returns a source, such as
            ``with_labels(generator, dataset, seed=seed, ...)``; the same arguments must give the same source. Any
            source object counts as pretrained, and the report quotes from its record what it was trained on. A
            classifier that needs no generated samples, such as that of a semi-supervised GAN, is an arm as
            ``genaug.studies.AsClassifier(...)``.
        ratios: the generated shares to try, each in (0, 1).
        seeds: the number of seeds, counted from 0, or the seeds themselves. At least two; ten are better.
        labels_per_class: the number of samples per class that a seed trains on, or a mapping of each class, by name or
            number, to its own, such as ``{"healthy": 2000, "faulty": 20}``; all by default. If there are enough, no
            sample is in two seeds' subsets.
        metric: what is measured, and what arms are chosen by: "accuracy", "balanced_accuracy", "macro_f1",
            "recall:CLASS", or "average_precision", which is about the rarer of two classes, or the mean over more;
            "average_precision:CLASS" is about one. Scikit-learn computes them. With any but accuracy, generated samples
            fill up the rarest classes first; otherwise they are as frequent as the real ones.
        baselines: what the chosen arm has to beat. "none" always is one; "classic" augmentation is for images, "smote"
            (SMOTE, or SMOTE-NC if there are categories) for classifiers of scikit-learn. "weights" weights the classes
            in the loss, and "oversample" repeats real samples, until all classes count equally. "classic + oversample"
            combines two. By default "none" and, for images, "classic"; if the metric isn't accuracy and a class has
            twice as many samples as another, all of them, and "classic + oversample" for images.
        classifier: of images "small" (a CNN for small images), "timm:NAME", or a factory of (shape, num_classes) that
            returns a module from floats (N, C, H, W) in [0, 1] to logits. Of tables "boosting"
            (HistGradientBoosting) and "logistic" (logistic regression), both by default, an estimator of scikit-learn,
            which gets a DataFrame without the target, a function that returns one, or a mapping of names to
            estimators. With several, each baseline of each of them has to be beaten. Estimators classify images, too,
            as rows of pixels.
        classic: your own augmentation instead of the built-in rotation, scaling and shifting: a transform of one uint8
            image, or ``genaug.studies.OnBatches`` with a transform of batches, that draws from torch's, numpy's or
            Python's global random numbers. A transform with random numbers of its own isn't reproducible.
        updates: the number of updates of every network.
        batch_size: of every update.
        lr: Adam's learning rate, which falls to 0 along a cosine.
        image_size: resizes the shorter side and crops the center.
        device: where everything is trained; by default a GPU if there is one.
        workers: the number of processes; results don't depend on it. With more than one, the call in a script must be
            under ``if __name__ == "__main__":``.
        explore: also score all other arms on the test set. The report marks them; the verdict doesn't change.
        out: a folder for ``report.html`` and ``report.json``, every finished cell, and the generators; without it,
            only the returned report remains.
        resume: continue the study in ``out``, which must have been started with the same arguments and data.
        overwrite: replace the study in ``out``.
        progress: show what is being trained and the time left, on stderr.
        command: the command that repeats the study, for the report; by default the call of this function.

    Raises ``InputError`` for arguments and data that can't be used, ``OutputExistsError`` if ``out`` isn't free,
    ``PluginError`` for an unknown backend, ``SaveError`` if ``out`` can't be written. An arm that fails does not end
    the study: the report lists it.
    """
    if getattr(multiprocessing.current_process(), "_inheriting", False):  # the same check as multiprocessing's own
        raise InputError(
            "workers start by importing the script that called genaug.study, which must not call it again then. Put "
            'the call under `if __name__ == "__main__":`.'
        )
    if resume and overwrite:
        raise InputError("overwrite starts the study again and resume continues it: pass only one of them.")
    workers = as_whole(workers, "workers", 1, checks.WORKERS)
    options = Options(
        sources=sources,
        ratios=ratios,
        seeds=seeds,
        labels_per_class=labels_per_class,
        metric=metric,
        baselines=baselines,
        classifier=classifier,
        classic=classic,
        updates=updates,
        batch_size=batch_size,
        lr=lr,
        image_size=image_size,
        device=device,
        explore=explore,
    )
    changed = options.changed()
    origin = {
        "train": data_name(train_set),
        "test": data_name(test_set),
        "options": changed,
        "command": command or python_call(changed),
    }
    with ended_by_sigterm(), tempfile.TemporaryDirectory() as scratch:
        folder = StudyFolder(out if out is not None else Path(scratch) / "study")
        with folder.claimed(resume=resume, overwrite=overwrite):
            work, settings, subsets = prepare(train_set, test_set, folder, options)
            settings["explore"] = explore
            if workers > 1:
                check_picklable(work)
            folder.open(settings, work.trained(), resume=resume)
            report = _run(work, settings, subsets, workers, progress, origin)
            if out is not None:
                folder.write(report.contents())
    return report


def prepare(
    train_set: Any, test_set: Any, folder: StudyFolder, options: Options
) -> tuple[Work, dict[str, Any], Subsets]:
    """Read and check everything that a study needs, without writing anything.

    Returns the work to do, the settings as they are recorded, and the seeds' subsets.
    """
    seeds, ratios = check_seeds(options.seeds), check_ratios(options.ratios)
    sets = read_sets(train_set, test_set, options.image_size)
    train, test, spec = sets.train, sets.test, sets.spec
    per_class = per_class_counts(options.labels_per_class, train.labels, spec.class_names, spec.num_classes)
    subsets = draw_subsets(train.labels, per_class, seeds, spec.sample.noun)
    metric = parse_metric(options.metric, train.labels, spec.class_names, spec.num_classes)
    device = str(pick_device(options.device))
    learner = _learner(options, spec, subsets, ratios[-1], device)
    of_seed = train.labels[next(iter(subsets.rows.values()))]
    names = learner.default_baselines(of_seed, metric) if options.baselines is None else options.baselines
    baselines = check_baselines(names, learner.methods)
    sources = source_module.resolve(options.sources, spec, train, options.image_size)
    source_module.check_saw(sources, sets.test_record, sets.train_record, sets.test_as_read)
    learner.check(spec, train, baselines, metric)
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
        notes=_notes(sets, sources, metric, of_seed),
    )
    return work, settings, subsets


def _learner(options: Options, spec: Spec, subsets: Subsets, ratio: float, device: str) -> Learner:
    """How classifiers are trained, with the options that apply. ``ratio`` is the highest one."""
    classifiers = classifiers_of(options.classifier, spec.sample)
    if uses_estimators(classifiers, spec.sample):
        check_applicable(options, spec.sample.noun)
        return Estimators(classifiers)
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
    specs |= {f"source {name!r}": source.spec for name, source in sources.items() if isinstance(source, Source)}
    notes = [
        without_samples(sets.train, spec.num_classes, spec.sample),
        coinciding(sets.train, sets.test, spec.sample),
        too_rare(labels, spec.class_names, spec.sample) if metric == ACCURACY else None,
        *(matched_by_number(spec.class_names, other, "the training set", name) for name, other in specs.items()),
    ]
    return tuple(f"{note[0].upper()}{note[1:]}" for note in notes if note)


def _run(
    work: Work, settings: dict[str, Any], subsets: Subsets, workers: int, progress: bool, origin: Mapping[str, Any]
) -> Report:
    """The inner splits, the selection, the test set, the judgement."""
    seeds: list[int] = settings["seeds"]
    arms, baselines = arms_of(settings), baselines_of(settings)
    inner = [Job("inner", seed, tuple(arms)) for seed in seeds]
    others = arms if settings["explore"] else []
    first = next(arm for arm in arms if arm.candidate)
    expected = [*inner, *(Job("test", seed, tuple(arms_to_test(first, others, baselines))) for seed in seeds)]
    with Progress("study", total_cost(work, expected), progress, 10.0) as bar:
        for note in work.notes:
            bar.say(note)
        bar.start_at(sum(cost(cell["name"]) for cell in work.folder.read() if "error" not in cell))

        def finish(jobs: list[Job], phase: Phase) -> dict[Arm, dict[int, float]]:
            ledger = Ledger(work.folder.read())
            settled = phase == "inner" and ledger.of("test")  # the choice stands, so failed arms aren't tried again
            run_jobs(work, left_to_do(jobs, ledger.tried if settled else ledger.done), workers, bar)
            ledger = Ledger(work.folder.read())
            return {arm: ledger.scores(phase, arm.name, work.metric.key) for arm in jobs[0].arms}

        held_out = finish(inner, "inner")
        try:
            chosen = select(held_out, seeds, baselines)
        except InputError as error:
            failures = Ledger(work.folder.read()).failures()
            cell = next(cell for cell in failures if cell["name"] in [arm.name for arm in baselines])
            raise InputError(f"{error} First: {cell['name']}, seed {cell['seed']}: {cell['error']}") from None
        table = finish([Job("test", seed, tuple(arms_to_test(chosen, others, baselines))) for seed in seeds], "test")
    modality = work.spec.sample
    statistics: dict[str, Any] = {
        "method": inference(subsets.overlap, modality.item, modality.noun),
        "n_train": min(len(rows) for rows in subsets.rows.values()),
        "n_test": len(work.test),
        "overlap": subsets.overlap,
        "correction": overlap_correction(subsets.overlap),
        "resolution": work.metric.resolution(work.test.labels),
        "n_generated": work.most_generated,
        "classes": work.spec.num_classes,
        "samples": modality.noun,
        "item": modality.item,
    }
    judgement = judge(
        chosen,
        table,
        seeds,
        correction=statistics["correction"],
        resolution=statistics["resolution"],
        baselines=baselines,
        inner=held_out,
    )
    details = findings(
        judgement,
        Ledger(work.folder.read()),
        arms,
        settings,
        statistics,
        examination=examine(work, chosen, judgement.advised),
        origin=origin,
    )
    details["warnings"] = [*work.notes, *details["warnings"]]
    return from_details(details, study_html(details, work, chosen))


def _data_record(data: Samples) -> dict[str, Any]:
    return {"images": len(data.x), "shape": data.spec.sample.describe(), "sha256": fingerprint(data)}
