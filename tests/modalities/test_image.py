import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import tv_tensors

from genaug.errors import InputError
from genaug.modalities.image import to_float, to_pil, to_uint8


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_every_look_comes_back(channels):
    pixels = torch.randint(0, 256, (channels, 5, 7), dtype=torch.uint8)
    for image in (
        pixels,
        tv_tensors.Image(pixels),
        to_pil(pixels),
        to_float(pixels),
        to_float(pixels, torch.float64),
        pixels.numpy().transpose(1, 2, 0),
    ):
        back = to_uint8(image)
        assert type(back) is torch.Tensor
        assert torch.equal(back, pixels)


def test_other_pil_modes_and_flat_images():
    assert to_uint8(Image.new("1", (4, 3), 1)).tolist() == [[[255] * 4] * 3]
    assert to_uint8(Image.new("P", (4, 3))).shape == (3, 3, 4)
    assert to_uint8(torch.ones(3, 4)).tolist() == [[[255] * 4] * 3]
    assert to_uint8(np.zeros((3, 4), np.uint8)).shape == (1, 3, 4)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (torch.tensor([[-1.0, 1.0]]), "normalised"),
        (torch.tensor([[float("nan"), 1.0]]), "normalised"),
        (torch.tensor([[0.0, 200.0]]), "uint8's range: divide them by 255"),
        (np.zeros((3, 8, 8), np.uint8), r"\(H, W, C\), as arrays have it, .* got one of shape \(3, 8, 8\)"),
        (Image.new("I;16", (4, 3)), "more than 8 bits a channel .*I;16"),
        (Image.new("F", (4, 3)), "more than 8 bits"),
        (torch.zeros(1, 2, 2, dtype=torch.int32), "int32"),
        (torch.zeros(5, 2, 2), "1 to 4 channels"),
        (torch.zeros(1, 1, 2, 2), "1 to 4 channels"),
        (torch.zeros(3, 0, 2), "1 to 4 channels"),
        ("cat.png", "got str"),
    ],
)
def test_what_is_no_image(image, message):
    with pytest.raises(InputError, match=message):
        to_uint8(image)
