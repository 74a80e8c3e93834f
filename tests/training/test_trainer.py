"""The trainer: updates, learning rates, the averaged networks, and states that continue exactly."""

import io

import pytest
import torch
from torch import nn

from genaug.backends import Backend, BackendConfig, Loss, Player, Spec, adam, registry
from genaug.data.reading import Samples
from genaug.errors import TrainingError
from genaug.modalities import Image
from genaug.training.trainer import Trainer


class Pull(Backend):
    """Two single weights, each pulled down by its own player."""

    class Config(BackendConfig):
        latent_size: int = 2

    def build(self, config, spec):
        return nn.ModuleDict({"generator": nn.Linear(1, 1), "other": nn.Linear(1, 1)})

    def generate(self, nets, inputs):
        raise NotImplementedError

    def players(self, config, nets):
        return [
            Player(name, nets[name].parameters(), loss, adam(0.1, (0.0, 0.9), decay=decay))
            for name, loss, decay in (("generator", self.generator_loss, 0.5), ("other", self.other_loss, 0.0))
        ]

    def generator_loss(self, nets, batch, step):
        return Loss(nets["generator"].weight.sum())

    def other_loss(self, nets, batch, step):
        return Loss(nets["other"].weight.sum())


DATA = Samples(torch.zeros(4, 1, 2, 2, dtype=torch.uint8), None, Spec(sample=Image(1, 2, 2)))


def trainer_of(steps=None):
    return Trainer(Pull(), Pull.Config(), DATA, batch_size=2, steps=steps)


def rates(count, steps):
    """The distances that each player's weight moves in each step: with Adam and a constant gradient, its rate."""
    trainer = trainer_of(steps)
    moved = {"generator": [], "other": []}
    for index in range(count):
        before = {name: trainer.nets[name].weight.item() for name in moved}
        trainer.step(index)
        for name, distances in moved.items():
            distances.append(before[name] - trainer.nets[name].weight.item())
    return moved


def test_rates_decay_linearly_over_the_last_part_of_the_run():
    moved = rates(10, 10)
    assert moved["generator"] == pytest.approx([0.1] * 6 + [0.08, 0.06, 0.04, 0.02], rel=1e-3)
    assert moved["other"] == pytest.approx([0.1] * 10, rel=1e-3)


def test_without_a_length_rates_are_constant():
    assert rates(10, None)["generator"] == pytest.approx([0.1] * 10, rel=1e-3)


def test_the_averaged_weights_follow_their_formula_through_the_warm_up_and_after_it():
    """The decay of step t is min(0.999, (1 + t) / (10 + t)); the first step's weights are where the average begins."""
    trainer = trainer_of()
    average = None
    for index in [*range(200), *range(20_000, 20_050)]:
        trainer.step(index)
        weight = trainer.nets["generator"].weight.item()
        decay = 0.999 if index > 9_000 else (1 + index) / (10 + index)
        average = weight if average is None else decay * average + (1 - decay) * weight
        assert trainer.averaged()["generator"].weight.item() == pytest.approx(average, rel=1e-4), index
    assert average - weight > 5  # far from the latest weight: with a decay of 0.9 it would be within one


def test_the_averaged_networks_are_copies():
    trainer = trainer_of()
    trainer.step(0)
    trainer.averaged()["generator"].weight.data.fill_(7)
    assert trainer.averaged()["generator"].weight.item() != 7


def test_all_networks_that_a_backend_keeps_are_averaged_and_no_others():
    class KeepsBoth(Pull):
        keeps = ("generator", "other")

    assert list(trainer_of().averaged()) == ["generator"]
    trainer = Trainer(KeepsBoth(), Pull.Config(), DATA, batch_size=2)
    trainer.step(0)
    first = trainer.nets["other"].weight.item()
    trainer.step(1)
    averaged = trainer.averaged()
    assert list(averaged) == ["generator", "other"]
    assert averaged["other"].weight.item() == pytest.approx(
        2 / 11 * first + 9 / 11 * trainer.nets["other"].weight.item()
    )
    assert not averaged.training


def test_a_step_logs_the_loss_of_every_player():
    log = trainer_of().step(0)
    assert set(log) == {"loss/generator", "loss/other"}
    assert not any(value.requires_grad for value in log.values())


# States ---------------------------------------------------------------------------------------------------------------


def data_of(dataset):
    x, labels = dataset.tensors
    return Samples(x, labels, Spec(sample=Image(1, 8, 8), classes=4))


