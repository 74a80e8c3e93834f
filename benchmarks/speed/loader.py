"""A DataLoader of a blend, half generated from a filled pool, against the real set alone and other ways to blend.

All sides load as many images through the same transform, take turns in each round, and give seconds per image:

* blend: ``MixedDataset``. In each pass, the share of generated items has to be exact, and so have the labels;
* real: real images only;
* concat: ``ConcatDataset`` of the real and the generated images, with a ``WeightedRandomSampler``;
* coin: a dataset that flips a coin for each item and takes a real image or one of a list of PIL images;
* inside: a dataset that flips the same coin and runs the network for one image (on fewer images);
* sample: the same with ``generator.sample``;
* copy: the limit, one gather per batch from all images in memory, without a loader or a transform.

The sets are MNIST through PIL with ToImage and ToDtype, the same as uint8 tensors, and CIFAR-10 from JPEG files, which
are unpacked to a temporary folder. --root is a folder with torchvision's MNIST and cifar10.zip, class folders of JPEG
files; without it, the digits stand in for MNIST, and there are no JPEG files.

    OMP_NUM_THREADS=1 python benchmarks/speed/loader.py --root ROOT --json
"""

import copy
import random
import tempfile
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import torch
from torch import Tensor
from torch.utils.data import ConcatDataset, DataLoader, Dataset, RandomSampler, TensorDataset, WeightedRandomSampler
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2
from torchvision.transforms.v2.functional import pil_to_tensor

import genaug
from benchmarks.common.console import end, say
from benchmarks.common.generators import untrained
from benchmarks.common.pairs import alternate, seconds
from benchmarks.speed.measured import Measurements, options_of
from benchmarks.speed.sampling import bare
from genaug.data import load_data
from genaug.modalities.image import to_pil
from genaug.sources.generator import Generator

BATCH, RATIO = 128, 0.5
IMAGES = {0: 2_048, 2: 4_096}  # of a pass, by the number of workers
MORE_TENSORS = 8  # times as many of them, since they take little time
INSIDE, FEW = 128, 16  # images of a pass that runs the generator for each, and of its batches
TRANSFORM = v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])
Label = Callable[[int], Any]


class Pictures(Dataset[Any]):
    """Generated images as users keep them: in memory, opened as PIL and transformed."""

    def __init__(self, images: Tensor, labels: Tensor) -> None:
        arrays = images[:, 0] if images.shape[1] == 1 else images.permute(0, 2, 3, 1)
        self._arrays, self._labels = arrays.contiguous().numpy(), labels.tolist()

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        return TRANSFORM(PIL.Image.fromarray(self._arrays[index])), self._labels[index]


class Coin(Dataset[Any]):
    """For each item, a real one or with probability RATIO what ``draw`` returns."""

    def __init__(self, real: Any, draw: Callable[[], tuple[Any, Any]]) -> None:
        self._real, self._draw = real, draw

    def __len__(self) -> int:
        return len(self._real)

    def __getitem__(self, index: int) -> Any:
        return self._draw() if random.random() < RATIO else self._real[index]


class Noted(RandomSampler):
    """Shuffles, and notes the order."""

    def __iter__(self) -> Iterator[int]:
        self.order = list(super().__iter__())
        return iter(self.order)


def from_list(pictures: list[PIL.Image.Image], labels: list[int], transform: Any, label: Label) -> tuple[Any, Any]:
    chosen = random.randrange(len(pictures))
    return transform(pictures[chosen]), label(labels[chosen])


def from_network(generator: Generator, transform: Any, label: Label) -> tuple[Any, Any]:
    drawn = torch.tensor([random.randrange(generator.spec.num_classes)])
    latents = {latent.name: torch.randn(1, *latent.shape) for latent in generator.spec.latents}
    return transform(to_pil(bare(generator, latents, drawn, 1)[0])), label(int(drawn))


def from_sample(generator: Generator, transform: Any, label: Label) -> tuple[Any, Any]:
    drawn = random.randrange(generator.spec.num_classes)
    return transform(to_pil(generator.sample(labels=[drawn])[0][0])), label(drawn)


def sides_of(real: Any, half: Any, shape: tuple[int, int, int], workers: int) -> dict[str, Callable[[], float]]:
    """The sides of a measurement: ``real`` has all images of a pass, and ``half`` every second one."""
    as_tensors = isinstance(real, TensorDataset)
    transform, label = (pil_to_tensor, torch.tensor) if as_tensors else (TRANSFORM, int)
    generator = untrained(shape, getattr(real, "classes", None) or 10)
    pool = genaug.SamplePool(generator, size=len(half))
    assert pool.labels is not None
    mixed = genaug.MixedDataset(half, pool, ratio=RATIO, refresh=None)
    generated = TensorDataset(pool.images, pool.labels) if as_tensors else Pictures(pool.images, pool.labels)
    pictures = [to_pil(image) for image in pool.images]
    in_list = partial(from_list, pictures, pool.labels.tolist(), transform, label)
    one_by_one = {
        name: Coin(copy.copy(half), partial(draw, generator, transform, label))
        for name, draw in {"inside": from_network, "sample": from_sample}.items()
    }
    weights = torch.cat([torch.full((len(half),), share / len(half)) for share in (1 - RATIO, RATIO)])

    def loader(dataset: Any, sampler: Any, batch: int = BATCH) -> DataLoader[Any]:
        return DataLoader(dataset, batch, sampler=sampler, num_workers=workers, persistent_workers=workers > 0)

    loaders = {
        "blend": loader(mixed, Noted(mixed)),
        "real": loader(real, Noted(real)),
        "concat": loader(ConcatDataset([half, generated]), WeightedRandomSampler(weights, len(real))),
        "coin": loader(Coin(real, in_list), Noted(real)),
        **{
            name: loader(each, RandomSampler(half, replacement=True, num_samples=INSIDE), FEW)
            for name, each in one_by_one.items()
        },
    }
    for each in loaders.values():
        one_pass(each)  # starts the workers, warms the caches
    images = torch.cat([pool.images, pool.images])
    copied: Callable[[], float] = lambda: seconds(lambda: gather(images)) / len(images)  # noqa: E731
    return {**{name: partial(one_pass, each) for name, each in loaders.items()}, "copy": copied}


