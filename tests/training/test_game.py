"""Turns, learning rates and the averaged weights."""

import pytest
import torch
from torch import nn

from genaug.modalities.image import Image

from genaug.backends import Backend, BackendConfig, Loss, Player, Spec
from genaug.data.reading import Samples
from genaug.training.distributed import Share
from genaug.training.game import Game
from genaug.training.streams import BatchStream, TrainingStep

CPU = torch.device("cpu")


class Pull(Backend):
    """Two single weights, each pulled down by its own player."""

    class Config(BackendConfig):
        latent_size: int = 2

    def build(self, config, spec):
        return nn.ModuleDict({"generator": nn.Linear(1, 1), "other": nn.Linear(1, 1)})

    def generate(self, nets, latents, labels):
        raise NotImplementedError

    def players(self, config, nets):
        decays = {"generator": 0.5, "other": 0.0}
        return [Player(name, nets[name].parameters(), 0.1, (0.0, 0.9), decay=decays[name]) for name in decays]

    def loss(self, player, nets, batch, step):
        return Loss(nets[player].weight.sum())


@pytest.fixture
def start():
    """A game of ``Pull``, and a function that plays the step of an index."""

    def begin(told=None):
        config, spec, share = Pull.Config(), Spec(sample=Image(1, 2, 2)), Share()
        game = Game(Pull(), config, spec, 0, CPU, share, told)
        data = Samples(torch.zeros(4, 1, 2, 2, dtype=torch.uint8), None, spec)
        batches = BatchStream(data, 2, 0, CPU, share)
        step = TrainingStep(config, spec, seed=0, device=CPU, dtype=torch.float32, share=share, policy=())

        def play(index):
            step.begin(index)
            game.play(step, batches)

        return game, play

    return begin


@pytest.fixture
def rates(start):
    """The distances that each player's weight moves in each step: with Adam and a constant gradient, its rate."""

    def follow(steps, told):
        game, play = start(told)
        moved = {"generator": [], "other": []}
        for index in range(steps):
            before = {name: game.nets[name].weight.item() for name in moved}
            play(index)
            for name, distances in moved.items():
                distances.append(before[name] - game.nets[name].weight.item())
        return moved

    return follow


def test_rates_decay_linearly_over_the_last_share_of_the_run(rates):
    moved = rates(10, 10)
    assert moved["generator"] == pytest.approx([0.1] * 6 + [0.08, 0.06, 0.04, 0.02], rel=1e-3)
    assert moved["other"] == pytest.approx([0.1] * 10, rel=1e-3)


def test_without_a_length_rates_stay(rates):
    assert rates(10, None)["generator"] == pytest.approx([0.1] * 10, rel=1e-3)


def test_the_averaged_weights_follow_their_formula_through_the_warm_up_and_after_it(start):
    """The decay of step t is min(0.999, (1 + t) / (10 + t)); the first step's weights are where the average begins."""
    game, play = start()
    average = None
    for index in [*range(200), *range(20_000, 20_050)]:
        play(index)
        weight = game.nets["generator"].weight.item()
        decay = 0.999 if index > 9_000 else (1 + index) / (10 + index)
        average = weight if average is None else decay * average + (1 - decay) * weight
        assert game.averaged_generator().weight.item() == pytest.approx(average, rel=1e-4), index
    assert average - weight > 5  # far behind the latest: with a decay of 0.9 it would be within one


def test_the_averaged_generator_is_a_copy(start):
    game, play = start()
    play(0)
    game.averaged_generator().weight.data.fill_(7)
    assert game.averaged_generator().weight.item() != 7
