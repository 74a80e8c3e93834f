"""The images that an evaluation compares: real ones, held-out ones, and generated ones with the same labels."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from genaug.data.classes import are_numbers, match_classes, renumbered
from genaug.data.reading import Samples, fingerprint, read_samples, shared_samples
from genaug.errors import InputError
from genaug.randomness import derive_seed
from genaug.sources.export import sample_parts
from genaug.sources.source import Source, check_supply, checked_sample, distinct_labels, supply_of

FEWEST_SAMPLES, MOST_SAMPLES = 200, 10_000
_MOST_SHARED = 0.01  # of the held-out images: large datasets contain a few images twice


@dataclass(frozen=True)
class Subject:
    """``rows`` of the real images are compared with ``fake``, which were generated for ``labels``.

    ``labels`` are in the real set's numbering, int64, or None if either side has none; ``match`` is the source's class
    for each class of the real set.
    """

    source: Source
    real: Samples
    held_out: Samples | None
    rows: Tensor
    fake: Tensor
    labels: Tensor | None
    match: Tensor

    @property
    def noun(self) -> str:
        """What samples are called in messages."""
        return self.source.spec.sample.noun

    @property
    def real_labels(self) -> Tensor:
        """Labels of the real images that are compared; zeros if either side has no labels."""
        if self.labels is None or self.real.labels is None:
            return torch.zeros(len(self.rows), dtype=torch.int64)
        return self.real.labels[self.rows]

    @property
    def fake_labels(self) -> Tensor:
        """The generated images' labels; zeros if either side has no labels."""
        return torch.zeros(len(self.fake), dtype=torch.int64) if self.labels is None else self.labels

    @property
    def classes(self) -> dict[int, str]:
        """Names (or numbers) of the generated classes by label; empty if either side has no labels."""
        if self.labels is None:
            return {}
        names = self.real.spec.class_names
        return {c: names[c] if names is not None else str(c) for c in self.labels.unique().tolist()}

    def parts(self) -> Iterator[tuple[str | None, Tensor, Tensor]]:
        """The subsets to compare, all (None) and then each class: indices into ``rows`` and ``fake``, int64."""
        yield None, torch.arange(len(self.rows)), torch.arange(len(self.fake))
        for label, name in self.classes.items():
            real, fake = (torch.nonzero(side == label)[:, 0] for side in (self.real_labels, self.fake_labels))
            yield name, real, fake

    @property
    def held_out_labels(self) -> Tensor | None:
        """The held-out images' labels; zeros if the compared images have no labels, None if these aren't known."""
        if self.held_out is None:
            return None
        return self.held_out.labels if self.labels is not None else torch.zeros(len(self.held_out.x))

    def held_out_rows(self, class_name: str | None) -> Tensor:
        """Indices of all held-out images (None), or of those of a class, int64."""
        labels = self.held_out_labels
        if class_name is None:
            return torch.arange(0 if self.held_out is None else len(self.held_out.x))
        known = {name: label for label, name in self.classes.items()}
        return torch.empty(0, dtype=torch.int64) if labels is None else torch.nonzero(labels == known[class_name])[:, 0]

    def generate(self, labels: Tensor, seed: int) -> tuple[Tensor, Tensor]:
        """Other images of the source, uint8, and their labels in the real set's numbering: one for each of ``labels``,
        or fewer from a pool that contains fewer."""
        labels = distinct_labels(self.source, labels, self.match)
        return generate(self.source, self.match[labels], seed), labels


def read_split(source: Source, real_set: Any, held_out: Any, image_size: int | None) -> tuple[Samples, Samples | None]:
    """Both sides of the split of images in memory, uint8. The default of ``image_size`` is that in the source's record.

    Raises ``InputError`` for images that don't have the source's shape, and as ``read_sides`` does.
    """
    recorded_size = training_record(source).get("image_size")
    if image_size is None and isinstance(recorded_size, int):
        image_size = recorded_size
    return read_sides(source, real_set, held_out, lambda dataset, name: _read(source, dataset, image_size, name))


def read_sides(
    source: Source, real_set: Any, held_out: Any, read: Callable[[Any, str], Samples]
) -> tuple[Samples, Samples | None]:
    """Both sides of the split as ``read`` reads a dataset, whose name in messages is its second argument. The held-out
    labels are in the real set's numbering.

    Raises ``InputError`` for classes that differ, and if more than 1% of the held-out samples are training samples.
    """
    real = read(real_set, "real_set")
    if held_out is None:
        return real, None
    unseen = read(held_out, "held_out")
    check_unseen(source, unseen)
    names, target, count = unseen.spec.class_names, real.spec.class_names, real.spec.num_classes
    if unseen.labels is not None and names is not None and (target is not None or are_numbers(names, count)):
        labels = renumbered(unseen.labels, names, target, count, "held_out")
        unseen = replace(unseen, labels=labels, spec=unseen.spec.model_copy(update={"classes": real.spec.classes}))
    shared = len(shared_samples(unseen.x, real.x))
    if shared > _MOST_SHARED * len(unseen.x):
        noun = real.spec.sample.noun
        raise InputError(
            f"{shared:,} of the {len(unseen.x):,} held-out {noun} are in real_set too, value for value, so they can't "
            "reveal copying. Pass a separate test set, or omit held_out."
        )
    return real, unseen


