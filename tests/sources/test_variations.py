"""Variations of samples, and a generator's features for scikit-learn."""

import pickle
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from torch import nn
from torch.utils.data import TensorDataset

import genaug
from genaug.backends import Backend, BackendConfig, Categorical, Condition, Normal, Spec
from genaug.errors import InputError, OutputExistsError
from genaug.modalities import Image
from genaug.sources.generator import Generator


class Halves(Backend):
    """The upper half of an image is a normal latent, its lower half shows a category; the label shifts the latent."""

    class Config(BackendConfig):
        pass

    keeps = ("generator", "encoder")

    def build(self, config, spec):
        return nn.ModuleDict({"generator": nn.Flatten(), "encoder": nn.Sequential(nn.Flatten(), nn.Identity())})

    def generate(self, nets, inputs):
        shift = 0 if inputs.labels is None else inputs.labels[:, None] * 0.25
        lower = (inputs.latents["code"].float() / 4 - 0.5)[:, None].expand(-1, 8)
        return torch.cat([inputs.latents["z"] / 4 + shift, lower], 1).view(-1, 1, 4, 4)

    def encode(self, nets, x, labels):
        flat = nets["encoder"](x)
        z = (flat[:, :8] - (0 if labels is None else labels[:, None] * 0.25)) * 4
        return {"z": z, "code": ((flat[:, 8] + 0.5) * 4).round().long().clamp(0, 3)}


def halves(classes=None, backend=None):
    spec = Spec(sample=Image(1, 4, 4), classes=classes, latents=(Normal(size=8), Categorical(name="code", size=4)))
    backend = backend or Halves()
    return Generator("halves", backend, Halves.Config(), spec, backend.build(None, spec), {"images": 5})


def dataset_of(generator, labels):
    images, _ = generator.sample(labels=labels, seed=9) if generator.spec.takes_labels else generator.sample(30, seed=9)
    data = TensorDataset(images, labels)
    data.classes = ["cat", "dog", "owl"]
    return data


LABELS = torch.arange(30) % 3


class TestVary:
    def test_strength_0_is_the_reconstruction_and_1_a_new_sample(self):
        for generator, labels in ((halves(), None), (halves(3), LABELS)):
            images = dataset_of(generator, LABELS).tensors[0]
            codes = generator.encode(images, labels)
            zero = generator.vary(images, labels, strength=0, seed=4)
            assert torch.equal(zero, generator.decode(labels=labels, **codes))
            new = generator.sample(None if labels is not None else 30, labels=labels, seed=4)[0]
            assert torch.equal(generator.vary(images, labels, strength=1, seed=4), new)

    def test_the_distance_grows_with_strength(self):
        generator = halves()
        images = dataset_of(generator, LABELS).tensors[0]
        strengths = torch.linspace(0, 1, 10).tolist()
        varied = [generator.vary(images, strength=s, seed=1).float() for s in strengths]
        distances = [(v - images.float()).square().mean().item() for v in varied]
        assert distances == sorted(distances)
        assert distances[-1] > 10 * distances[0] + 1
        codes = [generator.encode(v.to(torch.uint8))["code"] for v in varied]
        changed = [(code != codes[0]).sum().item() for code in codes]
        assert changed == sorted(changed)
        assert changed[0] == 0 < changed[-1]

    def test_a_variation_does_not_depend_on_the_number(self):
        generator = halves(3)
        images = dataset_of(generator, LABELS).tensors[0]
        all_of_them = generator.vary(images, LABELS, seed=2)
        assert torch.equal(generator.vary(images[:7], LABELS[:7], seed=2), all_of_them[:7])

    def test_another_class_keeps_the_latents(self):
        generator = halves(3)
        images = dataset_of(generator, LABELS * 0).tensors[0]
        translated = generator.vary(images, LABELS * 0 + 2, own_labels=LABELS * 0, strength=0)
        expected = generator.decode(labels=LABELS * 0 + 2, **generator.encode(images, LABELS * 0))
        assert torch.equal(translated, expected)
        assert not torch.equal(translated, images)

    @pytest.mark.parametrize(
        ("samples", "words"),
        [
            (np.zeros((3, 1, 4, 4), np.uint8), r"ndarray of uint8, shape \(3, 1, 4, 4\); expected torch.uint8 of shape "
             r"\(3, 1, 4, 4\)\. Pass torch\.from_numpy"),
            ([torch.zeros(1, 4, 4)] * 2, r"list; expected torch.uint8 of shape \(2, 1, 4, 4\)\. .*torch\.stack"),
            (None, "NoneType; expected"),
            (np.uint8(3), "uint8 of uint8"),
            (torch.zeros(2, 1, 4, 4), "torch.float32 of shape"),
        ],
    )  # fmt: skip
    def test_samples_of_another_type_are_named(self, samples, words):
        for method in ("vary", "encode"):
            with pytest.raises(InputError, match=f"{method} got {words}"):
                getattr(halves(), method)(samples)

    @pytest.mark.parametrize("strength", [-0.1, 1.1, "much", "0.5", True, float("nan"), None])
    def test_a_strength_outside_0_to_1_is_an_error(self, strength):
        with pytest.raises(InputError, match="strength must be a number from 0"):
            halves().vary(torch.zeros(1, 1, 4, 4, dtype=torch.uint8), strength=strength)
        with pytest.raises(InputError, match="strength must be a number from 0"):
            genaug.variations(halves(), dataset_of(halves(), LABELS), strength)


