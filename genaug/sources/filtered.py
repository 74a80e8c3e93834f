"""``genaug.filtered``: only the samples of a source that pass some filters."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from genaug.backends.spec import Spec
from genaug.checks import as_whole
from genaug.data.classes import class_label
from genaug.data.reading import Samples, read_samples
from genaug.device import torch_defaults
from genaug.errors import InputError
from genaug.randomness import category_rows, derive_seed
from genaug.sources import arguments
from genaug.sources.export import identity_of
from genaug.sources.filters import (
    Agreement,
    DiscriminatorRejection,
    Filter,
    MinScore,
    NoCopies,
    check_finite,
    check_share,
    scorer_of,
)
from genaug.sources.pool import SamplePool
from genaug.sources.source import Source, check_source, checked_sample, image_shape, supply_of

MAX_TRIES = 1_000
_STORED = 2**24  # a supply below this is that of stored samples
_CANDIDATES = 4_096


@torch_defaults()
def filtered(
    source: Source,
    *,
    agree: Any = None,
    min_confidence: float | None = None,
    min_score: float | None = None,
    discriminator_rejection: bool = False,
    no_copies_of: Any = None,
    max_tries: int = MAX_TRIES,
) -> "Filtered":
    """A source of those samples of another one that pass all of the filters.

    A rejected sample is replaced by another one of the same class, so that a class costs in proportion to its own
    acceptance rate only.

    Args:
        source: A source of images, with labels or without.
        agree: A classifier. Samples pass if it assigns them to their class: a torch module or a function from floats in
            [0, 1] (N, ``*shape``) to logits (N, classes) in the order of the source's classes, or a ``Generator`` that
            classifies, whose classes are matched as in a blend. Use one that was trained on real samples.
        min_confidence: The classifier's least probability of its prediction, in (0, 1]. Needs ``agree``; for a source
            without labels it is all that counts.
        min_score: The least score that the source's discriminator gives, for generators that keep one
            (``Generator.score``).
        discriminator_rejection: Rejection sampling with that discriminator (Azadi et al. 2019, sections 3.1 and 3.2):
            a sample passes with a probability that grows with its score.
        no_copies_of: A map-style dataset of samples of the same size, usually the training set. Samples that are
            identical to one of it, or nearer to one than its own are to each other in all but 0.1% of cases, don't
            pass.
        max_tries: The number of candidates for one sample after which sampling ends with an error.

    The result's ``report`` counts, per class, the candidates so far, those that passed, and those that each filter
    rejected. A source with stored samples, such as a ``SamplePool``, is filtered once, now, and ``supply`` counts those
    that passed. For any other source, sample i of a seed doesn't depend on the number of samples.

    Raises ``InputError`` for no filter, for filters that contradict each other or don't fit the source, and for stored
    samples of a class of which none passes.
    """
    spec = check_source(source)
    image_shape(spec, "filtered")
    max_tries = as_whole(max_tries, "max_tries", 1)
    filters: list[Filter] = []
    if min_confidence is not None:
        min_confidence = check_share(min_confidence, "min_confidence")
        if agree is None:
            raise InputError("min_confidence= needs a classifier: pass it as agree=.")
    if agree is not None:
        if min_confidence is None and not spec.takes_labels:
            raise InputError(
                "agree= compares labels, and this source has none. Pass min_confidence= too, to keep samples of which "
                "the classifier is confident, or label the samples with genaug.with_labels."
            )
        filters.append(Agreement(agree, min_confidence or 0.0, spec))
    if min_score is not None:
        filters.append(MinScore(scorer_of(source, "min_score"), check_finite(min_score, "min_score")))
    if discriminator_rejection:
        filters.append(DiscriminatorRejection(scorer_of(source, "discriminator_rejection"), source))
    if no_copies_of is not None:
        filters.append(NoCopies(read_samples(no_copies_of, None, needs_labels=False, what="no_copies_of="), spec))
    if not filters:
        raise InputError("filtered needs a filter: agree=, min_score=, discriminator_rejection=True or no_copies_of=.")
    return Filtered(source, filters, max_tries)


@dataclass(frozen=True)
class FilterReport:
    """What filters have done so far, per class (one entry for a source without labels).

    Attributes:
        classes: the names or numbers of the classes.
        candidates: the number of samples that were judged.
        accepted: the number that passed.
        rejected: by filter, the number that it rejected; the filters judge in this order, each what the one before
            let pass.
    """

    classes: tuple[str, ...]
    candidates: tuple[int, ...]
    accepted: tuple[int, ...]
    rejected: dict[str, tuple[int, ...]]

    @property
    def acceptance_rate(self) -> float | None:
        """The share of all candidates that passed; None without any."""
        return sum(self.accepted) / sum(self.candidates) if sum(self.candidates) else None

    @property
    def acceptance_per_class(self) -> tuple[float | None, ...]:
        """The share of the candidates of each class that passed; None for a class without any."""
        pairs = zip(self.accepted, self.candidates, strict=True)
        return tuple(accepted / count if count else None for accepted, count in pairs)

    def __str__(self) -> str:
        width = max(len("class"), *map(len, self.classes))
        heads = [f"rejected by {name}" for name in self.rejected]
        lines = ["  ".join([f"{'class':<{width}}", "candidates", "accepted", *heads])]
        for row, name in enumerate(self.classes):
            rate = self.acceptance_per_class[row]
            counts = [counts[row] for counts in self.rejected.values()]
            cells = [f"{name:<{width}}", f"{self.candidates[row]:>10,}", f"{'–' if rate is None else f'{rate:.1%}':>8}"]
            cells += [f"{count:>{len(head)},}" for head, count in zip(heads, counts, strict=True)]
            lines.append("  ".join(cells))
        return "\n".join(lines)


class Filtered:
    """The source that ``genaug.filtered`` returns."""

    def __init__(self, source: Source, filters: Sequence[Filter], max_tries: int) -> None:
        self.inner: Any = source
        self._filters, self._max_tries = filters, max_tries
        rows = max(source.spec.num_classes, 1)
        self._candidates, self._accepted = torch.zeros(2, rows, dtype=torch.int64, device="cpu")
        self._rejected = {f.name: torch.zeros(rows, dtype=torch.int64, device="cpu") for f in filters}
        supply = supply_of(source)
        self._pool = None if supply is None or max(supply) > _STORED else self._stored(supply)

    @property
    def spec(self) -> Spec:
        spec: Spec = self.inner.spec
        return spec

    @property
    def supply(self) -> list[int] | None:
        """The number of distinct samples of each class that pass; None if it is unlimited."""
        return supply_of(self.inner) if self._pool is None else self._pool.supply

    @property
    def report(self) -> FilterReport:
        """The candidates so far, and what became of them."""
        names, classes = self.spec.class_names, self.spec.num_classes
        return FilterReport(
            tuple(class_label(label, names) for label in range(classes)) or ("all",),
            tuple(self._candidates.tolist()),
            tuple(self._accepted.tolist()),
            {name: tuple(counts.tolist()) for name, counts in self._rejected.items()},
        )

    @property
    def identity(self) -> dict[str, Any]:
        """What decides the samples: the filters, and the source."""
        return {"filters": [f.identity for f in self._filters], "source": identity_of(self.inner)}

    @property
    def options(self) -> dict[str, Any]:
        """The arguments of ``genaug.filtered``; ``no_copies_of`` as the samples that it was read as."""
        options: dict[str, Any] = {}
        for each in self._filters:
            if isinstance(each, Agreement):
                options["agree"] = each.classifier
                options |= {"min_confidence": each.min_confidence} if each.min_confidence else {}
            elif isinstance(each, MinScore):
                options["min_score"] = each.minimum
            elif isinstance(each, DiscriminatorRejection):
                options["discriminator_rejection"] = True
            elif isinstance(each, NoCopies):
                options["no_copies_of"] = each.data
        return {**options, "max_tries": self._max_tries}

    @property
    def classifiers(self) -> list[Any]:
        """The classifiers that its filters use."""
        return [f.classifier for f in self._filters if isinstance(f, Agreement)]

    @property
    def batch_size(self) -> int:
        """The number of samples that exports ask for at a time: the source's."""
        return int(getattr(self.inner, "batch_size", 1))

    @property
    def device(self) -> torch.device:
        """The source's device."""
        return torch.device(getattr(self.inner, "device", "cpu"))

    def to(self, device: str | torch.device) -> "Filtered":
        """Move the source to a device, in place. The classifier stays where it is."""
        if not callable(getattr(self.inner, "to", None)):
            raise InputError(f"a {type(self.inner).__name__} can't be moved to a device.")
        self.inner.to(device)
        return self

    @property
    def training(self) -> Any:
        """The source's record of its training, or None."""
        return getattr(self.inner, "training", None)

    def __repr__(self) -> str:
        rate = self.report.acceptance_rate
        share = "" if rate is None else f", {rate:.1%} accepted"
        return f"Filtered({self.inner!r}, by {', '.join(f.name for f in self._filters)}{share})"

    @torch_defaults()
    def sample(
        self, n: int | None = None, *, labels: Any = None, seed: int | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Draw ``n`` samples, of uniformly drawn classes, or one for each of ``labels``.

        Returns raw samples (N, ...) and int64 labels (N,), or None for a source without labels. Raises ``InputError``
        for unknown labels, and with the acceptance rates if no candidate for a sample passes.
        """
        if self._pool is not None:
            return self._pool.sample(n, labels=labels, seed=seed)
        count, labels = arguments.count_and_labels(n, labels)
        seed = arguments.pick_seed(seed)
        if labels is not None:
            arguments.check_known(labels, self.spec)
        elif self.spec.takes_labels:
            labels = category_rows(self.spec.num_classes, seed, "labels", 0, count)
        samples = self._draw(count, labels, seed)
        return samples, None if labels is None else labels.to(samples.device)

    def _draw(self, count: int, labels: Tensor | None, seed: int) -> Tensor:
        """Candidates of all samples that are missing, more for each in every round; the first that pass are taken."""
        samples = torch.empty((count, *self.spec.shape), dtype=self.spec.sample.dtype, device=self.device)
        missing, tries, tried, share = torch.arange(count, device="cpu"), 0, self._candidates.clone(), 1
        while len(missing):
            share = min(share, self._max_tries - tries)
            remaining = []
            step = max(1, _CANDIDATES // share)
            for start in range(0, len(missing), step):
                rows = missing[start : start + step]
                repeated = None if labels is None else labels[rows].repeat_interleave(share)
                part = derive_seed(seed, "candidates", tries, start // step)
                candidates = checked_sample(self.inner, len(rows) * share, repeated, part)
                passed = self._judge(candidates, repeated, part).reshape(len(rows), share)
                hits = passed.any(1)
                first = passed.int().argmax(1) + torch.arange(len(rows), device="cpu") * share
                samples[rows[hits].to(samples.device)] = candidates[first[hits].to(candidates.device)]
                remaining.append(rows[~hits])
            missing, tries, share = torch.cat(remaining), tries + share, 2 * share
            self._check_starvation(missing, tries, labels, tried)
        return samples

    def _judge(self, samples: Tensor, labels: Tensor | None, seed: int) -> Tensor:
        """Which samples pass all filters, bool (N,); counts them."""
        passed = torch.ones(len(samples), dtype=torch.bool, device="cpu")
        rows = torch.zeros(len(samples), dtype=torch.int64, device="cpu") if labels is None else labels
        self._candidates += rows.bincount(minlength=len(self._candidates))
        for number, filter_ in enumerate(self._filters):
            left = torch.nonzero(passed).flatten()
            if len(left) == 0:
                break
            there = left.to(samples.device)
            accepted = filter_.accepts(
                samples[there], None if labels is None else labels[left], derive_seed(seed, number)
            )
            passed[left[~accepted]] = False
            self._rejected[filter_.name] += rows[left[~accepted]].bincount(minlength=len(self._candidates))
        self._accepted += rows[passed].bincount(minlength=len(self._candidates))
        return passed

    def _stored(self, supply: list[int]) -> SamplePool:
        """A pool of the stored samples that pass."""
        spec = self.spec
        labels = torch.arange(len(supply), device="cpu").repeat_interleave(torch.tensor(supply, device="cpu"))
        requested = labels if spec.takes_labels else None
        samples = checked_sample(self.inner, len(labels), requested, 0)
        passed = self._judge(samples, requested, 0)
        for label, (accepted, count) in enumerate(zip(self._accepted.tolist(), supply, strict=True)):
            if count and not accepted:
                raise InputError(self._none_passed(label))
        kept = labels[passed] if spec.takes_labels else None
        return SamplePool.of_samples(Samples(samples[passed.to(samples.device)].cpu(), kept, spec))

    def _check_starvation(self, missing: Tensor, tries: int, labels: Tensor | None, before: Tensor) -> None:
        """Raises ``InputError`` if a sample had ``max_tries`` candidates, or a class as many of which none passed."""
        if len(missing) == 0:
            return
        rows = torch.zeros(1, dtype=torch.int64, device="cpu") if labels is None else labels[missing].unique()
        for label in rows.tolist():
            hopeless = self._accepted[label] == 0 and self._candidates[label] - before[label] >= self._max_tries
            if tries >= self._max_tries or hopeless:
                raise InputError(self._none_passed(label))

    def _none_passed(self, label: int) -> str:
        report = self.report
        rejected = ", ".join(f"{name}= rejected {counts[label]:,}" for name, counts in report.rejected.items())
        kind = f"of class {report.classes[label]} " if self.spec.takes_labels else ""
        return (
            f"too few samples {kind}pass the filters: {report.accepted[label]:,} of {report.candidates[label]:,} "
            f"candidates so far ({rejected}). Loosen them, use a better generator, or do without that class."
        )
