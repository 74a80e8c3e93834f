"""What ``genaug.filtered`` keeps: samples that a classifier agrees with, that score high, and that copy no image."""

import hashlib
import math
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from genaug.backends.spec import Spec
from genaug.data.reading import Samples, fingerprint
from genaug.errors import InputError
from genaug.nn.neighbours import nearest
from genaug.randomness import uniform_rows
from genaug.sources.confidence import ClassProbabilities
from genaug.sources.export import identity_of
from genaug.sources.generator import Generator
from genaug.sources.source import Source, checked_sample

_BURN_IN = 1_000
_PERCENTILE = 80
_PRACTICALLY_NEVER = 0.001
_REFERENCES = 2_000


class Filter(Protocol):
    """A rule that accepts or rejects samples."""

    name: str

    def accepts(self, samples: Tensor, labels: Tensor | None, seed: int) -> Tensor:
        """Which raw samples (N, ...) pass, bool (N,) on the CPU; ``labels`` are int64 (N,), or None without classes."""
        ...

    @property
    def identity(self) -> Any:
        """Plain values that decide which samples pass."""
        ...


class Agreement:
    """Samples that a classifier assigns to the class that they have, with at least some confidence.

    Samples without labels pass if the classifier is confident of any class.
    """

    def __init__(self, classifier: Any, min_confidence: float, spec: Spec) -> None:
        self.name = "agree"
        self.classifier, self.min_confidence = classifier, min_confidence
        self._probabilities = ClassProbabilities(
            classifier, spec.sample, range(spec.num_classes), spec.class_names, "agree="
        )

    def accepts(self, samples: Tensor, labels: Tensor | None, seed: int) -> Tensor:
        probabilities = self._probabilities(samples)
        confidence, predictions = probabilities.max(1)
        confident = confidence >= self.min_confidence
        return confident if labels is None else confident & (predictions == labels.cpu())

    @property
    def identity(self) -> Any:
        return {"min_confidence": self.min_confidence, "classifier": _identity_of_classifier(self.classifier)}


class MinScore:
    """Samples whose score, by a discriminator that was kept, reaches a threshold."""

    name = "min_score"

    def __init__(self, scorer: Generator, minimum: float) -> None:
        self._scorer, self.minimum = scorer, minimum

    def accepts(self, samples: Tensor, labels: Tensor | None, seed: int) -> Tensor:
        return _scores(self._scorer, samples, labels) >= self.minimum

    @property
    def identity(self) -> Any:
        return {"min_score": self.minimum, "scorer": identity_of(self._scorer)}


class DiscriminatorRejection:
    """Rejection sampling with a discriminator's scores as log-density ratios (Azadi et al. 2019, sections 3.1 and 3.2).

    A sample x passes with probability sigmoid(F(x) - gamma), where F(x) = D(x) - M - log(1 - exp(D(x) - M - e)), M is
    the largest score so far, at first that of 1,000 samples, and gamma is the 80th percentile of their F. Scores are
    meaningful as log ratios if the discriminator was trained with the logistic loss.
    """

    name = "discriminator"

    def __init__(self, scorer: Generator, source: Source) -> None:
        self._scorer = scorer
        classes = source.spec.num_classes
        labels = torch.arange(_BURN_IN, device="cpu") % classes if classes else None
        scores = _scores(scorer, checked_sample(source, _BURN_IN, labels, 0), labels)
        self._largest = float(scores.max())
        self._shift = float(self._log_odds(scores).quantile(_PERCENTILE / 100))

    def accepts(self, samples: Tensor, labels: Tensor | None, seed: int) -> Tensor:
        scores = _scores(self._scorer, samples, labels).clamp(max=self._largest)
        draws = torch.from_numpy(uniform_rows(seed, "rejection", 0, len(samples), 1)[:, 0])
        return draws < (self._log_odds(scores) - self._shift).sigmoid()

    @property
    def identity(self) -> Any:
        return {"discriminator": identity_of(self._scorer)}

    def _log_odds(self, scores: Tensor) -> Tensor:
        distance = scores - self._largest
        return distance - torch.log(-torch.expm1(distance - 1e-6))


class NoCopies:
    """Samples that are no copies of a dataset's: neither identical to one nor nearer to one, in Euclidean distance,
    than all but 0.1% of the dataset's own samples are to each other."""

    name = "no_copies_of"

    def __init__(self, data: Samples, spec: Spec) -> None:
        if data.spec.sample != spec.sample:
            raise InputError(
                f"no_copies_of= has {data.spec.sample.describe()}, the source makes {spec.sample.describe()}. "
                "Convert the dataset with a transform."
            )
        self._modality, self.data = spec.sample, data
        self._real = self._modality.flatten(data.x)
        order = torch.randperm(len(data.x), generator=torch.Generator().manual_seed(0))
        few = min(_REFERENCES, len(order) // 2)
        self._radius = 0.0
        if few:
            distances = nearest(self._real[order[:few]], self._real[order[few:]])[0].numpy()
            self._radius = float(np.quantile(distances, _PRACTICALLY_NEVER, method="inverted_cdf"))

    def accepts(self, samples: Tensor, labels: Tensor | None, seed: int) -> Tensor:
        distances = nearest(self._modality.flatten(samples.cpu()), self._real)[0]
        return (distances > 0) & (distances >= self._radius)

    @property
    def identity(self) -> Any:
        return {"no_copies_of": fingerprint(self.data)}


def scorer_of(source: Any, option: str) -> Generator:
    """The generator behind a source whose discriminator was kept. Raises ``InputError`` if there is none."""
    inner = source
    while inner is not None:
        if isinstance(inner, Generator) and inner.offers("score"):
            return inner
        inner = getattr(inner, "inner", None)
    raise InputError(
        f"{option}= needs a generator whose discriminator was kept, and {source!r} has none. Leave it out, or use a "
        "backend that keeps one, such as ssgan or infogan."
    )


def check_share(value: Any, option: str) -> float:
    """A confidence in (0, 1]. Raises ``InputError`` for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= 1:
        raise InputError(f"{option}= must be a number above 0 and at most 1, got {value!r}.")
    return float(value)


def check_finite(value: Any, option: str) -> float:
    """A finite number. Raises ``InputError`` for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise InputError(f"{option}= must be a finite number, got {value!r}.")
    return float(value)


def _scores(scorer: Generator, samples: Tensor, labels: Tensor | None) -> Tensor:
    return scorer.score(samples, labels if scorer.spec.takes_labels else None).double().cpu()


def _identity_of_classifier(classifier: Any) -> Any:
    if isinstance(classifier, Generator):
        return identity_of(classifier)
    if not isinstance(classifier, nn.Module):
        return getattr(classifier, "__qualname__", type(classifier).__qualname__)
    digest = hashlib.sha256()
    for name, tensor in sorted(classifier.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
