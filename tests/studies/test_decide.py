"""Selection and verdict on simulated tables of accuracies: the functions of a study, without training.

How often the verdict errs is measured in ``benchmarks/studies/verdict_simulation.py`` and tested in tests/benchmarks.
"""

from dataclasses import replace

import numpy as np
import pytest

from genaug.errors import InputError
from genaug.studies.arms import CLASSIC, NOISE, NONE, Arm, all_arms, arms_to_test
from genaug.studies.compare import paired_difference
from genaug.studies.decide import judge, select

SEEDS = range(10)
ARMS = all_arms(["cgan", "hub"], [0.25, 0.5])
CHOSEN = Arm("hub", 0.5, True)


def flat(value):
    return dict.fromkeys(SEEDS, value)


def table(chosen=0.0, classic=0.0, none=0.0):
    """Accuracies of the arms that a verdict on ``CHOSEN`` needs: 90% plus a gain in points, which is the mean over the
    seeds, and a spread of .3 points."""
    rng, rows = np.random.default_rng(0), {}
    gains = {NONE: none, CLASSIC: classic, CHOSEN: chosen}
    for arm in arms_to_test(CHOSEN):
        noise = rng.normal(0, 0.003, len(SEEDS))
        rows[arm] = dict(zip(SEEDS, 0.9 + 0.01 * gains.get(arm, 0) + noise - noise.mean(), strict=True))
    return rows


def test_source_ratio_and_classic_are_chosen_together():
    inner = {arm: flat(0.5) for arm in ARMS} | {CHOSEN: flat(0.9), CLASSIC: flat(0.8)}
    assert select(inner, SEEDS) == select(dict(reversed(inner.items())), SEEDS) == CHOSEN


def test_the_noise_control_is_never_chosen():
    inner = {arm: flat(0.5) for arm in ARMS} | {Arm(NOISE, 0.25): flat(0.99)}
    assert select(inner, SEEDS) == Arm("cgan", 0.25)


def test_an_arm_that_lacks_a_seed_is_not_chosen():
    inner = {arm: flat(0.5) for arm in ARMS}
    inner[Arm("cgan", 0.5)] = {seed: 0.99 for seed in SEEDS if seed != 3}
    inner[NONE] = {0: 0.99}
    assert select(inner, SEEDS) == Arm("cgan", 0.25)
    assert select({arm: row for arm, row in inner.items() if not arm.candidate}, SEEDS) is None
    with pytest.raises(InputError, match="neither"):
        select({Arm("cgan", 0.25): flat(0.5)}, SEEDS)


@pytest.mark.parametrize(
    ("means", "verdict"),
    [
        ({"chosen": 4, "classic": 2}, "use"),
        ({"chosen": 2, "classic": 2}, "no evidence"),  # better than none alone
        ({"chosen": 2, "none": 2}, "no evidence"),  # better than classic alone
        ({"chosen": 2, "classic": 4}, "don't use"),  # better than none, worse than classic
        ({"chosen": 2, "none": 4}, "don't use"),
        ({"chosen": -3}, "don't use"),
        ({}, "no evidence"),
    ],
)
def test_use_requires_a_gain_over_none_and_classic_and_harm_against_either_is_enough(means, verdict):
    judgement = judge(CHOSEN, table(**means), SEEDS)
    assert judgement.verdict == verdict
    level = 0.975 if verdict == "don't use" else 0.95
    assert [(c.arm, c.baseline, c.difference.confidence) for c in judgement.decisive] == [
        (CHOSEN, NONE, level),
        (CHOSEN, CLASSIC, level),
    ]


def test_the_levels_are_95_percent_for_use_and_97_5_percent_for_harm():
    """Differences with t = 2.45 on 9 degrees of freedom, beyond the 95% quantile, 2.262, within the
    97.5% one, 2.685."""
    shape = np.linspace(-1, 1, len(SEEDS))
    gains = 0.01 * (2.45 / len(SEEDS) ** 0.5 + shape / shape.std(ddof=1))
    arms = {arm: flat(0.9) for arm in arms_to_test(CHOSEN)}
    arms[NONE] = flat(0.7)
    for sign, verdict in ((1, "use"), (-1, "no evidence")):
        arms[CHOSEN] = {seed: 0.9 + sign * gain for seed, gain in zip(SEEDS, gains, strict=True)}
        levels = [paired_difference(list(sign * gains), [0.0] * 10, level).verdict for level in (0.95, 0.975)]
        assert levels == ["helps" if sign > 0 else "hurts", "no evidence"]
        assert judge(CHOSEN, arms, SEEDS).verdict == verdict


def test_classic_augmentation_is_advised_unless_the_test_set_shows_it_to_be_worse():
    assert judge(CHOSEN, table(), SEEDS).classic
    assert judge(CHOSEN, table(classic=-0.05), SEEDS).classic, "worse on average alone"
    assert not judge(CHOSEN, table(classic=-2), SEEDS).classic
    assert judge(CHOSEN, table(chosen=3, classic=-2), SEEDS).classic == CHOSEN.classic, "as chosen"
    failed = {arm: row for arm, row in table().items() if arm != CLASSIC}
    assert not judge(CHOSEN, failed, SEEDS).classic


