"""InfoGAN (Chen et al. 2016): a GAN that finds categories and continuous factors in images without labels."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator
from torch import Tensor, nn, stack

from genaug.backends import Backend, BackendConfig, Batch, Latent, Loss, Player, Spec, Step
from genaug.errors import InputError
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
    latent_size: Annotated[int, Field(ge=1, le=1024, description="dimensions of the noise z")] = 62
    width: Annotated[int, Field(ge=4, le=256, description="channels at the image's side; doubled at each halving")] = 32
    max_width: Annotated[int, Field(ge=4, le=2048, description="most channels of any layer")] = 256
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
            description="how the generator takes continuous codes: beside its noise, or as a gain and an offset for "
            "each channel of its last feature map, where they can change colour and texture, but hardly a shape"
        ),
    ] = "input"
    variance: Annotated[
        Literal["fixed", "predicted"], Field(description="variance of Q for continuous codes; fixed is 1")
    ] = "fixed"
    loss: Annotated[
        Literal["nonsaturating", "relativistic", "least_squares", "hinge", "minimax"],
        Field(description="adversarial objective"),
    ] = "nonsaturating"
    generator_lr: Annotated[float, Field(gt=0, le=0.1, description="Adam's learning rate for the generator")] = 1e-3
    discriminator_lr: Annotated[
        float, Field(gt=0, le=0.1, description="Adam's learning rate for discriminator and Q")
    ] = 2e-4
    beta1: Annotated[float, Field(ge=0, lt=1, description="Adam's beta1; beta2 is 0.999")] = 0.5

    @field_validator("loss", mode="before")
    @classmethod
    def _has_what_it_needs(cls, loss: Any) -> Any:
        if loss == "wasserstein":
            raise ValueError(
                "the Wasserstein loss needs a critic whose slope is held to 1 and that takes several turns a step, "
                "which infogan doesn't have; the relativistic loss is the nearest one here"
            )
        return loss

    @model_validator(mode="after")
    def _has_codes(self) -> "InfoGANConfig":
        if not (self.categories or self.continuous):
            raise ValueError("infogan needs a code: set categories or continuous, or train cgan without labels")
        return self


class InfoGAN(Backend):
    """A GAN whose generator maximises the information that its images hold about codes drawn from their prior.

    The discriminator's body also reads the codes (Q); the information trains the body, Q's head and the generator, as
    in the authors' experiments. Labels are never used.
    """

    Config = InfoGANConfig
    small: ClassVar[Mapping[str, Any]] = {"width": 4, "max_width": 8, "hidden": 16, "latent_size": 4}

    def describe(self, config: InfoGANConfig, data: Spec) -> Spec:
        latents = [Latent(size=config.latent_size)]
        latents += [Latent(name=f"c{i}", kind="categorical", size=k) for i, k in enumerate(config.categories, 1)]
        latents += [Latent(name=f"u{i}", kind="uniform", size=1) for i in range(1, config.continuous + 1)]
        return data.model_copy(update={"latents": tuple(latents), "num_classes": 0, "classes": None})

    def build(self, config: InfoGANConfig, spec: Spec) -> nn.ModuleDict:
        sizes = (config.hidden, config.width, config.max_width)
        return nn.ModuleDict(
            {
                "generator": CodeGenerator(spec, config.continuous_as == "modulation", *sizes),
                "discriminator": InfoDiscriminator(spec, config.variance, *sizes),
            }
        )

    def generate(self, nets: nn.ModuleDict, latents: Mapping[str, Tensor], labels: Tensor | None) -> Tensor:
        images: Tensor = nets["generator"](latents)
        return images

    def players(self, config: InfoGANConfig, nets: nn.ModuleDict) -> list[Player]:
        """Q belongs to the discriminator: the parameters of its head and of the body that it shares have one optimizer,
        whose loss holds both the adversarial term and the information."""
        rates = {"generator": config.generator_lr, "discriminator": config.discriminator_lr}
        return [Player(name, nets[name].parameters(), lr, (config.beta1, _BETA2)) for name, lr in rates.items()]

    def loss(self, player: str, nets: nn.ModuleDict, batch: Batch, step: Step) -> Loss:
        """V(D, G) - lambda L_I(G, Q): Chen et al. 2016, eq. 6, for either player's part in V."""
        if len(batch.images) < 2:
            raise InputError(
                "infogan's networks normalise over the batch and need 2 images at least: use a larger batch_size"
            )
        if player == "generator":
            return self._generator_loss(nets, batch.images, step)
        return self._discriminator_loss(nets, batch.images, step)

    def _generator_loss(self, nets: nn.ModuleDict, real: Tensor, step: Step) -> Loss:
        """The fakes and their codes are kept for the discriminator's turn: one pass of the generator serves both."""
        objective = OBJECTIVES[step.config.loss]
        latents = step.latents(len(real))
        fake = self.generate(nets, latents, None)
        step.cache["fake"], step.cache["latents"] = fake.detach(), latents
        score, outputs = nets["discriminator"](step.augment(fake))
        real_score = nets["discriminator"](step.augment(real))[0] if objective.pairs else score
        told = _told(step, outputs, latents)
        return Loss(objective.generator(real_score.float(), score.float()) - _weighted(step, told))

    def _discriminator_loss(self, nets: nn.ModuleDict, real: Tensor, step: Step) -> Loss:
        objective, discriminator = OBJECTIVES[step.config.loss], nets["discriminator"]
        real_score, _ = discriminator(step.augment(real))
        fake_score, outputs = discriminator(step.augment(step.cache["fake"]))
        told = _told(step, outputs, step.cache["latents"])
        value = objective.discriminator(real_score.float(), fake_score.float()) - _weighted(step, told)
        log = {f"information/{name}": bound.detach() for name, bound in told.items()}
        return Loss(value, {**score_log(real_score, fake_score), **log})


def _told(step: Step, outputs: Mapping[str, Tensor], latents: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What the images tell about each code, in nats."""
    return {code.name: information(code, outputs[code.name], latents[code.name]) for code in codes_of(step.spec)}


def _weighted(step: Step, told: Mapping[str, Tensor]) -> Tensor:
    """lambda L_I, summed over the codes."""
    weights = {"categorical": step.config.category_weight, "uniform": step.config.continuous_weight}
    terms = [weights[code.kind] * told[code.name] for code in codes_of(step.spec)]
    return stack(terms).sum()
