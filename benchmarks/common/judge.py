"""Classifiers trained on real images, which judge generated ones, and classifiers trained on generated images alone."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from genaug.data import load_data
from genaug.data.reading import Samples, read_samples
from genaug.evaluation.features import Features, classifier_features
from genaug.evaluation.scores import BATCH, LEARNING_RATE, WIDTH
from genaug.nn.classifier import (
    Augment,
    SmallCNN,
    accuracy,
    batches,
    new_classifier,
    shuffled_batches,
    train_classifier,
)
from genaug.randomness import derive_seed

Batches = Iterable[tuple[Tensor, Tensor]]


def read(data: str, root: str | Path | None, size: int | None = None) -> tuple[Samples, Samples]:
    """The training and the test set, uint8 images and labels.

    ``data`` is named as in ``load_data``, or "cifar10": class folders in ``root``, if it has train/, or torchvision's.
    """
    if data == "cifar10":
        folders = root is not None and (Path(root) / "train").is_dir()
        data = f"folder:{root}" if folders else "torchvision:CIFAR10"
    train, test = (read_samples(load_data(data, split=split, root=root), size) for split in ("train", "test"))
    return train, test


def labelled(data: Samples) -> tuple[Tensor, Tensor]:
    """Images uint8 (N, C, H, W) and labels int64 (N,)."""
    assert data.labels is not None
    return data.x, data.labels


def train_judge(
    images: Tensor,
    labels: Tensor,
    num_classes: int,
    *,
    updates: int,
    seed: int,
    order: Batches | None = None,
    model: SmallCNN | None = None,
    lr: float = LEARNING_RATE,
    augment: Augment | None = None,
) -> SmallCNN:
    """A small classifier of uint8 images (N, C, H, W) and int64 labels (N,), on the CPU.

    By default it is the classifier of ``genaug.evaluate``. ``order`` (batches), ``model`` (initial weights) and ``lr``
    are for scripts whose records were made with others.
    """
    if model is None:
        channels, height, width = images.shape[1:]
        model = new_classifier((channels, height, width), num_classes, seed, WIDTH)
    if order is None:
        order = shuffled_batches(images, labels, BATCH, derive_seed(seed, "order"))
    train_classifier(model, order, updates=updates, seed=seed, augment=augment, lr=lr)
    return model


def loaded(images: Tensor, labels: Tensor, size: int, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Endless full batches in the order of a shuffling DataLoader."""
    order = torch.Generator().manual_seed(seed)
    pairs = TensorDataset(images, labels)
    return batches(DataLoader(pairs, size, shuffle=True, drop_last=True, generator=order))


@dataclass(frozen=True)
class Judge:
    """A classifier of real images, its accuracy on the real test set, its features, and those of that test set."""

    model: SmallCNN
    accuracy: float
    features: Features
    real: Tensor


def judge_of(model: SmallCNN, train: Tensor, test: Tensor, test_labels: Tensor) -> Judge:
    """The judge for a classifier that was trained on the images ``train``."""
    features = classifier_features(model, "the real training set", train)
    return Judge(model, accuracy(model, test, test_labels), features, features.of(test))
