"""CGAN (Mirza & Osindero 2014): a GAN whose generator and discriminator take the class label."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, cast

from pydantic import Field, model_validator
from torch import Tensor, cat, nn
from torch.nn.functional import cross_entropy

from genaug.backends import Backend, BackendConfig, Batch, Fakes, Inputs, Loss, Player, Spec, Step, adam
from genaug.backends.options import (
    NO_CRITIC,
    Beta2,
    BinaryPixels,
    Conditional,
    Decay,
    Draws,
    LatentSize,
    LearningRate,
    MaxWidth,
    PenaltyInterval,
    PenaltyWeight,
    Width,
    check_draws,
)
from genaug.errors import InputError
from genaug.nn.binary import DrawnFakes, black_or_white, drawn, drawn_fakes, importance_loss
from genaug.nn.blocks import ConvGenerator
from genaug.nn.objectives import OBJECTIVES, score_log, zero_centered_penalty
from genaug_cgan.networks import Discriminator


class CGANConfig(BackendConfig):
    """Options of the ``cgan`` backend."""

    latent_size: LatentSize = 64
    width: Width = 32
    max_width: MaxWidth = 256
    loss: Annotated[
        Literal["relativistic", "nonsaturating", "least_squares", "boundary_seeking", "hinge", "minimax"],
        NO_CRITIC,
        Field(description="adversarial objective"),
    ] = "relativistic"
    gamma: PenaltyWeight = 0.2
    penalty_every: PenaltyInterval = 4
    conditioning: Annotated[
        Literal["projection", "embedding", "concatenation", "none"],
        Field(description="how the discriminator takes the label"),
    ] = "projection"
    classifier_weight: Annotated[
        float, Field(ge=0, le=100, description="weight of the auxiliary classifier's loss (AC-GAN); 0: none")
    ] = 0.0
    binary: BinaryPixels = False
    draws: Draws = 20
    lr: LearningRate = 1e-3
    decay: Decay = 0.5
    beta2: Beta2 = 0.99
    conditional: Conditional = True

    @model_validator(mode="after")
    def _labels_are_learned(self) -> "CGANConfig":
        if self.conditional and self.conditioning == "none" and not self.classifier_weight:
            raise ValueError(
                "conditioning \"none\" needs classifier_weight above 0, or the generator can't learn the labels' "
                "meaning; for a GAN without labels, set conditional to false"
            )
        if not self.conditional and (self.conditioning not in ("projection", "none") or self.classifier_weight):
            raise ValueError(
                "conditioning and classifier_weight need labels, which conditional=false disables: leave them at their "
                "defaults, or set conditional to true"
            )
        return self

    @model_validator(mode="after")
    def _draws_are_for_binary_pixels(self) -> "CGANConfig":
        check_draws(self)
        if self.binary and self.loss == "boundary_seeking" and self.classifier_weight:
            raise ValueError(
                "the boundary_seeking loss of binary pixels has no gradient for a classifier: leave classifier_weight "
                "at 0, or use another loss"
            )
        return self


class CGAN(Backend):
    """Convolutional networks for images of any shape, class-conditional if the data has labels.

    By default trained with the relativistic pairing loss and zero-centered gradient penalties on real and generated
    images (Huang et al. 2024), evaluated only every few steps (lazy regularization, Karras et al. 2020, section 3.1).
    """

    Config = CGANConfig
    after_classes: ClassVar[Mapping[str, int]] = {"discriminator.body.convs.0.weight": 0}  # concatenated labels
    tiny: ClassVar[Mapping[str, Any]] = {"latent_size": 4, "width": 4, "max_width": 8}

    def describe(self, config: CGANConfig, data: Spec) -> Spec:
        if config.classifier_weight and not data.takes_labels:
            raise InputError(
                "classifier_weight needs labeled images, but these have no labels. Pass a dataset of (image, label), "
                "or leave it at 0."
            )
        return super().describe(config, data)

    def build(self, config: CGANConfig, spec: Spec) -> nn.ModuleDict:
        shape, classes, sizes = spec.shape, spec.num_classes, (config.width, config.max_width)
        generator = ConvGenerator(shape, classes, config.latent_size, *sizes)
        generator.binary = config.binary
        return nn.ModuleDict(
            {
                "generator": generator,
                "discriminator": Discriminator(
                    shape, classes, *sizes, config.conditioning, classifier=config.classifier_weight > 0
                ),
            }
        )

    def generate(self, nets: nn.ModuleDict, inputs: Inputs) -> Tensor:
        images: Tensor = nets["generator"](inputs.latents["z"], inputs.labels)
        return drawn(images, inputs) if getattr(nets["generator"], "binary", False) else images

    def discriminator_blocks(self, nets: nn.ModuleDict) -> list[nn.Module]:
        return cast(Discriminator, nets["discriminator"]).body.blocks

    def players(self, config: CGANConfig, nets: nn.ModuleDict) -> list[Player]:
        optimizer = adam(config.lr, (0.0, config.beta2), decay=config.decay)
        return [
            Player("generator", nets["generator"].parameters(), self.generator_loss, optimizer),
            Player("discriminator", nets["discriminator"].parameters(), self.discriminator_loss, optimizer),
        ]

    def _fakes(self, nets: nn.ModuleDict, batch: Batch, step: Step) -> Fakes:
        """One pass of the generator per step, for both players."""
        inputs = step.inputs(batch)
        images = nets["generator"](inputs.latents["z"], inputs.labels)
        if step.config.binary:
            return drawn_fakes(images, inputs, step.uniform(*images.shape))
        return Fakes(images, inputs)

    def _real(self, batch: Batch, step: Step) -> Tensor:
        return step.augment(black_or_white(batch.x) if step.config.binary else batch.x)

    def generator_loss(self, nets: nn.ModuleDict, batch: Batch, step: Step) -> Loss:
        objective, labels = OBJECTIVES[step.config.loss], batch.labels
        fakes = step.fakes(lambda: self._fakes(nets, batch, step))
        if isinstance(fakes, DrawnFakes) and step.config.loss == "boundary_seeking":
            repeated = None if labels is None else labels.repeat_interleave(step.config.draws)
            uniform = step.uniform(len(batch.x), step.config.draws, *step.spec.shape)
            return Loss(
                importance_loss(
                    fakes.expected, lambda pixels: nets["discriminator"](step.augment(pixels), repeated)[0], uniform
                )
            )
        score, logits = nets["discriminator"](step.augment(fakes.x), labels)
        real_score = nets["discriminator"](self._real(batch, step), labels)[0] if objective.pairs else score
        return Loss(objective.generator(real_score.float(), score.float()) + _class_loss(logits, batch.labels, step))

    def discriminator_loss(self, nets: nn.ModuleDict, batch: Batch, step: Step) -> Loss:
        config, objective, labels = step.config, OBJECTIVES[step.config.loss], batch.labels
        fake = step.fakes(lambda: self._fakes(nets, batch, step)).x.detach()
        real, fake = self._real(batch, step), step.augment(fake)
        images, both = cat([real, fake]), None if labels is None else cat([labels, labels])
        penalize = config.gamma > 0 and step.index % config.penalty_every == 0
        if penalize:
            with step.float32():
                images = images.float().requires_grad_()
                scores, logits = nets["discriminator"](images, both)
                penalty = 2 * zero_centered_penalty(scores, images)  # twice the mean over both halves: R1 + R2
        else:
            scores, logits = nets["discriminator"](images, both)
        real_score, fake_score = scores.float().chunk(2)
        value = objective.discriminator(real_score, fake_score) + 2 * _class_loss(logits, both, step)
        log = score_log(real_score, fake_score)
        if penalize:
            value = value + config.gamma / 2 * config.penalty_every * penalty
            log["penalty"] = penalty.detach()
        return Loss(value, log)


def _class_loss(logits: Tensor | None, labels: Tensor | None, step: Step) -> Tensor | float:
    """The weighted mean of -log P(C = y | x), which both players minimize (Odena et al. 2017, AC-GAN, eq. 3): the
    discriminator on real and generated images, the generator on generated ones."""
    if logits is None or labels is None:
        return 0.0
    weight: float = step.config.classifier_weight
    return weight * cross_entropy(logits.float(), labels)
