"""Variational autoencoders (Kingma & Welling 2014), with labels (Sohn et al. 2015) and beta (Higgins et al. 2017)."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, cast

from pydantic import Field, model_validator
from torch import Tensor, nn

from genaug.backends import Backend, Batch, Inputs, Loss, Player, Spec, Step, adam
from genaug.backends.options import Conditional
from genaug_vae.bound import bernoulli_misfit, divergence, gaussian_misfit
from genaug_vae.networks import Decoder, Encoder, NetworkConfig

_SCALE = 0.1


class VAEConfig(NetworkConfig):
    """Options of the ``vae`` backend."""

    likelihood: Annotated[
        Literal["gaussian", "bernoulli"],
        Field(description="distribution of a pixel given the latent; bernoulli is for black and white pixels"),
    ] = "gaussian"
    scale: Annotated[
        float, Field(gt=0, le=1, description="standard deviation of a gaussian pixel; black to white is 1")
    ] = _SCALE
    beta: Annotated[float, Field(ge=0, le=1000, description="weight of the divergence from the prior")] = 1.0
    conditional: Annotated[Conditional, Field(description="use the labels; off: an unconditional VAE")] = True

    @model_validator(mode="after")
    def _scale_has_an_effect(self) -> "VAEConfig":
        if self.likelihood == "bernoulli" and self.scale != _SCALE:
            raise ValueError('scale has no effect with likelihood="bernoulli", only with "gaussian"; leave it out')
        return self


class VAE(Backend):
    """One player trains encoder and decoder together. The decoder is the generator; both networks are kept."""

    Config = VAEConfig
    keeps = ("generator", "encoder")
    tiny: ClassVar[Mapping[str, Any]] = {"latent_size": 3, "hidden": 8, "width": 4, "max_width": 8}
    after_classes: ClassVar[Mapping[str, int]] = {  # the label enters the decoder as the last latents
        "generator.body.first.weight": 0,
        "generator.body.1.weight": 0,
    }

    def build(self, config: VAEConfig, spec: Spec) -> nn.ModuleDict:
        shape, classes = spec.shape, spec.num_classes
        return nn.ModuleDict(
            {
                "generator": Decoder(config, shape, classes, log_odds=config.likelihood == "bernoulli"),
                "encoder": Encoder(config, shape, classes, 2 * config.latent_size),
            }
        )

    def generate(self, nets: nn.ModuleDict, inputs: Inputs) -> Tensor:
        """The mean of p(x | z): pixels aren't sampled."""
        images: Tensor = nets["generator"](inputs.latents["z"], inputs.labels)
        return images

    def encode(self, nets: nn.ModuleDict, x: Tensor, labels: Tensor | None) -> dict[str, Tensor]:
        """The mean of q(z | x)."""
        return {"z": posterior(nets, x, labels)[0]}

    def players(self, config: VAEConfig, nets: nn.ModuleDict) -> list[Player]:
        return [Player("autoencoder", nets.parameters(), self.loss, adam(config.lr, (0.9, 0.999), decay=config.decay))]

    def loss(self, nets: nn.ModuleDict, batch: Batch, step: Step) -> Loss:
        """The negative lower bound of log p(x), estimated with one latent per image (Kingma & Welling 2014, eq. 10).

        Doesn't use ``step.augment(batch.x)``, because an autoencoder would learn to make augmented images.
        """
        misfit, kl = terms(nets, batch, step)
        return Loss(misfit + step.config.beta * kl, {"misfit": misfit.detach(), "divergence": kl.detach()})


def posterior(nets: nn.ModuleDict, x: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor]:
    """Mean and log-variance of q(z | x), each (N, latent_size)."""
    mean, log_variance = nets["encoder"](x, labels).chunk(2, dim=1)
    return mean, log_variance


def terms(nets: nn.ModuleDict, batch: Batch, step: Step) -> tuple[Tensor, Tensor]:
    """-log p(x | z) for one z of q(z | x) per image, and KL(q(z | x) || p(z)), in nats, averaged over the batch."""
    mean, log_variance = posterior(nets, batch.x, batch.labels)
    z = mean + (log_variance / 2).exp() * step.normal(*mean.shape)
    output = cast("Decoder", nets["generator"]).output(z, batch.labels)
    x = (batch.x + 1) / 2
    if step.config.likelihood == "bernoulli":
        misfit = bernoulli_misfit(output, x)
    else:
        misfit = gaussian_misfit((output + 1) / 2, x, step.config.scale)
    return misfit, divergence(mean, log_variance)
