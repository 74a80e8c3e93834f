"""The trials of a search: proposed and pruned by Optuna, trained and measured one after another."""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from genaug.artifacts.claims import discard
from genaug.backends import registry
from genaug.backends.backend import parse_config
from genaug.data.reading import Samples, fingerprint
from genaug.device import pick_device
from genaug.errors import InputError, TrainingError
from genaug.progress import Progress
from genaug.randomness import derive_seed
from genaug.searches.folder import SearchFolder
from genaug.searches.objectives import Measure, Objective
from genaug.searches.space import Dimension, fitting
from genaug.searches.split import as_dataset
from genaug.training.callbacks import Snapshot
from genaug.training.fit import fit
from genaug.training.run_folder import RunFolder

if TYPE_CHECKING:
    import optuna

_MEASUREMENTS = 8  # of the objective during a training
_STARTUP = 4  # trials with random options before the sampler and the pruner judge
_KEPT = 25.0  # percent of the trials that reach the next measurement


@dataclass(frozen=True)
class Work:
    """What every trial needs."""

    backend: str
    fixed: Mapping[str, Any]
    dimensions: Mapping[str, Dimension]
    objective: Objective
    train: Samples
    unseen: Samples
    steps: int
    seed: int
    prune: bool
    fit: Mapping[str, Any]

    @property
    def checkpoint_every(self) -> int:
        """Steps between two measurements."""
        return max(1, self.steps // _MEASUREMENTS)

    def settings(self, data: Samples, held_out: float) -> dict[str, Any]:
        """What decides the result of a trial, as values for JSON."""
        fixed = {"batch_size": self.fit["batch_size"], "augment": list(self.fit["augment"] or ())}
        return {
            "backend": self.backend,
            "config": dict(self.fixed),
            "space": {name: dimension.ends for name, dimension in self.dimensions.items()},
            "objective": self.objective.name,
            "higher_is_better": self.objective.higher,
            "steps": self.steps,
            "seed": self.seed,
            "prune": self.prune,
            "held_out": held_out,
            **fixed,
            "data_sha256": fingerprint(data),
        }

    def defaults(self) -> dict[str, Any]:
        """The defaults of the searched options, as far as they are in the space."""
        options = parse_config(self.backend, registry.resolve(self.backend).Config, self.fixed)
        values = {name: getattr(options, name) for name in self.dimensions}
        return {name: value for name, value in values.items() if value in self.dimensions[name]}


def open_study(work: Work, folder: SearchFolder, storage: str | None, settings: Mapping[str, Any]) -> "optuna.Study":
    """The Optuna study in ``storage``, created if it isn't there, with the default options as its first trial."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    name = "genaug-" + hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]
    direction: Literal["maximize", "minimize"] = "maximize" if work.objective.higher else "minimize"
    pruner: optuna.pruners.BasePruner = optuna.pruners.NopPruner()
    if work.prune:
        pruner = optuna.pruners.PercentilePruner(_KEPT, n_startup_trials=_STARTUP)
    try:
        study = optuna.create_study(
            storage=folder.journal() if storage is None else storage,
            study_name=name,
            direction=direction,
            pruner=pruner,
            load_if_exists=True,
        )
    except Exception as error:
        raise InputError(
            f"the storage of the search can't be opened ({type(error).__name__}: {error}). Expected a URL that Optuna "
            "knows, such as 'sqlite:///search.db'."
        ) from error
    origin = f"search {len(study.trials)}" + ("" if storage is None else f" {folder.path}")  # proposes nothing twice
    study.sampler = optuna.samplers.TPESampler(seed=derive_seed(work.seed, origin) % 2**32, n_startup_trials=_STARTUP)
    if not study.trials:
        study.enqueue_trial(work.defaults())
    return study


def run_trials(work: Work, study: "optuna.Study", folder: SearchFolder, trials: int, bar: Progress) -> None:
    """Run the trials that are left; those that were interrupted come first."""
    from optuna.trial import TrialState

    for interrupted in study.get_trials(states=(TrialState.RUNNING,)):
        if interrupted.user_attrs.get("folder") == str(folder.path):
            study.tell(interrupted.number, state=TrialState.FAIL)
            study.set_user_attr(f"continued {interrupted.number}", True)
            study.enqueue_trial(interrupted.params)
    measure: list[Measure] = []  # prepared for the first trial

    bar.start_at(len(counted(study)) * work.steps)
    while len(counted(study)) < trials:
        trial = study.ask()
        trial.set_user_attr("folder", str(folder.path))
        options = {name: dimension.suggest(trial, name) for name, dimension in work.dimensions.items()}
        if not measure:
            bar.tell("preparing the objective")
            measure.append(work.objective.prepare(work.train, work.unseen, work.seed, pick_device(work.fit["device"])))
        suitable = fitting(work.backend, registry.resolve(work.backend), work.fixed, options)
        trial.set_user_attr("options", suitable)
        _try(work, study, trial, suitable, folder, measure[0], bar)


def counted(study: "optuna.Study") -> "list[optuna.trial.FrozenTrial]":
    """The finished trials, without those that were interrupted and continued as others."""
    finished = [trial for trial in study.trials if trial.state.is_finished()]
    return [trial for trial in finished if f"continued {trial.number}" not in study.user_attrs]


def _try(
    work: Work,
    study: "optuna.Study",
    trial: "optuna.Trial",
    options: dict[str, Any],
    folder: SearchFolder,
    measure: Measure,
    bar: Progress,
) -> None:
    """Train with these options, report the objective, and record how the trial ended."""
    import optuna
    from optuna.trial import TrialState

    run = folder.run(options)
    recorder = _Recorder(work, trial, measure, bar, run)
    arguments = {name: value for name, value in work.fit.items() if value is not None}
    arguments |= {"steps": work.steps, "seed": work.seed, "config": {**work.fixed, **options}, "progress": False}
    arguments["checkpoint_every"] = work.checkpoint_every
    bar.tell(f"trial {trial.number + 1}")
    try:
        generator = fit(
            work.backend,
            as_dataset(work.train),
            out=run,
            resume=run.exists(),
            callbacks=[recorder] if work.objective.while_training else [],
            **arguments,
        )
        value = recorder.newest if work.objective.while_training else measure(generator)
        if value is None or not math.isfinite(value):
            raise TrainingError(f"the objective is {value}.")
        trial.set_user_attr("steps", work.steps)
        study.tell(trial, value)
    except optuna.TrialPruned:
        study.tell(trial, state=TrialState.PRUNED)
    except (InputError, TrainingError) as error:
        trial.set_user_attr("error", str(error))
        study.tell(trial, state=TrialState.FAIL)
    bar.advance(work.steps - recorder.done)  # those that were pruned
    if _best(study) == trial.number:
        folder.keep(run)
    discard(run)


def _best(study: "optuna.Study") -> int | None:
    try:
        return int(study.best_trial.number)
    except ValueError:  # no trial is complete yet
        return None


class _Recorder:
    """Measures the objective at every checkpoint, and ends a training that the pruner doesn't find promising."""

    def __init__(self, work: Work, trial: "optuna.Trial", measure: Measure, bar: Progress, run: Path) -> None:
        self._work, self._trial, self._measure, self._bar = work, trial, measure, bar
        self._metric = f"objective/{work.objective.name}"
        self._every = work.checkpoint_every
        self.done = 0
        self.newest: float | None = None
        for step, value in RunFolder(run).logged(self._metric).items():  # before an interruption
            self._report(step, value)

    def __call__(self, snapshot: Snapshot) -> None:
        import optuna

        self._bar.advance(snapshot.step - self.done)
        self.done = snapshot.step
        if snapshot.step % self._every and snapshot.step != self._work.steps:
            return
        value = snapshot.metrics[self._metric] = self._measure(snapshot.generator())
        self._report(snapshot.step, value)
        if self._work.prune and snapshot.step < self._work.steps and self._trial.should_prune():
            raise optuna.TrialPruned

    def _report(self, step: int, value: float) -> None:
        self.newest = value
        self._trial.set_user_attr("steps", step)
        self._trial.report(value, step)
