"""Mixtures of Gaussians as data: a backend's own loss, with small networks for points instead of its own.

A point of D numbers is an "image" of shape (D, 1, 1), so that the trainer and its steps are genaug's.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from genaug.backends import Backend, Batch, Categorical, Normal, Spec, Uniform, registry
from genaug.data.reading import Samples
from genaug.modalities import Image
from genaug.randomness import derive_seed
from genaug.training.trainer import Trainer

MakeLinear = Callable[[int, int], nn.Linear]
CHUNK = 2**16  # samples per call

_SAMPLING = 10**9  # steps that no training reaches, whose random numbers are for sampling


class Mixture:
    """Equally likely Gaussians in D dimensions: means (M, D) and standard deviations (M,)."""

    def __init__(self, means: Tensor, stds: Tensor) -> None:
        self.means, self.stds = means, stds

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """Points, float32 (n, D)."""
        which = torch.randint(len(self.means), (n,), generator=generator)
        noise = torch.randn(n, self.means.shape[1], generator=generator)
        return self.means[which] + self.stds[which, None] * noise

    def shares(self, points: Tensor) -> Tensor:
        """For each Gaussian the share of the points (N, D) that are nearest to it and within 3 standard deviations."""
        nearest, which = torch.cdist(points, self.means).min(1)
        return which[nearest <= 3 * self.stds[which]].bincount(minlength=len(self.means)) / len(points)


def falling(lr: float, index: int, steps: int) -> float:
    """The learning rate of a step: it falls to 0 over the second half."""
    return lr * min(1.0, 2 * (1 - index / steps))


class PointStream:
    """Batches of new points, instead of a trainer's ``batches``."""

    def __init__(self, mixture: Mixture, batch_size: int, seed: int) -> None:
        self._mixture, self._batch_size, self._seed = mixture, batch_size, seed
        self._generator = torch.Generator()

    def batch(self, index: int) -> Batch:
        self._generator.manual_seed(derive_seed(self._seed, "points", index))
        return Batch(self._mixture.draw(self._batch_size, self._generator)[:, :, None, None], None)


class Unlabelled(nn.Sequential):
    """Layers that ignore their labels, which are None."""

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        out: Tensor = super().forward(x)
        return out


class ScoresOnly(nn.Module):
    """A critic with the signature of ``cgan``'s discriminator: scores, and None for the logits of a classifier."""

    def __init__(self, critic: nn.Module) -> None:
        super().__init__()
        self.critic = critic

    def forward(self, x: Tensor, labels: Tensor | None) -> tuple[Tensor, None]:
        return self.critic(x, labels), None


class DenseHeads(nn.Module):
    """Heads of k generators, dense layers each: features (n, sizes[0]) to points (n, sizes[-1], 1, 1).

    They are computed in one batched product, so all parts must have the same size.
    """

    def __init__(self, generators: int, sizes: Sequence[int], activation: nn.Module, linear: MakeLinear) -> None:
        super().__init__()
        layers = [[linear(before, after) for _ in range(generators)] for before, after in pairwise(sizes)]
        self.weights = nn.ParameterList(torch.stack([layer.weight.detach().T for layer in of_all]) for of_all in layers)
        self.biases = nn.ParameterList(
            torch.stack([layer.bias.detach()[None] for layer in of_all]) for of_all in layers
        )
        self.activation = activation

    def forward(self, parts: Sequence[Tensor], members: Sequence[int], labels: Tensor | None) -> Tensor:
        x, rows = torch.stack(list(parts)), list(members)
        for number, (weights, biases) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = torch.baddbmm(biases[rows], self.activation(x) if number else x, weights[rows])
        return x.flatten(0, 1)[:, :, None, None]


def with_networks(
    name: str,
    generator: Callable[[], nn.Module],
    critic: Callable[[], nn.Module],
    latent: type[Normal | Uniform] = Normal,
) -> Backend:
    """An installed backend whose networks, and whose latent's distribution, are replaced; its losses are untouched."""
    original = registry.resolve(name)

    class OnPoints(type(original)):  # type: ignore[misc]
        def describe(self, config: Any, data: Spec) -> Spec:
            spec = super().describe(config, data)
            first, *others = spec.latents
            return spec.model_copy(update={"latents": (latent(size=first.size), *others)})

        def build(self, config: Any, spec: Spec) -> nn.ModuleDict:
            roles = super().build(config, spec)
            judge = ScoresOnly(critic()) if name == "cgan" else critic()
            return nn.ModuleDict({role: generator() if role == "generator" else judge for role in roles})

    backend: Backend = OnPoints()
    return backend


class PointTrainer(Trainer):
    """Trains a backend on a mixture."""

    def __init__(
        self, backend: Backend, options: Mapping[str, Any], mixture: Mixture, batch_size: int, seed: int
    ) -> None:
        sample = Image(mixture.means.shape[1], 1, 1)
        unused = Samples(torch.zeros(1, *sample.shape, dtype=sample.dtype), None, Spec(sample=sample))
        super().__init__(backend, backend.Config(**options), unused, seed=seed)
        self.batches = PointStream(mixture, batch_size, seed)

    def change(self, lr: float, **options: Any) -> None:
        """Change the learning rates of all players, and options of the config, from the next step on."""
        self.draws.config = self.draws.config.model_copy(update=options)
        for group in (group for optimizer in self.optimizers for group in optimizer.param_groups):
            group["lr"] = lr

    @torch.inference_mode()
    def sample(self, n: int, *, averaged: bool) -> Tensor:
        """``n`` points (n, D), the same number by each generator, with the averaged or the latest weights."""
        nets = self.averaged() if averaged else self.nets.eval()
        parts = []
        for start in range(0, n, CHUNK):
            count = min(CHUNK, n - start)
            self.draws.begin(_SAMPLING + start)
            inputs = self.draws.inputs(Batch(torch.empty(count), None))
            members = {
                latent.name: torch.arange(count) % latent.size
                for latent in self.spec.latents
                if isinstance(latent, Categorical)
            }
            inputs = replace(inputs, latents={**inputs.latents, **members})
            parts.append(self.backend.generate(nets, inputs).flatten(1))
        self.nets.train()
        return torch.cat(parts)
