"""Plain and denoising autoencoders (Hinton & Salakhutdinov 2006; Vincent et al. 2010)."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, cast

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from genaug.backends import Backend, Batch, Inputs, Loss, Normal, Player, Spec, Step, adam
from genaug_vae.networks import Decoder, Encoder, NetworkConfig

_MOMENTUM = 0.01


class AutoencoderConfig(NetworkConfig):
    """Options of the ``autoencoder`` backend."""

    noise: Annotated[
        float,
        Field(
            ge=0,
            le=1,
            description="standard deviation of the noise on the input in training; black to white is 1, and 0 is a "
            "plain autoencoder",
        ),
    ] = 0.0


class Autoencoder(Backend):
    """One player trains encoder and decoder together, on images without labels; both networks are kept.

    Autoencoders have no prior. Here, latents are codes that are shifted and transformed linearly to mean 0 and
    covariance 1, so that samples decode codes from a normal distribution with the mean and covariance of the training
    codes.
    """

    Config = AutoencoderConfig
    keeps = ("generator", "encoder")
    tiny: ClassVar[Mapping[str, Any]] = {"latent_size": 3, "hidden": 8, "width": 4, "max_width": 8}

    def describe(self, config: AutoencoderConfig, data: Spec) -> Spec:
        return data.model_copy(update={"latents": (Normal(size=config.latent_size),), "classes": None})

    def build(self, config: AutoencoderConfig, spec: Spec) -> nn.ModuleDict:
        return nn.ModuleDict(
            {
                "generator": CodeGenerator(config, spec.shape),
                "encoder": Encoder(config, spec.shape, 0, config.latent_size),
            }
        )

    def generate(self, nets: nn.ModuleDict, inputs: Inputs) -> Tensor:
        images: Tensor = nets["generator"](inputs.latents["z"])
        return images

    def encode(self, nets: nn.ModuleDict, x: Tensor, labels: Tensor | None) -> dict[str, Tensor]:
        return {"z": _generator(nets).codes.latents(nets["encoder"](x, None))}

    def players(self, config: AutoencoderConfig, nets: nn.ModuleDict) -> list[Player]:
        return [Player("autoencoder", nets.parameters(), self.loss, adam(config.lr, (0.9, 0.999), decay=config.decay))]

    def loss(self, nets: nn.ModuleDict, batch: Batch, step: Step) -> Loss:
        """The mean squared error of a pixel, black to white being 1.

        With noise, the input is the image plus noise, limited to the range of pixels, and the error is that of the
        reconstruction from the image without noise (Vincent et al. 2010, section 3).
        """
        x = batch.x
        if step.config.noise:
            x = (x + 2 * step.config.noise * step.normal(*x.shape)).clamp(-1, 1)
        code, generator = nets["encoder"](x, None), _generator(nets)
        with torch.no_grad():  # the distribution of the codes is that of images without noise
            generator.codes.update(nets["encoder"](batch.x, None) if step.config.noise else code)
        return Loss(mse_loss(generator.decoder.output(code, None), batch.x) / 4)


class CodeGenerator(nn.Module):
    """Latents (N, latent_size) to images in [-1, 1] of shape (N, C, H, W)."""

    def __init__(self, config: AutoencoderConfig, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.codes, self.decoder = Codes(config.latent_size), Decoder(config, shape, 0, log_odds=False)

    def forward(self, z: Tensor) -> Tensor:
        images: Tensor = self.decoder(self.codes(z), None)
        return images


def _generator(nets: nn.ModuleDict) -> CodeGenerator:
    return cast("CodeGenerator", nets["generator"])


class Codes(nn.Module):
    """The normal distribution of codes, as a map from standard normal latents (N, size) to codes and back.

    Mean and covariance are running averages over the training batches.
    """

    mean: Tensor
    covariance: Tensor
    batches: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("covariance", torch.eye(size))
        self.register_buffer("batches", torch.zeros(()))

    def forward(self, z: Tensor) -> Tensor:
        with torch.autocast(z.device.type, enabled=False):
            codes: Tensor = self.mean + z.float() @ self._factor().T
            return codes

    def latents(self, codes: Tensor) -> Tensor:
        """The inverse: codes (N, size) to latents."""
        centered = (codes.float() - self.mean).T
        latents: Tensor = torch.linalg.solve_triangular(self._factor(), centered, upper=False).T
        return latents

    def update(self, codes: Tensor) -> None:
        """Move mean and covariance towards those of a batch of codes (N, size). Call it without gradients."""
        self.batches += 1
        weight = (1 / self.batches).clamp(min=_MOMENTUM)
        with torch.autocast(codes.device.type, enabled=False):
            self.mean.lerp_(codes.mean(0), weight)
            centered = codes - self.mean
            self.covariance.lerp_(centered.T @ centered / len(codes), weight)

    def _factor(self) -> Tensor:
        """The Cholesky factor of the covariance, whose diagonal is enlarged so that unused dimensions do no harm."""
        size = len(self.mean)
        ridge = 1e-4 * self.covariance.trace() / size + 1e-8
        factor: Tensor = torch.linalg.cholesky(self.covariance + ridge * torch.eye(size, device=self.mean.device))
        return factor