@pytest.fixture
def cgan(tiny_config, tiny_set):
    """Trainers of a tiny ``cgan`` on labeled data, with further options."""

    def make(**options):
        backend = registry.resolve("cgan")
        return Trainer(backend, backend.Config(**{**tiny_config, **options}), data_of(tiny_set), batch_size=8)

    return make


def same(one, other):
    """Whether two nested states are equal, bit for bit."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


def saved(state):
    """A state after saving and loading, like a checkpoint."""
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


@pytest.mark.parametrize("name", ["autoencoder", "cgan", "infogan", "mad-gan", "vae", "wgan-gp"])
def test_a_restored_trainer_continues_bit_for_bit(tiny_set, name):
    data, backend = data_of(tiny_set), registry.resolve(name)

    def trainer(seed):
        return Trainer(backend, backend.Config(**backend.tiny), data, seed=seed, batch_size=8, steps=8)

    uninterrupted, first, second = trainer(0), trainer(0), trainer(0)
    logs = [uninterrupted.step(index) for index in range(8)]
    for index in range(5):
        first.step(index)
    second.restore(saved(first.state()))
    assert same(second.state(), first.state())
    for index in range(5, 8):
        assert same(second.step(index), logs[index])
    assert same(second.state(), uninterrupted.state())
    assert same(dict(second.averaged().state_dict()), dict(uninterrupted.averaged().state_dict()))


def test_a_state_of_other_networks_is_rejected(cgan):
    with pytest.raises(TrainingError, match="the checkpoint doesn't fit the backend's networks or optimizers"):
        cgan().restore(cgan(width=8).state())
    for key in ("nets", "ema", "optimizers"):
        state = cgan().state()
        del state[key]
        with pytest.raises(TrainingError, match="the checkpoint doesn't fit"):
            cgan().restore(state)
    state = cgan().state()
    state["optimizers"] = state["optimizers"][:1]
    with pytest.raises(TrainingError, match="the checkpoint doesn't fit"):
        cgan().restore(state)


def test_weights_that_are_not_finite_are_detected(cgan):
    trainer = cgan()
    assert trainer.is_finite()
    with torch.no_grad():
        next(trainer.nets["discriminator"].parameters()).fill_(float("nan"))
    assert not trainer.is_finite()


# Fakes that players share ---------------------------------------------------------------------------------------------


def trainer_in_order(name, data, reverse, learner):
    """A trainer whose players come in their order or the other way round; only ``learner`` has a learning rate."""
    backend = registry.resolve(name)

    class Reordered(type(backend)):
        def players(self, config, nets):
            players = super().players(config, nets)
            return players[::-1] if reverse else players

    trainer = Trainer(Reordered(), backend.Config(**backend.tiny), data, batch_size=8)
    for player, optimizer in zip(trainer.players, trainer.optimizers, strict=True):
        if player.name != learner:
            optimizer.param_groups[0]["lr"] = 0.0
    return trainer


@pytest.mark.parametrize("name", ["cgan", "infogan", "mad-gan"])
def test_shared_fakes_give_the_same_gradients_whichever_player_comes_first(tiny_set, name):
    results = []
    for reverse in (False, True):
        trainer = trainer_in_order(name, data_of(tiny_set), reverse, learner=None)
        assert [player.name for player in trainer.players][reverse] == "generator"
        trainer.step(0)
        results.append({key: parameter.grad for key, parameter in trainer.nets.named_parameters()})
    assert same(results[0], results[1])
    for role in ("generator", "discriminator"):
        assert any(bool(gradient.any()) for key, gradient in results[0].items() if key.startswith(role))


@pytest.mark.parametrize("learner", ["generator", "discriminator"])
@pytest.mark.parametrize("name", ["cgan", "infogan", "mad-gan"])
def test_shared_fakes_give_the_same_weights_whichever_player_comes_first(tiny_set, name, learner):
    """Only one player learns: the update of the first changes the inputs of the other."""
    results = []
    for reverse in (False, True):
        trainer = trainer_in_order(name, data_of(tiny_set), reverse, learner)
        before = {key: parameter.detach().clone() for key, parameter in trainer.nets.named_parameters()}
        for index in range(3):
            trainer.step(index)
        results.append({key: parameter.detach() for key, parameter in trainer.nets.named_parameters()})
        moved = {key.split(".")[0] for key, weight in results[-1].items() if not torch.equal(weight, before[key])}
        assert moved == {learner}
    assert same(results[0], results[1])