class TestVariations:
    def test_samples_are_variations_of_images_of_their_class(self):
        generator = halves(("dog", "cat", "owl"))
        data = dataset_of(generator, LABELS)  # the names are matched, so labels 0 and 1 change places
        source = genaug.variations(generator, data, 0)
        images, labels = source.sample(labels=LABELS, seed=1)
        assert source.supply == [10, 10, 10]
        own = torch.tensor([1, 0, 2])[LABELS]
        codes = generator.encode(data.tensors[0], own)
        expected = generator.decode(labels=own, **codes)
        for image, label in zip(images, labels, strict=True):
            assert any(torch.equal(image, other) for other in expected[label == LABELS])
        assert len({bytes(image.numpy()) for image in images}) == 30, "all are used before one is used again"

    def test_samples_depend_on_the_seed_and_not_on_the_number(self):
        source = genaug.variations(halves(3), dataset_of(halves(3), LABELS))
        assert source.supply is None
        assert torch.equal(source.sample(20, seed=3)[0][:6], source.sample(6, seed=3)[0])
        assert not torch.equal(source.sample(20, seed=3)[0], source.sample(20, seed=4)[0])

    def test_translation_into_another_class(self):
        data = dataset_of(halves(3), LABELS)
        source = genaug.variations(halves(3), data, 0.2, to="owl")
        assert source.supply[:2] == [0, 0]
        assert source.sample(5, seed=0)[1].tolist() == [2] * 5
        assert genaug.SamplePool(source, size=9, labels={"owl": 1}).supply == [0, 0, 9]
        with pytest.raises(InputError, match="nothing to vary for class 1 \\('dog'\\)"):
            source.sample(labels=[1])
        with pytest.raises(InputError, match="to= names the unknown class 'cow'"):
            genaug.variations(halves(3), data, to="cow")

    def test_they_are_blended_and_pooled(self):
        data = dataset_of(halves(3), LABELS)
        source = genaug.variations(halves(3), data)
        mixed = genaug.MixedDataset(data, source, ratio=0.5)
        assert len(mixed) == 60
        assert genaug.SamplePool(source, size=12).supply == [4, 4, 4]

    def test_any_object_that_varies_is_an_editor(self):
        class Editor:
            def vary(self, images, labels=None, *, strength=0.5, seed=None):
                return images + labels[:, None, None, None].to(torch.uint8)

        data = TensorDataset(torch.zeros(6, 1, 4, 4, dtype=torch.uint8), torch.arange(6) % 3)
        images, labels = genaug.variations(Editor(), data).sample(9, seed=0)
        assert torch.equal(images[:, 0, 0, 0].long(), labels)

    def test_an_editor_may_return_images_of_another_size_than_the_users(self):
        class Smaller:
            spec = Spec(sample=Image(1, 2, 2), classes=3)
            batch_size = 4

            def vary(self, images, labels=None, *, strength=0.5, seed=None):
                return images[:, :, :2, :2] + labels[:, None, None, None].to(torch.uint8)

        data = TensorDataset(torch.zeros(6, 1, 4, 4, dtype=torch.uint8), torch.arange(6) % 3)
        source = genaug.variations(Smaller(), data)
        images, labels = source.sample(5, seed=0)
        assert images.shape[1:] == source.spec.shape == (1, 2, 2)
        assert torch.equal(images[:, 0, 0, 0].long(), labels)
        assert source.batch_size == 4

    def test_a_folder_of_variations_is_not_continued_with_others(self, tmp_path):
        class Darker:
            def vary(self, images, labels=None, *, strength=0.5, seed=None):
                return (images * (1 - strength)).to(torch.uint8)

        data = TensorDataset(torch.full((6, 1, 4, 4), 200, dtype=torch.uint8), torch.arange(6) % 3)
        kept = genaug.SamplePool.in_folder(genaug.variations(Darker(), data, 0.1), tmp_path / "pool", per_class=2)
        again = genaug.SamplePool.in_folder(genaug.variations(Darker(), data, 0.1), tmp_path / "pool", per_class=2)
        assert torch.equal(kept.images, again.images)
        others = TensorDataset(torch.full((6, 1, 4, 4), 99, dtype=torch.uint8), torch.arange(6) % 3)
        for source in (genaug.variations(Darker(), data, 1.0), genaug.variations(Darker(), others, 0.1)):
            with pytest.raises(OutputExistsError, match="samples with other settings: identity was"):
                genaug.SamplePool.in_folder(source, tmp_path / "pool", per_class=2)

    def test_an_editor_can_reject_samples_and_a_strength_at_once(self):
        class Careful:
            def vary(self, samples, labels=None, *, strength, seed):
                raise AssertionError("nothing is varied at construction")

            def check_vary(self, samples, strength):
                if (samples, strength) != (Image(1, 4, 4), 0.5):
                    raise InputError(f"no {samples.describe()} at {strength}")

        data = dataset_of(halves(), LABELS)
        genaug.variations(Careful(), data, 0.5)
        with pytest.raises(InputError, match=r"no 1x4x4 at 0\.2"):
            genaug.variations(Careful(), data, 0.2)
        with pytest.raises(InputError, match=r"no 1x2x2 at 0\.5"):
            genaug.variations(Careful(), data, 0.5, image_size=2)

    def test_a_generator_with_several_conditions_is_no_editor(self):
        generator = halves()
        conditions = tuple(Condition(name=name, sample=Image(1, 4, 4)) for name in "xy")
        generator.spec = generator.spec.model_copy(update={"conditions": conditions})
        with pytest.raises(InputError, match="translate needs a generator with one condition"):
            genaug.variations(generator, dataset_of(halves(), LABELS))
        with pytest.raises(InputError, match="makes samples from others"):
            generator.vary(torch.zeros(1, 1, 4, 4, dtype=torch.uint8), [0])

    def test_what_cannot_vary_is_an_error(self, tmp_path, tiny_set, tiny_config):
        data = dataset_of(halves(), LABELS)
        generator = genaug.fit("cgan", tiny_set, out=tmp_path / "r", steps=1, config=tiny_config, progress=False)
        with pytest.raises(InputError, match=r"'cgan' can't vary samples\. Installed backends that can"):
            genaug.variations(generator, tiny_set)
        for editor in (object(), None, "vae", Halves, type("WithVary", (), {"vary": lambda self, *args, **more: None})):
            with pytest.raises(InputError, match=r"the editor is .*, which can't vary samples"):
                genaug.variations(editor, data)
        for vary in (lambda samples: samples, lambda samples, labels, strength: samples, lambda **options: None):
            with pytest.raises(InputError, match=r"\.vary can't be called as needed"):
                genaug.variations(SimpleNamespace(vary=vary), data)
        with pytest.raises(InputError, match=r"the editor varies .* the dataset has"):
            genaug.variations(halves(), TensorDataset(torch.zeros(4, 1, 5, 5, dtype=torch.uint8)))
        with pytest.raises(InputError, match="the dataset has no labels"):
            genaug.variations(halves(3), TensorDataset(data.tensors[0]))


