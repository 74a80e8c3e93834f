"""Run by ``test_distributed.py`` in two processes, and imported by it: steps, their gradients and weights."""

import sys
from pathlib import Path

import torch
from torch import nn

from genaug.backends import Spec
from genaug.data.reading import Samples
from genaug.modalities.image import Image
from genaug.training.distributed import process_group
from genaug.training.trainer import Trainer
from genaug_wgan_gp.backend import WGANGP, WGANGPConfig

BATCH = 16
CPU = torch.device("cpu")


class Tiny(WGANGPConfig):
    batch_norm: bool = False


class PlainGenerator(WGANGP):
    """The ``wgan-gp`` backend with a generator that has batch normalization only if the option says so.

    With a critic and a gradient penalty, wrapped modules would give wrong gradients silently.
    """

    Config = Tiny

    def build(self, config, spec):
        norm = nn.BatchNorm1d(12) if config.batch_norm else nn.Identity()
        nets = super().build(config, spec)
        nets["generator"] = nn.Sequential(nn.Linear(6, 12), norm, nn.ELU(), nn.Linear(12, 64), nn.Tanh())
        return nets

    def generate(self, nets, inputs):
        return nets["generator"](inputs.latents["z"]).unflatten(1, (1, 8, 8))


def train(steps: int, batch_norm: bool) -> dict[str, torch.Tensor]:
    """Gradients of all updates, and the final weights, each flattened."""
    images = torch.randint(0, 256, (50, 1, 8, 8), generator=torch.Generator().manual_seed(5)).to(torch.uint8)
    data = Samples(images, None, Spec(sample=Image(1, 8, 8)))
    config = Tiny(batch_norm=batch_norm, latent_size=6, width=4, max_width=8, n_critic=2, lr=1e-3)
    gradients = []
    with process_group(CPU, BATCH) as (world, device):
        policy = ("translation", "affine")
        trainer = Trainer(PlainGenerator(), config, data, batch_size=BATCH, device=device, augment=policy, world=world)
        for group, optimizer in zip(trainer.groups, trainer.optimizers, strict=True):
            optimizer.register_step_pre_hook(
                lambda *_, group=group: gradients.append(torch.cat([p.grad.flatten().clone() for p in group]))
            )
        for index in range(steps):
            trainer.step(index)
        weights = torch.cat([p.detach().flatten() for p in trainer.nets.parameters()])
        return {"gradients": torch.cat(gradients), "weights": weights, "rank": torch.tensor(world.rank)}


if __name__ == "__main__":
    torch.set_num_threads(1)
    for norm in (False, True):
        result = train(3, norm)
        torch.save(result, Path(sys.argv[1]) / f"norm-{norm}-rank-{int(result['rank'])}.pt")
