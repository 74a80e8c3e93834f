"""The options of the ``aae`` backend."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from genaug.backends import BackendConfig
from genaug.backends.options import Beta, Conditional, Decay, LatentSize, LearningRate, MaxWidth, Width

_USED_BY = {"hidden": "mlp", "width": "conv", "max_width": "conv"}

Units = Annotated[int, Field(ge=1, le=8192)]
Layers = Annotated[tuple[Units, ...], Field(min_length=1, max_length=16)]


class AAEConfig(BackendConfig):
    """Options of the ``aae`` backend."""

    kind: Annotated[
        Literal["mlp", "conv"], Field(description="networks: dense layers, for digits, or convolutions")
    ] = "mlp"
    prior: Annotated[
        Literal["gaussian", "mixture", "swiss_roll"],
        Field(
            description="distribution of the codes: normal, or in each pair of dimensions a ring of ten normal "
            "distributions or a spiral"
        ),
    ] = "gaussian"
    latent_size: Annotated[
        LatentSize, Field(description="dimensions of the code z; even for mixture and swiss_roll")
    ] = 10
    hidden: Annotated[
        Layers, Field(description="units of the encoder's dense layers, reversed in the decoder; for kind mlp")
    ] = (1000, 1000)
    width: Annotated[Width, Field(description="channels at the image's side, doubled at each halving; for conv")] = 32
    max_width: Annotated[MaxWidth, Field(description="most channels of any layer; for kind conv")] = 256
    discriminator_hidden: Annotated[Layers, Field(description="units of each discriminator's dense layers")] = (
        256,
        256,
    )
    input_noise: Annotated[
        float,
        Field(ge=0, le=10, description="standard deviation of the noise on the encoder's images, scaled to [0, 1]"),
    ] = 0.3
    lr: Annotated[LearningRate, Field(description="Adam's learning rate for the reconstruction")] = 1e-3
    adversarial_lr: Annotated[
        LearningRate,
        Field(description="Adam's learning rate for the discriminators, and for the encoder's codes and classes"),
    ] = 3e-3
    decay: Decay = 0.5
    beta1: Annotated[Beta, Field(description="Adam's beta1 for adversarial_lr; it is 0.9 for lr")] = 0.5
    conditional: Annotated[Conditional, Field(description="use the labels; off: codes contain the class too")] = True

    @model_validator(mode="after")
    def _options_fit(self) -> "AAEConfig":
        for name, kind in _USED_BY.items():
            if self.kind != kind and getattr(self, name) != type(self).model_fields[name].default:
                raise ValueError(f"{name} has no effect with kind {self.kind!r}: leave it out, or set kind to {kind!r}")
        if self.prior != "gaussian" and self.latent_size % 2:
            raise ValueError(f"prior {self.prior!r} is one of planes: latent_size must be even, got {self.latent_size}")
        return self
