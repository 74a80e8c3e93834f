"""Context encoder (Pathak et al. 2016): fills in an erased part of an image from what surrounds it."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, cast

import torch
from pydantic import Field
from torch import Tensor, nn

from genaug.backends import Backend, BackendConfig, Batch, Condition, Fakes, Inputs, Loss, Player, Spec, Step, adam
from genaug.backends.options import NO_CRITIC, Beta, Decay, LearningRate, MaxWidth, Width
from genaug.errors import InputError
from genaug.nn.erasing import DRAWS, Masks, draw_masks, erased
from genaug.nn.objectives import OBJECTIVES, score_log
from genaug.nn.patches import PatchDiscriminator
from genaug.randomness import uniform_rows
from genaug_context_encoder.networks import ContextNetwork

_BETA2 = 0.999
_LEAST = 4  # pixels of a side


class ContextEncoderConfig(BackendConfig):
    """Options of the ``context-encoder`` backend."""

    masks: Annotated[
        Masks, Field(description="what is erased in training: the center, blocks, or regions of random shape")
    ] = "block"
    area: Annotated[float, Field(gt=0, le=0.9, description="share of an image that is erased in training")] = 0.25
    adversarial_weight: Annotated[
        float, Field(ge=0, lt=1, description="weight of the adversarial loss; the L2 loss has the rest of 1")
    ] = 1e-3
    loss: Annotated[
        Literal["nonsaturating", "relativistic", "least_squares", "hinge"],
        NO_CRITIC,
        Field(description="adversarial objective, if its weight isn't 0"),
    ] = "nonsaturating"
    width: Width = 32
    max_width: MaxWidth = 256
    lr: LearningRate = 1e-3
    decay: Decay = 0.5
    beta1: Annotated[Beta, Field(description="Adam's beta1; beta2 is 0.999")] = 0.5


class ContextEncoder(Backend):
    """The condition ``erased`` is an image with a further channel, 255 where its pixels are known and 0 elsewhere.

    The known pixels of a sample are those of the condition. In every training step, other parts are erased.
    """

    Config = ContextEncoderConfig
    conditions: ClassVar[tuple[str, ...]] = ("erased",)
    fills_in: ClassVar[bool] = True
    tiny: ClassVar[Mapping[str, Any]] = {"width": 4, "max_width": 8}

    def derive_conditions(self, config: ContextEncoderConfig, samples: Tensor, data: Spec) -> dict[str, Tensor]:
        channels, height, width = data.shape
        if channels > 3 or min(height, width) < _LEAST:
            raise InputError(
                f"context-encoder takes images of 1 to 3 channels with sides of at least {_LEAST} pixels, and these "
                f"are {data.sample.describe()}. Convert them with a transform, or pass image_size= (--image-size)."
            )
        draws = torch.from_numpy(uniform_rows(0, "masks", 0, len(samples), DRAWS)).float()
        return {"erased": erased(samples, draw_masks(config.masks, config.area, draws, height, width))}

    def describe(self, config: ContextEncoderConfig, data: Spec) -> Spec:
        condition, (channels, *size) = data.conditions[0].sample, data.shape
        if condition.shape != (channels + 1, *size):
            raise InputError(
                f"context-encoder makes images of {data.sample.describe()} from erased ones, with one channel more, "
                f"not from {condition.describe()}."
            )
        named = Condition(name="erased", sample=condition, domains=("erased", "complete"))
        return data.model_copy(update={"classes": None, "latents": (), "conditions": (named,)})

    def build(self, config: ContextEncoderConfig, spec: Spec) -> nn.ModuleDict:
        sizes = config.width, config.max_width
        nets: dict[str, nn.Module] = {"generator": ContextNetwork(spec.shape, *sizes)}
        if config.adversarial_weight:
            nets["discriminator"] = PatchDiscriminator(spec.shape, *sizes, nn.Identity)
        return nn.ModuleDict(nets)

    def generate(self, nets: nn.ModuleDict, inputs: Inputs) -> Tensor:
        """The known pixels, and the network's elsewhere."""
        condition = inputs.conditions["erased"]
        images: Tensor = nets["generator"](condition)
        return torch.where(condition[:, -1:] < 0, images.float(), condition[:, :-1])

    def discriminator_blocks(self, nets: nn.ModuleDict) -> list[nn.Module]:
        return cast(PatchDiscriminator, nets["discriminator"]).blocks if "discriminator" in nets else []

    def players(self, config: ContextEncoderConfig, nets: nn.ModuleDict) -> list[Player]:
        optimizer = adam(config.lr, (config.beta1, _BETA2), decay=config.decay)
        players = [Player("generator", nets["generator"].parameters(), self.generator_loss, optimizer)]
        if config.adversarial_weight:
            judge = nets["discriminator"].parameters()
            players.append(Player("discriminator", judge, self.discriminator_loss, optimizer))
        return players

    def _fakes(self, nets: nn.ModuleDict, batch: Batch, step: Step) -> Fakes:
        """Images whose newly erased parts are filled in, for both players, and the erased images."""
        config, (height, width) = step.config, batch.x.shape[2:]
        masks = draw_masks(config.masks, config.area, step.uniform(len(batch.x), DRAWS), height, width)[:, None]
        condition = torch.cat([torch.where(masks, -1.0, batch.x), torch.where(masks, -1.0, 1.0)], 1)
        inputs = step.inputs(batch)
        inputs = Inputs(inputs.latents, inputs.labels, inputs.noise, {"erased": condition})
        return Fakes(self.generate(nets, inputs), inputs)

    def generator_loss(self, nets: nn.ModuleDict, batch: Batch, step: Step) -> Loss:
        """Pathak et al. 2016, eq. 1 and 3: the squared error of the erased pixels, and the adversarial loss."""
        config, objective = step.config, OBJECTIVES[step.config.loss]
        fakes = step.fakes(lambda: self._fakes(nets, batch, step))
        missing = fakes.inputs.conditions["erased"][:, -1:] < 0
        squares = (fakes.x - batch.x).square() * missing
        reconstruction = squares.sum() / (missing.sum() * batch.x.shape[1])
        if not config.adversarial_weight:
            return Loss(reconstruction, {"reconstruction": reconstruction.detach()})
        score = nets["discriminator"](step.augment(fakes.x))
        real_score = nets["discriminator"](step.augment(batch.x)) if objective.pairs else score
        adversarial, weight = objective.generator(real_score, score), config.adversarial_weight
        log = {"reconstruction": reconstruction.detach(), "adversarial": adversarial.detach()}
        return Loss((1 - weight) * reconstruction + weight * adversarial, log)

    def discriminator_loss(self, nets: nn.ModuleDict, batch: Batch, step: Step) -> Loss:
        fake = step.fakes(lambda: self._fakes(nets, batch, step)).x.detach()
        real_score, fake_score = (nets["discriminator"](step.augment(images)) for images in (batch.x, fake))
        return Loss(
            OBJECTIVES[step.config.loss].discriminator(real_score, fake_score), score_log(real_score, fake_score)
        )
