"""Images whose pixels are black or white: a generator gives each pixel's probability, and the pixels are drawn.

A generator's outputs in (-1, 1) are the expected pixels: the probability of white is (output + 1) / 2.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from genaug.backends.backend import Fakes, Inputs

_LEAST = 1e-6  # of a probability, so that logarithms stay finite


@dataclass(frozen=True)
class DrawnFakes(Fakes):
    """Drawn pixels, through which gradients pass straight to the expected ones, ``expected``."""

    expected: Tensor


def white(expected: Tensor) -> Tensor:
    """The probability of white, float32."""
    return ((expected.float() + 1) / 2).clamp(_LEAST, 1 - _LEAST)


def black_or_white(images: Tensor) -> Tensor:
    """Images in [-1, 1] with every pixel at -1 or 1, whichever is nearer."""
    return torch.where(images > 0, 1.0, -1.0).to(images.dtype)


def drawn(expected: Tensor, inputs: Inputs) -> Tensor:
    """Pixels for ``generate``, drawn with the samples' own noise."""
    noise = inputs.noise(expected[0].numel()).view_as(expected)
    uniform = torch.special.ndtr(noise.double())
    return torch.where(uniform < white(expected), 1.0, -1.0)


def drawn_fakes(expected: Tensor, inputs: Inputs, uniform: Tensor) -> DrawnFakes:
    """Pixels for a training step, from U(0, 1) of the shape of ``expected``, with the straight-through estimator of
    gradients (Bengio et al. 2013, section 4)."""
    pixels = torch.where(uniform < white(expected), 1.0, -1.0)
    return DrawnFakes(expected + (pixels - expected).detach(), inputs, expected)


def importance_loss(expected: Tensor, score: Callable[[Tensor], Tensor], uniform: Tensor) -> Tensor:
    """The generator's loss for discrete samples: Hjelm et al. 2018, algorithm 1.

    M images are drawn per row of ``expected`` (N, C, H, W), from ``uniform``, U(0, 1) of shape (N, M, C, H, W). The
    weight of each is D(x) / (1 - D(x)), which is the exponential of its score, over the sum of its row's; the loss is
    minus the weighted mean of their log-likelihoods. ``score`` takes (N·M, C, H, W) and returns logits (N·M,) or
    (N·M, 1).
    """
    rows, draws = uniform.shape[:2]
    probability = white(expected)[:, None]
    with torch.no_grad():
        is_white = uniform < probability
        scores = score(torch.where(is_white, 1.0, -1.0).flatten(0, 1)).float().view(rows, draws)
        weights = scores.softmax(1)
    likelihood = torch.where(is_white, probability.log(), (-probability).log1p()).flatten(2).sum(2)
    return -(weights * likelihood).sum(1).mean()
