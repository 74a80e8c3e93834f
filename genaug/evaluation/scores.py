"""Classifier-based scores: trained on generated and tested on real images, and the reverse (Ravuri and Vinyals 2019;
Shmelkov et al. 2018, GAN-train and GAN-test)."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from genaug.evaluation.arrays import Interval, Z
from genaug.nn.classifier import Augment, SmallCNN, new_classifier, shuffled_batches, train_classifier
from genaug.randomness import derive_seed

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
    """Train a small classifier on uint8 images (N, C, H, W), or encoded series (N, C, steps), and int64 labels (N,),
    with Adam and 128 samples per update.

    ``augment`` is passed to ``train_classifier``.
    """
    model = new_classifier(tuple(images.shape[1:]), num_classes, seed, WIDTH).to(device)
    batches = shuffled_batches(images, labels, BATCH, derive_seed(seed, "order"))
    train_classifier(model, batches, updates=updates, seed=seed, augment=augment, lr=LEARNING_RATE)
    return model


def share_interval(shares: Sequence[float], count: int) -> Interval:
    """95% interval of the mean of shares of ``count`` images, one share per trained classifier.

    The error has two parts. The squared standard error due to the images is p (1 - p) / count, with two successes and
    two failures added (Agresti and Coull 1998); it is a function of the mean and taken as known, so its quantile is the
    normal one. That due to training is the variance between the k classifiers divided by k, estimated with only k - 1
    degrees of freedom (two by default), so its quantile is Student's. The margins are added in quadrature:
    sqrt(z² images + t² training), Student's interval if training dominates and the normal one if the images do.

    Welch and Satterthwaite's degrees of freedom for the sum would put the estimated variance into the quantile as well,
    and are too large exactly if that was estimated too small: with three classifiers their intervals cover the truth in
    92% to 95% of cases, these in 95% or more. A single classifier says nothing about training: its interval is that of
    the images.
    """
    mean = sum(shares) / len(shares)
    p = (mean * count + 2) / (count + 4)
    return interval_over_models(shares, Z**2 * p * (1 - p) / count)


def interval_over_models(values: Sequence[float], squared_margin: float) -> Interval:
    """95% interval of the mean of one score per trained model, whose margin due to the test samples has this square;
    see ``share_interval`` for how that due to training is added."""
    from scipy.stats import t

    mean = sum(values) / len(values)
    if len(values) > 1:
        training = sum((value - mean) ** 2 for value in values) / (len(values) - 1) / len(values)
        squared_margin += float(t.ppf(0.975, len(values) - 1)) ** 2 * training
    return Interval(mean - math.sqrt(squared_margin), mean + math.sqrt(squared_margin))
