"""The work for one seed: train the generators, then one classifier per arm, on the same samples."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import torch

from genaug.backends.spec import Spec
from genaug.errors import OutputExistsError, SaveError
from genaug.randomness import derive_seed
from genaug.schedules import Schedule
from genaug.sources.generator import Generator
from genaug.sources.loading import load_folder
from genaug.sources.source import Source
from genaug.studies import classifiers as classifier_module, sources as source_module
from genaug.studies.arms import NOISE, Arm
from genaug.studies.blending import NoisyCopies, Part, class_counts, generate, part_of
from genaug.studies.cells import StudyFolder, run_folder
from genaug.studies.classifiers import AsClassifier, predicted
from genaug.studies.courses import Course, confidence_of, confident_first, ratios_of, scheduled
from genaug.studies.learners import Learner
from genaug.studies.metrics import ACCURACY, Measure, Metric, Predictions
from genaug.studies.mixes import Mix, MixedSources, plans_in
from genaug.studies.recipes import Recipe
from genaug.studies.sources import SourcePlan, recipes_in
from genaug.studies.splits import LabelledSamples, inner_split

Phase = Literal["inner", "test"]
_GENERATOR_COST = 4  # training a generator takes about as long as this many classifiers: for the progress bar only


@dataclass(frozen=True)
class Work:
    """Everything that the jobs of a study share. ``also`` is what cells record besides the metric."""

    train: LabelledSamples
    test: LabelledSamples
    spec: Spec
    rows: dict[int, torch.Tensor]
    sources: dict[str, SourcePlan]
    learner: Learner
    ratios: tuple[float, ...]
    device: str
    folder: StudyFolder
    metric: Metric = ACCURACY
    also: tuple[Measure, ...] = ()
    courses: Mapping[str, Course] = field(default_factory=dict)
    pil: str | None = None  # the dataset whose items are images of Pillow, as an expression, for the report's code
    notes: tuple[str, ...] = ()  # about the classes, for the report

    @property
    def fills(self) -> bool:
        """Whether generated samples fill up rare classes, rather than being as frequent as the real ones."""
        return self.metric.key != ACCURACY.key

    @property
    def all_ratios(self) -> tuple[float, ...]:
        """All generated shares of batches, ascending, without 0: the ratios and those of the schedules."""
        return ratios_of(self.ratios, self.courses)

    def counts(self, labels: torch.Tensor, ratio: float) -> torch.Tensor:
        """How many generated samples of each class, int64 (classes,), a classifier gets beside these real labels."""
        return class_counts(labels, ratio, self.learner.generated(len(labels), ratio), fill=self.fills)

    @property
    def most_generated(self) -> int:
        """The number of generated samples of a classifier at the highest ratio, at most."""
        return max(self.learner.generated(len(rows), self.all_ratios[-1]) for rows in self.rows.values())

    def trained(self) -> list[str]:
        """The names of the sources to train."""
        return [key for name, source in self.sources.items() for key in recipes_in(name, source)]


@dataclass(frozen=True)
class Job:
    """One seed's arms, to be judged on the samples that the inner split holds out or on the test set."""

    phase: Phase
    seed: int
    arms: tuple[Arm, ...]

    def names(self, work: Work) -> list[str]:
        """The names of the job's cells: trainings of generators, then arms."""
        sources = dict.fromkeys(arm.source for arm in self.arms if arm.source is not None)
        recipes = [key for name in sources if name in work.sources for key in recipes_in(name, work.sources[name])]
        return [*map(trained, recipes), *(arm.name for arm in self.arms)]


def trained(source: str) -> str:
    """The name of the cell with the training time of a generator."""
    return f"training {source}"


def cost(name: str) -> float:
    """A cell's share of the progress bar."""
    return _GENERATOR_COST if name.startswith("training ") else 1


def total_cost(work: Work, jobs: Iterable[Job]) -> float:
    """The length of the progress bar for these jobs."""
    return sum(cost(name) for job in jobs for name in job.names(work))


def seed_samples(work: Work, job: Job) -> tuple[LabelledSamples, LabelledSamples]:
    """The samples that a job trains on, and those that it is judged on."""
    samples = work.train.part(work.rows[job.seed])
    if job.phase == "test":
        return samples, work.test
    rows, held_out_rows = inner_split(samples.labels, job.seed)
    return samples.part(rows), samples.part(held_out_rows)


def source_of(work: Work, name: str, seed: int) -> Source:
    """A source for a seed of the test phase, after its training."""

    def load(name: str, recipe: Recipe) -> Generator:
        return load_folder(work.folder.generator(name, "test", seed), device=work.device)

    return _opened(work, name, work.train.part(work.rows[seed]), seed, load)


def _opened(
    work: Work, name: str, samples: LabelledSamples, seed: int, generator: Callable[[str, Recipe], Generator]
) -> Source:
    """A source for a seed's samples. ``generator`` returns the generator with this name that has been trained as the
    recipe says."""

    def opened(name: str, plan: Any) -> Source:
        if isinstance(plan, Recipe):
            return generator(name, plan)
        if isinstance(plan, Source):
            return plan
        return source_module.call(plan, samples, derive_seed(seed, "generator", name), work.spec)

    plan = work.sources[name]
    if not isinstance(plan, Mix):
        return opened(name, plan)
    parts = [opened(*item) for item in plans_in(name, plan).items()]
    return MixedSources(parts, list(plan.shares.values()), work.spec, samples.labels.unique().tolist())


