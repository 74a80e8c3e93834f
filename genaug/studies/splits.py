"""The samples that a seed trains on, those that it holds out to choose an arm, and whether the datasets fit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from genaug.checks import as_whole
from genaug.data.classes import class_index, class_label, class_labels, renumbered
from genaug.data.reading import Samples, shared_samples
from genaug.errors import InputError
from genaug.modalities.base import Modality
from genaug.randomness import derive_seed

_HELD_OUT = 0.2  # the share of each class that the inner split holds out
_TOO_RARE = 10  # times as many samples of the most frequent class


class LabelledSamples(Dataset[Any]):
    """Samples of one modality in memory, raw (N, ...), with int64 labels (N,).

    As a map-style dataset: items (raw sample, int), with ``targets`` and ``classes``.
    """

    def __init__(self, samples: Tensor, labels: Tensor, classes: Sequence[str] | None) -> None:
        self.samples, self.labels = samples, labels
        self.targets: list[int] = labels.tolist()
        self.classes = None if classes is None else list(classes)

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.samples[index], self.targets[index]

    @property
    def dataset(self) -> Any:
        """What generators are trained on, and what the user's functions get."""
        return self

    def part(self, rows: Tensor) -> "LabelledSamples":
        return LabelledSamples(self.samples[rows], self.labels[rows], self.classes)


class LabelledRows(LabelledSamples):
    """Rows of a table, or series, which their dataset describes: it has ``take(rows)`` and ``read_rows(rows)``."""

    def __init__(self, samples: Tensor, labels: Tensor, classes: Sequence[str] | None, dataset: Any) -> None:
        super().__init__(samples, labels, classes)
        self._dataset = dataset

    @property
    def dataset(self) -> Any:
        return self._dataset

    def part(self, rows: Tensor) -> "LabelledRows":
        return LabelledRows(self.samples[rows], self.labels[rows], self.classes, self._dataset.take(rows.numpy()))


def labelled(data: Samples, what: str, dataset: Any = None) -> LabelledSamples:
    """A dataset that was read; ``dataset`` is the one that describes its rows, if there is one.

    Raises ``InputError`` if it has no labels.
    """
    if data.labels is None:
        raise InputError(f"{what} has no labels: expected ({data.spec.sample.item}, label) items.")
    if dataset is not None:
        return LabelledRows(data.x, data.labels, data.spec.class_names, dataset)
    return LabelledSamples(data.x, data.labels, data.spec.class_names)


def check_sets(train: LabelledSamples, test: LabelledSamples, modality: Modality) -> LabelledSamples:
    """The test set with its labels in the training set's numbering.

    Raises ``InputError`` if the datasets don't fit together: samples of different shapes, different classes, a class
    that only one of them has and, unless equal samples of the modality can be different observations, a test sample
    that is also a training sample, byte for byte.
    """
    nouns, noun = modality.noun, modality.item
    if train.samples.shape[1:] != test.samples.shape[1:]:
        shapes = ["x".join(map(str, s.samples.shape[1:])) for s in (train, test)]
        raise InputError(
            f"training {nouns} are {shapes[0]}, test {nouns} {shapes[1]}. Pass image_size= (--image-size)."
        )
    if test.classes is not None:
        labels = renumbered(test.labels, test.classes, train.classes, max(train.targets) + 1, "the test set")
        test = LabelledSamples(test.samples, labels, train.classes)
    for what, samples, others in (("training", train, test), ("test", test, train)):
        missing = sorted(set(others.targets) - set(samples.targets))
        if missing:
            raise InputError(
                f"the {what} set has no {noun} of class {class_labels(missing, train.classes)}; both sets need {nouns} "
                "of every class."
            )
    shared = [] if modality.may_coincide else shared_samples(test.samples, train.samples)
    if shared:
        raise InputError(
            f"{len(shared)} of {len(test):,} test {nouns} are in the training set too, byte for byte (first: test "
            f"{noun} {shared[0][0]} is training {noun} {shared[0][1]}), so a result on them would mean nothing. Remove "
            "them from one of the sets."
        )
    return test


def without_samples(train: LabelledSamples, num_classes: int, modality: Modality) -> str | None:
    """A note for the report on classes without samples; None if there are none."""
    missing = sorted(set(range(num_classes)) - set(train.targets))
    if not missing:
        return None
    noun = modality.item
    return f"No {noun} is of class {class_labels(missing, train.classes)}, so the study says nothing about it."


def coinciding(train: LabelledSamples, test: LabelledSamples, modality: Modality) -> str | None:
    """A note for the report on test samples that equal training samples without being the same observations."""
    count = len(shared_samples(test.samples, train.samples)) if modality.may_coincide else 0
    if not count:
        return None
    return (
        f"{count:,} of {len(test):,} test {modality.noun} equal a training {modality.item} in all "
        "values. If they are the same observations, remove them from one of the sets."
    )


