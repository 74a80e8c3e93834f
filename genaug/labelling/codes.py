"""Labels by a categorical latent: each of its categories stands for a class (InfoGAN; a MAD-GAN's members)."""

from collections.abc import Iterator
from itertools import count
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from genaug.backends.latents import Categorical
from genaug.backends.spec import Spec
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
    """Samples of the categories that stand for the class asked for; nothing is rejected.

    The generator's own network reads the category off the labelled images if there is one (InfoGAN's Q); else a network
    learns to do so from generated images. Categories are matched to classes so that most images fall into a category of
    their class (Chen et al. 2016, section 7.2, where InfoGAN's categories are matched to digits).

    A class with several categories has samples of each, in equal shares. Sample i of a seed is the same however many
    are asked for.
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
        if self._latent.size < classes:
            raise InputError(
                f"the latent {self._latent.name!r} has {self._latent.size} categories for "
                f"{labelled.spec.describe_classes()}: {classes - self._latent.size} classes would have none. Train "
                f"with {classes} categories or more, or use method='classifier'."
            )
        self._model: nn.Module | None = None
        if not self._reads_its_code():
            self._model = learner.learn(self._samples(learner.seed), labelled.spec.shape, self._latent.size, 0)
        found = self._logits(labelled.images.to(learner.device)).argmax(1).cpu()
        counts = tabulate(found, labelled.labels, self._latent.size, classes)
        match = match_categories(counts)
        self._check_supported(counts, match)
        self._members = [torch.from_numpy(np.flatnonzero(match == label)) for label in range(classes)]
        judged, wrong = count_wrong(found, labelled.labels, labelled.held_out(), self._latent.size, classes)
        share = wrong / judged if judged else None
        if max_wrong is not None and (share is None or share > max_wrong):
            raise InputError(
                f"by {self._latent.name!r}, {wrong} of {judged} held-out labelled images would be labelled wrongly; "
                f"max_wrong allows {max_wrong:.1%}. Use method='classifier', train longer or with another seed, or "
                "allow more."
            )
        rates = tuple(len(members) / self._latent.size for members in self._members)
        self.report = LabelReport(
            method="codes",
            labelled_images=len(labelled.labels),
            acceptance_rate=int((match != UNUSED).sum()) / self._latent.size,
            acceptance_per_class=rates,
            wrong_share=share,
            held_out_wrong_share=share,
            held_out_wrong_share_upper=upper_bound(wrong, judged),
            basis=(
                f"of {len(found)} labelled images, {judged} fell into a category that the other folds match to a "
                f"class, {wrong} of these to a wrong one. They are real images, and the network that tells their "
                "category errs too."
            ),
            categories=tuple(match.tolist()),
        )

    def class_probabilities(self, images: Tensor) -> Tensor:
        categories = self._logits(images.to(self.device)).softmax(1)
        return torch.stack([categories[:, members.to(self.device)].sum(1) for members in self._members], dim=1)

    def _reads_its_code(self) -> bool:
        """Whether the source classifies images by this latent itself."""
        spec, offers = self._source.spec, getattr(self._source, "offers", None)
        first = next(latent for latent in spec.latents if isinstance(latent, Categorical))
        return offers is not None and offers("classify") and not spec.takes_labels and first == self._latent

    def _logits(self, images: Tensor) -> Tensor:
        source: Any = self._source
        logits: Tensor = source.classify(images) if self._model is None else logits_of(self._model, images)
        return logits

    def _draw(self, labels: Tensor, seed: int) -> Tensor:
        draws = torch.from_numpy(uniform_rows(seed, "category", 0, len(labels), 1)[:, 0])
        categories = torch.zeros_like(labels)
        for label, members in enumerate(self._members):
            here = labels == label
            categories[here] = members[(draws[here] * len(members)).long()]
        return self._of_category(categories, seed)

    def _of_category(self, categories: Tensor, seed: int) -> Tensor:
        source: Any = self._source
        try:
            images, _ = source.sample(len(categories), seed=seed, **{self._latent.name: categories})
        except TypeError as error:
            raise InputError(
                f"{type(source).__name__}.sample can't fix the latent {self._latent.name!r} ({error}). Pass the "
                "generator itself, not a pool of its samples."
            ) from error
        made: Tensor = images
        return made

    def _samples(self, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Generated images and their categories, never the same ones twice, on the CPU."""
        for block in count():
            categories = category_rows(self._latent.size, derive_seed(seed, "codes", block), "category", 0, _BLOCK)
            images = self._of_category(categories, derive_seed(seed, "samples", block)).cpu()
            yield from zip(images.split(BATCH), categories.split(BATCH), strict=True)

    def _check_supported(self, counts: Any, match: Any) -> None:
        """Refuse a matching that gives a class nothing but categories in which none of its images was found."""
        names = self.spec.class_names
        lost = [label for label in range(self.spec.num_classes) if not counts[match == label, label].any()]
        if lost:
            raise InputError(
                f"no category of {self._latent.name!r} stands for class {class_labels(lost, names)}: "
                "every category in which its labelled images were found stands for another class. Use "
                "method='classifier', or train with more categories or another seed."
            )

    def _move(self, device: torch.device) -> None:
        if self._model is not None:
            self._model.to(device)


def pick_code(spec: Spec, name: str | None) -> Categorical:
    """The categorical latent of that name, or the only one. Raises ``InputError`` where there is no such."""
    found = {latent.name: latent for latent in spec.latents if isinstance(latent, Categorical)}
    if name is not None:
        if name in found:
            return found[name]
        known = f"its categorical latents: {', '.join(found)}" if found else "it has no categorical latent"
        raise InputError(f"code={name!r} is no categorical latent of this generator; {known}.")
    if len(found) != 1:
        raise InputError(
            f"the generator has several categorical latents ({', '.join(found)}): choose one with code=."
            if found
            else "method='codes' needs a generator with a categorical latent, such as InfoGAN's, and this one has "
            "none. Use method='classifier'."
        )
    return next(iter(found.values()))
