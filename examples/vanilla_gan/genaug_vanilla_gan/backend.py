"""The GAN of Goodfellow et al. 2014: two fully connected networks, no labels."""

import math
from collections.abc import Mapping
from typing import Annotated

from pydantic import Field
from torch import Tensor, nn

from genaug.backend import Backend, BackendConfig, Batch, Loss, Player, Step
from genaug.spec import Latent, Spec
from genaug.training.objectives import OBJECTIVES


class VanillaGANConfig(BackendConfig):
    latent_size: Annotated[int, Field(ge=1, le=1024)] = 64
    hidden: Annotated[int, Field(ge=1, le=4096)] = 256
    lr: Annotated[float, Field(gt=0, le=0.1)] = 2e-4


class VanillaGAN(Backend):
    Config = VanillaGANConfig

    def describe(self, config: VanillaGANConfig, data: Spec) -> Spec:
        latents = (Latent(size=config.latent_size),)
        return data.model_copy(update={"latents": latents, "num_classes": 0, "classes": None})

    def build(self, config: VanillaGANConfig, spec: Spec) -> nn.ModuleDict:
        pixels, hidden = math.prod(spec.shape), config.hidden
        generator = nn.Sequential(
            nn.Linear(config.latent_size, hidden),
            nn.ReLU(),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Linear(hidden, pixels),
            nn.Tanh(),
            nn.Unflatten(1, spec.shape),
        )
        discriminator = nn.Sequential(
            nn.Flatten(), nn.Linear(pixels, hidden), nn.LeakyReLU(0.2), nn.Linear(hidden, hidden), nn.LeakyReLU(0.2)
        )
        return nn.ModuleDict({"generator": generator, "discriminator": discriminator.append(nn.Linear(hidden, 1))})

    def generate(self, nets: nn.ModuleDict, latents: Mapping[str, Tensor], labels: Tensor | None) -> Tensor:
        images: Tensor = nets["generator"](latents["z"])
        return images

    def players(self, config: VanillaGANConfig, nets: nn.ModuleDict) -> list[Player]:
        return [
            Player(name, nets[name].parameters(), config.lr, betas=(0.5, 0.999))
            for name in ("discriminator", "generator")
        ]

    def loss(self, player: str, nets: nn.ModuleDict, batch: Batch, step: Step) -> Loss:
        objective = OBJECTIVES["nonsaturating"]
        fake = step.augment(self.generate(nets, step.latents(len(batch.images)), None))
        fake_score = nets["discriminator"](fake)
        if player == "generator":
            return Loss(objective.generator(fake_score, fake_score))
        return Loss(objective.discriminator(nets["discriminator"](step.augment(batch.images)), fake_score))
