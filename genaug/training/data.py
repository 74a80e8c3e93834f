"""The data of a training: read, and checked against what the backend needs."""

import warnings
from dataclasses import replace
from typing import Any

import torch
from torch.utils.data import Subset

from genaug.backends import registry
from genaug.backends.backend import Backend
from genaug.backends.calls import described, faults_of
from genaug.backends.spec import Classes, Condition, Spec
from genaug.data.classes import class_labels
from genaug.data.image_cache import ImageCache
from genaug.data.overlap import check_disjoint
from genaug.data.reading import Samples, fingerprint, read_samples
from genaug.errors import DataWarning, InputError, TrainingWarning
from genaug.modalities.known import MODALITIES
from genaug.progress import Progress


def read_training_data(
    dataset: Any,
    name: str,
    backend: Backend,
    config: Any,
    image_size: int | None,
    show: bool,
    *,
    unlabelled: Any = None,
    exclude: Any = None,
    cache: ImageCache | None = None,
) -> tuple[Samples, dict[str, Any]]:
    """Read a dataset for a backend called ``name``, with the conditions that it needs, and ``unlabelled`` samples; its
    images from ``cache``, if there is one.

    Returns all samples, those of ``unlabelled`` last and with labels of -1, and the record of the data: the fields of
    ``RunSettings`` that describe them. The labels in ``unlabelled`` aren't read. The hashes in the record are those of
    the data without conditions that the backend derives from them.

    Raises ``InputError`` for samples of a kind that the backend can't be trained on, if labels that it would use can't
    be read, if an item lacks a condition, for unlabeled samples that the backend or the dataset has no use for or that
    have another shape, and for samples that are in ``exclude`` too. Issues a ``TrainingWarning`` if a class has no
    sample, and a ``DataWarning`` for what else is worth checking.
    """
    if unlabelled is not None and not backend.takes_unlabelled:
        raise InputError(
            f"backend {name!r} can't learn from unlabeled samples beside labeled ones. Installed backends that can: "
            f"{', '.join(registry.taking_unlabelled(backend.modalities)) or 'none'}."
        )
    if cache is not None and unlabelled is not None:
        raise InputError(
            "cache= (--cache) is for one dataset. Leave unlabelled= (--unlabelled) out and pass all images as one "
            "dataset, in which those without a label have -1."
        )
    if cache is not None and backend.conditions:
        raise InputError(f"backend {name!r} needs more than images, and a cache= (--cache) holds only these.")
    data = _read(dataset, backend, image_size, show, what="the dataset", cache=cache)
    check_modality(name, backend, data.spec)
    for remark in data.remarks:
        warnings.warn(remark, DataWarning, stacklevel=3)
    if data.unpaired and not backend.takes_unpaired:
        raise InputError(
            f"backend {name!r} needs pairs, and these two sets don't correspond: pass genaug.data.Pairs(a, b). "
            f"Installed backends that learn from unpaired sets: {', '.join(registry.taking_unpaired()) or 'none'}."
        )
    spec = with_conditions(backend, config, data).spec
    labeled = spec.model_copy(update={"classes": Classes(count=2)})
    if described(backend, config, labeled).takes_labels:  # it would train on labels if there were any
        data.check_labels()
    if exclude is not None:
        check_disjoint(data.x, exclude, image_size, "the dataset", backend.modalities)
    record: dict[str, Any] = {}
    if unlabelled is not None:
        others = _read(unlabelled, backend, image_size, show, what="the unlabeled set", ignore_labels=True)
        if exclude is not None:
            check_disjoint(others.x, exclude, image_size, "the unlabeled set", backend.modalities)
        record["labelled_sha256"] = fingerprint(data)
        record["unlabelled"] = {
            "data": dataset_name(unlabelled),
            "images": len(others.x),
            "sha256": fingerprint(others),
        }
        data = _joined(data, others)
    record["labels"] = 0
    complete = with_conditions(backend, config, data)
    if described(backend, config, complete.spec).takes_labels:
        _warn_of_empty_classes(data)
        record["labels"] = 0 if data.labels is None else int((data.labels >= 0).sum())
    return complete, {**record, "data": dataset_name(dataset), "images": len(data.x), "data_sha256": fingerprint(data)}


