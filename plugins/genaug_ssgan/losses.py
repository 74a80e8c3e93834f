"""The losses of a semi-supervised GAN whose discriminator has one output per class (Salimans et al. 2016, section 5).

With the outputs l_1 ... l_K, Z(x) = sum exp l_k(x): softmax of the outputs says which class, and D(x) = Z / (Z + 1)
whether the image is real. That is a softmax over K + 1 classes, the last one "generated", whose output is fixed at 0.
"""

import torch
from torch import Tensor
from torch.nn.functional import softplus


def real_score(logits: Tensor) -> Tensor:
    """log Z(x), (N,): the logit of D(x)."""
    return logits.float().logsumexp(1)


def unsupervised_loss(real: Tensor, fake: Tensor) -> Tensor:
    """-1/2 E log D(x) - 1/2 E log(1 - D(G(z))) for logits (N, K) of real and generated images."""
    return 0.5 * softplus(-real_score(real)).mean() + 0.5 * softplus(real_score(fake)).mean()


def feature_distance(real: Tensor, fake: Tensor) -> Tensor:
    """|E f(x) - E f(G(z))|² / F for features (N, F): feature matching (section 3.1), as a mean over the features."""
    return (real.float().mean(0) - fake.float().mean(0)).square().mean()


def representative(labels: Tensor) -> Tensor:
    """The rows that represent the data: those without a label (-1), or all of them if all have one."""
    unknown = labels < 0
    return torch.where(unknown.any(), unknown, True)
