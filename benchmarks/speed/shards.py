"""Samples to shards: two workers of Ray against one process with one thread, alternating, and the memory of each.

Each measurement is a command from its start to its end, so Ray's start counts. Memory is the largest resident memory of
the one process, with all samples and with a tenth of them.

    python benchmarks/speed/shards.py --json

needs the extra ray. The result is in benchmarks/results/shards.jsonl; --table prints the docs' table from it alone.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

from benchmarks.common.console import arguments, end, finished_rows, markdown, say
from benchmarks.common.pairs import alternate
from benchmarks.common.record import Row

SHARDS = 64


def main(argv: list[str] | None = None) -> None:
    parser = arguments(__doc__, record="shards")
    parser.add_argument("--generator", default="model_cards/mnist-cgan")
    parser.add_argument("--n", type=int, default=1_000_000)
    parser.add_argument("--pairs", type=int, default=3, help="measurements of either")
    options = parser.parse_args(argv)
    key = {"generator": options.generator, "n": options.n, "shards": SHARDS, "pairs": options.pairs}
    rows = finished_rows(options, [key], measure)
    print(table_of(rows))
    end(options, {"script": "shards", "rows": rows})


def measure(key: Row) -> Row:
    began = time.monotonic()
    tenth = peak_of(key["generator"], key["n"] // 10)
    complete = peak_of(key["generator"], key["n"])
    sides = {name: partial(timed, key["generator"], key["n"], name == "ray") for name in ("ray", "one")}
    seconds = alternate(sides, key["pairs"])
    ratios = [one / ray for one, ray in zip(seconds["one"], seconds["ray"], strict=True)]
    return {
        **key,
        "seconds_each": seconds,
        "ratios": ratios,
        "peak_of_a_tenth": tenth,
        "peak": complete,
        "seconds": round(time.monotonic() - began, 1),
    }


def command(generator: str, n: int, out: str, ray: bool) -> list[str]:
    options = ["--engine", "ray", "--workers", "2"] if ray else []
    count = ["--n", str(n), "--shards", str(SHARDS)]
    return [sys.executable, "-m", "genaug", "sample", generator, *count, "--out", out, "--device", "cpu", *options]


def timed(generator: str, n: int, ray: bool) -> float:
    """The seconds that a command takes."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        call(command(generator, n, f"{folder}/out", ray))
        took = round(time.monotonic() - began, 2)
    say(f"{'ray' if ray else 'one'}: {took:.1f} s")
    return took


def peak_of(generator: str, n: int) -> int:
    """The largest resident memory of the one process, in bytes."""
    code = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True); "
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    with tempfile.TemporaryDirectory() as folder:
        words = command(generator, n, f"{folder}/out", False)
        result = call([sys.executable, "-c", code, *words])
    return int(result.split()[-1]) * 1024


def call(words: Sequence[str]) -> str:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(words, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout


def table_of(rows: Sequence[dict[str, Any]]) -> str:
    lines = [
        [
            f"{row['n']:,}",
            f"{statistics.median(row['ratios']):.2f} ({min(row['ratios']):.2f} to {max(row['ratios']):.2f})",
            f"{row['peak_of_a_tenth'] / 2**20:.0f} MiB",
            f"{row['peak'] / 2**20:.0f} MiB",
        ]
        for row in rows
    ]
    headings = ["samples", "speed of two Ray workers over one process", "memory for a tenth", "memory for all"]
    return markdown(headings, lines)


if __name__ == "__main__":
    main()
