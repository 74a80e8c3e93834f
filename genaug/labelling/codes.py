"""Labels from a categorical latent: each category stands for a class (InfoGAN's code; MAD-GAN's generator index)."""

from collections.abc import Iterator
from itertools import count
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from genaug.backends.latents import Categorical
from genaug.backends.spec import Spec, count_of_classes
from genaug.data.classes import class_labels
from genaug.errors import InputError
from genaug.labelling.calibration import upper_bound
from genaug.labelling.labelled_set import LabelledImages
from genaug.labelling.learner import BATCH, Learner, logits_of
from genaug.labelling.matching import UNUSED, count_wrong, match_categories, tabulate
from genaug.labelling.source import LabelledSource, LabelReport
from genaug.randomness import category_rows, derive_seed, uniform_rows
from genaug.sources.source import Source

_BLOCK = 16 * BATCH


class CodeSource(LabelledSource):
    """Samples of the categories that stand for the requested class; nothing is rejected.

    The generator's own network predicts the categories of the labeled images if it has one (InfoGAN's Q); otherwise a
    network learns to do so from generated images. Categories are matched to classes so that as many images as possible
    fall into a category of their class (Chen et al. 2016, section 7.2, where InfoGAN's categories are matched to
    digits).

    A class with several categories has samples of each, in equal shares. Sample i of a seed doesn't depend on the
    number of samples.
    """

    def __init__(
        self,
        source: Source,
        labelled: LabelledImages,
        learner: Learner,
        *,
        code: str | None,
        max_wrong: float | None,
    ) -> None:
        super().__init__(source, labelled.spec)
        classes = labelled.spec.num_classes
        self._latent = pick_code(source.spec, code)
        size = self._latent.size
        if size < classes:
            raise InputError(
                f"the latent {self._latent.name!r} has {size} categories for {labelled.spec.describe_classes()}: "
                f"{count_of_classes(classes - size)} would have none. Train with at least {classes} categories, or use "
                "method='classifier'."
            )
        self._model: nn.Module | None = None
        if not self._classifies_its_code():
            self._model = learner.learn(self._samples(learner.seed), labelled.spec.shape, size, 0)
        categories = self._logits(labelled.images.to(learner.device)).argmax(1).cpu()
        counts = tabulate(categories, labelled.labels, size, classes)
        match = match_categories(counts)
        self._check_supported(counts, match)
        self._categories = [torch.from_numpy(np.flatnonzero(match == label)) for label in range(classes)]
        judged, wrong = count_wrong(categories, labelled.labels, labelled.held_out(), size, classes)
        share = wrong / judged if judged else None
        if max_wrong is not None and (share is None or share > max_wrong):
            raise InputError(
                f"by {self._latent.name!r}, {wrong} of {judged} held-out labeled images would be labeled wrongly; "
                f"max_wrong allows {max_wrong:.1%}. Use method='classifier', train longer or with another seed, or "
                "allow more."
            )
        self.report = LabelReport(
            method="codes",
            labelled_images=len(labelled.labels),
            acceptance_rate=int((match != UNUSED).sum()) / size,
            acceptance_per_class=tuple(len(categories) / size for categories in self._categories),
            wrong_share=share,
            held_out_wrong_share=share,
            held_out_wrong_share_upper=upper_bound(wrong, judged),
            basis=(
                f"of {len(labelled.labels)} labeled images, {judged} fell into a category that the other folds match "
                f"to a class, {wrong} of them into one of a wrong class. They are real images, and the network that "
                "predicts their category makes errors too."
            ),
            categories=tuple(match.tolist()),
        )

    def class_probabilities(self, images: Tensor) -> Tensor:
        probabilities = self._logits(images.to(self.device)).softmax(1)
        return torch.stack([probabilities[:, columns.to(self.device)].sum(1) for columns in self._categories], dim=1)

    def _classifies_its_code(self) -> bool:
        """Whether the source itself predicts this latent from images."""
        spec, offers = self._source.spec, getattr(self._source, "offers", None)
        first = next(latent for latent in spec.latents if isinstance(latent, Categorical))
        return offers is not None and offers("classify") and not spec.takes_labels and first == self._latent

    def _logits(self, images: Tensor) -> Tensor:
        logits: Tensor = self._source.classify(images) if self._model is None else logits_of(self._model, images)
        return logits

    def _draw(self, labels: Tensor, seed: int) -> Tensor:
        draws = torch.from_numpy(uniform_rows(seed, "category", 0, len(labels), 1)[:, 0])
        requested = torch.zeros_like(labels)
        for label, categories in enumerate(self._categories):
            rows = labels == label
            requested[rows] = categories[(draws[rows] * len(categories)).long()]
        return self._of_category(requested, seed)

    def _of_category(self, categories: Tensor, seed: int) -> Tensor:
        images: Tensor
        try:
            images, _ = self._source.sample(len(categories), seed=seed, **{self._latent.name: categories})
        except TypeError as error:
            raise InputError(
                f"{type(self._source).__name__}.sample can't fix the latent {self._latent.name!r} ({error}). Pass the "
                "generator itself, not a pool of its samples."
            ) from error
        return images

    def _samples(self, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches of generated images and their categories, on the CPU, each with new samples."""
        for block in count():
            categories = category_rows(self._latent.size, derive_seed(seed, "codes", block), "category", 0, _BLOCK)
            images = self._of_category(categories, derive_seed(seed, "samples", block)).cpu()
            yield from zip(images.split(BATCH), categories.split(BATCH), strict=True)

    def _check_supported(self, counts: Any, match: Any) -> None:
        """Raises ``InputError`` if none of a class's images falls into a category that is matched to the class."""
        lost = [label for label in range(self.spec.num_classes) if not counts[match == label, label].any()]
        if lost:
            raise InputError(
                f"no category of {self._latent.name!r} stands for class {class_labels(lost, self.spec.class_names)}: "
                "every category that its labeled images fall into stands for another class. Use method='classifier', "
                "or train with more categories or another seed."
            )

    def _move(self, device: torch.device) -> None:
        if self._model is not None:
            self._model.to(device)


def pick_code(spec: Spec, name: str | None) -> Categorical:
    """The categorical latent of that name, or the only one. Raises ``InputError`` if there is none."""
    latents = {latent.name: latent for latent in spec.latents if isinstance(latent, Categorical)}
    if not latents:
        raise InputError(
            "method='codes' needs a generator with a categorical latent, such as InfoGAN's code, and this one has "
            "none. Use method='classifier'."
        )
    if name is None and len(latents) > 1:
        raise InputError(f"the generator has several categorical latents ({', '.join(latents)}): pass one as code=.")
    name = next(iter(latents)) if name is None else name
    if name not in latents:
        raise InputError(
            f"code={name!r} is not a categorical latent of this generator; its categorical latents: "
            f"{', '.join(latents)}."
        )
    return latents[name]
