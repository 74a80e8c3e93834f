"""Checks of how a backend trains."""

import io
from dataclasses import replace
from typing import Any
from unittest import SkipTest

import torch
from torch import Tensor, nn

from genaug.backends.backend import Loss
from genaug.errors import InputError
from genaug.testing.listing import check
from genaug.testing.subject import STEPS, Case, ConformanceError, Subject, require


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
    require(0 < len(names) == len(set(names)), f"expected at least one player, with distinct names, got {names}.")
    known = {id(parameter) for parameter in nets.parameters()}
    for player in players:
        group = list(player.parameters)
        require(
            bool(group) and all(id(parameter) in known for parameter in group),
            f"player {player.name!r} must have parameters, all of them of the networks from build.",
        )
        require(
            player.updates >= 1,
            f"player {player.name!r} must have at least one update per step, got {player.updates}.",
        )


@check()
def check_losses(subject: Subject) -> None:
    """Losses are finite scalars with a gradient for their player; logs are detached; the batch is unchanged."""
    case = _trainable(subject)
    nets, batch = case.build().train(), case.batch()
    learning, names = set(), set()
    for index in range(STEPS):
        x = batch.x.clone()
        for name, loss, group in case.losses(nets, case.step(nets, index), batch):
            names.add(name)
            if _has_gradient(f"the loss of player {name!r} in step {index}", loss, group):
                learning.add(name)
        require(
            torch.equal(batch.x, x) and not batch.x.requires_grad,
            "a loss changes the batch in place; work on a copy.",
        )
    require(names == learning, f"players whose losses never have a gradient: {sorted(names - learning)}.")


def _has_gradient(what: str, loss: Any, group: list[nn.Parameter]) -> bool:
    """Check a loss; whether it has a gradient other than 0."""
    require(
        isinstance(loss, Loss) and isinstance(loss.value, Tensor) and loss.value.shape == (),
        f"{what} must be a Loss whose value is a scalar tensor, got {loss!r}.",
    )
    require(bool(loss.value.isfinite()), f"{what} isn't finite: {loss.value.detach()}.")
    require(loss.value.requires_grad, f"{what} doesn't depend on the player's parameters: it has no gradient.")
    for key, value in loss.log.items():
        require(
            isinstance(value, Tensor) and value.numel() == 1 and not value.requires_grad,
            f"{what} logs {key!r}, which must be a detached scalar tensor, got {value!r}.",
        )
    gradients = [g for g in torch.autograd.grad(loss.value, group, allow_unused=True) if g is not None]
    require(all(bool(gradient.isfinite().all()) for gradient in gradients), f"{what} has a gradient that isn't finite.")
    return any(bool(gradient.any()) for gradient in gradients)


@check()
def check_labels_reach_losses(subject: Subject) -> None:
    """If the spec takes labels, a loss depends on which image has which label."""
    case = _trainable(subject)
    if not case.spec.takes_labels:
        raise SkipTest("its spec takes no labels")
    batch, values = case.batch(), []
    nets = case.networks  # in evaluation mode, without the differences that dropout makes
    for x in (batch.x, batch.x.roll(1, 0)):
        losses = case.losses(nets, case.step(nets), replace(batch, x=x))
        values.append(torch.stack([loss.value.detach() for _, loss, _ in losses]))
    require(
        not torch.allclose(values[0], values[1], rtol=1e-5, atol=1e-7),
        "the losses don't change when the images' labels are exchanged, so nothing is learned about classes. Pass "
        "batch.labels to the network that judges the images, or describe the generator as taking no labels.",
    )


@check()
def check_training_changes_the_generator(subject: Subject) -> None:
    """A few steps change the weights of the network that samples, and leave them finite."""
    case = _trainable(subject)
    trainer, role = case.trainer(), case.backend.keeps[0]
    before = [parameter.detach().clone() for parameter in trainer.nets[role].parameters()]
    case.train(trainer, range(STEPS))
    require(trainer.is_finite(), f"after {STEPS} steps a weight is NaN or infinite.")
    require(
        not all(torch.equal(a, b) for a, b in zip(before, trainer.nets[role].parameters(), strict=True)),
        f"{STEPS} steps don't change nets[{role!r}]: give its parameters to a player.",
    )


@check(lambda backend: len(backend.keeps) > 1)
def check_all_kept_networks_are_trained(subject: Subject) -> None:
    """Every kept network has parameters that some player trains."""
    case = _trainable(subject)
    nets = case.build()
    trained = {id(parameter) for player in case.backend.players(case.config, nets) for parameter in player.parameters}
    for role in case.backend.keeps:
        require(
            any(id(parameter) in trained for parameter in nets[role].parameters()),
            f"nets[{role!r}] is kept, but no player trains its parameters.",
        )