def one_pass(loader: DataLoader[Any]) -> float:
    """Seconds per image of one pass. Checks that the pass has the exact share of generated items, and all labels."""
    labels = []
    took = seconds(lambda: labels.extend(batch for _, batch in loader))
    if isinstance(loader.dataset, genaug.MixedDataset):
        check(loader.dataset, loader.sampler.order, torch.cat(labels))
    return took / sum(map(len, labels))


def check(mixed: genaug.MixedDataset, order: list[int], labels: Tensor) -> None:
    """Raises ``ValueError`` unless a pass had every item once, and with it the exact share of generated ones."""
    share = float(mixed.generated_mask()[order].mean())
    if sorted(order) != list(range(len(mixed))) or share != RATIO:
        raise ValueError(f"a share of {share} of the items is generated, expected {RATIO}, each item once")
    if Counter(labels.tolist()) != Counter(mixed.targets.tolist()):
        raise ValueError("the labels that were loaded aren't those of the blend")


def gather(images: Tensor) -> None:
    for rows in torch.randperm(len(images)).split(BATCH):
        images[rows]


def pil_set(root: Path | None, count: int) -> Any:
    """``count`` images of MNIST, or without a root as many of scikit-learn's digits as there are, an even number."""
    real: Any = load_data("torchvision:MNIST", root=root) if root else load_data("digits")
    count = min(count, len(real)) // 2 * 2
    real.data, real.targets = real.data[:count], real.targets[:count]
    real.transform = TRANSFORM
    return real


def every_second(real: Any) -> Any:
    """The same kind of set, of every second image."""
    half = copy.copy(real)
    if isinstance(real, TensorDataset):
        return TensorDataset(*(tensor[::2] for tensor in real.tensors))
    if isinstance(real, ImageFolder):
        half.samples = half.imgs = real.samples[::2]
        half.targets = real.targets[::2]
    else:
        half.data, half.targets = real.data[::2], real.targets[::2]
    return half


def unpack(archive: Path, count: int, folder: Path) -> ImageFolder:
    """``count`` training images of an archive of class folders, as many of each class."""
    with zipfile.ZipFile(archive) as file:
        names = [name for name in sorted(file.namelist()) if "/train/" in name and name.endswith(".jpg")]
        classes = {Path(name).parent for name in names}
        numbers: Counter[Path] = Counter()
        for name in names:
            numbers[Path(name).parent] += 1
            if numbers[Path(name).parent] <= -(-count // len(classes)):
                (folder / Path(name).parent.name).mkdir(exist_ok=True)
                (folder / Path(name).parent.name / Path(name).name).write_bytes(file.read(name))
    real = ImageFolder(str(folder), TRANSFORM)
    rng = np.random.default_rng(0)
    chosen = sorted(rng.permutation(len(real.samples))[:count].tolist())
    real.samples = real.imgs = [real.samples[index] for index in chosen]
    real.targets = [label for _, label in real.samples]
    return real


def main(argv: list[str] | None = None) -> None:
    parser = options_of(__doc__, rounds=20)
    parser.add_argument("--root", type=Path, help="folder with torchvision's MNIST and cifar10.zip")
    options = parser.parse_args(argv)
    torch.manual_seed(0)
    random.seed(0)
    measurements = Measurements(options, "loader")
    gray = "MNIST" if options.root else "digits"
    for workers, count in IMAGES.items():
        with ExitStack() as stack:
            many = pil_set(options.root, MORE_TENSORS * count)
            images = torch.as_tensor(many.data)[:, None]
            sets = {
                f"{gray} through PIL": pil_set(options.root, count),
                f"{gray} as uint8 tensors": TensorDataset(images, torch.as_tensor(many.targets)),
            }
            if options.root and (options.root / "cifar10.zip").is_file():
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
                sets["CIFAR-10 from JPEG files"] = unpack(options.root / "cifar10.zip", count, folder)
            else:
                say("no cifar10.zip in --root: JPEG files are left out")
            for name, real in sets.items():
                half = every_second(real)
                shape = (3, 32, 32) if name.startswith("CIFAR") else tuple(images.shape[1:])
                sides = sides_of(real, half, shape, workers)
                figures = alternate(sides, options.rounds)
                measurements.add(f"{name}, {workers} workers", figures, batch=BATCH, ratio=RATIO, images=len(real))
    end(options, {"script": "loader", "rows": measurements.rows})


if __name__ == "__main__":
    main()
