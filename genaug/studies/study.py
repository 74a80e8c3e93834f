"""``genaug.study``: do generated images help a classifier of these data, and from which source, at which ratio?"""

import math
import multiprocessing
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from numbers import Integral
from pathlib import Path
from typing import Any

import torch

from genaug import checks
from genaug.backends.spec import Spec
from genaug.blend.plan import as_number
from genaug.checks import as_whole
from genaug.data.classes import matched_by_number
from genaug.data.reading import Samples, fingerprint, read_samples
from genaug.device import pick_device
from genaug.errors import InputError
from genaug.progress import Progress
from genaug.randomness import check_seed
from genaug.sources.source import Source
from genaug.studies import sources as source_module
from genaug.studies.arms import CLASSIC, NONE, Arm, all_arms, arms_to_test
from genaug.studies.cells import Ledger, StudyFolder
from genaug.studies.classic import check_classic
from genaug.studies.compare import overlap_correction
from genaug.studies.decide import judge, select
from genaug.studies.diagnosis import examine
from genaug.studies.findings import findings
from genaug.studies.identity import classic_told, classifier_told
from genaug.studies.jobs import Job, Phase, Work, cost, left_to_do, one_thread, total_cost
from genaug.studies.models import check_classifier
from genaug.studies.repeat import changed_options, data_name, python_call
from genaug.studies.report import Report, from_details
from genaug.studies.sources import Recipe
from genaug.studies.splits import Images, Subsets, check_sets, draw_subsets, labelled, without_images
from genaug.studies.study_page import study_html
from genaug.studies.workers import check_picklable, run_jobs
from genaug.training.signals import ended_by_sigterm
from genaug.version import __version__

