"""Images per second of a DataLoader: half generated, from a filled pool, against the real set alone.

Both sets go through the same transform (ToImage, ToDtype to floats). What is compared is the loading, so the pool is
filled before the clock starts. Each figure is the median over alternating pairs of passes of the ratio within a pair.

    python benchmarks/speed/loader.py --root MNIST_ROOT --json
"""

import statistics
import time
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader
from torchvision.transforms import v2

import genaug
from benchmarks.common.console import arguments, end
from genaug.backends import Spec, registry
from genaug.backends.calls import kept
from genaug.data import load_data
from genaug.modalities import Image
from genaug.sources.generator import Generator
from genaug.sources.source import Source

BATCH = 128
PAIRS = 15
IMAGES = {0: 2_048, 2: 4_096}  # of one pass, by number of workers: each well under 3 s
POOL_IMAGES = 8_192


def real_set(root: Path | None) -> Any:
    """MNIST, or without a root scikit-learn's digits; the result names which."""
    real: Any = load_data("torchvision:MNIST", root=root) if root else load_data("digits")
    real.transform = v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])
    return real


def untrained(spec: Spec) -> Source:
    """A generator of the usual size with random weights: as fast as a trained one."""
    backend = registry.resolve("cgan")
    config = backend.Config()
    spec = backend.describe(config, spec)
    return Generator("cgan", backend, config, spec, kept(backend, config, spec), {})


def one_pass(loader: DataLoader[Any]) -> float:
    """Images per second of one pass."""
    start = time.perf_counter()
    images = sum(len(labels) for _, labels in loader)
    return images / (time.perf_counter() - start)


def blend_vs_real(real: Any, mixed: Any, workers: int) -> tuple[float, float, float]:
    """The median ratio of the rates within a pair, and the two median rates."""

    def loader(dataset: Any) -> DataLoader[Any]:
        sampler = torch.utils.data.RandomSampler(dataset, replacement=True, num_samples=IMAGES[workers])
        return DataLoader(dataset, BATCH, sampler=sampler, num_workers=workers, persistent_workers=workers > 0)

    both = {"real": loader(real), "mixed": loader(mixed)}
    for each in both.values():
        one_pass(each)  # starts the workers, warms the caches
    rates: dict[str, list[float]] = {"real": [], "mixed": []}
    for pair in range(PAIRS):
        for name in ("real", "mixed") if pair % 2 else ("mixed", "real"):
            rates[name].append(one_pass(both[name]))
    ratio = statistics.median(m / r for m, r in zip(rates["mixed"], rates["real"], strict=True))
    return ratio, statistics.median(rates["mixed"]), statistics.median(rates["real"])


def fill_rate(source: Source) -> float:
    """Images per second of filling a pool, median of three."""
    rates = []
    for _ in range(3):
        start = time.perf_counter()
        genaug.SamplePool(source, size=POOL_IMAGES)
        rates.append(POOL_IMAGES / (time.perf_counter() - start))
    return statistics.median(rates)


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--root", type=Path, help="folder of torchvision's MNIST; without it, the digits")
    parser.add_argument("--source", help="folder of a saved generator; else an untrained CGAN")
    options = parser.parse_args()

    torch.manual_seed(0)
    real = real_set(options.root)
    image, _ = real[0]
    spec = Spec(sample=Image(*image.shape), classes=real.classes)
    source: Source = genaug.load(options.source) if options.source else untrained(spec)
    mixed = genaug.MixedDataset(real, source, ratio=0.5)
    print(mixed)
    result: dict[str, Any] = {"dataset": type(real).__name__}
    for workers in (0, 2):
        ratio, blend, alone = blend_vs_real(real, mixed, workers)
        print(f"{workers} workers: {blend:,.0f} images/s blended, {alone:,.0f} real alone; median ratio {ratio:.3f}")
        result |= {
            f"blend_vs_real_workers{workers}": round(ratio, 4),
            f"blend_images_per_s_workers{workers}": round(blend),
        }
    result["pool_fill_images_per_s"] = round(fill_rate(source))
    print(f"pool: {result['pool_fill_images_per_s']:,} images/s filled")
    end(options, result)


if __name__ == "__main__":
    main()