@check(lambda backend: backend.takes_unlabelled)
def check_unlabelled_samples(subject: Subject) -> None:
    """Labels of -1, for samples without a label, give finite losses."""
    case = _trainable(subject)
    batch, nets = case.batch(), case.build().train()
    assert batch.labels is not None
    for labels in (batch.labels.where(torch.arange(len(batch.x)) % 2 == 0, -1), torch.full_like(batch.labels, -1)):
        for name, loss, _ in case.losses(nets, case.step(nets), replace(batch, labels=labels)):
            require(
                bool(loss.value.isfinite()),
                f"the loss of player {name!r} is {loss.value.item()} with unlabeled samples.",
            )


@check(lambda backend: backend.takes_unlabelled)
def check_hidden_labels_stay_hidden(subject: Subject) -> None:
    """No loss takes -1 for a class: as an index that counts from the end, by clamping it, or by its absolute value."""
    case = _trainable(subject)
    if not case.spec.takes_labels:
        raise SkipTest("its spec takes no labels")
    batch = case.batch()
    mistaken: list[set[tuple[str, int]]] = []
    for nets in (case.build().eval(), case.networks):
        values = {}
        for label in range(-1, case.spec.num_classes):
            labels = torch.full((len(batch.x),), label, dtype=torch.int64)
            losses = case.losses(nets, case.step(nets), replace(batch, labels=labels))
            values[label] = {name: loss.value.detach() for name, loss, _ in losses}
        hidden = values.pop(-1)
        mistaken.append(
            {
                (name, label)
                for name in hidden
                for label, known in values.items()
                if torch.allclose(hidden[name], known[name], rtol=1e-5)
                and not all(torch.allclose(known[name], other[name], rtol=1e-5) for other in values.values())
            }
        )
    for name, label in sorted(mistaken[0] & mistaken[1]):
        raise ConformanceError(
            f"the loss of player {name!r} for samples without a label (-1) is that for class {label}. Leave them out "
            "of the parts of a loss that need a label: x[labels >= 0]."
        )


@check()
def check_unlabelled_data(subject: Subject) -> None:
    """Data without labels can be trained on, or ``describe`` rejects them with an ``InputError``."""
    try:
        case = subject.case(labelled=False)
    except InputError:
        return
    require(
        not case.spec.takes_labels,
        f"describe returns {case.spec.num_classes} classes for data that have none.",
    )
    if case.is_trainable:
        case.train(case.trainer(), range(2))
    case.samples(case.networks)


@check()
def check_bfloat16(subject: Subject) -> None:
    """Training under bfloat16 autocast, genaug's default if it is faster, gives finite losses and weights."""
    case = _trainable(subject)
    trainer = case.trainer(dtype=torch.bfloat16)
    log = case.train(trainer, range(2))
    require(
        all(bool(value.isfinite()) for value in log.values()) and trainer.is_finite(),
        "a loss or a weight isn't finite. Compute penalties in `with step.float32()`, and use .float() on scores.",
    )


@check()
def check_reproducible(subject: Subject) -> None:
    """The same seed gives the same weights and images, bit for bit, on a CPU."""
    case = subject.case()
    nets = case.networks
    require(
        torch.equal(case.samples(nets), case.samples(nets)),
        "the same latents and labels give other images each time. Draw nothing in generate.",
    )
    others = subject.case().networks.state_dict()
    for name, tensor in nets.state_dict().items():
        require(
            torch.equal(tensor, others[name]),
            f"two trainings with the same seed differ ({name!r}). Draw from step in losses and from torch in build; "
            "don't depend on the time, the order of a set, or random streams of your own.",
        )


@check()
def check_state_lives_in_networks(subject: Subject) -> None:
    """A run that is interrupted and resumed elsewhere continues exactly: the backend itself has no state."""
    case = _trainable(subject)
    uninterrupted = case.trainer()
    case.train(uninterrupted, range(2 * STEPS))
    images = case.samples(uninterrupted.nets)
    interrupted, file = case.trainer(), io.BytesIO()
    case.train(interrupted, range(STEPS))
    torch.save(interrupted.state(), file)
    case.train(case.trainer(seed=1), range(STEPS))  # the state of another run must not matter

    elsewhere = subject.case()
    resumed = elsewhere.trainer()
    file.seek(0)
    resumed.restore(torch.load(file, weights_only=True))
    elsewhere.train(resumed, range(STEPS, 2 * STEPS))
    states = (trainer.nets.state_dict().values() for trainer in (uninterrupted, resumed))
    require(
        all(torch.equal(*tensors) for tensors in zip(*states, strict=True))
        and torch.equal(elsewhere.samples(resumed.nets), images),
        "a resumed training differs from an uninterrupted one: there is state outside the networks. Keep it in "
        "parameters or buffers, and none on the backend, its class or its module.",
    )
