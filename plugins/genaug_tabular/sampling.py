"""How often each class is trained on: an option of both backends."""

from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor

from genaug.backends import BackendConfig

ClassSampling = Annotated[
    Literal["frequency", "log_frequency"],
    Field(description="how often a class is trained on: as in the data, or by the logarithm of its count"),
]


class SamplingConfig(BackendConfig):
    """Base of the options of both backends."""

    class_sampling: ClassSampling = "log_frequency"


def class_shares(config: SamplingConfig, counts: Tensor) -> Tensor | None:
    """Shares in proportion to log(1 + count), after Xu et al. 2019, section 4.3; None for those in the data.

    Rows are generated given their class, so that this doesn't change what is learned about a class, only how soon.
    """
    return counts.double().log1p() if config.class_sampling == "log_frequency" else None
