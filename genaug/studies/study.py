"""``genaug.study``: do generated images improve a classifier of these data, from which source, at which ratio?"""

import math
import multiprocessing
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from genaug import checks
from genaug.backends.spec import Spec
from genaug.checks import as_whole
from genaug.data.classes import matched_by_number
from genaug.data.reading import Samples, fingerprint, read_samples
from genaug.device import pick_device
from genaug.errors import InputError
from genaug.progress import Progress
from genaug.sources.source import Source
from genaug.studies import sources as source_module
from genaug.studies.arms import CLASSIC, NONE, Arm, arms_of, arms_to_test
from genaug.studies.cells import Ledger, StudyFolder
from genaug.studies.classic import check_classic
from genaug.studies.compare import overlap_correction
from genaug.studies.decide import judge, select
from genaug.studies.diagnosis import examine
from genaug.studies.findings import findings, inference
from genaug.studies.identity import describe_classic, describe_classifier
from genaug.studies.jobs import Job, Phase, Work, cost, left_to_do, one_thread, total_cost
from genaug.studies.models import check_classifier
from genaug.studies.options import Options, check_ratios, check_seeds, data_name, python_call
from genaug.studies.report import Report, from_details
from genaug.studies.sources import SourcePlan
from genaug.studies.splits import Images, Subsets, check_sets, draw_subsets, labelled, without_images
from genaug.studies.study_page import study_html
from genaug.studies.workers import check_picklable, run_jobs
from genaug.training.signals import ended_by_sigterm
from genaug.version import __version__

POOL = 5_000  # the most generated images of a source for one seed, unless the seed has more real ones


