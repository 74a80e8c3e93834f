"""Rare positives in tables: do generated rows help more than class weights, over-sampling and SMOTE?

Adult, mammography and phoneme, with the positive class cut to 1% of the training rows of each seed and of the test
rows. Ten paired seeds; gradient-boosted trees and logistic regression; ``tvae`` and ``wgan-gp-table`` trained for every
seed, on that seed's rows alone, with the same numbers of updates. All arms are scored on the test set by average
precision, by which the study chooses and judges, by the recall at 1% false alarms, and by macro-F1. The verdict's arm
and the baselines are then trained and tested on a fresh split of the table into training and test rows.

    OMP_NUM_THREADS=1 python benchmarks/tables/rare.py --root TABLES --workers 2 --json

TABLES has adult-train.csv, adult-test.csv, mammography.csv and phoneme.csv, without headers. Finished cells are in
benchmarks/results/rare.jsonl; a run continues where the last one stopped. --table prints what is finished as Markdown;
--estimate runs one seed's classifiers and a few steps of the generators, and prints what a full run costs.
"""

import argparse
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import roc_curve
from torch import Tensor

from benchmarks.common.console import arguments, end, markdown, plain, say
from benchmarks.common.record import RESULTS, Record
from benchmarks.studies.tracked import Cells, Settings, recorded, run_arms, tracked, training_seconds
from benchmarks.tables.sets import TARGET, read_set, split_in_two
from genaug.data.tables import TableDataset
from genaug.studies import Recipe
from genaug.studies.arms import Arm, arms_of, baselines_of
from genaug.studies.cells import Ledger, StudyFolder
from genaug.studies.compare import Difference, overlap_correction, paired_difference
from genaug.studies.decide import Judgement, judge, select
from genaug.studies.jobs import Job, Work, one_thread, run_job, trained
from genaug.studies.metrics import Metric, Predictions
from genaug.studies.options import Options
from genaug.studies.preparation import prepare

ROWS = {
    "adult": 1800,
    "mammography": 2000,
    "phoneme": 1000,
}  # of a seed; adult's and phoneme's positives suffice for 10
SHARE = 0.01  # of the positive class
RATIOS = (0.25, 0.5)
SOURCES = {"tvae": Recipe("tvae", steps=2000), "wgan-gp-table": Recipe("wgan-gp-table", steps=2000)}
BASELINES = ("none", "weights", "oversample", "smote")
STUDY, FRESH = 0, 1  # the numbers of the splits


@dataclass(frozen=True)
class RecallAtFalseAlarms:
    """The share of positive samples that are recognized when 1% of the negative ones raise a false alarm."""

    label: int
    key: str = "recall_at_1_percent"
    false_alarms: float = 0.01

    def of(self, predictions: Predictions, labels: Tensor) -> float:
        assert predictions.scores is not None
        alarms, recall, _ = roc_curve((labels == self.label).numpy(), predictions.scores[:, self.label].numpy())
        return float(np.max(recall[alarms <= self.false_alarms], initial=0.0))


MEASURES = {
    "average_precision": "average precision",
    "recall_at_1_percent": "recall at 1% false alarms",
    "macro_f1": "macro-F1",
}


def main(argv: list[str] | None = None) -> None:
    options = _options(argv)
    if options.table:
        results = {name: result_of(name, Record(options.results)) for name in options.set}
        print("\n\n".join(table_of(name, result) for name, result in results.items() if result is not None))
        end(options, flat(results))
        return
    if options.estimate:
        costs = {name: estimate(name, options) for name in options.set}
        say(f"{sum(costs.values()):.1f} hours of one core in all")
        end(options, {f"{name}_hours": hours for name, hours in costs.items()})
        return
    for name in options.set:
        run_set(name, options)
    end(options, flat({name: result_of(name, Record(options.results)) for name in options.set}))


def _options(argv: list[str] | None) -> argparse.Namespace:
    parser = arguments(__doc__, seeds=10)
    parser.add_argument("--set", action="append", choices=ROWS, help="which tables; all by default")
    parser.add_argument("--root", type=Path, help="folder of the tables' CSV files")
    parser.add_argument("--out", type=Path, default=Path("runs/rare"))
    parser.add_argument("--results", type=Path, default=RESULTS / "rare.jsonl", help="the record")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--estimate", action="store_true", help="print what a full run costs, in hours, and end")
    parser.add_argument("--table", action="store_true", help="print the tables of what is finished, and end")
    options = parser.parse_args(argv)
    options.set = options.set or list(ROWS)
    if options.root is None and not options.table:
        parser.error("--root is needed: the folder of the tables' CSV files")
    return options


