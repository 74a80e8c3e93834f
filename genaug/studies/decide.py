"""From tables of accuracies to a verdict: plain arithmetic, no training.

First ``select``, on the inner splits; then ``judge``, on the test set, with what was selected.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from genaug.errors import InputError
from genaug.studies.arms import CLASSIC, NONE, Arm, arms_to_test
from genaug.studies.compare import Difference, holm, paired_difference

# Accuracy, in [0, 1], of every arm on every seed; an arm that failed on a seed lacks it.
Table = Mapping[Arm, Mapping[int, float]]
Verdict = Literal["use", "don't use", "no evidence"]
ALPHA = 0.05


@dataclass(frozen=True)
class Selection:
    """What the inner splits chose: the better of none and classic, and the best arm with generated images, which is
    None where no such arm finished on all seeds."""

    baseline: Arm
    chosen: Arm | None


@dataclass(frozen=True)
class Comparison:
    """An arm against the baseline on the test set; ``holm`` is the p-value adjusted for the number of comparisons."""

    arm: Arm
    difference: Difference
    holm: float
    exploratory: bool


@dataclass(frozen=True)
class Judgement:
    """The verdict, and all comparisons against the baseline, that of the chosen arm among them."""

    verdict: Verdict
    baseline: Arm
    chosen: Arm | None
    comparisons: tuple[Comparison, ...]

    @property
    def decisive(self) -> Comparison | None:
        """The comparison that the verdict rests on; None where the chosen arm failed."""
        return next((found for found in self.comparisons if found.arm == self.chosen), None)


def select(table: Table, seeds: Sequence[int]) -> Selection:
    """Choose by mean accuracy over all seeds: source, ratio and classic together, and the baseline.

    An arm that lacks a seed can't be chosen. Where means are equal, the arm that stands first in the table is taken.
    Raises ``InputError`` where neither none nor classic finished.
    """
    means = {arm: _mean(table[arm], seeds) for arm in table if _complete(table, arm, seeds)}
    baselines = [arm for arm in (NONE, CLASSIC) if arm in means]
    if not baselines:
        raise InputError(
            "neither 'none' nor 'classic' finished on all inner splits, so there is nothing to compare with. "
            "Their errors are in cells.jsonl; mend what they name, then go on with resume=True."
        )
    candidates = [arm for arm in means if arm.candidate]
    return Selection(
        max(baselines, key=lambda arm: means[arm]), max(candidates, key=lambda arm: means[arm], default=None)
    )


def judge(
    selection: Selection, table: Table, seeds: Sequence[int], *, correction: float = 0.0, resolution: float = 0.0
) -> Judgement:
    """The verdict on the chosen arm from accuracies on the test set, over paired seeds.

    "use" where the interval of its difference from the baseline lies above 0, "don't use" where it lies below 0, else
    "no evidence". The interval's level is 1 - .05 / m (Bonferroni), m being the comparisons against the baseline that
    the selection calls for; what was explored besides is told apart, at 1 - .05 / (all of them). ``correction`` is
    n_test / n_train where the seeds' training subsets overlap, ``resolution`` 1 / n_test, see ``paired_difference``.
    Where the baseline lacks a seed there is nothing to compare with, and no evidence.

    Raises ``InputError`` for fewer than two seeds.
    """
    if len(seeds) < 2:
        raise InputError("a verdict needs two seeds at least (ten are better): one tells nothing about the spread.")
    if not _complete(table, selection.baseline, seeds):
        return Judgement("no evidence", selection.baseline, selection.chosen, ())
    planned = [arm for arm in arms_to_test(selection.chosen) if arm != selection.baseline]
    tested = [arm for arm in table if arm != selection.baseline and _complete(table, arm, seeds)]
    tested.sort(key=lambda arm: arm not in planned)
    base = [table[selection.baseline][seed] for seed in seeds]
    comparisons: list[Comparison] = []
    for exploratory in (False, True):
        family = [arm for arm in tested if exploratory or arm in planned]
        level = 1 - ALPHA / max(len(family), 1)
        found = [
            paired_difference(
                [table[arm][seed] for seed in seeds], base, level, correction=correction, resolution=resolution
            )
            for arm in family
        ]
        adjusted = holm([difference.p or 0.0 for difference in found])
        comparisons += [
            Comparison(arm, difference, p, exploratory)
            for arm, difference, p in zip(family, found, adjusted, strict=True)
            if exploratory != (arm in planned)
        ]
    decisive = next((c.difference.verdict for c in comparisons if c.arm == selection.chosen), "no evidence")
    verdict: Verdict = {"helps": "use", "hurts": "don't use", "no evidence": "no evidence"}[decisive]  # type: ignore[assignment]
    return Judgement(verdict, selection.baseline, selection.chosen, tuple(comparisons))


def _complete(table: Table, arm: Arm, seeds: Sequence[int]) -> bool:
    return arm in table and all(seed in table[arm] for seed in seeds)


def _mean(row: Mapping[int, float], seeds: Sequence[int]) -> float:
    return math.fsum(row[seed] for seed in seeds) / len(seeds)
