"""MAD-GAN (Ghosh et al. 2018), with or without labels: k generators kept apart by a discriminator that names them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, Literal, cast

import torch
from pydantic import BeforeValidator, Field, model_validator
from torch import Tensor, cat, nn

from genaug.backend import Backend, BackendConfig, Batch, Loss, Player, Step
from genaug.spec import Latent, Spec
from genaug.training.objectives import score_log, zero_centred_penalty
from genaug_mad_gan.networks import MultiDiscriminator, MultiGenerator, shared_generators
from genaug_mad_gan.objectives import APART, JOINT, madgan_discriminator, naming_loss, real_score


def _refuse(loss: Any) -> Any:
    if loss == "wasserstein":
        raise ValueError(
            "a Wasserstein critic's score has no scale that a softmax could share, and R1 + R2 don't bound its slope; "
            "take loss='relativistic' here, or the backend wgan-gp"
        )
    return loss


class MADGANConfig(BackendConfig):
    """Options of the ``mad-gan`` backend."""

    generators: Annotated[int, Field(ge=1, le=64, description="number of generators, k")] = 4
    latent_size: Annotated[int, Field(ge=1, le=1024, description="dimensions of the normal latent z")] = 64
    width: Annotated[int, Field(ge=4, le=256, description="channels at the image's side; doubled at each halving")] = 32
    max_width: Annotated[int, Field(ge=4, le=2048, description="most channels of any layer")] = 256
    loss: Annotated[
        Literal["relativistic", "nonsaturating", "least_squares", "hinge", "minimax", "madgan", "madgan_minimax"],
        BeforeValidator(_refuse),
        Field(description="adversarial objective; madgan and madgan_minimax are the paper's"),
    ] = "relativistic"
    diversity: Annotated[
        float,
        Field(ge=0, le=100, description="weight of naming an image's generator; the paper's losses have it built in"),
    ] = 0.1
    full_batch: Annotated[bool, Field(description="a full batch from each generator; off: one batch among them")] = (
        False
    )
    gamma: Annotated[float, Field(ge=0, le=1000, description="weight of the gradient penalties R1 + R2")] = 0.2
    penalty_every: Annotated[int, Field(ge=1, le=64, description="steps between two gradient penalties")] = 4
    lr: Annotated[float, Field(gt=0, le=0.1, description="Adam's learning rate, for all networks")] = 1e-3
    decay: Annotated[float, Field(ge=0, le=1, description="last share of the run, over which lr falls to 0")] = 0.5
    beta1: Annotated[float, Field(ge=0, lt=1, description="Adam's beta1")] = 0.0
    beta2: Annotated[float, Field(ge=0, lt=1, description="Adam's beta2")] = 0.99
    conditional: Annotated[bool, Field(description="use the labels; off: an unconditional MAD-GAN")] = True

    @model_validator(mode="before")
    @classmethod
    def _without_a_preset(cls, options: Any) -> Any:
        """Generators saved before say ``preset: none``: there was an option of this name."""
        if isinstance(options, Mapping) and options.get("preset") == "none":
            return {name: value for name, value in options.items() if name != "preset"}
        return options

    @model_validator(mode="after")
    def _nothing_is_without_effect(self) -> "MADGANConfig":
        if self.loss in JOINT and self.diversity != type(self).model_fields["diversity"].default:
            raise ValueError(
                f"loss={self.loss!r} names an image's generator by itself: diversity has no effect on it. Leave it "
                "out, or take another loss"
            )
        return self


@dataclass(frozen=True)
class _Fakes:
    """One step's generated images, the labels they were made for and who made them."""

    images: Tensor
    labels: Tensor | None
    members: Tensor


