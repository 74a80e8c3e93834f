"""``genaug demo``: from a few labelled digits to the answer whether generated ones help."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from genaug import checks
from genaug.cli.printing import console, say, table

if TYPE_CHECKING:
    from rich.table import Table


def demo(
    out: Annotated[
        Path, typer.Option(help="Folder for report.html, report.json, samples.png and a trained generator.")
    ] = Path("runs/demo"),
    seed: Annotated[
        int, typer.Option(min=0, max=checks.SEED, help="First of the seeds; each draws other digits and weights.")
    ] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the demo that the folder holds.")] = False,
) -> None:
    """See on a few digits whether generated images help a classifier.

    Needs neither a network connection nor a GPU.
    """
    from genaug.demo.run import DemoSettings, run_demo

    report = run_demo(out, settings=DemoSettings(seed=seed), overwrite=overwrite)
    console().print(_table(report))
    say(report["verdict"])
    say(f"Report: {out / 'report.html'}")


def _table(report: dict[str, Any]) -> "Table":
    from genaug.demo.report import demo_rows

    head, rows = demo_rows(report)
    times = len(report["seeds"])
    title = f"{report['settings']['labels_per_class']} labels a class, {times} seeds, accuracy in %"
    return table(title, head, rows)
