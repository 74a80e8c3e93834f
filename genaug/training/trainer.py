"""The trainer: networks, players with their optimizers, batches, and the averaged networks that are kept."""

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from genaug.backends.backend import Backend
from genaug.backends.calls import built, described, faults_of, first_blocks
from genaug.data.reading import Samples
from genaug.errors import InputError, TrainingError
from genaug.randomness import derive_seed
from genaug.training.balance import Balance, class_weights
from genaug.training.distributed import World, average_gradients
from genaug.training.statistics import recompute_statistics
from genaug.training.streams import Batches, TrainingStep, seed_layers

EMA_DECAY = 0.999


class Trainer:
    """Trains a backend's networks step by step. ``state`` and ``restore`` resume a training exactly.

    Args:
        backend: The recipe.
        config: Its options, an instance of its ``Config``.
        data: The real samples, in memory.
        seed: Determines everything random.
        batch_size: Samples per step, of all processes together.
        device: The device of the networks; by default the CPU.
        dtype: float32, or bfloat16 for autocast.
        augment: Differentiable augmentations of the images that discriminators see.
        world: The processes that train together; by default this one alone.
        steps: The length of the run, over which learning rates decay; without it they are constant. It may change
            between two steps.
        initial: Weights to start from, by name; all others are freshly initialized.
        freeze_discriminator: The number of the discriminator's first blocks that keep their weights and act as in
            evaluation (FreezeD, Mo et al. 2020).
        balance: "uniform" or "sqrt", how often classes are trained on (see ``fit``), for data in which all samples are
            labeled; by default as the backend decides.
    """

    def __init__(
        self,
        backend: Backend,
        config: Any,
        data: Samples,
        *,
        seed: int = 0,
        batch_size: int = 64,
        device: torch.device | None = None,
        dtype: torch.dtype = torch.float32,
        augment: tuple[str, ...] = (),
        world: World | None = None,
        steps: int | None = None,
        initial: Mapping[str, Tensor] | None = None,
        freeze_discriminator: int = 0,
        balance: Balance | None = None,
    ) -> None:
        self.backend, self.config, self.data, self.steps = backend, config, data, steps
        self.spec = described(backend, config, data.spec)
        self.device, self.world, self._seed = device or torch.device("cpu"), world or World(), seed
        seed_layers(derive_seed(seed, "initial weights"), self.device)
        self.nets = built(backend, config, self.spec)
        self.is_tuning = initial is not None
        if initial is not None:
            self.nets.load_state_dict({**self.nets.state_dict(), **initial})
        self.nets.to(device=self.device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
        blocks = first_blocks(backend, self.nets, freeze_discriminator)
        frozen = {module for block in blocks for module in block.requires_grad_(False).eval().modules()}
        self._frozen = frozenset(name for name, module in self.nets.named_modules() if module in frozen)
        fixed = {parameter for block in blocks for parameter in block.parameters()}
        self._parameters = [parameter for parameter in self.nets.parameters() if parameter not in fixed]
        with faults_of(backend, "players"):
            self.players = backend.players(config, self.nets)
            if not self.players or len({player.name for player in self.players}) != len(self.players):
                raise ValueError("expected at least one player, with distinct names")
            self.groups = [[p for p in player.parameters if p not in fixed] for player in self.players]
            for player, group in zip(self.players, self.groups, strict=True):
                if fixed and not group:
                    raise InputError(
                        f"freeze_discriminator={freeze_discriminator} leaves player {player.name!r} nothing to train. "
                        "Choose a smaller number."
                    )
            self.optimizers = [
                torch.optim.Adam(
                    group,
                    lr=player.optimizer.lr,
                    betas=player.optimizer.betas,
                    fused=self.device.type in ("cpu", "cuda"),
                )
                for player, group in zip(self.players, self.groups, strict=True)
            ]
        self.updates = max(player.updates for player in self.players)
        self._shares = self._class_shares(balance)
        self.batches = Batches(data, self.spec, batch_size, seed, self.device, self.world, self._shares)
        self.draws = TrainingStep(
            config,
            self.spec,
            self._parameters,
            seed=seed,
            device=self.device,
            dtype=dtype,
            world=self.world,
            policy=augment,
        )
        self._weight = 1.0
        self._kept = nn.ModuleDict({role: self.nets[role] for role in backend.keeps})
        self.ema = AveragedModel(self._kept, multi_avg_fn=self._average)
        self.ema.eval().requires_grad_(False)

    def step(self, index: int) -> dict[str, Tensor]:
        """Make training step ``index``: all updates of each player in turn, then the averaging.

        Returns the scalars to log, such as "loss/generator", on the device: nothing waits for them.
        """
        log: dict[str, Tensor] = {}
        self.draws.begin(index)
        batches = [self.batches.batch(index * self.updates + update) for update in range(self.updates)]
        for number, player in enumerate(self.players):
            self._set_rate(number, index)
            self.train_only(number)
            for batch in batches[: player.updates]:
                with faults_of(self.backend, f"loss of player {player.name!r}"):
                    with self.draws.networks():
                        loss = player.loss(self.nets, batch, self.draws)
                    self.optimizers[number].zero_grad(set_to_none=True)
                    loss.value.backward()
                average_gradients(self.groups[number], self.world)
                self.optimizers[number].step()
                log[f"loss/{player.name}"] = loss.value.detach()
                log.update(loss.log)
        self._weight = 1 - min(EMA_DECAY, (1 + index) / (10 + index))
        self.ema.update_parameters(self._kept)
        return log

    def state(self) -> dict[str, Any]:
        """Everything that a resumed training needs, except the arguments and the number of steps made."""
        return {
            "nets": self.nets.state_dict(),
            "ema": self.ema.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a ``state``. Raises ``TrainingError`` if it doesn't fit these networks and optimizers."""
        try:
            self.nets.load_state_dict(state["nets"])
            self.ema.load_state_dict(state["ema"])
            for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
                optimizer.load_state_dict(saved)
        except (RuntimeError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            raise TrainingError(
                "the checkpoint doesn't fit the backend's networks or optimizers. Another version of its plugin may "
                f"have written it: see run.json. ({' '.join(str(error).split())[:300]})"
            ) from error

    def is_finite(self) -> bool:
        """Whether all weights are finite: a finite loss may have had a gradient that wasn't."""
        return all(bool(tensor.isfinite().all()) for tensor in self.nets.state_dict().values())

    def averaged(self, quick: bool = False) -> nn.ModuleDict:
        """A copy of the averaged kept networks, in evaluation mode, with recomputed batch-norm statistics.

        ``quick`` computes the statistics from fewer samples.
        """
        nets = copy.deepcopy(self.ema.module)
        assert isinstance(nets, nn.ModuleDict)
        recompute_statistics(self.backend, self.spec, nets, self.data, self._seed, quick, self._frozen, self._shares)
        return nets

    def _class_shares(self, balance: Balance | None) -> Tensor | None:
        """The weights of the classes in training, (K,); None if they are as frequent as in the data."""
        labels = self.data.labels
        if not self.spec.takes_labels or labels is None or bool((labels < 0).any()):
            return None
        counts = labels.bincount(minlength=self.spec.num_classes)
        if balance is not None:
            return class_weights(balance, counts)
        with faults_of(self.backend, "class_shares"):
            shares = self.backend.class_shares(self.config, counts)
            return None if shares is None else shares.cpu() * (counts > 0)

    def train_only(self, number: int) -> None:
        """Freeze all parameters but those of one player. Players may share parameters, and some may belong to none."""
        for parameter in self._parameters:
            parameter.requires_grad_(False)
        for parameter in self.groups[number]:
            parameter.requires_grad_(True)

    def _set_rate(self, number: int, index: int) -> None:
        optimizer = self.players[number].optimizer
        if self.steps is not None and optimizer.decay:
            remaining = min(1.0, (self.steps - index) / (optimizer.decay * self.steps))
            for group in self.optimizers[number].param_groups:
                group["lr"] = optimizer.lr * remaining

    def _average(self, averaged: Any, current: Any, _: Any) -> None:
        """EMA with warm-up: the decay is min(0.999, (1 + t) / (10 + t)), so that early steps soon lose their weight."""
        torch._foreach_lerp_(averaged, current, self._weight)
