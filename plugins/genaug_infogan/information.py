"""The information that images contain about the codes: the variational lower bound of Chen et al. 2016, eq. 5.

For each code, L_I(G, Q) = E[log Q(c|x)] + H(c) <= I(c; G(z, c)), where c is drawn from its prior and x = G(z, c).
"""

import math

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, gaussian_nll_loss, softplus

from genaug.backends import Categorical, Spec, Uniform

_LEAST_VARIANCE = 1e-3  # lower bound of a predicted variance: an image may determine a code exactly

Code = Categorical | Uniform


def codes_of(spec: Spec) -> list[Code]:
    """The latents that Q predicts: all but the noise ``z``."""
    return [latent for latent in spec.latents if isinstance(latent, Code)]


def outputs_of(code: Code, variance: str) -> int:
    """The number of parameters of Q(c|x): logits, or means, followed by raw variances if these are predicted."""
    if isinstance(code, Categorical):
        return code.size
    return code.dimensions * (2 if variance == "predicted" else 1)


def log_likelihood(code: Code, outputs: Tensor, values: Tensor) -> Tensor:
    """log Q(c|x) in nats, shape (N,).

    ``outputs`` are (N, ``outputs_of(...)``), ``values`` is int64 (N,) for a categorical code and (N, size) for a
    continuous one. Q is a categorical distribution, or a Gaussian with diagonal covariance (Chen et al. 2016,
    section 6), with variance 1 if there are only means.
    """
    outputs = outputs.float()
    if isinstance(code, Categorical):
        return -cross_entropy(outputs, values, reduction="none")
    mean, *raw = outputs.split(code.dimensions, dim=1)
    variance = softplus(raw[0]) + _LEAST_VARIANCE if raw else torch.ones_like(mean)
    return -gaussian_nll_loss(mean, values, variance, full=True, reduction="none").sum(1)


def entropy(code: Code) -> float:
    """H(c) of the prior in nats: log(size) of a category, log 2 for each dimension of U(-1, 1)."""
    return math.log(code.size) if isinstance(code, Categorical) else code.dimensions * math.log(2)


def information(code: Code, outputs: Tensor, values: Tensor) -> Tensor:
    """L_I of one code in nats, a scalar to maximize: Chen et al. 2016, eq. 5."""
    return log_likelihood(code, outputs, values).mean() + entropy(code)