def with_conditions(backend: Backend, config: Any, data: Samples) -> Samples:
    """The samples with the conditions that the backend derives from them; unchanged if it doesn't.

    Raises the ``InputError`` of the backend for samples from which they can't be derived.
    """
    if not backend.offers("derive_conditions"):
        return data
    with faults_of(backend, "derive_conditions"):
        values = dict(backend.derive_conditions(config, data.x, data.spec))
        if set(values) != set(backend.conditions) or any(len(rows) != len(data.x) for rows in values.values()):
            raise ValueError(f"expected {len(data.x)} samples of each of {backend.conditions}, got {sorted(values)}")
        reader = type(data.spec.sample)
        named = tuple(Condition(name=name, sample=reader.of(values[name][0])) for name in backend.conditions)
    return replace(data, spec=data.spec.model_copy(update={"conditions": named}), conditions=values)


def _read(
    dataset: Any,
    backend: Backend,
    image_size: int | None,
    show: bool,
    *,
    what: str,
    ignore_labels: bool = False,
    cache: ImageCache | None = None,
) -> Samples:
    with Progress("reading", len(dataset) if hasattr(dataset, "__len__") else 0, show, 15.0) as progress:

        def advance(count: int) -> None:
            progress.advance(count)
            progress.tell("items")

        if cache is not None:
            kinds = backend.modalities
            return cache.read(dataset, image_size, advance, unlabelled=backend.takes_unlabelled, kinds=kinds)
        return read_samples(
            dataset,
            image_size,
            advance,
            what=what,
            needs_labels=False,
            unlabelled=backend.takes_unlabelled,
            ignore_labels=ignore_labels,
            conditions=() if backend.offers("derive_conditions") else backend.conditions,
            kinds=backend.modalities,
            join_domains=backend.joins_domains,
        )


def _joined(data: Samples, others: Samples) -> Samples:
    """Both sets, ``others`` with labels of -1. Raises ``InputError`` if they don't fit together."""
    if data.unpaired or others.unpaired:
        raise InputError("unpaired sets can't be joined with unlabeled samples: leave unlabelled= (--unlabelled) out.")
    if data.labels is None:
        raise InputError(
            "the dataset has no labels, so unlabeled samples aren't different from its own. Pass all of them as one "
            "dataset, without unlabelled= (--unlabelled)."
        )
    for name, ours, theirs in (
        ("samples", data.spec.sample, others.spec.sample),
        *((c.name, c.sample, o.sample) for c, o in zip(data.spec.conditions, others.spec.conditions, strict=True)),
    ):
        if not ours.fits(theirs):
            raise InputError(
                f"the {name} of the unlabeled set are {theirs.describe()}, those of the dataset {ours.describe()}. "
                "Convert them with a transform, or pass image_size= (--image-size), so that they agree."
            )
    labels = torch.cat([data.labels, torch.full((len(others.x),), -1, dtype=torch.int64, device="cpu")])
    conditions = {name: torch.cat([values, others.conditions[name]]) for name, values in data.conditions.items()}
    return Samples(torch.cat([data.x, others.x]), labels, data.spec, None, conditions)


def dataset_name(dataset: Any) -> str:
    """The name of a dataset's class, without those that only select from another; model cards show it."""
    while isinstance(dataset, Subset):
        dataset = dataset.dataset
    return type(dataset).__name__


def _warn_of_empty_classes(data: Samples) -> None:
    assert data.labels is not None
    empty = sorted(set(range(data.spec.num_classes)) - set(data.labels.unique().tolist()))
    if empty:
        warnings.warn(
            f"no training sample is of class {class_labels(empty, data.spec.class_names)}, so the generator's samples "
            "of it will be meaningless. Don't draw them, or number the classes from 0 without gaps.",
            TrainingWarning,
            stacklevel=4,
        )


def check_modality(name: str, backend: Backend, spec: Spec) -> None:
    """Raises ``InputError`` if a backend called ``name`` can't be trained on samples of this kind."""
    if spec.sample.kind not in backend.modalities:
        data = " or ".join(each.data for kind, each in MODALITIES.items() if kind in backend.modalities and each.data)
        raise InputError(
            f"backend {name!r} can't be trained on {spec.sample.noun}: it is for samples of kind "
            f"{' or '.join(backend.modalities)}.{data and f' Pass {data}.'} Installed backends for {spec.sample.noun}: "
            f"{', '.join(registry.trained_on(spec.sample.kind)) or 'none'}."
        )
