"""How often is a study's verdict wrong? Simulated tables of accuracies, judged by the functions that a study runs.

Four arms of a source (two ratios, each without and with classic augmentation) beside none, classic and the noise
control. On the inner splits an arm's accuracy on a seed has its mean, the seed's effect and independent noise with the
spread of held-out accuracies; on the test set of 500 images it has its mean, the seed's effect (standard deviation of 1
point) and independent noise (.9 points), rounded to whole images.

* errors: how often "use" is said although the source isn't better than classic, and "don't use" although it is as good;
* power: how often "use" is said if the source is 2 points better than classic, and classic 2 points better than none;
* coverage: how often the interval of a difference holds the true one if the seeds' training images overlap (a seed
  trains on a share f of all images of a class, a share v of a difference's variance comes from the choice of these),
  with v = 1 assumed, as a study does, and with the true v.

    python benchmarks/studies/verdict_simulation.py --json

The record is benchmarks/results/verdict_simulation.jsonl, which --write replaces; all rows take about ten minutes.
"""

import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.common.console import arguments, markdown, say
from benchmarks.common.record import RESULTS, Record
from genaug.studies.arms import CLASSIC, Arm, all_arms, arms_to_test
from genaug.studies.compare import overlap_correction, paired_difference
from genaug.studies.decide import judge, select

RECORD = Record(RESULTS / "verdict_simulation.jsonl")
IMAGES = 500
SEED_EFFECT, NOISE_SD = 0.01, 0.009
ARMS = all_arms(["source"], [0.25, 0.5])
ACCURACY = 0.9
Means = Callable[[Arm], float]


def level(none: float, classic: float, source: float) -> Means:
    """True means of the arms, in points around the common accuracy; the noise control is as good as none."""
    return lambda arm: 0.01 * (source if arm.candidate else classic if arm == CLASSIC else none)


def one_arm(none: float, classic: float, source: float) -> Means:
    """The same, if the source is better than classic at one ratio only, with classic augmentation."""
    best = Arm("source", 0.5, True)
    return lambda arm: 0.01 * (source if arm == best else classic if arm == CLASSIC or arm.candidate else none)


# By name: true means, the verdict that is counted, and its bound.
ERRORS: dict[str, tuple[Means, str, float]] = {
    "source equals classic, 2 above none": (level(-2, 0, 0), "use", 0.028),
    "source .25 below classic, 2 above none": (level(-2.25, 0, -0.25), "use", 0.015),
    "all equal": (level(0, 0, 0), "use", 0.01),
    "source equals classic, 2 above none: harm": (level(-2, 0, 0), "don't use", 0.03),
    "all equal: harm": (level(0, 0, 0), "don't use", 0.03),
}
# By name: true means, and the bounds by number of seeds.
POWERS: dict[str, tuple[Means, dict[int, float]]] = {
    "source 2 above classic, 4 above none": (level(-2, 0, 2), {5: 0.7, 10: 0.97}),
    "one arm of four 2 above classic": (one_arm(-2, 0, 2), {}),
}
SEEDS, SPREADS = (5, 10), (0.063, 0.13)
SHARES, OVERLAPS = (1.0, 0.5, 0.2), (0.2, 0.5, 0.8)


def simulate(means: Means, seeds: int, spread: float, studies: int, rng: np.random.Generator) -> dict[str, float]:
    """The shares of studies that say "use" and "don't use"."""
    true = np.array([ACCURACY + means(arm) for arm in ARMS])[:, None]
    counts = {"use": 0, "don't use": 0, "no evidence": 0}
    for _ in range(studies):
        effect = rng.normal(0, SEED_EFFECT, seeds)
        inner = true + effect + rng.normal(0, spread, (len(ARMS), seeds))
        test = true + effect + rng.normal(0, NOISE_SD, (len(ARMS), seeds))
        chosen = select(_table(inner), range(seeds))
        tested = arms_to_test(chosen)
        table = {arm: row for arm, row in _table(np.round(test * IMAGES) / IMAGES).items() if arm in tested}
        counts[judge(chosen, table, range(seeds), resolution=1 / IMAGES).verdict] += 1
    return {verdict: count / studies for verdict, count in counts.items()}


def _table(accuracies: np.ndarray) -> dict[Arm, dict[int, float]]:
    return {arm: dict(enumerate(row)) for arm, row in zip(ARMS, accuracies.tolist(), strict=True)}


def coverage(
    share: float, overlap: float, seeds: int, studies: int, rng: np.random.Generator, assumed: float
) -> tuple[float, float]:
    """How often the 95% interval holds the true difference, and its mean width in standard deviations.

    A difference is the mean over a seed's training images of what each contributes, drawn for the whole training set,
    and the noise of a training besides.
    """
    pool, covered, width = 200, 0, 0.0
    size = round(overlap * pool)
    correction = overlap_correction(overlap, assumed)
    for _ in range(studies):
        contributions = rng.normal(0, 1, pool)
        chosen = rng.permuted(np.tile(np.arange(pool), (seeds, 1)), axis=1)[:, :size]
        of_images = contributions[chosen].mean(1) * math.sqrt(size)
        differences = math.sqrt(share) * of_images + math.sqrt(1 - share) * rng.normal(0, 1, seeds)
        interval = paired_difference(differences.tolist(), [0.0] * seeds, correction=correction)
        assert interval.low is not None
        assert interval.high is not None
        covered += interval.low <= 0 <= interval.high
        width += interval.high - interval.low
    return covered / studies, width / studies


