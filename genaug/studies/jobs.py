"""The work for one seed: train the generators, then one classifier per arm, from the same images and first weights."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch

from genaug.backends.spec import Spec
from genaug.errors import OutputExistsError, SaveError
from genaug.nn.classifier import accuracy, train_classifier
from genaug.randomness import derive_seed, seeded
from genaug.sources.generator import Generator
from genaug.sources.loading import load_folder
from genaug.sources.source import Source
from genaug.studies import classifiers as classifier_module, sources as source_module
from genaug.studies.arms import NOISE, Arm
from genaug.studies.blending import NoisyCopies, blended, generate
from genaug.studies.cells import StudyFolder, run_folder
from genaug.studies.classic import augmented
from genaug.studies.classifiers import AsClassifier, predicted_labels
from genaug.studies.models import make_classifier
from genaug.studies.recipes import Recipe
from genaug.studies.sources import SourcePlan, recipe_of
from genaug.studies.splits import Images, inner_split

Phase = Literal["inner", "test"]
_GENERATOR_COST = 4  # training a generator takes about as long as this many classifiers: for the progress bar only


@dataclass(frozen=True)
class Work:
    """Everything that the jobs of a study share."""

    train: Images
    test: Images
    spec: Spec
    rows: dict[int, torch.Tensor]
    sources: dict[str, SourcePlan]
    classifier: Any
    classic: Any
    updates: int
    batch_size: int
    lr: float
    pool: int  # generated images for a seed's classifiers, the same number for all, also after resuming
    device: str
    folder: StudyFolder
    notes: tuple[str, ...] = ()  # about the classes, for the report

    def trained(self) -> list[str]:
        """The names of the sources to train."""
        return [name for name, source in self.sources.items() if recipe_of(source) is not None]


@dataclass(frozen=True)
class Job:
    """One seed's arms, to be judged on the images that the inner split holds out or on the test set."""

    phase: Phase
    seed: int
    arms: tuple[Arm, ...]

    def names(self, work: Work) -> list[str]:
        """The names of the job's cells: trainings of generators, then arms."""
        sources = dict.fromkeys(arm.source for arm in self.arms if arm.source is not None)
        recipes = [name for name in sources if name in work.sources and recipe_of(work.sources[name]) is not None]
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


def seed_images(work: Work, job: Job) -> tuple[Images, Images]:
    """The images that a job trains on, and those that it is judged on."""
    images = work.train.part(work.rows[job.seed])
    if job.phase == "test":
        return images, work.test
    rows, held_out_rows = inner_split(images.labels, job.seed)
    return images.part(rows), images.part(held_out_rows)


def source_of(work: Work, name: str, seed: int) -> Source:
    """A source for a seed of the test phase, after its training."""
    source: Any = work.sources[name]
    if isinstance(source, Recipe):
        return load_folder(work.folder.generator(name, "test", seed), device=work.device)
    if isinstance(source, Source):
        return source
    images = work.train.part(work.rows[seed])
    return source_module.call(source, images, derive_seed(seed, "generator", name), work.spec)


def run_job(work: Work, job: Job, append: Callable[[dict[str, Any]], None]) -> None:
    """Run a job's arms, and pass each result, or the error instead, to ``append`` as a cell."""
    train, test = seed_images(work, job)
    pools: dict[str, Images | Exception] = {}
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
                    cell |= _score(work, job, arm, arm.ratio, train, pool, test)
            except (SaveError, OutputExistsError):
                raise  # a problem of the disk or another process, not of the arm
            except Exception as error:
                cell["error"] = f"{type(error).__name__}: {error}"
            append(cell)


def _pool(
    work: Work, job: Job, name: str, train: Images, append: Callable[[dict[str, Any]], None]
) -> Images | Exception:
    """Generated images of a source, or the error with which its arms fail, while the others continue."""
    try:
        source: Any = NoisyCopies(train, work.spec) if name == NOISE else work.sources[name]
        if isinstance(source, Recipe):
            source = _trained(work, job, name, source, train, append)
        elif not isinstance(source, Source):
            source = source_module.call(source, train, derive_seed(job.seed, "generator", name), work.spec)
        return generate(source, train, work.pool, derive_seed(job.seed, "generated", name))
    except (SaveError, OutputExistsError):
        raise
    except Exception as error:
        return error


def _trained(
    work: Work, job: Job, name: str, recipe: Recipe, train: Images, append: Callable[[dict[str, Any]], None]
) -> Generator:
    """The generator of a recipe for this job's images, and a cell with the time that its training took."""
    folder = work.folder.generator(name, job.phase, job.seed)
    start, resumed = time.perf_counter(), folder.is_dir() or run_folder(folder).is_dir()
    generator = source_module.train(recipe, train, folder, derive_seed(job.seed, "generator", name), work.device)
    if not resumed:  # otherwise the time spent before isn't known
        seconds = round(time.perf_counter() - start, 3)
        append({"phase": job.phase, "seed": job.seed, "name": trained(name), "seconds": seconds})
    return generator


def _score(
    work: Work, job: Job, arm: Arm, ratio: float, train: Images, pool: Images | None, test: Images
) -> dict[str, Any]:
    """The accuracy of one arm's classifier, its training loss late and at the end, and the time that it took."""
    start, device = time.perf_counter(), torch.device(work.device)
    with seeded(derive_seed(job.seed, "training"), device):
        model = make_classifier(work.classifier, work.spec.shape, work.spec.num_classes, job.seed).to(device)
        data = blended(train, pool, ratio, work.batch_size, job.seed)
        batches = augmented(data, work.classic, job.seed) if arm.classic else data
        losses = train_classifier(model, batches, updates=work.updates, seed=job.seed, lr=work.lr)
        result = {"accuracy": accuracy(model, test.images, test.labels), "loss": [round(loss, 5) for loss in losses]}
    return {**result, "seconds": round(time.perf_counter() - start, 3)}


def _score_classifier(
    work: Work, job: Job, name: str, train: Images, test: Images, append: Callable[[dict[str, Any]], None]
) -> dict[str, Any]:
    """The accuracy of a classifier that a source provides, and the time that it took; its training by a recipe has a
    cell of its own."""
    plan = work.sources[name]
    assert isinstance(plan, AsClassifier)
    classifier, seed = plan.of, derive_seed(job.seed, "generator", name)
    if isinstance(classifier, Recipe):
        classifier = _trained(work, job, name, classifier, train, append)
    start = time.perf_counter()
    if classifier_module.is_estimator(classifier):
        classifier = classifier_module.fit_estimator(classifier, train, seed)
    elif not classifier_module.is_trained(classifier):
        classifier = classifier_module.call(classifier, train, seed, work.spec)
    present = work.train.labels.unique().tolist()
    labels = predicted_labels(classifier, test.images, work.spec, present)
    correct = int((labels == test.labels).sum())
    return {"accuracy": correct / len(test), "seconds": round(time.perf_counter() - start, 3)}


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
