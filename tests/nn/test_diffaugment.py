"""Differentiable augmentation: shapes, neutral draws, extremes, gradients."""

import pytest
import torch

from genaug.errors import InputError
from genaug.nn.diffaugment import POLICIES, affine, augment, check_policy, color, cutout, translation

SHAPES = [(1, 8, 8), (3, 13, 40), (1, 1, 1), (4, 5, 2), (3, 27, 27)]


def images_of(shape, n=5, dtype=torch.float32):
    return torch.rand(n, *shape, generator=torch.Generator().manual_seed(0), dtype=dtype) * 2 - 1


def uniform(n, width, dtype=torch.float32):
    return torch.rand(n, width, generator=torch.Generator().manual_seed(1), dtype=dtype)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", POLICIES)
def test_shape_and_type_stay_and_each_image_has_its_own_random_numbers(name, shape):
    function, width = POLICIES[name]
    images, u = images_of(shape), uniform(5, width)
    changed = function(images, u)
    assert (changed.shape, changed.dtype) == (images.shape, images.dtype)
    assert changed.isfinite().all()
    alone = torch.cat([function(images[i : i + 1], u[i : i + 1]) for i in range(5)])
    assert torch.allclose(changed, alone, atol=1e-6)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", POLICIES)
@pytest.mark.parametrize("u", [0.0, 1 - 2**-24])
def test_extreme_draws(name, shape, u):
    function, width = POLICIES[name]
    assert function(images_of(shape), torch.full((5, width), u)).isfinite().all()


