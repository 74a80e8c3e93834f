"""What docs/performance.md has a row for: the sides that are compared, the targets, and the limits."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

Figures = Mapping[str, Sequence[float]]
Figure = Callable[[Figures], list[float]]


def times(side: str, other: str, figures: Figures) -> list[float]:
    """How many times as fast one side is as another, by round: their figures are seconds."""
    return [b / a for a, b in zip(figures[side], figures[other], strict=True)]


def extra(side: str, other: str, figures: Figures) -> list[float]:
    """The time that one side takes in addition to another, as a share of the other's."""
    return [a / b - 1 for a, b in zip(figures[side], figures[other], strict=True)]


def share(side: str, other: str, figures: Figures) -> list[float]:
    """One side's figure over another's."""
    return [a / b for a, b in zip(figures[side], figures[other], strict=True)]


def difference(side: str, other: str, figures: Figures) -> list[float]:
    return [a - b for a, b in zip(figures[side], figures[other], strict=True)]


def total(sides: Sequence[str], figures: Figures) -> list[float]:
    return [sum(values) for values in zip(*(figures[side] for side in sides), strict=True)]


@dataclass(frozen=True)
class Target:
    """A row of the page: a figure of a measurement, and if it has one, its target.

    ``case`` names the measurement of the topic. ``limit`` is the same figure of what can't be faster, such as the
    network alone.
    """

    case: str
    label: str
    figure: Figure
    sign: Literal[">=", "<="] | None = None
    bound: float = 0.0
    form: str = ".2f"
    limit: Figure | None = None

    def met(self, median: float) -> bool:
        return median >= self.bound if self.sign == ">=" else median <= self.bound


@dataclass(frozen=True)
class Topic:
    """A section of the page. ``name`` is that in the record, and ``record`` the record's name."""

    name: str
    title: str
    text: str
    command: str
    targets: tuple[Target, ...]
    record: str = "speed"


OTHER_WAYS = {
    "real": "the real images alone",
    "concat": "`ConcatDataset` and `WeightedRandomSampler`",
    "coin": "a coin per item and a list of PIL images",
    "inside": "the network in `__getitem__`, for one image",
    "sample": "`generator.sample` in `__getitem__`, for one image",
}
LOADER_BOUNDS: Mapping[str, Mapping[str, float | None]] = {
    "MNIST through PIL": {"real": 1.0, "concat": 1.0, "coin": 1.1, "inside": 20.0, "sample": None},
    "MNIST as uint8 tensors": {"real": 1.0, "concat": 1.1, "coin": 1.1, "inside": 20.0, "sample": None},
    "CIFAR-10 from JPEG files": {"real": 1.2, "concat": 1.0, "coin": 1.1, "inside": 20.0, "sample": None},
}


def loader_targets() -> tuple[Target, ...]:
    return tuple(
        Target(
            f"{data}, {workers} workers",
            OTHER_WAYS[other],
            partial(times, "blend", other),
            None if bound is None else ">=",
            bound or 0.0,
            limit=partial(times, "copy", other),
        )
        for data, bounds in LOADER_BOUNDS.items()
        for workers in (0, 2)
        for other, bound in bounds.items()
    )


def sampling_targets() -> tuple[Target, ...]:
    return tuple(
        Target(
            case,
            f"a bare loop in {precision}",
            partial(times, precision, f"bare {precision}"),
            ">=",
            0.95,
            limit=partial(times, "forward", f"bare {precision}") if precision == "float32" else None,
        )
        for case in ("MNIST's size", "CIFAR-10's size")
        for precision in ("float32", "bfloat16")
    ) + tuple(
        Target(case, "bfloat16 against float32", partial(times, "bfloat16", "float32"))
        for case in ("MNIST's size", "CIFAR-10's size")
    )


def on_the_fly_targets() -> tuple[Target, ...]:
    return tuple(
        Target(
            case,
            f"samples from a {source}, added to a step",
            partial(extra, source, "without"),
            "<=",
            0.15,
            ".1%",
            partial(share, "forward", "without") if source == "generator" else None,
        )
        for case in ("28 pixels", "32 pixels")
        for source in ("generator", "pool")
    )


