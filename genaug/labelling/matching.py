"""The class that each category of a latent stands for: an assignment problem."""

import numpy as np
import torch
from torch import Tensor

from genaug.data.apportion import Ints

UNUSED = -1


def match_categories(counts: Ints) -> Ints:
    """A class for each category, int64 (categories,), from ``counts[k, c]``, the images of class c in category k.

    Every class gets at least one category; among all such matchings, it is one in which the most images fall into a
    category of their class. With as many categories as classes this is the assignment problem. Extra categories go to
    the class of most of their images, which makes it one with a column per class and a free column per extra category.
    An extra category without any image is ``UNUSED``.

    There must be at least as many categories as classes.
    """
    from scipy.optimize import linear_sum_assignment

    categories, classes = counts.shape
    free = np.repeat(counts.max(axis=1, keepdims=True), categories - classes, axis=1)
    rows, columns = linear_sum_assignment(np.concatenate([counts, free], axis=1), maximize=True)
    majority = np.where(counts.sum(axis=1) > 0, counts.argmax(axis=1), UNUSED)
    matched: Ints = np.where(columns < classes, columns, majority[rows]).astype(np.int64)
    return matched


def tabulate(codes: Tensor, labels: Tensor, categories: int, classes: int) -> Ints:
    """The number of images of each class, int64 ``labels`` (N,), in each category, int64 ``codes`` (N,)."""
    counts: Ints = torch.bincount(codes * classes + labels, minlength=categories * classes).numpy()
    return counts.reshape(categories, classes)


def count_wrong(
    codes: Tensor, labels: Tensor, held_out: list[Tensor], categories: int, classes: int
) -> tuple[int, int]:
    """The number of held-out images that their category labels, and of those that it labels wrongly, cross-fitted.

    Each fold is judged by the matching of the other folds.
    """
    predicted = torch.full_like(labels, UNUSED)
    for fold in held_out:
        match = torch.from_numpy(match_categories(tabulate(codes[~fold], labels[~fold], categories, classes)))
        predicted[fold] = match[codes[fold]]
    judged = predicted != UNUSED
    return int(judged.sum()), int((judged & (predicted != labels)).sum())
