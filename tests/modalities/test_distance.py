"""Distances within classes, against a brute-force version."""

import itertools

import pytest
import torch

from genaug.errors import InputError
from genaug.modalities.distance import first_per_class, pair_distance, within_class_distance


def images_of(n, shape=(3, 5, 4), seed=0):
    return torch.randint(0, 256, (n, *shape), generator=torch.Generator().manual_seed(seed)).to(torch.uint8)


def brute_force(images, labels):
    means = []
    for label in sorted(set(labels.tolist())):
        members = [image.double() / 255 for image, own in zip(images, labels, strict=True) if own == label]
        pairs = [float((a - b).square().sum().sqrt()) for a, b in itertools.combinations(members, 2)]
        if pairs:
            means.append(sum(pairs) / len(pairs))
    return sum(means) / len(means)


@pytest.mark.parametrize("seed", range(3))
def test_brute_force(seed):
    images, labels = images_of(25, seed=seed), torch.randint(0, 4, (25,), generator=torch.Generator().manual_seed(seed))
    assert within_class_distance(images, labels) == pytest.approx(brute_force(images, labels), rel=1e-4)


def test_classes_have_equal_weight_and_single_images_are_left_out():
    images, labels = images_of(12), torch.tensor([0] * 9 + [5] * 2 + [7])
    assert within_class_distance(images, labels) == pytest.approx(brute_force(images, labels), rel=1e-4)


def test_a_copier_scores_zero():
    one = images_of(3)
    assert within_class_distance(one.repeat_interleave(4, 0), torch.arange(3).repeat_interleave(4)) == 0


def test_black_and_white_are_farthest_apart():
    images = torch.stack([torch.zeros(1, 3, 3), torch.full((1, 3, 3), 255.0)]).to(torch.uint8)
    assert within_class_distance(images, torch.tensor([2, 2])) == pytest.approx(3)


@pytest.mark.parametrize("labels", [[0, 1, 2], []])
def test_no_class_with_two_images(labels):
    with pytest.raises(InputError, match="no class has two images"):
        within_class_distance(images_of(len(labels)), torch.tensor(labels, dtype=torch.int64))


def test_first_per_class():
    labels = torch.tensor([2, 0, 2, 2, 0, 5])
    assert first_per_class(labels, 2).tolist() == [1, 4, 0, 2, 5]
    assert first_per_class(labels, 1).tolist() == [1, 0, 5]


def test_pair_distance():
    a, b = images_of(6), images_of(6, seed=1)
    by_hand = sum(float(((x.double() - y.double()) / 255).square().sum().sqrt()) for x, y in zip(a, b, strict=True)) / 6
    assert pair_distance(a, b) == pytest.approx(by_hand, rel=1e-5)
    assert pair_distance(a, a) == 0
