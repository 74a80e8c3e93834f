"""The adversarial game: networks, whose turn it is, one optimizer a player, and the averaged generator."""

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from genaug.backends import registry
from genaug.backends.backend import Backend
from genaug.backends.spec import Spec
from genaug.errors import TrainingError
from genaug.randomness import mix
from genaug.training.distributed import Share, average_gradients
from genaug.training.statistics import recompute_statistics
from genaug.training.streams import BatchStream, TrainingStep, seed_layers

EMA_DECAY = 0.999


class Game:
    """One training run's moving parts. ``play`` makes one step; ``state`` and ``restore`` are exact.

    ``steps`` is the length of the run, by which players' learning rates decay; without it they stay as they are. It may
    change between two steps.
    """

    def __init__(
        self,
        backend: Backend,
        config: Any,
        spec: Spec,
        seed: int,
        device: torch.device,
        share: Share,
        steps: int | None = None,
    ) -> None:
        seed_layers(mix(seed, "initial weights"), device)
        self.backend = backend
        self.nets = registry.built(backend, config, spec)
        self.nets.to(device=device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
        self._every = list(self.nets.parameters())
        with registry.faults_of(backend, "players"):
            self.players = backend.players(config, self.nets)
            if not self.players or len({player.name for player in self.players}) != len(self.players):
                raise ValueError("expected at least one player, with distinct names")
            self.parameters = [list(player.parameters) for player in self.players]
            self.optimizers = [
                torch.optim.Adam(group, lr=player.lr, betas=player.betas, fused=device.type in ("cpu", "cuda"))
                for player, group in zip(self.players, self.parameters, strict=True)
            ]
        self._weight, self._share, self.steps = 1.0, share, steps
        self._spec, self._seed = spec, seed
        self.ema = AveragedModel(self.nets["generator"], multi_avg_fn=self._average)
        self.ema.eval().requires_grad_(False)
        self.turns = max(player.steps for player in self.players)

    def play(self, step: TrainingStep, batches: BatchStream) -> dict[str, Tensor]:
        """One step: every player's turns in order, then the average. Returns scalars, without waiting for them."""
        log: dict[str, Tensor] = {}
        real = [batches.batch(step.index * self.turns + turn) for turn in range(self.turns)]
        for seat, player in enumerate(self.players):
            self._freeze_all_but(seat)
            if self.steps is not None and player.decay:
                remaining = min(1.0, (self.steps - step.index) / (player.decay * self.steps))
                for group in self.optimizers[seat].param_groups:
                    group["lr"] = player.lr * remaining
            for turn in range(player.steps):
                with registry.faults_of(self.backend, f"loss of player {player.name!r}"):
                    with step.networks():
                        loss = self.backend.loss(player.name, self.nets, real[turn], step)
                    self.optimizers[seat].zero_grad(set_to_none=True)
                    loss.value.backward()
                average_gradients(self.parameters[seat], self._share)
                self.optimizers[seat].step()
                log[f"loss/{player.name}"] = loss.value.detach()
                log.update(loss.log)
        self._weight = 1 - min(EMA_DECAY, (1 + step.index) / (10 + step.index))
        self.ema.update_parameters(self.nets["generator"])
        return log

    def state(self) -> dict[str, Any]:
        return {
            "nets": self.nets.state_dict(),
            "ema": self.ema.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what ``state`` gave. Raises ``TrainingError`` where it is that of other networks."""
        try:
            self.nets.load_state_dict(state["nets"])
            self.ema.load_state_dict(state["ema"])
            for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
                optimizer.load_state_dict(saved)
        except (RuntimeError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            raise TrainingError(
                "the checkpoint doesn't fit the backend's networks or optimizers: another version of its plugin made "
                f"it? run.json says which. ({' '.join(str(error).split())[:300]})"
            ) from error

    def is_finite(self) -> bool:
        """Whether all weights are: a finite loss may have had a gradient that wasn't."""
        return all(bool(tensor.isfinite().all()) for tensor in self.nets.state_dict().values())

    def averaged_generator(self, labels: Tensor | None = None, quick: bool = False) -> nn.Module:
        """A copy of the averaged generator, in evaluation mode, with batch-norm statistics of its own.

        ``labels``, int64 (N,), are those of the training data: the statistics follow their frequencies. If None, all
        classes are equally likely. ``quick`` takes fewer samples for the statistics.
        """
        network: nn.Module = copy.deepcopy(self.ema.module)
        recompute_statistics(self.backend, self._spec, network, labels, self._seed, quick)
        return network

    def _average(self, averaged: Any, current: Any, _: Any) -> None:
        """EMA with warm-up: the decay is min(0.999, (1 + t) / (10 + t)), so that early steps are soon forgotten."""
        torch._foreach_lerp_(averaged, current, self._weight)

    def _freeze_all_but(self, seat: int) -> None:
        """Players may share parameters; what belongs to no player is never trained."""
        for parameter in self._every:
            parameter.requires_grad_(False)
        for parameter in self.parameters[seat]:
            parameter.requires_grad_(True)
