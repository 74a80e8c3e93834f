"""What a backend is: a recipe of networks, players and losses. The trainer owns everything else."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from pydantic import BaseModel, ConfigDict, ValidationError

from genaug.backends.latents import Normal
from genaug.backends.spec import Spec
from genaug.checks import first_problem
from genaug.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor, nn


class BackendConfig(BaseModel):
    """Base of a backend's own options. The field's type, bounds and description become CLI help and error texts."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True)
class Batch:
    """Real data of one update.

    ``x`` are float32 samples as their modality encodes them (images in [-1, 1], shape (N, C, H, W)); ``labels`` are
    int64 (N,), -1 for an unlabelled sample, or None if the spec takes none; ``conditions`` are encoded samples (N, ...)
    by the names of the spec's conditions.
    """

    x: "Tensor"
    labels: "Tensor | None"
    conditions: "Mapping[str, Tensor]" = field(default_factory=dict)


@dataclass(frozen=True)
class Inputs:
    """What ``generate`` makes N samples of.

    ``latents`` are values of the spec's latents by name, ``labels`` int64 (N,) or None, ``conditions`` encoded samples
    by name. ``noise(*shape)`` gives N(0, 1), float32 (N, ``*shape``), from a random stream of its own for every sample
    and call: for networks that need more randomness than their latents.
    """

    latents: "Mapping[str, Tensor]"
    labels: "Tensor | None"
    noise: "Callable[..., Tensor]"
    conditions: "Mapping[str, Tensor]" = field(default_factory=dict)


@dataclass(frozen=True)
class Fakes:
    """Generated samples, floats like ``Batch.x`` with their gradient to the generator, and what they were made of."""

    x: "Tensor"
    inputs: Inputs


class Step(Protocol):
    """What the trainer lends to a loss.

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

    def latents(self, n: int) -> "dict[str, Tensor]":
        """One draw from the prior of each of the spec's latents, for ``n`` samples."""

    def inputs(self, batch: Batch) -> Inputs:
        """New latents for as many samples as the batch has, with its labels and conditions."""

    def fakes(self, make: Callable[[], Fakes]) -> Fakes:
        """The generated samples that this step's players share: made by whichever asks first, with their gradient.

        A player that doesn't train the generator detaches them: ``step.fakes(make).x.detach()``. For players with one
        update per step: the gradient can be taken once.
        """

    def normal(self, *shape: int) -> "Tensor":
        """N(0, 1), float32; the first dimension is this process's share of the batch."""

    def uniform(self, *shape: int) -> "Tensor":
        """U(0, 1), float32; the first dimension is this process's share of the batch."""

    def augment(self, images: "Tensor") -> "Tensor":
        """The run's differentiable augmentation with new random numbers; the images themselves if it is off."""

    def float32(self) -> "AbstractContextManager[object]":
        """A context in which networks run in float32 whatever the run's precision: gradient penalties belong here."""


@dataclass(frozen=True)
class Loss:
    """A player's loss, a scalar to minimize, and detached scalars to log beside it."""

    value: "Tensor"
    log: "Mapping[str, Tensor]" = field(default_factory=dict)


@dataclass(frozen=True)
class Adam:
    """Settings of Adam (Kingma & Ba 2015).

    ``decay`` is the last share of the run, in [0, 1], over which ``lr`` falls linearly to 0.
    """

    lr: float
    betas: tuple[float, float] = (0.0, 0.99)
    decay: float = 0.0


def adam(lr: float, betas: tuple[float, float] = (0.0, 0.99), *, decay: float = 0.0) -> Adam:
    """A player's optimizer."""
    return Adam(lr, betas, decay)


@dataclass(frozen=True)
class Player:
    """A group of parameters with a loss and an optimizer of its own.

    ``loss(nets, batch, step)`` is what the player minimizes, usually a method of the backend; the other players'
    parameters are frozen around the call. ``updates`` is the number of its updates per training step, each on another
    batch (WGAN-GP's critic: 5).
    """

    name: str
    parameters: "Iterable[nn.Parameter]"
    loss: "Callable[[nn.ModuleDict, Batch, Step], Loss]"
    optimizer: Adam
    updates: int = 1


class Backend(ABC):
    """A kind of generator. Subclasses hold no state: everything lives in the config, the spec and the networks."""

    Config: ClassVar[type[BackendConfig]]
    modalities: ClassVar[tuple[str, ...]] = ("image",)
    """The kinds of samples that it can be trained on; ``fit`` refuses others."""
    keeps: ClassVar[tuple[str, ...]] = ("generator",)
    """The networks, by role, that are averaged over training, saved, checked and loaded; the first one samples."""
    conditions: ClassVar[tuple[str, ...]] = ()
    """The conditions, by name, that its training data must have and that ``generate`` needs."""
    takes_unlabelled: ClassVar[bool] = False
    """Whether labels of -1, for unlabelled samples, may be among the labels it is trained on."""
    tiny: ClassVar[Mapping[str, Any]] = {}
    """Options that make the networks small enough for ``genaug.testing`` to train them in a moment; used there only."""

    def describe(self, config: Any, data: Spec) -> Spec:
        """The spec of a generator trained on ``data`` (samples, classes and conditions, no latents).

        By default one normal latent ``z`` of ``config.latent_size`` dimensions, and the data's classes as labels. The
        data have the conditions that the backend declares and no others. Given its own result without the latents, it
        returns the same again: loading checks a config so.
        """
        return data.model_copy(update={"latents": (Normal(size=config.latent_size),)})

    @abstractmethod
    def build(self, config: Any, spec: Spec) -> "nn.ModuleDict":
        """The networks by role, freshly initialized, those in ``keeps`` among them."""

    @abstractmethod
    def generate(self, nets: "nn.ModuleDict", inputs: Inputs) -> "Tensor":
        """Samples as floats, shape (N, ``*spec.shape``): images in [-1, 1].

        Only networks in ``keeps`` may be used: the others are not there in a loaded generator.
        """

    def players(self, config: Any, nets: "nn.ModuleDict") -> list[Player]:
        """The players in the order in which they are updated in a training step."""
        raise NotImplementedError(f"{type(self).__name__} can't be trained: it has no players")

    def encode(self, nets: "nn.ModuleDict", x: "Tensor", labels: "Tensor | None") -> "dict[str, Tensor]":
        """The latents, by name, of which ``generate`` would make samples like ``x`` (floats like ``Batch.x``).

        Latents that it can't read are left out.
        """
        raise NotImplementedError

    def classify(self, nets: "nn.ModuleDict", x: "Tensor") -> "Tensor":
        """Logits (N, K) of samples' classes; for a generator without classes, of its first categorical latent."""
        raise NotImplementedError

    def score(self, nets: "nn.ModuleDict", x: "Tensor", labels: "Tensor | None") -> "Tensor":
        """How real samples look to a discriminator, (N,): higher is more real."""
        raise NotImplementedError

    def offers(self, method: str) -> bool:
        """Whether this backend has an optional method of its own: "players", "encode", "classify" or "score"."""
        return getattr(type(self), method) is not getattr(Backend, method)


def parse_config(backend: str, config_class: type[Any], config: Mapping[str, Any] | None) -> Any:
    """A backend's options as its ``Config``. Raises ``InputError`` for options that it doesn't have or refuses."""
    try:
        return config_class.model_validate(dict(config or {}))
    except ValidationError as error:
        known = ", ".join(config_class.model_fields)
        raise InputError(
            f"the config doesn't fit backend {backend!r}: {first_problem(error)}. Its options: {known}."
        ) from error
