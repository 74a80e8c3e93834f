"""What a backend is: a recipe of networks, turns and losses. The training engine owns everything else."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from pydantic import BaseModel, ConfigDict, ValidationError

from genaug.backends.spec import Latent, Spec
from genaug.checks import first_problem
from genaug.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor, nn


class BackendConfig(BaseModel):
    """Base of a backend's own options. The field's type, bounds and description become CLI help and error texts."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True)
class Player:
    """A group of parameters that takes its turn, and its Adam optimizer's settings.

    ``steps`` is how many turns it takes in one training step (WGAN-GP's critic: 5). ``decay`` is the last share of the
    run, in [0, 1], over which ``lr`` falls linearly to 0.
    """

    name: str
    parameters: "Iterable[nn.Parameter]"
    lr: float
    betas: tuple[float, float] = (0.0, 0.99)
    steps: int = 1
    decay: float = 0.0


@dataclass(frozen=True)
class Batch:
    """Real data of one turn: float images in [-1, 1], shape (N, C, H, W), and int64 labels (N,) or None."""

    images: "Tensor"
    labels: "Tensor | None"


class Step(Protocol):
    """What the engine lends to a loss.

    Draws are made for the global batch and cut to this process's share, so that they don't depend on the number of
    processes; they depend on the run's seed, the step and the order of calls only.
    """

    @property
    def index(self) -> int:
        """The training step, from 0: for lazy penalties."""

    @property
    def config(self) -> Any:
        """The backend's config."""

    @property
    def spec(self) -> Spec: ...

    @property
    def cache(self) -> dict[str, Any]:
        """Shared by the players of one step; empty at its start."""

    def latents(self, n: int) -> "dict[str, Tensor]":
        """One draw from the prior of each of the spec's latents, for ``n`` samples."""

    def normal(self, *shape: int) -> "Tensor":
        """N(0, 1), float32; the first dimension is this process's share of the batch."""

    def uniform(self, *shape: int) -> "Tensor":
        """U(0, 1), float32; the first dimension is this process's share of the batch."""

    def augment(self, images: "Tensor") -> "Tensor":
        """The run's differentiable augmentation, drawn anew; the images themselves where it is off."""

    def float32(self) -> "AbstractContextManager[object]":
        """A context in which networks run in float32 whatever the run's precision: gradient penalties belong here."""


@dataclass(frozen=True)
class Loss:
    """A player's loss, a scalar to minimise, and detached scalars to log beside it."""

    value: "Tensor"
    log: "Mapping[str, Tensor]" = field(default_factory=dict)


class Backend(ABC):
    """A kind of generator. Subclasses hold no state: everything lives in the config, the spec and the networks."""

    Config: ClassVar[type[BackendConfig]]
    small: ClassVar[Mapping[str, Any]] = {}
    """Options that make the networks small enough for ``genaug.testing`` to train them in a moment; used there only."""

    def describe(self, config: Any, data: Spec) -> Spec:
        """The spec of a generator trained on ``data`` (shape and classes, no latents).

        By default one normal latent ``z`` of ``config.latent_size`` dimensions, and the data's classes as labels.
        Given its own result without the latents, it gives the same again: loading checks a config that way.
        """
        return data.model_copy(update={"latents": (Latent(size=config.latent_size),)})

    @abstractmethod
    def build(self, config: Any, spec: Spec) -> "nn.ModuleDict":
        """The networks, freshly initialised; ``nets["generator"]`` is what is averaged and exported."""

    @abstractmethod
    def generate(self, nets: "nn.ModuleDict", latents: "Mapping[str, Tensor]", labels: "Tensor | None") -> "Tensor":
        """Latents (N, size), or (N,) int64 where categorical, to images in [-1, 1] of shape (N, C, H, W).

        Only ``nets["generator"]`` may be used: the others are not there in a loaded generator.
        """

    def players(self, config: Any, nets: "nn.ModuleDict") -> list[Player]:
        """Who takes turns, in this order, in one training step."""
        raise NotImplementedError(f"{type(self).__name__} can't be trained: it has no players")

    def loss(self, player: str, nets: "nn.ModuleDict", batch: Batch, step: Step) -> Loss:
        """The loss of one player's turn. The engine freezes the other players' parameters around the call."""
        raise NotImplementedError(f"{type(self).__name__} can't be trained: it has no loss")


def parse_config(backend: str, config_class: type[Any], config: Mapping[str, Any] | None) -> Any:
    """A backend's options as its ``Config``. Raises ``InputError`` for options that it doesn't have or refuses."""
    try:
        return config_class.model_validate(dict(config or {}))
    except ValidationError as error:
        known = ", ".join(config_class.model_fields)
        raise InputError(
            f"the config doesn't fit backend {backend!r}: {first_problem(error)}. Its options: {known}."
        ) from error
