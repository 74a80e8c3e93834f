import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from PIL import Image as Picture
from torchvision import tv_tensors

from genaug.errors import InputError
from genaug.modalities import Image
from genaug.modalities.image import to_float, to_pil, to_uint8
from genaug.modalities.known import MODALITIES, modality_of, parse


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_every_image_format_round_trips(channels):
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
    assert to_uint8(Picture.new("1", (4, 3), 1)).tolist() == [[[255] * 4] * 3]
    assert to_uint8(Picture.new("P", (4, 3))).shape == (3, 3, 4)
    assert to_uint8(torch.ones(3, 4)).tolist() == [[[255] * 4] * 3]
    assert to_uint8(np.zeros((3, 4), np.uint8)).shape == (1, 3, 4)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (torch.tensor([[-1.0, 1.0]]), "normalized"),
        (torch.tensor([[float("nan"), 1.0]]), "normalized"),
        (torch.tensor([[0.0, 200.0]]), "uint8's range: divide them by 255"),
        (np.zeros((3, 8, 8), np.uint8), r"\(H, W, C\), the layout of arrays, .* got one of shape \(3, 8, 8\)"),
        (Picture.new("I;16", (4, 3)), "more than 8 bits per channel .*I;16"),
        (Picture.new("F", (4, 3)), "more than 8 bits"),
        (torch.zeros(1, 2, 2, dtype=torch.int32), "int32"),
        (torch.zeros(5, 2, 2), "1 to 4 channels"),
        (torch.zeros(1, 1, 2, 2), "1 to 4 channels"),
        (torch.zeros(3, 0, 2), "1 to 4 channels"),
        ("cat.png", "got str"),
    ],
)
def test_items_other_than_images_are_rejected(image, message):
    with pytest.raises(InputError, match=message):
        to_uint8(image)


class TestModality:
    """``Image`` as the rest of the package uses a modality."""

    @settings(max_examples=40)
    @given(st.integers(1, 4), st.integers(1, 9), st.integers(1, 9), st.integers(0, 4))
    def test_encoded_images_decode_to_the_same_bits(self, channels, height, width, n):
        image = Image(channels, height, width)
        raw = torch.randint(0, 256, (n, *image.shape)).to(torch.uint8)
        before = raw.clone()
        encoded = image.encode(raw)
        assert encoded.dtype == torch.float32
        assert encoded.shape == raw.shape
        assert torch.equal(image.decode(encoded, torch.uint8), raw)
        assert torch.equal(raw, before)

    def test_every_byte_value_round_trips(self):
        image, raw = Image(1, 16, 16), torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
        encoded = image.encode(raw)
        assert (float(encoded.min()), float(encoded.max())) == (-1, 1)
        assert torch.equal(image.decode(encoded, torch.uint8), raw)
        for dtype in image.float_dtypes:
            floats = image.decode(encoded, dtype)
            assert floats.dtype == dtype
            assert torch.allclose(floats.double(), raw.double() / 255, atol=4e-3 if dtype == torch.bfloat16 else 1e-3)

    def test_values_outside_the_range_are_clipped(self):
        outputs = torch.tensor([-1e6, -1.001, -1.0, 0.0, 1.0, 1.001, 1e6]).view(1, 1, 1, 7)
        image = Image(1, 1, 7)
        assert image.decode(outputs, torch.uint8).flatten().tolist() == [0, 0, 0, 128, 255, 255, 255]
        assert image.decode(outputs, torch.float32).flatten().tolist() == [0, 0, 0, 0.5, 1, 1, 1]

    def test_its_size(self):
        image = Image(3, 5, 7)
        assert image.shape == (3, 5, 7)
        assert (image.nbytes, image.positions, image.describe()) == (105, 35, "3x5x7")
        assert Image.of(torch.zeros(3, 5, 7, dtype=torch.uint8)) == image
        with pytest.raises(InputError, match=r"images of 2049x1 are too large. Pass image_size="):
            Image.of(torch.zeros(1, 1, 2049, dtype=torch.uint8))

    def test_flattened_images_are_as_far_apart_as_their_pixels(self):
        raw = torch.tensor([0, 51, 255], dtype=torch.uint8).view(3, 1, 1, 1).expand(3, 1, 2, 2)
        vectors = Image(1, 2, 2).flatten(raw)
        assert vectors.shape == (3, 4)
        assert vectors.dtype == torch.float32
        assert torch.pdist(vectors).tolist() == pytest.approx([0.4, 2, 1.6])

    def test_raw_samples_are_checked(self):
        image, good = Image(1, 2, 2), torch.zeros(3, 1, 2, 2, dtype=torch.uint8)
        assert image.check(good, 3, "it returned") is good
        for bad, got in (
            (good[:2], r"torch.uint8 of shape \(2, 1, 2, 2\)"),
            (good.float(), r"torch.float32 of shape \(3, 1, 2, 2\)"),
            (good.numpy(), r"ndarray of uint8, shape \(3, 1, 2, 2\)"),
            (None, "NoneType"),
        ):
            with pytest.raises(InputError, match=rf"it {got}; expected torch.uint8 of shape \(3, 1, 2, 2\)"):
                image.check(bad, 3, "it")
        with pytest.raises(InputError, match="It contains NaN or infinity: did the generator's training diverge"):
            image.check(good.float() / 0, 3, "it")

    def test_items_of_datasets_are_recognized(self):
        for item in (Picture.new("L", (4, 3)), np.zeros((3, 4)), torch.zeros(1, 3, 4)):
            assert Image.accepts(item)
            assert modality_of(item) is Image
            assert Image.read(item).shape == (1, 3, 4)
        assert not any(Image.accepts(item) for item in ("cat.png", None, 3, torch.zeros(4)))
        assert modality_of("cat.png") is Image  # whose reader says what is wrong

    def test_examples_are_a_pattern_per_label_and_always_the_same(self):
        labels = torch.arange(12) % 3
        x = Image.examples(labels, (1, 4, 4))
        assert x.dtype == torch.uint8
        assert x.shape == (12, 1, 4, 4)
        assert torch.equal(x, Image.examples(labels, (1, 4, 4)))
        distances = torch.cdist(Image(1, 4, 4).flatten(x), Image(1, 4, 4).flatten(x))
        alike = labels[:, None] == labels
        assert float(distances[alike].max()) < float(distances[~alike].min())

    def test_a_picture_shows_the_sample(self):
        raw = torch.randint(0, 256, (3, 5, 7)).to(torch.uint8)
        assert torch.equal(to_uint8(Image(3, 5, 7).picture(raw)), raw)

    def test_it_is_read_from_its_kind(self):
        image = Image(3, 5, 7)
        assert parse(image.model_dump(mode="json")) == image
        assert parse(image) is image
        assert list(MODALITIES) == ["image", "series", "table"]
        for kind in ("sound", None, 5, ["image"], {}):
            with pytest.raises(ValueError, match=r"unknown kind of sample .*known kinds: image, series, table"):
                parse({"kind": kind})

    def test_too_many_numbers_are_rejected(self):
        with pytest.raises(TypeError, match="takes channels, height and width, got 4 numbers"):
            Image(1, 2, 3, 4)
