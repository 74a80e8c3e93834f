"""From tables of accuracies to a verdict: plain arithmetic, no training.

First ``select``, on the inner splits; then ``judge``, on the test set, with what was selected.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from genaug.errors import InputError
from genaug.studies.arms import CLASSIC, NOISE, NONE, Arm, arms_to_test
from genaug.studies.compare import Difference, holm, paired_difference

# Accuracy, in [0, 1], of every arm on every seed; an arm that failed on a seed lacks it.
Table = Mapping[Arm, Mapping[int, float]]
Verdict = Literal["use", "don't use", "no evidence"]
Role = Literal["decides", "planned", "explored"]
BASELINES = (NONE, CLASSIC)
USE_LEVEL = 0.95  # of both intervals that must lie above 0
HARM_LEVEL = 0.975  # of either interval that may lie below 0: two of them, so that together they hold with 95 %


@dataclass(frozen=True)
class Comparison:
    """Two arms on the test set. ``holm`` is the p-value adjusted for the comparisons of the same role; those that
    decide aren't adjusted, since all of them must agree."""

    arm: Arm
    baseline: Arm
    difference: Difference
    holm: float
    role: Role


@dataclass(frozen=True)
class Judgement:
    """The verdict, all comparisons that were made, and whether to use classic augmentation."""

    verdict: Verdict
    chosen: Arm | None
    classic: bool
    comparisons: tuple[Comparison, ...] = ()

    @property
    def decisive(self) -> tuple[Comparison, ...]:
        """The chosen arm against none and against classic, in this order, as far as these finished."""
        return tuple(c for c in self.comparisons if c.role == "decides")

    def find(self, arm: Arm, baseline: Arm) -> Comparison | None:
        return next((c for c in self.comparisons if (c.arm, c.baseline) == (arm, baseline)), None)


def select(table: Table, seeds: Sequence[int]) -> Arm | None:
    """The arm with generated images that has the best mean accuracy over all seeds: source, ratio and classic together.

    An arm that lacks a seed can't be chosen; None if no such arm finished. Of equal means the first in the table wins.
    Raises ``InputError`` if neither none nor classic finished, since every later comparison would lack its baseline.
    """
    if not any(_complete(table, arm, seeds) for arm in BASELINES):
        raise InputError(
            "neither 'none' nor 'classic' finished on all inner splits, so there is nothing to compare with. "
            "Their errors are in cells.jsonl; fix the errors listed there, then continue with resume=True."
        )
    candidates = [arm for arm in table if arm.candidate and _complete(table, arm, seeds)]
    return max(candidates, key=lambda arm: math.fsum(table[arm][seed] for seed in seeds), default=None)


def judge(
    chosen: Arm | None, table: Table, seeds: Sequence[int], *, correction: float = 0.0, resolution: float = 0.0
) -> Judgement:
    """The verdict on the chosen arm from accuracies on the test set, over paired seeds.

    "use" if the 95 % intervals of its differences from none and from classic both lie above 0: an intersection-union
    test (Berger 1982), which errs in at most 2.5 % of studies in which the arm isn't better than both, without any
    correction, because the arm was chosen without the test set. "don't use" if the 97.5 % interval of either lies
    below 0; the two are then reported at this level. Else, and if the arm or a baseline that "use" needs lacks a seed,
    "no evidence".

    Classic augmentation is advised as in the chosen arm for "use", else unless the test set shows it to be worse than
    none (its 95 % interval lies below 0) or it failed.

    Planned besides: classic against none, the source against as many noisy copies, and the arm that differs from the
    chosen one in classic augmentation alone. What else the table holds was explored, at 1 - .05 / (its comparisons).
    ``correction`` and ``resolution`` are explained in ``paired_difference``.

    Raises ``InputError`` for fewer than two seeds.
    """
    if len(seeds) < 2:
        raise InputError("a verdict needs two seeds at least (ten are better): one says nothing about the spread.")

    def compare(arm: Arm, baseline: Arm, confidence: float) -> Difference:
        ours, theirs = ([table[which][seed] for seed in seeds] for which in (arm, baseline))
        return paired_difference(ours, theirs, confidence, correction=correction, resolution=resolution)

    comparisons: list[Comparison] = []
    finished = [arm for arm in table if _complete(table, arm, seeds)]
    for role, pairs in _pairs(chosen, finished).items():
        confidence = 1 - (1 - USE_LEVEL) / max(1, len(pairs)) if role == "explored" else USE_LEVEL
        differences = [compare(*pair, confidence) for pair in pairs]
        p_values = [1.0 if difference.p is None else difference.p for difference in differences]
        adjusted = p_values if role == "decides" else holm(p_values)
        comparisons += [
            Comparison(*pair, difference, p, role)
            for pair, difference, p in zip(pairs, differences, adjusted, strict=True)
        ]
    judgement = Judgement("no evidence", chosen, CLASSIC in finished, tuple(comparisons))
    if (against_none := judgement.find(CLASSIC, NONE)) is not None:
        judgement = replace(judgement, classic=against_none.difference.verdict != "hurts")
    decisive = judgement.decisive
    if chosen is None or not decisive:
        return judgement
    if len(decisive) == len(BASELINES) and all(c.difference.verdict == "helps" for c in decisive):
        return replace(judgement, verdict="use", classic=chosen.classic)
    harm = [replace(c, difference=compare(c.arm, c.baseline, HARM_LEVEL)) for c in decisive]
    if any(c.difference.verdict == "hurts" for c in harm):
        others = [c for c in comparisons if c.role != "decides"]
        return replace(judgement, verdict="don't use", comparisons=(*harm, *others))
    return judgement


def _pairs(chosen: Arm | None, finished: Sequence[Arm]) -> dict[Role, list[tuple[Arm, Arm]]]:
    """Arm and baseline of all comparisons, by role, of arms that finished."""
    planned: list[tuple[Arm, Arm]] = [(CLASSIC, NONE)]
    decides: list[tuple[Arm, Arm]] = []
    if chosen is not None:
        plain = replace(chosen, classic=False)
        twin = replace(chosen, classic=not chosen.classic)
        decides = [(chosen, baseline) for baseline in BASELINES]
        planned += [(plain, Arm(NOISE, chosen.ratio)), *((twin, baseline) for baseline in BASELINES)]
    explored = [(arm, base) for arm in finished if arm not in arms_to_test(chosen) for base in BASELINES]
    pairs: dict[Role, list[tuple[Arm, Arm]]] = {"decides": decides, "planned": planned, "explored": explored}
    return {role: [pair for pair in some if set(pair) <= set(finished)] for role, some in pairs.items()}


def _complete(table: Table, arm: Arm, seeds: Sequence[int]) -> bool:
    return arm in table and all(seed in table[arm] for seed in seeds)
