"""More images than memory: how long does a cache take to fill, how soon does a later training begin, at what memory?

Two trainings of a few steps on the same artificial images, each in its own process: the first fills the cache, and the
second reads it. Both report the seconds until the first step is done and their largest anonymous memory (RssAnon: pages
of mapped files don't count, since the system can drop them), as does a training on 1,000 images in memory.

    OMP_NUM_THREADS=1 python benchmarks/speed/image_cache.py --json

needs as many bytes of disk as --images have pixels and channels: 12 GB by default. The result is in
benchmarks/results/image_cache.jsonl; --table prints the table of the docs from it alone.
"""

import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

import genaug
from benchmarks.common.console import arguments, end, finished_rows, markdown, say
from benchmarks.common.memory import anonymous
from benchmarks.common.record import Row
from genaug.training.callbacks import Snapshot

FEW = 1000


class Stripes(Dataset[Any]):
    """Gray images, which take hardly any time to generate."""

    def __init__(self, count: int, size: int) -> None:
        self._count, self._shape = count, (3, size, size)

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return torch.full(self._shape, index * 31 % 251, dtype=torch.uint8), index % 10


def main(argv: list[str] | None = None) -> None:
    parser = arguments(__doc__, record="image_cache")
    parser.add_argument("--images", type=int, default=1_000_000)
    parser.add_argument("--size", type=int, default=64, help="their height and width")
    parser.add_argument("--folder", type=Path, help="where the cache lies meanwhile; by default a temporary folder")
    options = parser.parse_args(argv)
    key = {"images": options.images, "size": options.size, "threads": torch.get_num_threads()}
    rows = finished_rows(options, [key], lambda key: measure(key, options.folder))
    print(table_of(rows))
    end(options, {"script": "image_cache", "rows": rows})


def measure(key: Row, folder: Path | None) -> Row:
    began = time.monotonic()
    with tempfile.TemporaryDirectory(dir=folder) as place:
        few = apart(FEW, key["size"], None)
        filled, complete = (apart(key["images"], key["size"], f"{place}/cache") for _ in range(2))
        size = sum(path.stat().st_size for path in Path(place).rglob("*") if path.is_file())
    seconds = round(time.monotonic() - began, 1)
    return {**key, "few": few, "filled": filled, "complete": complete, "disk": size, "seconds": seconds}


def apart(images: int, size: int, cache: str | None) -> Row:
    """``train`` in a process of its own."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        row = pool.submit(train, images, size, cache).result()
    say(f"{images:,} images: {row}")
    return row


def table_of(rows: Sequence[Row]) -> str:
    lines = [
        [name, f"{row[part]['first_step']:.1f} s", f"{row[part]['anonymous'] / 2**30:.2f} GiB"]
        for row in rows
        for name, part in (
            (f"{FEW:,} images in memory", "few"),
            (f"{row['images']:,} images of {row['size']}x{row['size']}, cache to fill", "filled"),
            ("the same, cache complete", "complete"),
        )
    ]
    return markdown(["training on", "seconds until the first step", "anonymous memory"], lines)


def train(images: int, size: int, cache: str | None) -> Row:
    """The seconds until the first step, and the largest anonymous memory, in bytes."""
    began, first, peak, ended = time.monotonic(), [0.0], [0], threading.Event()

    def watch() -> None:
        while not ended.wait(0.05):
            peak[0] = max(peak[0], anonymous())

    def note(snapshot: Snapshot) -> None:
        first[0] = first[0] or time.monotonic() - began

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        with tempfile.TemporaryDirectory() as out:
            genaug.fit(
                "cgan",
                Stripes(images, size),
                out=out,
                steps=20,
                cache=cache,
                config={"width": 16, "max_width": 64},
                device="cpu",
                progress=False,
                callbacks=[note],
            )
    finally:
        ended.set()
        watcher.join()
    return {"first_step": round(first[0], 2), "anonymous": peak[0]}


if __name__ == "__main__":
    main()
