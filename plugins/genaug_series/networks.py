"""Networks for encoded series (N, channels, steps): recurrent ones, and dilated convolutions over all steps."""

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

SLOPE = 0.2
RECURRENT = {"lstm": nn.LSTM, "gru": nn.GRU}


class Offsets(nn.Embedding):
    """A learned row per class, which starts at a small random value."""

    def __init__(self, num_classes: int, size: int) -> None:
        super().__init__(num_classes, size)
        nn.init.normal_(self.weight, std=0.5)


def embedded(num_classes: int, size: int) -> Offsets | None:
    """An embedding of labels; None without classes."""
    return Offsets(num_classes, size) if num_classes else None


def with_label(x: Tensor, offsets: Offsets | None, labels: Tensor | None) -> Tensor:
    """``x`` (N, steps, size) with the row of its class added at every step."""
    return x if offsets is None or labels is None else x + offsets(labels)[:, None]


class RecurrentGenerator(nn.Module):
    """Latents, (N, latent_size) or (N, steps, latent_size), and labels (N,) to raw outputs (N, channels, steps).

    A latent for the complete series is the input of every step, with the label (Esteban et al. 2017, section 3). After
    the recurrent layers, the label also scales and shifts a layer of its own (Perez et al. 2018).
    """

    def __init__(
        self, latent_size: int, hidden: int, layers: int, cell: str, shape: tuple[int, int], num_classes: int
    ) -> None:
        super().__init__()
        channels, self.steps = shape
        self.first = nn.Linear(latent_size, hidden)
        self.offsets = embedded(num_classes, hidden)
        self.body = RECURRENT[cell](hidden, hidden, layers, batch_first=True)
        self.second = nn.Linear(hidden, hidden)
        self.scales = embedded(num_classes, hidden)
        self.shifts = embedded(num_classes, hidden)
        self.last = nn.Linear(hidden, channels)

    def forward(self, z: Tensor, labels: Tensor | None) -> Tensor:
        z = z[:, None].expand(-1, self.steps, -1) if z.ndim == 2 else z
        x = leaky_relu(with_label(self.first(z), self.offsets, labels), SLOPE)
        x = self.body(x)[0]
        y = self.second(x)
        if self.scales is not None and labels is not None:
            y = y * (1 + self.scales(labels)[:, None])
        x = x + leaky_relu(with_label(y, self.shifts, labels), SLOPE)
        outputs: Tensor = self.last(x).transpose(1, 2)
        return outputs


class DilatedGenerator(nn.Module):
    """As ``RecurrentGenerator``, with dilated convolutions of a learned position, scaled and shifted by the latent and
    the label in every layer (Perez et al. 2018)."""

    def __init__(self, latent_size: int, hidden: int, layers: int, shape: tuple[int, int], num_classes: int) -> None:
        super().__init__()
        channels, self.steps = shape
        self.style = nn.Linear(latent_size, hidden)
        self.offsets = embedded(num_classes, hidden)
        self.second = nn.Linear(hidden, hidden)
        self.position = nn.Parameter(torch.randn(hidden, self.steps))
        blocks = dilations(layers, self.steps)
        self.scales = nn.ModuleList(nn.Linear(hidden, 2 * hidden) for _ in blocks)
        self.convs = nn.ModuleList(nn.Conv1d(hidden, hidden, 3, padding=d, dilation=d) for d in blocks)
        self.last = nn.Conv1d(hidden, channels, 1)

    def forward(self, z: Tensor, labels: Tensor | None) -> Tensor:
        z = z[:, None] if z.ndim == 2 else z
        style = leaky_relu(with_label(self.style(z), self.offsets, labels), SLOPE)
        style = leaky_relu(self.second(style), SLOPE)
        x = self.position.expand(len(z), -1, -1)
        for scale, conv in zip(self.scales, self.convs, strict=True):
            factor, shift = scale(style).transpose(1, 2).chunk(2, dim=1)
            x = x + leaky_relu(conv(x * (1 + factor) + shift), SLOPE)
        outputs: Tensor = self.last(x)
        return outputs


class RecurrentDiscriminator(nn.Module):
    """Series (N, channels, steps) and labels (N,), or None without classes, to scores (N, 1).

    The score of a series is the mean of its steps' scores (Esteban et al. 2017, section 3); the label is an input of
    every step, and its row is projected onto the mean state (Miyato & Koyama 2018).
    """

    def __init__(
        self, channels: int, hidden: int, layers: int, cell: str, num_classes: int, *, bidirectional: bool
    ) -> None:
        super().__init__()
        self.first = nn.Linear(channels, hidden)
        self.offsets = embedded(num_classes, hidden)
        self.body = RECURRENT[cell](hidden, hidden, layers, batch_first=True, bidirectional=bidirectional)
        self.head = Head(hidden * (1 + bidirectional), num_classes)

    def forward(self, x: Tensor, labels: Tensor | None) -> Tensor:
        features = leaky_relu(with_label(self.first(x.transpose(1, 2)), self.offsets, labels), SLOPE)
        scores: Tensor = self.head(self.body(features)[0].transpose(1, 2), labels)
        return scores


class DilatedDiscriminator(nn.Module):
    """As ``RecurrentDiscriminator``, with dilated convolutions."""

    def __init__(self, channels: int, hidden: int, layers: int, steps: int, num_classes: int) -> None:
        super().__init__()
        self.first = nn.Conv1d(channels, hidden, 3, padding=1)
        self.convs = nn.ModuleList(
            nn.Conv1d(hidden, hidden, 3, padding=d, dilation=d) for d in dilations(layers, steps)
        )
        self.head = Head(hidden, num_classes)

    def forward(self, x: Tensor, labels: Tensor | None) -> Tensor:
        x = leaky_relu(self.first(x), SLOPE)
        for conv in self.convs:
            x = x + leaky_relu(conv(x), SLOPE)
        scores: Tensor = self.head(x, labels)
        return scores


class Head(nn.Module):
    """Features (N, size, steps) and labels (N,), or None without classes, to scores (N, 1)."""

    def __init__(self, size: int, num_classes: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(2 * size, size)
        self.score = nn.Linear(size, 1)
        self.rows = embedded(num_classes, size)

    def forward(self, features: Tensor, labels: Tensor | None) -> Tensor:
        pooled = torch.cat([features.mean(2), features.square().mean(2)], 1)
        x = leaky_relu(self.hidden(pooled), SLOPE)
        score: Tensor = self.score(x)
        if self.rows is not None and labels is not None:
            score = score + (self.rows(labels) * x).sum(1, keepdim=True) / x.shape[1] ** 0.5
        return score


def dilations(layers: int, steps: int) -> list[int]:
    """1, 2, 4, …: of ``layers`` layers, starting again once one of them would reach over the complete series."""
    reach = max(1, (steps - 1).bit_length() - 1)
    return [2 ** (layer % reach) for layer in range(layers)]
