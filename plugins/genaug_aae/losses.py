"""What labels that are known for some images only take part in: -1 stands for an image without one."""

import torch
from torch import Tensor
from torch.nn.functional import one_hot


def representative(labels: Tensor) -> Tensor:
    """The rows that represent the data: those without a label, or all of them if all have one."""
    unknown = labels < 0
    return torch.where(unknown.any(), unknown, True)


def known_or_predicted(labels: Tensor, logits: Tensor) -> Tensor:
    """Probabilities (N, K): 1 for a known label, those of the logits for an unknown one."""
    known = one_hot(labels.clamp(min=0), logits.shape[1]).to(logits.dtype)
    return torch.where((labels >= 0)[:, None], known, logits.softmax(1))


def category_prior(labels: Tensor, num_classes: int, uniform: Tensor) -> Tensor:
    """One-hot labels (N, K) for U[0, 1) numbers (N,): drawn from the known ones, or from all classes if there are none.

    Makhzani et al. 2015 draw all classes equally often; here they are as frequent as among the labels.
    """
    known = labels[labels >= 0]
    if not len(known):
        known = torch.arange(num_classes, device=labels.device)
    drawn = known[(uniform * len(known)).long().clamp(max=len(known) - 1)]
    return one_hot(drawn, num_classes).to(uniform.dtype)
