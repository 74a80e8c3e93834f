"""Black-and-white pixels: how they are drawn, and both estimators of the generator's gradient."""

import math

import pytest
import torch

from genaug.backends import Inputs
from genaug.nn.binary import black_or_white, drawn, drawn_fakes, importance_loss

EXPECTED = torch.tensor([0.5, -0.5]).view(1, 1, 1, 2)  # white with probability 0.75 and 0.25


def inputs(noise=None):
    return Inputs({}, None, lambda *shape: noise)


def test_pixels_are_drawn_with_their_probability():
    noise = torch.randn(20_000, 2, generator=torch.Generator().manual_seed(0))
    pixels = drawn(EXPECTED.expand(20_000, 1, 1, 2), inputs(noise))
    assert pixels.shape == (20_000, 1, 1, 2)
    assert set(pixels.unique().tolist()) == {-1.0, 1.0}
    assert ((pixels + 1) / 2).mean(0).flatten().tolist() == pytest.approx([0.75, 0.25], abs=0.01)


def test_gradients_pass_straight_through_drawn_pixels():
    expected = EXPECTED.clone().requires_grad_()
    fakes = drawn_fakes(expected, inputs(), torch.tensor([0.8, 0.1]).view(1, 1, 1, 2))
    assert fakes.x.flatten().tolist() == [-1.0, 1.0]
    (fakes.x * torch.tensor([3.0, 5.0])).sum().backward()
    assert expected.grad.flatten().tolist() == [3.0, 5.0]
    assert fakes.expected is expected


def test_the_importance_loss_by_hand():
    expected = EXPECTED.clone().requires_grad_()
    uniform = torch.tensor([[0.1, 0.1], [0.9, 0.9]]).view(1, 2, 1, 1, 2)  # draws (1, 1) and (-1, -1)
    seen = []

    def score(pixels):
        seen.append(pixels.flatten(1).tolist())
        return pixels.flatten(1).sum(1, keepdim=True)  # 2 and -2

    loss = importance_loss(expected, score, uniform)
    assert seen == [[[1.0, 1.0], [-1.0, -1.0]]]
    first = math.exp(2) / (math.exp(2) + math.exp(-2))
    likelihoods = [math.log(0.75) + math.log(0.25), math.log(0.25) + math.log(0.75)]
    assert loss.item() == pytest.approx(-(first * likelihoods[0] + (1 - first) * likelihoods[1]), rel=1e-5)
    loss.backward()
    # d log p / d output is 1/2 / p for white and -1/2 / (1 - p) for black
    slopes = [-(first * 0.5 / p - (1 - first) * 0.5 / (1 - p)) for p in (0.75, 0.25)]
    assert expected.grad.flatten().tolist() == pytest.approx(slopes, rel=1e-5)


def test_rows_have_weights_of_their_own():
    expected = EXPECTED.expand(2, 1, 1, 2)
    uniform = torch.rand(2, 5, 1, 1, 2, generator=torch.Generator().manual_seed(0))

    def loss(rows, offset=0.0):
        scores = torch.linspace(-1, 1, 10).view(2, 5)[rows].flatten() + offset
        return importance_loss(expected[rows], lambda _: scores, uniform[rows]).item()

    assert loss([0, 1]) == pytest.approx((loss([0]) + loss([1])) / 2, rel=1e-5)
    assert loss([0], offset=3.0) == pytest.approx(loss([0]), rel=1e-5), "only the relation of the draws counts"


def test_certain_pixels_have_a_finite_loss():
    expected = torch.tensor([1.0, -1.0]).view(1, 1, 1, 2).requires_grad_()
    loss = importance_loss(expected, lambda pixels: pixels.flatten(1).sum(1), torch.rand(1, 4, 1, 1, 2))
    loss.backward()
    assert loss.isfinite()
    assert expected.grad.isfinite().all()


def test_real_pixels_go_to_the_nearer_end():
    images = torch.tensor([-1.0, -0.1, 0.2, 1.0])
    assert black_or_white(images).tolist() == [-1.0, -1.0, 1.0, 1.0]
