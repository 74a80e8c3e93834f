"""Objectives and penalties against numpy in float64 and gradients worked out by hand."""

import numpy as np
import pytest
import torch

from genaug.nn.objectives import OBJECTIVES, interpolation_penalty, zero_centered_penalty

REAL, FAKE = np.array([[0.5], [-2.0], [3.0]]), np.array([[-1.0], [0.25], [4.0]])


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


EXPECTED = {
    "minimax": (-np.log(sigmoid(REAL)).mean() - np.log(1 - sigmoid(FAKE)).mean(), np.log(1 - sigmoid(FAKE)).mean()),
    "nonsaturating": (-np.log(sigmoid(REAL)).mean() - np.log(1 - sigmoid(FAKE)).mean(), -np.log(sigmoid(FAKE)).mean()),
    "least_squares": (((REAL - 1) ** 2).mean() / 2 + (FAKE**2).mean() / 2, ((FAKE - 1) ** 2).mean() / 2),
    "boundary_seeking": (
        -np.log(sigmoid(REAL)).mean() - np.log(1 - sigmoid(FAKE)).mean(),
        (np.log(sigmoid(FAKE) / (1 - sigmoid(FAKE))) ** 2).mean() / 2,
    ),
    "hinge": (np.maximum(0, 1 - REAL).mean() + np.maximum(0, 1 + FAKE).mean(), -FAKE.mean()),
    "wasserstein": (FAKE.mean() - REAL.mean(), -FAKE.mean()),
    "relativistic": (np.log(1 + np.exp(FAKE - REAL)).mean(), np.log(1 + np.exp(REAL - FAKE)).mean()),
}


def test_every_objective_is_tested():
    assert set(EXPECTED) == set(OBJECTIVES)


@pytest.mark.parametrize("name", EXPECTED)
def test_values(name):
    real, fake, objective = torch.from_numpy(REAL), torch.from_numpy(FAKE), OBJECTIVES[name]
    assert objective.discriminator(real, fake).item() == pytest.approx(EXPECTED[name][0], rel=1e-12)
    assert objective.generator(real, fake).item() == pytest.approx(EXPECTED[name][1], rel=1e-12)


@pytest.mark.parametrize("name", EXPECTED)
def test_a_better_discriminator_and_a_better_generator_lose_less(name):
    objective, good, bad = OBJECTIVES[name], torch.tensor([2.0, 0.9]), torch.tensor([-2.0, -0.9])
    assert objective.discriminator(good, bad) < objective.discriminator(bad, good)
    best = torch.zeros(2) if name == "boundary_seeking" else good  # scores of which the discriminator isn't sure
    assert objective.generator(bad, best) < objective.generator(bad, bad)


@pytest.mark.parametrize("name", EXPECTED)
def test_only_pairs_use_the_real_scores_for_the_generator(name):
    objective, fake = OBJECTIVES[name], torch.tensor([0.3, -0.2])
    values = {float(objective.generator(torch.tensor(real), fake)) for real in ([0.0, 1.0], [5.0, -3.0])}
    assert (len(values) == 2) == objective.pairs


@pytest.mark.parametrize("name", EXPECTED)
def test_large_scores_stay_finite(name):
    scores = torch.tensor([1e4, -1e4], requires_grad=True)
    for function in (OBJECTIVES[name].discriminator, OBJECTIVES[name].generator):
        value = function(scores, -scores)
        (gradient,) = torch.autograd.grad(value, scores, allow_unused=True)
        assert value.isfinite()
        assert gradient.isfinite().all()


def test_zero_centred_penalty_of_a_linear_score_is_its_squared_weight():
    weight = torch.tensor([1.0, -2.0, 0.5, 3.0], dtype=torch.float64, requires_grad=True)
    images = torch.randn(5, 1, 2, 2, dtype=torch.float64, requires_grad=True)
    penalty = zero_centered_penalty(images.flatten(1) @ weight, images)
    assert penalty.item() == pytest.approx(1 + 4 + 0.25 + 9)
    penalty.backward()
    assert torch.allclose(weight.grad, 2 * weight.detach())


@pytest.mark.parametrize("columns", [True, False])
def test_zero_centred_penalty_of_a_quadratic_score(columns):
    """D(x) = a |x|^2: the gradient is 2 a x, so E |grad|^2 = 4 a^2 E |x|^2, whose derivative in a is 8 a E |x|^2."""
    a = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    images = torch.randn(4, 3, 2, 5, dtype=torch.float64, requires_grad=True)
    scores = a * images.square().flatten(1).sum(1, keepdim=columns)
    penalty, norm = zero_centered_penalty(scores, images), images.detach().square().flatten(1).sum(1).mean()
    assert penalty.item() == pytest.approx(float(4 * 0.7**2 * norm))
    penalty.backward()
    assert a.grad.item() == pytest.approx(float(8 * 0.7 * norm))


def test_interpolation_penalty_of_a_linear_score():
    """D(x) = w . x: (|w| - 1)^2 wherever x lies, with the derivative 2 (|w| - 1) w / |w|."""
    weight = torch.tensor([3.0, 0.0, 4.0, 0.0], requires_grad=True)
    real, fake, u = torch.randn(6, 1, 2, 2), torch.randn(6, 1, 2, 2), torch.rand(6, 1, 1, 1)
    penalty = interpolation_penalty(lambda x: x.flatten(1) @ weight, real, fake, u)
    assert penalty.item() == pytest.approx(16)
    penalty.backward()
    assert torch.allclose(weight.grad, 2 * 4 * weight.detach() / 5)


def test_interpolation_penalty_lies_between_real_and_fake():
    """D(x) = |x|^2 / 2: the gradient is x itself, so the penalty tells where it was taken."""
    real, fake = torch.full((3, 1, 1, 1), 5.0), torch.full((3, 1, 1, 1), 2.0)
    weight = torch.tensor([0.0, 1.0, 0.25]).reshape(3, 1, 1, 1)
    points = []

    def score(x):
        points.append(x.detach().flatten().tolist())
        return x.square().flatten(1).sum(1) / 2

    penalty = interpolation_penalty(score, real, fake, weight)
    assert points == [[2.0, 5.0, 2.75]]
    assert penalty.item() == pytest.approx((1 + 16 + 1.75**2) / 3)


def test_interpolation_penalty_of_a_constant_score_has_finite_gradients():
    weight = torch.zeros(4, requires_grad=True)
    images = torch.randn(3, 1, 2, 2)
    penalty = interpolation_penalty(lambda x: x.flatten(1) @ weight, images, -images, torch.rand(3, 1, 1, 1))
    penalty.backward()
    assert penalty.item() == 1
    assert weight.grad.isfinite().all()


def test_interpolation_penalty_runs_in_float32_and_leaves_the_images_alone():
    layer = torch.nn.Linear(4, 1)
    real, fake = torch.randn(3, 1, 2, 2).bfloat16(), torch.randn(3, 1, 2, 2, requires_grad=True)
    types = []

    def score(x):
        scores = layer(x.flatten(1))
        types.append(scores.dtype)
        return scores

    with torch.autocast("cpu", dtype=torch.bfloat16):
        interpolation_penalty(score, real, fake, torch.rand(3, 1, 1, 1)).backward()
    assert types == [torch.float32]
    assert fake.grad is None
    assert layer.weight.grad is not None
