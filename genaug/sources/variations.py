"""``genaug.variations``: the user's own samples, varied by an encoder and decoder or by an image-to-image model."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from genaug.backends.spec import Spec
from genaug.data.apportion import Ints
from genaug.data.classes import class_index, class_label, match_classes
from genaug.data.reading import Samples, fingerprint, read_samples
from genaug.errors import InputError
from genaug.randomness import category_rows, derive_seed, uniform_rows
from genaug.sources import arguments
from genaug.sources.drawing import draw_without_repeats
from genaug.sources.export import identity_of
from genaug.sources.generator import Generator
from genaug.sources.translating import Translating
from genaug.sources.varying import check_strength

_STRENGTH = 0.5
_ENDLESS = 2**31 - 1  # the supply of a class that has an unlimited one, if other classes have none
_EXPECTED = "Expected a generator with an encoder, or an object with vary(samples, labels=None, *, strength, seed)."


def variations(
    editor: Any,
    dataset: Any,
    strength: float = _STRENGTH,
    to: str | int | None = None,
    *,
    image_size: int | None = None,
) -> "Variations":
    """A source of variations of a dataset's own samples.

    A sample of a class is a sample of that class from ``dataset``, varied by ``editor``; all of them are used before
    one is used again.

    Args:
        editor: A ``Generator`` whose backend has an encoder, or any object with ``vary(samples, labels=None, *,
            strength, seed)`` that returns raw samples, such as an image-to-image model. Optionally it has ``spec``,
            which describes the samples that it returns (it may take those of another size), and
            ``check_vary(samples, strength)``, which raises ``InputError`` for a modality and a strength that ``vary``
            would reject. Or a ``Generator`` that translates, such as one of ``pix2pix`` or ``cyclegan``: the samples
            are then translated into another domain and keep their labels.
        dataset: A map-style dataset of samples that fit the editor, with labels or without. Classes are matched with
            the editor's by name if both have names, else by number.
        strength: How far samples are varied, in [0, 1]: 0 gives reconstructions and 1 new samples. A
            translator takes none.
        to: A class, by number or name. The source then has samples of this class only: the dataset's samples of all
            other classes, translated into it. For a translator, the domain to translate into, by name; by default the
            second of its ``domains``. If that is the name of one of the dataset's classes, the source has samples of
            this class only, from the class with the name of the other domain, or from all others.
        image_size: Resizes the shorter side to this and crops the center.

    ``supply`` is None, since a sample has endless variations; at ``strength`` 0, and for translators without latents,
    it is the number of samples of each class, and 0 for a class without any. Raises ``InputError`` for an editor that
    can't vary, samples or classes that don't fit, a domain that a translator doesn't know, and a strength outside
    [0, 1] or one that the editor rejects.
    """
    if isinstance(editor, Generator) and editor.spec.conditions:
        return _translations(editor, dataset, strength, to, image_size)
    strength = check_strength(strength)
    arguments.check_method("the editor", editor, "vary", _EXPECTED, {"strength": 0.5, "seed": 0})
    spec = getattr(editor, "spec", None)
    kinds = () if spec is None else (spec.sample.kind,)
    data = read_samples(dataset, image_size, needs_labels=False, kinds=kinds)
    if hasattr(editor, "check_vary"):
        editor.check_vary(data.spec.sample, strength)
    return Variations(editor, data, strength, to)


def _translations(
    generator: Generator, dataset: Any, strength: float, to: str | int | None, image_size: int | None
) -> "Variations":
    """A source of a dataset's samples in another domain."""
    if strength != _STRENGTH:
        raise InputError("strength is for variations by an encoder, and a translator has none: leave it out.")
    translator = Translating(generator, None if to is None else str(to))
    data = read_samples(dataset, image_size, needs_labels=False)
    translator.check_vary(data.spec.sample, translator.strength)
    data, target = translator.class_to(data)
    return Variations(translator, data, translator.strength, target)


