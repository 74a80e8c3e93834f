"""A conditional variational autoencoder (Kingma & Welling 2014; with labels, Sohn et al. 2015)."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import Field
from torch import Tensor, nn

from genaug.backends import Backend, BackendConfig, Batch, Inputs, Loss, Player, Spec, Step, adam
from genaug.backends.options import LatentSize, Width
from genaug.nn.blocks import ConvFeatures, ConvGenerator


class SmallVAEConfig(BackendConfig):
    """Options: ``genaug train small-vae --set latent_size=8``, or ``config={"latent_size": 8}``."""

    latent_size: LatentSize = 16
    width: Width = 32
    noise: Annotated[float, Field(gt=0, le=1, description="a pixel's standard deviation; black to white is 2")] = 0.25
    lr: Annotated[float, Field(gt=0, le=0.1, description="Adam's learning rate")] = 1e-3


class Encoder(nn.Module):
    """Images (N, C, H, W) and labels (N,), or None, to the mean and the log-variance of z, each (N, latent_size)."""

    def __init__(self, shape: tuple[int, ...], num_classes: int, latent_size: int, width: int) -> None:
        super().__init__()
        self.body = ConvFeatures(shape, width, 8 * width)
        self.embed = nn.Embedding(num_classes, self.body.width) if num_classes else None
        self.code = nn.Linear(self.body.width, 2 * latent_size)

    def forward(self, images: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor]:
        x = self.body(images)
        if self.embed is not None:
            x = x + self.embed(labels)
        mean, log_variance = self.code(x).float().chunk(2, dim=1)
        return mean, log_variance


class SmallVAE(Backend):
    """One player trains encoder and decoder together. The decoder is the generator; both networks are kept."""

    Config = SmallVAEConfig
    keeps = ("generator", "encoder")
    tiny: ClassVar[Mapping[str, Any]] = {"latent_size": 3, "width": 4}

    def build(self, config: SmallVAEConfig, spec: Spec) -> nn.ModuleDict:
        size, width = config.latent_size, config.width
        return nn.ModuleDict(
            {
                "generator": ConvGenerator(spec.shape, spec.num_classes, size, width, 8 * width),
                "encoder": Encoder(spec.shape, spec.num_classes, size, width),
            }
        )

    def generate(self, nets: nn.ModuleDict, inputs: Inputs) -> Tensor:
        images: Tensor = nets["generator"](inputs.latents["z"], inputs.labels)
        return images

    def encode(self, nets: nn.ModuleDict, x: Tensor, labels: Tensor | None) -> dict[str, Tensor]:
        """The mean of q(z | x)."""
        return {"z": nets["encoder"](x, labels)[0]}

    def players(self, config: SmallVAEConfig, nets: nn.ModuleDict) -> list[Player]:
        return [Player("small-vae", nets.parameters(), self.loss, adam(config.lr, (0.9, 0.999)))]

    def loss(self, nets: nn.ModuleDict, batch: Batch, step: Step) -> Loss:
        """The negative evidence lower bound of an image (Kingma & Welling 2014, eq. 10), without its constants.

        Doesn't use ``step.augment(batch.x)``, because an autoencoder would learn to make augmented images.
        """
        mean, log_variance = nets["encoder"](batch.x, batch.labels)
        z = mean + (log_variance / 2).exp() * step.normal(*mean.shape)
        decoded = nets["generator"](z, batch.labels).float()
        misfit = (batch.x - decoded).square().flatten(1).sum(1).mean() / (2 * step.config.noise**2)
        divergence = (mean.square() + log_variance.exp() - 1 - log_variance).sum(1).mean() / 2
        return Loss(misfit + divergence, {"misfit": misfit.detach(), "divergence": divergence.detach()})
