"""Sources without labels whose samples carry their true class, and a classifier that reads what they look like.

Pixels of an image's first row: its true class, what it looks like (a class, or a category), how sure one is of that.
The second row counts the images, so that no two are alike.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot
from torch.utils.data import TensorDataset

from genaug.backends import Categorical, Normal, Spec
from genaug.modalities.image import Image
from genaug.randomness import uniform_rows

SHAPE = (1, 4, 4)


def pictures(true, looks, sure, number) -> Tensor:
    """uint8 (N, 1, 4, 4)."""
    images = torch.zeros(len(true), *SHAPE, dtype=torch.uint8)
    numbers = torch.as_tensor(number)
    for place, values in enumerate((true, looks, sure)):
        images[:, 0, 0, place] = torch.as_tensor(values).to(torch.uint8)
    for place in range(4):
        images[:, 0, 1, place] = (numbers >> (8 * place) & 255).to(torch.uint8)
    return images


def true_class(images: Tensor) -> Tensor:
    return images[:, 0, 0, 0].long()


def labelled(*kinds) -> TensorDataset:
    """A labelled set of so many images of each kind: (label, looks like, how sure, how many)."""
    label, looks, sure, count = (torch.tensor(values) for values in zip(*kinds, strict=True))
    rows = torch.arange(len(kinds)).repeat_interleave(count)
    return TensorDataset(pictures(label[rows], looks[rows], sure[rows], torch.arange(len(rows)) + 2**24), label[rows])


class Reader(nn.Module):
    """Says what an image looks like, as surely as the image says. Learns nothing."""

    def __init__(self, shape, outputs, seed):
        super().__init__()
        self.outputs = outputs
        self.nothing = nn.Parameter(torch.zeros(()))

    def forward(self, images):
        row = (images[:, 0, 0] * 255).round()
        return one_hot(row[:, 1].long() % self.outputs, self.outputs) * row[:, 2:3] / 25 + 0 * self.nothing


class World:
    """Samples of given kinds: (true class, looks like, how sure, weight)."""

    def __init__(self, *kinds):
        self.spec = Spec(sample=Image(*SHAPE), latents=(Normal(size=2),))
        self.kinds = torch.tensor([kind[:3] for kind in kinds])
        weights = torch.tensor([kind[3] for kind in kinds], dtype=torch.float64)
        self.edges = (weights / weights.sum()).cumsum(0)
        self.made = 0

    def sample(self, n=None, *, labels=None, seed=None):
        assert labels is None
        self.made += n
        drawn = torch.searchsorted(self.edges, torch.from_numpy(uniform_rows(seed, "world", 0, n, 1)[:, 0].copy()))
        kinds = self.kinds[drawn.clamp(max=len(self.kinds) - 1)]
        return pictures(*kinds.T, torch.arange(n) + seed % 2**16 * 2**12), None


class CodeWorld:
    """Samples with a categorical latent ``c1``: category k makes images of class ``classes[k]`` that look like k."""

    def __init__(self, *classes, latents=("c1",)):
        codes = tuple(Categorical(name=name, size=len(classes)) for name in latents)
        self.spec = Spec(sample=Image(*SHAPE), latents=(Normal(size=2), *codes))
        self.classes = torch.tensor(classes)
        self.asked = []

    def sample(self, n=None, *, labels=None, seed=None, c1=None, member=None):
        assert labels is None
        code = c1 if c1 is not None else member
        self.asked.append((None if member is None else "member", code))
        assert len(code) == n
        assert code.dtype == torch.int64
        numbers = torch.arange(n) + seed % 2**16 * 2**12
        return pictures(self.classes[code], code, torch.full((n,), 250), numbers), None
