"""Writes docs/papers.md from the records in benchmarks/results: what each paper's script has found so far.

    python benchmarks/papers/results_page.py

The page is made of the records alone, so that nobody can put a figure there by hand: a test compares the two.
"""

import argparse
import statistics
from collections.abc import Sequence
from pathlib import Path

from paper_tables import SCRIPTS, Bound, Measure, Row, Script
from record import TUNING, Record, say

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results"
PAGE = ROOT / "docs" / "papers.md"
SIGNS = {">=": "≥", "<=": "≤", "<": "<"}

HEAD = """# The papers' tables

What `make papers` has found, on the machine of [the other results](results.md). `benchmarks/papers/results_page.py`
writes this page from `benchmarks/results/*.jsonl` and nothing else; whatever is changed by hand here fails a test. Each
script appends finished seeds to its record and goes on from it. `MNIST_ROOT` is a folder with torchvision's MNIST;
`CIFAR_ROOT` one with its CIFAR-10, or with class folders under `train/` and `test/`.

All seeds are shown. Hours are those of the recorded seeds, beside whatever else the machine did.
"""


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--out", type=Path, default=PAGE)
    options = parser.parse_args(arguments)
    new = options.out.with_suffix(".new")
    new.write_text(page(options.results), encoding="utf-8")
    new.replace(options.out)
    say(f"written: {options.out}")


def page(results: Path) -> str:
    """The whole page, as Markdown."""
    found = [(script, rows, script.measures(rows)) for script in SCRIPTS for rows in [rows_of(script, results)]]
    lines = ["| script | what | seeds | targets met |", "|---|---|---|---|"]
    for script, rows, measures in found:
        judged = [measure.met for measure in measures if measure.bound]
        met = f"{sum(m is True for m in judged)} of {len(judged)}" if rows and judged else "–"
        lines.append(f"| `{script.file}` | {script.title} | {progress(script, rows, measures)} | {met} |")
    return "\n".join([HEAD, *lines, *(section(*each, results) for each in found)]) + "\n"


def rows_of(script: Script, results: Path) -> list[Row]:
    """A script's recorded seeds with the settings of its latest ones. Seeds that served for tuning are left out."""
    rows = Record(results / f"{script.name}.jsonl").rows(dict(script.only))
    rows = [row for row in rows if script.seed in row and row[script.seed] < TUNING]

    def kind(row: Row) -> tuple[str, ...]:
        return tuple(str(row.get(name)) for name in script.kind)

    def agree(row: Row, latest: Row, names: tuple[str, ...]) -> bool:
        return all(row.get(name) == latest.get(name) for name in names)

    own = {kind(row): row for row in rows}
    return [row for row in rows if agree(row, rows[-1], script.same) and agree(row, own[kind(row)], script.own)]


def finished(measures: list[Measure]) -> int:
    """The seeds that all measures have."""
    return min(len(measure.values) for measure in measures if measure.asked)


def progress(script: Script, rows: list[Row], measures: list[Measure]) -> str:
    if not rows:
        return "not run yet"
    done = finished(measures)
    return f"{done}" if done >= script.seeds else f"partial: {done} of {script.seeds}"


def section(script: Script, rows: list[Row], measures: list[Measure], results: Path) -> str:
    steps = rows[-1].get("steps") if rows else None
    command = f"python benchmarks/{script.file} {script.arguments}{f' --steps {steps}' if steps else ''} --json"
    lines = [f"\n## {script.title}\n", f"<!-- not run: takes minutes -->\n```bash\n{command}\n```\n"]
    if not rows:
        lines.append(f"Not run yet. A full run takes about {script.hours:g} hours of one core there.")
        return "\n".join(lines)
    hours = sum(row.get("seconds") or 0 for row in rows) / 3600
    unit = "rounds" if script.seed == "round" else "seeds"
    state = (
        f"{progress(script, rows, measures)} {unit}"
        if finished(measures) >= script.seeds
        else (f"Partial: {finished(measures)} of {script.seeds} {unit} have all figures")
    )
    lines += [f"{state}, {hours:.1f} hours so far.\n" if "Partial" in state else f"{state}, {hours:.1f} hours.\n"]
    if script.text:
        lines.append(script.text(rows))
    else:
        lines += ["| measure | every seed | median (range) | target | paper | met |", "|---|---|---|---|---|---|"]
        lines += [table_row(measure, script.seeds) for measure in measures]
    lines += [f"\n{script.note}"] if script.note else []
    pictures = sorted(results.glob(f"{script.figures or script.name}*.png"))
    lines += [f"\n![{picture.stem}](../benchmarks/results/{picture.name})" for picture in pictures]
    return "\n".join(lines)


def table_row(measure: Measure, asked: int) -> str:
    values = list(measure.values.values())
    shown = [told(value, measure.form) for value in values]
    middle = "–"
    if values:
        middle = told(statistics.median(values), measure.form)
        middle += (
            f" ({told(min(values), measure.form)} to {told(max(values), measure.form)})" if len(values) > 1 else ""
        )
    verdict = {None: "–", True: "yes", False: "**no**"}[measure.met]
    if measure.bound and len(values) < asked:
        verdict = f"{verdict}, so far" if values else "not run yet"
    cells = [
        measure.label,
        ", ".join(shown) or "–",
        middle,
        target(measure.bound, measure.form),
        measure.paper,
        verdict,
    ]
    return f"| {' | '.join(cells)} |"


def target(bound: Bound | None, form: str) -> str:
    if bound is None:
        return "–"
    if bound.of == "paired t-test":
        return f"mean {SIGNS[bound.sign]} {bound.limit:g}, p < .05 (paired t-test)"
    limit = f"{100 * bound.limit:g} %" if form.endswith("%") else f"{bound.limit:g}"
    return f"{SIGNS[bound.sign]} {limit} ({bound.of})"


def told(value: float, form: str) -> str:
    return format(value, form).replace("%", " %").replace("-", "−")


if __name__ == "__main__":
    main()
