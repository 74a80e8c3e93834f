"""Writes docs/papers.md from the records in benchmarks/results: the results of each paper's script.

    python benchmarks/papers/results_page.py

The page contains nothing but the records, so that no figure is entered by hand: a test compares the two. The same
applies to the parts of docs/results.md between marks: the commands and the targets of the papers' scripts, and the
tables of the studies of series.
"""

import argparse
import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from benchmarks.common.console import markdown, say
from benchmarks.common.record import RESULTS, TUNING, Record
from benchmarks.papers.measures import Measure, Row
from benchmarks.papers.paper_tables import SCRIPTS, Script
from benchmarks.studies import series_low_label

DOCS = Path(__file__).parents[2] / "docs"
SIGNS = {">=": "≥", "<=": "≤", "<": "<"}

HEAD = """# The papers' tables

The results of `make papers`, on the machine of [the other results](results.md). `benchmarks/papers/results_page.py`
generates this page from `benchmarks/results/*.jsonl`; a test fails if it is edited by hand. Each script appends
finished seeds to its record and continues from there. `MNIST_ROOT` is a folder with torchvision's MNIST, and
`CIFAR_ROOT` one with its CIFAR-10, or with class folders under `train/` and `test/`.

All seeds are listed. Hours are those of the recorded seeds, on a machine that also did other work.
"""


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--docs", type=Path, default=DOCS, help="folder of papers.md and results.md")
    options = parser.parse_args(arguments)
    papers, results = options.docs / "papers.md", options.docs / "results.md"
    updated = with_records(results.read_text(encoding="utf-8"), options.results)
    for path, text in ((papers, page(options.results)), (results, updated)):
        new = path.with_suffix(".new")
        new.write_text(text, encoding="utf-8")
        new.replace(path)
        say(f"wrote {path}")


Entry = tuple[Script, list[Row], list[Measure]]


def entries_of(results: Path) -> list[Entry]:
    """Every script with its recorded rows and its measures."""
    recorded = [(script, rows_of(script, results)) for script in SCRIPTS]
    return [(script, rows, script.measures(rows)) for script, rows in recorded]


def with_records(text: str, results: Path) -> str:
    """A page's text, with the parts between marks replaced by what the records say."""
    for name, part in PARTS.items():
        begin, end = marks(name)
        before, _, rest = text.partition(begin)
        _, mark, after = rest.partition(end)
        if not mark:
            raise ValueError(f"expected the lines {begin!r} and {end!r} in the page, in this order")
        text = f"{before}{begin}\n{part(results)}\n{end}{after}"
    return text


def marks(name: str) -> tuple[str, str]:
    """The lines before and after a part of docs/results.md."""
    return f"<!-- {name}: begin, written by results_page.py -->", f"<!-- {name}: end -->"


def series_studies(results: Path) -> str:
    return series_low_label.results_text(Record(results / f"{series_low_label.NAME}.jsonl"))


def targets(entries: list[Entry]) -> str:
    """The commands of the scripts with measures, and a row for each measure with a target."""
    commands = [command(script, rows) for script, rows, _ in entries if not script.text]
    rows = []
    for script, _, measures in entries:
        for measure in (measure for measure in measures if measure.bound):
            seeds = f"{len(measure.values)} of {measure.seeds or script.seeds}"
            cells = [f"`{script.name}`", measure.label, seeds, middle(measure)]
            rows.append([*cells, target(measure), verdict(measure, script.seeds)])
    table = markdown(["script", "measure", "seeds", "median (range)", "target", "met"], rows)
    return "\n".join(["<!-- not run: takes minutes -->", "```bash", *commands, "```\n", table])


PARTS: Mapping[str, Callable[[Path], str]] = {
    "papers": lambda results: targets(entries_of(results)),
    "series": series_studies,
}


def page(results: Path) -> str:
    """The complete page, as Markdown."""
    entries, lines = entries_of(results), []
    for script, rows, measures in entries:
        judged = [measure.met for measure in measures if measure.bound]
        met = f"{sum(m is True for m in judged)} of {len(judged)}" if rows and judged else "–"
        lines.append([f"`{script.file}`", script.title, progress(script, rows, measures), met])
    overview = markdown(["script", "subject", "seeds", "targets met"], lines)
    return "\n".join([HEAD, overview, *(section(*entry, results) for entry in entries)]) + "\n"