class TestFeatures:
    def test_the_latents_are_features(self):
        generator = halves()
        images = dataset_of(generator, LABELS).tensors[0]
        transformer = genaug.features(generator)
        values = transformer.fit_transform(images)
        codes = generator.encode(images)
        assert values.shape == (30, 12)
        assert np.allclose(values[:, :8], codes["z"].numpy())
        assert (values[:, 8:].argmax(1) == codes["code"].numpy()).all()
        names = transformer.get_feature_names_out()
        assert (names[0], names[8], len(names)) == ("z0", "code0", 12)

    def test_images_in_every_form_give_the_same(self):
        dataset = dataset_of(halves(), LABELS)
        images = dataset.tensors[0]
        transformer = genaug.features(halves())
        forms = [
            dataset,
            images.numpy(),
            images[:, 0].numpy(),
            images.permute(0, 2, 3, 1).numpy(),
            images.flatten(1).numpy(),
        ]
        forms += [images.flatten(1).numpy() / 255, images.float() / 255, images.numpy().astype(np.int64)]
        for form in forms:
            assert np.array_equal(transformer.transform(form), transformer.transform(images))

    def test_a_layer_gives_its_activations(self):
        images = dataset_of(halves(), LABELS).tensors[0]
        transformer = genaug.features(halves(), "encoder.1")
        assert np.allclose(transformer.transform(images), images.flatten(1).numpy() / 127.5 - 1, atol=1e-6)
        assert len(transformer.get_feature_names_out()) == 16
        with pytest.raises(InputError, match=r"no layer 'critic'\. Its layers: generator, encoder"):
            genaug.features(halves(), "critic")

    @pytest.mark.parametrize("layer", ["generator", "pair"])
    def test_a_layer_that_gives_no_features_is_an_error_at_once_which_names_those_that_do(self, layer):
        class WithPair(Halves):
            """Its encoder has a layer that returns a tuple."""

            def encode(self, nets, x, labels):
                return super().encode(nets, nets["pair"](x)[0], labels)

        class Pair(nn.Module):
            def forward(self, x):
                return x, x

        generator = halves(backend=WithPair())
        generator.nets["pair"] = Pair()
        with pytest.raises(InputError, match=rf"'{layer}' gives no features.*: encoder, encoder\.0, encoder\.1\."):
            genaug.features(generator, layer)
        copied = clone(genaug.features(generator, "encoder")).set_params(layer=layer)
        with pytest.raises(InputError, match="gives no features of images"):
            copied.fit(np.zeros((2, 16), dtype=np.uint8))

    @pytest.mark.parametrize("generator", [None, "vae", Halves, nn.Linear(1, 1)], ids=repr)
    def test_what_is_not_a_generator_is_named(self, generator):
        for layer in (None, "encoder"):
            with pytest.raises(InputError, match="features takes a Generator, as genaug"):
                genaug.features(generator, layer)

    @pytest.mark.parametrize("layer", ["", 3, ["encoder"], "critic"], ids=repr)
    def test_an_unknown_layer_is_named(self, layer):
        with pytest.raises(InputError, match=r"no layer .*\. Its layers: generator"):
            genaug.features(halves(), layer)

    def test_labels_are_averaged_out(self):
        generator = halves(3)
        images = dataset_of(generator, LABELS).tensors[0]
        per_class = [generator.encode(images, LABELS * 0 + label)["z"] for label in range(3)]
        assert np.allclose(
            genaug.features(generator).transform(images)[:, :8], torch.stack(per_class).mean(0), atol=1e-5
        )

    def test_it_is_cloned_pickled_and_cross_validated(self):
        images = dataset_of(halves(3), LABELS).tensors[0].numpy()
        transformer = genaug.features(halves())
        copies = (clone(transformer), pickle.loads(pickle.dumps(transformer)))
        assert copies[0].generator is transformer.generator
        for copy in copies:
            assert np.array_equal(copy.transform(images), transformer.transform(images))
        pipeline = make_pipeline(genaug.features(halves()), LogisticRegression())
        assert len(cross_val_score(pipeline, images, LABELS.numpy(), cv=3)) == 3

    @pytest.mark.parametrize(
        ("images", "message"),
        [
            (np.zeros((2, 5)), "rows of 16 values"),
            (np.full((2, 16), 16.0), "floats? images must lie in|must lie in"),
            (np.full((2, 16), 300), "takes uint8 images or floats"),
            (np.array([["a"]]), "takes arrays of images"),
        ],
    )
    def test_what_is_not_images_is_an_error(self, images, message):
        with pytest.raises(InputError, match=message):
            genaug.features(halves()).transform(images)