class MADGAN(Backend):
    """k convolutional generators with a shared trunk, for images of any shape, conditional where the data has labels.

    ``member``, a categorical latent, is the generator. By default each makes an equal share of the batch, and the
    objective is that of ``cgan`` (relativistic pairing with R1 and R2 penalties) and, weighted by ``diversity``, the
    naming of an image's generator, which the generators help.
    """

    Config = MADGANConfig
    small: ClassVar[Mapping[str, Any]] = {"width": 4, "max_width": 8, "latent_size": 4}

    def describe(self, config: MADGANConfig, data: Spec) -> Spec:
        latents = (Latent(size=config.latent_size), Latent(name="member", kind="categorical", size=config.generators))
        spec = data.model_copy(update={"latents": latents})
        return spec if config.conditional else spec.model_copy(update={"num_classes": 0, "classes": None})

    def build(self, config: MADGANConfig, spec: Spec) -> nn.ModuleDict:
        k, sizes = config.generators, (config.width, config.max_width)
        return nn.ModuleDict(
            {
                "generator": shared_generators(k, spec.shape, spec.num_classes, config.latent_size, *sizes),
                "discriminator": MultiDiscriminator(k, spec.shape, spec.num_classes, *sizes),
            }
        )

    def generate(self, nets: nn.ModuleDict, latents: Mapping[str, Tensor], labels: Tensor | None) -> Tensor:
        images: Tensor = nets["generator"](latents["z"], labels, latents["member"])
        return images

    def players(self, config: MADGANConfig, nets: nn.ModuleDict) -> list[Player]:
        betas = (config.beta1, config.beta2)
        return [
            Player("generator", nets["generator"].parameters(), config.lr, betas, decay=config.decay),
            Player("discriminator", nets["discriminator"].parameters(), config.lr, betas, decay=config.decay),
        ]

    def loss(self, player: str, nets: nn.ModuleDict, batch: Batch, step: Step) -> Loss:
        labels = batch.labels if step.spec.takes_labels else None
        if player == "generator":
            return self._generator_loss(nets, batch.images, labels, step)
        return self._discriminator_loss(nets, batch.images, labels, step)

    def _generator_loss(self, nets: nn.ModuleDict, real: Tensor, labels: Tensor | None, step: Step) -> Loss:
        """The fakes are kept for the discriminator's turn: one pass of the generators a step serves both."""
        config, fakes = step.config, self._make(nets, labels, len(real), step)
        step.cache["fakes"] = replace(fakes, images=fakes.images.detach())
        outputs = nets["discriminator"](step.augment(fakes.images), fakes.labels).float()
        fake_score = real_score(outputs, config.loss)
        if config.loss in JOINT:
            return Loss(JOINT[config.loss].generator(fake_score, fake_score))
        objective, score = APART[config.loss], fake_score
        if objective.pairs:
            real_outputs = nets["discriminator"](step.augment(real), labels).float()
            score = _paired(real_score(real_outputs, config.loss), fake_score)
        return Loss(objective.generator(score, fake_score) + config.diversity * naming_loss(outputs, fakes.members))

    def _discriminator_loss(self, nets: nn.ModuleDict, real: Tensor, labels: Tensor | None, step: Step) -> Loss:
        """With full batches R2 is the mean over as many fakes as there are real images, to which all generators add."""
        config, fakes, discriminator = step.config, step.cache["fakes"], nets["discriminator"]
        real, fake, n = step.augment(real), step.augment(fakes.images), len(real)
        penalise = config.gamma > 0 and step.index % config.penalty_every == 0
        if penalise:
            with step.float32():
                real, some, rest = (images.detach().float() for images in (real, fake[:n], fake[n:]))
                for penalised in (real, some):
                    penalised.requires_grad_()
                real_outputs, fake_outputs = discriminator(real, labels), discriminator(some, labels)
                penalty = zero_centred_penalty(real_score(real_outputs, config.loss), real)
                penalty = penalty + zero_centred_penalty(real_score(fake_outputs, config.loss), some)
                if len(rest):
                    others = discriminator(rest, None if fakes.labels is None else fakes.labels[n:])
                    fake_outputs = cat([fake_outputs, others])
        else:
            both = None if labels is None else cat([labels, fakes.labels])
            real_outputs, fake_outputs = discriminator(cat([real, fake]), both).float().split([len(real), len(fake)])
        scores = real_score(real_outputs, config.loss), real_score(fake_outputs, config.loss)
        paired = _paired(*scores), scores[1]
        if config.loss in JOINT:
            value = madgan_discriminator(real_outputs, fake_outputs, fakes.members)
        else:
            naming = naming_loss(fake_outputs, fakes.members)
            value = APART[config.loss].discriminator(*paired) + config.diversity * naming
        named = (fake_outputs.detach()[:, :-1].argmax(1) == fakes.members).float().mean()
        log = {**score_log(*paired), "generators_named": named}
        if penalise:
            value = value + config.gamma / 2 * config.penalty_every * penalty
            log["penalty"] = penalty.detach()
        return Loss(value, log)

    def _make(self, nets: nn.ModuleDict, labels: Tensor | None, n: int, step: Step) -> _Fakes:
        """``n`` images by all generators together, or by each from the same latents: the trunk runs once.

        Full batches are dealt out: each ``n`` rows have all the latents in order, and the generators by turns.
        """
        config, z = step.config, step.latents(n)["z"]
        generator, k = cast(MultiGenerator, nets["generator"]), config.generators
        sizes = [n] * k if config.full_batch else shares(n, k, step.index)
        members = torch.arange(k, device=z.device)
        if config.full_batch:
            latent = torch.arange(n, device=z.device)
            members = (members[:, None] + latent) % k
            images = generator.every(z, labels).unflatten(0, (k, n))[members, latent].flatten(0, 1)
            return _Fakes(images, None if labels is None else labels.repeat(k), members.flatten())
        counts = torch.tensor(sizes, device=z.device)
        images = generator.split(z, labels, sizes)
        return _Fakes(images, labels, members.repeat_interleave(counts, output_size=n))


def shares(n: int, generators: int, turn: int) -> list[int]:
    """How many of ``n`` samples each generator makes: equally many, and by turns one more where that doesn't divide."""
    each, left = divmod(n, generators)
    return [each + ((member - turn * left) % generators < left) for member in range(generators)]


def _paired(real: Tensor, fake: Tensor) -> Tensor:
    """The real scores once for each generator's batch, so that each fake has a partner, of its own label."""
    return real.repeat(len(fake) // len(real), 1)