def check_unseen(source: Source, held_out: Samples) -> None:
    """Raises ``InputError`` if the source's record says that it was trained on the held-out samples."""
    if learned_from(source, held_out):
        noun = held_out.spec.sample.noun
        raise InputError(
            f"the source was trained on the held-out {noun}, according to its record, so they can't be held out. Pass "
            "another test set, or omit held_out."
        )


def _read(source: Source, dataset: Any, image_size: int | None, name: str) -> Samples:
    samples = read_samples(dataset, image_size, what=name, needs_labels=source.spec.takes_labels)
    if samples.spec.shape != source.spec.shape:
        shapes = ["x".join(map(str, spec.shape)) for spec in (source.spec, samples.spec)]
        channels, height, width = source.spec.shape
        remedy = "Convert them with a transform."
        if height == width and channels == samples.spec.shape[0]:
            remedy = f"Pass image_size={height} (--image-size)."
        raise InputError(f"the source makes images of {shapes[0]} (channels first), {name} has {shapes[1]}. {remedy}")
    return samples


def new_subject(source: Source, real: Samples, held_out: Samples | None, n: int | None, seed: int) -> Subject:
    """Generate ``n`` images (by default as many as there are real ones, 200 to 10,000), with the labels of real ones.

    Each image of a pool is used once, so by default there are at most as many as it contains. Raises ``InputError`` for
    classes of the real set that the source doesn't have, and for a pool that contains too few.
    """
    count = len(real.x)
    size = min(max(count, FEWEST_SAMPLES), MOST_SAMPLES) if n is None else n
    order = torch.randperm(count, generator=torch.Generator().manual_seed(derive_seed(seed, "real")))
    labels, match = None, torch.empty(0, dtype=torch.int64)
    if source.spec.takes_labels and real.labels is not None:
        present = real.labels.unique()
        match = torch.from_numpy(match_classes(present.tolist(), real.spec.class_names, source.spec))
        check_supply(source, match[present].tolist())
        labels = real.labels[order[torch.arange(size) % count]]
    supply = supply_of(source)
    if supply is not None:
        labels = None if labels is None else distinct_labels(source, labels, match)
        available = min(size, sum(supply)) if labels is None else len(labels)
        if available < (n or FEWEST_SAMPLES):
            remedy = "a larger pool"
            if available >= FEWEST_SAMPLES:
                remedy = f"n= of {FEWEST_SAMPLES} to {available} or {remedy}"
            shares = "" if labels is None else " with the real set's class shares"
            raise InputError(
                f"the pool of {sum(supply):,} {source.spec.sample.noun} is enough for {available:,}{shares}, and "
                f"{n or FEWEST_SAMPLES:,} are needed. Pass {remedy}."
            )
        size = available
    fake = generate(source, size if labels is None else match[labels], derive_seed(seed, "compared"))
    return Subject(source, real, held_out, order[:size], fake, labels, match)


def generate(source: Source, request: int | Tensor, seed: int) -> Tensor:
    """Images on the CPU: a number of them, or one for each label. All of them come from one call if ``source`` is a
    pool, since only within a call no image comes twice."""
    supply = supply_of(source)
    if supply is None:
        return torch.cat([images for images, _ in sample_parts(source, request, seed)])
    if isinstance(request, int) and source.spec.takes_labels:  # with the pool's own class shares
        order = torch.randperm(sum(supply), generator=torch.Generator().manual_seed(derive_seed(seed, "pool")))
        request = torch.arange(len(supply)).repeat_interleave(torch.as_tensor(supply))[order[:request]]
    count, labels = (request, None) if isinstance(request, int) else (len(request), request)
    return checked_sample(source, count, labels, seed).cpu()


def training_record(source: Any) -> Mapping[str, Any]:
    """The record of the source's training; empty if it has none."""
    record = getattr(source, "training", None)
    return record if isinstance(record, Mapping) else {}


def learned_from(source: Any, data: Samples) -> bool:
    """Whether the source's record says that it, or its refiner, was trained on these images, with or without labels."""
    record = training_record(source)
    return _is_of(record, data) or _is_of(record.get("refiner"), data)


def _is_of(record: Any, data: Samples) -> bool:
    """Whether this is the record of a training on these images, with or without their labels."""
    if not isinstance(record, Mapping):
        return False
    unlabelled = record.get("unlabelled")
    hashes = {record.get("data_sha256"), record.get("labelled_sha256")}
    if isinstance(unlabelled, Mapping):
        hashes.add(unlabelled.get("sha256"))
    return bool(hashes & {fingerprint(data), fingerprint(replace(data, labels=None))})


def training_set_mismatch(source: Source, real: Samples) -> str | None:
    """Why copying can't be measured, if the source's record says that it was trained on other images than ``real``."""
    recorded = training_record(source).get("data_sha256")
    if recorded is None or recorded in (fingerprint(real), fingerprint(replace(real, labels=None))):
        return None
    return (
        f"the generator's record says that it was trained on other {real.spec.sample.noun} than these, so copies would "
        "not be found. "
        "Pass its training set (--data, --labels-per-class, --training-seed and --image-size as in training)"
    )
