"""Training steps per second: genaug's trainer, torchgan's Trainer and a bare loop, the same networks, side by side.

The networks are torchgan's own 32x32 DCGAN (batch 64, one channel), the objective the non-saturating one, Adam on both.
The three take turns in one process, several rounds; each ratio is the median over the rounds. The engine has its
averaged generator (EMA) on, which the other two lack, and no differentiable augmentation.

torchgan lies in a folder of its own, since it brings a package called ``tests`` that would hide other projects' own:

    pip install --no-deps --target .venv/torchgan torchgan==0.1.0
    PYTHONPATH=.venv/torchgan python benchmarks/speed/training.py --json
"""

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from benchmarks.common.console import say
from benchmarks.common.pairs import alternate
from benchmarks.speed.measured import Measurements, options_of
from genaug.backends import Backend, BackendConfig, Batch, Inputs, Loss, Player, Spec, Step, adam
from genaug.data.reading import Samples
from genaug.device import compute_dtype
from genaug.modalities import Image
from genaug.nn.objectives import OBJECTIVES
from genaug.training.trainer import Trainer

CPU = torch.device("cpu")
BATCH, LATENT, SIDE, LR, BETAS = 64, 100, 32, 2e-4, (0.5, 0.999)


def networks() -> nn.ModuleDict:
    from torchgan.models import DCGANDiscriminator, DCGANGenerator

    generator = DCGANGenerator(encoding_dims=LATENT, out_size=SIDE, out_channels=1, step_channels=64)
    return nn.ModuleDict({"generator": generator, "discriminator": DCGANDiscriminator(SIDE, 1, 64)})


class TorchganDCGAN(Backend):
    """torchgan's networks as a backend, with draws of its own for each player, as its Trainer has."""

    class Config(BackendConfig):
        latent_size: int = LATENT

    def build(self, config: Any, spec: Spec) -> nn.ModuleDict:
        return networks()

    def generate(self, nets: nn.ModuleDict, inputs: Inputs) -> Tensor:
        images: Tensor = nets["generator"](inputs.latents["z"])
        return images

    def players(self, config: Any, nets: nn.ModuleDict) -> list[Player]:
        losses = {"generator": self.generator_loss, "discriminator": self.discriminator_loss}
        return [Player(name, nets[name].parameters(), loss, adam(LR, BETAS)) for name, loss in losses.items()]

    def generator_loss(self, nets: nn.ModuleDict, batch: Batch, step: Step) -> Loss:
        score = nets["discriminator"](self.generate(nets, step.inputs(batch))).float()
        return Loss(OBJECTIVES["nonsaturating"].generator(score, score))

    def discriminator_loss(self, nets: nn.ModuleDict, batch: Batch, step: Step) -> Loss:
        fake_score = nets["discriminator"](self.generate(nets, step.inputs(batch))).float()
        real_score = nets["discriminator"](batch.x).float()
        return Loss(OBJECTIVES["nonsaturating"].discriminator(real_score, fake_score))


def engine(data: Samples, precision: str, batch: int = BATCH, device: torch.device = CPU) -> Callable[[int], object]:
    backend, dtype = TorchganDCGAN(), compute_dtype(precision, device, data.spec.sample.in_bfloat16)
    return Trainer(backend, backend.Config(), data, batch_size=batch, device=device, dtype=dtype).step


def bare_loop(
    data: Samples, batch: int = BATCH, device: torch.device = CPU, *, bfloat16: bool = False, compiles: bool = False
) -> Callable[[int], None]:
    """What somebody would write by hand: freeze the other network, one forward and backward each, Adam."""
    nets = networks().to(device)
    run = {name: torch.compile(net) if compiles else net for name, net in nets.items()}
    adams = {name: torch.optim.Adam(net.parameters(), LR, BETAS, fused=True) for name, net in nets.items()}

    def loss_of(player: str, real: Tensor) -> Tensor:
        fake_score = run["discriminator"](run["generator"](torch.randn(batch, LATENT, device=device)))
        if player == "generator":
            return softplus(-fake_score).mean()
        return softplus(-run["discriminator"](real)).mean() + softplus(fake_score).mean()

    def play(index: int) -> None:
        rows = torch.randint(len(data.x), (batch,))
        real = data.x[rows].to(device).float() / 127.5 - 1
        for player, other in (("generator", "discriminator"), ("discriminator", "generator")):
            nets[player].requires_grad_(True)
            nets[other].requires_grad_(False)
            with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
                loss = loss_of(player, real)
            adams[player].zero_grad(set_to_none=True)
            loss.backward()
            adams[player].step()

    return play


