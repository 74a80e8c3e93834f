"""Classifiers as arms of a study: those of semi-supervised GANs, scikit-learn's, and any others."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from genaug.backends.latents import Categorical
from genaug.backends.spec import Spec
from genaug.data.classes import match_classes
from genaug.errors import GenaugError, InputError
from genaug.nn.classifier import predict
from genaug.randomness import seeded
from genaug.sources.generator import Generator
from genaug.studies.splits import Images

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
      (N, H·W·C);
    * a function, called for every seed as ``of(images, seed)`` with that seed's training images, a dataset of
      (image, label). It returns a trained classifier: an object with ``classify``, from uint8 (N, C, H, W) to logits
      (N, classes); one with ``predict``, from an array of such images to integer labels (N,); or a ``torch.nn.Module``
      from floats in [0, 1] to logits. The same arguments must give the same classifier;
    * a trained classifier, one of these three objects. It is the same for every seed.
    """

    of: Any

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
    """The generators that a classifier, or what makes it, visibly uses."""
    if isinstance(what, Generator):
        yield what
    elif isinstance(what, partial):
        for value in (*what.args, *what.keywords.values()):
            yield from generators_of(value)
    elif is_estimator(what) and hasattr(what, "get_params"):
        seen: dict[int, Generator] = {id(v): v for v in what.get_params().values() if isinstance(v, Generator)}
        yield from seen.values()


def fit_estimator(estimator: Any, images: Images, seed: int) -> Callable[[Tensor], Any]:
    """A function from uint8 (N, C, H, W) to the labels that a clone of ``estimator`` predicts, fitted to ``images``."""
    from sklearn.base import clone

    with seeded(seed):
        fitted = clone(estimator).fit(_rows(images.images), images.labels.numpy())
    return lambda pictures: fitted.predict(_rows(pictures))


def call(function: Callable[[Images, int], Any], images: Images, seed: int, spec: Spec) -> Any:
    """The classifier that a function makes of a seed's images. Raises ``InputError`` if it can't classify them."""
    with seeded(seed):
        classifier = function(images, seed)
    check_trained(classifier, spec, images)
    return classifier


def check_trained(classifier: Any, spec: Spec, images: Images) -> None:
    """Raises ``InputError`` unless this is a trained classifier of images that ``spec`` describes."""
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
    predicted_labels(classifier, images.images[:2], spec, images.labels.unique().tolist())


def predicted_labels(classifier: Any, images: Tensor, spec: Spec, present: list[int]) -> Tensor:
    """The labels, int64 (N,), that a classifier gives uint8 images (N, C, H, W), in the numbering of ``spec``.

    Of a classifier with classes of its own, matched by name, only those that are ``present`` count. Raises
    ``InputError`` if it fails or returns anything else.
    """
    try:
        with torch.no_grad():
            if isinstance(classifier, nn.Module):
                return _checked(_module_labels(classifier, images, spec), images, spec)
            if callable(getattr(classifier, "classify", None)):
                logits = torch.cat([torch.as_tensor(classifier.classify(part)).cpu() for part in images.split(_CHUNK)])
                return _best(logits, len(images), getattr(classifier, "spec", None), spec, present)
            function = getattr(classifier, "predict", None)
            labels = classifier(images) if function is None else function(images.numpy())
    except GenaugError:
        raise
    except Exception as error:
        raise InputError(
            f"the classifier failed on images of {'x'.join(map(str, images.shape[1:]))} "
            f"({type(error).__name__}: {error})."
        ) from error
    return _checked(labels, images, spec)


def _module_labels(module: nn.Module, images: Tensor, spec: Spec) -> Tensor:
    with torch.inference_mode():
        device = next((tensor.device for tensor in module.parameters()), torch.device("cpu"))
        logits = module.eval()(torch.zeros(2, *images.shape[1:], device=device))
    if not isinstance(logits, Tensor) or tuple(logits.shape) != (2, spec.num_classes):
        got = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise InputError(
            f"the classifier must return logits of shape (2, {spec.num_classes}) for two images, got {got}."
        )
    return predict(module, images)


def _best(logits: Tensor, count: int, own: Any, spec: Spec, present: list[int]) -> Tensor:
    """The present class with the largest logit."""
    columns = torch.tensor(present)
    classes = spec.num_classes
    if isinstance(own, Spec) and own.takes_labels:
        columns = torch.from_numpy(match_classes(present, spec.class_names, own))[columns]
        classes = own.num_classes
    if tuple(logits.shape) != (count, classes):
        raise InputError(f"classify must return logits of shape ({count}, {classes}), got {tuple(logits.shape)}.")
    if not bool(torch.isfinite(logits).all()):
        raise InputError("the classifier's logits are NaN or infinite. Its training diverged.")
    return torch.tensor(present)[logits[:, columns].argmax(1)]


def _checked(labels: Any, images: Tensor, spec: Spec) -> Tensor:
    values = torch.as_tensor(np.asarray(labels)) if np.asarray(labels).dtype.kind in "iu" else None
    if values is None or tuple(values.shape) != (len(images),):
        array = np.asarray(labels)
        raise InputError(
            f"predict must return an integer label for each of {len(images)} images, got {array.dtype} of shape "
            f"{array.shape}."
        )
    values = values.long()
    if len(values) and not 0 <= int(values.min()) <= int(values.max()) < spec.num_classes:
        raise InputError(
            f"predict returned labels from {int(values.min())} to {int(values.max())}; the classes are numbered from 0 "
            f"to {spec.num_classes - 1}."
        )
    return values


def _rows(images: Tensor) -> NDArray[np.uint8]:
    """uint8 (N, C, H, W) as rows (N, H·W·C), the order of scikit-learn's datasets and of ``genaug.features``."""
    return images.permute(0, 2, 3, 1).flatten(1).numpy()
