"""How many samples to generate, of which classes, and what takes whose place: arithmetic, without any dataset."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from numbers import Real
from typing import Any, Literal

import numpy as np

from genaug.data.apportion import Ints, largest_remainder
from genaug.errors import InputError

Mode = Literal["expand", "replace"]

_MOST = 2**31


@dataclass(frozen=True)
class Plan:
    """What a blend does, class by class: ``added`` generated samples and ``removed`` real ones, int64 (classes,).

    ``ratio`` is the generated share of the result that was asked for, as an exact fraction.
    """

    added: Ints
    removed: Ints
    ratio: Fraction

    @property
    def generated(self) -> int:
        return int(self.added.sum())


def check_ratio(ratio: Any, mode: Mode) -> Fraction:
    """The generated share as an exact fraction, so that 0.3 of 10 is 3.

    Raises ``InputError`` for no number, NaN, less than 0, more than 1, and 1 where real samples stay.
    """
    ratio = as_number(ratio)
    if not 0 <= ratio <= 1:  # false for NaN too
        raise InputError(f"ratio is the generated share of what comes out and must be in [0, 1), got {ratio!r}.")
    if ratio == 1 and mode == "expand":
        raise InputError(
            "ratio=1 leaves no place for real samples, which mode='expand' keeps. Use less than 1, or mode='replace'."
        )
    return Fraction(ratio).limit_denominator(10**9)


def make_plan(counts: Sequence[int], *, ratio: Any, mode: Mode, balance: Any) -> Plan:
    """Plan a blend for a real set with ``counts[c]`` samples of class c.

    ``balance`` is "match", "uniform", or the number of generated samples of each class, as long as ``counts``;
    ``ratio`` is required with the first two and must be None with the third.

    In mode "expand" nothing is removed. In mode "replace", "match" and given numbers remove as many real samples of
    a class as they add; "uniform" takes real samples from the commonest classes and gives their places to generated
    ones of the rarest, both towards equal classes. Only classes with real samples count as classes for "uniform".

    Raises ``InputError`` for both or neither of a ratio and given numbers, and for more than a class can give.
    """
    if mode not in ("expand", "replace"):
        raise InputError(f"mode must be 'expand' or 'replace', got {mode!r}.")
    real: Ints = np.asarray(counts, dtype=np.int64)
    if not isinstance(balance, str):
        return _plan_given(real, np.asarray(balance, dtype=np.int64), ratio, mode)
    if balance not in ("match", "uniform"):
        raise InputError(f"balance must be 'match', 'uniform' or a mapping of class to count, got {balance!r}.")
    if ratio is None:
        raise InputError("ratio= is required: the generated share of what comes out, such as 0.3.")
    share = check_ratio(ratio, mode)
    total = generated_count(int(real.sum()), as_number(ratio), mode)
    removed = np.zeros_like(real)
    if balance == "match":
        added = largest_remainder(total, real.tolist())
        if mode == "replace":
            removed = added
    else:
        present = np.flatnonzero(real)
        added = np.zeros_like(real)
        left = real[present]
        if mode == "replace":
            removed[present] = level_down(left, total)
            left = left - removed[present]
        added[present] = level_up(left, total)
    return Plan(added, removed, share)


def _plan_given(real: Ints, added: Ints, ratio: Any, mode: Mode) -> Plan:
    if ratio is not None:
        raise InputError(
            "balance= as a mapping says how many samples of each class to generate, so ratio= must be left out."
        )
    total, kept = int(added.sum()), int(real.sum())
    if mode == "expand":
        _check_size(total)
        return Plan(added, np.zeros_like(real), Fraction(total, kept + total))
    for label in np.flatnonzero(added > real):
        raise InputError(
            f"balance= asks to replace {added[label]} samples of class {label}, which has {real[label]}. "
            "Ask for fewer, or use mode='expand'."
        )
    return Plan(added, added, Fraction(total, kept))


def generated_count(real: int, ratio: float, mode: Mode) -> int:
    """The nearest integer to n·r/(1-r) for "expand" and to n·r for "replace".

    Raises ``InputError`` where that is more than 2^31.
    """
    wanted = real * ratio / (1 - ratio) if mode == "expand" else real * ratio
    _check_size(wanted)
    return round(wanted)


def _check_size(wanted: float) -> None:
    if wanted > _MOST:
        raise InputError(
            f"that would be {wanted:.3g} generated samples; more than 2^31 can't be indexed. Use a smaller ratio."
        )


def level_up(counts: Ints, total: int) -> Ints:
    """How many to add to each class, ``total`` in all, filling the rarest first, like water in a vessel."""
    level = _last(lambda at: int(np.maximum(at - counts, 0).sum()) <= total, int(counts.max(initial=0)) + total)
    added: Ints = np.maximum(level - counts, 0)
    added[np.flatnonzero(counts <= level)[: total - int(added.sum())]] += 1
    return added


def level_down(counts: Ints, total: int) -> Ints:
    """How many to take from each class, ``total`` in all, from the commonest first. ``total`` is at most the sum."""
    top = int(counts.max(initial=0))
    level = top - _last(lambda depth: int(np.maximum(counts - (top - depth), 0).sum()) <= total, top)
    taken: Ints = np.maximum(counts - level, 0)
    taken[np.flatnonzero(counts >= level)[: total - int(taken.sum())]] += 1
    return taken


def _last(holds: Any, most: int) -> int:
    """The largest integer in [0, most] for which ``holds`` is true; it holds for 0 and, once false, stays false."""
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if holds(middle) else (low, middle - 1)
    return low


def draw_places(labels: Ints, plan: Plan, rng: np.random.Generator) -> Ints:
    """Which real samples give way in mode "replace": their indices, int64 (plan.generated,).

    Place j is for the j-th generated sample, counted through the classes in order. Where as many of each class come
    as go, place j belongs to a real sample of the same class.
    """
    gone = [
        rng.choice(np.flatnonzero(labels == label), size=int(plan.removed[label]), replace=False)
        for label in np.flatnonzero(plan.removed)
    ]
    places: Ints = np.concatenate(gone) if gone else np.zeros(0, dtype=np.int64)
    return places if np.array_equal(plan.added, plan.removed) else rng.permutation(places)


def draw_slots(wanted: Ints, held: Ints, starts: Ints, rng: np.random.Generator) -> Ints:
    """Which of a pool's samples are used: their slots, int64 (wanted.sum(),), through the classes in order.

    The pool holds ``held[c]`` samples of class c from slot ``starts[c]`` on. Each is used at most once where there
    are enough, else they are drawn with replacement.
    """
    drawn = []
    for label in np.flatnonzero(wanted):
        need, have = int(wanted[label]), int(held[label])
        picks = rng.permutation(have)[:need] if need <= have else rng.integers(have, size=need)
        drawn.append(picks + starts[label])
    return np.concatenate(drawn).astype(np.int64) if drawn else np.zeros(0, dtype=np.int64)


def as_number(ratio: Any) -> Any:
    """A ratio as a number that Fraction takes: numpy's are read as they print, so that float32's 0.3 is 0.3.

    Raises ``InputError`` for anything but a real number.
    """
    if isinstance(ratio, bool) or not isinstance(ratio, Real):
        raise InputError(f"ratio must be a number, got {ratio!r}.")
    return float(str(ratio)) if isinstance(ratio, np.number) else ratio
