"""Run by ``test_ranks.py`` under torchrun, and imported by it: plays steps and keeps every gradient and weight."""

import sys
from pathlib import Path

import torch
from torch import nn

from genaug.backend import Backend, BackendConfig, Loss, Player
from genaug.spec import Spec
from genaug.training.game import Game
from genaug.training.objectives import OBJECTIVES, interpolation_penalty
from genaug.training.ranks import joined
from genaug.training.reading import TrainingImages
from genaug.training.streams import BatchStream, TrainingStep

BATCH = 16
CPU = torch.device("cpu")


class Tiny(BackendConfig):
    latent_size: int = 6
    batch_norm: bool = False


class PenalisedGAN(Backend):
    """A critic with a gradient penalty: the case in which wrapped modules go wrong in silence."""

    Config = Tiny

    def build(self, config, spec):
        size = spec.shape[0] * spec.shape[1] * spec.shape[2]
        norm = nn.BatchNorm1d(12) if config.batch_norm else nn.Identity()
        generator = nn.Sequential(nn.Linear(6, 12), norm, nn.ELU(), nn.Linear(12, size), nn.Tanh())
        critic = nn.Sequential(nn.Linear(size, 12), nn.ELU(), nn.Linear(12, 1))
        return nn.ModuleDict({"generator": generator, "critic": critic})

    def generate(self, nets, latents, labels):
        return nets["generator"](latents["z"]).unflatten(1, (1, 8, 8))

    def players(self, config, nets):
        critic = Player("critic", nets["critic"].parameters(), 1e-3, steps=2)
        return [critic, Player("generator", nets["generator"].parameters(), 1e-3)]

    def loss(self, player, nets, batch, step):
        objective = OBJECTIVES["wasserstein"]
        fake = step.augment(self.generate(nets, step.latents(len(batch.images)), None))
        score = lambda images: nets["critic"](images.flatten(1))  # noqa: E731
        if player == "generator":
            return Loss(objective.generator(score(fake), score(fake)))
        real = step.augment(batch.images)
        weight = step.uniform(len(real), 1, 1, 1)
        penalty = interpolation_penalty(score, real, fake, weight)
        return Loss(objective.discriminator(score(real), score(fake)) + 10 * penalty)


def play(steps: int, batch_norm: bool) -> dict[str, torch.Tensor]:
    """Gradients of all turns, and the final weights, each flattened."""
    images = torch.randint(0, 256, (50, 1, 8, 8), generator=torch.Generator().manual_seed(5)).to(torch.uint8)
    data = TrainingImages(images, None, Spec(shape=(1, 8, 8)))
    backend, config, gradients = PenalisedGAN(), Tiny(batch_norm=batch_norm), []
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
