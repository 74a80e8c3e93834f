"""The demo and the two studies on ten digits per class that the docs quote, with every seed's accuracies.

* ``demo``: what ``genaug demo`` measures, with its own settings.
* ``own digits``: a study whose generators are trained for every seed, on that seed's 100 digits alone.
* ``pretrained``: the same with the generator of ``model_cards/digits-cgan``, which has seen all training digits.

    OMP_NUM_THREADS=1 python benchmarks/small_studies.py --json

Finished cells of the studies, and the demo's report, are in benchmarks/results/small_studies.jsonl; a run goes on where
the last one stopped. --table prints what is finished as Markdown, from these lines alone.
"""

import argparse
import json
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

from mnist_low_label import report_of
from tracked_cells import TrackedCells

import genaug
from genaug.data.datasets import load_data
from genaug.demo.report import demo_rows
from genaug.demo.run import DemoSettings, run_demo
from genaug.studies import Recipe
from genaug.studies.report import Report
from genaug.studies.study_page import study_rows

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "small_studies.jsonl"
CARD = HERE.parent / "model_cards" / "digits-cgan"
DEMO, OWN, PRETRAINED = "demo", "own digits", "pretrained"


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", choices=[DEMO, OWN, PRETRAINED], action="append", help="all by default")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--updates", type=int, default=300, help="of every classifier of the studies")
    parser.add_argument("--steps", type=int, default=800, help="of the generators that are trained for every seed")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--out", type=Path, default=Path("runs/small_studies"))
    parser.add_argument("--table", action="store_true", help="tell of what is finished, and end")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    names, tracked = options.only or [DEMO, OWN, PRETRAINED], TrackedCells(options.results)
    result: dict[str, Any] = {}
    for name in names:
        if name == DEMO:
            report = tracked.result(DEMO)
            if report is None and not options.table:
                report = measured_demo(options)
                tracked.keep(DEMO, report)
            if report is not None:
                result |= tell_demo(report)
            continue
        if not options.table:
            run_study(name, tracked, options)
        study = report_of(*tracked.cells(name))
        if study is not None:
            result |= tell_study(name, study)
    if options.json:
        print(json.dumps(result))


def measured_demo(options: argparse.Namespace) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as scratch:
        return run_demo(Path(scratch) / "demo", settings=DemoSettings(seeds=options.seeds), progress=False)


def run_study(name: str, tracked: TrackedCells, options: argparse.Namespace) -> None:
    train, test = (load_data("digits", split=split) for split in ("train", "test"))
    if name == OWN:
        source: Any = Recipe("cgan", options.steps, config={"width": 16})
        sources, ratios = {"cgan": source}, (0.25, 0.5)
    else:
        sources, ratios = {"digits-cgan": genaug.load(CARD, device="cpu")}, (0.5, 0.75)
    folder = options.out / name.replace(" ", "-")
    with tracked.study(name, folder):
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
    print(f"{DEMO}\n{demo_table(report)}\n{report['verdict']}\n", file=sys.stderr)
    result: dict[str, Any] = {"demo_verdict": report["verdict"], "demo_seconds": report["seconds"]["total"]}
    for arm, found in report["arms"].items():
        result[f"demo_accuracy_{plain(arm)}"] = found["mean"]
    for name, found in report["differences"].items():
        for of in ("mean", "low", "high"):
            result[f"demo_{plain(name)}_{of}"] = found[of]
    return result


def tell_study(name: str, report: Report) -> dict[str, Any]:
    print(f"{name}\n{study_table(report)}\n{report.sentence}\n", file=sys.stderr)
    key = plain(name)
    result: dict[str, Any] = {f"{key}_verdict": report.verdict, f"{key}_ratio": report.ratio}
    for arm in report.details["accuracies"]["test"]:
        values = report.accuracies(arm)
        result[f"{key}_accuracy_{plain(arm)}"] = sum(values) / len(values)
    return result


def demo_table(report: dict[str, Any]) -> str:
    head, rows = demo_rows(report)
    return markdown(head, rows)


def study_table(report: Report) -> str:
    """The test set's accuracies; the arm that was chosen on the inner splits in bold."""
    head, rows = study_rows(report.details)
    chosen = report.details["chosen"] and report.details["chosen"]["name"]
    return markdown(head, [[f"**{row[0]}** (chosen)" if row[0] == chosen else row[0], *row[1:]] for row in rows])


def markdown(head: list[str], rows: list[list[str]]) -> str:
    """A table whose cells say what stands on a second line in brackets."""
    told = [[re.sub(r"\n(.*)", r" (\1)", cell) for cell in row] for row in [head, *rows]]
    lines = [f"| {' | '.join(row)} |" for row in told]
    return "\n".join([lines[0], "|---" * len(head) + "|", *lines[1:]])


def plain(name: str) -> str:
    return name.replace(" + ", "_and_").replace(" - ", "_less_").replace(" ", "_").replace("-", "_")


if __name__ == "__main__":
    main()
