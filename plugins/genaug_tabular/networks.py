"""Fully connected networks for encoded rows of a table, with labels in every layer."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, one_hot, relu

from genaug.modalities.table import Span


class ClassLinear(nn.Module):
    """A linear layer with an offset per class; the same as one that also takes the one-hot label."""

    def __init__(self, before: int, after: int, num_classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(before, after)
        self.offsets = nn.Embedding(num_classes, after) if num_classes else None
        if self.offsets is not None:
            nn.init.uniform_(self.offsets.weight, -(before**-0.5), before**-0.5)

    def forward(self, x: Tensor, labels: Tensor | None) -> Tensor:
        y: Tensor = self.linear(x)
        return y if self.offsets is None else y + self.offsets(labels)


class RowGenerator(nn.Module):
    """Latents (N, latent_size) and labels (N,), or None without classes, to raw outputs (N, width).

    Two hidden layers with batch normalization, each of which the next layers get with all that came before it (Xu et
    al. 2019, section 4.4).
    """

    def __init__(self, latent_size: int, hidden: int, width: int, num_classes: int) -> None:
        super().__init__()
        sizes = [latent_size, latent_size + hidden]
        self.layers = nn.ModuleList(ClassLinear(size, hidden, num_classes) for size in sizes)
        self.norms = nn.ModuleList(nn.BatchNorm1d(hidden) for _ in sizes)
        self.last = ClassLinear(latent_size + 2 * hidden, width, num_classes)

    def forward(self, z: Tensor, labels: Tensor | None) -> Tensor:
        x = z
        for layer, norm in zip(self.layers, self.norms, strict=True):
            x = torch.cat([relu(norm(layer(x, labels))), x], 1)
        outputs: Tensor = self.last(x, labels)
        return outputs


class Perceptron(nn.Module):
    """Rows (N, ``before``) and labels (N,), or None, to (N, ``after``), through two hidden layers."""

    def __init__(self, before: int, hidden: int, after: int, num_classes: int, slope: float = 0.0) -> None:
        super().__init__()
        self._slope = slope
        self.layers = nn.ModuleList(ClassLinear(size, hidden, num_classes) for size in (before, hidden))
        self.last = nn.Linear(hidden, after)

    def forward(self, x: Tensor, labels: Tensor | None) -> Tensor:
        for layer in self.layers:
            x = leaky_relu(layer(x, labels), self._slope)
        y: Tensor = self.last(x)
        return y


class PackedCritic(nn.Module):
    """Rows (N, width) and labels (N,), or None, to a score per ``packing`` rows, (N / packing, 1).

    Scoring several rows together shows a lack of variety (PacGAN, Lin et al. 2018).
    """

    def __init__(self, width: int, hidden: int, num_classes: int, packing: int) -> None:
        super().__init__()
        self._packing = packing
        self.first = nn.Linear(packing * width, hidden)
        offsets = [nn.Embedding(num_classes, hidden) for _ in range(packing if num_classes else 0)]
        for offset in offsets:
            nn.init.uniform_(offset.weight, -(width**-0.5), width**-0.5)
        self.offsets = nn.ModuleList(offsets)
        self.second = nn.Linear(hidden, hidden)
        self.score = nn.Linear(hidden, 1)

    def forward(self, packs: Tensor, labels: Tensor | None) -> Tensor:
        """``packs`` is (N / packing, packing * width), as ``pack`` returns it; ``labels`` (N / packing, packing)."""
        x = self.first(packs)
        for position, offset in enumerate(self.offsets):
            assert labels is not None
            x = x + offset(labels[:, position])
        x = leaky_relu(self.second(leaky_relu(x, 0.2)), 0.2)
        score: Tensor = self.score(x)
        return score


def pack(rows: Tensor, packing: int) -> Tensor:
    """(N, ...) as (N / packing, packing * ...), without the last rows that don't fill a pack."""
    count = len(rows) // packing
    return rows[: count * packing].reshape(count, -1)


def bounded(outputs: Tensor, spans: Sequence[Span]) -> Tensor:
    """Outputs (N, width) with the numbers in [-1, 1] by tanh; the groups' logits are unchanged."""
    parts = [
        outputs[:, start:stop] if is_softmax else outputs[:, start:stop].tanh() for start, stop, is_softmax in spans
    ]
    return torch.cat(parts, 1)


def activated(outputs: Tensor, spans: Sequence[Span]) -> Tensor:
    """Outputs (N, width) as rows: numbers in [-1, 1] by tanh, and the probabilities of each group by softmax."""
    own = [(outputs[:, start:stop], is_softmax) for start, stop, is_softmax in spans]
    return torch.cat([part.softmax(1) if is_softmax else part.tanh() for part, is_softmax in own], 1)


def drawn(logits: Tensor, spans: Sequence[Span], noise: Tensor) -> Tensor:
    """Rows like ``logits``, with one slot of each group drawn from its probabilities, as one-hot; numbers unchanged.

    ``noise`` is N(0, 1), (N, width); the draw is the largest of the logits plus Gumbel noise.
    """
    uniform = torch.special.ndtr(noise.double()).clamp(1e-12, 1 - 1e-12)
    perturbed = logits - (-uniform.log()).log().to(logits.dtype)
    parts = []
    for start, stop, is_softmax in spans:
        own = perturbed[:, start:stop]
        parts.append(one_hot(own.argmax(1), stop - start).to(logits.dtype) if is_softmax else logits[:, start:stop])
    return torch.cat(parts, 1)
