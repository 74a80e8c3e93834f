"""Masks, and images with a channel that says which pixels are known."""

import pytest
import torch

from genaug.nn.erasing import DRAWS, KINDS, draw_masks, erased


def draws(count=50):
    return torch.rand(count, DRAWS, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("height", "width"), [(32, 32), (9, 7), (4, 30)])
@pytest.mark.parametrize("area", [0.01, 0.25, 0.9])
def test_masks_cover_about_the_area_and_are_never_empty(kind, height, width, area):
    masks = draw_masks(kind, area, draws(), height, width)
    assert masks.shape == (50, height, width)
    assert masks.dtype == torch.bool
    shares = masks.float().mean((1, 2))
    rounding = 4 * (height + width) / (height * width)
    assert shares.min() > 0
    assert shares.max() <= area + rounding
    if kind != "block":  # blocks may overlap
        assert shares.min() >= area - rounding


def test_the_center_is_the_middle_half_of_each_side():
    (mask,) = draw_masks("center", 0.25, draws(1), 8, 12)
    expected = torch.zeros(8, 12, dtype=torch.bool)
    expected[2:6, 3:9] = True
    assert torch.equal(mask, expected)


@pytest.mark.parametrize("kind", ["block", "random"])
def test_masks_differ_and_depend_on_their_own_numbers_only(kind):
    masks = draw_masks(kind, 0.25, draws(), 16, 16)
    assert len({bytes(mask.numpy()) for mask in masks}) == 50
    assert torch.equal(draw_masks(kind, 0.25, draws()[7:9], 16, 16), masks[7:9])
    assert draw_masks(kind, 0.25, draws(1000), 16, 16).any(0).all(), "every pixel is erased in some image"


def test_erased_pixels_are_0_and_marked():
    images = torch.full((2, 3, 4, 4), 200, dtype=torch.uint8)
    masks = draw_masks("block", 0.3, draws(2), 4, 4)
    result = erased(images, masks)
    assert result.dtype == torch.uint8
    assert torch.equal(result[:, 3], ~masks * torch.tensor(255, dtype=torch.uint8))
    assert torch.equal(result[:, :3], (~masks[:, None] * torch.tensor(200, dtype=torch.uint8)).expand(-1, 3, -1, -1))