POOL = 5_000  # generated images of a source for one seed, at most, unless the seed has more real ones


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

    For every seed one classifier is trained from the same first weights, on the same images in the same order and for
    as many updates, in each of these ways: as they are ("none"); with classic augmentation ("classic"); with noisy
    copies of real images blended in ("noise", the control); with each source's images, and with these and classic
    augmentation, at each ratio. Source, ratio and classic are chosen together by the mean accuracy on what the seeds'
    inner splits hold back; then the choice is compared with none and with classic on the test set, once. "use" takes
    both 95 % intervals above 0, "don't use" either 97.5 % interval below 0. ``docs/study.md`` has the statistics.

    Args:
        train_set: a map-style dataset of (image, label): PIL, uint8 or floats in [0, 1], without random augmentation,
            which goes into ``classic``.
        test_set: another such, with every class of the first and none of its images. Classes are matched by name if
            both sets have names, whatever their numbers.
        sources: names to what generates: a backend's name or a ``genaug.studies.Recipe`` is trained for every seed, on
            that seed's images only; any source object counts as pretrained, and the report says what its record says
            it saw.
        ratios: generated shares to try, each in (0, 1).
        seeds: how many, counted from 0, or which. Two at least; ten are better.
        labels_per_class: how many images of each class a seed trains on; all by default. Where there are enough, no
            image is in two seeds' subsets.
        classifier: "small" (a CNN for small images), "timm:NAME", or a factory of (shape, num_classes) that
            makes a module from floats (N, C, H, W) in [0, 1] to logits.
        classic: your own augmentation in place of the built-in rotating, scaling and shifting: a transform of one
            uint8 image, or ``genaug.studies.OnBatches`` of one of whole batches, that draws from torch's, numpy's or
            Python's global random numbers. One with random numbers of its own isn't reproducible.
        updates: of every classifier.
        batch_size: of every update.
        lr: Adam's learning rate, which falls to 0 along a cosine.
        image_size: resizes the shorter side and crops the centre.
        device: where everything is trained; a GPU if there is one.
        workers: processes; results don't depend on how many. A script that asks for more than one has the call under
            ``if __name__ == "__main__":``.
        explore: also score all other arms on the test set. The report marks them; the verdict doesn't change.
        out: a folder for ``report.html`` and ``report.json``, every finished cell, and the generators; without it
            nothing is kept but what is returned.
        resume: go on with the study in ``out``, which must have been started with the same arguments and data.
        overwrite: replace the study in ``out``.
        progress: show what is being trained and the time left, on stderr.
        command: how the report says that the study is repeated; the call of this function by default.

    Raises ``InputError`` for arguments and data that can't be used as asked, ``OutputExistsError`` where ``out`` holds
    something, ``PluginError`` for a backend that isn't there, ``SaveError`` where ``out`` can't be written. An arm that
    fails does not end the study: the report lists it.
    """
    arguments = locals().copy()
    if getattr(multiprocessing.current_process(), "_inheriting", False):  # as multiprocessing itself asks
        raise InputError(
            "workers start by importing the script that called genaug.study, which must not call it again then: put "
            'the call under `if __name__ == "__main__":`.'
        )
    if resume and overwrite:
        raise InputError("overwrite starts a study anew and resume goes on with it: pass one of them.")
    workers = as_whole(workers, "workers", 1, checks.WORKERS)
    with ExitStack() as held:
        held.enter_context(ended_by_sigterm())
        scratch = held.enter_context(tempfile.TemporaryDirectory())
        folder = StudyFolder(out if out is not None else Path(scratch) / "study")
        held.enter_context(folder.claimed(resume=resume, overwrite=overwrite))
        work, settings, subsets = prepare(
            train_set,
            test_set,
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
            out=folder,
        )
        if workers > 1:
            check_picklable(work)
        folder.open({**settings, "explore": explore}, work.trained(), resume=resume)
        options = changed_options(study, arguments)
        origin = {
            "train": data_name(train_set),
            "test": data_name(test_set),
            "options": options,
            "command": command or python_call(options),
        }
        report = _run(work, {**settings, "explore": explore}, subsets, workers, progress, origin)
        if out is not None:
            folder.write(report.contents())
    return report


def prepare(
    train_set: Any,
    test_set: Any,
    *,
    sources: Mapping[str, Any],
    out: str | Path | StudyFolder,
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
) -> tuple[Work, dict[str, Any], Subsets]:
    """Read and check everything that ``study`` takes: the work to do, the settings as they are recorded, and the
    seeds' subsets. Nothing is written."""
    chosen_seeds, shares = _seeds(seeds), _ratios(ratios)
    if labels_per_class is not None:
        labels_per_class = as_whole(labels_per_class, "labels_per_class", 2)
    updates, batch_size = as_whole(updates, "updates", 1), as_whole(batch_size, "batch_size", 1, checks.BATCH)
    if not 0 < lr < float("inf"):
        raise InputError(f"lr must be above 0, got {lr!r}.")
    train = read_samples(train_set, image_size, what="the training set")
    test = read_samples(test_set, image_size, what="the test set")
    own = labelled(train, "the training set")
    other = check_sets(own, labelled(test, "the test set"))
    spec = train.spec.model_copy(update={"conditions": ()})
    subsets = draw_subsets(own.labels, labels_per_class, chosen_seeds)
    found = source_module.resolve(sources, spec, own.labels.unique().tolist())
    source_module.check_saw(found, test)
    check_classifier(classifier, spec.shape, spec.num_classes)
    check_classic(classic, own.images[:4], own.labels[:4])
    target = str(pick_device(device))
    with one_thread():
        told = {name: source_module.told(source, train) for name, source in found.items()}
    settings = {
        "sources": told,
        "ratios": shares,
        "seeds": chosen_seeds,
        "labels_per_class": labels_per_class,
        "classifier": classifier_told(classifier, spec.shape, spec.num_classes),
        "classic": classic_told(classic, own.images, own.labels),
        "updates": updates,
        "batch_size": batch_size,
        "lr": lr,
        "image_size": image_size,
        "device": target,
        "train": _told_data(train),
        "test": _told_data(test),
        "torch": str(torch.__version__),
        "genaug": __version__,
    }
    most = max(POOL, *(len(rows) for rows in subsets.rows.values()))
    work = Work(
        train=own,
        test=other,
        spec=spec,
        rows=subsets.rows,
        sources=found,
        classifier=classifier,
        classic=classic,
        updates=updates,
        batch_size=batch_size,
        lr=lr,
        pool=min(most, max(spec.num_classes, math.ceil(updates * batch_size * shares[-1]))),
        device=target,
        folder=out if isinstance(out, StudyFolder) else StudyFolder(out),
        notes=_notes(own, train.spec, test.spec, found),
    )
    return work, settings, subsets


def _notes(own: Images, train: Spec, test: Spec, sources: Mapping[str, Recipe | Source]) -> tuple[str, ...]:
    """What the report's reader should know about the classes: those without images, and numbers in place of names."""
    notes = [without_images(own, train.num_classes)]
    notes.append(matched_by_number(train.class_names, test, "the training set", "the test set"))
    for name, source in sources.items():
        if not isinstance(source, Recipe):
            notes.append(matched_by_number(train.class_names, source.spec, "the training set", f"source {name!r}"))
    return tuple(f"{note[0].upper()}{note[1:]}" for note in notes if note)


