"""A blend of a million real and a million generated images, from a pool that exists on disk.

Each measurement is a process of its own that maps the pool. It times the construction of ``MixedDataset`` and the first
batch, and compares the memory that they took, mapped pages included, with the pool's bytes. Sides, each with a figure
per round: construct and first batch, in seconds; memory, in bytes; and copy, the limit of the first two, the seconds
to copy the labels and slots of all items.

    OMP_NUM_THREADS=1 python benchmarks/speed/scale.py --json

needs 784 bytes of disk per image.
"""

import tempfile
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

import genaug
from benchmarks.common.console import end
from benchmarks.common.memory import resident
from benchmarks.common.pairs import seconds
from benchmarks.speed.measured import Measurements, options_of
from genaug.backends import Spec
from genaug.data.reading import Samples
from genaug.modalities import Image

SHAPE, CLASSES, BATCH = (1, 28, 28), 10, 128


class Gray(Dataset[Any]):
    """Images that take no memory, with the list of labels that torchvision's datasets have."""

    def __init__(self, count: int) -> None:
        self.targets = [index % CLASSES for index in range(count)]

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return torch.full(SHAPE, index % 251, dtype=torch.uint8), self.targets[index]


def measure(pool: Any, images: int) -> dict[str, float]:
    """The figures of one construction."""
    real = Gray(images)
    before = resident()
    blends: list[Any] = []
    constructing = seconds(lambda: blends.append(genaug.MixedDataset(real, pool, ratio=0.5)))
    mixed = blends[0]
    first = seconds(lambda: next(iter(DataLoader(mixed, batch_sampler=mixed.batch_sampler(BATCH)))))
    memory = resident() - before
    numbers = np.arange(2 * images)
    return {
        "construct": constructing,
        "first batch": first,
        "memory": float(memory),
        "bound": float(pool.nbytes),
        "copy": seconds(lambda: (numbers.copy(), numbers.copy())),
    }


def apart(pool: Any, images: int) -> dict[str, float]:
    """``measure`` in a process of its own."""
    with ProcessPoolExecutor(1, get_context("spawn")) as processes:
        return processes.submit(measure, pool, images).result()


def pool_on_disk(images: int, path: Path) -> genaug.SamplePool:
    pixels = torch.arange(images, dtype=torch.int64).remainder(251).to(torch.uint8)
    x = pixels[:, None, None, None].expand(images, *SHAPE)
    labels = torch.arange(images) % CLASSES
    return genaug.SamplePool.of_samples(Samples(x, labels, Spec(sample=Image(*SHAPE), classes=CLASSES)), path)


def main(argv: list[str] | None = None) -> None:
    parser = options_of(__doc__, rounds=6)
    parser.add_argument("--images", type=int, default=1_000_000, help="real ones, and as many generated ones")
    parser.add_argument("--folder", type=Path, help="where the pool lies meanwhile; by default a temporary folder")
    options = parser.parse_args(argv)
    measurements = Measurements(options, "scale")
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        pool = pool_on_disk(options.images, Path(folder) / "pool")
        rounds = [apart(pool, options.images) for _ in range(options.rounds)]
    figures = {side: [each[side] for each in rounds] for side in rounds[0]}
    measurements.add(f"{options.images:,} real and {options.images:,} generated", figures, shape=SHAPE, batch=BATCH)
    end(options, {"script": "scale", "rows": measurements.rows})


if __name__ == "__main__":
    main()
