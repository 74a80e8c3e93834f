"""Reading a dataset once into memory: raw samples and int64 labels."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from os import PathLike
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Subset

from genaug.backends.spec import MAX_CLASSES, MAX_NAME, Classes, Condition, Spec
from genaug.checks import SIDE, as_whole
from genaug.data.classes import class_names, same_form
from genaug.data.domains import SOURCE, Unpaired, domains_of
from genaug.data.item_reader import ItemReader, fields_of
from genaug.data.items import parts_of
from genaug.data.labels import as_labels, check_carried, known_labels
from genaug.data.state import state_kept
from genaug.device import torch_defaults
from genaug.errors import InputError
from genaug.escaping import escaped
from genaug.modalities.base import Modality
from genaug.modalities.series_values import lengths_of

_REPORT_EVERY = 100


@dataclass(frozen=True)
class Samples:
    """A dataset in memory: raw samples ``x`` (N, ...), int64 labels (N,) or None, and their spec, without latents.

    Images are uint8 (N, C, H, W). ``conditions`` are raw samples (N, ...) by name. ``label_problem`` is the reason why
    the items' labels can't be used, if they can't and ``read_samples`` didn't need them. ``remarks`` are sentences on
    what is worth checking, if the dataset hasn't warned of it before. If ``unpaired``, the samples of the condition are
    another set, of any length, and the labels are theirs. ``sha256`` is the fingerprint of samples that are mapped
    from a file. ``targets`` are labels among the spec's ``recognized`` classes, int64 (N,), -1 for a sample without
    one, or None.
    """

    x: Tensor
    labels: Tensor | None
    spec: Spec
    label_problem: InputError | None = None
    conditions: Mapping[str, Tensor] = field(default_factory=dict)
    remarks: Sequence[str] = ()
    unpaired: bool = False
    sha256: str | None = None
    targets: Tensor | None = None

    @property
    def is_mapped(self) -> bool:
        """Whether the samples are mapped from a file, so that they take no memory."""
        return self.sha256 is not None

    def check_labels(self) -> None:
        """Raises ``label_problem``, if there is one."""
        if self.label_problem is not None:
            raise self.label_problem


def read_samples(
    dataset: Any,
    image_size: int | None = None,
    on_items: Callable[[int], None] | None = None,
    *,
    what: str = "the dataset",
    needs_labels: bool = True,
    unlabelled: bool = False,
    ignore_labels: bool = False,
    conditions: Sequence[str] = (),
    kinds: Sequence[str] = (),
    join_domains: bool = False,
) -> Samples:
    """Read ``dataset[i]`` for every i: a sample, alone or followed by an integer label.

    Images are PIL, uint8 or float in [0, 1]; ``image_size`` resizes the shorter side and crops the center. If
    ``conditions`` names any, an item's third field is a mapping that holds these: further samples that belong to it.
    All other fields are ignored. Random transforms are applied once. ``on_items(k)`` is called after every k items.
    ``what`` is the dataset's name in messages. ``kinds`` are the kinds of samples that are expected, which decide
    whether a matrix is an image or a series of several channels; by default it is an image.
    Unless ``needs_labels``, labels that can't be used are left out, with the reason as ``label_problem``; if
    ``unlabelled``, labels may be -1. If ``ignore_labels``, whatever follows the sample is left alone, and the samples
    have no labels.
    An ``Unpaired`` dataset is read as the samples of its domain ``b``, with those of ``a`` as the condition; if
    ``join_domains``, as the samples of both, whose classes are the domains, and with labels of ``a``, which may be -1,
    as ``targets``.
    A dataset with a method ``read_rows(rows, ignore_labels=)`` that returns ``Samples``, such as a ``TableDataset``, or
    a ``Subset`` of one, is read by that: ``rows`` are indices, or None for all.

    Raises ``InputError`` for an empty dataset, sizes that vary without ``image_size``, normalized floats, an item that
    raises (naming its index, and its file if it is known), labels that aren't integers, and labels that
    aren't those of the dataset's ``.targets``.
    """
    if isinstance(dataset, Unpaired):
        unlabelled = unlabelled or join_domains
        labels_of_a = {"needs_labels": needs_labels, "unlabelled": unlabelled, "ignore_labels": ignore_labels}
        if join_domains:
            return _joined(_read_unpaired(dataset, image_size, on_items, what, (SOURCE,), labels_of_a))
        return _read_unpaired(dataset, image_size, on_items, what, conditions, labels_of_a)
    check_kind(dataset)
    if image_size is not None:
        image_size = as_whole(image_size, "image_size", 1, SIDE)
    if len(dataset) == 0:
        raise InputError(f"{what} is empty: expected at least one item.")
    rows = _rows_of(dataset)
    if rows is not None:
        if image_size is not None or conditions:
            unfit = "image_size= (--image-size)" if image_size is not None else "conditions"
            raise InputError(f"{what} is {rows[0].noun}, which has no images: {unfit} can't be used with it.")
        samples: Samples = rows[0].read_rows(rows[1], ignore_labels=ignore_labels)
        return samples
    with state_kept(dataset):
        stores, carried = _read_items(dataset, image_size, on_items, what, conditions, ignore_labels, kinds)
    modality, x = stores.pop("")
    domains = domains_of(dataset)
    named = tuple(Condition(name=name, sample=each, domains=domains) for name, (each, _) in stores.items())
    try:
        spec = Spec(sample=modality.fitted(x), conditions=named)
    except InputError as error:
        raise InputError(f"{what}: {error}") from error
    remarks = modality.remarks(x)
    others = {name: samples for name, (_, samples) in stores.items()}
    samples = Samples(x, None, spec, None, others, remarks)
    return with_labels_of(dataset, samples, carried, what, needs_labels=needs_labels, unlabelled=unlabelled)


def with_labels_of(
    dataset: Any, samples: Samples, carried: list[Any], what: str, *, needs_labels: bool, unlabelled: bool
) -> Samples:
    """The samples of a dataset with the labels that its items ``carried`` (None without); see ``read_samples``."""
    try:
        with torch_defaults():
            labels, classes = _labels(dataset, carried, what, unlabelled)
    except InputError as error:
        if needs_labels:
            raise
        return replace(samples, label_problem=error)
    return replace(samples, labels=labels, spec=samples.spec.model_copy(update={"classes": classes}))


def _read_unpaired(
    dataset: Unpaired,
    image_size: int | None,
    on_items: Callable[[int], None] | None,
    what: str,
    conditions: Sequence[str],
    labels_of_a: Mapping[str, Any],
) -> Samples:
    """The samples of domain b, with those of domain a as the condition, and the labels of a."""
    if len(conditions) != 1:
        raise InputError(
            f"{what} has two domains ({', '.join(map(repr, dataset.domains))}), which only a backend that translates "
            "between them has a use for. Pass one of the two."
        )
    one, other = (f"domain {escaped(name)!r}" for name in dataset.domains)
    a = read_samples(dataset.a, image_size, on_items, what=one, **labels_of_a)
    b = read_samples(dataset.b, image_size, on_items, what=other, ignore_labels=True)
    condition = Condition(name=conditions[0], sample=a.spec.sample, domains=dataset.domains)
    spec = Spec(sample=b.spec.sample, classes=a.spec.classes, conditions=(condition,))
    return Samples(b.x, a.labels, spec, a.label_problem, {condition.name: a.x}, unpaired=True)


def _joined(data: Samples) -> Samples:
    """The samples of both domains of unpaired data, those of a first: the domain is the class, and the labels of a are
    the targets."""
    condition, a = data.spec.conditions[0], data.conditions[SOURCE]
    if not condition.sample.fits(data.spec.sample):
        one, other = condition.domains
        raise InputError(
            f"samples of both domains must have the same form: {one!r} has {condition.sample.describe()}, {other!r} "
            f"{data.spec.sample.describe()}. Convert one of them with a transform, or pass image_size= (--image-size)."
        )
    labels = (torch.arange(len(a) + len(data.x)) >= len(a)).long()
    targets = None
    if data.labels is not None and data.spec.classes is not None:
        targets = torch.cat([data.labels, torch.full((len(data.x),), -1)])
    spec = Spec(sample=data.spec.sample, classes=condition.domains, recognized=data.spec.classes)
    return Samples(torch.cat([a, data.x]), labels, spec, data.label_problem, targets=targets)


def _read_items(
    dataset: Any,
    image_size: int | None,
    on_items: Callable[[int], None] | None,
    what: str,
    conditions: Sequence[str],
    ignore_labels: bool,
    kinds: Sequence[str],
) -> tuple[dict[str, tuple[Modality, Tensor]], list[Any]]:
    """The samples (under "") and the conditions by name, with their modalities, and the labels of the items, None
    without."""
    count = len(dataset)
    readers: dict[str, ItemReader] = {}
    stores: dict[str, Tensor] = {}
    carried: list[Any] = []
    for index in range(count):
        fields, where = fields_of(dataset, index, what)
        values = {"": fields[0]}
        for name in conditions:
            if len(fields) < 3 or not isinstance(fields[2], Mapping) or name not in fields[2]:
                raise InputError(
                    f"{where} lacks the condition {name!r}, which the backend needs with every sample. Expected "
                    f"(sample, label, {{{name!r}: sample}}), as from genaug.data.Pairs(a, b) (--to); the label may be "
                    "None."
                )
            values[name] = fields[2][name]
        for name, value in values.items():
            if name not in readers:
                readers[name] = ItemReader(value, image_size, where, kinds)
                stores[name] = _allocated(readers[name].modality, count)
            stores[name][index] = readers[name].read(value, where)
        carried.append(fields[1] if len(fields) > 1 and not ignore_labels else None)
        if on_items is not None and ((index + 1) % _REPORT_EVERY == 0 or index + 1 == count):
            on_items(index % _REPORT_EVERY + 1)
    return {name: (readers[name].modality, samples) for name, samples in stores.items()}, carried


def _allocated(modality: Modality, count: int) -> Tensor:
    """Memory for ``count`` raw samples."""
    try:
        return torch.empty((count, *modality.shape), dtype=modality.dtype, device="cpu")
    except RuntimeError as error:
        needed = count * modality.nbytes / 2**30
        raise InputError(
            f"{count:,} {modality.noun} need {needed:.1f} GiB of memory. Take fewer or smaller ones (image_size=, "
            "--image-size), or train with cache= (--cache), which reads images from a folder."
        ) from error


def _rows_of(dataset: Any) -> tuple[Any, list[int] | None] | None:
    """A dataset that reads its rows itself, and the indices of those that are selected; None for any other dataset."""
    rows: list[int] | None = None
    while isinstance(dataset, Subset):
        indices = [int(index) for index in dataset.indices]
        rows, dataset = indices if rows is None else [indices[row] for row in rows], dataset.dataset
    if hasattr(dataset, "read_rows"):
        return dataset, rows
    for part in parts_of(dataset):
        if (inner := _rows_of(part)) is not None:
            raise InputError(f"{inner[0].noun} can't be joined with others as datasets. {inner[0].joining}")
    return None


def rows_dataset(dataset: Any) -> Any:
    """A dataset that reads its rows itself, such as a ``TableDataset``, restricted to those that a ``Subset`` selects;
    None for any other dataset."""
    rows = _rows_of(dataset)
    return rows if rows is None else rows[0] if rows[1] is None else rows[0].take(rows[1])


def check_kind(dataset: Any) -> None:
    """Raises ``InputError`` for what isn't a map-style dataset."""
    expected = "expected a map-style dataset (with len() and indices)"
    if hasattr(dataset, "columns") or isinstance(dataset, Mapping):
        raise InputError(
            f"{expected}, got a table ({type(dataset).__name__}). Pass genaug.data.TableDataset(table, target=COLUMN)."
        )
    is_pair = isinstance(dataset, (tuple, list)) and len(dataset) == 2
    if is_pair and getattr(dataset[0], "ndim", 0) > 1 and getattr(dataset[1], "ndim", 0) == 1:
        raise InputError(
            f"{expected}, got a pair of an array and its labels. Pass torch.utils.data.TensorDataset(x, y) or, for "
            "series, genaug.data.SeriesDataset(x, y)."
        )
    if isinstance(dataset, (str, PathLike)):
        name = str(dataset)
        known = name == "digits" or name.startswith(("folder:", "series:", "table:", "torchvision:"))
        remedy = f"genaug.data.datasets.load_data({name if known else f'folder:{name}'!r}) reads it"
        raise InputError(f"{expected}, got {name!r}. {remedy}: pass its result.")
    if isinstance(dataset, DataLoader):
        raise InputError(f"{expected}, got a DataLoader. Pass its .dataset, without random transforms.")
    if not hasattr(dataset, "__len__") or not hasattr(dataset, "__getitem__"):
        raise InputError(f"{expected}, got {type(dataset).__name__}.")


