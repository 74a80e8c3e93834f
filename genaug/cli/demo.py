"""``genaug demo``: from a few labelled digits to the answer whether generated ones help."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.table import Table


def demo(
    out: Annotated[
        Path, typer.Option(help="Folder for report.html, report.json, samples.png and a trained generator.")
    ] = Path("runs/demo"),
    seed: Annotated[int, typer.Option(min=0, help="First of the seeds; each draws other digits and weights.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the demo that the folder holds.")] = False,
) -> None:
    """See on a few digits whether generated images help a classifier.

    Needs neither a network connection nor a GPU.
    """
    from rich.console import Console

    from genaug.demo import DemoSettings, run_demo

    report = run_demo(out, settings=DemoSettings(seed=seed), overwrite=overwrite)
    console = Console(highlight=False)
    console.print(_table(report))
    console.print(report["verdict"], markup=False)
    console.print(f"Report: {out / 'report.html'}", markup=False, soft_wrap=True)


def _table(report: dict[str, Any]) -> "Table":
    from rich.table import Table

    from genaug.demo_report import demo_rows

    head, rows = demo_rows(report)
    times = len(report["seeds"])
    table = Table(title=f"{report['settings']['labels_per_class']} labels a class, {times} seeds, accuracy in %")
    for number, name in enumerate(head):
        table.add_column(name, justify="right" if number else "left")
    for row in rows:
        table.add_row(*row)
    return table
