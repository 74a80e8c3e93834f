"""An epoch of training on a blend whose pool is refreshed for every epoch, against one whose pool is kept.

timm's resnet18 is trained on images of 32 pixels with 5 real ones for each generated one, as of 50,000 real images and
a pool of 10,000; by default there are 1,280 and 256. Sides that take turns in each round, in seconds per epoch, with
``set_epoch``:

* refreshed: the pool is filled again (``refresh="epoch"``, the default);
* kept: samples are drawn again from the same pool (``refresh=None``);
* forward: the limit, the generator's network alone for as many images.

    OMP_NUM_THREADS=1 python benchmarks/speed/pool_refresh.py --json

needs the extra timm.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch.utils.data import DataLoader, TensorDataset
from torchvision.transforms import v2

import genaug
from benchmarks.common.console import end
from benchmarks.common.generators import untrained
from benchmarks.common.pairs import alternate, seconds
from benchmarks.speed.measured import Measurements, options_of
from benchmarks.speed.on_the_fly import MODEL, Step
from benchmarks.speed.sampling import bare

SHAPE, BATCH = (3, 32, 32), 128
REAL, POOL = 1_280, 256


class Epochs:
    """Trains on a blend, one epoch per call."""

    def __init__(self, mixed: Any, step: Step, device: Any) -> None:
        self._mixed, self._step, self._device, self.epoch = mixed, step, device, 0
        self._loader = DataLoader(mixed, batch_sampler=mixed.batch_sampler(BATCH))
        self._floats = v2.ToDtype(torch.float32, scale=True)

    def __call__(self) -> None:
        self.epoch += 1
        self._mixed.set_epoch(self.epoch)
        for images, labels in self._loader:
            self._step(self._floats(images.to(self._device)), labels.to(self._device))


def sides_of(real: int, pool: int, model: str, device: Any = "cpu") -> dict[str, Callable[[], Any]]:
    generator, step = untrained(SHAPE, device=device), Step(SHAPE[0], model, device)
    labels = torch.arange(real) % 10
    images = TensorDataset(torch.randint(0, 256, (real, *SHAPE), dtype=torch.uint8), labels)
    blends = {
        name: genaug.MixedDataset(images, generator, ratio=pool / (real + pool), refresh=refresh)  # type: ignore[arg-type]
        for name, refresh in (("refreshed", "epoch"), ("kept", None))
    }
    latents = {latent.name: torch.randn(pool, *latent.shape, device=device) for latent in generator.spec.latents}
    some = torch.arange(pool, device=device) % 10
    return {
        **{name: Epochs(mixed, step, device) for name, mixed in blends.items()},
        "forward": partial(bare, generator, latents, some, 64),
    }


def main(argv: list[str] | None = None) -> None:
    parser = options_of(__doc__, rounds=12)
    parser.add_argument("--real", type=int, default=REAL, help=f"images, by default {REAL:,}")
    parser.add_argument("--pool", type=int, default=POOL, help=f"generated images, by default {POOL:,}")
    parser.add_argument("--model", default=MODEL, help=f"of timm, by default {MODEL}")
    options = parser.parse_args(argv)
    torch.manual_seed(0)
    measurements = Measurements(options, "pool refreshed")
    sides = sides_of(options.real, options.pool, options.model)
    for side in sides.values():
        side()  # allocates the optimizer's state, warms the caches
    figures = alternate({name: partial(seconds, side) for name, side in sides.items()}, options.rounds)
    measurements.add("32 pixels", figures, real=options.real, pool=options.pool, batch=BATCH, model=options.model)
    end(options, {"script": "pool_refresh", "rows": measurements.rows})


if __name__ == "__main__":
    main()
