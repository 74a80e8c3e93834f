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
USE_LEVEL = 0.95  # confidence of the two intervals that both must lie above 0
HARM_LEVEL = 0.975  # confidence of the two intervals either of which may lie below 0: 95% together


@dataclass(frozen=True)
class Comparison:
    """Two arms on the test set. ``holm`` is the p-value adjusted for the comparisons of the same role; it is unadjusted
    for those that decide, since all of them must agree."""

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
        """The chosen arm against none and against classic, in this order, without those that failed."""
        return tuple(c for c in self.comparisons if c.role == "decides")

    def find(self, arm: Arm, baseline: Arm) -> Comparison | None:
        return next((c for c in self.comparisons if (c.arm, c.baseline) == (arm, baseline)), None)


def select(table: Table, seeds: Sequence[int]) -> Arm | None:
    """The candidate with the best mean accuracy over all seeds: source, ratio and classic together, or a classifier.

    An arm that lacks a seed can't be chosen; None if no such arm finished. Of equal means the first in the table wins.
    Raises ``InputError`` if neither none nor classic finished, since every later comparison would lack its baseline.
    """
    if not any(_complete(table, arm, seeds) for arm in BASELINES):
        raise InputError(
            "neither 'none' nor 'classic' finished on all inner splits, so there is nothing to compare with. Fix the "
            "errors listed in cells.jsonl, then continue with resume=True."
        )
    candidates = [arm for arm in table if arm.candidate and _complete(table, arm, seeds)]
    return max(candidates, key=lambda arm: math.fsum(table[arm][seed] for seed in seeds), default=None)


def judge(
    chosen: Arm | None, table: Table, seeds: Sequence[int], *, correction: float = 0.0, resolution: float = 0.0
) -> Judgement:
    """The verdict on the chosen arm from accuracies on the test set, over paired seeds.

    "use" if the 95% intervals of its differences from none and from classic both lie above 0: an intersection-union
    test (Berger 1982), which errs in at most 2.5% of studies in which the arm isn't better than both, without any
    correction, because the arm was chosen without the test set. "don't use" if the 97.5% interval of either lies
    below 0; the two are then reported at this level. "no evidence" otherwise, and if the arm or a baseline that "use"
    requires lacks a seed.

    For "use" of generated images, classic augmentation is advised if the chosen arm has it; otherwise it is, unless the
    test set shows it to be worse than none (its 95% interval lies below 0) or it failed.

    The other planned comparisons are classic against none and, if the chosen arm has generated images, the source
    against noisy copies at the same ratio, and the arm that differs from the chosen one in classic augmentation only.
    All other arms in the table are explored, with a confidence of 1 - 0.05 / (number of their comparisons).
    ``paired_difference`` explains ``correction`` and ``resolution``.

    Raises ``InputError`` for fewer than two seeds.
    """
    if len(seeds) < 2:
        raise InputError("a verdict needs at least two seeds (ten are better): one says nothing about the spread.")

    def compare(arm: Arm, baseline: Arm, confidence: float) -> Difference:
        values, base_values = ([table[row][seed] for seed in seeds] for row in (arm, baseline))
        return paired_difference(values, base_values, confidence, correction=correction, resolution=resolution)

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
        classic = judgement.classic if chosen.ratio is None else chosen.classic
        return replace(judgement, verdict="use", classic=classic)
    harm = [replace(c, difference=compare(c.arm, c.baseline, HARM_LEVEL)) for c in decisive]
    if any(c.difference.verdict == "hurts" for c in harm):
        return replace(judgement, verdict="don't use", comparisons=(*harm, *comparisons[len(harm) :]))
    return judgement


def _pairs(chosen: Arm | None, finished: Sequence[Arm]) -> dict[Role, list[tuple[Arm, Arm]]]:
    """The arm and the baseline of all comparisons between finished arms, by role."""
    pairs: dict[Role, list[tuple[Arm, Arm]]] = {
        "decides": [],
        "planned": [(CLASSIC, NONE)],
        "explored": [(arm, base) for arm in finished if arm not in arms_to_test(chosen) for base in BASELINES],
    }
    if chosen is not None:
        pairs["decides"] = [(chosen, baseline) for baseline in BASELINES]
    if chosen is not None and chosen.ratio is not None:
        twin = replace(chosen, classic=not chosen.classic)
        pairs["planned"] += [
            (replace(chosen, classic=False), Arm(NOISE, chosen.ratio)),
            *((twin, baseline) for baseline in BASELINES),
        ]
    return {role: [pair for pair in of_role if set(pair) <= set(finished)] for role, of_role in pairs.items()}


def _complete(table: Table, arm: Arm, seeds: Sequence[int]) -> bool:
    return arm in table and all(seed in table[arm] for seed in seeds)
