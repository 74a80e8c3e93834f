"""Checks of how a backend trains."""

import gc
import io
from collections.abc import Callable
from dataclasses import replace
from textwrap import shorten
from typing import Any
from unittest import SkipTest
from unittest.mock import patch

import torch
from torch import Tensor, nn

from genaug.backends.backend import Batch, Inputs, Loss
from genaug.errors import InputError
from genaug.testing.listing import check
from genaug.testing.subject import CPU, STEPS, Case, ConformanceError, Subject
from genaug.testing.watching import LiveBytes, OneDevice
from genaug.training.distributed import World
from genaug.training.streams import TrainingStep


def _trainable(subject: Subject) -> Case:
    case = subject.case()
    if not case.is_trainable:
        raise SkipTest("it isn't trained by genaug: it has no players")
    return case


@check()
def check_players(subject: Subject) -> None:
    """Players have distinct names, and parameters that belong to the networks."""
    case = _trainable(subject)
    nets = case.build()
    players = case.backend.players(case.config, nets)
    names = [player.name for player in players]
    if not names or len(set(names)) < len(names):
        raise ConformanceError(f"expected one player or more, with distinct names, got {names}.")
    known = {id(parameter) for parameter in nets.parameters()}
    for player in players:
        group = list(player.parameters)
        if not group or not all(id(parameter) in known for parameter in group):
            raise ConformanceError(
                f"player {player.name!r} must have parameters, all of them of the networks from build."
            )
        if player.updates < 1:
            raise ConformanceError(
                f"player {player.name!r} must have an update per step or more, got {player.updates}."
            )


@check()
def check_losses(subject: Subject) -> None:
    """Losses are finite scalars with a gradient for their player; logs are detached; the batch is left as it was."""
    case = _trainable(subject)
    nets, batch = case.build().train(), case.batch()
    moved: dict[str, bool] = {}
    for index in range(STEPS):
        x = batch.x.clone()
        for name, loss, group in case.turns(nets, case.step(nets, index), batch):
            moved[name] = _check_loss(f"the loss of player {name!r} in step {index}", loss, group) or moved.get(
                name, False
            )
        if not torch.equal(batch.x, x) or batch.x.requires_grad:
            raise ConformanceError("a loss changes the batch in place; work on a copy.")
    if not all(moved.values()):
        raise ConformanceError(f"players whose losses never have a gradient: {[n for n in moved if not moved[n]]}.")


def _check_loss(where: str, loss: Any, group: list[nn.Parameter]) -> bool:
    """Whether the loss, which is checked, has a gradient other than 0."""
    if not isinstance(loss, Loss) or not isinstance(loss.value, Tensor) or loss.value.shape != ():
        raise ConformanceError(f"{where} must be a Loss whose value is a scalar tensor, got {loss!r}.")
    if not loss.value.isfinite():
        raise ConformanceError(f"{where} is {loss.value.item()}.")
    if not loss.value.requires_grad:
        raise ConformanceError(f"{where} doesn't depend on the player's parameters: no gradient.")
    for key, value in loss.log.items():
        if not isinstance(value, Tensor) or value.numel() != 1 or value.requires_grad:
            raise ConformanceError(f"{where} logs {key!r}, which must be a detached scalar tensor, got {value!r}.")
    gradients = [g for g in torch.autograd.grad(loss.value, group, allow_unused=True) if g is not None]
    if not all(bool(gradient.isfinite().all()) for gradient in gradients):
        raise ConformanceError(f"{where} has a gradient that isn't finite.")
    return any(bool(gradient.any()) for gradient in gradients)


@check()
def check_labels_reach_losses(subject: Subject) -> None:
    """Where the spec takes labels, it matters to a loss which image has which label."""
    case = _trainable(subject)
    if not case.spec.takes_labels:
        raise SkipTest("its spec takes no labels")
    batch, values = case.batch(), []
    nets = case.networks  # in evaluation mode: dropout would make a difference of its own
    for x in (batch.x, batch.x.roll(1, 0)):
        losses = case.turns(nets, case.step(nets), replace(batch, x=x))
        values.append([loss.value.detach() for _, loss, _ in losses])
    if torch.allclose(torch.stack(values[0]), torch.stack(values[1]), rtol=1e-5, atol=1e-7):
        raise ConformanceError(
            "the losses are the same when the images' labels are exchanged, so nothing is learnt about classes. Give "
            "batch.labels to whatever judges the images, or say in describe that the generator takes no labels."
        )


