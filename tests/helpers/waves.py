"""Series for tests: waves of two channels and 24 steps in units of their own, of another frequency per class."""

import torch

from genaug.data import SeriesDataset


def waves(n=60, classes=2, channels=2, steps=24):
    """Float32 (n, channels, steps) around 50, and int64 labels."""
    rng = torch.Generator().manual_seed(0)
    labels = torch.arange(n) % classes
    t = torch.arange(steps) / steps
    phase = torch.rand(n, channels, 1, generator=rng)
    return 50 + 5 * (2 * torch.pi * ((1 + labels.view(-1, 1, 1)) * t + phase)).sin(), labels


def ragged(n=60, least=12):
    """A dataset of waves whose lengths are ``least`` to 24 and whose first channel lacks every fifth value."""
    x, labels = waves(n)
    mask = torch.ones_like(x, dtype=torch.bool)
    mask[:, 0, 2::5] = False
    lengths = least + torch.arange(n) % (x.shape[2] - least + 1)
    return SeriesDataset(x, labels, lengths=lengths, mask=mask)
