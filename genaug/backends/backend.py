"""The contract of a backend: a recipe of networks, players and losses. The trainer does everything else."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
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
    """Base of a backend's own options. The schema shows each field's bounds and description."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True)
class Batch:
    """The real data for one update.

    ``x`` holds float32 samples as their modality encodes them (images in [-1, 1], shape (N, C, H, W)); ``labels`` is
    int64 (N,), -1 for an unlabeled sample, or None if the spec has no classes; ``conditions`` maps the names of the
    spec's conditions to encoded samples (N, ...). In unpaired data, labels are those of the conditions. ``targets`` is
    int64 (N,), the labels among the spec's ``recognized`` classes, -1 for a sample without one; None without these.
    """

    x: "Tensor"
    labels: "Tensor | None"
    conditions: "Mapping[str, Tensor]" = field(default_factory=dict)
    targets: "Tensor | None" = None


@dataclass(frozen=True)
class Inputs:
    """What ``generate`` turns into N samples.

    ``latents`` has the values of the spec's latents by name, ``labels`` is int64 (N,) or None, ``conditions`` has the
    encoded samples by name. ``noise(*shape)`` returns N(0, 1), float32 (N, ``*shape``), from a separate random stream
    for every sample and call: for networks that need more randomness than their latents.
    """

    latents: "Mapping[str, Tensor]"
    labels: "Tensor | None"
    noise: "Callable[..., Tensor]"
    conditions: "Mapping[str, Tensor]" = field(default_factory=dict)


@dataclass(frozen=True)
class Fakes:
    """Generated samples, floats like ``Batch.x`` that are still part of the generator's graph, and their inputs."""

    x: "Tensor"
    inputs: Inputs


class Step(Protocol):
    """What a loss can ask the trainer for.

    Random numbers are drawn for the global batch and cut to this process's share, so they don't depend on the number of
    processes, but only on the run's seed, the step and the order of the calls.
    """

    @property
    def index(self) -> int:
        """The training step, counted from 0, for lazy penalties."""

    @property
    def config(self) -> Any:
        """The backend's config."""

    @property
    def spec(self) -> Spec: ...

    def latents(self, n: int) -> "dict[str, Tensor]":
        """Values from the priors of the spec's latents, by name, for ``n`` samples."""

    def inputs(self, batch: Batch) -> Inputs:
        """New latents for the size of the batch, with its labels and conditions."""

    def fakes(self, make: Callable[[], Fakes]) -> Fakes:
        """The generated samples that this step's players share, created by the first call, with their graph.

        A player that doesn't train the generator detaches them: ``step.fakes(make).x.detach()``. Only for players with
        one update per step, because their gradient can be computed only once.
        """

    def normal(self, *shape: int) -> "Tensor":
        """N(0, 1), float32; the first dimension is this process's share of the batch."""

    def uniform(self, *shape: int) -> "Tensor":
        """U(0, 1), float32; the first dimension is this process's share of the batch."""

    def augment(self, images: "Tensor") -> "Tensor":
        """The images after the run's differentiable augmentation with new random numbers; unchanged if it is off."""

    def float32(self) -> "AbstractContextManager[object]":
        """A context in which networks run in float32 regardless of the run's precision, for gradient penalties."""


@dataclass(frozen=True)
class Loss:
    """A player's loss, a scalar to minimize, and detached scalars to log with it."""

    value: "Tensor"
    log: "Mapping[str, Tensor]" = field(default_factory=dict)


@dataclass(frozen=True)
class Adam:
    """Settings of Adam (Kingma & Ba 2015).

    ``decay`` is the last share of the run, in [0, 1], over which ``lr`` falls linearly to 0.
    """

    lr: float
    betas: tuple[float, float] = (0.0, 0.99)
    decay: float = field(default=0.0, kw_only=True)


adam = Adam


@dataclass(frozen=True)
class Player:
    """A group of parameters with its own loss and optimizer.

    ``loss(nets, batch, step)`` is what the player minimizes, usually a method of the backend; the other players'
    parameters are frozen around the call. ``updates`` is the number of its updates per training step, each with a
    different batch (5 for WGAN-GP's critic).
    """

    name: str
    parameters: "Iterable[nn.Parameter]"
    loss: "Callable[[nn.ModuleDict, Batch, Step], Loss]"
    optimizer: Adam
    updates: int = 1