@check()
def check_training_changes_the_generator(subject: Subject) -> None:
    """A few steps change the weights of the network that samples, and leave them finite."""
    case = _trainable(subject)
    trainer, role = case.trainer(), case.backend.keeps[0]
    before = [parameter.detach().clone() for parameter in trainer.nets[role].parameters()]
    case.train(trainer, range(STEPS))
    if not trainer.is_finite():
        raise ConformanceError(f"after {STEPS} steps a weight is NaN or infinite.")
    if all(torch.equal(a, b) for a, b in zip(before, trainer.nets[role].parameters(), strict=True)):
        raise ConformanceError(f"{STEPS} steps leave nets[{role!r}] as it was: give its parameters to a player.")


@check(lambda backend: len(backend.keeps) > 1)
def check_all_kept_networks_are_trained(subject: Subject) -> None:
    """Every network that is kept has parameters that some player trains."""
    case = _trainable(subject)
    nets = case.build()
    trained = {id(parameter) for player in case.backend.players(case.config, nets) for parameter in player.parameters}
    for role in case.backend.keeps:
        if not any(id(parameter) in trained for parameter in nets[role].parameters()):
            raise ConformanceError(f"nets[{role!r}] is kept, but no player trains its parameters.")


@check(lambda backend: backend.takes_unlabelled)
def check_unlabelled_samples(subject: Subject) -> None:
    """Labels of -1, for samples without a label, give finite losses."""
    case = _trainable(subject)
    batch, nets = case.batch(), case.build().train()
    assert batch.labels is not None
    for labels in (batch.labels.where(torch.arange(len(batch.x)) % 2 == 0, -1), torch.full_like(batch.labels, -1)):
        for name, loss, _ in case.turns(nets, case.step(nets), replace(batch, labels=labels)):
            if not loss.value.isfinite():
                raise ConformanceError(f"the loss of player {name!r} is {loss.value.item()} with unlabeled samples.")


@check()
def check_unlabelled_data(subject: Subject) -> None:
    """Data without labels train as well, or ``describe`` refuses them with an ``InputError``."""
    try:
        case = subject.case(labelled=False)
    except InputError:
        return
    if case.spec.takes_labels:
        raise ConformanceError(f"describe gives {case.spec.num_classes} classes for data that have none.")
    if case.is_trainable:
        case.train(case.trainer(), range(2))
    case.samples(case.networks)


@check()
def check_bfloat16(subject: Subject) -> None:
    """Training under bfloat16 autocast, genaug's default where it is faster, gives finite losses and weights."""
    case = _trainable(subject)
    trainer = case.trainer(dtype=torch.bfloat16)
    log = case.train(trainer, range(2))
    if not all(bool(value.isfinite()) for value in log.values()) or not trainer.is_finite():
        raise ConformanceError(
            "a loss or a weight isn't finite. Take penalties in `with step.float32()`, scores .float()."
        )


@check()
def check_reproducible(subject: Subject) -> None:
    """The same seed gives the same weights and images, bit for bit, on a CPU."""
    one, other = subject.case(), subject.case()
    nets = one.networks
    if not torch.equal(one.samples(nets), one.samples(nets)):
        raise ConformanceError("the same latents and labels give other images each time. Draw nothing in generate.")
    for name, tensor in nets.state_dict().items():
        if not torch.equal(tensor, other.networks.state_dict()[name]):
            raise ConformanceError(
                f"two trainings with one seed differ ({name!r}). Draw from step in losses and from torch in build; use "
                "no time, no set's order and no random stream of your own."
            )


