"""The objectives of a MAD-GAN as functions of raw outputs (N, k + 1): one per generator, and "real" last.

The outputs are logits, without a softmax.
"""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from genaug.nn.objectives import OBJECTIVES

JOINT = {"madgan": OBJECTIVES["nonsaturating"], "madgan_minimax": OBJECTIVES["minimax"]}
"""The paper's objectives, with one softmax over all k + 1 outputs, and the generators' objectives."""

SEPARATE = {
    name: OBJECTIVES[name]
    for name in ("relativistic", "nonsaturating", "least_squares", "boundary_seeking", "hinge", "minimax")
}
"""Objectives of an ordinary GAN for the output "real" alone, with a separate softmax over the other k."""


def real_score(outputs: Tensor, loss: str) -> Tensor:
    """How real images look, (N, 1): the logit of D_{k+1} under the joint softmax, otherwise the output "real" itself.

    log(D_{k+1} / (1 - D_{k+1})) = o_{k+1} - log sum_{i <= k} exp(o_i), so D_{k+1} = sigmoid(score): for this
    score, the paper's generators minimize the objective of an ordinary GAN.
    """
    real = outputs[:, -1:]
    return real - outputs[:, :-1].logsumexp(1, keepdim=True) if loss in JOINT else real


def classification_loss(outputs: Tensor, members: Tensor) -> Tensor:
    """-E log P(i | G_i(z)), with P the softmax over the k generators' outputs: the generator classification loss.

    Minimized by generators and discriminator, it maximizes a lower bound of the mutual information between an image
    and its generator (Chen et al. 2016, eq. 4). ``members`` are generator indices, int64 (N,).
    """
    return cross_entropy(outputs[:, :-1], members)


def madgan_discriminator(real: Tensor, fake: Tensor, members: Tensor) -> Tensor:
    """-E log D_{k+1}(x) - sum_i E log D_i(G_i(z)), D the softmax over all outputs: Ghosh et al. 2018, section 4.

    ``members`` are the generator indices of ``fake``, int64 (N,). Each generated image has the weight of a real one: k
    batches against one with full batches, as in the paper, and one against one with a split batch.
    """
    last = torch.full((len(real),), real.shape[1] - 1, device=real.device)
    return cross_entropy(real, last) + cross_entropy(fake, members) * (len(fake) / len(real))
