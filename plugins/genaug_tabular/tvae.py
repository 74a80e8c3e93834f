"""TVAE (Xu et al. 2019, section 4.6): a variational autoencoder for rows of mixed columns, conditioned on the class."""

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, cast

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from genaug.backends import Backend, Batch, Inputs, Loss, Player, Spec, Step, adam
from genaug.backends.options import Decay, LatentSize, LearningRate
from genaug.modalities.table import Span, Table
from genaug_tabular.networks import Perceptron, bounded, drawn
from genaug_tabular.sampling import SamplingConfig, class_shares

_LOG_SCALES = (math.log(0.01), 0.0)  # of a number in [-1, 1], as in the paper's code


class TVAEConfig(SamplingConfig):
    """Options of the ``tvae`` backend."""

    latent_size: LatentSize = 128
    hidden: Annotated[int, Field(ge=1, le=4096, description="units of each hidden layer")] = 128
    beta: Annotated[float, Field(ge=0, le=1000, description="weight of the divergence from the prior")] = 0.5
    draw: Annotated[
        bool, Field(description="draw categories and numbers from their distributions; off: take the likeliest")
    ] = True
    lr: Annotated[LearningRate, Field(description="Adam's learning rate")] = 1e-3
    decay: Decay = 0.5


class Decoder(Perceptron):
    """Latents and labels to the means and logits of a row; each number has a standard deviation, a parameter."""

    def __init__(self, config: TVAEConfig, table: Table, num_classes: int) -> None:
        super().__init__(config.latent_size, config.hidden, table.encoded_shape[0], num_classes)
        self.spans, self.draw = table.spans, config.draw
        self.log_scales = nn.Parameter(torch.full((table.encoded_shape[0],), math.log(0.1)))

    def scales(self) -> Tensor:
        """log of the standard deviation of each number, (width,)."""
        return self.log_scales.clamp(*_LOG_SCALES)


class TVAE(Backend):
    """One player trains encoder and decoder together. The decoder is the generator; both networks are kept."""

    Config = TVAEConfig
    modalities = ("table",)
    keeps = ("generator", "encoder")
    tiny: ClassVar[Mapping[str, Any]] = {"latent_size": 3, "hidden": 8}

    def build(self, config: TVAEConfig, spec: Spec) -> nn.ModuleDict:
        table = cast(Table, spec.sample)
        width, classes = table.encoded_shape[0], spec.num_classes
        return nn.ModuleDict(
            {
                "generator": Decoder(config, table, classes),
                "encoder": Perceptron(width, config.hidden, 2 * config.latent_size, classes),
            }
        )

    def class_shares(self, config: TVAEConfig, counts: Tensor) -> Tensor | None:
        return class_shares(config, counts)

    def generate(self, nets: nn.ModuleDict, inputs: Inputs) -> Tensor:
        """Rows drawn from p(x | z); the likeliest ones if ``draw`` is off."""
        decoder = cast(Decoder, nets["generator"])
        means = bounded(decoder(inputs.latents["z"], inputs.labels).float(), decoder.spans)
        if not decoder.draw:
            return means
        noise = inputs.noise(means.shape[1])
        rows = drawn(means, decoder.spans, noise)
        is_number = means.new_tensor([not span.is_softmax for span in decoder.spans for _ in range(*span[:2])])
        return rows + is_number * decoder.scales().exp() * noise

    def encode(self, nets: nn.ModuleDict, x: Tensor, labels: Tensor | None) -> dict[str, Tensor]:
        """The mean of q(z | x)."""
        return {"z": nets["encoder"](x, labels).chunk(2, dim=1)[0]}

    def players(self, config: TVAEConfig, nets: nn.ModuleDict) -> list[Player]:
        return [Player("autoencoder", nets.parameters(), self.loss, adam(config.lr, (0.9, 0.999), decay=config.decay))]

    def loss(self, nets: nn.ModuleDict, batch: Batch, step: Step) -> Loss:
        """-E log p(x | z) + beta KL(q(z | x) || N(0, 1)), with one latent per row (Xu et al. 2019, section 4.6)."""
        mean, log_variance = nets["encoder"](batch.x, batch.labels).float().chunk(2, dim=1)
        z = mean + (log_variance / 2).exp() * step.normal(*mean.shape)
        decoder = cast(Decoder, nets["generator"])
        outputs = bounded(decoder(z, batch.labels).float(), decoder.spans)
        misfit = row_misfit(outputs, batch.x, decoder.scales(), decoder.spans)
        divergence = (mean.square() + log_variance.exp() - 1 - log_variance).sum(1).mean() / 2
        value = misfit + step.config.beta * divergence
        return Loss(value, {"misfit": misfit.detach(), "divergence": divergence.detach()})


def row_misfit(outputs: Tensor, x: Tensor, log_scales: Tensor, spans: Sequence[Span]) -> Tensor:
    """-log p(x | z) in nats per row, averaged over the batch.

    A number is normally distributed around its output with its own standard deviation, a group's slot has the softmax
    of its outputs as probabilities (Xu et al. 2019, section 4.6).
    """
    total = outputs.new_zeros(())
    for start, stop, is_softmax in spans:
        own, target = outputs[:, start:stop], x[:, start:stop]
        if is_softmax:
            total = total + cross_entropy(own, target.argmax(1))
        else:
            log_scale = log_scales[start]
            total = total + ((target - own).square() / (2 * (2 * log_scale).exp())).mean() + log_scale
            total = total + math.log(2 * math.pi) / 2
    return total