@pytest.mark.parametrize("name", POLICIES)
def test_gradients_match_finite_differences(name):
    function, width = POLICIES[name]
    images, u = images_of((2, 5, 6), 2, torch.float64).requires_grad_(), uniform(2, width, torch.float64)
    assert torch.autograd.gradcheck(lambda x: function(x, u), images)
    assert torch.autograd.gradgradcheck(lambda x: function(x, u), images)  # penalties differentiate twice


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", ["translation", "affine", "color"])
def test_the_neutral_draw_changes_nothing(name, shape):
    function, width = POLICIES[name]
    images = images_of(shape)
    assert torch.allclose(function(images, torch.full((5, width), 0.5)), images, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", POLICIES)
def test_half_precision_images_are_augmented_accurately(name, dtype):
    """Positions worked out in bfloat16 would move generated images otherwise than real ones."""
    function, width = POLICIES[name]
    images, u = images_of((1, 64, 64)).to(dtype), uniform(5, width)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = function(images, u)
    assert float((rough.float() - function(images.float(), u)).abs().max()) < 0.02


class TestTranslation:
    def test_shifts_by_entire_pixels_and_repeats_the_edge(self):
        images = torch.arange(16.0).reshape(1, 1, 4, 4)
        down_left = translation(images, torch.tensor([[0.0, 0.99]]))[0, 0]  # reads one row up, one column right
        assert down_left[0].tolist() == [1, 2, 3, 3]
        assert down_left[1].tolist() == [1, 2, 3, 3]
        assert down_left[3].tolist() == [9, 10, 11, 11]

    def test_every_shift_is_equally_likely_up_to_an_eighth(self):
        images = torch.zeros(3000, 1, 1, 32)
        images[..., 16] = 1
        moved = translation(images, uniform(3000, 2)).flatten(1).argmax(1) - 16
        counts = torch.bincount(moved + 4)
        assert len(counts) == 9
        assert int(counts.min()) > 250

    def test_channels_move_together(self):
        images = images_of((1, 9, 7)).repeat(1, 3, 1, 1)
        moved = translation(images, uniform(5, 2))
        assert torch.equal(moved[:, 0], moved[:, 2])


class TestAffine:
    @pytest.mark.parametrize("shape", [(41, 41), (33, 65)])
    def test_distances_in_pixels_scale_equally_in_all_directions(self, shape):
        """Also where images aren't square: two blobs, beside and above the centre, keep the angle between them."""
        height, width = shape
        y, x = torch.meshgrid(torch.arange(height) - height // 2, torch.arange(width) - width // 2, indexing="ij")

        def centre_after(at_y, at_x, u):
            blob = torch.exp(-((y - at_y) ** 2 + (x - at_x) ** 2) / 8.0)[None, None]
            moved = affine(blob, torch.tensor([u]))[0, 0]
            return torch.stack([(moved * y).sum(), (moved * x).sum()]) / moved.sum()

        for u in ([0.0, 0.5, 0.5, 0.5], [0.9, 0.5, 0.5, 0.5], [0.2, 0.9, 0.5, 0.5]):
            down, right = centre_after(9, 0, u), centre_after(0, 9, u)
            scale = 0.9 + 0.2 * u[1]
            assert float(down.norm()) == pytest.approx(9 * scale, abs=0.3)
            assert float(right.norm()) == pytest.approx(9 * scale, abs=0.3)
            assert float(down @ right) == pytest.approx(0, abs=1.5)
            angle = torch.rad2deg(torch.atan2(down[1], down[0]).abs())
            assert float(angle) == pytest.approx(abs(u[0] * 2 - 1) * 15, abs=1)

    def test_shifts_by_up_to_a_tenth(self):
        images = torch.zeros(1, 1, 1, 40)
        images[..., 20] = 1
        assert affine(images, torch.tensor([[0.5, 0.5, 0.0, 0.5]])).flatten().argmax().item() == 24
        assert affine(images, torch.tensor([[0.5, 0.5, 1.0, 0.5]])).flatten().argmax().item() == 16


class TestColor:
    def test_brightness(self):
        images = images_of((3, 4, 4))
        u = torch.tensor([[0.9, 0.5, 0.5]]).repeat(5, 1)
        assert torch.allclose(color(images, u), images + 0.4, atol=1e-6)

    def test_without_saturation_all_channels_are_equal(self):
        grey = color(images_of((3, 4, 4)), torch.tensor([[0.5, 0.0, 0.5]]).repeat(5, 1))
        assert torch.allclose(grey[:, 0], grey[:, 1], atol=1e-6)
        assert float(grey.std((2, 3)).min()) > 0.05

    def test_contrast_scales_about_the_mean(self):
        images = images_of((1, 4, 4))
        changed = color(images, torch.tensor([[0.5, 0.5, 0.0]]).repeat(5, 1))
        assert torch.allclose(changed.mean((1, 2, 3)), images.mean((1, 2, 3)), atol=1e-6)
        assert torch.allclose(changed.std((1, 2, 3)), images.std((1, 2, 3)) / 2, atol=1e-6)


class TestCutout:
    def test_a_centered_rectangle_of_half_the_sides(self):
        cut = cutout(torch.ones(1, 2, 8, 12), torch.tensor([[0.5, 0.5]]))[0]
        expected = torch.ones(2, 8, 12)
        expected[:, 2:6, 3:9] = 0
        assert torch.equal(cut, expected)

    def test_it_is_cut_off_at_the_edges(self):
        cut = cutout(torch.ones(1, 1, 8, 8), torch.tensor([[0.0, 0.0]]))[0, 0]
        assert int((cut == 0).sum()) == 4
        assert torch.equal(cut[:2, :2], torch.zeros(2, 2))


def test_policies_are_applied_in_order_with_their_own_draws():
    requests = []

    def draw(n, width):
        requests.append((n, width))
        return torch.full((n, width), 0.5)

    images = images_of((1, 8, 8))
    changed = augment(images, ("cutout", "color"), draw)
    assert requests == [(5, 2), (5, 3)]
    half = torch.full((5, 3), 0.5)
    assert torch.equal(changed, color(cutout(images, half[:, :2]), half))
    assert augment(images, (), draw) is images


def test_names():
    assert check_policy(["color", "cutout"]) == ("color", "cutout")
    assert check_policy(()) == ()
    assert check_policy("color") == ("color",)


@pytest.mark.parametrize("names", [["colour"], ["color", "flip"], ["color", "color"], "colour", [""]])
def test_unknown_or_repeated_names_are_rejected(names):
    with pytest.raises(
        InputError, match="augment must be distinct names among translation, affine, color, cutout; got"
    ):
        check_policy(names)
