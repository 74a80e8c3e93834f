"""TimeVAE (Desai et al. 2021): a convolutional variational autoencoder for series, with trend and seasonality."""

import math
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, cast

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from genaug.backends import Backend, BackendConfig, Batch, Inputs, Loss, Player, Spec, Step, adam
from genaug.backends.options import Conditional, Decay, LatentSize, LearningRate, MaxWidth, Width
from genaug.modalities.series import Series
from genaug_series.decomposition import Decoder, Encoder

Count = Annotated[int, Field(ge=1, le=65_536)]

_LOG_SCALES = (math.log(0.01), 0.0)  # of a value, in standard deviations of its channel


class TimeVAEConfig(BackendConfig):
    """Options of the ``timevae`` backend."""

    latent_size: LatentSize = 8
    hidden: Annotated[int, Field(ge=1, le=4096, description="units of the hidden layer after the latent")] = 128
    width: Annotated[Width, Field(description="channels at full length; doubled at each halving")] = 32
    max_width: MaxWidth = 128
    trend: Annotated[int, Field(ge=0, le=16, description="degree of the trend's polynomial; 0: no trend")] = 2
    seasons: Annotated[
        tuple[tuple[Count, Count], ...],
        Field(max_length=16, description="seasonal patterns: their number of seasons, and steps per season"),
    ] = ()
    draw: Annotated[bool, Field(description="add the noise that the decoder expects to samples")] = False
    beta: Annotated[float, Field(ge=0, le=1000, description="weight of the divergence from the prior")] = 1.0
    lr: Annotated[LearningRate, Field(description="Adam's learning rate")] = 1e-3
    decay: Decay = 0.5
    conditional: Annotated[Conditional, Field(description="use the labels; off: an unconditional VAE")] = True


class TimeVAE(Backend):
    """One player trains encoder and decoder together. The decoder is the generator; both networks are kept."""

    Config = TimeVAEConfig
    modalities = ("series",)
    keeps = ("generator", "encoder")
    tiny: ClassVar[Mapping[str, Any]] = {"latent_size": 3, "hidden": 6, "width": 4, "max_width": 4}

    def build(self, config: TimeVAEConfig, spec: Spec) -> nn.ModuleDict:
        sample, classes = cast(Series, spec.sample), spec.num_classes
        return nn.ModuleDict(
            {
                "generator": Decoder(config, sample, classes),
                "encoder": Encoder(config, sample.encoded_shape, classes),
            }
        )

    def generate(self, nets: nn.ModuleDict, inputs: Inputs) -> Tensor:
        """The means of p(x | z), with missing values drawn from it; values too if ``draw`` is on."""
        decoder = cast(Decoder, nets["generator"])
        outputs = decoder(inputs.latents["z"], inputs.labels).float()
        values, presence, observation = decoder.sample.parts(outputs)
        if decoder.draw:
            values = values + log_scales(decoder).exp() * inputs.noise(*values.shape[1:])
        parts = [values]
        if presence is not None:
            parts.append(presence.tanh())
        if observation is not None:
            uniform = torch.special.ndtr(inputs.noise(*observation.shape[1:]))
            parts.append(torch.where(uniform < (2 * observation).sigmoid(), 1.0, -1.0))
        return torch.cat(parts, 1)

    def encode(self, nets: nn.ModuleDict, x: Tensor, labels: Tensor | None) -> dict[str, Tensor]:
        """The mean of q(z | x)."""
        return {"z": nets["encoder"](x, labels).chunk(2, dim=1)[0]}

    def players(self, config: TimeVAEConfig, nets: nn.ModuleDict) -> list[Player]:
        return [Player("autoencoder", nets.parameters(), self.loss, adam(config.lr, (0.9, 0.999), decay=config.decay))]

    def loss(self, nets: nn.ModuleDict, batch: Batch, step: Step) -> Loss:
        """-E log p(x | z) + beta KL(q(z | x) || N(0, 1)), with one latent per series (Desai et al. 2021, section 3)."""
        mean, log_variance = nets["encoder"](batch.x, batch.labels).float().chunk(2, dim=1)
        z = mean + (log_variance / 2).exp() * step.normal(*mean.shape)
        decoder = cast(Decoder, nets["generator"])
        outputs = decoder(z, batch.labels).float()
        misfit = series_misfit(outputs, batch.x.float(), log_scales(decoder), decoder.sample)
        divergence = (mean.square() + log_variance.exp() - 1 - log_variance).sum(1).mean() / 2
        value = misfit + step.config.beta * divergence
        return Loss(value, {"misfit": misfit.detach(), "divergence": divergence.detach()})


def log_scales(decoder: Decoder) -> Tensor:
    """log of the standard deviation of each channel's values, (channels, 1)."""
    return decoder.log_scales.clamp(*_LOG_SCALES)


def series_misfit(outputs: Tensor, x: Tensor, log_scales: Tensor, sample: Series) -> Tensor:
    """-log p(x | z) in nats per series, averaged over the batch.

    A value that is there is normally distributed around its output, with the standard deviation of its channel; whether
    a step is before the end, and whether a value of such a step is there, have the probabilities sigmoid(2 output).
    """
    values, presence, observation = sample.parts(outputs)
    targets, present, observed = sample.parts(x)
    there = torch.ones_like(targets)
    total = outputs.new_zeros(())
    if presence is not None and present is not None:
        before_end = (present + 1) / 2
        there = there * before_end
        total = total + binary_cross_entropy_with_logits(2 * presence, before_end, reduction="none").sum()
    if observation is not None and observed is not None:
        terms = binary_cross_entropy_with_logits(2 * observation, (observed + 1) / 2, reduction="none")
        total = total + (terms * there).sum()
        there = there * (observed + 1) / 2
    squares = (targets - values).square() / (2 * (2 * log_scales).exp())
    total = total + (there * (squares + log_scales + math.log(2 * math.pi) / 2)).sum()
    return total / len(x)
