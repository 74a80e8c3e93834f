"""What a generator offers beside samples if its backend does: encode, classify, score and translate."""

from typing import ClassVar

import pytest
import torch
from torch import nn

import genaug
from genaug.backends import Backend, BackendConfig, Condition, Inputs, Normal, Spec
from genaug.errors import InputError
from genaug.modalities import Image
from genaug.sources.generator import Generator

INFOGAN = {"categories": [3], "continuous": 1, "width": 4, "max_width": 8, "hidden": 16, "latent_size": 4}


@pytest.fixture(scope="module")
def infogan(tmp_path_factory, tiny_set):
    return genaug.fit(
        "infogan",
        tiny_set,
        out=tmp_path_factory.mktemp("infogan") / "run",
        steps=3,
        batch_size=8,
        config=INFOGAN,
        device="cpu",
        progress=False,
    )


def images_of(count, shape=(1, 8, 8)):
    return torch.randint(256, (count, *shape), generator=torch.Generator().manual_seed(0)).to(torch.uint8)


class Mirror(Backend):
    """Translates images into mirror images, brighter by the label; encodes, classifies and scores by brightness."""

    Config = BackendConfig
    conditions: ClassVar[tuple[str, ...]] = ("source",)
    seen: ClassVar[list[int]] = []

    def build(self, config, spec):
        return nn.ModuleDict({"generator": nn.Identity()})

    def generate(self, nets, inputs: Inputs):
        mirrored = inputs.conditions["source"].flip(-1)
        return mirrored if inputs.labels is None else mirrored + inputs.labels[:, None, None, None] / 10

    def encode(self, nets, x, labels):
        self.seen.append(len(x))
        return {"z": x.flatten(1)[:, :2] + (0 if labels is None else labels[:, None])}

    def classify(self, nets, x):
        return torch.stack([-x.flatten(1).mean(1), x.flatten(1).mean(1)], 1)

    def score(self, nets, x, labels):
        return x.flatten(1).mean(1) + (0 if labels is None else labels)


def mirror(classes=None, conditions=("source",)):
    sample = Image(1, 8, 8)
    spec = Spec(
        sample=sample,
        classes=classes,
        latents=(Normal(size=2),),
        conditions=[Condition(name=name, sample=sample) for name in conditions],
    )
    return Generator("mirror", Mirror(), BackendConfig(), spec, Mirror().build(None, spec), {})


class TestInfoGAN:
    def test_it_classifies_encodes_and_scores_raw_images(self, infogan):
        images = images_of(9)
        assert all(infogan.offers(method) for method in ("encode", "classify", "score"))
        logits, codes, scores = infogan.classify(images), infogan.encode(images), infogan.score(images)
        assert (logits.shape, logits.dtype) == ((9, 3), torch.float32)
        assert set(codes) == {"c1", "u1"}, "Q doesn't read the noise"
        assert torch.equal(codes["c1"], logits.argmax(1))
        assert codes["u1"].shape == (9, 1)
        assert -1 <= float(codes["u1"].min()) <= float(codes["u1"].max()) <= 1
        assert (scores.shape, scores.dtype) == ((9,), torch.float32)
        assert torch.allclose(infogan.classify(images[:2]), logits[:2], atol=1e-5)

    def test_what_it_encodes_can_be_decoded_and_fixed(self, infogan):
        codes = infogan.encode(images_of(4))
        images, _ = infogan.sample(4, seed=0, **codes)
        assert torch.equal(images, infogan.decode(torch.from_numpy(noise_of(infogan, 4)), **codes))

    def test_the_same_after_saving_and_loading(self, infogan, tmp_path):
        loaded = genaug.load(infogan.save(tmp_path / "saved"), device="cpu")
        images = images_of(5)
        assert list(loaded.nets) == ["generator", "discriminator"]
        assert torch.equal(loaded.classify(images), infogan.classify(images))
        assert torch.equal(loaded.score(images), infogan.score(images))
        for name, values in infogan.encode(images).items():
            assert torch.equal(loaded.encode(images)[name], values)

    def test_a_discriminator_under_training_tells_real_images_from_noise(self, tmp_path):
        """Scores rise with realness: after a training, real images have higher ones than noise."""
        drawn = torch.Generator().manual_seed(0)
        real = (100 + torch.randint(0, 20, (64, 1, 8, 8), generator=drawn)).to(torch.uint8)
        real[:, :, :4] = 0
        dataset = torch.utils.data.TensorDataset(real)
        generator = genaug.fit(
            "infogan", dataset, out=tmp_path / "run", steps=40, batch_size=32, config=INFOGAN, device="cpu",
            progress=False,
        )  # fmt: skip
        assert float(generator.score(real).mean()) > float(generator.score(images_of(64)).mean())


def noise_of(generator, count):
    from genaug.backends.latents import latent_rows

    latent = next(latent for latent in generator.spec.latents if latent.name == "z")
    return latent_rows(latent, 0, 0, count).numpy()


