"""Parts of images that generators fill in: by a search in the latents, or by a context encoder; and erase and fill."""

import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

import genaug
from genaug.backends import Backend, BackendConfig, Categorical, Condition, Normal, Spec, Uniform
from genaug.errors import InputError
from genaug.modalities import Image
from genaug.sources.generator import Generator


class Rows(Backend):
    """Each row of an image has one gray value, a latent; the label makes all of it brighter."""

    class Config(BackendConfig):
        pass

    def describe(self, config, data):
        return data

    def build(self, config, spec):
        return nn.ModuleDict({"generator": nn.Identity()})

    def generate(self, nets, inputs):
        shift = 0 if inputs.labels is None else inputs.labels[:, None] * 0.25
        return (inputs.latents["z"] / 4 + shift)[:, None, :, None].expand(-1, 1, -1, 6)


class Filling(Rows):
    """Fills in gray, for images that come with a channel of what is known."""

    conditions = ("erased",)
    fills_in = True

    def generate(self, nets, inputs):
        return torch.zeros_like(inputs.conditions["erased"][:, :1])


def rows(latent=None, classes=None, backend=None, conditions=()):
    spec = Spec(sample=Image(1, 6, 6), classes=classes, latents=(latent or Normal(size=6),), conditions=conditions)
    backend = backend or Rows()
    return Generator("rows", backend, Rows.Config(), spec, backend.build(None, spec), {"images": 5})


def filling():
    return rows(backend=Filling(), conditions=(Condition(name="erased", sample=Image(2, 6, 6)),))


MASK = torch.zeros(6, 6, dtype=torch.bool)
MASK[1:5, 2:5] = True


class TestComplete:
    @pytest.mark.parametrize("latent", [Normal(size=6), Uniform(size=6)])
    def test_a_search_finds_what_the_known_pixels_determine(self, latent):
        generator = rows(latent)
        images = generator.sample(5, seed=1)[0]
        damaged = torch.where(MASK, torch.tensor(0, dtype=torch.uint8), images)
        completed = generator.complete(damaged, MASK, seed=0, steps=200)
        assert torch.equal(completed[..., ~MASK], images[..., ~MASK])
        assert (completed.float() - images).abs().max() < 8

    def test_labels_decide_what_is_searched(self):
        generator = rows(classes=3)
        labels = torch.tensor([2, 0, 1])
        images, _ = generator.sample(labels=labels, seed=1)
        completed = generator.complete(images, MASK.expand(3, -1, -1), labels, seed=0, steps=200)
        assert (completed.float() - images).abs().max() < 8
        with pytest.raises(InputError, match="complete needs labels"):
            generator.complete(images, MASK)

    def test_an_image_does_not_depend_on_the_number(self):
        generator = rows()
        images = generator.sample(70, seed=1)[0]
        completed = generator.complete(images, MASK, seed=3, steps=3)
        assert torch.equal(generator.complete(images[:5], MASK, seed=3, steps=3), completed[:5])
        assert torch.equal(generator.complete(images[:0], MASK, seed=3), images[:0])

    def test_categories_are_those_of_the_best_draw(self):
        class Category(Rows):
            def generate(self, nets, inputs):
                return (inputs.latents["c"].float() / 2 - 0.75)[:, None, None, None].expand(-1, 1, 6, 6)

        generator = rows(Categorical(name="c", size=4), backend=Category())
        images = generator.sample(6, seed=2)[0]
        assert torch.equal(generator.complete(images, MASK, seed=0, steps=2), images)

    def test_a_backend_that_fills_in_gets_the_erased_images(self):
        images = torch.full((2, 1, 6, 6), 9, dtype=torch.uint8)
        completed = filling().complete(images, MASK)
        assert set(completed[..., MASK].unique().tolist()) <= {127, 128}
        assert (completed[..., ~MASK] == 9).all()

    @pytest.mark.parametrize(
        "masks", [MASK.long(), MASK[:5], MASK.expand(3, 6, 6), torch.ones(2, 1, 6, 6, dtype=torch.bool)]
    )
    def test_masks_that_do_not_fit_are_an_error(self, masks):
        images = torch.zeros(2, 1, 6, 6, dtype=torch.uint8)
        with pytest.raises(InputError, match=r"complete got masks of .*expected bool of shape \(2, 6, 6\) or \(6, 6\)"):
            rows().complete(images, masks)

    def test_translators_cannot_fill_in(self):
        translator = rows(conditions=(Condition(name="source", sample=Image(1, 6, 6)),))
        with pytest.raises(InputError, match="makes images from others and can't fill in parts of them"):
            translator.complete(torch.zeros(1, 1, 6, 6, dtype=torch.uint8), MASK)


class TestEraseAndFill:
    def data(self):
        images = torch.arange(12)[:, None, None, None].expand(-1, 1, 6, 6).to(torch.uint8)
        return TensorDataset(images.clone(), torch.arange(12) % 3)

    def test_samples_are_own_images_with_a_part_filled_in_and_their_labels(self):
        source = genaug.erase_and_fill(filling(), self.data(), 0.25, "center")
        images, labels = source.sample(labels=[2, 0, 1, 1], seed=0)
        assert labels.tolist() == [2, 0, 1, 1]
        filled = images >= 100
        assert (filled.float().mean((1, 2, 3)) == 0.25).all()
        for image, label in zip(images, labels, strict=True):
            (own,) = image[image < 100].unique()
            assert own % 3 == label
        assert source.supply is None
        assert genaug.SamplePool(source, size=6).supply == [2, 2, 2]

    def test_masks_depend_on_the_seed_and_samples_not_on_the_number(self):
        source = genaug.erase_and_fill(filling(), self.data(), 0.2)
        images = source.sample(9, seed=1)[0]
        assert torch.equal(source.sample(4, seed=1)[0], images[:4])
        assert len({bytes((image >= 100).numpy()) for image in images}) > 5
        assert not torch.equal(source.sample(9, seed=2)[0] >= 100, images >= 100)

    def test_other_areas_and_masks_are_other_sources(self, register_backend):
        register_backend("rows", Filling)
        settings = [(0.2, "block"), (0.3, "block"), (0.2, "random")]
        identities = [genaug.erase_and_fill(filling(), self.data(), *setting).identity for setting in settings]
        assert all(one != other for i, one in enumerate(identities) for other in identities[:i])

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            ((0,), "area must be a number above 0"),
            ((1,), "area must be a number above 0"),
            ((True,), "area must be a number above 0"),
            ((0.2, "stripes"), "masks must be one of center, block, random, got 'stripes'"),
        ],
    )
    def test_what_does_not_fit_is_an_error(self, arguments, words):
        with pytest.raises(InputError, match=words):
            genaug.erase_and_fill(filling(), self.data(), *arguments)

    def test_generators_and_sizes_that_do_not_fit_are_an_error(self):
        with pytest.raises(InputError, match="needs a Generator, got str"):
            genaug.erase_and_fill("runs/filling", self.data())
        large = TensorDataset(torch.zeros(4, 1, 8, 8, dtype=torch.uint8), torch.arange(4))
        with pytest.raises(InputError, match="fills in images of 1x6x6, the dataset has 1x8x8"):
            genaug.erase_and_fill(filling(), large)