def run_job(work: Work, job: Job, append: Callable[[dict[str, Any]], None]) -> None:
    """Run a job's arms, and pass each result, or the error instead, to ``append`` as a cell."""
    train, test = seed_samples(work, job)
    pools: dict[str, LabelledSamples | Exception] = {}
    with one_thread():
        for arm in job.arms:
            cell: dict[str, Any] = {"phase": job.phase, "seed": job.seed, "name": arm.name}
            try:
                if arm.ratio is None:
                    cell |= _score_classifier(work, job, str(arm.source), train, test, append)
                else:
                    if arm.source is not None and arm.source not in pools:
                        pools[arm.source] = _pool(work, job, arm.source, train, append)
                    pool = None if arm.source is None else pools[arm.source]
                    if isinstance(pool, Exception):
                        raise pool
                    cell |= _score(work, job, arm, train, pool, test)
            except (SaveError, OutputExistsError):
                raise  # a problem of the disk or another process, not of the arm
            except Exception as error:
                cell["error"] = f"{type(error).__name__}: {error}"
            append(cell)


def _pool(
    work: Work, job: Job, name: str, train: LabelledSamples, append: Callable[[dict[str, Any]], None]
) -> LabelledSamples | Exception:
    """Generated samples of a source for all ratios, or the error with which its arms fail, while the others
    continue."""
    try:
        source: Source
        if name == NOISE:
            source = NoisyCopies(train, work.spec)
        else:
            source = _opened(
                work, name, train, job.seed, lambda key, recipe: _trained(work, job, key, recipe, train, append)
            )
        counts = torch.stack([work.counts(train.labels, ratio) for ratio in work.all_ratios]).amax(0)
        return generate(source, train, counts, derive_seed(job.seed, "generated", name), work.spec)
    except (SaveError, OutputExistsError):
        raise
    except Exception as error:
        return error


def _trained(
    work: Work, job: Job, name: str, recipe: Recipe, train: LabelledSamples, append: Callable[[dict[str, Any]], None]
) -> Generator:
    """The generator of a recipe for this job's samples, and a cell with the time that its training took."""
    folder = work.folder.generator(name, job.phase, job.seed)
    start, resumed = time.perf_counter(), folder.is_dir() or run_folder(folder).is_dir()
    generator = source_module.train(recipe, train, folder, derive_seed(job.seed, "generator", name), work.device)
    if not resumed:  # otherwise the time spent before isn't known
        seconds = round(time.perf_counter() - start, 3)
        append({"phase": job.phase, "seed": job.seed, "name": trained(name), "seconds": seconds})
    return generator


def _score(
    work: Work, job: Job, arm: Arm, train: LabelledSamples, pool: LabelledSamples | None, test: LabelledSamples
) -> dict[str, Any]:
    """The metrics of one arm's classifier, what its training says, and the time that it took."""
    start = time.perf_counter()
    parts = [] if pool is None else _parts(work, arm, train, pool, job.seed)
    fitted = work.learner.fit(arm, train, parts, work.spec, job.seed)
    result = {**_measured(work, fitted.predict(test.samples), test), **fitted.notes}
    return {**result, "seconds": round(time.perf_counter() - start, 3)}


def _parts(work: Work, arm: Arm, train: LabelledSamples, pool: LabelledSamples, seed: int) -> list[Part]:
    """What an arm's classifier gets of the generated samples, in turn."""
    course = work.courses.get(arm.schedule or arm.curriculum or "")
    if isinstance(course, Schedule):
        counts = {ratio: work.counts(train.labels, ratio) for ratio in ratios_of((), {"": course})}
        return scheduled(course, pool, counts)
    assert arm.ratio is not None
    generated = part_of(pool, work.counts(train.labels, arm.ratio))
    if course is None:
        return [Part(arm.ratio, generated)]
    confidence = confidence_of(course, generated, train, learner=work.learner, spec=work.spec, seed=seed)
    return confident_first(course, generated, confidence, arm.ratio)


def _score_classifier(
    work: Work,
    job: Job,
    name: str,
    train: LabelledSamples,
    test: LabelledSamples,
    append: Callable[[dict[str, Any]], None],
) -> dict[str, Any]:
    """The metrics of a classifier that a source provides, and the time that it took; its training by a recipe has a
    cell of its own."""
    plan = work.sources[name]
    assert isinstance(plan, AsClassifier)
    classifier, seed = plan.of, derive_seed(job.seed, "generator", name)
    if isinstance(classifier, Recipe):
        classifier = _trained(work, job, name, classifier, train, append)
    start = time.perf_counter()
    if classifier_module.is_estimator(classifier):
        predictions = classifier_module.fit_estimator(classifier, train, work.spec, seed)(test.samples)
    else:
        if not classifier_module.is_trained(classifier):
            classifier = classifier_module.call(classifier, train, seed, work.spec)
        present = work.train.labels.unique().tolist()
        predictions = predicted(classifier, test.samples, work.spec, present)
    return {**_measured(work, predictions, test), "seconds": round(time.perf_counter() - start, 3)}


def _measured(work: Work, predictions: Predictions, test: LabelledSamples) -> dict[str, float]:
    measures: tuple[Measure, ...] = (work.metric, *work.also)
    return {measure.key: measure.of(predictions, test.labels) for measure in measures}


@contextmanager
def one_thread() -> Iterator[None]:
    """Run torch on one thread, for the same results on every machine; small images gain nothing from more threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def left_to_do(jobs: Sequence[Job], done: Callable[[str, int, str], bool]) -> list[Job]:
    """The jobs, without the arms that are done."""
    rest = [Job(j.phase, j.seed, tuple(a for a in j.arms if not done(j.phase, j.seed, a.name))) for j in jobs]
    return [job for job in rest if job.arms]
