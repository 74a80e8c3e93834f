"""Sampling at default settings against a bare loop over the network, with the same latents and uint8 images.

Sides that take turns in each round, in seconds:

* float32 and bfloat16: ``generator.sample(N, seed=0, precision=…)``; the default is one of them on every machine;
* bare float32 and bare bfloat16: the network called in a loop, at the batch size that a trial finds fastest, with
  latents that are drawn before, and its images rounded to uint8;
* forward: the limit, the network alone in float32, at that batch size.

Before that, the images of ``sample`` and of the bare loop are compared: they may differ by one level.

    OMP_NUM_THREADS=1 python benchmarks/speed/sampling.py --json
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

from benchmarks.common.console import end, say
from benchmarks.common.generators import untrained
from benchmarks.common.pairs import alternate, seconds
from benchmarks.speed.measured import Measurements, options_of
from genaug.backends import Inputs
from genaug.backends.latents import latent_rows, noise_rows
from genaug.device import compute_dtype
from genaug.sources.generator import Generator

SHAPES = {"MNIST's size": (1, 28, 28), "CIFAR-10's size": (3, 32, 32)}
SIZES = (16, 32, 64, 128, 256, 512)
PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}
CPU = torch.device("cpu")


def forward(generator: Generator, latents: Mapping[str, Tensor], labels: Tensor, rows: slice) -> Tensor:
    """What the network returns for some of the latents, in [-1, 1]."""
    parts = {name: values[rows] for name, values in latents.items()}
    inputs = Inputs(parts, labels[rows], noise_rows(0, 0, len(labels[rows]), labels.device), {})
    return generator.backend.generate(generator.nets, inputs)


@torch.inference_mode()
def bare(
    generator: Generator,
    latents: Mapping[str, Tensor],
    labels: Tensor,
    size: int,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """The images of latents, uint8 (N, C, H, W), ``size`` at a time, as somebody would write it by hand."""
    parts = []
    with torch.autocast(labels.device.type, torch.bfloat16, enabled=dtype == torch.bfloat16):
        for start in range(0, len(labels), size):
            outputs = forward(generator, latents, labels, slice(start, start + size)).float()
            parts.append(outputs.add(1).mul(127.5).clamp(0, 255).round().to(torch.uint8))
    return torch.cat(parts)


@torch.inference_mode()
def forward_only(generator: Generator, latents: Mapping[str, Tensor], labels: Tensor, size: int) -> None:
    for start in range(0, len(labels), size):
        forward(generator, latents, labels, slice(start, start + size))


def fastest(generator: Generator, latents: Mapping[str, Tensor], labels: Tensor, dtype: torch.dtype) -> int:
    """The batch size at which the bare loop takes the least time."""
    sides = {str(size): partial(seconds, partial(bare, generator, latents, labels, size, dtype)) for size in SIZES}
    times = alternate(sides, 3)
    return min(SIZES, key=lambda size: min(times[str(size)]))


def check(images: Tensor, others: Tensor) -> None:
    """Raises ``ValueError`` unless two sets of images are the same up to rounding."""
    most = int((images.int() - others.int()).abs().max())
    if most > 1:
        raise ValueError(f"the images of the two sides differ by {most} levels")


def main(argv: list[str] | None = None) -> None:
    parser = options_of(__doc__, rounds=8)
    parser.add_argument("--samples", type=int, default=10_000)
    options = parser.parse_args(argv)
    torch.manual_seed(0)
    measurements = Measurements(options, "sampling")
    for case, shape in SHAPES.items():
        generator, n = untrained(shape), options.samples
        images, labels = generator.sample(n, seed=0, precision="float32")
        assert labels is not None
        latents = {latent.name: latent_rows(latent, 0, 0, n) for latent in generator.spec.latents}
        few = {name: values[: n // 8] for name, values in latents.items()}
        sides: dict[str, Any] = {}
        sizes = {}
        for name, dtype in PRECISIONS.items():
            sizes[name] = fastest(generator, few, labels[: n // 8], dtype)
            sides[name] = partial(generator.sample, n, seed=0, precision=name)
            sides[f"bare {name}"] = partial(bare, generator, latents, labels, sizes[name], dtype)
        check(images, sides["bare float32"]())
        say(f"{case}: fastest batch sizes of the bare loop {sizes}")
        sides["forward"] = partial(forward_only, generator, latents, labels, sizes["float32"])
        figures = alternate({name: partial(seconds, side) for name, side in sides.items()}, options.rounds)
        default = str(compute_dtype("auto", CPU, generator.spec.sample.in_bfloat16)).removeprefix("torch.")
        measurements.add(case, figures, samples=n, shape=shape, batch_sizes=sizes, default=default)
    end(options, {"script": "sampling", "rows": measurements.rows})


if __name__ == "__main__":
    main()
