"""The terms of the evidence lower bound, in nats per image, each averaged over the batch."""

import math

from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits


def divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(mean, exp(log_variance)) || N(0, 1)), summed over the dimensions of (N, size).

    Kingma & Welling 2014, appendix B.
    """
    return (mean.square() + log_variance.exp() - 1 - log_variance).sum(1).mean() / 2


def bernoulli_misfit(logits: Tensor, x: Tensor) -> Tensor:
    """-log p(x | z) for pixels x in [0, 1] and their log-odds, both (N, C, H, W).

    Kingma & Welling 2014, appendix C.1. For gray values it is the cross-entropy, not a likelihood.
    """
    return binary_cross_entropy_with_logits(logits, x, reduction="none").flatten(1).sum(1).mean()


def gaussian_misfit(mean: Tensor, x: Tensor, scale: float) -> Tensor:
    """-log p(x | z) for pixels x and their means, both (N, C, H, W), with the standard deviation ``scale``.

    Kingma & Welling 2014, appendix C.2, with a fixed variance.
    """
    pixels = x[0].numel()
    constant = pixels * (math.log(scale) + math.log(2 * math.pi) / 2)
    return (x - mean).square().flatten(1).sum(1).mean() / (2 * scale**2) + constant
