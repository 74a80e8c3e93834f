"""Classifier-based scores: train on generated and test on real images, and the reverse (Ravuri and Vinyals 2019;
Shmelkov et al. 2018, GAN-train and GAN-test)."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from genaug.evaluation.arrays import Interval, normal_interval
from genaug.randomness import mix
from genaug.studies.classifier import Augment, SmallCNN, new_classifier, shuffled_batches, train_classifier

WIDTH, BATCH, LEARNING_RATE = 16, 128, 2e-3


def train_scorer(
    images: Tensor,
    labels: Tensor,
    num_classes: int,
    *,
    updates: int,
    seed: int,
    device: torch.device,
    augment: Augment | None = None,
) -> SmallCNN:
    """A small classifier trained on uint8 images (N, C, H, W) and int64 labels (N,): Adam, 128 images an update, each
    batch changed by ``augment`` as ``train_classifier`` has it."""
    channels, height, width = images.shape[1:]
    model = new_classifier((channels, height, width), num_classes, seed, WIDTH).to(device)
    data = shuffled_batches(images, labels, BATCH, mix(seed, "order"))
    train_classifier(model, data, updates=updates, seed=seed, augment=augment, lr=LEARNING_RATE)
    return model


def share_interval(shares: Sequence[float], count: int) -> Interval:
    """95 % interval of the mean of shares of ``count`` images, one share for each of several trained classifiers.

    The squared standard error is p (1 - p) / count, with two successes and two failures added (Agresti and Coull
    1998), for the images, and the variance over the classifiers over their number, for the training.
    """
    mean = sum(shares) / len(shares)
    p = (mean * count + 2) / (count + 4)
    training = 0.0
    if len(shares) > 1:
        training = sum((share - mean) ** 2 for share in shares) / (len(shares) - 1) / len(shares)
    return normal_interval(mean, math.sqrt(p * (1 - p) / count + training))
