"""Option fields that several backends share, for the annotations of a ``Config``.

A backend that needs other words wraps a field: ``Annotated[LearningRate, Field(description="...")]``.
"""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

LatentSize = Annotated[int, Field(ge=1, le=1024, description="dimensions of the normal latent z")]
Width = Annotated[int, Field(ge=4, le=256, description="channels at the image's side; doubled at each halving")]
MaxWidth = Annotated[int, Field(ge=4, le=2048, description="most channels of any layer")]
Conditional = Annotated[bool, Field(description="use the labels; off: an unconditional GAN")]

BinaryPixels = Annotated[bool, Field(description="pixels are drawn as black or white; real ones are thresholded")]
Draws = Annotated[
    int,
    Field(ge=2, le=1000, description="images drawn per latent for the boundary_seeking loss of binary pixels"),
]

PenaltyWeight = Annotated[float, Field(ge=0, le=1000, description="weight of the gradient penalties R1 + R2")]
PenaltyInterval = Annotated[int, Field(ge=1, le=64, description="steps between two gradient penalties")]

LearningRate = Annotated[float, Field(gt=0, le=0.1, description="Adam's learning rate, for both networks")]
Decay = Annotated[float, Field(ge=0, le=1, description="last share of the run, over which lr falls to 0")]
Beta = Annotated[float, Field(ge=0, lt=1)]
Beta2 = Annotated[Beta, Field(description="Adam's beta2; beta1 is 0")]


def rejects(reasons: Mapping[str, str]) -> BeforeValidator:
    """An annotation for an option that rejects values which other backends accept, each with its reason."""

    def check(value: Any) -> Any:
        if isinstance(value, str) and value in reasons:
            raise ValueError(reasons[value])
        return value

    return BeforeValidator(check)


NO_CRITIC = rejects(
    {
        "wasserstein": "the Wasserstein loss needs a critic with a gradient norm of 1 that is updated several times "
        "per step; choose another loss, or the backend wgan-gp"
    }
)
"""For the loss of a backend with an ordinary discriminator."""


def check_draws(config: Any) -> None:
    """For validators of a config with ``binary``, ``draws`` and ``loss``: draws that have no effect are an error."""
    is_default = config.draws == type(config).model_fields["draws"].default
    if not is_default and not (config.binary and config.loss == "boundary_seeking"):
        raise ValueError(
            'draws has an effect only with binary pixels and loss="boundary_seeking": leave it out, or set both'
        )