def rows(studies: int) -> list[dict[str, Any]]:
    """Every row with its bound, and whether that is met."""
    results: list[dict[str, Any]] = []

    def add(row: dict[str, Any]) -> None:
        results.append(row)
        say("  ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in row.items()))

    for seeds in SEEDS:
        for spread in SPREADS:
            of: dict[str, dict[str, float]] = {}
            for name, (means, verdict, most) in ERRORS.items():
                key = name.removesuffix(": harm")
                if key not in of:
                    of[key] = simulate(means, seeds, spread, studies, np.random.default_rng(0))
                value = of[key][verdict]
                row = {"kind": "error", "case": key, "seeds": seeds, "spread": spread, "verdict": verdict}
                add({**row, "studies": studies, "share": value, "most": most, "met": value <= most})
            for name, (means, least) in POWERS.items():
                value = simulate(means, seeds, spread, studies, np.random.default_rng(0))["use"]
                row = {"kind": "power", "case": name, "seeds": seeds, "spread": spread, "verdict": "use"}
                bound = {"least": least[seeds], "met": value >= least[seeds]} if seeds in least else {}
                add({**row, "studies": studies, "share": value, **bound})
        for share in SHARES:
            for overlap in OVERLAPS:
                for assumed in dict.fromkeys((1.0, share)):
                    rng = np.random.default_rng(0)
                    value, width = coverage(share, overlap, seeds, studies, rng, assumed)
                    row = {"kind": "coverage", "v": share, "f": overlap, "v assumed": assumed, "seeds": seeds}
                    most = 0.99 if share == assumed == 1 else 1.0
                    met = 0.93 <= value <= most
                    add({**row, "studies": studies, "share": value, "width": width, "least": 0.93, "met": met})
    return results


def tables(results: list[dict[str, Any]]) -> str:
    """The rows as tables: errors and power by case, coverage by overlap."""

    def share(value: float) -> str:
        return f"{100 * value:.1f}%"

    def at(kind: str, **only: Any) -> list[dict[str, Any]]:
        return [row for row in results if row["kind"] == kind and all(row[k] == v for k, v in only.items())]

    settings = [(seeds, spread) for seeds in SEEDS for spread in SPREADS]
    lines = []
    cases = dict.fromkeys((row["kind"], row["case"], row["verdict"]) for row in results if row["kind"] != "coverage")
    for kind, case, verdict in cases:
        rows = [at(kind, case=case, verdict=verdict, seeds=n, spread=spread)[0] for n, spread in settings]
        bounds = {f"≤ {share(r['most'])}" if "most" in r else f"≥ {share(r['least'])}" for r in rows if "met" in r}
        lines.append([case, verdict, *(share(row["share"]) for row in rows), " and ".join(sorted(bounds)) or "–"])
    columns = [f"{seeds} seeds, spread {spread:g}" for seeds, spread in settings]
    verdicts, lines = markdown(["truth", "says", *columns, "bound"], lines), []
    for v in SHARES:
        for assumed in dict.fromkeys((1.0, v)):
            rows = [at("coverage", v=v, f=f, seeds=n, **{"v assumed": assumed})[0] for n in SEEDS for f in OVERLAPS]
            cells = [f"{share(row['share'])} ({row['width']:.1f})" for row in rows]
            lines.append([f"v = {v:g}", f"{assumed:g}", *cells])
    columns = [f"{n} seeds, f = {f:g}" for n in SEEDS for f in OVERLAPS]
    return f"{verdicts}\n\n{markdown(['coverage of 95% intervals (width in sd)', 'v assumed', *columns], lines)}"


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--studies", type=int, default=20_000, help="in every row")
    parser.add_argument("--write", action="store_true", help="replace the record")
    parser.add_argument("--table", action="store_true", help="print the record as Markdown, and end")
    options = parser.parse_args()
    if options.table:
        print(tables(RECORD.rows({})))
        return
    results = rows(options.studies)
    if options.write:
        RECORD.replace({}, results)
    if options.json:
        bound = [row for row in results if "met" in row]
        shares = {
            f"most_{v.replace(' ', '_').replace(chr(39), '')}": max(
                row["share"] for row in results if row["kind"] == "error" and row["verdict"] == v
            )
            for v in ("use", "don't use")
        }
        print(
            json.dumps({"rows": len(results), "with_bound": len(bound), "met": sum(r["met"] for r in bound), **shares})
        )


if __name__ == "__main__":
    main()
