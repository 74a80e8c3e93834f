"""Whether a transform or a classifier is the one that a study was started with, by its description and its behavior.

A repr isn't enough: many omit what matters, and those of functions contain an address that differs between processes.
"""

import hashlib
import re
from typing import Any

import torch
from torch import Tensor

from genaug.data.series_transforms import random_transform
from genaug.randomness import seeded
from genaug.studies.classic import OnBatches, augmented
from genaug.studies.models import make_classifier

_IMAGES = 16  # by whose results transforms are distinguished
_DIGITS = 3  # of the results: the last bits differ between machines


def describe_classifier(what: Any, shape: tuple[int, ...], num_classes: int) -> str:
    """A description of a classifier, the same in every process; for a factory, with a hash of its architecture."""
    if isinstance(what, str):
        return what
    model = make_classifier(what, shape, num_classes, 0)
    weights = "".join(f"{name} {tuple(tensor.shape)}\n" for name, tensor in model.state_dict().items())
    return _with_hash(described(what), described(model) + weights)


def describe_classic(classic: Any, images: Tensor, labels: Tensor) -> str:
    """A description of a transform, with a hash of its results for a few images, uint8 (N, C, H, W).

    Without a hash if the same random numbers give different results: some transforms have random numbers of their own.
    """
    if classic is None:
        return "rotate, scale and shift a little"
    if classic is random_transform:
        return "jitter, scaling, magnitude warp, window slice or window warp, at random"
    first, second = (_result(classic, images[:_IMAGES], labels[:_IMAGES]) for _ in range(2))
    return _with_hash(described(classic), first) if first == second else described(classic)


def described(what: Any) -> str:
    """The repr, without addresses."""
    if isinstance(what, OnBatches):
        return f"OnBatches({described(what.transform)})"
    return re.sub(r" at 0x[0-9a-fA-F]+", "", repr(what))


def _result(classic: Any, images: Tensor, labels: Tensor) -> str:
    with seeded(0):
        output, soft_labels = next(augmented([(images, labels)], classic, 0))
    pixels = output.flatten(1).double()
    ramp = torch.linspace(-1, 1, pixels.shape[1], dtype=torch.float64)  # so that flips and rotations make a difference
    sums = torch.cat([pixels @ ramp, pixels.mean(1), soft_labels.double().flatten()])
    return " ".join(str(round(value, _DIGITS) + 0.0) for value in sums.tolist())  # without -0.0


def _with_hash(description: str, content: str) -> str:
    return f"{description} [{hashlib.sha256(content.encode()).hexdigest()[:8]}]"
