"""Labels by a classifier: the generator's samples are sorted into classes and the uncertain ones rejected."""

import torch
from torch import Tensor, nn

from genaug.data.classes import class_label
from genaug.errors import InputError
from genaug.labelling.calibration import (
    count_wrong,
    fit_doubt_threshold,
    fit_temperature,
    require_threshold,
    upper_bound,
)
from genaug.labelling.labelled_set import LabelledImages
from genaug.labelling.learner import Learner, logits_of
from genaug.labelling.source import LabelledSource, LabelReport
from genaug.randomness import derive_seed
from genaug.sources.source import Source, checked_sample

MAX_WRONG = 0.05
TRIES_PER_CLASS = 500
_REJECTED = -1
_PILOT, _PILOT_PER_CLASS = 1_000, 20
_SHOWN = 20
_FIRST_BLOCK_PIXELS = 2**18
_DOUBLINGS = 3


class RejectionSource(LabelledSource):
    """Samples sorted into classes by classifiers that were cross-fitted on labelled images, uncertain ones rejected.

    One classifier is trained for each fold, on the other folds. Their logits for the images that they haven't seen give
    a temperature, at which they doubt their predictions as often as these are wrong. A sample gets the class that they
    find likeliest by the mean of their probabilities, which is its confidence, and is rejected where that is below the
    threshold of the class: the lowest at which the share of wrong labels stays at ``max_wrong`` among held-out labelled
    images, as counted, and among the generator's samples of that class, as the classifiers doubt them. The mean is
    never surer than they are on average, so this errs on the safe side.

    For a seed the generator gives an endless stream of candidates; the j-th sample of a class is the j-th accepted
    candidate of it.
    """

    def __init__(
        self, source: Source, labelled: LabelledImages, learner: Learner, *, max_wrong: float, max_tries: int
    ) -> None:
        super().__init__(source, labelled.spec)
        self._max_tries = max_tries
        held_out = labelled.held_out()
        classes = labelled.spec.num_classes
        self._models = nn.ModuleList()
        unseen = torch.empty(len(labelled.labels), classes)
        for number, here in enumerate(held_out):
            model = learner.learn_from(labelled.images[~here], labelled.labels[~here], classes, number)
            unseen[here] = logits_of(model, labelled.images[here].to(learner.device)).cpu()
            self._models.append(model)
        self._temperature = fit_temperature(unseen, labelled.labels)
        confidence, found = (unseen / self._temperature).softmax(1).max(1)
        right = found == labelled.labels
        least = require_threshold(confidence, right, max_wrong)
        accepted, wrong = count_wrong(confidence, right, held_out, max_wrong)
        sure, found = self._pilot(derive_seed(learner.seed, "pilot"))
        self._thresholds = torch.tensor(
            [max(least, fit_doubt_threshold(sure[found == label], max_wrong)) for label in range(classes)]
        )
        found = self._accepted(sure, found)
        rates = self._rates(found)
        doubts = [float(1 - sure[found == label].mean()) for label in range(classes) if rates[label]]
        self.report = LabelReport(
            method="classifier",
            labelled_images=len(labelled.labels),
            acceptance_rate=sum(rates),
            acceptance_per_class=rates,
            wrong_share=sum(doubts) / len(doubts) if doubts else None,
            basis=(
                f"the classifiers' own doubt about {int((found != _REJECTED).sum())} accepted samples, calibrated on "
                f"{len(right)} labelled images. Of these, each judged by a classifier and a threshold that didn't see "
                f"it, {accepted} were accepted and {wrong} of these labelled wrongly."
            ),
            held_out_wrong_share=wrong / accepted if accepted else None,
            held_out_wrong_share_upper=upper_bound(wrong, accepted),
            thresholds=tuple(self._thresholds.tolist()),
            temperature=self._temperature,
        )

    def class_probabilities(self, images: Tensor) -> Tensor:
        total = torch.zeros(len(images), self.spec.num_classes, device=self.device)
        for model in self._models:
            total += (logits_of(model, images.to(self.device)) / self._temperature).softmax(1)
        return total / len(self._models)

    def _draw(self, labels: Tensor, seed: int) -> Tensor:
        images = torch.empty((len(labels), *self.spec.shape), dtype=torch.uint8, device=self.device)
        waiting = {label: torch.nonzero(labels == label).flatten() for label in labels.unique().tolist()}
        tries = dict.fromkeys(waiting, 0)  # since the last one of that class
        everything: list[Tensor] = []
        while waiting:
            candidates, found = self._candidates(seed, len(everything))
            everything.append(found)
            for label, rows in list(waiting.items()):
                hits = torch.nonzero(found == label).flatten()
                tries[label] = tries[label] + len(found) if len(hits) == 0 else len(found) - 1 - int(hits[-1])
                filled = min(len(hits), len(rows))
                images[rows[:filled].to(self.device)] = candidates[hits[:filled].to(self.device)]
                waiting[label] = rows[filled:]
                if filled == len(rows):
                    del waiting[label]
                elif tries[label] >= self._max_tries:
                    raise InputError(self._starved(label, tries[label], torch.cat(everything)))
        return images

    def _candidates(self, seed: int, block: int) -> tuple[Tensor, Tensor]:
        """A block of candidates, uint8 (N, C, H, W), and the class of each or -1, int64 (N,) on the CPU."""
        images = self._block(seed, block)
        return images, self._accepted(*self._judged(images))

    def _judged(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The confidence and the likeliest class of each image, (N,), on the CPU."""
        confidence, found = self.class_probabilities(images).cpu().max(1)
        return confidence, found

    def _accepted(self, confidence: Tensor, found: Tensor) -> Tensor:
        """The class where the confidence is enough for that class, else -1."""
        return torch.where(confidence >= self._thresholds[found], found, _REJECTED)

    def _block(self, seed: int, block: int) -> Tensor:
        """Candidates, few in the first block, for those who ask for few; the same ones for every request."""
        _, height, width = self.spec.shape
        first = min(256, max(1, _FIRST_BLOCK_PIXELS // (height * width)))
        return checked_sample(
            self._source, first * 2 ** min(block, _DOUBLINGS), None, derive_seed(seed, "candidates", block)
        )

    def _pilot(self, seed: int) -> tuple[Tensor, Tensor]:
        """The confidence and the likeliest class of some 1,000 candidates, more where there are many classes."""
        judged: list[tuple[Tensor, Tensor]] = []
        while sum(len(found) for _, found in judged) < max(_PILOT, _PILOT_PER_CLASS * self.spec.num_classes):
            judged.append(self._judged(self._block(seed, len(judged))))
        return torch.cat([confidence for confidence, _ in judged]), torch.cat([found for _, found in judged])

    def _rates(self, found: Tensor) -> tuple[float, ...]:
        """The share of candidates that is accepted as each class."""
        counts = torch.bincount(found[found != _REJECTED], minlength=self.spec.num_classes)
        return tuple((counts.double() / len(found)).tolist())

    def _starved(self, label: int, tries: int, found: Tensor) -> str:
        rates, names = self._rates(found), self.spec.class_names
        rarest = sorted(range(len(rates)), key=rates.__getitem__)[:_SHOWN]
        shown = ", ".join(f"class {class_label(other, names)} {rates[other]:.2%}" for other in rarest)
        return (
            f"class {class_label(label, names)} wasn't found among the last {tries:,} samples of the generator. "
            f"Of {len(found):,} samples {sum(rates):.1%} were accepted, rarest first: {shown}"
            f"{', …' * (len(rates) > _SHOWN)}. Either the "
            "generator doesn't make that class, or the classifier is never sure of it: look at some samples, label "
            "more images, allow a larger max_wrong= or max_tries=, or do without that class."
        )

    def _move(self, device: torch.device) -> None:
        self._models.to(device)
