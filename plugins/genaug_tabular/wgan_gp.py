"""WGAN-GP (Gulrajani et al. 2017) for rows of mixed columns, conditioned on the class."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, cast

import torch
from pydantic import Field
from torch import Tensor, nn

from genaug.backends import Backend, Batch, Inputs, Loss, Player, Spec, Step, adam
from genaug.backends.options import Beta, LatentSize, LearningRate
from genaug.errors import InputError
from genaug.modalities.table import Table
from genaug.nn.objectives import OBJECTIVES, interpolation_penalty
from genaug_tabular.networks import PackedCritic, RowGenerator, activated, bounded, drawn, pack
from genaug_tabular.sampling import SamplingConfig, class_shares

_OBJECTIVE = OBJECTIVES["wasserstein"]


class TableWGANGPConfig(SamplingConfig):
    """Options of the ``wgan-gp-table`` backend."""

    latent_size: LatentSize = 128
    hidden: Annotated[int, Field(ge=1, le=4096, description="units of each hidden layer")] = 256
    packing: Annotated[int, Field(ge=1, le=64, description="rows that the critic scores together (PacGAN)")] = 1
    draw: Annotated[bool, Field(description="draw categories from the softmax in samples; off: take the likeliest")] = (
        False
    )
    penalty_weight: Annotated[float, Field(gt=0, le=1000, description="weight of the gradient penalty, lambda")] = 10.0
    n_critic: Annotated[int, Field(ge=1, le=100, description="critic updates per generator update")] = 5
    lr: LearningRate = 2e-4
    beta1: Annotated[Beta, Field(description="Adam's beta1")] = 0.5
    beta2: Annotated[Beta, Field(description="Adam's beta2")] = 0.9


class Generator(RowGenerator):
    """Latents and labels to numbers and logits, before their activations."""

    def __init__(self, config: TableWGANGPConfig, table: Table, num_classes: int) -> None:
        super().__init__(config.latent_size, config.hidden, table.encoded_shape[0], num_classes)
        self.spans, self.draw = table.spans, config.draw


class TableWGANGP(Backend):
    """The critic sees one-hot groups of real rows, and the softmax outputs of generated ones as they are."""

    Config = TableWGANGPConfig
    modalities = ("table",)
    tiny: ClassVar[Mapping[str, Any]] = {"latent_size": 4, "hidden": 8, "n_critic": 2}

    def build(self, config: TableWGANGPConfig, spec: Spec) -> nn.ModuleDict:
        table = cast(Table, spec.sample)
        width, classes = table.encoded_shape[0], spec.num_classes
        return nn.ModuleDict(
            {
                "generator": Generator(config, table, classes),
                "critic": PackedCritic(width, config.hidden, classes, config.packing),
            }
        )

    def class_shares(self, config: TableWGANGPConfig, counts: Tensor) -> Tensor | None:
        return class_shares(config, counts)

    def generate(self, nets: nn.ModuleDict, inputs: Inputs) -> Tensor:
        """Rows whose groups hold probabilities, of which the largest counts; with ``draw``, one-hot groups."""
        generator = cast(Generator, nets["generator"])
        outputs = generator(inputs.latents["z"], inputs.labels).float()
        if not generator.draw:
            return activated(outputs, generator.spans)
        return drawn(bounded(outputs, generator.spans), generator.spans, inputs.noise(outputs.shape[1]))

    def players(self, config: TableWGANGPConfig, nets: nn.ModuleDict) -> list[Player]:
        """The critic first (Gulrajani et al. 2017, algorithm 1)."""
        optimizer = adam(config.lr, (config.beta1, config.beta2))
        return [
            Player("critic", nets["critic"].parameters(), self.critic_loss, optimizer, updates=config.n_critic),
            Player("generator", nets["generator"].parameters(), self.generator_loss, optimizer),
        ]

    def critic_loss(self, nets: nn.ModuleDict, batch: Batch, step: Step) -> Loss:
        """E D(G(z)) - E D(x) + lambda E (|grad D| - 1)^2 (Gulrajani et al. 2017, eq. 3), over packs of rows.

        Logs E D(x) - E D(G(z)), which estimates the Wasserstein distance.
        """
        config, critic = step.config, cast(PackedCritic, nets["critic"])
        with torch.no_grad():
            fake = pack(self._soft(nets, batch, step), config.packing)
        real, labels = pack(batch.x, config.packing), _packed_labels(batch, config.packing)
        both = None if labels is None else torch.cat([labels, labels])
        real_score, fake_score = critic(torch.cat([real, fake]), both).float().chunk(2)
        weight = step.uniform(len(batch.x), 1)[: len(real)]
        with step.float32():
            penalty = interpolation_penalty(lambda packs: critic(packs, labels), real, fake, weight)
        value = _OBJECTIVE.discriminator(real_score, fake_score) + config.penalty_weight * penalty
        estimate = (real_score.mean() - fake_score.mean()).detach()
        return Loss(value, {"wasserstein_estimate": estimate, "gradient_penalty": penalty.detach()})

    def generator_loss(self, nets: nn.ModuleDict, batch: Batch, step: Step) -> Loss:
        """-E D(G(z)) (Gulrajani et al. 2017, algorithm 1)."""
        packing = step.config.packing
        fake = pack(self._soft(nets, batch, step), packing)
        score = nets["critic"](fake, _packed_labels(batch, packing)).float()
        return Loss(_OBJECTIVE.generator(score, score))

    def _soft(self, nets: nn.ModuleDict, batch: Batch, step: Step) -> Tensor:
        """Generated rows with the labels of a batch."""
        least = max(2, step.config.packing)  # the networks normalize over the batch
        if len(batch.x) < least:
            raise InputError(
                f"packing={step.config.packing} needs batches of at least {least} rows per process, got "
                f"{len(batch.x)}. Pass a larger batch_size (--batch-size)."
            )
        generator = cast(Generator, nets["generator"])
        inputs = step.inputs(batch)
        return activated(generator(inputs.latents["z"], inputs.labels).float(), generator.spans)


def _packed_labels(batch: Batch, packing: int) -> Tensor | None:
    return None if batch.labels is None else pack(batch.labels, packing)
