"""InfoGAN (Chen et al. 2016): a GAN that finds categories and continuous factors in images without labels."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, cast

from pydantic import Field, model_validator
from torch import Tensor, nn, stack

from genaug.backends import (
    Backend,
    BackendConfig,
    Batch,
    Categorical,
    Fakes,
    Inputs,
    Latent,
    Loss,
    Normal,
    Player,
    Spec,
    Step,
    Uniform,
    adam,
)
from genaug.backends.options import NO_CRITIC, Beta, LatentSize, LearningRate, MaxWidth, Width
from genaug.errors import InputError
from genaug.nn.blocks import ConvFeatures
from genaug.nn.objectives import OBJECTIVES, score_log
from genaug_infogan.information import codes_of, information
from genaug_infogan.networks import CodeGenerator, InfoDiscriminator

_BETA2 = 0.999


class InfoGANConfig(BackendConfig):
    """Options of the ``infogan`` backend."""

    categories: Annotated[
        tuple[Annotated[int, Field(ge=2, le=1000)], ...],
        Field(max_length=16, description="sizes of the categorical codes c1, c2, ..., such as [10]"),
    ] = (10,)
    continuous: Annotated[int, Field(ge=0, le=32, description="number of the continuous codes u1, u2, ...")] = 2
    latent_size: Annotated[LatentSize, Field(description="dimensions of the noise z")] = 62
    width: Width = 32
    max_width: MaxWidth = 256
    hidden: Annotated[int, Field(ge=4, le=8192, description="units of the dense layer next to the convolutions")] = 1024
    category_weight: Annotated[
        float, Field(ge=0, le=1000, description="weight of the information about categorical codes")
    ] = 1.0
    continuous_weight: Annotated[
        float, Field(ge=0, le=1000, description="weight of the information about continuous codes")
    ] = 1.0
    continuous_as: Annotated[
        Literal["input", "modulation"],
        Field(
            description="how the generator takes continuous codes: together with its noise, or as a gain and an offset "
            "for each channel of its last feature map, where they can change color and texture, but hardly a shape"
        ),
    ] = "input"
    variance: Annotated[
        Literal["fixed", "predicted"], Field(description="variance of Q for continuous codes; fixed is 1")
    ] = "fixed"
    loss: Annotated[
        Literal["nonsaturating", "relativistic", "least_squares", "hinge", "minimax"],
        NO_CRITIC,
        Field(description="adversarial objective"),
    ] = "nonsaturating"
    generator_lr: Annotated[LearningRate, Field(description="Adam's learning rate for the generator")] = 1e-3
    discriminator_lr: Annotated[LearningRate, Field(description="Adam's learning rate for discriminator and Q")] = 2e-4
    beta1: Annotated[Beta, Field(description="Adam's beta1; beta2 is 0.999")] = 0.5

    @model_validator(mode="after")
    def _has_codes(self) -> "InfoGANConfig":
        if not (self.categories or self.continuous):
            raise ValueError("infogan needs a code: set categories or continuous, or train cgan without labels")
        return self


class InfoGAN(Backend):
    """A GAN whose generator maximizes the information that its images contain about codes drawn from their priors.

    The discriminator's body also predicts the codes (Q); the information trains the body, Q's head and the generator,
    as in the authors' experiments. Labels are never used.
    """

    Config = InfoGANConfig
    keeps = ("generator", "discriminator")
    tiny: ClassVar[Mapping[str, Any]] = {"width": 4, "max_width": 8, "hidden": 16, "latent_size": 4}

    def describe(self, config: InfoGANConfig, data: Spec) -> Spec:
        latents: list[Latent] = [Normal(size=config.latent_size)]
        latents += [Categorical(name=f"c{i}", size=k) for i, k in enumerate(config.categories, 1)]
        latents += [Uniform(name=f"u{i}", size=1) for i in range(1, config.continuous + 1)]
        return data.model_copy(update={"latents": tuple(latents), "classes": None})

    def build(self, config: InfoGANConfig, spec: Spec) -> nn.ModuleDict:
        sizes = (config.hidden, config.width, config.max_width)
        return nn.ModuleDict(
            {
                "generator": CodeGenerator(spec, config.continuous_as == "modulation", *sizes),
                "discriminator": InfoDiscriminator(spec, config.variance, *sizes),
            }
        )

    def generate(self, nets: nn.ModuleDict, inputs: Inputs) -> Tensor:
        images: Tensor = nets["generator"](inputs.latents)
        return images

    def encode(self, nets: nn.ModuleDict, x: Tensor, labels: Tensor | None) -> dict[str, Tensor]:
        """The codes that are most likely according to Q, which doesn't predict the noise ``z``."""
        outputs: dict[str, Tensor] = nets["discriminator"](x)[1]
        categories = {name: logits.argmax(1) for name, logits in outputs.items() if name.startswith("c")}
        means = {name: values[:, :1].clamp(-1, 1) for name, values in outputs.items() if name not in categories}
        return {**categories, **means}

    def classify(self, nets: nn.ModuleDict, x: Tensor) -> Tensor:
        """Q's logits of the first categorical code."""
        logits: Tensor = nets["discriminator"](x)[1]["c1"]
        return logits

    def score(self, nets: nn.ModuleDict, x: Tensor, labels: Tensor | None) -> Tensor:
        scores: Tensor = nets["discriminator"](x)[0][:, 0]
        return scores

    def discriminator_blocks(self, nets: nn.ModuleDict) -> list[nn.Module]:
        """The convolutions and the dense layer that the score and Q share."""
        convolutions, dense = cast(InfoDiscriminator, nets["discriminator"]).body
        return [*cast(ConvFeatures, convolutions).blocks, dense]

    def players(self, config: InfoGANConfig, nets: nn.ModuleDict) -> list[Player]:
        """Q is part of the discriminator: its head and the shared body have one optimizer, whose loss contains both the
        adversarial term and the information."""
        generator, discriminator = nets["generator"].parameters(), nets["discriminator"].parameters()
        betas = config.beta1, _BETA2
        return [
            Player("generator", generator, self.generator_loss, adam(config.generator_lr, betas)),
            Player("discriminator", discriminator, self.discriminator_loss, adam(config.discriminator_lr, betas)),
        ]

    def _fakes(self, nets: nn.ModuleDict, batch: Batch, step: Step) -> Fakes:
        """One pass of the generator per step, for both players."""
        if len(batch.x) < 2:
            raise InputError(
                "infogan's networks normalize over the batch and need at least 2 images: use a larger batch_size"
            )
        inputs = step.inputs(batch)
        return Fakes(self.generate(nets, inputs), inputs)

    def generator_loss(self, nets: nn.ModuleDict, batch: Batch, step: Step) -> Loss:
        """The generator's part of V(D, G) - lambda L_I(G, Q): Chen et al. 2016, eq. 6."""
        objective = OBJECTIVES[step.config.loss]
        fakes = step.fakes(lambda: self._fakes(nets, batch, step))
        score, outputs = nets["discriminator"](step.augment(fakes.x))
        real_score = nets["discriminator"](step.augment(batch.x))[0] if objective.pairs else score
        bounds = _information(step, outputs, fakes.inputs.latents)
        return Loss(objective.generator(real_score.float(), score.float()) - _weighted(step, bounds))

    def discriminator_loss(self, nets: nn.ModuleDict, batch: Batch, step: Step) -> Loss:
        """The discriminator's part of V(D, G) - lambda L_I(G, Q): Chen et al. 2016, eq. 6."""
        objective, discriminator = OBJECTIVES[step.config.loss], nets["discriminator"]
        fakes = step.fakes(lambda: self._fakes(nets, batch, step))
        real_score, _ = discriminator(step.augment(batch.x))
        fake_score, outputs = discriminator(step.augment(fakes.x.detach()))
        bounds = _information(step, outputs, fakes.inputs.latents)
        value = objective.discriminator(real_score.float(), fake_score.float()) - _weighted(step, bounds)
        log = {f"information/{name}": bound.detach() for name, bound in bounds.items()}
        return Loss(value, {**score_log(real_score, fake_score), **log})


def _information(step: Step, outputs: Mapping[str, Tensor], latents: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The information about each code in the images, in nats."""
    return {code.name: information(code, outputs[code.name], latents[code.name]) for code in codes_of(step.spec)}


def _weighted(step: Step, bounds: Mapping[str, Tensor]) -> Tensor:
    """lambda L_I, summed over the codes."""
    weights = {"categorical": step.config.category_weight, "uniform": step.config.continuous_weight}
    terms = [weights[code.kind] * bounds[code.name] for code in codes_of(step.spec)]
    return stack(terms).sum()
