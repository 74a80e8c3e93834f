"""``genaug.study``: do generated samples improve a classifier of these data, from which source, at which ratio?"""

import multiprocessing
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from genaug import checks
from genaug.blend.curriculum import Curriculum
from genaug.checks import as_whole
from genaug.errors import InputError
from genaug.schedules import Schedule
from genaug.studies.cells import StudyFolder
from genaug.studies.options import Options, data_name, python_call
from genaug.studies.preparation import prepare
from genaug.studies.report import Report
from genaug.studies.running import run_study
from genaug.studies.workers import check_picklable
from genaug.training.signals import ended_by_sigterm


def study(
    train_set: Any,
    test_set: Any,
    *,
    sources: Mapping[str, Any],
    ratios: Sequence[float] = (0.25, 0.5),
    schedules: Mapping[str, Schedule | Curriculum] | None = None,
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
            which goes into ``classic``. Or a ``genaug.data.TableDataset`` with a target, or series, such as a
            ``genaug.data.SeriesDataset`` with labels.
        test_set: another one, with every class of the first and none of its images. Classes are matched by name if both
            datasets have names, even if their numbers differ. The test set of a table may also be a DataFrame; its rows
            are read with the training table's columns and classes, and categories that this one doesn't have count as
            missing. Series are padded to the longest of both.
        sources: the sources by name. A backend's name or a ``genaug.studies.Recipe`` is trained for every seed, on that
            seed's samples only. A function is called for every seed as ``function(dataset, seed)`` with that seed's
            training set (of (image, label), or a ``TableDataset``), and returns a source, such as
            ``with_labels(generator, dataset, seed=seed, ...)``; the same arguments must give the same source. Any
            source object counts as pretrained, and the report quotes from its record what it was trained on. A
            classifier that needs no generated samples, such as that of a semi-supervised GAN, is an arm as
            ``genaug.studies.AsClassifier(...)``; several sources are one arm as ``genaug.studies.Mix(...)``.
        ratios: the generated shares to try, each in (0, 1). May be empty if there is a schedule of ratios.
        schedules: other arms by name: schedules of ``genaug.schedules``, whose ratios may reach 1, and
            ``genaug.Curriculum``, which is tried at each of ``ratios``. Their epochs last for equal parts of the
            updates. A curriculum without a classifier, ``Curriculum(None, share)``, gets one that is trained on the
            seed's real samples. Only for networks.
        seeds: the number of seeds, counted from 0, or the seeds themselves. At least two; ten are better.
        labels_per_class: the number of samples per class that a seed trains on, or a mapping of each class, by name or
            number, to its own, such as ``{"healthy": 2000, "faulty": 20}``; all by default. If there are enough, no
            sample is in two seeds' subsets.
        metric: what is measured, and what arms are chosen by: "accuracy", "balanced_accuracy", "macro_f1",
            "recall:CLASS", or "average_precision", which is about the rarer of two classes, or the mean over more;
            "average_precision:CLASS" is about one. Scikit-learn computes them. With any but accuracy, generated samples
            fill up the rarest classes first; otherwise they are as frequent as the real ones.
        baselines: what the chosen arm has to beat. "none" always is one; "classic" augmentation is for networks,
            "smote" (SMOTE, or SMOTE-NC if there are categories) for estimators of images and rows. "weights" weights
            the classes in the loss, and "oversample" repeats real samples, until all classes count equally. "classic +
            oversample" combines two. By default "none" and, for networks, "classic"; if the metric isn't accuracy and a
            class has twice as many samples as another, all of them, and "classic + oversample" for networks.
        classifier: of images "small" (a CNN for small images), "timm:NAME", or a factory of (shape, num_classes) that
            returns a module from floats (N, C, H, W) in [0, 1] to logits. Of tables "boosting"
            (HistGradientBoosting) and "logistic" (logistic regression), both by default, an estimator of scikit-learn,
            which gets a DataFrame without the target, a function that returns one, or a mapping of names to
            estimators. With several, each baseline of each of them has to be beaten. Estimators classify images, too,
            as rows of pixels. Of series "small" (a CNN), a factory of a module from ``Series.inputs``, "rocket",
            "minirocket" or "multirocket" of aeon, or an estimator, which gets float32 (N, channels, steps) with NaN
            where there is no value; those of scikit-learn get rows (N, channels * steps).
        classic: your own augmentation instead of the built-in one, which rotates, scales and shifts images, and applies
            one of ``genaug.data.series_transforms`` to each series. A transform of one uint8 image or float32 series,
            or ``genaug.studies.OnBatches`` with a transform of batches, that draws from torch's, numpy's or Python's
            global random numbers. A transform with random numbers of its own isn't reproducible.
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
        schedules=schedules,
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
            report = run_study(work, settings, subsets, workers, progress, origin)
            if out is not None:
                folder.write(report.contents())
    return report
