"""Callbacks of a training, called at the steps that are logged."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL.Image import Image
from torch import Tensor

from genaug.backends.latents import Categorical, latent_rows
from genaug.backends.spec import Spec
from genaug.data.classes import class_label
from genaug.data.reading import Samples
from genaug.errors import InputError, SaveError
from genaug.modalities.distance import class_distances, first_per_class, pair_distance
from genaug.reports.sheet import Block, draw_sheet, encode_png, sheet_labels
from genaug.reports.translations import draw_training_translations
from genaug.sources.generator import Generator
from genaug.training.run_folder import RunFolder

_DISCRIMINATOR_HAS_WON = 0.99  # share of pairs
_STEPS = 500  # for which it has to stay above that
_PER_CLASS = 64  # samples that are compared
_UNLABELED = 512
_CLASSES = 20
_COLLAPSED = 0.5  # of the distance between real samples
_WORST = 3  # classes that are named


@dataclass(frozen=True)
class Snapshot:
    """A training after ``step`` steps.

    ``metrics`` are means since the last snapshot, by name, such as "loss/generator"; what a callback adds to them is
    logged. ``saving`` says whether a checkpoint follows. ``generator()`` returns the averaged generator, which takes a
    moment. ``folder`` is the run's folder. ``say(text)`` prints a line.
    """

    step: int
    metrics: dict[str, float]
    saving: bool
    generator: Callable[[], Generator]
    folder: Path
    say: Callable[[str], None]


Callback = Callable[[Snapshot], None]
"""Called in the process of rank 0 at every logged step, before its checkpoint; an exception ends the training."""


class DiscriminatorGuard:
    """Warns once if the discriminator has won for 500 steps, for backends that log ``real_above_fake``.

    That is the share of pairs in which the real sample scores higher; 0.5 is chance.
    """

    def __init__(self) -> None:
        self._since: int | None = None  # the first snapshot of this session, or the last at which it hadn't won
        self._warned = False

    def __call__(self, snapshot: Snapshot) -> None:
        share, step = snapshot.metrics.get("real_above_fake"), snapshot.step
        if share is None:
            return
        if share < _DISCRIMINATOR_HAS_WON or self._since is None:
            self._since = step
        elif step - self._since >= _STEPS and not self._warned:
            self._warned = True
            snapshot.say(
                f"warning: since step {self._since} the discriminator has told real from generated in {share:.1%} of "
                "pairs: it has won, and the generator learns little from it. Try --augment (few images), a stronger "
                "gradient penalty or a lower learning rate (--set; see the options in the backend's README)."
            )


_draws_grids: ContextVar[bool] = ContextVar("draws_grids", default=True)


@contextmanager
def without_sample_grids() -> Iterator[None]:
    """Within the context, trainings skip their ``SampleGrids``: nobody looks at a run folder that is deleted."""
    token = _draws_grids.set(False)
    try:
        yield
    finally:
        _draws_grids.reset(token)


def draws_sample_grids() -> bool:
    """Whether trainings have ``SampleGrids``, see ``without_sample_grids``."""
    return _draws_grids.get()


class SampleGrids:
    """At every checkpoint, draws a grid of samples from fixed latents and measures their diversity.

    ``diversity`` is the mean distance between samples of one class (of all, without labels), divided by that between
    training samples: near 0 if the generator makes a single sample per class and ignores the latents, about 1 if
    samples differ as much as real ones. ``diversity/CLASS`` is the same for one class. Of more than 20 classes, the 20
    rarest ones that have two training samples are measured. ``diversity_same_category``, for generators with
    categorical latents, compares samples with the same categories: near 0 if each of several generators makes a single
    sample per class, which ``diversity`` doesn't show. A line on the terminal warns of figures below 0.5 and names the
    three worst classes.

    For a generator with one condition, the grid has samples of the condition beside their translations, for both
    directions if the backend has both, and no diversity is measured; with more conditions there is no grid.
    """

    def __init__(self, data: Samples, spec: Spec, folder: RunFolder) -> None:
        self._folder, self._spec, self._data = folder, spec, data
        if spec.conditions:
            return
        labels = data.labels if spec.takes_labels and data.labels is not None else torch.zeros(len(data.x))
        classes, counts = labels[labels >= 0].unique(return_counts=True)
        several = classes[counts >= 2][counts[counts >= 2].argsort(stable=True)]
        compared = torch.nonzero(torch.isin(labels, (several if len(several) else classes)[:_CLASSES])).flatten()
        rows = compared[first_per_class(labels[compared], _PER_CLASS if spec.takes_labels else _UNLABELED)]
        self._labels, self._real = labels[rows], data.x[rows]
        self._real_distances = class_distances(spec.sample.flatten(self._real), self._labels)

    def __call__(self, snapshot: Snapshot) -> None:
        if not snapshot.saving or len(self._spec.conditions) > 1:
            return
        try:
            if self._spec.conditions:
                self._write(draw_training_translations(snapshot.generator(), self._data), snapshot.step)
                return
            self._draw(snapshot.generator(), snapshot.step)
            self._measure(snapshot)
        except (RuntimeError, InputError, SaveError) as error:  # must not prevent the checkpoint
            snapshot.say(f"warning: no sample grid after step {snapshot.step}: {error}")

    def _draw(self, generator: Generator, step: int) -> None:
        grid = self._spec.sample.preview(self._real, self._sample(generator, self._labels, seed=0))
        if grid is None:
            labels = sheet_labels(self._spec.num_classes) if self._spec.takes_labels else torch.zeros(100)
            samples = self._sample(generator, labels, seed=0)
            block = Block(samples, labels if self._spec.takes_labels else None)
            grid = draw_sheet(block, classes=self._spec.class_names, sample=self._spec.sample)
        self._write(grid, step)

    def _write(self, grid: Image, step: int) -> None:
        self._folder.write({f"samples/step-{step:08d}.png": encode_png(grid)})

    def _measure(self, snapshot: Snapshot) -> None:
        if not self._real_distances or (real := _mean(self._real_distances)) == 0:
            return
        generator, flatten, labels = snapshot.generator(), self._spec.sample.flatten, self._labels
        if self._spec.takes_labels:  # of rare classes too as many as of the others
            labels = labels.unique().repeat_interleave(_PER_CLASS)
        categories = [latent for latent in self._spec.latents if isinstance(latent, Categorical) and latent.size > 1]
        shared = {latent.name: latent_rows(latent, 1, 0, len(labels)) for latent in categories}
        samples = flatten(self._sample(generator, labels, seed=1, **shared))
        distances = class_distances(samples, labels)
        figures = {"diversity": _mean(distances) / real}
        if shared:
            others = flatten(self._sample(generator, labels, seed=2, **shared))
            figures["diversity_same_category"] = pair_distance(samples, others) / real
        classes: dict[int, float] = {}
        if self._spec.takes_labels:
            classes = {label: distances[label] / own for label, own in self._real_distances.items() if own > 0}
        if problem := self._problem(figures, classes, shared):
            snapshot.say(f"warning: at step {snapshot.step} samples of {problem}")
        names = self._spec.class_names
        figures |= {f"diversity/{names[label] if names else label}": ratio for label, ratio in classes.items()}
        snapshot.metrics.update({name: round(value, 4) for name, value in figures.items()})

    def _problem(self, figures: Mapping[str, float], classes: Mapping[int, float], shared: Iterable[str]) -> str | None:
        """What is wrong with the diversity, overall or of some classes, after the words "samples of"."""
        collapsed = sorted((label for label, ratio in classes.items() if ratio < _COLLAPSED), key=lambda c: classes[c])
        worst = [f"{class_label(label, self._spec.class_names)} {classes[label]:.0%}" for label in collapsed[:_WORST]]
        name, value = min(figures.items(), key=lambda item: item[1])
        is_augmentable = self._spec.sample.is_augmentable
        advice, augment = ("--augment or another loss", " or --augment") if is_augmentable else ("other options", "")
        if value < _COLLAPSED:
            group = "one class" if name == "diversity" else f"one class and one {' and '.join(shared)}"
            least = f" (least of all class {', '.join(worst)})" if 0 < len(worst) < len(classes) else ""
            return (
                f"{group} differ {value:.0%} as much as real ones{least}: the generator repeats itself. Such samples "
                f"add little; train longer, or try {advice}."
            )
        if not collapsed:
            return None
        more = f" and {len(collapsed) - _WORST} more" if len(collapsed) > _WORST else ""
        return (
            f"class {', '.join(worst)}{more} differ less than half as much as real ones: the generator repeats itself "
            f"there. Train longer, or try --balance (rare classes){augment}."
        )

    def _sample(self, generator: Generator, labels: Tensor, seed: int, **latents: Any) -> Tensor:
        """One raw sample per entry of ``labels``, of that label if the generator takes labels, on the CPU."""
        request: Any = {"labels": labels} if self._spec.takes_labels else {"n": len(labels)}
        samples = generator.sample(**request, seed=seed, **latents)[0]
        return self._spec.sample.check(samples, len(labels), "the generator returned").cpu()


def _mean(distances: Mapping[int, float]) -> float:
    return sum(distances.values()) / len(distances)
