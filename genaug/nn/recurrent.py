"""Small recurrent networks that judge series, and their training."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from genaug.device import torch_defaults
from genaug.randomness import check_seed, derive_seed


class Recurrent(nn.Module):
    """A GRU and a linear layer: series (N, channels, steps) to an output (N, outputs) after the last step or, if it
    ``predicts``, to outputs (N, outputs, steps).

    Initialized like Keras' layers, which the published scores of series are computed with: Glorot's uniform weights,
    orthogonal recurrent ones, and no biases.
    """

    def __init__(
        self, channels: int, hidden: int, outputs: int = 1, *, layers: int = 1, predicts: bool = False
    ) -> None:
        super().__init__()
        self.predicts = predicts
        self.gru = nn.GRU(channels, hidden, layers, batch_first=True)
        self.out = nn.Linear(hidden, outputs)
        for name, parameter in self.named_parameters():
            if "bias" in name:
                nn.init.zeros_(parameter)
            else:
                (nn.init.orthogonal_ if "weight_hh" in name else nn.init.xavier_uniform_)(parameter)

    def forward(self, series: Tensor) -> Tensor:
        states, _ = self.gru(series.transpose(1, 2))
        output: Tensor = self.out(states if self.predicts else states[:, -1])
        return output.transpose(1, 2) if self.predicts else output


@torch_defaults()
def trained(
    build: Callable[[], nn.Module],
    loss: Callable[[nn.Module, torch.Generator], Tensor],
    *,
    updates: int,
    seed: int,
    device: torch.device,
    lr: float = 1e-3,
) -> nn.Module:
    """A new network that minimizes ``loss`` with Adam. The generator of ``loss`` draws the batches; its seed and that
    of the initial weights are derived from ``seed``."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(check_seed(seed), "weights"))
        model = build().to(device)
    draws = torch.Generator().manual_seed(derive_seed(seed, "batches"))
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    for _ in range(updates):
        optimizer.zero_grad(set_to_none=True)
        loss(model, draws).backward()
        optimizer.step()
    return model.eval()


def batch(series: Tensor, size: int, draws: torch.Generator) -> Tensor:
    """Indices of a random batch of different series, or of all if there are fewer."""
    return torch.randperm(len(series), generator=draws)[:size]
