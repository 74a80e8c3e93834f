"""A small classifier and one way to train it, the same for every arm of a comparison."""

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genaug.device import torch_defaults
from genaug.errors import InputError, TrainingError
from genaug.modalities.image import to_float
from genaug.randomness import check_seed, derive_seed

# Float images (N, C, H, W) in [0, 1] and a CPU generator to draw from, to images of the same shape.
Augment = Callable[[Tensor, torch.Generator], Tensor]


class Losses(NamedTuple):
    """Training losses in nats, means over a tenth of the updates: those that end at 60 % of them, and the last."""

    earlier: float
    last: float


class SmallCNN(nn.Module):
    """Blocks of two 3x3 convolutions and a halving, until the image is 4 or fewer pixels wide, then two linear layers.

    Takes float images (N, C, H, W) in [0, 1] of any size and gives logits (N, num_classes). No batch normalisation:
    it would carry the share of generated images in a training batch over into testing.
    """

    def __init__(self, shape: tuple[int, ...], num_classes: int, width: int = 32) -> None:
        super().__init__()
        channels, side = shape[0], max(shape[1:])
        layers: list[nn.Module] = []
        while not layers or side > 4:
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
            layers += [nn.Conv2d(width, width, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2, ceil_mode=True)]
            channels, side, width = width, -(-side // 2), min(2 * width, 128)
        cells = 4 if side > 2 else 2
        self.features = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(cells), nn.Flatten())
        self.head = nn.Sequential(nn.Linear(channels * cells**2, 128), nn.ReLU(), nn.Linear(128, num_classes))

    def forward(self, images: Tensor) -> Tensor:
        return self.head[-1](self.embed(images))  # type: ignore[no-any-return]

    def embed(self, images: Tensor) -> Tensor:
        """The penultimate layer, after its ReLU: (N, 128)."""
        return self.head[:-1](self.features(images * 2 - 1))  # type: ignore[no-any-return]


@torch_defaults()
def new_classifier(shape: tuple[int, ...], num_classes: int, seed: int, width: int = 32) -> SmallCNN:
    """A freshly initialised classifier: the same weights for the same seed, whatever ran before."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(check_seed(seed), "classifier"))
        return small_cnn(shape, num_classes, width)


def small_cnn(shape: tuple[int, ...], num_classes: int, width: int) -> SmallCNN:
    """Initialised from torch's global generator, in the channels-last layout, as the engine's networks are."""
    return SmallCNN(shape, num_classes, width).to(memory_format=torch.channels_last)


def batches(loader: Iterable[Any], set_epoch: Callable[[int], None] | None = None) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches without end: the loader again and again, ``set_epoch`` called before each time.

    Raises ``InputError`` where the loader gives no batch.
    """
    epoch = 0
    while True:
        if set_epoch is not None:
            set_epoch(epoch)
        empty = True
        for images, labels, *_ in loader:
            empty = False
            yield images, labels
        if empty:
            raise InputError("the loader gives no batch: the data set is smaller than one batch, or empty.")
        epoch += 1


def shuffled_batches(images: Tensor, labels: Tensor, size: int, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Full batches without end of images in memory, in an order that depends on the seed only.

    Where there are fewer images than ``size``, every batch is all of them. Raises ``InputError`` for no images.
    """
    if len(images) == 0:
        raise InputError("there are no images to train a classifier on.")
    size = min(size, len(images))
    draws = torch.Generator().manual_seed(check_seed(seed))
    while True:
        for rows in torch.randperm(len(images), generator=draws).split(size)[: len(images) // size]:
            yield images[rows], labels[rows]


@torch_defaults()
def train_classifier(
    model: nn.Module,
    data: Iterable[tuple[Tensor, Tensor]],
    *,
    updates: int,
    seed: int,
    augment: Augment | None = None,
    lr: float = 1e-3,
) -> Losses:
    """Train a classifier in place for a fixed number of updates (Adam, cosine schedule to zero, cross-entropy).

    ``data`` gives (images, labels) batches: uint8 in [0, 255] or float in [0, 1], (N, C, H, W), and int64 (N,).
    ``augment`` changes every batch; it draws from a generator of its own, seeded by ``seed``. Returns the training
    loss late and at the end, which tell whether it was still falling. Gradients are on, whatever the caller has
    switched off.

    Raises ``InputError`` if ``data`` ends too early, ``TrainingError`` if the loss is no longer finite at the end.
    """
    draws = torch.Generator().manual_seed(derive_seed(check_seed(seed), "augment"))
    device = next(model.parameters()).device
    optimizer = torch.optim.Adam(model.parameters(), lr=lr, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, updates)
    source = iter(data)
    losses = []
    model.train()
    for update in range(updates):
        try:
            images, labels = next(source)
        except StopIteration:
            raise InputError(f"the data ended after {update} of {updates} updates.") from None
        images = as_unit(images)
        if augment is not None:
            images = augment(images, draws)
        loss = F.cross_entropy(model(images.to(device)), labels.to(device))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.detach())
    model.eval()
    window, cut = max(1, updates // 10), math.ceil(0.6 * updates)
    curve = torch.stack(losses)
    last = float(curve[-window:].mean())
    if not math.isfinite(last):
        raise TrainingError(
            f"the classifier's training diverged: after {updates:,} updates its loss is {last}, so whatever it would "
            "predict means nothing. Lower its learning rate, and look for NaN among its images."
        )
    return Losses(float(curve[max(0, cut - window) : cut].mean()), last)


def accuracy(model: nn.Module, images: Tensor, labels: Tensor, chunk: int = 1024) -> float:
    """The share, in [0, 1], of images (uint8 or float in [0, 1], (N, C, H, W)) that the model labels rightly."""
    if len(images) == 0 or len(images) != len(labels):
        raise InputError(
            f"accuracy needs as many labels as images and at least one, got {len(images)} and {len(labels)}."
        )
    return int((predict(model, images, chunk) == labels.cpu()).sum()) / len(images)


@torch.inference_mode()
def predict(model: nn.Module, images: Tensor, chunk: int = 1024) -> Tensor:
    """The label, int64 (N,) on the CPU, that the model gives each image (uint8 or float in [0, 1], (N, C, H, W)).

    Raises ``TrainingError`` if the model's outputs aren't finite: the label would always be the same one.
    """
    model.eval()
    device = next(model.parameters()).device
    labels = []
    for part in images.split(chunk):
        logits = model(as_unit(part).to(device))
        if not bool(torch.isfinite(logits).all()):
            raise TrainingError(
                "the classifier gives NaN or infinity, so it has no label for these images: its training diverged. "
                "Lower its learning rate, and look for NaN among its images."
            )
        labels.append(logits.argmax(1).cpu())
    return torch.cat(labels)


def as_unit(images: Tensor) -> Tensor:
    """uint8 in [0, 255] as float32 in [0, 1]; floats as they are."""
    return to_float(images) if images.dtype == torch.uint8 else images.float()
