"""RCGAN (Esteban, Hyland & Rätsch 2017): a conditional GAN for series, with recurrent or dilated networks."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Annotated, Any, ClassVar, Literal, cast

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.backends import cudnn

from genaug.backends import Backend, BackendConfig, Batch, Fakes, Inputs, Loss, Normal, Player, Spec, Step, adam
from genaug.backends.options import (
    NO_CRITIC,
    Beta2,
    Conditional,
    Decay,
    LatentSize,
    LearningRate,
    PenaltyInterval,
    PenaltyWeight,
)
from genaug.modalities.series import Series
from genaug.nn.objectives import OBJECTIVES, score_log, zero_centered_penalty
from genaug_series.networks import DilatedDiscriminator, DilatedGenerator, RecurrentDiscriminator, RecurrentGenerator


class RCGANConfig(BackendConfig):
    """Options of the ``rcgan`` backend."""

    latent_size: LatentSize = 8
    latent: Annotated[
        Literal["series", "step"], Field(description="one latent for the series, or one for each of its steps")
    ] = "series"
    generator: Annotated[
        Literal["recurrent", "dilated"],
        Field(description="the generator's network: recurrent, or dilated convolutions"),
    ] = "recurrent"
    discriminator: Annotated[
        Literal["recurrent", "bidirectional", "dilated"],
        Field(description="the discriminator's network: recurrent in one or two directions, or dilated convolutions"),
    ] = "dilated"
    cell: Annotated[Literal["lstm", "gru"], Field(description="the cell of recurrent networks")] = "lstm"
    hidden: Annotated[int, Field(ge=2, le=4096, description="units, or channels, of each layer")] = 64
    generator_layers: Annotated[
        int | None,
        Field(ge=1, le=64, description="layers of the generator; by default 1 recurrent or 6 dilated ones"),
    ] = None
    discriminator_layers: Annotated[int, Field(ge=1, le=64, description="layers of the discriminator")] = 4
    loss: Annotated[
        Literal["relativistic", "nonsaturating", "least_squares", "hinge", "minimax"],
        NO_CRITIC,
        Field(description="adversarial objective"),
    ] = "relativistic"
    gamma: PenaltyWeight = 0.2
    penalty_every: PenaltyInterval = 4
    lr: LearningRate = 1e-3
    decay: Decay = 0.5
    beta2: Beta2 = 0.99
    conditional: Conditional = True


class RCGAN(Backend):
    """Trained as ``cgan`` is: by default with the relativistic pairing loss and zero-centered gradient penalties on
    real and generated series (Huang et al. 2024), evaluated every few steps."""

    Config = RCGANConfig
    modalities = ("series",)
    tiny: ClassVar[Mapping[str, Any]] = {
        "latent_size": 3,
        "hidden": 6,
        "generator_layers": 1,
        "discriminator_layers": 1,
    }

    def describe(self, config: RCGANConfig, data: Spec) -> Spec:
        size = config.latent_size if config.latent == "series" else (data.shape[1], config.latent_size)
        return super().describe(config, data).model_copy(update={"latents": (Normal(size=size),)})

    def build(self, config: RCGANConfig, spec: Spec) -> nn.ModuleDict:
        channels, steps = shape = cast(Series, spec.sample).encoded_shape
        classes, hidden = spec.num_classes, config.hidden
        layers = config.generator_layers or (6 if config.generator == "dilated" else 1)
        generator: nn.Module
        if config.generator == "dilated":
            generator = DilatedGenerator(config.latent_size, hidden, layers, shape, classes)
        else:
            generator = RecurrentGenerator(config.latent_size, hidden, layers, config.cell, shape, classes)
        discriminator: nn.Module
        layers = config.discriminator_layers
        if config.discriminator == "dilated":
            discriminator = DilatedDiscriminator(channels, hidden, layers, steps, classes)
        else:
            both = config.discriminator == "bidirectional"
            discriminator = RecurrentDiscriminator(channels, hidden, layers, config.cell, classes, bidirectional=both)
        return nn.ModuleDict({"generator": Gated(generator, cast(Series, spec.sample)), "discriminator": discriminator})

    def generate(self, nets: nn.ModuleDict, inputs: Inputs) -> Tensor:
        series: Tensor = nets["generator"](inputs.latents["z"], inputs.labels)
        return series

    def players(self, config: RCGANConfig, nets: nn.ModuleDict) -> list[Player]:
        optimizer = adam(config.lr, (0.0, config.beta2), decay=config.decay)
        return [
            Player("generator", nets["generator"].parameters(), self.generator_loss, optimizer),
            Player("discriminator", nets["discriminator"].parameters(), self.discriminator_loss, optimizer),
        ]

    def _fakes(self, nets: nn.ModuleDict, batch: Batch, step: Step) -> Fakes:
        """One pass of the generator per step, for both players."""
        inputs = step.inputs(batch)
        return Fakes(self.generate(nets, inputs), inputs)

    def generator_loss(self, nets: nn.ModuleDict, batch: Batch, step: Step) -> Loss:
        """By default E softplus(D(x, y) - D(G(z, y), y)) (Huang et al. 2024, section 2.1)."""
        objective, discriminator = OBJECTIVES[step.config.loss], nets["discriminator"]
        score = discriminator(step.fakes(lambda: self._fakes(nets, batch, step)).x, batch.labels).float()
        real_score = discriminator(batch.x, batch.labels).float() if objective.pairs else score
        return Loss(objective.generator(real_score, score))

    def discriminator_loss(self, nets: nn.ModuleDict, batch: Batch, step: Step) -> Loss:
        """By default E softplus(D(G(z, y), y) - D(x, y)) + gamma / 2 (R1 + R2) (Huang et al. 2024, eq. 2 and 3)."""
        config, objective, discriminator = step.config, OBJECTIVES[step.config.loss], nets["discriminator"]
        fake = step.fakes(lambda: self._fakes(nets, batch, step)).x.detach()
        series = torch.cat([batch.x.to(fake.dtype), fake])
        labels = None if batch.labels is None else torch.cat([batch.labels, batch.labels])
        penalize = config.gamma > 0 and step.index % config.penalty_every == 0
        if penalize:
            with step.float32(), nullcontext() if config.discriminator == "dilated" else _differentiable_twice():
                series = series.float().requires_grad_()
                scores = discriminator(series, labels)
                penalty = 2 * zero_centered_penalty(scores, series)  # twice the mean over both halves: R1 + R2
        else:
            scores = discriminator(series, labels)
        real_score, fake_score = scores.float().chunk(2)
        value, log = objective.discriminator(real_score, fake_score), score_log(real_score, fake_score)
        if penalize:
            value = value + config.gamma / 2 * config.penalty_every * penalty
            log["penalty"] = penalty.detach()
        return Loss(value, log)


def _differentiable_twice() -> AbstractContextManager[None]:
    """A context without cuDNN, whose recurrent layers can be differentiated only once."""
    return cudnn.flags(enabled=False)


class Gated(nn.Module):
    """A network whose outputs are encoded series: see ``Series.gated``."""

    def __init__(self, body: nn.Module, sample: Series) -> None:
        super().__init__()
        self.body, self.sample = body, sample

    def forward(self, z: Tensor, labels: Tensor | None) -> Tensor:
        return self.sample.gated(self.body(z, labels))
