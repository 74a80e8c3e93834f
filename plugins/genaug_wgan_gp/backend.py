"""WGAN-GP (Gulrajani et al. 2017): a critic of slope 1, whose scores tell how far samples are from the data."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field, field_validator
from torch import Tensor, nn

from genaug.backends import Backend, BackendConfig, Batch, Inputs, Loss, Player, Spec, Step, adam
from genaug.nn.blocks import ConvGenerator, ProjectionDiscriminator
from genaug.nn.objectives import OBJECTIVES, interpolation_penalty

# The penalty alone is to bound the scores, and the generator is to learn from a critic that is ahead.
_REFUSED = {
    "least_squares": "its targets 1 and 0 fix the scores' scale, and so does the penalty; the two contradict each "
    "other wherever real and generated images lie more than 1 apart",
    "hinge": "it is flat for scores beyond 1 and -1, where a critic of slope 1 puts images that lie more than 2 apart, "
    "and then the critic learns from the penalty alone",
    "minimax": "the generator's gradient vanishes where the critic is ahead, and n_critic turns are there to put it "
    "ahead; 'nonsaturating' is the same game without that fault",
}


class WGANGPConfig(BackendConfig):
    """Options of the ``wgan-gp`` backend; lambda, ``n_critic`` and Adam's as in Gulrajani et al. 2017, algorithm 1."""

    latent_size: Annotated[int, Field(ge=1, le=1024, description="dimensions of the normal latent z")] = 128
    width: Annotated[int, Field(ge=4, le=256, description="channels at the image's side; doubled at each halving")] = 32
    max_width: Annotated[int, Field(ge=4, le=2048, description="most channels of any layer")] = 256
    loss: Annotated[
        Literal["wasserstein", "nonsaturating", "relativistic"], Field(description="adversarial objective")
    ] = "wasserstein"
    penalty_weight: Annotated[float, Field(gt=0, le=1000, description="weight of the gradient penalty, lambda")] = 10.0
    n_critic: Annotated[int, Field(ge=1, le=100, description="the critic's turns for one of the generator")] = 5
    lr: Annotated[float, Field(gt=0, le=0.1, description="Adam's learning rate, for both networks")] = 1e-4
    beta2: Annotated[float, Field(ge=0, lt=1, description="Adam's beta2; beta1 is 0")] = 0.9
    conditional: Annotated[bool, Field(description="use the labels; off: an unconditional GAN")] = True

    @field_validator("loss", mode="before")
    @classmethod
    def _suits_the_penalty(cls, loss: Any) -> Any:
        if isinstance(loss, str) and loss in _REFUSED:
            raise ValueError(
                f"{loss!r} doesn't go with this gradient penalty: {_REFUSED[loss]}. "
                "Use 'wasserstein', 'nonsaturating' or 'relativistic' here, or the backend 'cgan', which has it"
            )
        return loss


class WGANGP(Backend):
    """Convolutional networks for images of any shape, class-conditional where the data has labels.

    The generator has batch normalisation; the critic has none, since the penalty is one of each image by itself
    (Gulrajani et al. 2017, section 4).
    """

    Config = WGANGPConfig
    tiny: ClassVar[Mapping[str, Any]] = {"width": 4, "max_width": 8, "latent_size": 4}

    def describe(self, config: WGANGPConfig, data: Spec) -> Spec:
        spec = super().describe(config, data)
        return spec if config.conditional else spec.model_copy(update={"classes": None})

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

    def players(self, config: WGANGPConfig, nets: nn.ModuleDict) -> list[Player]:
        """The critic first (algorithm 1): the generator follows one that has just caught up with it."""
        optimizer = adam(config.lr, (0.0, config.beta2))
        return [
            Player("critic", nets["critic"].parameters(), self.critic_loss, optimizer, updates=config.n_critic),
            Player("generator", nets["generator"].parameters(), self.generator_loss, optimizer),
        ]

    def critic_loss(self, nets: nn.ModuleDict, batch: Batch, step: Step) -> Loss:
        """E D(G(z)) - E D(x) + lambda E (|grad D| - 1)^2: Gulrajani et al. 2017, eq. 3, or another first part.

        Logs E D(x) - E D(G(z)). With the Wasserstein objective it is the estimate of the distance.
        """
        config, critic, labels = step.config, nets["critic"], batch.labels
        with torch.no_grad():
            fake = self.generate(nets, step.inputs(batch))
        real, fake = step.augment(batch.x), step.augment(fake)
        both = None if labels is None else torch.cat([labels, labels])
        real_score, fake_score = critic(torch.cat([real, fake]), both).float().chunk(2)
        weight = step.uniform(len(real), 1, 1, 1)
        with step.float32():
            penalty = interpolation_penalty(lambda images: critic(images, labels), real, fake, weight)
        value = OBJECTIVES[config.loss].discriminator(real_score, fake_score) + config.penalty_weight * penalty
        gap = "wasserstein_estimate" if config.loss == "wasserstein" else "score_gap"
        log = {gap: (real_score.mean() - fake_score.mean()).detach(), "gradient_penalty": penalty.detach()}
        return Loss(value, log)

    def generator_loss(self, nets: nn.ModuleDict, batch: Batch, step: Step) -> Loss:
        objective, critic = OBJECTIVES[step.config.loss], nets["critic"]
        fake = self.generate(nets, step.inputs(batch))
        score = critic(step.augment(fake), batch.labels)
        real_score = critic(step.augment(batch.x), batch.labels) if objective.pairs else score
        return Loss(objective.generator(real_score.float(), score.float()))