def too_rare(labels: Tensor, names: Sequence[str] | None, modality: Modality) -> str | None:
    """A note for the report on a class that accuracy says little about; None if there is none."""
    counts = labels.bincount()
    rare = int(torch.where(counts > 0, counts, len(labels) + 1).argmin())
    times = int(counts.max()) // int(counts[rare])
    if times < _TOO_RARE:
        return None
    return (
        f"The most frequent class has {times:,} times as many training {modality.noun} as class "
        f"{class_label(rare, names)}, so accuracy says little about the rare one. Metrics such as 'macro_f1' or "
        "'recall:CLASS' (metric=, --metric) do."
    )


@dataclass(frozen=True)
class Subsets:
    """The training samples of every seed, as int64 indices, and the expected share of them that two seeds have in
    common, averaged over classes, in [0, 1]: 0 if the subsets are disjoint, 1 if all seeds train on the same ones."""

    rows: dict[int, Tensor]
    overlap: float


def per_class_counts(
    labels_per_class: Any, labels: Tensor, names: Sequence[str] | None, num_classes: int
) -> int | list[int] | None:
    """``labels_per_class`` of ``genaug.study``, checked: one number for all classes, one for each class, or None.

    A mapping has the numbers by class, by name or number; it must name every class that has samples. Raises
    ``InputError`` for numbers below 2 and for unknown and missing classes.
    """
    if labels_per_class is None:
        return None
    if not isinstance(labels_per_class, Mapping):
        return as_whole(labels_per_class, "labels_per_class", 2)
    counts = [0] * num_classes
    for key, count in labels_per_class.items():
        name = str(key) if names is not None and str(key) in names else key  # True for "True"
        index = class_index(name, names, num_classes, "labels_per_class")
        counts[index] = as_whole(count, f"labels_per_class of {key!r}", 2)
    missing = [label for label in labels.unique().tolist() if counts[label] == 0]
    if missing:
        raise InputError(
            f"labels_per_class doesn't say how many samples of class {class_labels(missing, names)} to use. Expected a "
            "number for every class."
        )
    return counts


def draw_subsets(
    labels: Tensor, per_class: int | Sequence[int] | None, seeds: Sequence[int], noun: str = "images"
) -> Subsets:
    """``per_class`` samples of each class for every seed, or all samples if it is None.

    The samples of a class that has enough of them are divided among the seeds, so that no sample is in two subsets. Of
    other classes, every seed draws its own samples, without replacement: two seeds then share per_class / N of a class
    of N samples on average. A class without any samples is ignored. Raises ``InputError`` naming a class that has fewer
    than two samples, or fewer than ``per_class``.
    """
    counts = labels.bincount()
    classes = torch.nonzero(counts).flatten().tolist()
    needed = dict.fromkeys(classes, per_class or 2) if isinstance(per_class, int | None) else dict(enumerate(per_class))
    for label in sorted(classes, key=lambda label: int(counts[label])):
        if int(counts[label]) < needed[label]:
            raise InputError(
                f"class {label} has {int(counts[label])} training {noun}, fewer than the {needed[label]} needed."
            )
    if per_class is None:
        return Subsets({seed: torch.arange(len(labels)) for seed in seeds}, float(len(seeds) > 1))
    disjoint = {label: int(counts[label]) >= needed[label] * len(seeds) for label in classes}
    rows: dict[int, Tensor] = {}
    for number, seed in enumerate(seeds):
        common, own = (torch.Generator().manual_seed(derive_seed(source, "subsets")) for source in (seeds[0], seed))
        parts = []
        for label in range(len(counts)):
            candidates = torch.nonzero(labels == label).flatten()
            common_order, own_order = (torch.randperm(len(candidates), generator=draws) for draws in (common, own))
            if label in disjoint:
                size = needed[label]
                order = common_order[number * size :] if disjoint[label] else own_order
                parts.append(candidates[order[:size]])
        rows[seed] = torch.cat(parts).sort().values
    shares = [0.0 if disjoint[label] else needed[label] / int(counts[label]) for label in classes]
    return Subsets(rows, sum(shares) / len(shares))


def inner_split(labels: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """Indices to train on and indices to choose an arm by, int64: about a fifth of every class, and at least one
    sample, is held out.

    Each class must have two samples.
    """
    draws = torch.Generator().manual_seed(derive_seed(seed, "inner split"))
    train, held_out = [], []
    for label in labels.unique().tolist():
        rows = torch.nonzero(labels == label).flatten()
        rows = rows[torch.randperm(len(rows), generator=draws)]
        cut = max(1, round(_HELD_OUT * len(rows)))
        held_out.append(rows[:cut])
        train.append(rows[cut:])
    return torch.cat(train).sort().values, torch.cat(held_out).sort().values
