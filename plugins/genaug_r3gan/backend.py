"""R3GAN (Huang et al. 2024): a residual GAN without normalization, a relativistic loss and R1 + R2, for any images."""

import math
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, cast

from pydantic import Field
from torch import Tensor, cat, nn, where

from genaug.backends import Backend, BackendConfig, Batch, Fakes, Inputs, Loss, Player, Spec, Step, adam
from genaug.backends.options import Beta2, Conditional, Decay, LatentSize, LearningRate, PenaltyInterval, PenaltyWeight
from genaug.nn.objectives import relativistic_discriminator, relativistic_generator, score_log, zero_centered_penalty
from genaug_r3gan.networks import Architecture, Discriminator, Generator, architecture

BURN_IN = 10.0
"""How much larger gamma is at first than after the burn-in, in all of the paper's experiments."""


class R3GANConfig(BackendConfig):
    """Options of the ``r3gan`` backend."""

    latent_size: LatentSize = 64
    width: Annotated[int, Field(ge=1, le=4096, description="channels of the feature maps up to full_width_until")] = 64
    full_width_until: Annotated[
        int, Field(ge=1, le=1024, description="shorter side in pixels above which each doubling halves the channels")
    ] = 8
    blocks: Annotated[int, Field(ge=1, le=16, description="residual blocks per feature map size")] = 2
    expansion: Annotated[int, Field(ge=1, le=8, description="inner channels of a block, per channel of its width")] = 2
    group_width: Annotated[int, Field(ge=1, le=4096, description="channels per group of the 3x3 convolutions")] = 16
    gamma: PenaltyWeight = 0.05
    burn_in: Annotated[
        int,
        Field(
            ge=0, le=10**9, description="steps over which gamma falls from 10 times its value, along a cosine; 0: none"
        ),
    ] = 0
    penalty_every: PenaltyInterval = 4
    augment_probability: Annotated[
        float, Field(ge=0, le=1, description="share of the discriminator's images that fit's augment= changes")
    ] = 1.0
    lr: LearningRate = 2e-4
    decay: Decay = 0.5
    beta2: Beta2 = 0.99
    conditional: Conditional = True


class R3GAN(Backend):
    """Residual networks for images of any shape, class-conditional if the data has labels."""

    Config = R3GANConfig
    tiny: ClassVar[Mapping[str, Any]] = {"latent_size": 4, "width": 8, "blocks": 1, "group_width": 4}

    def build(self, config: R3GANConfig, spec: Spec) -> nn.ModuleDict:
        sizes = dimensions(config, spec)
        channels, classes = spec.shape[0], spec.num_classes
        return nn.ModuleDict(
            {
                "generator": Generator(channels, classes, config.latent_size, sizes),
                "discriminator": Discriminator(channels, classes, sizes),
            }
        )

    def generate(self, nets: nn.ModuleDict, inputs: Inputs) -> Tensor:
        images: Tensor = nets["generator"](inputs.latents["z"], inputs.labels)
        return images.clamp(-1, 1)

    def discriminator_blocks(self, nets: nn.ModuleDict) -> list[nn.Module]:
        discriminator = cast(Discriminator, nets["discriminator"])
        stages = list(discriminator.stages)[:-1]  # the last one ends with the scores
        return [nn.ModuleList([discriminator.image, *stages[:1]]), *stages[1:]]

    def players(self, config: R3GANConfig, nets: nn.ModuleDict) -> list[Player]:
        optimizer = adam(config.lr, (0.0, config.beta2), decay=config.decay)
        return [
            Player("generator", nets["generator"].parameters(), self.generator_loss, optimizer),
            Player("discriminator", nets["discriminator"].parameters(), self.discriminator_loss, optimizer),
        ]

    def _fakes(self, nets: nn.ModuleDict, batch: Batch, step: Step) -> Fakes:
        """One pass of the generator per step, for both players. Unlike samples, the images aren't clamped: outside
        [-1, 1] there would be no gradient."""
        inputs = step.inputs(batch)
        return Fakes(nets["generator"](inputs.latents["z"], inputs.labels), inputs)

    def generator_loss(self, nets: nn.ModuleDict, batch: Batch, step: Step) -> Loss:
        fake = step.fakes(lambda: self._fakes(nets, batch, step)).x
        fake_score = nets["discriminator"](_augment(step, fake), batch.labels).float()
        real_score = nets["discriminator"](_augment(step, batch.x), batch.labels).float()
        return Loss(relativistic_generator(real_score, fake_score))

    def discriminator_loss(self, nets: nn.ModuleDict, batch: Batch, step: Step) -> Loss:
        config, labels = step.config, batch.labels
        fake = step.fakes(lambda: self._fakes(nets, batch, step)).x.detach()
        images = cat([_augment(step, batch.x), _augment(step, fake)])
        both = None if labels is None else cat([labels, labels])
        penalize = config.gamma > 0 and step.index % config.penalty_every == 0
        if penalize:
            with step.float32():
                images = images.float().requires_grad_()
                scores = nets["discriminator"](images, both)
                penalty = 2 * zero_centered_penalty(scores, images)  # twice the mean over both halves: R1 + R2
        else:
            scores = nets["discriminator"](images, both)
        real_score, fake_score = scores.float().chunk(2)
        value = relativistic_discriminator(real_score, fake_score)
        log = score_log(real_score, fake_score)
        if penalize:
            value = value + gamma_at(config, step.index) / 2 * config.penalty_every * penalty
            log["penalty"] = penalty.detach()
        return Loss(value, log)


def _augment(step: Step, images: Tensor) -> Tensor:
    """The images, each augmented with the config's probability: by all of the run's augmentations or by none."""
    probability: float = step.config.augment_probability
    if probability == 1:
        return step.augment(images)
    chosen = step.uniform(len(images), 1, 1, 1) < probability
    return where(chosen, step.augment(images), images)


def dimensions(config: R3GANConfig, spec: Spec) -> Architecture:
    """The dimensions of both networks for a config and the spec's images."""
    _, height, width = spec.shape
    return architecture(
        height, width, config.width, config.full_width_until, config.blocks, config.expansion, config.group_width
    )


def gamma_at(config: R3GANConfig, step: int) -> float:
    """The weight of the penalties in a step: ``gamma``, or during the burn-in up to ten times as much."""
    if step >= config.burn_in:
        return config.gamma
    falling = (1 + math.cos(math.pi * step / config.burn_in)) / 2
    return config.gamma * (1 + (BURN_IN - 1) * falling)
