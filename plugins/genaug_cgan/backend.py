"""CGAN (Mirza & Osindero 2014): a GAN whose generator and discriminator are given the class label."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator
from torch import Tensor, cat, nn
from torch.nn.functional import cross_entropy

from genaug.backends import Backend, BackendConfig, Batch, Fakes, Inputs, Loss, Player, Spec, Step, adam
from genaug.errors import InputError
from genaug.nn.blocks import ConvGenerator
from genaug.nn.objectives import OBJECTIVES, score_log, zero_centred_penalty
from genaug_cgan.networks import Discriminator


class CGANConfig(BackendConfig):
    """Options of the ``cgan`` backend."""

    latent_size: Annotated[int, Field(ge=1, le=1024, description="dimensions of the normal latent z")] = 64
    width: Annotated[int, Field(ge=4, le=256, description="channels at the image's side; doubled at each halving")] = 32
    max_width: Annotated[int, Field(ge=4, le=2048, description="most channels of any layer")] = 256
    loss: Annotated[
        Literal["relativistic", "nonsaturating", "least_squares", "hinge", "minimax"],
        Field(description="adversarial objective"),
    ] = "relativistic"
    gamma: Annotated[float, Field(ge=0, le=1000, description="weight of the gradient penalties R1 + R2")] = 0.2
    penalty_every: Annotated[int, Field(ge=1, le=64, description="steps between two gradient penalties")] = 4
    conditioning: Annotated[
        Literal["projection", "embedding", "concatenation", "none"],
        Field(description="how the discriminator is given the label"),
    ] = "projection"
    classifier_weight: Annotated[
        float, Field(ge=0, le=100, description="weight of the auxiliary classifier's loss (AC-GAN); 0: none")
    ] = 0.0
    lr: Annotated[float, Field(gt=0, le=0.1, description="Adam's learning rate, for both networks")] = 1e-3
    decay: Annotated[float, Field(ge=0, le=1, description="last share of the run, over which lr falls to 0")] = 0.5
    beta2: Annotated[float, Field(ge=0, lt=1, description="Adam's beta2; beta1 is 0")] = 0.99
    conditional: Annotated[bool, Field(description="use the labels; off: an unconditional GAN")] = True

    @field_validator("loss", mode="before")
    @classmethod
    def _has_what_it_needs(cls, loss: Any) -> Any:
        if loss == "wasserstein":
            raise ValueError(
                "the Wasserstein loss needs a critic whose slope is held to 1 and that takes several turns a step, "
                "which cgan doesn't have; take the backend wgan-gp, or the relativistic loss here"
            )
        return loss

    @model_validator(mode="after")
    def _labels_are_learned(self) -> "CGANConfig":
        if self.conditional and self.conditioning == "none" and not self.classifier_weight:
            raise ValueError(
                'conditioning "none" needs classifier_weight above 0, or nothing teaches the generator what a label '
                "means; for a GAN without labels set conditional to false"
            )
        if not self.conditional and (self.conditioning not in ("projection", "none") or self.classifier_weight):
            raise ValueError(
                "conditioning and classifier_weight are about labels, which conditional=false leaves out: leave them "
                "at their defaults, or conditional at true"
            )
        return self


class CGAN(Backend):
    """Convolutional networks for images of any shape, class-conditional where the data has labels.

    By default trained with the relativistic pairing loss and zero-centred gradient penalties on real and generated
    images (Huang et al. 2024), evaluated every few steps only (lazy regularisation, Karras et al. 2020, section 3.1).
    """

    Config = CGANConfig
    tiny: ClassVar[Mapping[str, Any]] = {"latent_size": 4, "width": 4, "max_width": 8}

    def describe(self, config: CGANConfig, data: Spec) -> Spec:
        if config.classifier_weight and not data.takes_labels:
            raise InputError(
                "classifier_weight is for labelled images, and these have no labels. Hand over a dataset of (image, "
                "label), or leave it at 0."
            )
        spec = super().describe(config, data)
        return spec if config.conditional else spec.model_copy(update={"classes": None})

    def build(self, config: CGANConfig, spec: Spec) -> nn.ModuleDict:
        shape, classes, sizes = spec.shape, spec.num_classes, (config.width, config.max_width)
        return nn.ModuleDict(
            {
                "generator": ConvGenerator(shape, classes, config.latent_size, *sizes),
                "discriminator": Discriminator(
                    shape, classes, *sizes, config.conditioning, classifier=config.classifier_weight > 0
                ),
            }
        )

    def generate(self, nets: nn.ModuleDict, inputs: Inputs) -> Tensor:
        images: Tensor = nets["generator"](inputs.latents["z"], inputs.labels)
        return images

    def players(self, config: CGANConfig, nets: nn.ModuleDict) -> list[Player]:
        optimizer = adam(config.lr, (0.0, config.beta2), decay=config.decay)
        return [
            Player("generator", nets["generator"].parameters(), self.generator_loss, optimizer),
            Player("discriminator", nets["discriminator"].parameters(), self.discriminator_loss, optimizer),
        ]

    def _fakes(self, nets: nn.ModuleDict, batch: Batch, step: Step) -> Fakes:
        """One pass of the generator per step, for both players."""
        inputs = step.inputs(batch)
        return Fakes(self.generate(nets, inputs), inputs)

    def generator_loss(self, nets: nn.ModuleDict, batch: Batch, step: Step) -> Loss:
        objective = OBJECTIVES[step.config.loss]
        fake = step.fakes(lambda: self._fakes(nets, batch, step)).x
        score, logits = nets["discriminator"](step.augment(fake), batch.labels)
        real_score = nets["discriminator"](step.augment(batch.x), batch.labels)[0] if objective.pairs else score
        return Loss(objective.generator(real_score.float(), score.float()) + _class_loss(logits, batch.labels, step))

    def discriminator_loss(self, nets: nn.ModuleDict, batch: Batch, step: Step) -> Loss:
        config, objective, labels = step.config, OBJECTIVES[step.config.loss], batch.labels
        fake = step.fakes(lambda: self._fakes(nets, batch, step)).x.detach()
        real, fake = step.augment(batch.x), step.augment(fake)
        both = None if labels is None else cat([labels, labels])
        penalize = config.gamma > 0 and step.index % config.penalty_every == 0
        if not penalize:
            scores, logits = nets["discriminator"](cat([real, fake]), both)
            real_score, fake_score = scores.float().chunk(2)
            value = objective.discriminator(real_score, fake_score) + 2 * _class_loss(logits, both, step)
            return Loss(value, score_log(real_score, fake_score))
        with step.float32():
            images = cat([real.float(), fake.float()]).requires_grad_()
            scores, logits = nets["discriminator"](images, both)
            real_score, fake_score = scores.chunk(2)
            penalty = 2 * zero_centred_penalty(scores, images)  # the mean over both halves, twice: R1 + R2
        value = objective.discriminator(real_score, fake_score) + 2 * _class_loss(logits, both, step)
        value = value + config.gamma / 2 * config.penalty_every * penalty
        return Loss(value, {**score_log(real_score, fake_score), "penalty": penalty.detach()})


def _class_loss(logits: Tensor | None, labels: Tensor | None, step: Step) -> Tensor | float:
    """The weighted mean of -log P(C = y | x), which both players minimise (Odena et al. 2017, AC-GAN, eq. 3): the
    discriminator on real and generated images, the generator on its own."""
    if logits is None or labels is None:
        return 0.0
    weight: float = step.config.classifier_weight
    return weight * cross_entropy(logits.float(), labels)
