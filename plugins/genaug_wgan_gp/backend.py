"""WGAN-GP (Gulrajani et al. 2017): a critic with gradient norm 1, which estimates how far samples are from the data."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, cast

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from genaug.backends import Backend, BackendConfig, Batch, Inputs, Loss, Player, Spec, Step, adam
from genaug.backends.options import Beta2, Conditional, LatentSize, LearningRate, MaxWidth, Width, rejects
from genaug.nn.blocks import ConvGenerator, ProjectionDiscriminator
from genaug.nn.objectives import OBJECTIVES, clip_weights, interpolation_penalty

# Only the penalty should bound the scores, and the generator should learn from a critic that is ahead.
_REASONS = {
    "least_squares": "its targets 1 and 0 fix the scale of the scores, which contradicts the penalty if real and "
    "generated images are more than 1 apart",
    "hinge": "it is flat for scores above 1 and below -1, where a critic with gradient norm 1 puts images that are "
    "more than 2 apart, so the critic would learn only from the penalty",
    "minimax": "the generator's gradient vanishes if the critic is ahead, which is the purpose of n_critic updates; "
    "'nonsaturating' doesn't have this fault",
}
_MESSAGE = (
    "{!r} doesn't work with this gradient penalty: {}. "
    "Use 'wasserstein', 'nonsaturating' or 'relativistic' here, or the backend 'cgan', which supports it"
)


class WGANGPConfig(BackendConfig):
    """Options of the ``wgan-gp`` backend; lambda, ``n_critic`` and Adam's as in Gulrajani et al. 2017, algorithm 1."""

    latent_size: LatentSize = 128
    width: Width = 32
    max_width: MaxWidth = 256
    loss: Annotated[
        Literal["wasserstein", "nonsaturating", "relativistic"],
        rejects({loss: _MESSAGE.format(loss, reason) for loss, reason in _REASONS.items()}),
        Field(description="adversarial objective"),
    ] = "wasserstein"
    penalty_weight: Annotated[float, Field(gt=0, le=1000, description="weight of the gradient penalty, lambda")] = 10.0
    clip: Annotated[
        float, Field(ge=0, le=1, description="clip the critic's weights to this instead of penalizing; 0: the penalty")
    ] = 0.0
    n_critic: Annotated[int, Field(ge=1, le=100, description="critic updates per generator update")] = 5
    lr: LearningRate = 1e-4
    beta2: Beta2 = 0.9
    conditional: Conditional = True

    @model_validator(mode="after")
    def _one_of_clip_and_penalty(self) -> "WGANGPConfig":
        if self.clip and self.penalty_weight != type(self).model_fields["penalty_weight"].default:
            raise ValueError("clip replaces the gradient penalty: leave penalty_weight out, or clip at 0")
        if self.clip and self.loss != "wasserstein":
            raise ValueError("clip bounds the critic of the Wasserstein loss: use loss='wasserstein', or clip=0")
        return self


class WGANGP(Backend):
    """Convolutional networks for images of any shape, class-conditional if the data has labels.

    The generator has batch normalization; the critic has none, because the penalty applies to each image separately
    (Gulrajani et al. 2017, section 4).
    """

    Config = WGANGPConfig
    tiny: ClassVar[Mapping[str, Any]] = {"width": 4, "max_width": 8, "latent_size": 4}

    def build(self, config: WGANGPConfig, spec: Spec) -> nn.ModuleDict:
        sizes = (config.width, config.max_width)
        return nn.ModuleDict(
            {
                "generator": ConvGenerator(spec.shape, spec.num_classes, config.latent_size, *sizes),
                "critic": ProjectionDiscriminator(spec.shape, spec.num_classes, *sizes),
            }
        )

    def generate(self, nets: nn.ModuleDict, inputs: Inputs) -> Tensor:
        images: Tensor = nets["generator"](inputs.latents["z"], inputs.labels)
        return images

    def discriminator_blocks(self, nets: nn.ModuleDict) -> list[nn.Module]:
        return cast(ProjectionDiscriminator, nets["critic"]).body.blocks

    def players(self, config: WGANGPConfig, nets: nn.ModuleDict) -> list[Player]:
        """The critic first (algorithm 1), so that it has caught up when the generator is updated."""
        optimizer = adam(config.lr, (0.0, config.beta2))
        return [
            Player("critic", nets["critic"].parameters(), self.critic_loss, optimizer, updates=config.n_critic),
            Player("generator", nets["generator"].parameters(), self.generator_loss, optimizer),
        ]

    def critic_loss(self, nets: nn.ModuleDict, batch: Batch, step: Step) -> Loss:
        """E D(G(z)) - E D(x) + lambda E (|grad D| - 1)^2: Gulrajani et al. 2017, eq. 3, or another objective with this
        penalty. With ``clip``, the critic's weights are clipped instead (Arjovsky et al. 2017, algorithm 1).

        Logs E D(x) - E D(G(z)), which estimates the distance for the Wasserstein objective.
        """
        config, critic, labels = step.config, nets["critic"], batch.labels
        clip_weights(critic, config.clip)
        with torch.no_grad():
            fake = self.generate(nets, step.inputs(batch))
        real, fake = step.augment(batch.x), step.augment(fake)
        both = None if labels is None else torch.cat([labels, labels])
        real_score, fake_score = critic(torch.cat([real, fake]), both).float().chunk(2)
        value = OBJECTIVES[config.loss].discriminator(real_score, fake_score)
        gap = "wasserstein_estimate" if config.loss == "wasserstein" else "score_gap"
        log = {gap: (real_score.mean() - fake_score.mean()).detach()}
        if not config.clip:
            weight = step.uniform(len(real), 1, 1, 1)
            with step.float32():
                penalty = interpolation_penalty(lambda images: critic(images, labels), real, fake, weight)
            value = value + config.penalty_weight * penalty
            log["gradient_penalty"] = penalty.detach()
        return Loss(value, log)

    def generator_loss(self, nets: nn.ModuleDict, batch: Batch, step: Step) -> Loss:
        objective, critic = OBJECTIVES[step.config.loss], nets["critic"]
        clip_weights(critic, step.config.clip)
        fake = self.generate(nets, step.inputs(batch))
        score = critic(step.augment(fake), batch.labels)
        real_score = critic(step.augment(batch.x), batch.labels) if objective.pairs else score
        return Loss(objective.generator(real_score.float(), score.float()))
