"""Super-resolution GAN (Ledig et al. 2017): images upscaled by 2 or 4, close to the originals and realistic."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, cast

from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import l1_loss, mse_loss

from genaug.backends import Backend, BackendConfig, Batch, Condition, Fakes, Inputs, Loss, Player, Spec, Step, adam
from genaug.backends.options import NO_CRITIC, Beta, Decay, LearningRate, MaxWidth, Width
from genaug.errors import InputError
from genaug.nn.blocks import ConvFeatures
from genaug.nn.objectives import OBJECTIVES, score_log
from genaug_srgan.networks import Upscaler, downsampled

_BETA2 = 0.999
_CONTENT = {"mse": mse_loss, "l1": l1_loss}


class SRGANConfig(BackendConfig):
    """Options of the ``srgan`` backend."""

    factor: Annotated[Literal[2, 4], Field(description="how many times as high and wide the images become")] = 2
    content: Annotated[
        Literal["mse", "l1"], Field(description="content loss: mean squared or mean absolute difference of the pixels")
    ] = "mse"
    adversarial_weight: Annotated[
        float, Field(ge=0, le=1000, description="weight of the adversarial loss beside the content loss; 0: none")
    ] = 1e-3
    loss: Annotated[
        Literal["nonsaturating", "relativistic", "least_squares", "hinge", "minimax"],
        NO_CRITIC,
        Field(description="adversarial objective, if its weight isn't 0"),
    ] = "nonsaturating"
    width: Annotated[Width, Field(description="channels of the upscaler's layers")] = 64
    blocks: Annotated[int, Field(ge=1, le=64, description="residual blocks of the upscaler")] = 8
    discriminator_width: Annotated[
        Width, Field(description="channels of the discriminator at the image's side; doubled at each halving")
    ] = 32
    max_width: Annotated[MaxWidth, Field(description="most channels of the discriminator's layers")] = 256
    lr: LearningRate = 2e-4
    decay: Decay = 0.5
    beta1: Annotated[Beta, Field(description="Adam's beta1; beta2 is 0.999")] = 0.9


class Discriminator(nn.Module):
    """Images (N, C, H, W) to one score each, (N, 1), with batch normalization as in the paper (figure 4)."""

    def __init__(self, shape: tuple[int, ...], width: int, max_width: int) -> None:
        super().__init__()
        self.body = ConvFeatures(shape, width, max_width, normalized=True)
        self.score = nn.Linear(self.body.width, 1)

    def forward(self, images: Tensor) -> Tensor:
        scores: Tensor = self.score(self.body(images))
        return scores.float()


class SRGAN(Backend):
    """Makes large images from small ones, the condition ``small``, which are derived from the training images.

    Without an adversarial loss there is no discriminator, and the upscaler is trained by the content loss alone.
    """

    Config = SRGANConfig
    conditions: ClassVar[tuple[str, ...]] = ("small",)
    tiny: ClassVar[Mapping[str, Any]] = {"width": 4, "blocks": 1, "discriminator_width": 4, "max_width": 8}

    def derive_conditions(self, config: SRGANConfig, samples: Tensor, data: Spec) -> dict[str, Tensor]:
        if any(side % config.factor for side in data.shape[1:]):
            raise InputError(
                f"srgan upscales by {config.factor}, which doesn't divide the sides of these images of "
                f"{data.sample.describe()}. Pass image_size= (--image-size) with a multiple of {config.factor}, or set "
                "another factor."
            )
        return {"small": downsampled(samples, config.factor)}

    def describe(self, config: SRGANConfig, data: Spec) -> Spec:
        small = data.conditions[0].sample
        expected = (data.shape[0], *(side // config.factor for side in data.shape[1:]))
        if small.shape != expected:
            raise InputError(
                f"srgan with factor {config.factor} makes images of {data.sample.describe()} from ones of "
                f"{'x'.join(map(str, expected))}, not of {small.describe()}."
            )
        condition = Condition(name="small", sample=small, domains=("small", "large"))
        return data.model_copy(update={"classes": None, "latents": (), "conditions": (condition,)})

    def build(self, config: SRGANConfig, spec: Spec) -> nn.ModuleDict:
        nets: dict[str, nn.Module] = {"generator": Upscaler(spec.shape[0], config.factor, config.width, config.blocks)}
        if config.adversarial_weight:
            nets["discriminator"] = Discriminator(spec.shape, config.discriminator_width, config.max_width)
        return nn.ModuleDict(nets)

    def generate(self, nets: nn.ModuleDict, inputs: Inputs) -> Tensor:
        images: Tensor = nets["generator"](inputs.conditions["small"])
        return images.clamp(-1, 1)

    def discriminator_blocks(self, nets: nn.ModuleDict) -> list[nn.Module]:
        return cast(Discriminator, nets["discriminator"]).body.blocks if "discriminator" in nets else []

    def players(self, config: SRGANConfig, nets: nn.ModuleDict) -> list[Player]:
        optimizer = adam(config.lr, (config.beta1, _BETA2), decay=config.decay)
        players = [Player("generator", nets["generator"].parameters(), self.generator_loss, optimizer)]
        if config.adversarial_weight:
            judge = nets["discriminator"].parameters()
            players.append(Player("discriminator", judge, self.discriminator_loss, optimizer))
        return players

    def _fakes(self, nets: nn.ModuleDict, batch: Batch, step: Step) -> Fakes:
        """One pass of the upscaler per step, for both players, not clamped: the loss has a gradient everywhere."""
        return Fakes(nets["generator"](batch.conditions["small"]), step.inputs(batch))

    def generator_loss(self, nets: nn.ModuleDict, batch: Batch, step: Step) -> Loss:
        """Ledig et al. 2017, eq. 3, with the content loss of eq. 4 or the L1 loss of Wang et al. 2018, eq. 3."""
        config, objective = step.config, OBJECTIVES[step.config.loss]
        fake = step.fakes(lambda: self._fakes(nets, batch, step)).x.float()
        content = _CONTENT[config.content](fake, batch.x)
        if not config.adversarial_weight:
            return Loss(content, {"content": content.detach()})
        score = nets["discriminator"](step.augment(fake))
        real_score = nets["discriminator"](step.augment(batch.x)) if objective.pairs else score
        adversarial = objective.generator(real_score, score)
        log = {"content": content.detach(), "adversarial": adversarial.detach()}
        return Loss(content + config.adversarial_weight * adversarial, log)

    def discriminator_loss(self, nets: nn.ModuleDict, batch: Batch, step: Step) -> Loss:
        fake = step.fakes(lambda: self._fakes(nets, batch, step)).x.detach()
        real_score, fake_score = (nets["discriminator"](step.augment(images)) for images in (batch.x, fake))
        value = OBJECTIVES[step.config.loss].discriminator(real_score, fake_score)
        return Loss(value, score_log(real_score, fake_score))
