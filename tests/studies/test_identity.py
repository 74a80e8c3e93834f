"""How a study recognizes another classifier or transform."""

import random
from functools import partial

import pytest
import torch
from torch import nn
from torchvision.transforms import v2

from genaug.studies import OnBatches
from genaug.studies.identity import describe_classic, describe_classifier

IMAGES = torch.randint(0, 256, (20, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(20) % 4


def factory(shape, num_classes, bias=True, drop=0.0):
    return nn.Sequential(nn.Flatten(), nn.Dropout(drop), nn.Linear(64, num_classes, bias=bias))


class Jitter:
    def __init__(self, by):
        self.by = by

    def __call__(self, image):
        return (image + self.by * torch.rand(())).clamp(0, 255).to(torch.uint8)


def description(classic):
    return describe_classic(classic, IMAGES, LABELS)


@pytest.mark.parametrize(
    "options", [({"bias": True}, {"bias": False}), ({"drop": 0.1}, {"drop": 0.2})], ids=["weights", "no weights"]
)
def test_factories_of_different_classifiers_differ(options):
    first, second = (describe_classifier(partial(factory, **o), (1, 8, 8), 4) for o in options)
    assert first != second
    assert first == describe_classifier(partial(factory, **options[0]), (1, 8, 8), 4)
    assert " at 0x" not in first
    assert describe_classifier("small", (1, 8, 8), 4) == "small"


def test_lambdas_are_distinguished_by_their_results():
    ours, theirs = (lambda s, c: factory(s, c)), (lambda s, c: factory(s, c, bias=False))
    assert describe_classifier(ours, (1, 8, 8), 4) != describe_classifier(theirs, (1, 8, 8), 4)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (lambda: Jitter(10), lambda: Jitter(90)),
        (lambda: v2.RandomApply([v2.RandomRotation(20)], 0.2), lambda: v2.RandomApply([v2.RandomRotation(20)], 0.9)),
        (lambda: lambda image: image, lambda: lambda image: image.flip(-1)),
        (lambda: OnBatches(v2.CutMix(num_classes=4)), lambda: OnBatches(v2.MixUp(num_classes=4))),
        (lambda: v2.Compose([Jitter(5), v2.RandomRotation(5)]), lambda: v2.Compose([Jitter(5), v2.RandomRotation(90)])),
    ],
    ids=["state", "probability", "lambdas", "batches", "composed"],
)
def test_different_transforms_differ(first, second):
    assert description(first()) == description(first()), "two equal instances"
    assert description(first()) != description(second())


def test_the_global_random_states_are_unchanged():
    random.seed(3)
    torch.manual_seed(3)
    expected = random.random(), float(torch.rand(()))
    random.seed(3)
    torch.manual_seed(3)
    description(lambda image: image + random.randint(0, 3))
    assert (random.random(), float(torch.rand(()))) == expected


def test_a_transform_with_its_own_random_numbers_is_identified_by_its_name_only():
    own = random.Random(0)

    def flicker(image):
        return (image * own.random()).to(torch.uint8)

    assert description(flicker).endswith("flicker>")
