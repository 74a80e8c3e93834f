"""Arguments of the methods that draw and read samples, checked and brought into one form."""

from collections.abc import Mapping
from inspect import signature
from typing import Any

import torch
from torch import Tensor

from genaug.backends.spec import Spec
from genaug.checks import as_whole
from genaug.data.labels import as_labels
from genaug.errors import InputError
from genaug.modalities.base import Modality
from genaug.randomness import check_seed


def count_and_labels(n: int | None, labels: Any) -> tuple[int, Tensor | None]:
    """The number of samples that ``sample`` is called for, and their labels, int64 (N,) on the CPU, if it has any.

    Raises ``InputError`` unless exactly one of the two arguments is passed: a whole number, or integer labels.
    """
    if (n is None) == (labels is None):
        raise InputError("sample expects either n= (the number of samples) or labels= (one per sample), not both.")
    if labels is None:
        return as_whole(n, "n", 0), None
    labels = as_labels(labels)
    return len(labels), labels


def check_known(labels: Tensor, spec: Spec) -> None:
    """Raises ``InputError`` for labels that a generator with this spec doesn't take."""
    if not spec.takes_labels:
        raise InputError("this generator takes no labels: it was trained without them. Leave labels out, or pass n=.")
    unknown = labels[labels >= spec.num_classes]
    if len(unknown):
        raise InputError(f"label {int(unknown[0])} is unknown: the generator has {spec.describe_classes()}, from 0.")


def labels_of_samples(values: Any, count: int, spec: Spec, method: str) -> Tensor | None:
    """Labels for ``count`` samples that were passed to a method, int64 on the CPU; None if the spec has no classes.

    Raises ``InputError`` if they are missing, unknown, or not one per sample.
    """
    if values is None and spec.takes_labels:
        raise InputError(f"{method} needs labels: this generator takes {spec.describe_classes()}.")
    if values is None:
        return None
    labels = as_labels(values)
    check_known(labels, spec)
    if len(labels) != count:
        raise InputError(f"{method} got {len(labels)} labels for {count} samples; it needs one per sample.")
    return labels


def fixed_latents(values: Mapping[str, Any], spec: Spec, count: int) -> dict[str, Tensor]:
    """Latents passed to ``sample`` by name, for all samples or for each, as (count, ...) floats or int64.

    Raises ``InputError`` for names that the spec doesn't have, and for values that don't fit it.
    """
    known = {latent.name: latent for latent in spec.latents}
    for name in values:
        if name not in known:
            raise InputError(f"sample has no option or latent {name!r}; this generator's latents: {sorted(known)}.")
    return {name: known[name].check(known[name].expand(value, count)) for name, value in values.items()}


def complete_latents(values: Mapping[str, Tensor], spec: Spec) -> tuple[dict[str, Tensor], int]:
    """All latents of the spec, passed to ``decode`` by name, and the number of samples.

    Raises ``InputError`` if one is missing, unknown or doesn't fit, and if their lengths differ.
    """
    known = {latent.name: latent for latent in spec.latents}
    if set(values) != set(known):
        raise InputError(f"decode expects the latents {sorted(known)}, got {sorted(values)}.")
    latents = {name: known[name].check(value) for name, value in values.items()}
    counts = sorted({len(rows) for rows in latents.values()})
    if len(counts) > 1:
        raise InputError(f"decode got latents of different lengths: {counts}.")
    return latents, counts[0] if counts else 0


def raw_samples(samples: Any, modality: Modality, method: str) -> Tensor:
    """Samples that were passed to a method as raw ones (N, ...). Raises ``InputError`` for anything else."""
    count = 1 if not hasattr(samples, "__len__") or getattr(samples, "ndim", 1) == 0 else len(samples)
    return modality.check(samples, count, f"{method} got")


def pick_seed(seed: int | None) -> int:
    """``seed``; by default one drawn from torch's global RNG. Raises ``InputError`` for an invalid one."""
    return int(torch.randint(2**62, (1,), device="cpu")) if seed is None else check_seed(seed)


def check_method(what: str, value: Any, method: str, expected: str, options: Mapping[str, Any]) -> None:
    """Raises ``InputError`` unless an object, called ``what``, has a method of samples and labels with these options.

    ``expected`` is a sentence that says what is expected instead.
    """
    function = getattr(value, method, None)
    if isinstance(value, type) or not callable(function):
        got = f"the class {value.__name__}" if isinstance(value, type) else type(value).__name__
        raise InputError(f"{what} is {got}, which can't {method} samples. {expected}")
    try:
        arguments_of = signature(function)
    except (TypeError, ValueError):  # functions without one, such as those of C extensions
        return
    try:
        arguments_of.bind(None, None, **options)
    except TypeError as error:
        raise InputError(f"{type(value).__name__}.{method} can't be called as needed ({error}). {expected}") from error
