"""Run by ``test_ranks.py`` under torchrun, and imported by it: plays steps and keeps every gradient and weight."""

import sys
from pathlib import Path

import torch
from torch import nn

from genaug.modalities.image import Image

from genaug.backends import Spec
from genaug.data.reading import Samples
from genaug.training.distributed import joined
from genaug.training.game import Game
from genaug.training.streams import BatchStream, TrainingStep
from genaug_wgan_gp.backend import WGANGP, WGANGPConfig

BATCH = 16
CPU = torch.device("cpu")


class Tiny(WGANGPConfig):
    batch_norm: bool = False


class PlainGenerator(WGANGP):
    """The ``wgan-gp`` backend with a generator that has batch normalisation only where asked for.

    A critic with a gradient penalty is the case in which wrapped modules go wrong in silence.
    """

    Config = Tiny

    def build(self, config, spec):
        norm = nn.BatchNorm1d(12) if config.batch_norm else nn.Identity()
        nets = super().build(config, spec)
        nets["generator"] = nn.Sequential(nn.Linear(6, 12), norm, nn.ELU(), nn.Linear(12, 64), nn.Tanh())
        return nets

    def generate(self, nets, latents, labels):
        return nets["generator"](latents["z"]).unflatten(1, (1, 8, 8))


def play(steps: int, batch_norm: bool) -> dict[str, torch.Tensor]:
    """Gradients of all turns, and the final weights, each flattened."""
    images = torch.randint(0, 256, (50, 1, 8, 8), generator=torch.Generator().manual_seed(5)).to(torch.uint8)
    data = Samples(images, None, Spec(sample=Image(1, 8, 8)))
    config = Tiny(batch_norm=batch_norm, latent_size=6, width=4, max_width=8, n_critic=2, lr=1e-3)
    backend, gradients = PlainGenerator(), []
    spec = backend.describe(config, data.spec)
    with joined(CPU, BATCH) as (share, device):
        game = Game(backend, config, spec, 0, device, share)
        policy = ("translation", "affine")
        step = TrainingStep(config, spec, seed=0, device=device, dtype=torch.float32, share=share, policy=policy)
        batches = BatchStream(data, BATCH, 0, device, share)
        for seat, optimizer in enumerate(game.optimizers):
            group = game.parameters[seat]
            optimizer.register_step_pre_hook(
                lambda *_, group=group: gradients.append(torch.cat([p.grad.flatten().clone() for p in group]))
            )
        for index in range(steps):
            step.begin(index)
            game.play(step, batches)
        weights = torch.cat([p.detach().flatten() for p in game.nets.parameters()])
        return {"gradients": torch.cat(gradients), "weights": weights, "rank": torch.tensor(share.rank)}


if __name__ == "__main__":
    torch.set_num_threads(1)
    for norm in (False, True):
        result = play(3, norm)
        torch.save(result, Path(sys.argv[1]) / f"norm-{norm}-rank-{int(result['rank'])}.pt")
