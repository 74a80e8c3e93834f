"""Networks that stand in for others, so that losses can be computed by hand."""

import torch
from torch import nn


class Scale(nn.Module):
    """Multiplies by a parameter; with ``total``, the sum of the channels."""

    def __init__(self, factor: float, *, total: bool = False) -> None:
        super().__init__()
        self.factor, self.total = nn.Parameter(torch.tensor(factor)), total

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.factor * (x.sum(1, keepdim=True) if self.total else x)
