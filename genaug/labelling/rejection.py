"""Labels from classifiers: the source's samples are classified and the uncertain ones rejected."""

import torch
from torch import Tensor

from genaug.data.classes import class_label
from genaug.errors import InputError
from genaug.labelling.calibration import (
    count_wrong,
    fit_doubt_threshold,
    require_threshold,
    upper_bound,
)
from genaug.labelling.judges import CrossFitted, OwnClassifier
from genaug.labelling.labelled_set import LabelledImages
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
    """Samples classified by classifiers that were cross-fitted on labeled images, or by a generator's own classifier;
    the uncertain ones are rejected.

    If they are cross-fitted, one classifier is trained per fold, on the other folds. Their logits for the images that
    they haven't seen give a temperature at which they doubt their predictions as often as these are wrong. A sample
    gets the class with the highest mean probability, which is its confidence, and is rejected if that is below the
    threshold of the class: the lowest at which the share of wrong labels is at most ``max_wrong`` both among held-out
    labeled images, by counting, and among the generator's samples of that class, by the classifiers' doubt. The mean is
    never surer than the classifiers are on average, so this errs on the safe side.

    For each seed the generator gives an endless stream of candidates; the j-th sample of a class is its j-th accepted
    candidate.
    """

    def __init__(
        self,
        source: Source,
        labelled: LabelledImages,
        judge: CrossFitted | OwnClassifier,
        *,
        seed: int,
        max_wrong: float,
        max_tries: int,
    ) -> None:
        super().__init__(source, labelled.spec)
        self._judge, self._max_tries = judge, max_tries
        classes, count = labelled.spec.num_classes, len(labelled.labels)
        confidence, predictions = (judge.held_out / judge.temperature).softmax(1).max(1)
        right = predictions == labelled.labels
        least, accepted, wrong = 0.0, 0, 0
        if judge.is_held_out:
            least = require_threshold(confidence, right, max_wrong)
            accepted, wrong = count_wrong(confidence, right, labelled.held_out(), max_wrong)
        confidence, predictions = self._pilot(derive_seed(seed, "pilot"))
        self._thresholds = torch.tensor(
            [max(least, fit_doubt_threshold(confidence[predictions == label], max_wrong)) for label in range(classes)]
        )
        labels = self._accept(confidence, predictions)
        rates = self._rates(labels)
        doubts = [float(1 - confidence[labels == label].mean()) for label in range(classes) if rates[label]]
        samples = int((labels != _REJECTED).sum())
        basis = (
            f"the classifiers' own doubt about {samples} accepted samples, calibrated on {count} labeled images. Of "
            f"these, each judged by a classifier and a threshold that didn't see it, {accepted} were accepted and "
            f"{wrong} of these labeled wrongly."
        )
        if not judge.is_held_out:
            basis = (
                f"nothing: the classifier was trained on these {count} labeled images, so they don't show how often it "
                "is wrong. Samples are accepted by its own confidence. Pass labeled images that it hasn't seen."
            )
        self.report = LabelReport(
            method=judge.method,
            labelled_images=count,
            acceptance_rate=sum(rates),
            acceptance_per_class=rates,
            wrong_share=sum(doubts) / len(doubts) if doubts and judge.is_held_out else None,
            basis=basis,
            held_out_wrong_share=wrong / accepted if accepted else None,
            held_out_wrong_share_upper=upper_bound(wrong, accepted),
            thresholds=tuple(self._thresholds.tolist()),
            temperature=judge.temperature,
        )

    def class_probabilities(self, images: Tensor) -> Tensor:
        return self._judge.probabilities(images.to(self.device))

    def _draw(self, labels: Tensor, seed: int) -> Tensor:
        images = torch.empty((len(labels), *self.spec.shape), dtype=torch.uint8, device=self.device)
        missing = {label: torch.nonzero(labels == label).flatten() for label in labels.unique().tolist()}
        tries = dict.fromkeys(missing, 0)  # since the last sample of that class
        blocks: list[Tensor] = []
        while missing:
            candidates = self._block(seed, len(blocks))
            accepted = self._accept(*self._classify(candidates))
            blocks.append(accepted)
            for label, rows in list(missing.items()):
                hits = torch.nonzero(accepted == label).flatten()
                tries[label] = tries[label] + len(accepted) if len(hits) == 0 else len(accepted) - 1 - int(hits[-1])
                count = min(len(hits), len(rows))
                images[rows[:count].to(self.device)] = candidates[hits[:count].to(self.device)]
                missing[label] = rows[count:]
                if count == len(rows):
                    del missing[label]
                elif tries[label] >= self._max_tries:
                    raise InputError(self._starvation_message(label, tries[label], torch.cat(blocks)))
        return images

    def _classify(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The confidence and the likeliest class of each image, (N,), on the CPU."""
        confidence, predictions = self.class_probabilities(images).cpu().max(1)
        return confidence, predictions

    def _accept(self, confidence: Tensor, predictions: Tensor) -> Tensor:
        """The predicted class if the confidence reaches its threshold, else -1, int64 (N,)."""
        return torch.where(confidence >= self._thresholds[predictions], predictions, _REJECTED)

    def _block(self, seed: int, block: int) -> Tensor:
        """A block of candidates, uint8 (N, C, H, W), the same for every request; the first ones are small."""
        _, height, width = self.spec.shape
        first = min(256, max(1, _FIRST_BLOCK_PIXELS // (height * width)))
        return checked_sample(
            self._source, first * 2 ** min(block, _DOUBLINGS), None, derive_seed(seed, "candidates", block)
        )

    def _pilot(self, seed: int) -> tuple[Tensor, Tensor]:
        """The confidence and the likeliest class of about 1,000 candidates, or more if there are many classes."""
        blocks: list[tuple[Tensor, Tensor]] = []
        while sum(len(labels) for _, labels in blocks) < max(_PILOT, _PILOT_PER_CLASS * self.spec.num_classes):
            blocks.append(self._classify(self._block(seed, len(blocks))))
        confidence, predictions = map(torch.cat, zip(*blocks, strict=True))
        return confidence, predictions

    def _rates(self, labels: Tensor) -> tuple[float, ...]:
        """The share of candidates that is accepted as each class."""
        counts = torch.bincount(labels[labels != _REJECTED], minlength=self.spec.num_classes)
        return tuple((counts.double() / len(labels)).tolist())

    def _starvation_message(self, label: int, tries: int, labels: Tensor) -> str:
        rates, names = self._rates(labels), self.spec.class_names
        rarest = sorted(range(len(rates)), key=rates.__getitem__)[:_SHOWN]
        listing = ", ".join(f"class {class_label(other, names)} {rates[other]:.2%}" for other in rarest)
        return (
            f"class {class_label(label, names)} wasn't found among the last {tries:,} samples of the generator. "
            f"Of {len(labels):,} samples {sum(rates):.1%} were accepted, rarest first: {listing}"
            f"{', …' * (len(rates) > _SHOWN)}. Either the generator doesn't make that class, or the classifiers are "
            "never sure of it. Look at some samples, label more images, allow a larger max_wrong= or max_tries=, or do "
            "without that class."
        )

    def _move(self, device: torch.device) -> None:
        self._judge.to(device)
