"""The data of a training: read, and checked against what the backend needs."""

import warnings
from typing import Any

from torch.utils.data import Subset

from genaug.backends.backend import Backend
from genaug.backends.calls import described
from genaug.backends.spec import Classes
from genaug.data.classes import class_labels
from genaug.data.reading import Samples, read_samples
from genaug.errors import InputError, TrainingWarning
from genaug.progress import Progress


def read_training_data(
    dataset: Any, name: str, backend: Backend, config: Any, image_size: int | None, show: bool
) -> Samples:
    """Read a dataset for a backend called ``name``, with the conditions that it needs.

    Raises ``InputError`` for samples of a kind that the backend can't be trained on, if labels that it would use can't
    be read, and if an item lacks a condition. Issues a ``TrainingWarning`` if a class has no sample.
    """
    with Progress("reading", len(dataset) if hasattr(dataset, "__len__") else 0, show, 15.0) as progress:

        def advance(count: int) -> None:
            progress.advance(count)
            progress.tell("items")

        data = read_samples(
            dataset,
            image_size,
            advance,
            needs_labels=False,
            unlabelled=backend.takes_unlabelled,
            conditions=backend.conditions,
        )
    if data.spec.sample.kind not in backend.modalities:
        raise InputError(
            f"backend {name!r} can't be trained on {data.spec.sample.noun}: it is for samples of kind "
            f"{' or '.join(backend.modalities)}. `genaug plugins` lists the backends."
        )
    labeled = data.spec.model_copy(update={"classes": Classes(count=2)})
    if described(backend, config, labeled).takes_labels:  # it would train on labels if there were any
        data.check_labels()
    if described(backend, config, data.spec).takes_labels:
        _warn_of_empty_classes(data)
    return data


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
