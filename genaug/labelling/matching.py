"""Which class each category of a latent stands for: an assignment problem."""

import numpy as np
import torch
from torch import Tensor

from genaug.data.apportion import Ints

UNUSED = -1


def match_categories(counts: Ints) -> Ints:
    """A class for each category, int64 (categories,), from ``counts[k, c]`` images of class c found in category k.

    Every class gets at least one category; among all such ways it is one in which most images fall into a category
    of their class. With as many categories as classes that is the assignment problem; the further categories go to the
    class that most of their images have, which makes it one with a column for each class and a free one for each
    further category. A further category without any image is ``UNUSED``.

    There must be at least as many categories as classes.
    """
    from scipy.optimize import linear_sum_assignment

    categories, classes = counts.shape
    free = np.repeat(counts.max(axis=1, keepdims=True), categories - classes, axis=1)
    rows, columns = linear_sum_assignment(np.concatenate([counts, free], axis=1), maximize=True)
    majority = np.where(counts.sum(axis=1) > 0, counts.argmax(axis=1), UNUSED)
    matched: Ints = np.where(columns < classes, columns, majority[rows]).astype(np.int64)
    return matched


def tabulate(found: Tensor, labels: Tensor, categories: int, classes: int) -> Ints:
    """How many images of each class, int64 ``labels`` (N,), fall into each category, ``found`` (N,)."""
    counts: Ints = torch.bincount(found * classes + labels, minlength=categories * classes).numpy()
    return counts.reshape(categories, classes)


def count_wrong(
    found: Tensor, labels: Tensor, held_out: list[Tensor], categories: int, classes: int
) -> tuple[int, int]:
    """How many held-out images are labelled by their category, and how many of these wrongly, cross-fitted.

    Each fold is judged by the matching that the other folds give.
    """
    judged = wrong = 0
    for here in held_out:
        match = torch.from_numpy(match_categories(tabulate(found[~here], labels[~here], categories, classes)))
        given = match[found[here]]
        judged += int((given != UNUSED).sum())
        wrong += int(((given != UNUSED) & (given != labels[here])).sum())
    return judged, wrong
