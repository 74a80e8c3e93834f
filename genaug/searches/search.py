"""``genaug.search``: which options make a backend's generator better on these data?"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from genaug import checks
from genaug.backends import registry
from genaug.backends.backend import parse_config
from genaug.checks import as_whole
from genaug.data.reading import read_samples
from genaug.errors import InputError
from genaug.progress import Progress
from genaug.randomness import check_seed
from genaug.searches.folder import SearchFolder
from genaug.searches.objectives import check_measures, objective_named
from genaug.searches.report import SearchResult, result_of
from genaug.searches.space import search_space
from genaug.searches.split import SHARE, split
from genaug.searches.trials import Work, counted, open_study, run_trials
from genaug.training.data import check_modality


def search(
    backend: str,
    dataset: Any,
    *,
    out: str | Path,
    objective: Any = "kid",
    higher_is_better: bool | None = None,
    trials: int = 20,
    steps: int = 2000,
    space: Mapping[str, Any] | Sequence[str] | None = None,
    config: Mapping[str, Any] | None = None,
    held_out: float = SHARE,
    prune: bool = True,
    storage: str | None = None,
    batch_size: int | None = None,
    image_size: int | None = None,
    augment: Sequence[str] | None = None,
    seed: int = 0,
    device: str | torch.device | None = None,
    threads: int | None = None,
    resume: bool = False,
    overwrite: bool = False,
    progress: bool = True,
) -> SearchResult:
    """Search the options of a backend for those whose generator is best on held-out images, with Optuna.

    A part of the training images of each class is held out. Every trial trains the backend on the others, with options
    that a tree-structured Parzen estimator (Bergstra et al. 2011) proposes, and measures the objective on the
    held-out images, several times during the training. A trial that is not among the best quarter of earlier trials at
    the same step is pruned. The first trial has the default options.

    Args:
        backend: the name of an installed backend.
        dataset: the training set, as ``genaug.fit`` takes it. Never pass test images: the options are chosen by it.
        out: a folder for the report, the trials and the best trial's generator, in ``best/``.
        objective: "kid" (lower is better), "coverage", "synthetic_only" (accuracy on held-out images of a classifier
            that was trained on generated images alone), "gain" (of a short study, after each training), or a function
            of a ``Generator`` that returns a number. See the guide to searches for what they cost.
        higher_is_better: required for a function, and only for that.
        trials: the number of trials, of all processes together.
        steps: training steps of a trial that isn't pruned.
        space: the options to search: a mapping of option to (low, high), to a list of values, or to None for the
            default range; or the options' names. By default all that have a range: numbers with bounds whose
            default isn't 0, and strings from a fixed set.
        config: options that stay fixed.
        held_out: the share of each class to hold out, between 0 and 1.
        prune: whether to end unpromising trials early.
        storage: the URL of an Optuna storage, such as "sqlite:///search.db", through which several processes and
            machines share the trials of one search. Each has its own ``out``. By default a file in ``out``.
        batch_size, image_size, augment, device, threads: as for ``genaug.fit``.
        seed: of the search; every trial is trained with the same seed.
        resume: continue the search in ``out``, with its interrupted trial; ``trials`` may be larger.
        overwrite: replace the search in ``out``.
        progress: show the trials and the time left on stderr.

    A trial whose options don't fit together or whose training fails is listed as failed, and counts as a trial.

    Raises ``InputError`` for unusable arguments or data, if no option is left to search, if Optuna isn't installed, and
    if arguments differ from those of the search to resume; ``OutputExistsError`` if ``out`` isn't free; ``SaveError``
    if it can't be written; ``TrainingError`` if no trial could be completed.
    """
    _require_optuna()
    if resume and overwrite:
        raise InputError("overwrite starts the search again and resume continues it: pass only one of them.")
    trials, steps = as_whole(trials, "trials", 1, checks.COUNT), as_whole(steps, "steps", 1, checks.STEPS)
    recipe, judged = registry.resolve(backend), objective_named(objective, higher_is_better)
    fixed = dict(config or {})
    parse_config(backend, recipe.Config, fixed)
    data = read_samples(dataset, image_size, needs_labels=judged.needs_labels)
    check_modality(backend, recipe, data.spec)
    check_measures(judged, data.spec)
    train, unseen = split(data, held_out)
    dimensions = search_space(backend, recipe, fixed, data.spec, space)
    work = Work(
        backend=backend,
        fixed=fixed,
        dimensions=dimensions,
        objective=judged,
        train=train,
        unseen=unseen,
        steps=steps,
        seed=check_seed(seed),
        prune=prune and judged.while_training,
        fit={"batch_size": batch_size, "augment": augment, "device": device, "threads": threads},
    )
    settings = work.settings(data, held_out)
    folder = SearchFolder(out)
    with folder.claimed(resume=resume, overwrite=overwrite):
        folder.open(settings, resume=resume)
        study = open_study(work, folder, storage, settings)
        with Progress("search", trials * steps, progress, 10.0) as bar:
            run_trials(work, study, folder, trials, bar)
        result = result_of(counted(study), settings, work.defaults(), folder.path)
        folder.finish(result.contents())
    return result


def _require_optuna() -> None:
    try:
        import optuna  # noqa: F401
    except ImportError as error:
        raise InputError("genaug.search needs Optuna, which isn't installed: pip install 'genaug[search]'.") from error
