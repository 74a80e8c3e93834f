"""The objectives of a MAD-GAN as functions of raw outputs (N, k + 1): one a generator, and "real" last.

No softmax comes before them: cross-entropy takes logits.
"""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from genaug.nn.objectives import OBJECTIVES

JOINT = {"madgan": OBJECTIVES["nonsaturating"], "madgan_minimax": OBJECTIVES["minimax"]}
"""The paper's objectives, with one softmax over all k + 1 outputs; by what its generators minimise."""

APART = {name: OBJECTIVES[name] for name in ("relativistic", "nonsaturating", "least_squares", "hinge", "minimax")}
"""Objectives of an ordinary GAN for the output "real" alone, beside a softmax over the other k."""


def real_score(outputs: Tensor, loss: str) -> Tensor:
    """How real images look, (N, 1): the logit of D_{k+1} under the joint softmax, else the output "real" itself.

    log(D_{k+1} / (1 - D_{k+1})) = o_{k+1} - log sum_{i <= k} exp(o_i), so D_{k+1} = sigmoid(score): the paper's
    generators minimise what those of an ordinary GAN do, for this score.
    """
    real = outputs[:, -1:]
    return real - outputs[:, :-1].logsumexp(1, keepdim=True) if loss in JOINT else real


def naming_loss(outputs: Tensor, members: Tensor) -> Tensor:
    """-E log P(i | G_i(z)), P the softmax over the generators' k outputs: how hard it is to name an image's generator.

    Minimised by generators and discriminator alike, it maximises a lower bound of the mutual information of an image
    and its generator (Chen et al. 2016, eq. 4). ``members`` are int64 (N,).
    """
    return cross_entropy(outputs[:, :-1], members)


def madgan_discriminator(real: Tensor, fake: Tensor, members: Tensor) -> Tensor:
    """-E log D_{k+1}(x) - sum_i E log D_i(G_i(z)), D the softmax over all outputs: Ghosh et al. 2018, section 4.

    ``members`` are the generators of ``fake``, int64 (N,). Each generated image counts as much as a real one: k
    batches against one with a full batch from each generator, as in the paper, and one against one where it is split.
    """
    last = torch.full((len(real),), real.shape[1] - 1, device=real.device)
    return cross_entropy(real, last) + cross_entropy(fake, members) * (len(fake) / len(real))
