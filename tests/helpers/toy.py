"""A task that takes no time: classes are bright columns in noise, the classifier is linear."""

import torch
from torch import nn

from genaug.backends import Spec
from genaug.modalities.image import Image

SHAPE = (1, 4, 4)
CLASSES = 3


def draw(labels, noise, generator):
    images = noise * torch.rand(len(labels), *SHAPE, generator=generator)
    images[torch.arange(len(labels)), 0, :, labels] += 0.25
    return (images.clamp(0, 1) * 255).round().to(torch.uint8)


class ToySet(torch.utils.data.Dataset):
    """``per_class`` images of each class, of another ``seed`` for another set."""

    def __init__(self, per_class, seed, noise=0.6, classes=CLASSES):
        self.targets = [label for _ in range(per_class) for label in range(classes)]
        self.classes = [f"column {c}" for c in range(classes)]
        self.images = draw(torch.tensor(self.targets), noise, torch.Generator().manual_seed(seed))

    def __len__(self):
        return len(self.targets)

    def __getitem__(self, index):
        return self.images[index], self.targets[index]


class ToySource:
    """Images of the wanted classes; ``shift`` makes them of wrong ones, ``fails_after`` makes it break."""

    def __init__(self, shift=0, noise=0.6, fails_after=None):
        self.spec = Spec(sample=Image(*SHAPE), classes=CLASSES)
        self.shift, self.noise, self.fails_after, self.calls = shift, noise, fails_after, 0

    def sample(self, n=None, *, labels=None, seed=None):
        self.calls += 1
        if self.fails_after is not None and self.calls > self.fails_after:
            raise RuntimeError("the network exploded.")
        generator = torch.Generator().manual_seed(seed % 2**62)
        if labels is None:
            labels = torch.arange(n) % CLASSES
        return draw((labels + self.shift) % CLASSES, self.noise, generator), labels


class Linear(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.layer = nn.Linear(inputs, outputs)

    def forward(self, images):
        return self.layer(images.flatten(1))


def linear(shape, num_classes):
    return Linear(shape[0] * shape[1] * shape[2], num_classes)


def broken_model(shape, num_classes):
    raise RuntimeError("no such model")
