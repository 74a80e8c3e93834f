"""A look at the generator now and then: a sheet of samples, and whether samples of one class differ."""

from collections.abc import Callable

import torch

from genaug.evaluation.diversity import first_per_class, within_class_distance
from genaug.generator import Generator
from genaug.sheet import Block, draw_sheet, save_sheet, sheet_labels
from genaug.training.reading import TrainingImages
from genaug.training.run_folder import RunFolder

_PER_CLASS = 64
_CLASSES = 20
_COLLAPSED = 0.5


class Monitor:
    """Writes sample sheets from fixed latents and measures diversity against the training images."""

    def __init__(self, data: TrainingImages, folder: RunFolder) -> None:
        self._folder = folder
        self._labels = None
        self._real_distance = 0.0
        if data.labels is not None:
            looked_at = torch.isin(data.labels, data.labels.unique()[:_CLASSES])
            chosen = torch.nonzero(looked_at).flatten()
            chosen = chosen[first_per_class(data.labels[chosen], _PER_CLASS)]
            images, labels = data.images[chosen], data.labels[chosen]
            if any(int((labels == label).sum()) >= 2 for label in labels.unique()):
                self._labels = labels
                self._real_distance = within_class_distance(images, labels)

    def look(self, generator: Generator, step: int, say: Callable[[str], None]) -> dict[str, float]:
        """Write the sheet of ``step`` and return ``diversity``, where there are labels to measure it by.

        ``diversity`` is the mean pixel distance between samples of one class over that between training images of
        one class: near 0 where each class has become one picture, about 1 where samples differ as real ones do.
        """
        spec = generator.spec
        labels = sheet_labels(spec.num_classes) if spec.takes_labels else None
        images, labels = (
            generator.sample(labels=labels, seed=0) if labels is not None else generator.sample(100, seed=0)
        )
        save_sheet(self._folder.sheet_path(step), draw_sheet(Block(images.cpu(), labels), classes=spec.classes))
        if not spec.takes_labels or self._labels is None or self._real_distance == 0:
            return {}
        images, _ = generator.sample(labels=self._labels, seed=1)
        diversity = within_class_distance(images.cpu(), self._labels) / self._real_distance
        if diversity < _COLLAPSED:
            say(
                f"warning: at step {step} samples of one class differ {diversity:.0%} as much as real ones: the "
                "generator repeats itself. Such samples add little; train longer, or try --augment or another loss."
            )
        return {"diversity": round(diversity, 4)}