def test_planned_comparisons_and_exploring_cost_the_verdict_nothing():
    rng = np.random.default_rng(1)
    test = {arm: {seed: 0.9 + 0.01 * arm.candidate + rng.normal(0, 0.01) for seed in SEEDS} for arm in ARMS}
    chosen = select(test, SEEDS)
    plain = judge(chosen, {arm: test[arm] for arm in arms_to_test(chosen)}, SEEDS)
    planned = [c for c in plain.comparisons if c.role == "planned"]
    bare, twin = Arm(chosen.source, chosen.ratio), Arm(chosen.source, chosen.ratio, not chosen.classic)
    pairs = [(CLASSIC, NONE), (bare, Arm(NOISE, chosen.ratio)), (twin, NONE), (twin, CLASSIC)]
    assert [(c.arm, c.baseline) for c in planned] == pairs
    assert all(c.holm >= c.difference.p for c in planned)
    assert all(c.holm == c.difference.p for c in plain.decisive)
    explored = judge(chosen, test, SEEDS)
    assert (explored.verdict, explored.decisive) == (plain.verdict, plain.decisive)
    others = explored.comparisons[len(plain.comparisons) :]
    assert {c.arm for c in others} == set(ARMS) - set(arms_to_test(chosen))
    assert all(c.role == "explored" and c.difference.confidence == 1 - 0.05 / len(others) for c in others)


def test_a_chosen_arm_that_fails_on_the_test_set_is_no_evidence():
    failed = {arm: row for arm, row in table().items() if arm != CHOSEN}
    judgement = judge(CHOSEN, failed, SEEDS)
    assert (judgement.verdict, judgement.decisive) == ("no evidence", ())


@pytest.mark.parametrize("lacking", [NONE, CLASSIC])
def test_a_baseline_that_lacks_a_seed_excludes_use_and_not_harm(lacking):
    for gain, verdict in ((5, "no evidence"), (-5, "don't use")):
        test = table(chosen=gain)
        test[lacking] = {0: 0.9}
        judgement = judge(CHOSEN, test, SEEDS)
        assert judgement.verdict == verdict
        assert [c.baseline for c in judgement.decisive] == [arm for arm in (NONE, CLASSIC) if arm != lacking]


def test_a_single_seed_is_rejected():
    one = {arm: {0: 0.5} for arm in ARMS}
    with pytest.raises(InputError, match="two seeds"):
        judge(select(one, [0]), one, [0])


@pytest.mark.parametrize(("seeds", "images"), [(2, 100), (2, 500), (3, 500)])
def test_the_verdict_on_identical_arms_with_few_seeds_and_test_images_is_rarely_use(seeds, images):
    """Accuracies are multiples of 1 / images: seeds with exactly the same accuracy have a deviation of 0."""
    rng, seeds, used = np.random.default_rng(0), range(seeds), 0
    for _ in range(400):
        inner, test = ({arm: dict(enumerate(0.9 + rng.normal(0, 0.005, len(seeds)))) for arm in ARMS} for _ in range(2))
        test = {arm: {seed: round(a * images) / images for seed, a in row.items()} for arm, row in test.items()}
        chosen = select(inner, seeds)
        tested = {arm: test[arm] for arm in arms_to_test(chosen)}
        used += judge(chosen, tested, seeds, resolution=1 / images).verdict == "use"
    assert used <= 8  # 2%


def test_overlapping_subsets_widen_the_interval():
    test = table(chosen=0.6)
    assert judge(CHOSEN, test, SEEDS).verdict == "use"
    assert judge(CHOSEN, test, SEEDS, correction=5.0).verdict == "no evidence"


MANY = [NONE, *(Arm(method=method) for method in ("weights", "oversample", "smote"))]


def test_all_of_several_baselines_have_to_be_beaten_and_harm_is_shared_among_them():
    chosen = Arm("rows", 0.5)
    rng = np.random.default_rng(0)

    def judged(**gains):
        rows = {}
        for arm in arms_to_test(chosen, baselines=MANY):
            noise = rng.normal(0, 0.003, len(SEEDS))
            gain = 0.01 * gains.get(arm.method or "none", 0) if arm in MANY else 0.01 * gains.get("chosen", 0)
            rows[arm] = dict(zip(SEEDS, 0.5 + gain + noise - noise.mean(), strict=True))
        return judge(chosen, rows, SEEDS, baselines=MANY, inner=rows)

    assert judged(chosen=3, weights=1, oversample=1, smote=1).verdict == "use"
    equal = judged(chosen=3, weights=1, oversample=1, smote=3)
    assert equal.verdict == "no evidence", "SMOTE is as good"
    assert equal.advised == Arm(method="smote"), "the best baseline on the inner splits"
    harm = judged(chosen=3, smote=5)
    assert harm.verdict == "don't use"
    assert [c.difference.confidence for c in harm.decisive] == [1 - 0.05 / 4] * 4
    assert [c.baseline for c in harm.decisive] == MANY
    assert {(c.arm.name, c.baseline.name) for c in harm.comparisons if c.role == "planned"} >= {
        ("weights", "none"),
        ("smote", "none"),
        ("rows 0.5", "noise 0.5"),
        ("smote + rows 0.5", "smote"),
    }


def test_arms_of_several_classifiers_have_their_own_baselines_controls_and_variants():
    baselines = [replace(arm, classifier=name) for name in ("trees", "linear") for arm in (NONE, MANY[3])]
    arms = all_arms(["rows"], [0.5], ["own"], baselines)
    assert [arm.name for arm in arms] == [
        "none (trees)",
        "smote (trees)",
        "none (linear)",
        "smote (linear)",
        "noise 0.5 (trees)",
        "rows 0.5 (trees)",
        "smote + rows 0.5 (trees)",
        "noise 0.5 (linear)",
        "rows 0.5 (linear)",
        "smote + rows 0.5 (linear)",
        "own",
    ]
    chosen = arms[6]
    tested = arms_to_test(chosen, baselines=baselines)
    assert [arm.name for arm in tested] == [arm.name for arm in (*baselines, arms[4], arms[5], arms[6])]
