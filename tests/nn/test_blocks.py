"""The convolutional building blocks."""

import itertools

import pytest
import torch
from torch.nn.functional import leaky_relu

from genaug.nn.blocks import (
    SLOPE,
    ConvFeatures,
    ConvGenerator,
    ProjectionDiscriminator,
    Stem,
    Trunk,
    stage_sizes,
    stage_widths,
)


def test_sizes_of_feature_maps():
    assert stage_sizes(28, 28) == [(7, 7), (14, 14), (28, 28)]
    assert stage_sizes(27, 27) == [(7, 7), (14, 14), (27, 27)]
    assert stage_sizes(7, 300) == [(7, 300)]
    assert stage_sizes(1, 1) == [(1, 1)]
    for height, width in itertools.product(range(1, 70, 3), repeat=2):
        sizes = stage_sizes(height, width)
        assert sizes[-1] == (height, width)
        assert 1 <= min(sizes[0]) <= 7
        assert all(2 * a >= b and 2 * c >= d for (a, c), (b, d) in itertools.pairwise(sizes))


def test_widths_double_at_each_halving_up_to_the_widest():
    assert stage_widths(4, 32, 256) == [256, 128, 64, 32]
    assert stage_widths(4, 32, 100) == [100, 100, 64, 32]
    assert stage_widths(1, 32, 16) == [16]


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 8, 8), (1, 27, 27), (2, 13, 40), (3, 64, 64)])
@pytest.mark.parametrize("classes", [0, 3])
def test_images_of_any_shape_both_ways(shape, classes):
    labels = torch.arange(5) % 3 if classes else None
    images = ConvGenerator(shape, classes, 6, 4, 16)(torch.randn(5, 6), labels)
    assert images.shape == (5, *shape)
    assert float(images.detach().abs().max()) <= 1
    body = ConvFeatures(shape, 4, 16)
    assert body(images).shape == (5, body.width)


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 13, 40)])
def test_features_and_to_image_are_the_complete_generator(shape):
    torch.manual_seed(0)
    generator, z, labels = ConvGenerator(shape, 3, 6, 4, 16), torch.randn(5, 6), torch.arange(5) % 3
    x = generator.stem(z, labels)
    for stage in generator.stages:
        x = stage(leaky_relu(x, SLOPE), labels)
    assert torch.equal(generator.features(z, labels), x)
    assert torch.equal(generator(z, labels), generator.image(leaky_relu(x, SLOPE)).tanh())
    assert torch.equal(generator(z, labels), generator.to_image(x))


@pytest.mark.parametrize("size", [10.0, 1000.0])
def test_the_label_does_not_reduce_the_latents_share(size):
    torch.manual_seed(0)
    stem, z = Stem(6, 3, 5, (4, 4)), torch.randn(90, 6)
    assert stem.maps is not None
    stem.maps.weight.data.uniform_(size, 2 * size)
    by_class = stem(z, torch.arange(90) % 3).detach().unflatten(0, (-1, 3))
    within = (by_class - by_class.mean(0)).var((0, 1, 3, 4), correction=0)
    assert float(within.min()) > 0.7  # of the 1 after normalization
    assert not torch.allclose(by_class[:, 0].mean(0), by_class[:, 1].mean(0), atol=1)


@pytest.mark.parametrize("shape", [(1, 14, 14), (2, 13, 40), (3, 28, 28)])
def test_all_features_but_those_next_to_the_image_are_normalized(shape):
    torch.manual_seed(0)
    body, images = ConvFeatures(shape, 4, 16, normalized=True), torch.rand(6, *shape)
    body.convs[0].weight.data *= 100  # next to which the norm's epsilon is nothing
    before = body(images)
    assert len(body.convs) > 1
    for conv in body.convs[1:]:
        assert conv.bias is None
        conv.weight.data *= 10
    assert torch.allclose(body(images), before, atol=1e-2)
    assert body.eval()(images[:1]).shape == (1, body.width)


@pytest.mark.parametrize("classes", [0, 3])
def test_each_score_depends_only_on_its_own_image_and_label(classes):
    torch.manual_seed(0)
    critic, images = ProjectionDiscriminator((1, 8, 8), classes, 4, 8), torch.rand(6, 1, 8, 8)
    labels = torch.arange(6) % 3 if classes else None
    scores = critic(images, labels)
    assert scores.shape == (6, 1)
    alone = [critic(images[i : i + 1], None if labels is None else labels[i : i + 1]) for i in range(6)]
    assert torch.allclose(scores, torch.cat(alone), atol=1e-5)


@pytest.mark.parametrize("classes", [0, 3])
def test_feature_maps_stay_in_bfloat16_under_autocast(classes):
    trunk = Trunk(5, classes, [(4, 4), (8, 8)], [8, 4])
    labels = torch.tensor([0, 2, 1]) if classes else None
    with torch.autocast("cpu", torch.bfloat16):
        assert trunk.stem(torch.randn(3, 5), labels).dtype == torch.bfloat16
        assert trunk.features(torch.randn(3, 5), labels).dtype == torch.bfloat16
    assert trunk.features(torch.randn(3, 5), labels).dtype == torch.float32
