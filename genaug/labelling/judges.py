"""The classifiers that label samples: cross-fitted on labeled images, or a generator's own."""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from genaug.backends.latents import Categorical
from genaug.data.classes import match_classes
from genaug.data.reading import Samples, fingerprint
from genaug.errors import InputError
from genaug.labelling.calibration import fit_temperature
from genaug.labelling.labelled_set import LabelledImages
from genaug.labelling.learner import Learner, logits_of


class CrossFitted:
    """One classifier per fold, trained on the other folds. ``held_out`` are their logits for the images that they
    haven't seen, (N, classes)."""

    method: ClassVar[str] = "classifier"
    is_held_out: ClassVar[bool] = True

    def __init__(self, labelled: LabelledImages, learner: Learner) -> None:
        classes = labelled.spec.num_classes
        self._models = nn.ModuleList()
        self.held_out = torch.empty(len(labelled.labels), classes)
        for number, fold in enumerate(labelled.held_out()):
            model = learner.learn_from(labelled.images[~fold], labelled.labels[~fold], classes, number)
            self.held_out[fold] = logits_of(model, labelled.images[fold].to(learner.device)).cpu()
            self._models.append(model)
        self.temperature = fit_temperature(self.held_out, labelled.labels)

    def probabilities(self, images: Tensor) -> Tensor:
        """The mean probability of each class, (N, classes)."""
        first, *others = [(logits_of(model, images) / self.temperature).softmax(1) for model in self._models]
        return sum(others, first) / len(self._models)

    def to(self, device: torch.device) -> None:
        self._models.to(device)


class OwnClassifier:
    """A generator's classifier, for the classes of the labeled images. ``held_out`` are its logits for these images.

    If its record says that they are its training images, they can't show how often it is wrong: ``is_held_out`` is then
    false, and its confidence is taken as it is.
    """

    method: ClassVar[str] = "classify"

    def __init__(self, classifier: Any, labelled: LabelledImages) -> None:
        self._classifier = classifier
        offers = getattr(classifier, "offers", None)
        if hasattr(classifier, "check_offers"):
            classifier.check_offers("classify", "classify")
        elif not callable(getattr(classifier, "classify", None)) or (offers is not None and not offers("classify")):
            raise InputError(
                "method='classify' needs a generator with a classifier of its own, such as a semi-supervised GAN, and "
                f"a {type(classifier).__name__} has none. Pass one as classifier=, or use method='classifier'."
            )
        spec, classes = classifier.spec, labelled.spec.num_classes
        if spec.sample != labelled.spec.sample:
            raise InputError(
                f"the classifier takes {spec.sample.describe()}, labelled_set has {labelled.spec.sample.describe()}. "
                "Use a classifier of such images."
            )
        if not spec.takes_labels and any(isinstance(latent, Categorical) for latent in spec.latents):
            raise InputError(
                "this generator's classifier recognizes its categories, not your classes. Use method='codes', which "
                "matches them."
            )
        self._columns = torch.arange(classes)
        if spec.takes_labels:
            own = spec.of_classifier
            self._columns = torch.from_numpy(match_classes(range(classes), labelled.spec.class_names, own))
        self.held_out = self._logits(labelled.images).cpu()
        self.is_held_out = not _was_trained_on(classifier, labelled.data)
        self.temperature = fit_temperature(self.held_out, labelled.labels) if self.is_held_out else 1.0

    def probabilities(self, images: Tensor) -> Tensor:
        """The probability of each class, (N, classes)."""
        return (self._logits(images) / self.temperature).softmax(1)

    def to(self, device: torch.device) -> None:
        self._classifier.to(device)

    def _logits(self, images: Tensor) -> Tensor:
        logits: Tensor = self._classifier.classify(images)
        if logits.shape[1] <= int(self._columns.max()):
            raise InputError(
                f"the classifier has {logits.shape[1]} classes, and labelled_set has {len(self._columns)}."
            )
        return logits[:, self._columns.to(logits.device)]


def _was_trained_on(classifier: Any, data: Samples) -> bool:
    record = getattr(classifier, "training", None)
    hashes = [record.get(key) for key in ("data_sha256", "labelled_sha256")] if isinstance(record, Mapping) else []
    return fingerprint(data) in hashes
