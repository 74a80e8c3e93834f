"""``GenerativeAugment`` in a training step, from a generator and from a pool, against the step without it.

The step trains timm's resnet18 on a batch of 128 images on the CPU, of which 30% are replaced. Sides that take turns in
each round, in seconds per step:

* without: the step alone;
* generator and pool: with ``GenerativeAugment`` before it, from either source;
* forward: the limit, the generator's network alone for as many images.

    OMP_NUM_THREADS=1 python benchmarks/speed/on_the_fly.py --json

needs the extra timm.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import timm
import torch
from torch import Tensor, nn

import genaug
from benchmarks.common.console import end
from benchmarks.common.generators import untrained
from benchmarks.common.pairs import alternate, seconds
from benchmarks.speed.measured import Measurements, options_of
from benchmarks.speed.sampling import bare

SHAPES = {"28 pixels": (1, 28, 28), "32 pixels": (3, 32, 32)}
RATIO = 0.3
MODEL = "resnet18"


class Step:
    """A training step of a classifier."""

    def __init__(self, channels: int, model: str = MODEL, device: Any = "cpu") -> None:
        self.model: nn.Module = timm.create_model(model, num_classes=10, in_chans=channels).to(device)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.01, momentum=0.9)

    def __call__(self, images: Tensor, labels: Tensor) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        nn.functional.cross_entropy(self.model(images), labels).backward()
        self.optimizer.step()


def sides_of(shape: tuple[int, int, int], batch: int, model: str, device: Any = "cpu") -> dict[str, Callable[[], Any]]:
    generator, step = untrained(shape, device=device), Step(shape[0], model, device)
    images, labels = torch.rand(batch, *shape, device=device), torch.arange(batch, device=device) % 10
    pool = genaug.SamplePool(generator, size=10 * batch)
    count = round(RATIO * batch)
    latents = {latent.name: torch.randn(count, *latent.shape, device=device) for latent in generator.spec.latents}

    def augmented(augment: genaug.GenerativeAugment) -> None:
        step(*augment(images, labels))

    return {
        "without": partial(step, images, labels),
        "generator": partial(augmented, genaug.GenerativeAugment(generator, ratio=RATIO)),
        "pool": partial(augmented, genaug.GenerativeAugment(pool, ratio=RATIO)),
        "forward": partial(bare, generator, latents, labels[:count], count),
    }


def main(argv: list[str] | None = None) -> None:
    parser = options_of(__doc__, rounds=20)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--model", default=MODEL, help=f"of timm, by default {MODEL}")
    options = parser.parse_args(argv)
    torch.manual_seed(0)
    measurements = Measurements(options, "on the fly")
    for case, shape in SHAPES.items():
        sides = sides_of(shape, options.batch, options.model)
        for side in sides.values():
            side()  # allocates the optimizer's state, warms the caches
        figures = alternate({name: partial(seconds, side) for name, side in sides.items()}, options.rounds)
        measurements.add(case, figures, batch=options.batch, ratio=RATIO, model=options.model)
    end(options, {"script": "on_the_fly", "rows": measurements.rows})


if __name__ == "__main__":
    main()