def _labels(dataset: Any, carried: list[Any], what: str, unlabelled: bool) -> tuple[Tensor | None, Classes | None]:
    """The labels of the items, from those that they ``carried`` (None without), and the classes."""
    if all(label is None for label in carried):
        return None, None
    labels = as_labels(carried, f"{what}'s labels", least=-1 if unlabelled else 0)
    check_carried(labels, known_labels(dataset), what)
    names = class_names(dataset, labels)
    count = int(labels.max()) + 1
    if names is not None and len(names) >= count:
        count = len(names)
    if count > MAX_CLASSES:
        raise InputError(
            f"the labels go up to {count - 1}; at most {MAX_CLASSES:,} classes are possible. Number them from 0."
        )
    if names is not None and (len(set(map(same_form, names))) != count or max(map(len, names)) > MAX_NAME):
        names = None  # they don't distinguish the classes
    return labels, Classes(count=count, names=names) if count else None


def fingerprint(data: Samples) -> str:
    """The sha256 of all samples, labels, conditions and targets: ``data_sha256`` in the record of a run."""
    if data.sha256 is not None:
        return data.sha256
    digest = hashlib.sha256(data.spec.sample.identity)
    digest.update(data.x.numpy().data)
    for values in [data.labels, *data.conditions.values(), data.targets]:
        if values is not None:
            digest.update(values.numpy().data)
    return digest.hexdigest()


def sample_digests(x: Tensor) -> list[bytes]:
    """A hash of each raw sample; of a series, which is float32, without the padding after its end."""
    ends = lengths_of(x).tolist() if x.is_floating_point() else [None] * len(x)
    samples = [sample[..., :end] for sample, end in zip(x.numpy(), ends, strict=True)]
    return [hashlib.blake2b(str(s.shape).encode() + s.tobytes(), digest_size=16).digest() for s in samples]


def shared_samples(one: Tensor, other: Tensor) -> list[tuple[int, int]]:
    """Identical raw samples of two sets: the index of each such sample in ``one`` and in ``other``."""
    indices = {digest: index for index, digest in enumerate(sample_digests(other))}
    return [(index, indices[digest]) for index, digest in enumerate(sample_digests(one)) if digest in indices]