def _run(
    work: Work, settings: dict[str, Any], subsets: Subsets, workers: int, progress: bool, origin: Mapping[str, Any]
) -> Report:
    """The inner splits, the selection, the test set, the judgement."""
    seeds: list[int] = settings["seeds"]
    arms, explore = all_arms(list(work.sources), settings["ratios"]), settings["explore"]
    inner = [Job("inner", seed, tuple(arms)) for seed in seeds]
    some = next(arm for arm in arms if arm.candidate)
    later = Job("test", seeds[0], tuple(arms_to_test(some, arms if explore else ())))
    with Progress("study", total_cost(work, [*inner, *[later] * len(seeds)]), progress, 10.0) as bar:
        for note in work.notes:
            bar.say(note)
        bar.start_at(sum(cost(cell["name"]) for cell in work.folder.read() if "error" not in cell))

        def finish(jobs: list[Job], phase: Phase) -> dict[Arm, dict[int, float]]:
            ledger = Ledger(work.folder.read())
            settled = phase == "inner" and ledger.of("test")  # then what failed isn't tried again: the choice stands
            run_jobs(work, left_to_do(jobs, ledger.tried if settled else ledger.done), workers, bar)
            ledger = Ledger(work.folder.read())
            return {arm: ledger.accuracies(phase, arm.name) for arm in jobs[0].arms}

        inner_table = finish(inner, "inner")
        try:
            chosen = select(inner_table, seeds)
        except InputError as error:
            failed = next(c for c in Ledger(work.folder.read()).failures() if c["name"] in (NONE.name, CLASSIC.name))
            raise InputError(f"{error} First: {failed['name']}, seed {failed['seed']}: {failed['error']}") from None
        to_test = tuple(arms_to_test(chosen, arms if explore else ()))
        table = finish([Job("test", seed, to_test) for seed in seeds], "test")
    statistics = {**_statistics(subsets, len(work.test)), "n_generated": work.pool, "classes": work.spec.num_classes}
    judgement = judge(chosen, table, seeds, correction=statistics["correction"], resolution=1 / statistics["n_test"])
    examination = examine(work, chosen, judgement.classic)
    ledger = Ledger(work.folder.read())
    details = findings(judgement, ledger, arms, settings, statistics, examination=examination, origin=origin)
    details["warnings"] = [*work.notes, *details["warnings"]]
    return from_details(details, study_html(details, work, chosen))


def _statistics(subsets: Subsets, n_test: int) -> dict[str, Any]:
    """Which t-test the seeds allow."""
    n_train = min(len(rows) for rows in subsets.rows.values())
    if subsets.overlap == 0:
        method = "paired t: no two seeds share a training image"
    elif subsets.overlap < 1:
        method = (
            f"paired t, widened because two seeds share {100 * subsets.overlap:.3g} % of their training images on "
            "average: se² = s² (1/J + f / (1 − f))"
        )
    else:
        method = (
            "paired t: every seed trains on all images, so the interval covers the noise of training only and says "
            "nothing about another training set"
        )
    correction = overlap_correction(subsets.overlap)
    return {
        "method": method,
        "n_train": n_train,
        "n_test": n_test,
        "overlap": subsets.overlap,
        "correction": correction,
    }


def _seeds(seeds: Any) -> list[int]:
    if isinstance(seeds, Integral) and not isinstance(seeds, bool):
        chosen = list(range(as_whole(seeds, "seeds", 0, checks.SEEDS)))
    elif isinstance(seeds, Sequence) and not isinstance(seeds, str):
        as_whole(len(seeds), "the number of seeds", 0, checks.SEEDS)
        chosen = [check_seed(seed) for seed in seeds]
    else:
        raise InputError(f"seeds must be how many or which, got {seeds!r}.")
    if len(chosen) < 2 or len(set(chosen)) < len(chosen):
        raise InputError(
            f"a verdict needs two different seeds at least (ten are better), got {seeds!r}: one seed tells nothing "
            "about the spread."
        )
    return chosen


def _ratios(ratios: Any) -> list[float]:
    if isinstance(ratios, str) or not isinstance(ratios, Sequence) or not ratios:
        raise InputError(f"ratios must be a sequence of shares such as (.25, .5), got {ratios!r}.")
    as_whole(len(ratios), "the number of ratios", 1, checks.RATIOS)
    shares = [float(as_number(ratio)) for ratio in ratios]
    for share in shares:
        if not 0 < share < 1:
            raise InputError(
                f"ratios are generated shares of what the classifier sees, each in (0, 1), got {share!r}. Ratio 0 is "
                "the arm 'none', which is always there."
            )
    if len({f"{share:g}" for share in shares}) < len(shares):
        raise InputError(f"ratios must differ, got {ratios!r}.")
    return sorted(shares)


def _told_data(data: Samples) -> dict[str, Any]:
    shape = "x".join(map(str, data.spec.shape))
    return {"images": len(data.x), "shape": shape, "sha256": fingerprint(data)}
