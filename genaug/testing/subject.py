"""The subject of a check: a backend on a small dataset, with a few training steps and the resulting samples."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from genaug.backends import registry
from genaug.backends.backend import Backend, Batch, Inputs, Loss, parse_config
from genaug.backends.latents import latent_rows, noise_rows
from genaug.backends.spec import Classes, Condition, Spec
from genaug.data.reading import Samples
from genaug.modalities.known import MODALITIES
from genaug.training.data import with_conditions
from genaug.training.distributed import World
from genaug.training.streams import Batches, TrainingStep
from genaug.training.trainer import Trainer

SHAPE = (1, 8, 8)
ODD_SHAPE = (3, 9, 7)
CLASSES = 3
BATCH = 12
STEPS = 4
CPU = torch.device("cpu")


class ConformanceError(AssertionError):
    """A backend breaks its contract; the message says how, and what the contract is."""


def require(condition: bool, message: str) -> None:
    """Raises ``ConformanceError`` with this message unless the condition holds."""
    if not condition:
        raise ConformanceError(message)


@dataclass(frozen=True)
class Subject:
    """A backend by name, with the options to check it with."""

    name: str
    options: Mapping[str, Any]

    def case(self, shape: tuple[int, int, int] = SHAPE, *, labelled: bool = True) -> "Case":
        """A fresh instance of the backend on a small data set."""
        backend = registry.resolve(self.name)
        config = parse_config(self.name, backend.Config, {**backend.tiny, **self.options})
        return Case(backend, config, with_conditions(backend, config, small_data(backend, shape, labelled)))


class Case:
    """An instance of a backend on a dataset. Everything random in it depends on seeds."""

    def __init__(self, backend: Backend, config: Any, data: Samples) -> None:
        self.backend, self.config, self.data = backend, config, data
        self.spec: Spec = backend.describe(config, data.spec)

    @property
    def is_trainable(self) -> bool:
        return self.backend.offers("players")

    def build(self) -> nn.ModuleDict:
        """New networks, with the same weights each time if the backend is reproducible."""
        torch.manual_seed(0)
        return self.backend.build(self.config, self.spec)

    def trainer(self, seed: int = 0, dtype: torch.dtype = torch.float32) -> Trainer:
        return Trainer(self.backend, self.config, self.data, seed=seed, batch_size=BATCH, dtype=dtype)

    def train(self, trainer: Trainer, steps: range) -> dict[str, Tensor]:
        """Make these steps of a training; returns the log of the last one."""
        log: dict[str, Tensor] = {}
        trainer.nets.train()
        for index in steps:
            log = trainer.step(index)
        return log

    @cached_property
    def networks(self) -> nn.ModuleDict:
        """Networks in evaluation mode, after a few steps of training if the backend can be trained."""
        if not self.is_trainable:
            return self.build().eval()
        trainer = self.trainer()
        self.train(trainer, range(STEPS))
        return trainer.nets.eval().requires_grad_(False)

    def latents(self, n: int, seed: int = 0) -> dict[str, Tensor]:
        return {latent.name: latent_rows(latent, seed, 0, n) for latent in self.spec.latents}

    def labels(self, n: int) -> Tensor | None:
        return torch.arange(n) % self.spec.num_classes if self.spec.takes_labels else None

    def step(self, nets: nn.ModuleDict, index: int = 0) -> TrainingStep:
        """The ``Step`` that the trainer passes to losses."""
        parameters = list(nets.parameters())
        step = TrainingStep(
            self.config, self.spec, parameters, seed=0, device=CPU, dtype=torch.float32, world=World(), policy=()
        )
        step.begin(index)
        return step

    def observe(self, method: str, *labels: Tensor | None) -> Any:
        """What an optional method returns for six samples of the data, with the kept networks after some training."""
        nets, x = self._kept(self.networks), self.spec.sample.encode(self.data.x[:6])
        with torch.no_grad():
            return getattr(self.backend, method)(nets, x, *labels)

    def batch(self) -> Batch:
        return Batches(self.data, self.spec, BATCH, 0, CPU, World()).batch(0)

    def inputs(self, n: int, seed: int = 0) -> Inputs:
        """The inputs of ``n`` samples for a seed, of all classes in turn, with the data's conditions."""
        data = self.data.conditions
        rows = {c.name: torch.arange(n) % len(data[c.name]) for c in self.spec.conditions}
        conditions = {c.name: c.sample.encode(data[c.name][rows[c.name]]) for c in self.spec.conditions}
        return Inputs(self.latents(n, seed), self.labels(n), noise_rows(seed, 0, n, CPU), conditions)

    def generate(self, nets: nn.ModuleDict, inputs: Inputs) -> Tensor:
        """The backend's samples of these inputs, in evaluation mode, with only the kept networks.

        Every call draws the same noise, so that samples differ only if the inputs do.
        """
        values = (*inputs.latents.values(), *inputs.conditions.values(), inputs.labels)
        n = next((len(rows) for rows in values if rows is not None), 1)
        inputs = replace(inputs, noise=noise_rows(0, 0, n, CPU))
        with torch.no_grad():
            return self.backend.generate(self._kept(nets), inputs)

    def _kept(self, nets: nn.ModuleDict) -> nn.ModuleDict:
        return nn.ModuleDict({role: nets[role] for role in self.backend.keeps}).eval()

    def samples(self, nets: nn.ModuleDict, n: int = 6) -> Tensor:
        """``n`` samples of the same inputs each time, of all classes in turn."""
        return self.generate(nets, self.inputs(n))

    def losses(
        self, nets: nn.ModuleDict, step: TrainingStep, batch: Batch
    ) -> Iterator[tuple[str, Loss, list[nn.Parameter]]]:
        """Each player's name, its loss and its parameters; all other parameters are frozen at that time."""
        for player in self.backend.players(self.config, nets):
            group = list(player.parameters)
            nets.requires_grad_(False)
            for parameter in group:
                parameter.requires_grad_(True)
            yield player.name, player.loss(nets, batch, step), group


def small_data(backend: Backend, shape: tuple[int, ...], labelled: bool) -> Samples:
    """48 noisy samples of three patterns, one for each class, with the conditions that the backend needs, unless it
    derives them.

    For a backend that takes unpaired sets, the condition is a set of 40 samples of its own, and the labels are its own;
    for one that joins them, the three classes are the domains, and samples of the first one have one of two targets.
    ``shape`` is the shape of images; other modalities have examples of a fixed shape.
    """
    modality, labels = MODALITIES[backend.modalities[0]], torch.arange(48) % CLASSES
    sample, x = modality.example(labels, shape)
    others = x.roll(CLASSES, 0)
    unpaired = backend.takes_unpaired and not backend.joins_domains
    if unpaired:
        labels, others = labels[:40], others[:40]
    names = () if backend.offers("derive_conditions") else backend.conditions
    conditions = tuple(Condition(name=name, sample=sample) for name in names)
    spec = Spec(sample=sample, classes=CLASSES if labelled else None, conditions=conditions)
    own, values = labels if labelled else None, {c.name: others for c in conditions}
    targets = None
    if backend.joins_domains and labelled:
        spec, targets = spec.model_copy(update={"recognized": Classes(count=2)}), (labels + torch.arange(48)) % 2
        targets[labels > 0] = -1
    return Samples(x, own, spec, None, values, unpaired=unpaired, targets=targets)