def study(
    train_set: Any,
    test_set: Any,
    *,
    sources: Mapping[str, Any],
    ratios: Sequence[float] = (0.25, 0.5),
    seeds: int | Sequence[int] = 10,
    labels_per_class: int | None = None,
    classifier: Any = "small",
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
    """Measure whether generated images help, and say "use", "don't use" or "no evidence".

    For every seed, a classifier is trained from the same initial weights, on the same images in the same order and for
    the same number of updates, in each of these ways: without augmentation ("none"); with classic augmentation
    ("classic"); with noisy copies of real images blended in ("noise", the control); and with each source's images at
    each ratio, without and with classic augmentation. Source, ratio and classic are chosen together by the mean
    accuracy on the images that the seeds' inner splits hold out; then the choice is compared with none and with classic
    on the test set, once. "use" requires both 95% intervals to lie above 0, "don't use" one of the 97.5% intervals to
    lie below 0. ``docs/study.md`` explains the statistics.

    Args:
        train_set: a map-style dataset of (image, label): PIL, uint8 or floats in [0, 1], without random augmentation,
            which goes into ``classic``.
        test_set: another one, with every class of the first and none of its images. Classes are matched by name if both
            datasets have names, even if their numbers differ.
        sources: the sources by name. A backend's name or a ``genaug.studies.Recipe`` is trained for every seed, on that
            seed's images only. A function is called for every seed as ``function(images, seed)`` with that seed's
            training images (a dataset of (image, label)), and returns a source, such as ``with_labels(generator,
            images, seed=seed, ...)``; the same arguments must give the same source. Any source object counts as
            pretrained, and the report quotes from its record what it was trained on. A classifier that needs no
            generated images, such as that of a semi-supervised GAN, is an arm as ``genaug.studies.AsClassifier(...)``.
        ratios: the generated shares to try, each in (0, 1).
        seeds: the number of seeds, counted from 0, or the seeds themselves. At least two; ten are better.
        labels_per_class: the number of images per class that a seed trains on; all by default. If there are enough, no
            image is in two seeds' subsets.
        classifier: "small" (a CNN for small images), "timm:NAME", or a factory of (shape, num_classes) that returns a
            module from floats (N, C, H, W) in [0, 1] to logits.
        classic: your own augmentation instead of the built-in rotation, scaling and shifting: a transform of one uint8
            image, or ``genaug.studies.OnBatches`` with a transform of batches, that draws from torch's, numpy's or
            Python's global random numbers. A transform with random numbers of its own isn't reproducible.
        updates: the number of updates of every classifier.
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
    labels_per_class = options.labels_per_class
    if labels_per_class is not None:
        labels_per_class = as_whole(labels_per_class, "labels_per_class", 2)
    updates = as_whole(options.updates, "updates", 1)
    batch_size = as_whole(options.batch_size, "batch_size", 1, checks.BATCH)
    if not 0 < options.lr < math.inf:
        raise InputError(f"lr must be above 0, got {options.lr!r}.")
    train = read_samples(train_set, options.image_size, what="the training set")
    test = read_samples(test_set, options.image_size, what="the test set")
    train_images = labelled(train, "the training set")
    test_images = check_sets(train_images, labelled(test, "the test set"))
    spec = train.spec.model_copy(update={"conditions": ()})
    subsets = draw_subsets(train_images.labels, labels_per_class, seeds)
    sources = source_module.resolve(options.sources, spec, train_images, options.image_size)
    source_module.check_saw(sources, test, train)
    check_classifier(options.classifier, spec.shape, spec.num_classes)
    check_classic(options.classic, train_images.images[:4], train_images.labels[:4])
    device = str(pick_device(options.device))
    with one_thread():
        descriptions = {name: source_module.describe_source(source, train) for name, source in sources.items()}
    settings = {
        "sources": descriptions,
        "ratios": ratios,
        "seeds": seeds,
        "labels_per_class": labels_per_class,
        "classifier": describe_classifier(options.classifier, spec.shape, spec.num_classes),
        "classic": describe_classic(options.classic, train_images.images, train_images.labels),
        "updates": updates,
        "batch_size": batch_size,
        "lr": options.lr,
        "image_size": options.image_size,
        "device": device,
        "train": _data_record(train),
        "test": _data_record(test),
        "torch": str(torch.__version__),
        "genaug": __version__,
    }
    most = max(POOL, *(len(rows) for rows in subsets.rows.values()))
    work = Work(
        train=train_images,
        test=test_images,
        spec=spec,
        rows=subsets.rows,
        sources=sources,
        classifier=options.classifier,
        classic=options.classic,
        updates=updates,
        batch_size=batch_size,
        lr=options.lr,
        pool=min(most, max(spec.num_classes, math.ceil(updates * batch_size * ratios[-1]))),
        device=device,
        folder=folder,
        notes=_notes(train_images, train.spec, test.spec, sources),
    )
    return work, settings, subsets


def _notes(images: Images, train: Spec, test: Spec, sources: Mapping[str, SourcePlan]) -> tuple[str, ...]:
    """Notes on the classes for the report: those without images, and matching by number instead of by name."""
    specs = {"the test set": test}
    specs |= {f"source {name!r}": source.spec for name, source in sources.items() if isinstance(source, Source)}
    notes = [
        without_images(images, train.num_classes),
        *(matched_by_number(train.class_names, spec, "the training set", name) for name, spec in specs.items()),
    ]
    return tuple(f"{note[0].upper()}{note[1:]}" for note in notes if note)


def _run(
    work: Work, settings: dict[str, Any], subsets: Subsets, workers: int, progress: bool, origin: Mapping[str, Any]
) -> Report:
    """The inner splits, the selection, the test set, the judgement."""
    seeds: list[int] = settings["seeds"]
    arms = arms_of(settings)
    inner = [Job("inner", seed, tuple(arms)) for seed in seeds]
    others = arms if settings["explore"] else []
    first = next(arm for arm in arms if arm.candidate)
    expected = [*inner, *(Job("test", seed, tuple(arms_to_test(first, others))) for seed in seeds)]
    with Progress("study", total_cost(work, expected), progress, 10.0) as bar:
        for note in work.notes:
            bar.say(note)
        bar.start_at(sum(cost(cell["name"]) for cell in work.folder.read() if "error" not in cell))

        def finish(jobs: list[Job], phase: Phase) -> dict[Arm, dict[int, float]]:
            ledger = Ledger(work.folder.read())
            settled = phase == "inner" and ledger.of("test")  # the choice stands, so failed arms aren't tried again
            run_jobs(work, left_to_do(jobs, ledger.tried if settled else ledger.done), workers, bar)
            ledger = Ledger(work.folder.read())
            return {arm: ledger.accuracies(phase, arm.name) for arm in jobs[0].arms}

        try:
            chosen = select(finish(inner, "inner"), seeds)
        except InputError as error:
            failures = Ledger(work.folder.read()).failures()
            cell = next(cell for cell in failures if cell["name"] in (NONE.name, CLASSIC.name))
            raise InputError(f"{error} First: {cell['name']}, seed {cell['seed']}: {cell['error']}") from None
        table = finish([Job("test", seed, tuple(arms_to_test(chosen, others))) for seed in seeds], "test")
    statistics: dict[str, Any] = {
        "method": inference(subsets.overlap),
        "n_train": min(len(rows) for rows in subsets.rows.values()),
        "n_test": len(work.test),
        "overlap": subsets.overlap,
        "correction": overlap_correction(subsets.overlap),
        "n_generated": work.pool,
        "classes": work.spec.num_classes,
    }
    judgement = judge(chosen, table, seeds, correction=statistics["correction"], resolution=1 / statistics["n_test"])
    details = findings(
        judgement,
        Ledger(work.folder.read()),
        arms,
        settings,
        statistics,
        examination=examine(work, chosen, judgement.classic),
        origin=origin,
    )
    details["warnings"] = [*work.notes, *details["warnings"]]
    return from_details(details, study_html(details, work, chosen))


def _data_record(data: Samples) -> dict[str, Any]:
    return {"images": len(data.x), "shape": "x".join(map(str, data.spec.shape)), "sha256": fingerprint(data)}
