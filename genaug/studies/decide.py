"""From tables of a metric's values to a verdict: plain arithmetic, no training.

First ``select``, on the inner splits; then ``judge``, on the test set, with what was selected.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from genaug.errors import InputError
from genaug.studies.arms import BASELINES, Arm, arms_to_test, variants
from genaug.studies.compare import Difference, holm, paired_difference

# The metric, in [0, 1], of every arm on every seed; an arm that failed on a seed lacks it.
Table = Mapping[Arm, Mapping[int, float]]
Verdict = Literal["use", "don't use", "no evidence"]
Role = Literal["decides", "planned", "explored"]
USE_LEVEL = 0.95  # confidence of the intervals that all must lie above 0
HARM_LEVEL = 0.95  # confidence together of the intervals any of which may lie below 0: 97.5% each of two


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
    """The verdict, all its comparisons, and how to train a classifier: as this arm, if the verdict is "use" of samples;
    otherwise as this baseline, None if all failed."""

    verdict: Verdict
    chosen: Arm | None
    advised: Arm | None
    comparisons: tuple[Comparison, ...] = ()
    baselines: tuple[Arm, ...] = BASELINES

    @property
    def classic(self) -> bool:
        """Whether to use classic augmentation."""
        return self.advised is not None and self.advised.classic

    @property
    def decisive(self) -> tuple[Comparison, ...]:
        """The chosen arm against each baseline, in their order, without those that failed."""
        return tuple(c for c in self.comparisons if c.role == "decides")

    def find(self, arm: Arm, baseline: Arm) -> Comparison | None:
        return next((c for c in self.comparisons if (c.arm, c.baseline) == (arm, baseline)), None)


def select(table: Table, seeds: Sequence[int], baselines: Sequence[Arm] = BASELINES) -> Arm | None:
    """The candidate with the best mean over all seeds: source, ratio and augmentation together, or a classifier.

    An arm that lacks a seed can't be chosen; None if no such arm finished. Of equal means the first in the table wins.
    Raises ``InputError`` if no baseline finished, since every later comparison would lack its baseline.
    """
    if not any(_complete(table, arm, seeds) for arm in baselines):
        names = [repr(arm.name) for arm in baselines]
        none = f"{names[0]} did not finish" if len(names) == 1 else f"neither {' nor '.join(names)} finished"
        raise InputError(
            f"{none} on all inner splits, so there is nothing to compare with. Fix the errors listed in cells.jsonl, "
            "then continue with resume=True."
        )
    return _best([arm for arm in table if arm.candidate], table, seeds)


def _best(arms: Sequence[Arm], table: Table, seeds: Sequence[int]) -> Arm | None:
    finished = [arm for arm in arms if _complete(table, arm, seeds)]
    return max(finished, key=lambda arm: math.fsum(table[arm][seed] for seed in seeds), default=None)


def judge(
    chosen: Arm | None,
    table: Table,
    seeds: Sequence[int],
    *,
    correction: float = 0.0,
    resolution: float = 0.0,
    baselines: Sequence[Arm] = BASELINES,
    inner: Table | None = None,
) -> Judgement:
    """The verdict on the chosen arm from a metric's values on the test set, over paired seeds.

    "use" if the 95% intervals of its differences from all baselines lie above 0: an intersection-union test (Berger
    1982), which errs in at most 2.5% of studies in which the arm isn't better than all, without any correction, because
    the arm was chosen without the test set. "don't use" if the interval of any lies below 0, at a confidence of 1 -
    0.05 / (number of baselines); they are then reported at this level: 97.5% for none and classic. "no evidence"
    otherwise, and if the arm or a baseline that "use" requires lacks a seed.

    For "use" of generated samples, the chosen arm's augmentation is advised. Otherwise it is that of a baseline: of
    those with classic augmentation, or else of all, without those that the test set shows to be worse than none (the
    95% interval lies below 0), the best on the ``inner`` splits, or the first without these.

    The other planned comparisons are those of the baselines with none and, if the chosen arm has generated samples, of
    the source with noisy copies at the same ratio, and of the chosen arm's other ``variants`` with the baselines. All
    other arms in the table are explored, with a confidence of 1 - 0.05 / (number of their comparisons).
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
    for role, pairs in _pairs(chosen, finished, baselines).items():
        confidence = 1 - (1 - USE_LEVEL) / max(1, len(pairs)) if role == "explored" else USE_LEVEL
        differences = [compare(*pair, confidence) for pair in pairs]
        p_values = [1.0 if difference.p is None else difference.p for difference in differences]
        adjusted = p_values if role == "decides" else holm(p_values)
        comparisons += [
            Comparison(*pair, difference, p, role)
            for pair, difference, p in zip(pairs, differences, adjusted, strict=True)
        ]
    worse = {c.arm for c in comparisons if c.role == "planned" and c.difference.verdict == "hurts"}
    sound = [arm for arm in baselines if arm in finished and arm not in worse]
    sound = [arm for arm in sound if arm.classic] or sound
    advised = _best(sound, inner or {}, seeds) or next(iter(sound), None)
    judgement = Judgement("no evidence", chosen, advised, tuple(comparisons), tuple(baselines))
    decisive = judgement.decisive
    if chosen is None or not decisive:
        return judgement
    if len(decisive) == len(baselines) and all(c.difference.verdict == "helps" for c in decisive):
        return replace(judgement, verdict="use", advised=advised if chosen.ratio is None else chosen)
    level = 1 - (1 - HARM_LEVEL) / len(baselines)
    harm = [replace(c, difference=compare(c.arm, c.baseline, level)) for c in decisive]
    if any(c.difference.verdict == "hurts" for c in harm):
        return replace(judgement, verdict="don't use", comparisons=(*harm, *comparisons[len(harm) :]))
    return judgement


def _pairs(chosen: Arm | None, finished: Sequence[Arm], baselines: Sequence[Arm]) -> dict[Role, list[tuple[Arm, Arm]]]:
    """The arm and the baseline of all comparisons between finished arms, by role."""
    tested = arms_to_test(chosen, baselines=baselines)
    pairs: dict[Role, list[tuple[Arm, Arm]]] = {
        "decides": [],
        "planned": [(arm, arm.without_methods) for arm in baselines if arm != arm.without_methods],
        "explored": [(arm, base) for arm in finished if arm not in tested for base in baselines],
    }
    if chosen is not None:
        pairs["decides"] = [(chosen, baseline) for baseline in baselines]
    if chosen is not None and chosen.ratio is not None:
        others = [arm for arm in variants(chosen.without_methods, baselines) if arm != chosen]
        pairs["planned"] += [
            (chosen.without_methods, chosen.control),
            *((arm, baseline) for arm in others for baseline in baselines),
        ]
    return {role: [pair for pair in of_role if set(pair) <= set(finished)] for role, of_role in pairs.items()}


def _complete(table: Table, arm: Arm, seeds: Sequence[int]) -> bool:
    return arm in table and all(seed in table[arm] for seed in seeds)