class TestErrors:
    @pytest.mark.parametrize("method", ["encode", "classify", "score"])
    def test_a_backend_without_it_is_told_which_backends_have_it(self, make_generator, method):
        generator = make_generator()
        assert not generator.offers(method)
        with pytest.raises(
            InputError, match=rf"backend 'cgan' can't {method} samples\. Installed backends that can: .*infogan"
        ):
            getattr(generator, method)(images_of(2))

    def test_translate_needs_a_condition(self, make_generator):
        with pytest.raises(InputError, match=r"needs a generator with one condition; this one, .*'cgan', has 0"):
            make_generator(num_classes=0).translate(images_of(2))

    @pytest.mark.parametrize("method", ["encode", "classify", "score", "translate"])
    @pytest.mark.parametrize(
        ("samples", "got"),
        [
            (torch.rand(2, 1, 8, 8), r"torch\.float32 of shape \(2, 1, 8, 8\)"),
            (torch.zeros(2, 1, 8, 9, dtype=torch.uint8), r"torch\.uint8 of shape \(2, 1, 8, 9\)"),
            (torch.zeros(1, 8, 8, dtype=torch.uint8), r"torch\.uint8 of shape \(1, 8, 8\)"),
            (torch.tensor(3), r"torch\.int64 of shape \(\)"),
            ([[0]], "list"),
            (7, "int"),
        ],
    )
    def test_samples_that_do_not_fit(self, method, samples, got):
        with pytest.raises(InputError, match=rf"{method} got {got}; expected torch\.uint8 of shape \(\d, 1, 8, 8\)"):
            getattr(mirror(), method)(samples)

    @pytest.mark.parametrize("method", ["encode", "score", "translate"])
    def test_labels_are_required_where_the_spec_takes_them(self, method):
        call = getattr(mirror(classes=("cat", "dog")), method)
        with pytest.raises(InputError, match=rf"{method} needs labels: this generator takes 2 classes \(cat, dog\)"):
            call(images_of(2))
        with pytest.raises(InputError, match=rf"{method} got 3 labels for 2 samples"):
            call(images_of(2), [0, 1, 1])
        with pytest.raises(InputError, match="label 2 is unknown"):
            call(images_of(2), [0, 2])
        with pytest.raises(InputError, match="takes no labels"):
            getattr(mirror(), method)(images_of(2), [0, 1])

    def test_a_translator_is_not_sampled(self):
        with pytest.raises(InputError, match=r"makes samples from others \(source\): call translate"):
            mirror().sample(3)
        with pytest.raises(InputError, match=r"needs a generator with one condition; .* has 2"):
            mirror(conditions=("source", "mask")).translate(images_of(1))


class TestValues:
    def test_raw_samples_come_in_as_floats_and_go_out_raw(self):
        images = images_of(5)
        assert torch.equal(mirror().translate(images, seed=0), images.flip(-1))
        expected = images.float().div(127.5).sub(1)
        assert torch.allclose(mirror().encode(images)["z"], expected.flatten(1)[:, :2])
        assert torch.allclose(mirror().score(images), expected.flatten(1).mean(1), atol=1e-6)
        assert torch.equal(mirror().classify(images).argmax(1), (expected.flatten(1).mean(1) > 0).long())
        floats = mirror().translate(images, dtype=torch.float32)
        assert torch.allclose(floats, images.flip(-1).float() / 255, atol=1e-6)

    def test_labels_reach_the_backend_row_by_row(self):
        images, labels = images_of(4), torch.tensor([0, 1, 1, 0])
        conditional = mirror(classes=2)
        assert torch.equal(conditional.score(images, labels) - mirror().score(images), labels.float())
        brighter = conditional.translate(images, labels).int() - images.flip(-1).int()
        assert int(brighter[[0, 3]].abs().max()) == 0
        assert float(brighter[[1, 2]].float().mean()) > 5

    def test_scores_need_labels_only_if_they_depend_on_them(self, monkeypatch):
        images, conditional = images_of(4), mirror(classes=2)
        with pytest.raises(InputError, match="score needs labels: this generator takes 2 classes"):
            conditional.score(images)
        monkeypatch.setattr(Mirror, "scores_without_labels", True)
        assert torch.equal(conditional.score(images), mirror().score(images))
        labels = torch.tensor([0, 1, 1, 0])
        assert torch.equal(conditional.score(images, labels) - mirror().score(images), labels.float())
        with pytest.raises(InputError, match="score got"):
            conditional.score(images.float())

    def test_many_samples_run_in_chunks_and_none_at_all_is_fine(self, monkeypatch):
        monkeypatch.setattr("genaug.sources.chunks.chunk_size", lambda *_: 4)
        generator, images, labels = mirror(classes=3), images_of(10), torch.arange(10) % 3
        Mirror.seen.clear()
        z = generator.encode(images, labels)["z"]
        assert Mirror.seen == [4, 4, 2]
        assert torch.equal(
            z, torch.cat([generator.encode(images[i : i + 1], labels[i : i + 1])["z"] for i in range(10)])
        )
        assert torch.equal(generator.translate(images, labels)[7:8], generator.translate(images[7:8], labels[7:8]))
        assert generator.encode(images[:0], [])["z"].shape == (0, 2)
        assert generator.translate(images[:0], []).shape == (0, 1, 8, 8)

    def test_what_comes_back_can_be_trained_on(self):
        score = mirror().score(images_of(3))
        assert not score.is_inference()
