"""SimGAN (Shrivastava et al. 2017): a refiner that makes rendered images look real without changing them much.

The real images need no labels; those of the rendered images stay right, since a refined image shows the same.
"""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, cast

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import l1_loss, leaky_relu

from genaug.backends import Backend, BackendConfig, Batch, Inputs, Loss, Player, Spec, Step, adam
from genaug.backends.domains import check_sizes
from genaug.backends.options import NO_CRITIC, Beta, Decay, LearningRate, MaxWidth, Width
from genaug.data.domains import SOURCE
from genaug.nn.blocks import SLOPE, ResidualBlock
from genaug.nn.image_pool import ImagePool
from genaug.nn.objectives import OBJECTIVES, score_log
from genaug.nn.patches import PatchDiscriminator

_BETA2 = 0.999


class SimGANConfig(BackendConfig):
    """Options of the ``simgan`` backend."""

    width: Annotated[Width, Field(description="channels of the refiner, and of the discriminator's first layer")] = 32
    max_width: Annotated[MaxWidth, Field(description="most channels of the discriminator's layers")] = 128
    blocks: Annotated[int, Field(ge=0, le=32, description="residual blocks of the refiner")] = 4
    loss: Annotated[
        Literal["nonsaturating", "least_squares", "hinge"], NO_CRITIC, Field(description="adversarial objective")
    ] = "nonsaturating"
    regularization: Annotated[
        float, Field(ge=0, le=1e4, description="weight of the difference between refined and rendered images, lambda")
    ] = 5.0
    history: Annotated[
        int, Field(ge=0, le=100_000, description="refined images kept for the discriminator; 0: only the newest ones")
    ] = 512
    refiner_updates: Annotated[
        int, Field(ge=1, le=100, description="updates of the refiner per update of the discriminator")
    ] = 2
    lr: LearningRate = 2e-4
    decay: Decay = 0.5
    beta1: Annotated[Beta, Field(description="Adam's beta1; beta2 is 0.999")] = 0.5


class Refiner(nn.Module):
    """Images (N, C, H, W) in [-1, 1] to refined ones, at full resolution throughout (section 3.1).

    What the residual blocks compute is added to the images, and the last layer starts at 0, so that an untrained one
    changes nothing. Values may leave [-1, 1].
    """

    def __init__(self, channels: int, width: int, blocks: int) -> None:
        super().__init__()
        self.head = nn.Conv2d(channels, width, 3, padding=1)
        self.blocks = nn.Sequential(*(ResidualBlock(width) for _ in range(blocks)))
        self.image = nn.Conv2d(width, channels, 1)
        nn.init.zeros_(self.image.weight)
        nn.init.zeros_(self.image.bias)  # type: ignore[arg-type]

    def forward(self, images: Tensor) -> Tensor:
        features = self.blocks(leaky_relu(self.head(images), SLOPE))
        return torch.add(images, self.image(leaky_relu(features, SLOPE)))


class SimGAN(Backend):
    """The condition is the rendered image. The discriminator judges patches, and also remembers earlier refined images.

    A sample has no class: the labels are those of the rendered images, which the refiner doesn't need.
    """

    Config = SimGANConfig
    conditions: ClassVar[tuple[str, ...]] = (SOURCE,)
    takes_unpaired: ClassVar[bool] = True
    tiny: ClassVar[Mapping[str, Any]] = {"width": 4, "max_width": 8, "blocks": 1, "history": 20}

    def describe(self, config: SimGANConfig, data: Spec) -> Spec:
        check_sizes(data, least=4, same_channels=True)
        return data.model_copy(update={"latents": (), "classes": None})

    def build(self, config: SimGANConfig, spec: Spec) -> nn.ModuleDict:
        return nn.ModuleDict(
            {
                "generator": Refiner(spec.shape[0], config.width, config.blocks),
                "discriminator": PatchDiscriminator(spec.shape, config.width, config.max_width, nn.Identity),
                "history": ImagePool(config.history, spec.shape),
            }
        )

    def generate(self, nets: nn.ModuleDict, inputs: Inputs) -> Tensor:
        images: Tensor = nets["generator"](inputs.conditions[SOURCE])
        return images.clamp(-1, 1)

    def players(self, config: SimGANConfig, nets: nn.ModuleDict) -> list[Player]:
        optimizer = adam(config.lr, (config.beta1, _BETA2), decay=config.decay)
        refiner, judge = nets["generator"].parameters(), nets["discriminator"].parameters()
        return [
            Player("generator", refiner, self.generator_loss, optimizer, updates=config.refiner_updates),
            Player("discriminator", judge, self.discriminator_loss, optimizer),
        ]

    def generator_loss(self, nets: nn.ModuleDict, batch: Batch, step: Step) -> Loss:
        """The realism loss of section 2.1 over all patches (section 2.2), and the self-regularization of eq. 4."""
        rendered, config = batch.conditions[SOURCE], step.config
        refined = nets["generator"](rendered).float()
        score = nets["discriminator"](step.augment(refined))
        adversarial = OBJECTIVES[config.loss].generator(score, score)
        change = l1_loss(refined, rendered)
        log = {"adversarial": adversarial.detach(), "change": change.detach()}
        return Loss(adversarial + config.regularization * change, log)

    def discriminator_loss(self, nets: nn.ModuleDict, batch: Batch, step: Step) -> Loss:
        """The cross entropy of eq. 2 over all patches of real and refined images, some of these from the history."""
        with torch.no_grad():
            refined = nets["generator"](batch.conditions[SOURCE]).float()
        refined = cast(ImagePool, nets["history"]).exchange(refined, step)
        real, fake = (nets["discriminator"](step.augment(images)) for images in (batch.x, refined))
        return Loss(OBJECTIVES[step.config.loss].discriminator(real, fake), score_log(real, fake))

    def discriminator_blocks(self, nets: nn.ModuleDict) -> list[nn.Module]:
        return cast(PatchDiscriminator, nets["discriminator"]).blocks
