"""How many samples to generate, of which classes, and which real ones they replace: arithmetic, without a dataset."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Literal

import numpy as np

from genaug.data.apportion import Ints, largest_remainder, round_to
from genaug.data.shares import as_number as as_number, as_share
from genaug.errors import InputError

Mode = Literal["expand", "replace"]

_MAX_GENERATED = 2**31


@dataclass(frozen=True)
class Plan:
    """What a blend does, class by class: ``added`` generated samples and ``removed`` real ones, int64 (classes,).

    ``parts`` are the samples that each source adds, in sum ``added``, and ``shares`` are the sources' requested shares
    of the result, as exact fractions.
    """

    added: Ints
    removed: Ints
    parts: tuple[Ints, ...]
    shares: tuple[Fraction, ...]

    @property
    def ratio(self) -> Fraction:
        """The requested generated share of the result."""
        return sum(self.shares, Fraction(0))

    @property
    def generated(self) -> int:
        return int(self.added.sum())


def check_ratio(ratio: Any, mode: Mode) -> Fraction:
    """The generated share as an exact fraction, so that 0.3 of 10 is 3.

    Raises ``InputError`` for anything but a number in [0, 1], and for 1 in mode "expand", which keeps real samples.
    """
    share = as_share(ratio, "ratio")
    if share == 1 and mode == "expand":
        raise InputError(
            "ratio=1 leaves no room for real samples, which mode='expand' keeps. Use less than 1, or mode='replace'."
        )
    return share


def make_plan(counts: Sequence[int], *, ratio: Any, mode: Mode, balance: Any) -> Plan:
    """Plan a blend for a real set with ``counts[c]`` samples of class c.

    ``balance`` is "match", "uniform", or the number of generated samples of each class, as long as ``counts``;
    ``ratio`` is required with the first two and must be None with the third.

    In mode "expand" nothing is removed. In mode "replace", "match" and a number per class remove as many real
    samples of a class as they add; "uniform" replaces real samples of the most common classes with generated ones of
    the rarest, so that classes become more equal. Only classes with real samples count as classes for "uniform".

    Raises ``InputError`` for both or neither of a ratio and a number per class, and if more samples of a class would be
    replaced than there are.
    """
    if mode not in ("expand", "replace"):
        raise InputError(f"mode must be 'expand' or 'replace', got {mode!r}.")
    real: Ints = np.asarray(counts, dtype=np.int64)
    if not isinstance(balance, str):
        return _plan_counts(real, np.asarray(balance, dtype=np.int64), ratio, mode)
    if balance not in ("match", "uniform"):
        raise InputError(f"balance must be 'match', 'uniform' or a mapping of class to count, got {balance!r}.")
    if ratio is None:
        raise InputError("ratio= is required: the generated share of the result, such as 0.3.")
    share = check_ratio(ratio, mode)
    total = generated_count(int(real.sum()), as_number(ratio), mode)
    removed = np.zeros_like(real)
    if balance == "match":
        added = largest_remainder(total, real.tolist())
        if mode == "replace":
            removed = added
    else:
        present = np.flatnonzero(real)
        if mode == "replace":
            removed[present] = level_down(real[present], total)
        added = np.zeros_like(real)
        added[present] = level_up((real - removed)[present], total)
    return Plan(added, removed, (added,), (share,))


def divide(plan: Plan, shares: Sequence[Fraction], length: int) -> Plan:
    """Divide a plan's samples among sources with ``shares`` of the result, which has ``length`` samples.

    ``plan.ratio`` is the sum of the shares. Each source adds its share of ``length``, rounded down or up, and of each
    class nearly its share of the class's added samples.
    """
    totals = round_to([share * length for share in shares], plan.generated)
    parts, rest = [], plan.added
    for total in totals[:-1].tolist():
        parts.append(largest_remainder(total, rest.tolist()))
        rest = rest - parts[-1]
    return replace(plan, parts=(*parts, rest), shares=tuple(shares))


def _plan_counts(real: Ints, added: Ints, ratio: Any, mode: Mode) -> Plan:
    if ratio is not None:
        raise InputError(
            "balance= as a mapping says how many samples to generate per class, so ratio= must be left out."
        )
    total, length = int(added.sum()), int(real.sum())
    if mode == "expand":
        _check_size(total)
        return Plan(added, np.zeros_like(real), (added,), (Fraction(total, length + total),))
    for label in np.flatnonzero(added > real):
        raise InputError(
            f"balance= asks to replace {added[label]} samples of class {label}, which has {real[label]}. "
            "Ask for fewer, or use mode='expand'."
        )
    return Plan(added, added, (added,), (Fraction(total, length),))


def generated_count(real: int, ratio: float, mode: Mode) -> int:
    """The nearest integer to n·r/(1-r) for "expand" and to n·r for "replace".

    Raises ``InputError`` if that is more than 2^31.
    """
    count = real * ratio / (1 - ratio) if mode == "expand" else real * ratio
    _check_size(count)
    return round(count)


def _check_size(count: float) -> None:
    if count > _MAX_GENERATED:
        raise InputError(
            f"that would be {float(count):.3g} generated samples; more than 2^31 can't be indexed. Use a smaller ratio."
        )


def level_up(counts: Ints, total: int) -> Ints:
    """How many to add to each class, ``total`` in all, filling the rarest first, like water in a vessel."""
    levels = range(int(counts.max(initial=0)) + total + 1)
    level = bisect_right(levels, total, key=lambda level: int(np.maximum(level - counts, 0).sum())) - 1
    added: Ints = np.maximum(level - counts, 0)
    added[np.flatnonzero(counts <= level)[: total - int(added.sum())]] += 1
    return added


def level_down(counts: Ints, total: int) -> Ints:
    """How many to remove from each class, ``total`` in all, the most common first. ``total`` is at most the sum."""
    top = int(counts.max(initial=0))
    depth = bisect_right(range(top + 1), total, key=lambda depth: int(np.maximum(counts - top + depth, 0).sum())) - 1
    removed: Ints = np.maximum(counts - top + depth, 0)
    removed[np.flatnonzero(counts >= top - depth)[: total - int(removed.sum())]] += 1
    return removed


def fit_into(room: int, counts: Ints) -> Ints:
    """Counts per class of ``room`` samples at most: at least one per class that has any, the others in proportion."""
    if counts.sum() <= room:
        return counts
    least: Ints = np.minimum(counts, 1)
    return least + largest_remainder(room - int(least.sum()), counts.tolist())


def draw_places(labels: Ints, plan: Plan, rng: np.random.Generator) -> Ints:
    """Which real samples are replaced in mode "replace": their indices, int64 (plan.generated,).

    Place j is for the j-th generated sample, sorted by class. If as many samples of each class are added as removed,
    place j belongs to a real sample of the same class.
    """
    removed = [
        rng.choice(np.flatnonzero(labels == label), size=int(plan.removed[label]), replace=False)
        for label in np.flatnonzero(plan.removed)
    ]
    places: Ints = np.concatenate([np.zeros(0, dtype=np.int64), *removed])
    return places if np.array_equal(plan.added, plan.removed) else rng.permutation(places)


def draw_slots(counts: Ints, available: Ints, starts: Ints, rng: np.random.Generator) -> Ints:
    """Which of a pool's samples are used, ``counts`` per class: their slots, int64 (counts.sum(),), sorted by class.

    The pool has ``available[c]`` samples of class c from slot ``starts[c]`` on. Each is used at most once if there are
    enough; otherwise they are drawn with replacement.
    """
    slots = [np.zeros(0, dtype=np.int64)]
    for label in np.flatnonzero(counts):
        count, size = int(counts[label]), int(available[label])
        picks = rng.permutation(size)[:count] if count <= size else rng.integers(size, size=count)
        slots.append(picks + starts[label])
    return np.concatenate(slots)
