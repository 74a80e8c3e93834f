"""The demo and the two studies on ten digits per class that the docs quote, with every seed's accuracies.

* ``demo``: what ``genaug demo`` measures, with its own settings.
* ``own digits``: a study whose generators are trained for every seed, on that seed's 100 digits alone.
* ``pretrained``: the same with the generator of ``model_cards/digits-cgan``, which has seen all training digits.

    OMP_NUM_THREADS=1 python benchmarks/studies/small_studies.py --json

Finished cells of the studies, and the demo's report, are in benchmarks/results/small_studies.jsonl; a run goes on where
the last one stopped. --table prints what is finished as Markdown, from these lines alone.
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

import genaug
from benchmarks.common.console import arguments, end, markdown, plain, say
from benchmarks.common.record import RESULTS, Record
from benchmarks.studies.tracked import recorded, report_of, tracked
from genaug.data import load_data
from genaug.demo.report import demo_rows
from genaug.demo.run import DemoSettings, run_demo
from genaug.studies import Recipe
from genaug.studies.report import Report
from genaug.studies.study_figures import study_rows

CARD = Path(__file__).parents[2] / "model_cards" / "digits-cgan"
DEMO, OWN, PRETRAINED = "demo", "own digits", "pretrained"


def main(argv: list[str] | None = None) -> None:
    parser = arguments(__doc__, seeds=5)
    parser.add_argument("--only", choices=[DEMO, OWN, PRETRAINED], action="append", help="all by default")
    parser.add_argument("--updates", type=int, default=300, help="of every classifier of the studies")
    parser.add_argument("--steps", type=int, default=800, help="of the generators that are trained for every seed")
    parser.add_argument("--results", type=Path, default=RESULTS / "small_studies.jsonl")
    parser.add_argument("--out", type=Path, default=Path("runs/small_studies"))
    parser.add_argument("--table", action="store_true", help="tell of what is finished, and end")
    options = parser.parse_args(argv)
    record = Record(options.results)
    result: dict[str, Any] = {}
    for name in options.only or [DEMO, OWN, PRETRAINED]:
        if name == DEMO:
            if record.done({"study": DEMO}) is None and not options.table:
                record.add({"study": DEMO}, {"result": measured_demo(options)})
            if (line := record.done({"study": DEMO})) is not None:
                result |= tell_demo(line["result"])
            continue
        if not options.table:
            run_study(name, record, options)
        study = report_of(*recorded(record, name))
        if study is not None:
            result |= tell_study(name, study)
    end(options, result)


def measured_demo(options: argparse.Namespace) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as scratch:
        return run_demo(Path(scratch) / "demo", settings=DemoSettings(seeds=options.seeds), progress=False)


def run_study(name: str, record: Record, options: argparse.Namespace) -> None:
    train, test = (load_data("digits", split=split) for split in ("train", "test"))
    if name == OWN:
        source: Any = Recipe("cgan", options.steps, config={"width": 16})
        sources, ratios = {"cgan": source}, (0.25, 0.5)
    else:
        sources, ratios = {"digits-cgan": genaug.load(CARD, device="cpu")}, (0.5, 0.75)
    folder = options.out / name.replace(" ", "-")
    with tracked(record, name, folder):
        genaug.study(
            train,
            test,
            sources=sources,
            ratios=ratios,
            seeds=options.seeds,
            labels_per_class=10,
            updates=options.updates,
            device="cpu",
            out=folder,
            resume=True,
        )


def tell_demo(report: dict[str, Any]) -> dict[str, Any]:
    say(f"{DEMO}\n{markdown(*demo_rows(report))}\n{report['verdict']}\n")
    result: dict[str, Any] = {"demo_verdict": report["verdict"], "demo_seconds": report["seconds"]["total"]}
    for arm, figures in report["arms"].items():
        result[f"demo_accuracy_{plain(arm)}"] = figures["mean"]
    for name, figures in report["differences"].items():
        for of in ("mean", "low", "high"):
            result[f"demo_{plain(name)}_{of}"] = figures[of]
    return result


def tell_study(name: str, report: Report) -> dict[str, Any]:
    say(f"{name}\n{study_table(report)}\n{report.sentence}\n")
    key = plain(name)
    result: dict[str, Any] = {f"{key}_verdict": report.verdict, f"{key}_ratio": report.ratio}
    for arm in report.details["scores"]["test"]:
        values = report.scores(arm)
        result[f"{key}_accuracy_{plain(arm)}"] = sum(values) / len(values)
    return result


def study_table(report: Report) -> str:
    """The test set's accuracies; the arm that was chosen on the inner splits in bold."""
    head, rows = study_rows(report.details)
    chosen = report.details["chosen"] and report.details["chosen"]["name"]
    labeled_rows = [[f"**{row[0]}** (chosen)" if row[0] == chosen else row[0], *row[1:]] for row in rows]
    return markdown(head, labeled_rows)


if __name__ == "__main__":
    main()
