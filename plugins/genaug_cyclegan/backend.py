"""CycleGAN (Zhu et al. 2017) and DualGAN (Yi et al. 2017): translation between two sets of images without pairs."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, cast

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import l1_loss

from genaug.backends import Backend, BackendConfig, Batch, Fakes, Inputs, Loss, Player, Spec, Step, adam
from genaug.backends.domains import check_sizes
from genaug.backends.options import Decay, LearningRate, MaxWidth, Width
from genaug.data.domains import SOURCE
from genaug.nn.image_pool import ImagePool
from genaug.nn.objectives import OBJECTIVES, clip_weights, score_log
from genaug.nn.patches import PatchDiscriminator
from genaug_cyclegan.networks import ResidualGenerator

_BETAS = {"least_squares": (0.5, 0.999), "wasserstein": (0.0, 0.9)}  # in place of DualGAN's RMSProp: no momentum
_SCALE = {"least_squares": 2.0, "wasserstein": 1.0}  # the generators' squares aren't halved in the paper


class CycleGANConfig(BackendConfig):
    """Options of the ``cyclegan`` backend."""

    width: Width = 32
    max_width: MaxWidth = 256
    blocks: Annotated[int, Field(ge=0, le=32, description="residual blocks of each generator")] = 6
    loss: Annotated[
        Literal["least_squares", "wasserstein"], Field(description="least_squares: CycleGAN; wasserstein: DualGAN")
    ] = "least_squares"
    cycle: Annotated[float, Field(ge=0, le=1e4, description="weight of the cycle loss, in both directions")] = 10.0
    identity: Annotated[
        float, Field(ge=0, le=100, description="weight of the identity loss, times that of the cycle loss")
    ] = 0.5
    pool: Annotated[
        int, Field(ge=0, le=10_000, description="generated images kept for each discriminator; for least_squares")
    ] = 50
    clip: Annotated[float, Field(gt=0, le=1, description="bound of the critics' weights; for wasserstein")] = 0.01
    critic_updates: Annotated[
        int, Field(ge=1, le=100, description="updates of the critics per step; for wasserstein")
    ] = 3
    lr: LearningRate = 2e-4
    decay: Decay = 0.5


class CycleGAN(Backend):
    """Two generators, ``generator`` from the condition to the samples and ``backward``, each inverting the other."""

    Config = CycleGANConfig
    conditions = (SOURCE,)
    takes_unpaired = True
    keeps = ("generator", "backward")
    tiny: ClassVar[Mapping[str, Any]] = {"width": 4, "max_width": 8, "blocks": 1, "pool": 20}

    def describe(self, config: CycleGANConfig, data: Spec) -> Spec:
        check_sizes(data, least=4, same_channels=True)
        return data.model_copy(update={"latents": (), "classes": None})

    def build(self, config: CycleGANConfig, spec: Spec) -> nn.ModuleDict:
        shape, size = spec.shape, config.pool if config.loss == "least_squares" else 0
        judges = {
            domain: PatchDiscriminator(shape, config.width, config.max_width, nn.InstanceNorm2d) for domain in "ab"
        }
        return nn.ModuleDict(
            {
                "generator": ResidualGenerator(shape, config.width, config.blocks),
                "backward": ResidualGenerator(shape, config.width, config.blocks),
                "discriminator": nn.ModuleDict(judges),
                "pool": nn.ModuleDict({domain: ImagePool(size, shape) for domain in "ab"}),
            }
        )

    def generate(self, nets: nn.ModuleDict, inputs: Inputs) -> Tensor:
        images: Tensor = nets["generator"](inputs.conditions[SOURCE])
        return images

    def reverse(self, nets: nn.ModuleDict, inputs: Inputs) -> Tensor:
        images: Tensor = nets["backward"](inputs.conditions[SOURCE])
        return images

    def players(self, config: CycleGANConfig, nets: nn.ModuleDict) -> list[Player]:
        optimizer = adam(config.lr, _BETAS[config.loss], decay=config.decay)
        both = [*nets["generator"].parameters(), *nets["backward"].parameters()]
        updates = config.critic_updates if config.loss == "wasserstein" else 1
        return [
            Player("generator", both, self.generator_loss, optimizer),
            Player("discriminator", nets["discriminator"].parameters(), self.discriminator_loss, optimizer, updates),
        ]

    def _fakes(self, nets: nn.ModuleDict, batch: Batch, step: Step) -> Fakes:
        """Images of b, followed by as many of a."""
        inputs = step.inputs(batch)
        images = [nets["generator"](batch.conditions[SOURCE]), nets["backward"](batch.x)]
        return Fakes(torch.cat(images).float(), inputs)

    def generator_loss(self, nets: nn.ModuleDict, batch: Batch, step: Step) -> Loss:
        """The adversarial losses of both generators, the cycle loss (eq. 2) and the identity loss (section 5.2)."""
        config, a, b = step.config, batch.conditions[SOURCE], batch.x
        fake_b, fake_a = step.fakes(lambda: self._fakes(nets, batch, step)).x.chunk(2)
        judges = _judges(nets, step)
        scores = [judges["b"](step.augment(fake_b)), judges["a"](step.augment(fake_a))]
        generator = OBJECTIVES[config.loss].generator
        adversarial = _SCALE[config.loss] * torch.stack([generator(score, score) for score in scores]).sum()
        there, back = nets["generator"], nets["backward"]
        cycle = l1_loss(back(fake_b).float(), a) + l1_loss(there(fake_a).float(), b)
        log = {"adversarial": adversarial.detach(), "cycle": cycle.detach()}
        value = adversarial + config.cycle * cycle
        if config.identity:
            identity = l1_loss(there(b).float(), b) + l1_loss(back(a).float(), a)
            value = value + config.cycle * config.identity * identity
            log["identity"] = identity.detach()
        return Loss(value, log)

    def discriminator_loss(self, nets: nn.ModuleDict, batch: Batch, step: Step) -> Loss:
        """The objectives of both discriminators, on images from their pools if there are any."""
        config, real = step.config, {"b": batch.x, "a": batch.conditions[SOURCE]}
        if config.loss == "wasserstein":  # a new batch in each update
            with torch.no_grad():
                images = self._fakes(nets, batch, step).x
        else:
            images = step.fakes(lambda: self._fakes(nets, batch, step)).x.detach()
        judges, scores = _judges(nets, step), []
        for domain, fakes in zip(real, images.chunk(2), strict=True):
            pool = cast("ImagePool", cast("nn.ModuleDict", nets["pool"])[domain])
            fake = judges[domain](step.augment(pool.exchange(fakes, step)))
            scores.append((judges[domain](step.augment(real[domain])), fake))
        losses = [OBJECTIVES[config.loss].discriminator(*pair) for pair in scores]
        return Loss(torch.stack(losses).sum(), score_log(*map(torch.cat, zip(*scores, strict=True))))


def _judges(nets: nn.ModuleDict, step: Step) -> nn.ModuleDict:
    """The discriminators by domain; the weights of critics are clipped, since they were updated after the last call."""
    judges = cast("nn.ModuleDict", nets["discriminator"])
    if step.config.loss == "wasserstein":
        clip_weights(judges, step.config.clip)
    return judges
