"""pix2pix (Isola et al. 2017): images translated from one domain into another, learned from pairs."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import l1_loss

from genaug.backends import Backend, BackendConfig, Batch, Fakes, Inputs, Loss, Player, Spec, Step, adam
from genaug.backends.domains import check_sizes
from genaug.backends.options import Beta, Decay, LearningRate, MaxWidth, Width
from genaug.data.domains import SOURCE
from genaug.nn.objectives import OBJECTIVES, score_log
from genaug.nn.patches import PatchDiscriminator
from genaug_pix2pix.networks import UNet

_BETA2 = 0.999


class Pix2PixConfig(BackendConfig):
    """Options of the ``pix2pix`` backend."""

    width: Width = 32
    max_width: MaxWidth = 256
    loss: Annotated[Literal["nonsaturating", "least_squares", "hinge"], Field(description="the adversarial loss")] = (
        "nonsaturating"
    )
    l1: Annotated[float, Field(ge=0, le=1e4, description="weight of the mean absolute difference from the target")] = (
        100.0
    )
    adversarial: Annotated[
        float, Field(ge=0, le=1e4, description="weight of the generator's adversarial loss; with 0, the L1 loss alone")
    ] = 1.0
    dropout: Annotated[float, Field(ge=0, lt=1, description="share of dropped features, in training only")] = 0.5
    lr: LearningRate = 2e-4
    decay: Decay = 0.5
    beta1: Annotated[Beta, Field(description="Adam's beta1; beta2 is 0.999")] = 0.5


class Pix2Pix(Backend):
    """A U-Net from the condition ``source`` to the samples, judged by a discriminator of patches of both together.

    Domains may have different channels, such as gray and color. There are no latents and no labels: dropout is the
    paper's only noise, and with it on in sampling too its images hardly varied (section 4.1).
    """

    Config = Pix2PixConfig
    conditions = (SOURCE,)
    tiny: ClassVar[Mapping[str, Any]] = {"width": 4, "max_width": 8}

    def describe(self, config: Pix2PixConfig, data: Spec) -> Spec:
        check_sizes(data, least=4)
        return data.model_copy(update={"latents": (), "classes": None})

    def build(self, config: Pix2PixConfig, spec: Spec) -> nn.ModuleDict:
        before, (after, height, width) = spec.conditions[0].sample.shape[0], spec.shape
        pair = (before + after, height, width)
        return nn.ModuleDict(
            {
                "generator": UNet(before, after, (height, width), config.width, config.max_width, config.dropout),
                "discriminator": PatchDiscriminator(pair, config.width, config.max_width, nn.BatchNorm2d),
            }
        )

    def generate(self, nets: nn.ModuleDict, inputs: Inputs) -> Tensor:
        images: Tensor = nets["generator"](inputs.conditions[SOURCE])
        return images

    def players(self, config: Pix2PixConfig, nets: nn.ModuleDict) -> list[Player]:
        optimizer = adam(config.lr, (config.beta1, _BETA2), decay=config.decay)
        return [
            Player("discriminator", nets["discriminator"].parameters(), self.discriminator_loss, optimizer),
            Player("generator", nets["generator"].parameters(), self.generator_loss, optimizer),
        ]

    def _fakes(self, nets: nn.ModuleDict, batch: Batch, step: Step) -> Fakes:
        inputs = step.inputs(batch)
        return Fakes(self.generate(nets, inputs), inputs)

    def discriminator_loss(self, nets: nn.ModuleDict, batch: Batch, step: Step) -> Loss:
        """Half of the objective, as in the paper (section 3.3), to slow D down."""
        fakes = step.fakes(lambda: self._fakes(nets, batch, step)).x.detach()
        real, fake = (_scores(nets, batch, step, images) for images in (batch.x, fakes))
        return Loss(0.5 * OBJECTIVES[step.config.loss].discriminator(real, fake), score_log(real, fake))

    def generator_loss(self, nets: nn.ModuleDict, batch: Batch, step: Step) -> Loss:
        """The adversarial loss plus the weighted mean absolute difference from the target: eq. 4."""
        config, fakes = step.config, step.fakes(lambda: self._fakes(nets, batch, step)).x
        difference = l1_loss(fakes.float(), batch.x)
        fake = _scores(nets, batch, step, fakes)
        adversarial = OBJECTIVES[config.loss].generator(fake, fake)
        log = {"l1": difference.detach(), "adversarial": adversarial.detach()}
        return Loss(config.adversarial * adversarial + config.l1 * difference, log)


def _scores(nets: nn.ModuleDict, batch: Batch, step: Step, images: Tensor) -> Tensor:
    """The scores of the patches of images beside their sources, which are augmented alike."""
    pairs = torch.cat([batch.conditions[SOURCE], images.float()], dim=1)
    scores: Tensor = nets["discriminator"](step.augment(pairs))
    return scores
