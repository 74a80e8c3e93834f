"""Rare classes in a training: ``balance=`` shows them more often, and a warning names those with few images."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from genaug.backends.spec import Spec
from genaug.data.classes import class_label
from genaug.data.reading import Samples
from genaug.errors import InputError, TrainingWarning

Balance = Literal["uniform", "sqrt"]
FEW_IMAGES = 30  # per class
_MOST_NAMED = 5


def check_balance(balance: Any) -> Balance | None:
    """``balance``, if it is one. Raises ``InputError`` otherwise."""
    if balance is None or (isinstance(balance, str) and balance in get_args(Balance)):
        return balance  # type: ignore[return-value]
    raise InputError(
        f"balance= (--balance) must be 'uniform' (all classes equally often) or 'sqrt' (in proportion to the root of "
        f"their counts), got {balance!r}."
    )


def check_classes(name: str, spec: Spec, data: Samples) -> None:
    """Raises ``InputError`` if the classes of ``data`` can't be balanced for the backend ``name``, whose generator will
    have ``spec``."""
    if data.labels is None:
        data.check_labels()
        raise InputError("balance= (--balance) needs labels, and the dataset has none. Leave it out.")
    if not spec.takes_labels:
        raise InputError(
            f"balance= (--balance) is for generators of classes, and with these options {name} trains one without. "
            "Leave it out, or choose another backend."
        )
    unknown = int((data.labels < 0).sum())
    if unknown:
        raise InputError(
            f"balance= (--balance) needs a label for every sample, and {unknown:,} of {len(data.labels):,} have none. "
            "Leave it out."
        )


def class_weights(balance: Balance, counts: Tensor) -> Tensor:
    """How often each class is trained on, any weights (K,), for the ``counts`` of its samples, int64 (K,).

    "uniform" is class-balanced sampling, "sqrt" square-root sampling (Kang et al. 2020, section 3, with q = 0 and
    1/2). A class without samples has the weight 0.
    """
    return counts.double() ** (0.5 if balance == "sqrt" else 0.0) * (counts > 0)


def warn_of_rare_classes(data: Samples) -> None:
    """Issue a ``TrainingWarning``, for the caller's caller, that names classes with 1 to 29 images.

    There is none if some images are unlabeled: their classes aren't known.
    """
    if data.labels is None or bool((data.labels < 0).any()) or data.spec.sample.kind != "image":
        return
    counts = data.labels.bincount(minlength=data.spec.num_classes)
    rare = torch.nonzero((counts > 0) & (counts < FEW_IMAGES)).flatten()
    rare = rare[counts[rare].argsort(stable=True)]
    if not len(rare):
        return
    names = data.spec.class_names
    named = [f"{class_label(label, names)} has {int(counts[label])}" for label in rare[:_MOST_NAMED].tolist()]
    more = f", and {len(rare) - _MOST_NAMED:,} more" if len(rare) > _MOST_NAMED else ""
    subject = "1 class has" if len(rare) == 1 else f"{len(rare):,} classes have"
    warnings.warn(
        f"{subject} fewer than {FEW_IMAGES} training images ({', '.join(named)}{more}): a generator can hardly vary "
        "what it has seen so few times. Look at its samples of them, or fine-tune a generator that has seen more "
        "(init=, --init).",
        TrainingWarning,
        stacklevel=3,
    )


@contextmanager
def few_images_expected() -> Iterator[None]:
    """Within the context, classes with few images cause no warning: a study or a demo of few labels is about them."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", f".* fewer than {FEW_IMAGES} training images", TrainingWarning)
        yield