def rows_of(script: Script, results: Path) -> list[Row]:
    """A script's recorded seeds with the settings of the latest ones, without the seeds used for tuning."""
    rows = Record(results / f"{script.name}.jsonl").rows(dict(script.only))
    rows = [row for row in rows if script.seed in row and row[script.seed] < TUNING]

    def kind(row: Row) -> tuple[str, ...]:
        return tuple(str(row.get(name)) for name in script.kind)

    def agree(row: Row, latest: Row, names: tuple[str, ...]) -> bool:
        return all(row.get(name) == latest.get(name) for name in names)

    own = {kind(row): row for row in rows}
    return [row for row in rows if agree(row, rows[-1], script.same) and agree(row, own[kind(row)], script.own)]


def finished(measures: list[Measure]) -> int:
    """The number of seeds that all required measures have."""
    return min(len(measure.values) for measure in measures if measure.required)


def progress(script: Script, rows: list[Row], measures: list[Measure]) -> str:
    if not rows:
        return "not run yet"
    done = finished(measures)
    return f"{done}" if done >= script.seeds else f"partial: {done} of {script.seeds}"


def command(script: Script, rows: list[Row]) -> str:
    steps = rows[-1].get("steps") if rows else None
    return f"python benchmarks/{script.file} {script.arguments}{f' --steps {steps}' if steps else ''} --json"


def section(script: Script, rows: list[Row], measures: list[Measure], results: Path) -> str:
    code = f"<!-- not run: takes minutes -->\n```bash\n{command(script, rows)}\n```\n"
    lines = [f"\n## {script.title}\n", code]
    if not rows:
        lines.append(f"Not run yet. A full run takes about {script.hours:g} h of one core there.")
        return "\n".join(lines)
    hours = sum(map(_seconds, rows)) / 3600
    done, unit = finished(measures), f"{script.seed}s" if script.seeds > 1 else script.seed
    if done >= script.seeds:
        lines.append(f"{done} {unit}, {hours:.1f} hours.\n")
    else:
        lines.append(f"Partial: {done} of {script.seeds} {unit} have all figures, {hours:.1f} hours so far.\n")
    if script.text:
        lines.append(script.text(rows))
    else:
        head = ["measure", "every seed", "median (range)", "target", "paper", "met"]
        lines.append(markdown(head, [table_row(measure, script.seeds) for measure in measures]))
    lines += [f"\n{script.note}"] if script.note else []
    pictures = sorted(results.glob(f"{script.figures or script.name}*.png"))
    lines += [f"\n![{picture.stem}](../benchmarks/results/{picture.name})" for picture in pictures]
    return "\n".join(lines)


def _seconds(row: Row) -> float:
    """The time of a run; of its trainings alone, if only that was recorded."""
    return float(row.get("seconds") or sum(value for name, value in row.items() if name.endswith("cpu_seconds")))


def table_row(measure: Measure, seeds: int) -> list[str]:
    values = ", ".join(number(value, measure.form) for value in measure.values.values()) or "–"
    return [measure.label, values, middle(measure), target(measure), measure.paper, verdict(measure, seeds)]


def middle(measure: Measure) -> str:
    """The median, and the range if there are several values."""
    values = list(measure.values.values())
    if not values:
        return "–"
    median, low, high = (number(value, measure.form) for value in (statistics.median(values), min(values), max(values)))
    return f"{median} ({low} to {high})" if len(values) > 1 else median


def target(measure: Measure) -> str:
    bound = measure.bound
    if bound is None:
        return "–"
    if bound.of == "paired t-test":
        return f"mean {SIGNS[bound.sign]} {bound.limit:g}, p < .05 (paired t-test)"
    limit = f"{100 * bound.limit:g}%" if measure.form.endswith("%") else f"{bound.limit:g}"
    return f"{SIGNS[bound.sign]} {limit} ({bound.of})"


def verdict(measure: Measure, seeds: int) -> str:
    if measure.bound and not measure.values:
        return "not run yet"
    answer = {None: "–", True: "yes", False: "**no**"}[measure.met]
    return f"{answer}, so far" if measure.bound and len(measure.values) < (measure.seeds or seeds) else answer


def number(value: float, form: str) -> str:
    return format(value, form).replace("-", "−")


if __name__ == "__main__":
    main()
