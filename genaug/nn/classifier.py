"""A small classifier and its training, the same for every arm of a comparison."""

import math
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import count, islice
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genaug.device import torch_defaults
from genaug.errors import InputError, TrainingError
from genaug.modalities.image import to_float
from genaug.randomness import check_seed, derive_seed

# Float images (N, C, H, W) in [0, 1] and a CPU random generator, to images of the same shape.
Augment = Callable[[Tensor, torch.Generator], Tensor]


class Losses(NamedTuple):
    """Training losses in nats, averaged over a tenth of the updates: those that end at 60% of them, and the last."""

    earlier: float
    last: float


class SmallCNN(nn.Module):
    """Blocks of two convolutions and a halving, until the image is at most 4 pixels wide, then two linear layers.

    Float images (N, C, H, W) in [0, 1] of any size to logits (N, num_classes), with 3x3 kernels; or, if the shape has
    two dimensions, encoded series (N, C, steps), with kernels of 5 steps, until at most 4 are left. There is no batch
    normalization: its statistics would depend on the share of generated samples in training. More than three blocks,
    of samples longer than 32 pixels or steps, are initialized after He et al. 2015, section 2.2: with torch's weights
    each layer makes features smaller, and the twelve layers of 150 steps would hardly learn.
    """

    def __init__(self, shape: tuple[int, ...], num_classes: int, width: int = 32) -> None:
        super().__init__()
        channels, side = shape[0], max(shape[1:])
        self.is_for_images = len(shape) == 3
        conv: Any = partial(nn.Conv2d, kernel_size=3, padding=1)
        halve: Any = nn.MaxPool2d
        average: Any = nn.AdaptiveAvgPool2d
        if not self.is_for_images:
            conv = partial(nn.Conv1d, kernel_size=5, padding=2)
            halve, average = nn.MaxPool1d, nn.AdaptiveAvgPool1d
        layers: list[nn.Module] = []
        blocks = 0
        while not blocks or side > 4:
            layers += [conv(channels, width), nn.ReLU(), conv(width, width), nn.ReLU(), halve(2, ceil_mode=True)]
            channels, side, width, blocks = width, -(-side // 2), min(2 * width, 128), blocks + 1
        cells = 4 if side > 2 else 2
        self.features = nn.Sequential(*layers, average(cells), nn.Flatten())
        self.head = nn.Sequential(
            nn.Linear(channels * cells ** (len(shape) - 1), 128), nn.ReLU(), nn.Linear(128, num_classes)
        )
        for layer in self.modules():
            if blocks > 3 and isinstance(layer, (nn.Conv1d, nn.Conv2d, nn.Linear)):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def forward(self, images: Tensor) -> Tensor:
        return self.head[-1](self.embed(images))  # type: ignore[no-any-return]

    def embed(self, images: Tensor) -> Tensor:
        """The penultimate layer, after its ReLU: (N, 128)."""
        return self.head[:-1](self.features(images * 2 - 1 if self.is_for_images else images))  # type: ignore[no-any-return]


@torch_defaults()
def new_classifier(shape: tuple[int, ...], num_classes: int, seed: int, width: int = 32) -> SmallCNN:
    """A freshly initialized classifier; its weights depend only on the seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(check_seed(seed), "classifier"))
        return small_cnn(shape, num_classes, width)


def small_cnn(shape: tuple[int, ...], num_classes: int, width: int) -> SmallCNN:
    """Initialized from torch's global generator, and for images in the channels-last layout, like the trainer's
    networks; for series of twice the width, since their kernels are smaller."""
    if len(shape) == 2:
        return SmallCNN(shape, num_classes, 2 * width)
    return SmallCNN(shape, num_classes, width).to(memory_format=torch.channels_last)


def batches(loader: Iterable[Any], set_epoch: Callable[[int], None] | None = None) -> Iterator[tuple[Tensor, Tensor]]:
    """Endless batches: the loader is repeated, and ``set_epoch`` is called before each epoch.

    Raises ``InputError`` if the loader yields no batch.
    """
    for epoch in count():
        if set_epoch is not None:
            set_epoch(epoch)
        empty = True
        for images, labels, *_ in loader:
            empty = False
            yield images, labels
        if empty:
            raise InputError("the loader yields no batch: the data set is empty or smaller than one batch.")


def shuffled_batches(images: Tensor, labels: Tensor, size: int, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Endless full batches of images in memory, in an order that depends only on the seed.

    If there are fewer images than ``size``, every batch has all of them. Raises ``InputError`` if there are none.
    """
    if len(images) == 0:
        raise InputError("there are no images to train a classifier on.")
    size = min(size, len(images))
    rng = torch.Generator().manual_seed(check_seed(seed))
    while True:
        for rows in torch.randperm(len(images), generator=rng).split(size)[: len(images) // size]:
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
    class_weights: Tensor | None = None,
) -> Losses:
    """Train a classifier in place for a fixed number of updates (Adam, cosine schedule to zero, cross-entropy).

    ``data`` yields (images, labels) batches: uint8 in [0, 255] or float in [0, 1], (N, C, H, W), and int64 (N,).
    ``augment`` changes every batch, with its own random generator, seeded by ``seed``. ``class_weights`` (classes,)
    weight the loss of each class. Returns the late and the final
    training loss, which show whether it was still falling. Works inside ``torch.no_grad`` too.

    Raises ``InputError`` if ``data`` ends too early, ``TrainingError`` if the loss is no longer finite at the end.
    """
    rng = torch.Generator().manual_seed(derive_seed(check_seed(seed), "augment"))
    device = next(model.parameters()).device
    weights = None if class_weights is None else class_weights.to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=lr, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, updates)
    losses = []
    model.train()
    for images, labels in islice(data, updates):
        images = as_unit(images)
        if augment is not None:
            images = augment(images, rng)
        loss = F.cross_entropy(model(images.to(device)), labels.to(device), weight=weights)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.detach())
    if len(losses) < updates:
        raise InputError(f"the data ended after {len(losses)} of {updates} updates.")
    model.eval()
    window, cut = max(1, updates // 10), math.ceil(0.6 * updates)
    curve = torch.stack(losses)
    last = float(curve[-window:].mean())
    if not math.isfinite(last):
        raise TrainingError(
            f"the classifier's training diverged: after {updates:,} updates its loss is {last}, so its "
            "predictions are meaningless. Lower its learning rate, and check its images for NaN."
        )
    return Losses(float(curve[max(0, cut - window) : cut].mean()), last)


def accuracy(model: nn.Module, images: Tensor, labels: Tensor, chunk: int = 1024) -> float:
    """The share, in [0, 1], of images (uint8 or float in [0, 1], (N, C, H, W)) that the model labels correctly."""
    return int((predict(model, images, chunk) == labels.cpu()).sum()) / len(images)


def predict(model: nn.Module, images: Tensor, chunk: int = 1024) -> Tensor:
    """The predicted labels, int64 (N,) on the CPU, of images (uint8 or float in [0, 1], (N, C, H, W)).

    Raises ``TrainingError`` if the model's outputs aren't finite: the label would always be the same.
    """
    return logits_of(model, images, chunk).argmax(1)


@torch.inference_mode()
def logits_of(
    model: nn.Module, images: Tensor, chunk: int = 1024, inputs: Callable[[Tensor], Tensor] | None = None
) -> Tensor:
    """The logits, float32 (N, classes) on the CPU, of images as ``predict`` takes them, or of other raw samples, which
    ``inputs`` turns into what the model takes. Raises its errors."""
    inputs = inputs or as_unit
    model.eval()
    device = next((tensor.device for tensor in model.parameters()), torch.device("cpu"))
    parts = []
    for part in images.split(chunk):
        logits = model(inputs(part).to(device))
        if not bool(torch.isfinite(logits).all()):
            raise TrainingError(
                "the classifier's outputs are NaN or infinite, so its training diverged. Lower its learning rate, and "
                "check its images for NaN."
            )
        parts.append(logits.float().cpu())
    return torch.cat(parts)


def as_unit(images: Tensor) -> Tensor:
    """uint8 in [0, 255] as float32 in [0, 1]; floats as float32."""
    return to_float(images) if images.dtype == torch.uint8 else images.float()
