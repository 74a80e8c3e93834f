"""A look at the generator now and then: a sheet of samples, and whether samples of one class differ."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from genaug.backends.latents import latent_rows
from genaug.backends.spec import Spec
from genaug.data.reading import TrainingImages
from genaug.modalities.distance import first_per_class, pair_distance, within_class_distance
from genaug.reports.sheet import Block, draw_sheet, encode_png, sheet_labels
from genaug.sources.generator import Generator
from genaug.training.run_folder import RunFolder

_PER_CLASS = 64
_UNLABELLED = 512
_CLASSES = 20
_COLLAPSED = 0.5


class Monitor:
    """Writes sample sheets from fixed latents and measures diversity against the training images."""

    def __init__(self, data: TrainingImages, spec: Spec, folder: RunFolder) -> None:
        self._folder, self._spec = folder, spec
        labels = data.labels if spec.takes_labels and data.labels is not None else torch.zeros(len(data.images))
        looked_at = torch.nonzero(torch.isin(labels, labels.unique()[:_CLASSES])).flatten()
        few = looked_at[first_per_class(labels[looked_at], _PER_CLASS if spec.takes_labels else _UNLABELLED)]
        self._labels = labels[few]
        self._real_distance = 0.0
        if int(self._labels.unique(return_counts=True)[1].max()) >= 2:
            self._real_distance = within_class_distance(data.images[few], self._labels)

    def look(self, generator: Generator, step: int, say: Callable[[str], None]) -> dict[str, float]:
        """Write the sheet of ``step`` and return how much samples differ, where the training images do themselves.

        ``diversity`` is the mean pixel distance between samples of one class (of all, without labels) over that
        between training images: near 0 where each class has become one picture and the latent is ignored, about 1
        where samples differ as real ones do. ``diversity_same_category``, for generators with categorical latents, is
        the same between samples that share those as well: near 0 where each of several generators has one picture a
        class, which the first figure doesn't show.
        """
        wanted = sheet_labels(self._spec.num_classes)
        images, labels = self._sample(generator, wanted if self._spec.takes_labels else torch.zeros(100), seed=0)
        sheet = draw_sheet(Block(images, labels), classes=self._spec.classes)
        self._folder.write({f"samples/step-{step:08d}.png": encode_png(sheet)})
        if self._real_distance == 0:
            return {}
        count = len(self._labels)
        categories = [latent for latent in self._spec.latents if latent.kind == "categorical" and latent.size > 1]
        shared = {latent.name: latent_rows(latent, 1, 0, count) for latent in categories}
        images, _ = self._sample(generator, self._labels, seed=1, **shared)
        found = {"diversity": within_class_distance(images, self._labels) / self._real_distance}
        if shared:
            others, _ = self._sample(generator, self._labels, seed=2, **shared)
            found["diversity_same_category"] = pair_distance(images, others) / self._real_distance
        least = min(found, key=lambda name: found[name])
        if found[least] < _COLLAPSED:
            which = "one class" if least == "diversity" else f"one class and one {' and '.join(shared)}"
            say(
                f"warning: at step {step} samples of {which} differ {found[least]:.0%} as much as real ones: the "
                "generator repeats itself. Such samples add little; train longer, or try --augment or another loss."
            )
        return {name: round(value, 4) for name, value in found.items()}

    def _sample(self, generator: Generator, labels: Tensor, seed: int, **latents: Any) -> tuple[Tensor, Tensor | None]:
        """As many samples as ``labels``, with these labels where the generator takes them, on the CPU."""
        if self._spec.takes_labels:
            return generator.sample(labels=labels, seed=seed, **latents)[0].cpu(), labels
        return generator.sample(len(labels), seed=seed, **latents)[0].cpu(), None