def prepared(
    name: str, split: int, seeds: int, folder: Path, options: argparse.Namespace, sources: Mapping[str, Recipe]
) -> tuple[Work, dict[str, Any]]:
    """The work of a study on a split of a table, and its settings with the statistics that a verdict needs."""
    train, test = split_in_two(read_set(name, options.root), split, SHARE)
    positives = round(ROWS[name] * SHARE)
    work, settings, subsets = prepare(
        TableDataset(train, TARGET),
        test,
        StudyFolder(folder),
        Options(
            sources=sources,
            ratios=RATIOS,
            seeds=seeds,
            labels_per_class={"no": ROWS[name] - positives, "yes": positives},
            metric="average_precision:yes",
            baselines=BASELINES,
            device="cpu",
        ),
    )
    assert work.metric.label is not None
    also = (RecallAtFalseAlarms(work.metric.label), Metric("macro_f1"))
    settings |= {"overlap": subsets.overlap, "resolution": work.metric.resolution(work.test.labels)}
    return replace(work, also=also), settings


def run_set(name: str, options: argparse.Namespace) -> None:
    """Run what isn't in the record yet: all arms on the study's split, then the chosen one and the baselines on the
    fresh split."""
    record = Record(options.results)
    for split in (STUDY, FRESH):
        study, folder = study_name(name, split), options.out / plain(study_name(name, split)).replace(",", "")
        with tracked(record, study, folder):
            work, settings = prepared(name, split, options.seeds, folder, options, SOURCES)
            with work.folder.claimed(resume=True, overwrite=False):
                if split == STUDY:
                    arms = tuple(arms_of(settings))
                    for phase in ("inner", "test"):
                        run_arms(work, settings, settings["seeds"], arms, options.workers, f"{study}, {phase}", phase)
                    continue
                judgement = verdict_of(*recorded(record, study_name(name, STUDY)))
                chosen = () if judgement is None or judgement.chosen is None else (judgement.chosen,)
                arms = (*baselines_of(settings), *chosen)
                run_arms(work, settings, settings["seeds"], arms, options.workers, study)


def study_name(name: str, split: int) -> str:
    return f"{name}, split {split}"


def verdict_of(settings: Settings, cells: Cells) -> Judgement | None:
    """The verdict of a study whose cells are complete; None if some are missing."""
    if settings is None:
        return None
    ledger, seeds, arms = Ledger(cells), settings["seeds"], arms_of(settings)
    phases = ("inner", "test")
    if not all(ledger.tried(phase, seed, arm.name) for phase in phases for arm in arms for seed in seeds):
        return None
    inner, test = ({arm: ledger.scores(phase, arm.name, "average_precision") for arm in arms} for phase in phases)
    baselines = baselines_of(settings)
    return judge(
        select(inner, seeds, baselines),
        test,
        seeds,
        correction=overlap_correction(settings["overlap"]),
        resolution=settings["resolution"],
        baselines=baselines,
        inner=inner,
    )


def result_of(name: str, record: Record) -> dict[str, Any] | None:
    """The verdict, each arm's measures, and the fresh split's differences; None if the study isn't finished."""
    settings, cells = recorded(record, study_name(name, STUDY))
    judgement = verdict_of(settings, cells)
    if judgement is None or settings is None:
        return None
    closest = min(judgement.decisive, key=lambda c: c.difference.mean, default=None)
    fresh = fresh_differences(judgement, *recorded(record, study_name(name, FRESH)))
    least = min(fresh.values(), key=lambda difference: difference.mean, default=None)
    return {
        "verdict": judgement.verdict,
        "chosen": None if judgement.chosen is None else judgement.chosen.name,
        "closest": None if closest is None else closest.baseline.name,
        "gain": None if closest is None else closest.difference,
        "fresh_closest": None if least is None else next(n for n, d in fresh.items() if d is least),
        "fresh": least,
        # "use" promises a gain over all baselines, so a smaller mean than that of any of them contradicts it
        "contradicted": judgement.verdict == "use" and least is not None and least.mean < 0,
        "arms": [row_of(arm, settings, Ledger(cells)) for arm in arms_of(settings)],
        "seconds": sum(cell.get("seconds", 0) for cell in cells),
    }


def fresh_differences(judgement: Judgement, settings: Settings, cells: Cells) -> dict[str, Difference]:
    """The chosen arm's differences from the baselines on the fresh split, by baseline, without those that failed."""
    chosen = judgement.chosen
    if settings is None or chosen is None:
        return {}
    ledger, seeds = Ledger(cells), settings["seeds"]
    own = ledger.scores("test", chosen.name, "average_precision")
    correction, differences = overlap_correction(settings["overlap"]), {}
    for baseline in judgement.baselines:
        base = ledger.scores("test", baseline.name, "average_precision")
        if all(seed in own and seed in base for seed in seeds):
            values = [[row[seed] for seed in seeds] for row in (own, base)]
            differences[baseline.name] = paired_difference(
                *values, correction=correction, resolution=settings["resolution"]
            )
    return differences