class Variations:
    """The source that ``genaug.variations`` returns: ``spec`` has the editor's samples and the dataset's classes."""

    def __init__(self, editor: Any, data: Samples, strength: float, to: str | int | None) -> None:
        self.editor, self.strength = editor, strength
        self._data = data
        spec: Spec | None = getattr(editor, "spec", None)
        if data.labels is None and (to is not None or (spec is not None and spec.takes_labels)):
            data.check_labels()
            raise InputError("the dataset has no labels, and they are needed: the editor takes labels, or to= is set.")
        self._spec = Spec(sample=data.spec.sample if spec is None else spec.sample, classes=data.spec.classes)
        classes = self._spec.num_classes
        labels = torch.zeros(len(data.x), dtype=torch.int64, device="cpu") if data.labels is None else data.labels
        self._to = None if to is None else class_index(to, self._spec.class_names, classes, "to=")
        self._rows = [torch.nonzero(labels == label).flatten() for label in range(max(classes, 1))]
        if self._to is not None:
            others = torch.nonzero(labels != self._to).flatten()
            self._rows = [others if label == self._to else others[:0] for label in range(classes)]
            if not len(others):
                raise InputError(f"to= names class {self._name(self._to)}, and the dataset has no other to translate.")
        self._match: Ints | None = None
        if spec is None or spec.takes_labels:
            present = sorted({*labels.unique().tolist(), *([] if self._to is None else [self._to])})
            self._match = np.arange(max(classes, 1), dtype=np.int64)
            if spec is not None:
                self._match = match_classes(present, self._spec.class_names, spec)

    @property
    def spec(self) -> Spec:
        return self._spec

    @property
    def supply(self) -> list[int] | None:
        """The number of distinct samples per class; None if it is unlimited for all."""
        counts = [len(rows) for rows in self._rows]
        if self.strength == 0:
            return counts
        return [_ENDLESS if count else 0 for count in counts] if 0 in counts else None

    @property
    def identity(self) -> dict[str, Any]:
        """What decides the samples: the editor, how far it varies, and the dataset's content."""
        editor = {} if getattr(self.editor, "spec", None) is None else identity_of(self.editor)
        return {"strength": self.strength, "to": self._to, "data_sha256": fingerprint(self._data), "editor": editor}

    @property
    def batch_size(self) -> int:
        """The number of samples that exports ask for at a time: the editor's."""
        return int(getattr(self.editor, "batch_size", 1))

    @property
    def device(self) -> torch.device:
        """The editor's device."""
        return torch.device(getattr(self.editor, "device", "cpu"))

    def to(self, device: str | torch.device) -> "Variations":
        """Move the editor to a device, in place."""
        self.editor.to(device)
        return self

    @property
    def training(self) -> dict[str, Any]:
        """The editor's training record, if it has one, and the number of samples that are varied."""
        record = getattr(self.editor, "training", None)
        return {**(record if isinstance(record, Mapping) else {}), "varied_images": len(self._data.x)}

    def __repr__(self) -> str:
        target = "" if self._to is None else f", to class {self._name(self._to)}"
        return (
            f"Variations({len(self._data.x):,} of {self._spec.sample.describe()}, {self._spec.describe_classes()}, "
            f"strength {self.strength:g}{target}, {self.editor!r})"
        )

    def sample(
        self, n: int | None = None, *, labels: Any = None, seed: int | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Draw ``n`` variations, of uniformly drawn classes, or one for each of ``labels``.

        Returns raw samples (N, ...) and int64 labels (N,), or None for a dataset without labels. Sample i of a seed
        doesn't depend on the number of samples. Raises ``InputError`` for unknown labels and for a class of which
        there is nothing to vary.
        """
        count, labels = arguments.count_and_labels(n, labels)
        seed = arguments.pick_seed(seed)
        if labels is not None:
            arguments.check_known(labels, self._spec)
        counts = np.array([len(rows) for rows in self._rows], dtype=np.int64)
        if labels is None:
            available = torch.from_numpy(np.flatnonzero(counts))
            labels = available[category_rows(len(available), seed, "labels", 0, count)]
        for label in labels.unique().tolist():
            if not counts[label]:
                raise InputError(f"there is nothing to vary for class {self._name(label)}: {self!r} has no sample.")
        draws = uniform_rows(seed, "drawing", 0, count, 1)[:, 0]
        indices = draw_without_repeats(labels.numpy(), counts, draws).tolist()
        pairs = zip(labels.tolist(), indices, strict=True)
        rows = torch.tensor([int(self._rows[label][index]) for label, index in pairs], dtype=torch.int64)
        samples = self._vary(rows, labels, derive_seed(seed, "variations"))
        return samples, labels.to(samples.device) if self._spec.takes_labels else None

    def _vary(self, rows: Tensor, labels: Tensor, seed: int) -> Tensor:
        options: dict[str, Any] = {"strength": self.strength, "seed": seed}
        passed = None
        if self._match is not None and self._spec.takes_labels:
            match = torch.from_numpy(self._match)
            passed = match[labels]
            if self._to is not None and isinstance(self.editor, Generator):
                assert self._data.labels is not None
                options["own_labels"] = match[self._data.labels[rows]]
        samples = self.editor.vary(self._data.x[rows], passed, **options)
        return self._spec.sample.check(samples, len(rows), f"{type(self.editor).__name__}.vary returned")

    def _name(self, label: int) -> str:
        return class_label(label, self._spec.class_names)
