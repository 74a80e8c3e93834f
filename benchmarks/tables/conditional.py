"""What do rows of a rare class cost? As many rows of a class with 1% of the data as without a condition, alternating.

    OMP_NUM_THREADS=1 python benchmarks/tables/conditional.py --json

The table has 15 columns, as many of each kind as the census table. How long sampling takes doesn't depend on the
weights, so that the generators are trained for a few steps only. A ratio is the time for 10,000 rows of the rare class
over that for 10,000 rows of any class; the 95% interval of its median comes from order statistics. Finished backends
are in benchmarks/results/conditional_sampling.jsonl.
"""

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import genaug
from benchmarks.common.console import arguments, end, markdown, say
from benchmarks.common.pairs import median_interval
from benchmarks.common.record import RESULTS, Record
from genaug.data import TableDataset

BACKENDS = ("tvae", "wgan-gp-table")
SHARE, ROWS, TRAINING_ROWS, STEPS = 0.01, 10_000, 10_000, 20
MOST = 1.2  # times the cost of rows without a condition
RARE = 1


def main(argv: list[str] | None = None) -> None:
    parser = arguments(__doc__)
    parser.add_argument("--pairs", type=int, default=31)
    parser.add_argument("--rows", type=int, default=ROWS, help=f"by default {ROWS:,}")
    parser.add_argument("--results", type=Path, default=RESULTS / "conditional_sampling.jsonl")
    parser.add_argument("--table", action="store_true", help="only print the table of the finished backends")
    options = parser.parse_args(argv)
    record = Record(options.results)
    keys = [key_of(backend, options.rows, options.pairs) for backend in BACKENDS]
    rows = [row for key in keys if (row := record.done(key)) is not None] if options.table else record.finish(keys, run)
    print(table_of(rows))
    end(options, {"script": "conditional_sampling", **{row["backend"].replace("-", "_"): row["ratio"] for row in rows}})


def key_of(backend: str, rows: int = ROWS, pairs: int = 31) -> dict[str, Any]:
    return {"backend": backend, "share": SHARE, "rows": rows, "pairs": pairs}


def table(count: int, seed: int = 0) -> pd.DataFrame:
    """Six columns of numbers, eight of categories, and the class, of which 1% are "rare"."""
    rng = np.random.default_rng(seed)
    numbers = {f"number {i}": rng.normal(size=count).round(3) for i in range(6)}
    categories = {f"category {i}": rng.choice([f"value {k}" for k in range(4 + 4 * i)], count) for i in range(8)}
    label = np.where(np.arange(count) < SHARE * count, "rare", "common")
    return pd.DataFrame({**numbers, **categories, "class": label})


def run(key: dict[str, Any]) -> dict[str, Any]:
    dataset = TableDataset(table(TRAINING_ROWS), "class", normalization="quantiles")
    assert dataset.classes[RARE] == "rare"
    with tempfile.TemporaryDirectory() as folder:
        options = {"device": "cpu", "threads": 1, "progress": False, "checkpoint_every": STEPS}
        generator = genaug.fit(key["backend"], dataset, out=f"{folder}/run", steps=STEPS, batch_size=500, **options)
    count = key["rows"]
    labels, ratios, times = [RARE] * count, [], []
    for pair in range(key["pairs"] + 1):  # the first one warms up
        seconds = {}
        for conditioned in (True, False) if pair % 2 else (False, True):
            began = time.process_time()
            frame, _ = generator.sample(labels=labels, seed=pair) if conditioned else generator.sample(count, seed=pair)
            seconds[conditioned] = time.process_time() - began
            assert len(frame) == count
            assert not conditioned or (frame["class"] == "rare").all()
        ratios.append(seconds[True] / seconds[False])
        times.append(seconds[True])
    ratio, low, high = (round(value, 3) for value in median_interval(ratios[1:]))
    result = {"ratio": ratio, "low": low, "high": high, "seconds": round(median_interval(times[1:])[0], 3)}
    say(f"{key['backend']}: " + ", ".join(f"{name} {value}" for name, value in result.items()))
    return result


def table_of(rows: list[dict[str, Any]]) -> str:
    head = ["backend", f"{ROWS:,} rows of a class with 1% of the data", "time over that without a condition (95%)"]
    lines = [
        [row["backend"], f"{row['seconds']:.2f} s", f"{row['ratio']:.2f} ({row['low']:.2f} to {row['high']:.2f})"]
        for row in rows
    ]
    return markdown(head, lines)


if __name__ == "__main__":
    main()
