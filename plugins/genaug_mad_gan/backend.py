"""MAD-GAN (Ghosh et al. 2018), with or without labels: k generators and a discriminator that tells them apart."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal, cast

import torch
from pydantic import Field, model_validator
from torch import Tensor, cat, nn

from genaug.backends import (
    Backend,
    BackendConfig,
    Batch,
    Categorical,
    Fakes,
    Inputs,
    Loss,
    Player,
    Spec,
    Step,
    adam,
)
from genaug.backends.options import (
    NO_CRITIC,
    Beta,
    BinaryPixels,
    Conditional,
    Decay,
    Draws,
    LatentSize,
    LearningRate,
    MaxWidth,
    PenaltyInterval,
    PenaltyWeight,
    Width,
    check_draws,
)
from genaug.nn.binary import DrawnFakes, black_or_white, drawn, drawn_fakes, importance_loss
from genaug.nn.objectives import score_log, zero_centered_penalty
from genaug_mad_gan.networks import MultiDiscriminator, MultiGenerator, shared_generators
from genaug_mad_gan.objectives import JOINT, SEPARATE, classification_loss, madgan_discriminator, real_score


class MADGANConfig(BackendConfig):
    """Options of the ``mad-gan`` backend."""

    generators: Annotated[int, Field(ge=1, le=64, description="number of generators, k")] = 4
    latent_size: LatentSize = 64
    width: Width = 32
    max_width: MaxWidth = 256
    loss: Annotated[
        Literal[
            "relativistic",
            "nonsaturating",
            "least_squares",
            "boundary_seeking",
            "hinge",
            "minimax",
            "madgan",
            "madgan_minimax",
        ],
        NO_CRITIC,
        Field(description="adversarial objective; madgan and madgan_minimax are the paper's"),
    ] = "relativistic"
    diversity: Annotated[
        float,
        Field(ge=0, le=100, description="weight of the generator classification, which the paper's losses include"),
    ] = 0.1
    full_batch: Annotated[bool, Field(description="a full batch from each generator; off: one batch for all")] = False
    binary: BinaryPixels = False
    draws: Draws = 20
    gamma: PenaltyWeight = 0.2
    penalty_every: PenaltyInterval = 4
    lr: Annotated[LearningRate, Field(description="Adam's learning rate, for all networks")] = 1e-3
    decay: Decay = 0.5
    beta1: Annotated[Beta, Field(description="Adam's beta1")] = 0.0
    beta2: Annotated[Beta, Field(description="Adam's beta2")] = 0.99
    conditional: Annotated[Conditional, Field(description="use the labels; off: an unconditional MAD-GAN")] = True

    @model_validator(mode="after")
    def _diversity_has_an_effect(self) -> "MADGANConfig":
        if self.loss in JOINT and self.diversity != type(self).model_fields["diversity"].default:
            raise ValueError(
                f"loss={self.loss!r} includes the generator classification, so diversity has no effect. Leave it out, "
                "or use another loss"
            )
        check_draws(self)
        return self


class MADGAN(Backend):
    """k convolutional generators with a shared trunk, for images of any shape, conditional if the data has labels.

    ``member``, a categorical latent, is the generator's index. By default, each generator makes an equal share of the
    batch, and the objective is that of ``cgan`` (relativistic pairing with R1 and R2 penalties) plus the generator
    classification loss, weighted by ``diversity``, which the generators minimize too.
    """

    Config = MADGANConfig
    tiny: ClassVar[Mapping[str, Any]] = {"width": 4, "max_width": 8, "latent_size": 4}

    def describe(self, config: MADGANConfig, data: Spec) -> Spec:
        spec = super().describe(config, data)
        member = Categorical(name="member", size=config.generators)
        return spec.model_copy(update={"latents": (*spec.latents, member)})

    def build(self, config: MADGANConfig, spec: Spec) -> nn.ModuleDict:
        k, sizes = config.generators, (config.width, config.max_width)
        generator = shared_generators(k, spec.shape, spec.num_classes, config.latent_size, *sizes)
        generator.binary = config.binary
        return nn.ModuleDict(
            {
                "generator": generator,
                "discriminator": MultiDiscriminator(k, spec.shape, spec.num_classes, *sizes),
            }
        )

    def generate(self, nets: nn.ModuleDict, inputs: Inputs) -> Tensor:
        images: Tensor = nets["generator"](inputs.latents["z"], inputs.labels, inputs.latents["member"])
        return drawn(images, inputs) if getattr(nets["generator"], "binary", False) else images

    def discriminator_blocks(self, nets: nn.ModuleDict) -> list[nn.Module]:
        return cast(MultiDiscriminator, nets["discriminator"]).body.blocks

    def players(self, config: MADGANConfig, nets: nn.ModuleDict) -> list[Player]:
        optimizer = adam(config.lr, (config.beta1, config.beta2), decay=config.decay)
        return [
            Player("generator", nets["generator"].parameters(), self.generator_loss, optimizer),
            Player("discriminator", nets["discriminator"].parameters(), self.discriminator_loss, optimizer),
        ]

    def generator_loss(self, nets: nn.ModuleDict, batch: Batch, step: Step) -> Loss:
        config, fakes = step.config, step.fakes(lambda: self.fakes(nets, batch, step))
        if isinstance(fakes, DrawnFakes) and config.loss == "boundary_seeking":
            return self._importance_loss(nets, fakes, step)
        outputs = nets["discriminator"](step.augment(fakes.x), fakes.inputs.labels).float()
        fake_score = real_score(outputs, config.loss)
        if config.loss in JOINT:
            return Loss(JOINT[config.loss].generator(fake_score, fake_score))
        objective, score = SEPARATE[config.loss], fake_score
        if objective.pairs:
            real_outputs = nets["discriminator"](self._real(batch, step), batch.labels).float()
            score = _paired(real_score(real_outputs, config.loss), fake_score)
        classification = classification_loss(outputs, fakes.inputs.latents["member"])
        return Loss(objective.generator(score, fake_score) + config.diversity * classification)

    def _real(self, batch: Batch, step: Step) -> Tensor:
        return step.augment(black_or_white(batch.x) if step.config.binary else batch.x)

    def _importance_loss(self, nets: nn.ModuleDict, fakes: DrawnFakes, step: Step) -> Loss:
        """``importance_loss``, plus the classification of the generators with straight-through gradients."""
        config, labels, members = step.config, fakes.inputs.labels, fakes.inputs.latents["member"]
        repeated = None if labels is None else labels.repeat_interleave(config.draws)

        def score(pixels: Tensor) -> Tensor:
            return real_score(nets["discriminator"](step.augment(pixels), repeated), config.loss)

        uniform = step.uniform(len(fakes.x), config.draws, *step.spec.shape)
        value = importance_loss(fakes.expected, score, uniform)
        outputs = nets["discriminator"](step.augment(fakes.x), labels).float()
        return Loss(value + config.diversity * classification_loss(outputs, members))

    def discriminator_loss(self, nets: nn.ModuleDict, batch: Batch, step: Step) -> Loss:
        """With full batches, R2 is the mean over as many fakes as real images, to which all generators contribute."""
        config, discriminator, labels, n = step.config, nets["discriminator"], batch.labels, len(batch.x)
        fakes = step.fakes(lambda: self.fakes(nets, batch, step))
        fake_labels, members = fakes.inputs.labels, fakes.inputs.latents["member"]
        real, fake = self._real(batch, step), step.augment(fakes.x.detach())
        penalize = config.gamma > 0 and step.index % config.penalty_every == 0
        if penalize:
            with step.float32():
                real, first, rest = (images.detach().float() for images in (real, fake[:n], fake[n:]))
                real_outputs = discriminator(real.requires_grad_(), labels)
                fake_outputs = discriminator(first.requires_grad_(), labels)
                penalty = zero_centered_penalty(real_score(real_outputs, config.loss), real)
                penalty = penalty + zero_centered_penalty(real_score(fake_outputs, config.loss), first)
                if len(rest):
                    rest_outputs = discriminator(rest, None if fake_labels is None else fake_labels[n:])
                    fake_outputs = cat([fake_outputs, rest_outputs])
        else:
            both = None if labels is None or fake_labels is None else cat([labels, fake_labels])
            real_outputs, fake_outputs = discriminator(cat([real, fake]), both).float().split([len(real), len(fake)])
        fake_score = real_score(fake_outputs, config.loss)
        pairs = _paired(real_score(real_outputs, config.loss), fake_score), fake_score
        if config.loss in JOINT:
            value = madgan_discriminator(real_outputs, fake_outputs, members)
        else:
            classification = classification_loss(fake_outputs, members)
            value = SEPARATE[config.loss].discriminator(*pairs) + config.diversity * classification
        recognized = (fake_outputs.detach()[:, :-1].argmax(1) == members).float().mean()
        log = {**score_log(*pairs), "generators_named": recognized}
        if penalize:
            value = value + config.gamma / 2 * config.penalty_every * penalty
            log["penalty"] = penalty.detach()
        return Loss(value, log)

    def fakes(self, nets: nn.ModuleDict, batch: Batch, step: Step) -> Fakes:
        """One batch of images by all generators together, or one by each generator from the same latents.

        One pass of the trunk per step, for both players.

        Full batches are interleaved: each ``n`` rows have all the latents in order, and the generators in rotation.
        """
        config, inputs, labels, n = step.config, step.inputs(batch), batch.labels, len(batch.x)
        z, generator, k = inputs.latents["z"], cast(MultiGenerator, nets["generator"]), config.generators
        members = torch.arange(k, device=z.device)
        if config.full_batch:
            latent = torch.arange(n, device=z.device)
            members = (members[:, None] + latent) % k
            images = generator.every(z, labels).unflatten(0, (k, n))[members, latent].flatten(0, 1)
            labels, members = None if labels is None else labels.repeat(k), members.flatten()
        else:
            sizes = shares(n, k, step.index)
            images = generator.split(z, labels, sizes)
            members = members.repeat_interleave(torch.tensor(sizes, device=z.device), output_size=n)
        inputs = replace(inputs, latents={"z": z, "member": members}, labels=labels)
        if config.binary:
            return drawn_fakes(images, inputs, step.uniform(*images.shape))
        return Fakes(images, inputs)


def shares(n: int, generators: int, step: int) -> list[int]:
    """The number of the ``n`` samples that each generator makes; any remainder goes to different ones in each step."""
    each, remainder = divmod(n, generators)
    return [each + ((member - step * remainder) % generators < remainder) for member in range(generators)]


def _paired(real: Tensor, fake: Tensor) -> Tensor:
    """The real scores repeated for each generator's batch, so that each fake has a partner with the same label."""
    return real.repeat(len(fake) // len(real), 1)