def row_of(arm: Arm, settings: Mapping[str, Any], ledger: Ledger) -> dict[str, Any]:
    """An arm's mean of each measure on the test set, and its difference from "none" of the same classifier, with a 95%
    interval that isn't corrected for the number of arms; without those that failed."""
    seeds: list[int] = settings["seeds"]
    row: dict[str, Any] = {"arm": arm.name}
    plain_arm = Arm(classifier=arm.classifier)
    for key in MEASURES:
        own, base = (ledger.scores("test", each.name, key) for each in (arm, plain_arm))
        if not all(seed in own and seed in base for seed in seeds):
            continue
        values = [[scores[seed] for seed in seeds] for scores in (own, base)]
        row[key] = sum(values[0]) / len(seeds)
        if arm != plain_arm:
            row[f"{key}_gain"] = paired_difference(*values, correction=overlap_correction(settings["overlap"]))
    return row


def interval(difference: Difference | None) -> str:
    if difference is None or difference.low is None or difference.high is None:
        return "–"
    numbers = f"{100 * difference.mean:+.1f} ({100 * difference.low:+.1f} to {100 * difference.high:+.1f})"
    return numbers.replace("-", "−")


def table_of(name: str, result: Mapping[str, Any]) -> str:
    """A data set's arms, as Markdown, and its verdict."""
    rows = []
    for row in result["arms"]:
        cells = [f"**{row['arm']}**" if row["arm"] == result["chosen"] else row["arm"]]
        for key in MEASURES:
            cells += [f"{100 * row[key]:.1f}%" if key in row else "failed", interval(row.get(f"{key}_gain"))]
        rows.append(cells)
    head = ["arm", *(text for noun in MEASURES.values() for text in (noun, "against none, points (95%)"))]
    verdict = f"{name}: {result['verdict']}"
    if result["gain"] is not None:
        verdict += (
            f"; {result['chosen']} against {result['closest']}, the closest baseline: {interval(result['gain'])} "
            "points of average precision"
        )
    if result["fresh"] is not None:
        verdict += f"; on a fresh split, against {result['fresh_closest']}: {interval(result['fresh'])}"
    return f"{verdict}\n\n{markdown(head, rows)}"


def flat(results: Mapping[str, Mapping[str, Any] | None]) -> dict[str, Any]:
    """The results as flat JSON."""
    flattened: dict[str, Any] = {}
    for name, result in results.items():
        if result is None:
            continue
        flattened |= {f"{name}_{key}": result[key] for key in ("verdict", "chosen", "contradicted")}
        flattened[f"{name}_hours"] = result["seconds"] / 3600
        for key in ("gain", "fresh"):
            difference: Difference | None = result[key]
            if difference is not None:
                flattened |= {f"{name}_{key}": difference.mean, f"{name}_{key}_low": difference.low}
        for row in result["arms"]:
            flattened |= {f"{name}_{key}_{plain(row['arm'])}": row[key] for key in MEASURES if key in row}
    flattened["contradicted_uses"] = sum(bool(r and r["contradicted"]) for r in results.values())
    return flattened


def estimate(name: str, options: argparse.Namespace) -> float:
    """What a full run on a data set costs here, in hours of one core: from one seed's cells of all arms on the test
    set, with generators that were trained for a few steps."""
    with tempfile.TemporaryDirectory() as scratch:
        sources = {source: replace(recipe, steps=1) for source, recipe in SOURCES.items()}
        work, settings = prepared(name, STUDY, 2, Path(scratch) / "study", options, sources)
        cells: list[dict[str, Any]] = []
        with work.folder.claimed(resume=False, overwrite=False):
            work.folder.open(settings, work.trained(), resume=False)
            run_job(work, Job("test", 0, tuple(arms_of(settings))), cells.append)
        samples = work.train.part(work.rows[0])
        with one_thread():
            training = sum(training_seconds(work, *pair, samples, Path(scratch)) for pair in SOURCES.items())
    for cell in cells:
        if "error" in cell:
            say(f"{name}: {cell['name']} failed: {cell['error']}")
    fits = sum(cell.get("seconds", 0) for cell in cells if cell["name"] not in map(trained, SOURCES))
    # all arms in both phases of the study; on the fresh split one of the generators, and the baselines
    hours = options.seeds * (2.5 * training + 2.3 * fits) / 3600
    say(
        f"{name}: {len(cells)} cells of one seed, {len(work.test):,} test rows; a full run costs about {hours:.2f} "
        "hours of one core here"
    )
    return hours


if __name__ == "__main__":
    main()
