"""The work of one seed: train the generators, then one classifier for each arm, on the same images and weights."""

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
from genaug.sources.source import Source
from genaug.studies import sources as source_module
from genaug.studies.arms import NOISE, Arm
from genaug.studies.blending import NoisyCopies, blended, generate
from genaug.studies.cells import StudyFolder, run_folder
from genaug.studies.classic import augmented
from genaug.studies.models import make_classifier
from genaug.studies.sources import Recipe
from genaug.studies.splits import Images, inner_split

Phase = Literal["inner", "test"]
GENERATOR_COST = 4  # training a generator takes about as long as this many classifiers: for the progress bar only


@dataclass(frozen=True)
class Work:
    """All that the jobs of a study share."""

    train: Images
    test: Images
    spec: Spec
    rows: dict[int, torch.Tensor]
    sources: dict[str, Recipe | Source]
    classifier: Any
    classic: Any
    updates: int
    batch_size: int
    lr: float
    pool: int  # generated images that a seed's classifiers draw from: the same for all, whatever is left to do
    device: str
    folder: StudyFolder
    notes: tuple[str, ...] = ()  # what the report says besides, about classes

    def trained(self) -> list[str]:
        """The names of the sources that are trained."""
        return [name for name, source in self.sources.items() if isinstance(source, Recipe)]


@dataclass(frozen=True)
class Job:
    """One seed's arms, judged on the inner split's held images or on the test set."""

    phase: Phase
    seed: int
    arms: tuple[Arm, ...]

    def names(self, work: Work) -> list[str]:
        """Names of the cells that the job makes: trainings of generators, then arms."""
        return [*(trained(s) for s in self.sources(work)), *(arm.name for arm in self.arms)]

    def sources(self, work: Work) -> list[str]:
        """The sources to train."""
        wanted = dict.fromkeys(arm.source for arm in self.arms)
        return [s for s in wanted if s is not None and isinstance(work.sources.get(s), Recipe)]


def trained(source: str) -> str:
    """The name of the cell that tells how long a generator was trained."""
    return f"training {source}"


def cost(name: str) -> float:
    """How much of the progress bar a cell is."""
    return GENERATOR_COST if name.startswith("training ") else 1


def total_cost(work: Work, jobs: Iterable[Job]) -> float:
    """What a progress bar of these jobs comes to."""
    return sum(cost(name) for job in jobs for name in job.names(work))


def seed_images(work: Work, job: Job) -> tuple[Images, Images]:
    """What a job trains on and what it is judged by."""
    own = work.train.part(work.rows[job.seed])
    if job.phase == "test":
        return own, work.test
    kept, held = inner_split(own.labels, job.seed)
    return own.part(kept), own.part(held)


def run_job(work: Work, job: Job, append: Callable[[dict[str, Any]], None]) -> None:
    """Run a job's arms; every result, or the error in its place, is handed to ``append`` as a cell."""
    fit, judge = seed_images(work, job)
    pools: dict[str, Images | Exception] = {}
    with one_thread():
        for arm in job.arms:
            cell: dict[str, Any] = {"phase": job.phase, "seed": job.seed, "name": arm.name}
            try:
                made = None
                if arm.source is not None:
                    if arm.source not in pools:
                        pools[arm.source] = _pool(work, job, arm.source, fit, append)
                    pool = pools[arm.source]
                    if isinstance(pool, Exception):
                        raise pool
                    made = pool
                began = time.perf_counter()
                cell |= _score(work, job, arm, fit, made, judge)
                cell["seconds"] = round(time.perf_counter() - began, 3)
            except (SaveError, OutputExistsError):
                raise  # of the disk or of another process, not of the arm
            except Exception as error:
                cell["error"] = f"{type(error).__name__}: {error}"
            append(cell)


def _pool(work: Work, job: Job, name: str, fit: Images, append: Callable[[dict[str, Any]], None]) -> Images | Exception:
    """Generated images of a source, or why there are none: its arms fail with that, and the others go on."""
    try:
        source = NoisyCopies(fit, work.spec) if name == NOISE else work.sources[name]
        if isinstance(source, Recipe):
            folder = work.folder.generator(name, job.phase, job.seed)
            began, begun = time.perf_counter(), folder.is_dir() or run_folder(folder).is_dir()
            source = source_module.train(source, fit, folder, derive_seed(job.seed, "generator", name), work.device)
            if not begun:  # else what was spent before isn't known
                seconds = round(time.perf_counter() - began, 3)
                append({"phase": job.phase, "seed": job.seed, "name": trained(name), "seconds": seconds})
        return generate(source, fit, work.pool, derive_seed(job.seed, "generated", name))
    except (SaveError, OutputExistsError):
        raise
    except Exception as error:
        return error


def _score(work: Work, job: Job, arm: Arm, fit: Images, made: Images | None, judge: Images) -> dict[str, Any]:
    """The accuracy of one arm's classifier, and its training loss late and at the end."""
    device = torch.device(work.device)
    with seeded(derive_seed(job.seed, "training"), device):
        model = make_classifier(work.classifier, work.spec.shape, work.spec.num_classes, job.seed).to(device)
        data = blended(fit, made, arm.ratio, work.batch_size, job.seed)
        batches = augmented(data, work.classic, job.seed) if arm.classic else data
        losses = train_classifier(model, batches, updates=work.updates, seed=job.seed, lr=work.lr)
        return {"accuracy": accuracy(model, judge.images, judge.labels), "loss": [round(loss, 5) for loss in losses]}


@contextmanager
def one_thread() -> Iterator[None]:
    """Run torch on one thread: the same results whatever the machine, and small images gain nothing from more."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def left_to_do(jobs: Sequence[Job], done: Callable[[str, int, str], bool]) -> list[Job]:
    """The jobs, without the arms that are done."""
    left = [Job(j.phase, j.seed, tuple(a for a in j.arms if not done(j.phase, j.seed, a.name))) for j in jobs]
    return [job for job in left if job.arms]
