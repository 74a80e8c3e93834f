"""What a backend is checked on: small data sets, a few training steps, and the images that come of them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from genaug.backends import registry
from genaug.backends.backend import Backend, Batch, Loss, parse_config
from genaug.backends.latents import latent_rows
from genaug.backends.spec import Spec
from genaug.data.reading import TrainingImages
from genaug.training.distributed import Share
from genaug.training.game import Game
from genaug.training.streams import BatchStream, TrainingStep

SHAPE = (1, 8, 8)
ODD_SHAPE = (3, 9, 7)
CLASSES = 3
BATCH = 12
STEPS = 4
CPU = torch.device("cpu")


class ConformanceError(AssertionError):
    """A backend broke its contract; the message says how, and what the contract is."""


@dataclass(frozen=True)
class Subject:
    """A backend by name, with the options to check it under."""

    name: str
    options: Mapping[str, Any]

    def case(self, shape: tuple[int, int, int] = SHAPE, *, labelled: bool = True) -> "Case":
        """A fresh instance of the backend on a small data set."""
        backend = registry.resolve(self.name)
        config = parse_config(self.name, backend.Config, {**backend.small, **self.options})
        return Case(backend, config, small_images(shape, labelled))


class Case:
    """One instance of a backend on one data set. Everything random in it follows from seeds."""

    def __init__(self, backend: Backend, config: Any, data: TrainingImages) -> None:
        self.backend, self.config, self.data = backend, config, data
        self.spec: Spec = backend.describe(config, data.spec)

    @property
    def is_trainable(self) -> bool:
        return type(self.backend).players is not Backend.players

    def build(self) -> nn.ModuleDict:
        """Fresh networks; always the same ones, where the backend is reproducible."""
        torch.manual_seed(0)
        return self.backend.build(self.config, self.spec)

    def game(self, seed: int = 0) -> Game:
        return Game(self.backend, self.config, self.spec, seed, CPU, Share())

    def step(self, seed: int = 0, dtype: torch.dtype = torch.float32) -> TrainingStep:
        return TrainingStep(self.config, self.spec, seed=seed, device=CPU, dtype=dtype, share=Share(), policy=())

    def play(self, game: Game, steps: range, seed: int = 0, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
        """Play these steps of a training run; returns what the last one logged."""
        step, batches, log = self.step(seed, dtype), BatchStream(self.data, BATCH, seed, CPU, Share()), {}
        game.nets.train()
        for index in steps:
            step.begin(index)
            log = game.play(step, batches)
        return log

    @cached_property
    def networks(self) -> nn.ModuleDict:
        """Networks after a few steps of training, where the backend can be trained; in evaluation mode."""
        if not self.is_trainable:
            return self.build().eval()
        game = self.game()
        self.play(game, range(STEPS))
        return game.nets.eval().requires_grad_(False)

    def latents(self, n: int, seed: int = 0) -> dict[str, Tensor]:
        return {latent.name: latent_rows(latent, seed, 0, n) for latent in self.spec.latents}

    def labels(self, n: int) -> Tensor | None:
        return torch.arange(n) % self.spec.num_classes if self.spec.takes_labels else None

    def batch(self) -> Batch:
        return BatchStream(self.data, BATCH, 0, CPU, Share()).batch(0)

    def generate(self, nets: nn.ModuleDict, latents: Mapping[str, Tensor], labels: Tensor | None) -> Tensor:
        """What the backend makes of these, in evaluation mode."""
        with torch.no_grad():
            return self.backend.generate(nets.eval(), latents, labels)

    def samples(self, nets: nn.ModuleDict, n: int = 6) -> Tensor:
        """``n`` images, always of the same latents, and of all classes in turn."""
        return self.generate(nets, self.latents(n), self.labels(n))

    def turns(
        self, nets: nn.ModuleDict, step: TrainingStep, batch: Batch
    ) -> Iterator[tuple[str, Loss, list[nn.Parameter]]]:
        """Each player's loss of one turn, and the parameters that it is for; the others are frozen meanwhile."""
        for player in self.backend.players(self.config, nets):
            group = list(player.parameters)
            nets.requires_grad_(False)
            for parameter in group:
                parameter.requires_grad_(True)
            yield player.name, self.backend.loss(player.name, nets, batch, step), group


def small_images(shape: tuple[int, int, int], labelled: bool) -> TrainingImages:
    """48 noisy images of three patterns, one for each class, over the whole range of grey levels."""
    drawn = torch.Generator().manual_seed(0)
    labels = torch.arange(48) % CLASSES
    patterns = torch.randint(0, 256, (CLASSES, *shape), generator=drawn)
    noise = torch.randint(-16, 17, (48, *shape), generator=drawn)
    images = (patterns[labels] + noise).clamp(0, 255).to(torch.uint8)
    spec = Spec(shape=shape, num_classes=CLASSES if labelled else 0)
    return TrainingImages(images, labels if labelled else None, spec)
