"""``genaug demo``: whether generated images help a classifier of a few labeled digits."""

from pathlib import Path
from typing import Annotated

import typer

from genaug import checks
from genaug.cli.printing import console, say, table


def demo(
    out: Annotated[
        Path, typer.Option(help="Folder for report.html, report.json, samples.png and a trained generator.")
    ] = Path("runs/demo"),
    seed: Annotated[
        int, typer.Option(min=0, max=checks.SEED, help="The first seed; each seed draws other digits and weights.")
    ] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the demo in the folder.")] = False,
) -> None:
    """Show on a few digits whether generated images help a classifier.

    Needs neither a network connection nor a GPU.
    """
    from genaug.demo.report import demo_rows
    from genaug.demo.run import DemoSettings, run_demo

    report = run_demo(out, settings=DemoSettings(seed=seed), overwrite=overwrite)
    title = f"{report['settings']['labels_per_class']} labels per class, {len(report['seeds'])} seeds, accuracy in %"
    console().print(table(title, *demo_rows(report)))
    say(report["verdict"])
    say(f"Report: {out / 'report.html'}")
