"""Classifiers as arms of a study: those of semi-supervised GANs, scikit-learn's, and any others."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from genaug.backends.latents import Categorical
from genaug.backends.spec import Spec
from genaug.data.classes import match_classes
from genaug.errors import GenaugError, InputError
from genaug.nn.classifier import logits_of
from genaug.randomness import seeded
from genaug.sources.filtered import Filtered
from genaug.sources.generator import Generator
from genaug.studies.metrics import Predictions
from genaug.studies.recipes import Recipe, as_recipe
from genaug.studies.series_classifiers import takes_rows
from genaug.studies.splits import LabelledSamples

_CHUNK = 1000
_EXPECTED = (
    "Expected an object with classify(images), which returns logits (a generator with a classifier), or with "
    "predict(images), which returns labels, or a torch.nn.Module."
)


@dataclass(frozen=True, repr=False)
class AsClassifier:
    """Makes a classifier an arm of a study, beside the arms in which generated images are blended in.

    ``of`` is one of

    * a backend's name, a ``Recipe`` or a mapping of its fields: trained for every seed, on that seed's images and, if
      it has any, the recipe's unlabeled ones; its generator's classifier is used (``Generator.classify``);
    * an estimator of scikit-learn, fitted or not, such as ``make_pipeline(genaug.features(encoder),
      LogisticRegression())``: for every seed, a clone is fitted to that seed's images as rows of pixels, uint8
      (N, H·W·C), to that seed's rows of a table as a DataFrame without the target, or to its series, float32 (N,
      channels, steps), as rows (N, channels · steps) for those of scikit-learn itself;
    * a function, called for every seed as ``of(images, seed)`` with that seed's training images, a dataset of (image,
      label), or its ``TableDataset``. It returns a trained classifier: an object with ``classify``, from uint8 (N, C,
      H, W) to logits (N, classes); one with ``predict``, from an array of such images to integer labels (N,); or a
      ``torch.nn.Module`` from floats in [0, 1], or series as ``Series.inputs`` has them, to logits. The same
      arguments must give the same classifier. Of a table, ``predict`` gets a DataFrame, and the other two aren't
      possible;
    * a trained classifier, one of these three objects. It is the same for every seed.

    Raises ``InputError`` for anything else, and for a recipe that isn't valid.
    """

    of: Any

    def __post_init__(self) -> None:
        if isinstance(self.of, str | Mapping):
            object.__setattr__(self, "of", as_recipe(self.of))
        elif isinstance(self.of, type) or not (isinstance(self.of, Recipe) or is_trained(self.of) or callable(self.of)):
            raise InputError(
                "AsClassifier takes a backend's name, a Recipe, an estimator, a function or a trained classifier, got "
                f"{type(self.of).__name__}. {_EXPECTED}"
            )

    def __repr__(self) -> str:
        return f"AsClassifier({' '.join(repr(self.of).split())})"


def is_estimator(what: Any) -> bool:
    """Whether a study fits this to every seed's images, as scikit-learn's cross-validation does."""
    return not isinstance(what, type) and all(callable(getattr(what, name, None)) for name in ("fit", "predict"))


def is_trained(what: Any) -> bool:
    """Whether this is a classifier itself, rather than something that makes one."""
    methods = ("classify", "predict")
    return isinstance(what, nn.Module) or (
        not isinstance(what, type) and any(callable(getattr(what, name, None)) for name in methods)
    )


def generators_of(what: Any) -> Iterator[Generator]:
    """The generators that a classifier, a filtered source, or what makes one visibly uses."""
    if isinstance(what, Generator):
        yield what
    elif isinstance(what, Filtered):
        yield from (each for each in what.classifiers if isinstance(each, Generator))
        yield from generators_of(what.inner)
    elif isinstance(what, partial):
        for value in (*what.args, *what.keywords.values()):
            yield from generators_of(value)
    elif is_estimator(what) and hasattr(what, "get_params"):
        seen: dict[int, Generator] = {id(v): v for v in what.get_params().values() if isinstance(v, Generator)}
        yield from seen.values()


def features_of(estimator: Any, samples: Tensor, spec: Spec) -> Any:
    """Raw samples as an estimator takes them: ``Modality.as_features``, but series as rows (N, channels * steps) for
    those of scikit-learn, which take nothing else."""
    features = spec.sample.as_features(samples)
    if getattr(features, "ndim", 2) == 3 and takes_rows(estimator):
        features = features.reshape(len(features), -1)
    return features


def fit_estimator(estimator: Any, samples: LabelledSamples, spec: Spec, seed: int) -> Callable[[Tensor], Predictions]:
    """A function from raw samples to what a clone of ``estimator``, fitted to ``samples``, says about them."""
    from sklearn.base import clone

    with seeded(seed):
        features = features_of(estimator, samples.samples, spec)
        fitted = clone(estimator).fit(features, samples.labels.numpy())
    present = samples.labels.unique().tolist()
    return lambda others: predicted(fitted, others, spec, present, as_features=True)


def call(function: Callable[[Any, int], Any], samples: LabelledSamples, seed: int, spec: Spec) -> Any:
    """The classifier that a function makes of a seed's samples. Raises ``InputError`` if it can't classify them."""
    with seeded(seed):
        classifier = function(samples.dataset, seed)
    check_trained(classifier, spec, samples)
    return classifier


def check_trained(classifier: Any, spec: Spec, samples: LabelledSamples) -> None:
    """Raises ``InputError`` unless this is a trained classifier of samples that ``spec`` describes."""
    if not is_trained(classifier):
        raise InputError(f"it must be a trained classifier, got {type(classifier).__name__}. {_EXPECTED}")
    own = getattr(classifier, "spec", None)
    if isinstance(own, Spec):
        if own.sample != spec.sample:
            raise InputError(
                f"it classifies {own.sample.describe()}, the data are {spec.sample.describe()}. Pass another one, or "
                "image_size=."
            )
        if not own.takes_labels and any(isinstance(latent, Categorical) for latent in own.latents):
            raise InputError("it recognizes its own categories, not these classes. Pass a classifier of classes.")
    if isinstance(classifier, Generator):
        classifier.check_offers("classify", "classify")
    predicted(classifier, samples.samples[:2], spec, samples.labels.unique().tolist())


def predicted(
    classifier: Any, samples: Tensor, spec: Spec, present: list[int], *, as_features: bool = False
) -> Predictions:
    """What a classifier says about raw samples (N, ...), in the numbering of ``spec``.

    Of a classifier with classes of its own, matched by name, only those that are ``present`` count. ``as_features``: it
    is an estimator, which takes ``features_of``; another object with ``predict`` takes an array of images, or
    a DataFrame. Raises ``InputError`` if it fails or returns anything else.
    """
    try:
        with torch.no_grad():
            if isinstance(classifier, nn.Module):
                logits = _module_logits(classifier, samples, spec)
                return Predictions(logits.argmax(1), logits.softmax(1))
            if callable(getattr(classifier, "classify", None)):
                logits = torch.cat([torch.as_tensor(classifier.classify(part)).cpu() for part in samples.split(_CHUNK)])
                return _best(logits, len(samples), getattr(classifier, "spec", None), spec, present)
            inputs = features_of(classifier, samples, spec) if as_features else spec.sample.as_arrays(samples)
            labels = _checked(classifier.predict(inputs), len(samples), spec)
            return Predictions(labels, scores_of(classifier, inputs, spec.num_classes))
    except GenaugError:
        raise
    except Exception as error:
        raise InputError(
            f"the classifier failed on {spec.sample.noun} of {spec.sample.describe()} "
            f"({type(error).__name__}: {error})."
        ) from error


def scores_of(classifier: Any, inputs: Any, num_classes: int) -> Tensor | None:
    """The probabilities or decision values (N, classes) of an estimator for features; None if it has none, or if they
    aren't of its ``classes_``. A class that it doesn't know has a lower score than all others."""
    method = next((each for each in ("predict_proba", "decision_function") if hasattr(classifier, each)), None)
    classes = np.asarray(getattr(classifier, "classes_", ()))
    if method is None or classes.dtype.kind not in "iu" or len(classes) == 0:
        return None
    own = torch.as_tensor(np.asarray(getattr(classifier, method)(inputs)), dtype=torch.float64)
    if own.ndim == 1:  # a decision between two classes
        own = torch.stack([-own, own], 1)
    scores = torch.full((len(own), num_classes), float(own.min()) - 1, dtype=torch.float64)
    scores[:, torch.as_tensor(classes.astype(np.int64))] = own
    return scores


def _module_logits(module: nn.Module, images: Tensor, spec: Spec) -> Tensor:
    with torch.inference_mode():
        device = next((tensor.device for tensor in module.parameters()), torch.device("cpu"))
        logits = module.eval()(torch.zeros(2, *spec.sample.input_shape, device=device))
    if not isinstance(logits, Tensor) or tuple(logits.shape) != (2, spec.num_classes):
        got = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise InputError(
            f"the classifier must return logits of shape (2, {spec.num_classes}) for two {spec.sample.noun}, got {got}."
        )
    return logits_of(module, images, inputs=spec.sample.inputs)


def _best(logits: Tensor, count: int, own: Any, spec: Spec, present: list[int]) -> Predictions:
    """The present class with the largest logit, and the probabilities of the present classes."""
    columns = torch.tensor(present)
    classes = spec.num_classes
    if isinstance(own, Spec) and own.takes_labels:
        own = own.of_classifier
        columns = torch.from_numpy(match_classes(present, spec.class_names, own))[columns]
        classes = own.num_classes
    if tuple(logits.shape) != (count, classes):
        raise InputError(f"classify must return logits of shape ({count}, {classes}), got {tuple(logits.shape)}.")
    if not bool(torch.isfinite(logits).all()):
        raise InputError("the classifier's logits are NaN or infinite. Its training diverged.")
    scores = torch.zeros(count, spec.num_classes)
    scores[:, present] = logits[:, columns].float().softmax(1)
    return Predictions(torch.tensor(present)[logits[:, columns].argmax(1)], scores)


def _checked(labels: Any, count: int, spec: Spec) -> Tensor:
    values = torch.as_tensor(np.asarray(labels)) if np.asarray(labels).dtype.kind in "iu" else None
    if values is None or tuple(values.shape) != (count,):
        array = np.asarray(labels)
        raise InputError(
            f"predict must return an integer label for each of {count} {spec.sample.noun}, got {array.dtype} of shape "
            f"{array.shape}."
        )
    values = values.long()
    if len(values) and not 0 <= int(values.min()) <= int(values.max()) < spec.num_classes:
        raise InputError(
            f"predict returned labels from {int(values.min())} to {int(values.max())}; the classes are numbered from 0 "
            f"to {spec.num_classes - 1}."
        )
    return values