@check()
def check_state_lives_in_networks(subject: Subject) -> None:
    """A run that is interrupted and resumed elsewhere goes on exactly: the backend itself remembers nothing."""
    case = _trainable(subject)
    whole = case.trainer()
    case.train(whole, range(2 * STEPS))
    images = case.samples(whole.nets)
    half, file = case.trainer(), io.BytesIO()
    case.train(half, range(STEPS))
    torch.save(half.state(), file)
    case.train(case.trainer(seed=1), range(STEPS))  # what another run leaves behind must not matter

    elsewhere = subject.case()
    resumed = elsewhere.trainer()
    file.seek(0)
    resumed.restore(torch.load(file, weights_only=True))
    elsewhere.train(resumed, range(STEPS, 2 * STEPS))
    same = all(torch.equal(a, b) for a, b in zip(_tensors(whole.nets), _tensors(resumed.nets), strict=True))
    if not same or not torch.equal(elsewhere.samples(resumed.nets), images):
        raise ConformanceError(
            "a resumed training differs from one that never stopped: something is remembered outside the networks. "
            "Keep it in parameters or buffers, and nothing on the backend, its class or its module."
        )


def _tensors(nets: nn.Module) -> list[Tensor]:
    return list(nets.state_dict().values())


@check()
def check_memory_is_flat(subject: Subject) -> None:
    """The memory that is held doesn't grow from step to step, nor from one ``generate`` to the next."""
    case = subject.case()
    nets = case.networks
    _check_flat("generate", lambda _: case.samples(nets))
    if case.is_trainable:
        trainer = case.trainer()
        _check_flat("a training step", lambda index: case.train(trainer, range(index, index + 1)))


def _check_flat(what: str, action: Callable[[int], object], times: int = 12) -> None:
    """Compare the last third with what went before: something that is kept every few steps only shows as well."""
    with LiveBytes() as live:
        held = []
        for index in range(times):
            action(index)
            held.append(live.count())
        if min(held[-4:]) <= max(held[:-4]):
            return
        gc.collect()  # it may be garbage that refers to itself
        if live.count() > max(held[:-4]):
            raise ConformanceError(
                f"{what} leaves more memory held each time: {held[0]:,} bytes after the first, {held[-1]:,} after the "
                f"last of {times}. Keep no tensors, and detach what is logged."
            )


class _MetaStep(TrainingStep):
    """Lends tensors on the meta device, which have no values."""

    def normal(self, *shape: int) -> Tensor:
        return torch.empty(shape, device="meta")

    uniform = normal


@check()
def check_one_device(subject: Subject) -> None:
    """Everything happens on the device of the networks and latents: nothing is created elsewhere.

    Run on the meta device, so that it needs no GPU.
    """
    case = subject.case()
    nets = case.build().to("meta")
    inputs = case.inputs(6)
    there = Inputs(
        {name: values.to("meta") for name, values in inputs.latents.items()},
        None if inputs.labels is None else inputs.labels.to("meta"),
        lambda *shape: torch.empty((6, *shape), device="meta"),
        {name: values.to("meta") for name, values in inputs.conditions.items()},
    )
    try:
        with OneDevice(), _autocast_off():
            images = case.backend.generate(nets, there)
            _on_meta("generate makes images", images)
            if case.is_trainable:
                _check_losses_on_meta(case, nets)
    except (NotImplementedError, RuntimeError) as error:
        if isinstance(error, NotImplementedError) or "meta tensors" in str(error):  # it looks at values
            raise SkipTest(f"can't be told without a GPU: {shorten(str(error), 100, placeholder=' …')}") from error
        raise ConformanceError(f"tensors of two devices meet: {error}") from error


def _check_losses_on_meta(case: Case, nets: nn.ModuleDict) -> None:
    parameters = list(nets.parameters())
    step = _MetaStep(
        case.config, case.spec, parameters, seed=0, device=CPU, dtype=torch.float32, world=World(), policy=()
    )
    step.begin(0)
    batch = case.batch()
    there = Batch(
        batch.x.to("meta"),
        None if batch.labels is None else batch.labels.to("meta"),
        {name: values.to("meta") for name, values in batch.conditions.items()},
    )
    for name, loss, _ in case.turns(nets, step, there):
        _on_meta(f"the loss of player {name!r} is", loss.value)


def _on_meta(what: str, tensor: Tensor) -> None:
    if tensor.device.type != "meta":
        raise ConformanceError(f"{what} on {tensor.device}, where latents and networks are on another device.")


def _autocast_off() -> Any:
    """``torch.autocast(x.device.type)``, which a gradient penalty may use, knows no meta device."""
    nothing: Any = dict.fromkeys(("__init__", "__enter__", "__exit__"), lambda *args, **kwargs: None)
    return patch.multiple(torch.autocast, **nothing)