MILLION = "1,000,000 real and 1,000,000 generated"
NETWORKS = "torchgan's networks"
TOPICS = (
    Topic(
        "loader",
        "Loading",
        "A `DataLoader` of a `MixedDataset`, half generated, from a filled pool: how many times as fast it is as other "
        "loaders of as many images. The limit is one gather per batch from memory, without a loader or a transform. "
        "In every pass, the share of generated items was exactly a half.",
        "loader.py --root ROOT",
        loader_targets(),
    ),
    Topic(
        "sampling",
        "Sampling",
        "`generator.sample(10_000)` of a `cgan`: how many times as fast it is as a loop over its network at the batch "
        "size that suits it best, with latents drawn beforehand. The limit is the network alone.",
        "sampling.py",
        sampling_targets(),
    ),
    Topic(
        "on the fly",
        "Samples within a training step",
        "`GenerativeAugment` with a ratio of 0.3 before a step of timm's `resnet18` on 128 images: the time it adds. "
        "The limit is the generator's network alone.",
        "on_the_fly.py",
        on_the_fly_targets(),
    ),
    Topic(
        "pool refreshed",
        "New samples for every epoch",
        "An epoch of `resnet18` on a blend of five real images per generated one, whose pool is filled again for every "
        "epoch: the time that is added to an epoch with the same pool. The limit is the generator's network alone.",
        "pool_refresh.py",
        (
            Target(
                "32 pixels",
                "a pool that is kept",
                partial(extra, "refreshed", "kept"),
                "<=",
                0.10,
                ".1%",
                partial(share, "forward", "kept"),
            ),
        ),
    ),
    Topic(
        "training",
        "Training",
        "A training step with torchgan's own DCGAN networks: how many times as fast it is as torchgan's `Trainer`. The "
        "limit is a bare loop, which has no average of the weights.",
        "training.py",
        (
            Target(
                NETWORKS,
                "torchgan's `Trainer`, float32",
                partial(times, "float32", "torchgan"),
                ">=",
                1.3,
                limit=partial(times, "bare", "torchgan"),
            ),
            Target(NETWORKS, "a bare loop, float32", partial(times, "float32", "bare")),
            Target(
                NETWORKS, "torchgan's `Trainer`, default precision", partial(times, "default", "torchgan"), ">=", 1.5
            ),
        ),
    ),
    Topic(
        "scale",
        "A million images",
        "`MixedDataset` of a million real images and a pool of a million generated ones on disk, 28 × 28 pixels: the "
        "time until the first batch has been read, and the memory that it took, as a share of the pool's bytes. The "
        "limit of the time is a copy of as many labels and slots.",
        "scale.py",
        (
            Target(
                MILLION,
                "construction and first batch, seconds",
                partial(total, ("construct", "first batch")),
                "<=",
                3.0,
                ".2f",
                partial(total, ("copy",)),
            ),
            Target(MILLION, "memory over the pool's bytes", partial(share, "memory", "bound"), "<=", 1.05),
        ),
    ),
    Topic(
        "shards",
        "Shards",
        "`genaug sample --shards 64` for a million images with two workers of Ray: how many times as fast it is as one "
        "process with one thread. The limit, 2 times, is that of two processes that take no time to start.",
        "shards.py",
        (Target("shards", "one process", partial(times, "ray", "one"), ">=", 1.6, limit=lambda figures: [2.0]),),
        record="shards",
    ),
    Topic(
        "start",
        "Start-up",
        "The time from the start of a process to its end, in seconds. The limit is a bare Python.",
        "start.py",
        (
            Target(
                "commands",
                "`import genaug`, in addition to a bare Python",
                partial(difference, "import", "python"),
                "<=",
                0.06,
                ".3f",
            ),
            *(
                Target("commands", label, partial(total, (side,)), "<=", 0.35, ".3f", partial(total, ("python",)))
                for side, label in (("help", "`genaug --help`"), ("plugins", "`genaug plugins`"))
            ),
        ),
    ),
)
SIZE = "32 pixels"


def on_gpu(topic: str, title: str, text: str, *targets: Target) -> Topic:
    return Topic(f"{topic} on a GPU", f"{title}, on a GPU", text, "gpu.py", targets)


GPU_TOPICS = (
    on_gpu(
        "loader",
        "Loading",
        "As above, with two workers, and each batch moved to the GPU.",
        Target(SIZE, OTHER_WAYS["real"], partial(times, "blend", "real"), ">=", 1.0),
    ),
    on_gpu(
        "sampling",
        "Sampling",
        "As above, against loops at two batch sizes.",
        *(
            Target(SIZE, f"a bare loop in {side}", partial(times, precision, f"bare {side}"), ">=", 1.0)
            for precision in ("float32", "bfloat16")
            for side in (f"{precision}, batches of {size}" for size in (256, 2048))
        ),
    ),
    on_gpu(
        "on the fly",
        "Samples within a training step",
        "As above.",
        Target(
            SIZE, "samples from a generator, added to a step", partial(extra, "generator", "without"), "<=", 0.03, ".1%"
        ),
        Target(SIZE, "samples from a pool, added to a step", partial(extra, "pool", "without"), "<=", 0.03, ".1%"),
    ),
    on_gpu(
        "pool refreshed",
        "New samples for every epoch",
        "As above, with 50,000 real images and a pool of 10,000.",
        Target(SIZE, "a pool that is kept", partial(extra, "refreshed", "kept"), "<=", 0.02, ".1%"),
    ),
    on_gpu(
        "training",
        "Training",
        "torchgan's own DCGAN networks in genaug's trainer, and in a bare loop.",
        *(
            Target(f"batches of {batch}", f"{precision}, against a {side} loop", partial(times, precision, side))
            for batch in (64, 256, 1024)
            for precision, side in (("float32", "bare"), ("bfloat16", "bare bfloat16"), ("float32", "bare compiled"))
        ),
    ),
)
