"""What an evaluation compares: real images, held-out ones, and as many generated ones with the same labels."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from genaug.data.classes import match_classes, renumbered
from genaug.data.reading import Samples, fingerprint, read_samples, shared_samples
from genaug.errors import InputError
from genaug.randomness import derive_seed
from genaug.sources.export import sample_parts
from genaug.sources.source import Source, check_supply, checked_sample, distinct_labels, supply_of

FEWEST_SAMPLES, MOST_SAMPLES = 200, 10_000
_MOST_SHARED = 0.01  # of the held-out images; large data sets hold a few images twice


@dataclass(frozen=True)
class Subject:
    """``rows`` of the real images stand against ``fake``, which were asked for with ``labels``.

    ``labels`` are in the real set's numbering, int64, or None where either side has none; ``match`` is the source's
    class for each of the real set's.
    """

    source: Source
    real: Samples
    held_out: Samples | None
    rows: Tensor
    fake: Tensor
    labels: Tensor | None
    match: Tensor

    @property
    def real_labels(self) -> Tensor:
        """Labels of the real images that stand against the generated ones; zeros where classes can't be told."""
        if self.labels is None or self.real.labels is None:
            return torch.zeros(len(self.rows), dtype=torch.int64)
        return self.real.labels[self.rows]

    @property
    def fake_labels(self) -> Tensor:
        """The generated images' labels; zeros where classes can't be told."""
        return torch.zeros(len(self.fake), dtype=torch.int64) if self.labels is None else self.labels

    @property
    def classes(self) -> dict[int, str]:
        """Names (else numbers) of the classes that were generated, by label; none where classes can't be told."""
        if self.labels is None:
            return {}
        names = self.real.spec.class_names
        return {c: names[c] if names is not None else str(c) for c in self.labels.unique().tolist()}

    def parts(self) -> Iterator[tuple[str | None, Tensor, Tensor]]:
        """Which of ``rows`` and which generated images, int64, are compared: all (None), then those of each class."""
        yield None, torch.arange(len(self.rows)), torch.arange(len(self.fake))
        for label, name in self.classes.items():
            real, fake = (torch.nonzero(side == label)[:, 0] for side in (self.real_labels, self.fake_labels))
            yield name, real, fake

    def generate(self, labels: Tensor, seed: int) -> tuple[Tensor, Tensor]:
        """Other images of the source, uint8, and their labels in the real set's numbering: one for each of these, of a
        pool no more than it holds."""
        labels = distinct_labels(self.source, labels, self.match)
        return generate(self.source, self.match[labels], seed), labels


def read_split(source: Source, real_set: Any, held_out: Any, image_size: int | None) -> tuple[Samples, Samples | None]:
    """Both sides of the split in memory, uint8.

    Raises ``InputError`` for images that aren't of the source's shape, classes that differ, and held-out images (more
    than 1 % of them) that are training images.
    """
    real = _read(source, real_set, image_size, "real_set")
    if held_out is None:
        return real, None
    unseen = _read(source, held_out, image_size, "held_out")
    if unseen.labels is not None and unseen.spec.class_names is not None and real.spec.class_names is not None:
        labels = renumbered(unseen.labels, unseen.spec.class_names, real.spec.class_names, "held_out")
        spec = unseen.spec.model_copy(update={"classes": real.spec.classes})
        unseen = replace(unseen, labels=labels, spec=spec)
    shared = len(shared_samples(unseen.x, real.x))
    if shared > _MOST_SHARED * len(unseen.x):
        raise InputError(
            f"{shared:,} of the {len(unseen.x):,} held-out images are in real_set too, pixel for pixel: they say "
            "nothing about copying. Pass a test set, or leave held_out out."
        )
    return real, unseen


def _read(source: Source, dataset: Any, image_size: int | None, name: str) -> Samples:
    found = read_samples(dataset, image_size, what=name, needs_labels=source.spec.takes_labels)
    if found.spec.shape != source.spec.shape:
        made, given = ("x".join(map(str, spec.shape)) for spec in (source.spec, found.spec))
        channels, height, width = source.spec.shape
        alike = height == width and channels == found.spec.shape[0]
        remedy = f"Pass image_size={height} (--image-size)." if alike else "Make them alike with a transform."
        raise InputError(f"the source makes images of {made} (channels first), {name} has {given}. {remedy}")
    return found


def new_subject(source: Source, real: Samples, held_out: Samples | None, n: int | None, seed: int) -> Subject:
    """Generate ``n`` images (by default as many as there are real ones, 200 to 10,000), labelled as real ones are.

    Of a pool each image is taken once, so by default they are no more than it holds. Raises ``InputError`` for classes
    of the real set that the source doesn't know, and a pool that holds too few.
    """
    count = len(real.x)
    wanted = min(max(count, FEWEST_SAMPLES), MOST_SAMPLES) if n is None else n
    order = torch.randperm(count, generator=torch.Generator().manual_seed(derive_seed(seed, "real")))
    labels, match = None, torch.empty(0, dtype=torch.int64)
    if source.spec.takes_labels and real.labels is not None:
        present = real.labels.unique()
        match = torch.from_numpy(match_classes(present.tolist(), real.spec.class_names, source.spec))
        check_supply(source, match[present].tolist())
        labels = real.labels[order[torch.arange(wanted) % count]]
    supply = supply_of(source)
    if supply is not None:
        labels = None if labels is None else distinct_labels(source, labels, match)
        held = min(wanted, sum(supply)) if labels is None else len(labels)
        if held < (FEWEST_SAMPLES if n is None else n):
            remedy = f"n= of {FEWEST_SAMPLES} to {held} or a larger pool" if held >= FEWEST_SAMPLES else "a larger pool"
            shares = "" if labels is None else " with the real set's class shares"
            raise InputError(
                f"the pool of {sum(supply):,} images is enough for {held:,}{shares}, and {n or FEWEST_SAMPLES:,} are "
                f"needed. Pass {remedy}."
            )
        wanted = held
    fake = generate(source, wanted if labels is None else match[labels], derive_seed(seed, "compared"))
    return Subject(source, real, held_out, order[:wanted], fake, labels, match)


def generate(source: Source, wanted: int | Tensor, seed: int) -> Tensor:
    supply = supply_of(source)
    if supply is None:
        return torch.cat([images for images, _ in sample_parts(source, wanted, seed)])
    if isinstance(wanted, int) and source.spec.takes_labels:  # as they are, not of all classes alike
        order = torch.randperm(sum(supply), generator=torch.Generator().manual_seed(derive_seed(seed, "pool")))
        wanted = torch.arange(len(supply)).repeat_interleave(torch.as_tensor(supply))[order[:wanted]]
    count, labels = (wanted, None) if isinstance(wanted, int) else (len(wanted), wanted)
    return checked_sample(source, count, labels, seed).cpu()  # at once: no image comes twice in one call


def not_what_it_saw(source: Source, real: Samples) -> str | None:
    """Why copies can't be looked for: the source's record says that it was trained on other images than these."""
    record = getattr(source, "training", None)
    saw = record.get("data_sha256") if isinstance(record, Mapping) else None
    if saw is None or saw in (fingerprint(real), fingerprint(replace(real, labels=None))):
        return None
    return (
        "the generator's record says that it was trained on other images than these, so copies would not be found. "
        "Pass what it was trained on (--data, --labels-per-class, --training-seed and --image-size as in training)"
    )
