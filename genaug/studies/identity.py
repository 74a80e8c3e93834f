"""Whether a transform or a classifier is the one that a study was started with: in words, and by what it does.

A repr alone won't do: many hide what matters, and those of functions hold an address that no other process has.
"""

import hashlib
import re
from typing import Any

import torch
from torch import Tensor

from genaug.randomness import seeded
from genaug.studies.classic import OnBatches, augmented
from genaug.studies.models import make_classifier

_TRIED = 16  # images that tell one transform from another
_DIGITS = 3  # of what is made of them: the last bits differ between machines


def classifier_told(what: Any, shape: tuple[int, ...], num_classes: int) -> str:
    """A classifier in words, the same in every process; a factory with a hash of the architecture that it makes."""
    if isinstance(what, str):
        return what
    model = make_classifier(what, shape, num_classes, 0)
    weights = "".join(f"{name} {tuple(tensor.shape)}\n" for name, tensor in model.state_dict().items())
    return _with_hash(described(what), described(model) + weights)


def classic_told(classic: Any, images: Tensor, labels: Tensor) -> str:
    """A transform in words, with a hash of what it makes of a few images, uint8 (N, C, H, W).

    Two draws of the same random numbers must make the same, else there is no hash: some transforms have random numbers
    of their own.
    """
    if classic is None:
        return "rotate, scale and shift a little"
    first, second = (_made(classic, images[:_TRIED], labels[:_TRIED]) for _ in range(2))
    return _with_hash(described(classic), first) if first == second else described(classic)


def described(what: Any) -> str:
    """The repr, without the addresses in it."""
    if isinstance(what, OnBatches):
        return f"OnBatches({described(what.transform)})"
    return re.sub(r" at 0x[0-9a-fA-F]+", "", repr(what))


def _made(classic: Any, images: Tensor, labels: Tensor) -> str:
    with seeded(0):
        made, soft = next(augmented([(images, labels)], classic, 0))
    pixels = made.flatten(1).double()
    ramp = torch.linspace(-1, 1, pixels.shape[1], dtype=torch.float64)  # so that turned images differ from the others
    sums = torch.cat([pixels @ ramp, pixels.mean(1), soft.double().flatten()])
    return " ".join(str(round(value, _DIGITS) + 0.0) for value in sums.tolist())  # no -0.0


def _with_hash(told: str, of: str) -> str:
    return f"{told} [{hashlib.sha256(of.encode()).hexdigest()[:8]}]"
