"""Writes docs/performance.md from benchmarks/results/speed.jsonl and shards.jsonl, which ``make bench`` fills.

    python benchmarks/speed/performance_page.py

The page contains nothing but the records, so that no figure is entered by hand: a test compares the two.
"""

import argparse
import statistics
from collections.abc import Sequence
from pathlib import Path

from benchmarks.common.console import markdown, say
from benchmarks.common.pairs import median_interval
from benchmarks.common.record import RESULTS, Record, Row
from benchmarks.speed.growth import FIGURE
from benchmarks.speed.targets import GPU_TOPICS, TOPICS, Figures, Target, Topic

DOCS = Path(__file__).parents[2] / "docs"
SIGNS = {">=": "≥", "<=": "≤"}
MACHINE = ("processor", "instructions", "processors", "threads", "python", "torch", "torchvision", "numpy", "pillow")
HEAD = """# Performance

The results of `make bench`, which measures all of them on your machine. `benchmarks/speed/performance_page.py`
generates this page from `benchmarks/results/speed.jsonl` and `shards.jsonl`; a test fails if it is edited by hand.

In each measurement all sides take turns within one run, in an order that is reversed every other round. A figure is the
median over the rounds of the ratio within a round, with the 95% interval of that median from order statistics. A target
is met if the median meets it. The limit is what the same machine could reach if the work around it took no time.
"""


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the records")
    parser.add_argument("--docs", type=Path, default=DOCS, help="folder of performance.md")
    options = parser.parse_args(argv)
    path = options.docs / "performance.md"
    new = path.with_suffix(".new")
    new.write_text(page(options.results), encoding="utf-8")
    new.replace(path)
    say(f"wrote {path}")


def page(results: Path) -> str:
    """The complete page, as Markdown."""
    rows = {topic.name: rows_of(topic, results) for topic in TOPICS}
    parts = [HEAD, machines([row for measured in rows.values() for row in measured.values()])]
    parts += [section(topic, rows[topic.name]) for topic in TOPICS]
    gpu = {topic.name: rows_of(topic, results) for topic in GPU_TOPICS}
    if any(gpu.values()):
        devices = {row["device"] for measured in gpu.values() for row in measured.values()}
        parts.append(f"\n## On a GPU\n\nMeasured on {' and '.join(sorted(devices))}.")
        parts += [section(topic, gpu[topic.name]) for topic in GPU_TOPICS]
    else:
        parts.append(
            "\n## On a GPU\n\nNothing has been measured yet: run `benchmarks/speed/gpu.py` where there is one."
        )
    if (results / FIGURE).is_file():
        parts.append(
            "\n## Growth\n\n<!-- not run: takes minutes -->\n```bash\npython benchmarks/speed/growth.py --json\n```\n\n"
            "How each cost grows with the size of images, the batch, the ratio, the workers and the number of sources. "
            f"Medians, with their 95% intervals.\n\n![growth of the costs](../benchmarks/results/{FIGURE})"
        )
    return "\n".join(parts) + "\n"


def rows_of(topic: Topic, results: Path) -> dict[str, Row]:
    """The recorded measurements of a topic, by case."""
    record = Record(results / f"{topic.record}.jsonl")
    if topic.record == topic.name:  # a script with a record of its own, of one case
        latest = record.done({})
        return {} if latest is None else {topic.name: {**latest, "figures": latest["seconds_each"]}}
    return {row["case"]: row for row in record.rows({"topic": topic.name})}


def machines(rows: Sequence[Row]) -> str:
    """A sentence for each machine in the rows."""
    kinds = {tuple(row[name] for name in MACHINE): row for row in rows if MACHINE[0] in row}
    if not kinds:
        return "Nothing has been measured yet."
    loads = [row["load_before"] for row in rows if row.get("load_before") is not None]
    lines = [
        f"Measured on {row['processors']} cores of a processor of the kind {row['processor']} ({row['instructions']}), "
        f"with {row['threads']} {'thread' if row['threads'] == 1 else 'threads'} of torch: Python {row['python']}, "
        f"torch {row['torch']}, torchvision {row['torchvision']}, NumPy {row['numpy']} and Pillow {row['pillow']}."
        for row in kinds.values()
    ]
    busy = f" Before the measurements, other programs kept {min(loads):.1f} to {max(loads):.1f} cores busy."
    return "\n\n".join(lines) + (busy if loads else "")


def section(topic: Topic, rows: dict[str, Row]) -> str:
    head = ["measurement", "compared with", "median (95% interval)", "target", "met", "limit", "rounds"]
    table = markdown(head, [cells(target, rows.get(target.case)) for target in topic.targets])
    command = f"<!-- not run: takes minutes -->\n```bash\npython benchmarks/speed/{topic.command} --json\n```"
    return f"\n## {topic.title}\n\n{command}\n\n{topic.text}\n\n{table}"


def cells(target: Target, row: Row | None) -> list[str]:
    """The row of a target in its table."""
    bound = f"{100 * target.bound:g}%" if target.form.endswith("%") else f"{target.bound:g}"
    head = [target.case, target.label]
    aim = f"{SIGNS[target.sign]} {bound}" if target.sign else "–"
    if row is None:
        return [*head, "not measured yet", aim, "–", "–", "–"]
    figures: Figures = row["figures"]
    values = target.figure(figures)
    median, low, high = median_interval(values)
    middle = f"{number(median, target.form)} ({number(low, target.form)} to {number(high, target.form)})"
    met = "–" if target.sign is None else "yes" if target.met(median) else "**no**"
    limit = "–" if target.limit is None else rough(statistics.median(target.limit(figures)), target.form)
    return [*head, middle, aim, met, limit, str(len(values))]


def rough(value: float, form: str) -> str:
    return number(value, form) if value < 100 else f"{value:,.0f}"


def number(value: float, form: str) -> str:
    return format(value, form).replace("-", "−")


if __name__ == "__main__":
    main()
