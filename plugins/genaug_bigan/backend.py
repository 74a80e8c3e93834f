"""Bidirectional GAN (Donahue et al. 2017; Dumoulin et al. 2017): a GAN that learns an encoder with its generator."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal, cast

from pydantic import Field, model_validator
from torch import Tensor, nn, no_grad

from genaug.backends import Backend, BackendConfig, Batch, Fakes, Inputs, Loss, Player, Spec, Step, Uniform, adam
from genaug.backends.options import Beta, Conditional, Decay, LatentSize, LearningRate, MaxWidth, Width
from genaug.errors import InputError
from genaug.nn.blocks import ConvFeatures, ConvGenerator
from genaug.nn.objectives import cross_entropy_discriminator
from genaug_bigan.networks import Body, DenseFeatures, DenseGenerator, Encoder, JointDiscriminator

_BETA2 = 0.999


class BiGANConfig(BackendConfig):
    """Options of the ``bigan`` backend."""

    kind: Annotated[
        Literal["mlp", "conv"], Field(description="networks: dense layers, for digits, or convolutions")
    ] = "mlp"
    latent_size: Annotated[LatentSize, Field(description="dimensions of the uniform latent z, and of a code")] = 50
    hidden: Annotated[int, Field(ge=4, le=8192, description="units of each dense hidden layer")] = 1024
    width: Annotated[Width, Field(description="channels at the image's side, doubled at each halving; for conv")] = 32
    max_width: Annotated[MaxWidth, Field(description="most channels of any layer; for kind conv")] = 256
    lr: LearningRate = 2e-4
    decay: Decay = 0.5
    beta1: Annotated[Beta, Field(description="Adam's beta1; beta2 is 0.999")] = 0.5
    conditional: Annotated[
        Conditional, Field(description="use the labels; off: an unconditional GAN, whose codes express the class too")
    ] = True

    @model_validator(mode="after")
    def _widths_have_an_effect(self) -> "BiGANConfig":
        for name in ("width", "max_width"):
            if self.kind != "conv" and getattr(self, name) != type(self).model_fields[name].default:
                raise ValueError(f"{name} has no effect with kind {self.kind!r}: leave it out, or set kind to 'conv'")
        return self


class BiGAN(Backend):
    """The discriminator tells pairs (image, its code) from pairs (generated image, its latent).

    Encoder and generator are one player, since both make D take one kind of pair for the other. Labels, if there are
    any, go to generator and discriminator; the encoder never needs them.
    """

    Config = BiGANConfig
    keeps = ("generator", "encoder", "discriminator")
    takes_unlabelled = True
    tiny: ClassVar[Mapping[str, Any]] = {"latent_size": 4, "hidden": 16}

    def describe(self, config: BiGANConfig, data: Spec) -> Spec:
        spec = super().describe(config, data)
        return spec.model_copy(update={"latents": (Uniform(size=config.latent_size),)})

    def build(self, config: BiGANConfig, spec: Spec) -> nn.ModuleDict:
        shape, classes, size, hidden = spec.shape, spec.num_classes, config.latent_size, config.hidden
        bodies: list[Body]
        if config.kind == "conv":
            widths = config.width, config.max_width
            generator: nn.Module = ConvGenerator(shape, classes, size, *widths)
            bodies = [ConvFeatures(shape, *widths, normalized=True) for _ in range(2)]
        else:
            generator = DenseGenerator(shape, classes, size, hidden)
            bodies = [DenseFeatures(shape, hidden) for _ in range(2)]
        return nn.ModuleDict(
            {
                "generator": generator,
                "encoder": Encoder(bodies[0], hidden, size),
                "discriminator": JointDiscriminator(bodies[1], classes, size, hidden),
            }
        )

    def generate(self, nets: nn.ModuleDict, inputs: Inputs) -> Tensor:
        images: Tensor = nets["generator"](inputs.latents["z"], inputs.labels)
        return images

    def encode(self, nets: nn.ModuleDict, x: Tensor, labels: Tensor | None) -> dict[str, Tensor]:
        """E(x); the labels don't matter."""
        return {"z": nets["encoder"](x)}

    def score(self, nets: nn.ModuleDict, x: Tensor, labels: Tensor | None) -> Tensor:
        """The logit of D(x, E(x))."""
        scores: Tensor = nets["discriminator"](x, nets["encoder"](x), labels)
        return scores

    def discriminator_blocks(self, nets: nn.ModuleDict) -> list[nn.Module]:
        """The layers that see the image alone, before the latent enters."""
        return cast("JointDiscriminator", nets["discriminator"]).body.blocks

    def players(self, config: BiGANConfig, nets: nn.ModuleDict) -> list[Player]:
        optimizer = adam(config.lr, (config.beta1, _BETA2), decay=config.decay)
        makers = [*nets["generator"].parameters(), *nets["encoder"].parameters()]
        return [
            Player("discriminator", nets["discriminator"].parameters(), self.discriminator_loss, optimizer),
            Player("generator", makers, self.generator_loss, optimizer),
        ]

    def _fakes(self, nets: nn.ModuleDict, batch: Batch, step: Step) -> Fakes:
        """One pass of the generator per step, for both players. Images without a label are matched by images of the
        classes that the labeled ones have, or of any class if none has one."""
        count, labels = len(batch.x), batch.labels
        if count < 2:
            raise InputError(
                "bigan's networks normalize over the batch and need at least 2 images: use a larger batch_size"
            )
        inputs = step.inputs(batch)
        if labels is not None:
            known, drawn = labels[labels >= 0], step.uniform(count)
            others = known[(drawn * len(known)).long()] if len(known) else (drawn * step.spec.num_classes).long()
            inputs = replace(inputs, labels=labels.where(labels >= 0, others))
        return Fakes(self.generate(nets, inputs), inputs)

    def _scores(
        self, nets: nn.ModuleDict, batch: Batch, step: Step, codes: Tensor, images: Tensor, z: Tensor
    ) -> tuple[Tensor, Tensor]:
        """D's logits of (x, E(x)) and (G(z), z); the labels beside both are those of the batch."""
        real = nets["discriminator"](step.augment(batch.x), codes, batch.labels)
        fake = nets["discriminator"](step.augment(images), z, batch.labels)
        return real.float(), fake.float()

    def discriminator_loss(self, nets: nn.ModuleDict, batch: Batch, step: Step) -> Loss:
        """-V(D, E, G): Donahue et al. 2017, eq. 3."""
        fakes = step.fakes(lambda: self._fakes(nets, batch, step))
        with no_grad():
            codes = nets["encoder"](batch.x)
        real, fake = self._scores(nets, batch, step, codes, fakes.x.detach(), fakes.inputs.latents["z"])
        log = {"real_score": real.mean().detach(), "fake_score": fake.mean().detach()}
        return Loss(cross_entropy_discriminator(real, fake), log)

    def generator_loss(self, nets: nn.ModuleDict, batch: Batch, step: Step) -> Loss:
        """The discriminator's loss with swapped targets, for generator and encoder together (section 3.4)."""
        fakes = step.fakes(lambda: self._fakes(nets, batch, step))
        codes = nets["encoder"](batch.x)
        real, fake = self._scores(nets, batch, step, codes, fakes.x, fakes.inputs.latents["z"])
        return Loss(cross_entropy_discriminator(fake, real))