class Backend(ABC):
    """A kind of generator. Subclasses have no state: everything is in the config, the spec and the networks."""

    Config: ClassVar[type[BackendConfig]]
    modalities: ClassVar[tuple[str, ...]] = ("image",)
    """The kinds of samples that it can be trained on; ``fit`` rejects others."""
    keeps: ClassVar[tuple[str, ...]] = ("generator",)
    """The networks, by role, that are averaged, saved, checked and loaded; the first one generates samples."""
    conditions: ClassVar[tuple[str, ...]] = ()
    """The conditions, by name, that ``generate`` needs, and that its training data must have, unless the backend
    derives them (``derive_conditions``)."""
    takes_unpaired: ClassVar[bool] = False
    """Whether it learns from two sets of samples that don't correspond, ``genaug.data.Unpaired``. For a backend with
    one condition, that condition is the other set; for one without, see ``joins_domains``."""
    fills_in: ClassVar[bool] = False
    """Whether its only condition is an erased image (``genaug.nn.erasing``), whose unknown pixels it fills in."""
    takes_unlabelled: ClassVar[bool] = False
    """Whether the training labels may include -1, for unlabeled samples."""
    scores_without_labels: ClassVar[bool] = False
    """Whether ``score`` also takes None for the labels of a generator with classes."""
    after_classes: ClassVar[Mapping[str, int]] = {}
    """For parameters with one entry per class and others along the same dimension, such as the weights of one-hot
    labels that are concatenated with other inputs: the number of entries after those of the classes, by the parameter's
    name. Fine-tuning needs it to match classes; it finds dimensions that hold nothing but classes by itself."""
    tiny: ClassVar[Mapping[str, Any]] = {}
    """Options for networks so small that ``genaug.testing`` can train them in a moment; only used there."""

    def describe(self, config: Any, data: Spec) -> Spec:
        """The spec of a generator trained on ``data`` (samples, classes and conditions, no latents).

        By default there is one normal latent ``z`` with ``config.latent_size`` dimensions, and the labels are the
        data's classes, unless the config has an option ``conditional`` that is off. The data has exactly the conditions
        that the backend declares. For its own result without the latents, it must return the same result: this is how a
        config is checked when a generator is loaded.
        """
        classes = data.classes if getattr(config, "conditional", True) else None
        return data.model_copy(update={"latents": (Normal(size=config.latent_size),), "classes": classes})

    @abstractmethod
    def build(self, config: Any, spec: Spec) -> "nn.ModuleDict":
        """The networks by role, freshly initialized, including those in ``keeps``."""

    @abstractmethod
    def generate(self, nets: "nn.ModuleDict", inputs: Inputs) -> "Tensor":
        """Samples as floats, shape (N, ``*spec.shape``): images in [-1, 1].

        Only networks in ``keeps`` may be used: a loaded generator doesn't have the others.
        """

    def players(self, config: Any, nets: "nn.ModuleDict") -> list[Player]:
        """The players in the order in which they are updated in a training step."""
        raise NotImplementedError(f"{type(self).__name__} can't be trained: it has no players")

    def class_shares(self, config: Any, counts: "Tensor") -> "Tensor | None":
        """The shares of the classes in training batches, any weights (K,), for the ``counts`` of the classes in the
        data, int64 (K,). None: batches are permutations of the data. A class without samples has the share 0.
        ``fit(balance=...)`` replaces them."""
        return None

    def derive_conditions(self, config: Any, samples: "Tensor", data: Spec) -> "Mapping[str, Tensor]":
        """The conditions by name, computed from the training samples: the small images of an upscaling, for example.

        For a backend whose conditions follow from the samples, so that ordinary datasets are enough: ``conditions`` in
        their items aren't read then. ``samples`` are raw ones (N, ``*data.shape``), and so are the conditions (N, ...);
        those of a sample depend on nothing else. Raises ``InputError`` for samples without such conditions.
        """
        raise NotImplementedError

    def encode(self, nets: "nn.ModuleDict", x: "Tensor", labels: "Tensor | None") -> "dict[str, Tensor]":
        """The latents, by name, from which ``generate`` would make samples like ``x`` (floats like ``Batch.x``).

        Latents that can't be recovered are left out.
        """
        raise NotImplementedError

    def classify(self, nets: "nn.ModuleDict", x: "Tensor") -> "Tensor":
        """Class logits (N, K) of samples, for the spec's ``recognized`` classes if it has any; for a generator without
        classes, of its first categorical latent."""
        raise NotImplementedError

    def score(self, nets: "nn.ModuleDict", x: "Tensor", labels: "Tensor | None") -> "Tensor":
        """How real samples look to a discriminator, (N,): higher is more real."""
        raise NotImplementedError

    def reverse(self, nets: "nn.ModuleDict", inputs: Inputs) -> "Tensor":
        """The opposite translation, for a backend with one condition that translates both ways.

        ``inputs.conditions`` holds, under the condition's name, samples of the spec (N, ``*spec.shape``); the result is
        samples of the condition. Only networks in ``keeps`` may be used. ``inputs.latents`` has none.
        """
        raise NotImplementedError

    def discriminator_blocks(self, nets: "nn.ModuleDict") -> "Sequence[nn.Module]":
        """The blocks of the discriminator in order, from the samples on, without the layers that give its outputs.

        Fine-tuning with ``freeze_discriminator=n`` freezes the first n.
        """
        raise NotImplementedError

    @property
    def joins_domains(self) -> bool:
        """Whether ``genaug.data.Unpaired`` is read as one set of samples whose classes are the two domains.

        Labels of the samples of the first domain are then ``Batch.targets``.
        """
        return self.takes_unpaired and not self.conditions

    def offers(self, method: str) -> bool:
        """Whether this backend implements an optional method: "players", "derive_conditions", "encode", "classify",
        "score", "reverse" or "discriminator_blocks"."""
        return getattr(type(self), method) is not getattr(Backend, method)


def parse_config(backend: str, config_class: type[Any], config: Mapping[str, Any] | None) -> Any:
    """A backend's options as its ``Config``. Raises ``InputError`` for unknown options and invalid values."""
    try:
        return config_class.model_validate(dict(config or {}))
    except ValidationError as error:
        known = ", ".join(config_class.model_fields)
        raise InputError(
            f"the config doesn't fit backend {backend!r}: {first_problem(error)}. Its options: {known}."
        ) from error
