"""Networks as a study's classifiers: trained on batches of samples for a number of updates."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from genaug.backends.spec import Spec
from genaug.errors import InputError
from genaug.modalities.base import Modality
from genaug.nn.classifier import logits_of, train_classifier
from genaug.randomness import derive_seed, seeded
from genaug.studies.arms import Arm
from genaug.studies.blending import Part, blended
from genaug.studies.classic import augmented, built_in, check_classic
from genaug.studies.identity import describe_classic, describe_classifier
from genaug.studies.learners import Fitted, Learner, class_weights
from genaug.studies.metrics import Metric, Predictions
from genaug.studies.models import check_classifier, make_classifier
from genaug.studies.splits import LabelledSamples

POOL = 5_000  # the most generated samples of a source for one seed, unless the seed has more real ones


@dataclass(frozen=True)
class Networks(Learner):
    """One network, built for every seed and arm. ``pool`` is the number of generated samples of each arm."""

    classic: Any = None
    updates: int = 500
    batch_size: int = 64
    lr: float = 1e-3
    device: str = "cpu"
    pool: int = POOL

    methods: ClassVar[tuple[str, ...]] = ("classic", "weights", "oversample")

    @property
    def network(self) -> Any:
        """What builds the network: "small", "timm:NAME" or a factory."""
        return next(iter(self.classifiers.values()))

    def check(self, spec: Spec, train: LabelledSamples, baselines: Sequence[Arm], metric: Metric) -> None:
        if not spec.sample.in_batches:
            raise InputError(f"a study with networks works on images and series, and these are {spec.sample.noun}.")
        if len(self.classifiers) > 1:
            raise InputError("a study trains one network: pass one classifier, and run a study for each other one.")
        check_classifier(self.network, spec)
        check_classic(built_in(self.classic, spec.sample), train.samples[:4], train.labels[:4])

    def settings(self, spec: Spec, train: LabelledSamples) -> dict[str, Any]:
        return {
            "classifier": describe_classifier(self.network, spec.sample.input_shape, spec.num_classes),
            "classic": describe_classic(built_in(self.classic, spec.sample), train.samples, train.labels),
            "updates": self.updates,
            "batch_size": self.batch_size,
            "lr": self.lr,
        }

    def generated(self, real: int, ratio: float) -> int:
        return self.pool

    def fit(self, arm: Arm, real: LabelledSamples, parts: Sequence[Part], spec: Spec, seed: int) -> Fitted:
        device = torch.device(self.device)
        with seeded(derive_seed(seed, "training"), device):
            model = make_classifier(self.network, spec.sample.input_shape, spec.num_classes, seed).to(device)
            oversample = arm.method == "oversample"
            data = blended(real, parts, self.updates, self.batch_size, seed, oversample=oversample)
            classic = built_in(self.classic, spec.sample)
            batches = augmented(data, classic, seed) if arm.classic else data
            batches = ((spec.sample.inputs(samples), labels) for samples, labels in batches)
            weights = class_weights(real.labels, spec.num_classes) if arm.method == "weights" else None
            losses = train_classifier(
                model, batches, updates=self.updates, seed=seed, lr=self.lr, class_weights=weights
            )
        return Fitted(partial(_predictions, model, spec.sample), {"loss": [round(loss, 5) for loss in losses]})


def _predictions(model: nn.Module, modality: Modality, samples: Tensor) -> Predictions:
    logits = logits_of(model, samples, inputs=modality.inputs)
    return Predictions(logits.argmax(1), logits.softmax(1))
