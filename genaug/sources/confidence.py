"""Which class a classifier sees in samples, and how sure it is."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from genaug.data.classes import match_classes
from genaug.errors import InputError
from genaug.modalities.base import Modality
from genaug.nn.classifier import as_unit
from genaug.sources.generator import Generator

_CHUNK = 1024


class ClassProbabilities:
    """A classifier's probabilities for raw samples: float32 (N, classes) on the CPU.

    Args:
        classifier: A torch module or a function from floats in [0, 1] (N, ``*shape``) to logits (N, classes), or a
            ``Generator`` that classifies, whose columns are put into the order of ``present``.
        sample: What the samples are.
        present: The classes that samples may have; empty for samples without labels.
        names: The names of the classes, or None.
        option: How messages call the classifier.
        exact: Whether a module or function must have no other classes than ``present``.

    Raises ``InputError`` for anything else, also for logits of another shape or that aren't finite.
    """

    def __init__(
        self,
        classifier: Any,
        sample: Modality,
        present: Sequence[int],
        names: Sequence[str] | None,
        option: str,
        *,
        exact: bool = True,
    ) -> None:
        self._option, self._exact = option, exact
        self._classes = max(present, default=-1) + 1
        self._columns: Tensor | None = None
        self._logits: Callable[[Tensor], Any]
        if isinstance(classifier, Generator):
            classifier.check_offers("classify", "classify")
            if classifier.spec.sample != sample:
                raise InputError(
                    f"{option} classifies {classifier.spec.sample.describe()}, the source makes {sample.describe()}. "
                    "Pass a classifier of such samples."
                )
            if len(present) and not classifier.spec.takes_labels:
                raise InputError(
                    f"{option} is a generator without labels, whose classifier recognizes its own categories and no "
                    "classes. Pass a classifier of the classes."
                )
            if len(present):
                self._columns = torch.from_numpy(match_classes(present, names, classifier.spec))
            self._logits = classifier.classify
        elif isinstance(classifier, nn.Module):
            self._logits = lambda samples: _forward(classifier, samples)
        elif callable(classifier):
            self._logits = lambda samples: classifier(as_unit(samples))
        else:
            raise InputError(
                f"{option} must be a classifier: a torch module or a function from floats in [0, 1] to logits (N, "
                f"classes), or a generator that classifies; got {type(classifier).__name__}."
            )

    def __call__(self, samples: Tensor) -> Tensor:
        logits = torch.cat([self._checked(self._logits(part), len(part)) for part in samples.split(_CHUNK)])
        probabilities = logits.float().softmax(1).cpu()
        return probabilities if self._columns is None else probabilities[:, self._columns]

    def _checked(self, logits: Any, count: int) -> Tensor:
        valid = isinstance(logits, Tensor) and logits.ndim == 2 and len(logits) == count
        if valid and self._classes and self._columns is None:
            valid = logits.shape[1] == self._classes or (not self._exact and logits.shape[1] > self._classes)
        if not valid:
            shape = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
            expected = f"({count}, {self._classes or 'classes'})"
            raise InputError(
                f"{self._option} returned {shape} for {count} samples; expected logits of shape {expected}."
            )
        if not bool(logits.isfinite().all()):
            raise InputError(
                f"{self._option} returned NaN or infinite logits, so it can't judge samples. Train it again."
            )
        checked: Tensor = logits
        return checked


@torch.inference_mode()
def _forward(model: nn.Module, samples: Tensor) -> Any:
    """The model's output in evaluation mode; its mode is restored."""
    parameter = next(model.parameters(), None)
    training = model.training
    model.eval()
    try:
        return model(as_unit(samples) if parameter is None else as_unit(samples).to(parameter.device))
    finally:
        model.train(training)