def torchgan_trainer(data: Samples, folder: Path) -> Callable[[int], None]:
    from torchgan.losses import MinimaxDiscriminatorLoss, MinimaxGeneratorLoss
    from torchgan.models import DCGANDiscriminator, DCGANGenerator
    from torchgan.trainer import Trainer

    adam = {"name": torch.optim.Adam, "args": {"lr": LR, "betas": BETAS}}
    generator = {"encoding_dims": LATENT, "out_size": SIDE, "out_channels": 1, "step_channels": 64}
    discriminator = {"in_size": SIDE, "in_channels": 1, "step_channels": 64}
    trainer = Trainer(
        {
            "generator": {"name": DCGANGenerator, "args": generator, "optimizer": adam},
            "discriminator": {"name": DCGANDiscriminator, "args": discriminator, "optimizer": adam},
        },
        [MinimaxGeneratorLoss(), MinimaxDiscriminatorLoss()],
        device=CPU,
        checkpoints=str(folder / "model"),
        recon=str(folder / "images"),
        log_dir=str(folder / "logs"),
    )
    trainer.batch_size = BATCH  # it is 1 when train_iter is called by hand, and the comparison would be void

    def play(index: int) -> None:
        rows = torch.randint(len(data.x), (BATCH,))
        trainer.real_inputs = data.x[rows].float() / 127.5 - 1
        trainer.train_iter()

    return play


def main() -> None:
    parser = options_of(__doc__, rounds=5)
    parser.add_argument("--steps", type=int, default=20, help="timed steps of each side in a round")
    parser.add_argument("--warm-up", type=int, default=3)
    options = parser.parse_args()
    try:
        parameters = {name: sum(p.numel() for p in net.parameters()) for name, net in networks().items()}
    except ModuleNotFoundError:
        sys.exit("this benchmark compares with torchgan: make bench installs it in a folder of its own")
    say(f"parameters of every side: {parameters}")
    images = torch.randint(0, 256, (2048, 1, SIDE, SIDE), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    data = Samples(images, None, Spec(sample=Image(1, SIDE, SIDE)))
    with tempfile.TemporaryDirectory() as scratch:
        sides = {
            "torchgan": torchgan_trainer(data, Path(scratch)),
            "bare": bare_loop(data),
            "float32": engine(data, "float32"),
            "default": engine(data, "auto"),
        }
        measurements = Measurements(options, "training")
        rates = measure(sides, options.rounds, options.steps, options.warm_up)
    measurements.add(
        "torchgan's networks",
        {name: [1 / rate for rate in values] for name, values in rates.items()},
        batch=BATCH,
        steps=options.steps,
        default=str(compute_dtype("auto", CPU, data.spec.sample.in_bfloat16)).removeprefix("torch."),
    )

    def ratio(ours: str, baseline: str) -> float:
        return statistics.median(a / b for a, b in zip(rates[ours], rates[baseline], strict=True))

    for name, values in rates.items():
        say(f"{name}: median {statistics.median(values):.1f} images/s")
    result = {
        "vs_torchgan_float32": ratio("float32", "torchgan"),
        "vs_torchgan_default": ratio("default", "torchgan"),
        "overhead_vs_bare_loop": ratio("bare", "float32") - 1,
        "default_precision": str(compute_dtype("auto", CPU, data.spec.sample.in_bfloat16)).removeprefix("torch."),
        "threads": torch.get_num_threads(),
        "rounds": options.rounds,
    }
    print(json.dumps(result) if options.json else result)


def measure(
    sides: Mapping[str, Callable[[int], object]], rounds: int, steps: int, warm_up: int
) -> dict[str, list[float]]:
    """Images a second of each side in each round."""
    steps_done = dict.fromkeys(sides, 0)

    def rate(name: str) -> float:
        for count in (warm_up, steps):
            start = time.perf_counter()
            for _ in range(count):
                sides[name](steps_done[name])
                steps_done[name] += 1
            seconds = time.perf_counter() - start
        return steps * BATCH / seconds

    return alternate({name: partial(rate, name) for name in sides}, rounds)


if __name__ == "__main__":
    main()
