from contextlib import suppress

import pytest
import torch
from helpers.fakes_unlabelled import SHAPE, CodeWorld, Reader, World, labelled, pictures, true_class
from hypothesis import given, settings, strategies as st
from torch import nn
from torch.utils.data import TensorDataset

import genaug
from genaug.backends import Backend, BackendConfig, Categorical, Normal, Spec, registry
from genaug.errors import InputError
from genaug.modalities.image import Image
from genaug.sources.generator import Generator


def matched(world, dataset, **options):
    options = {"method": "codes", "classifier": Reader, "updates": 1, "augment": (), **options}
    return genaug.with_labels(world, dataset, **options)


def falling_into(*categories, per=4):
    """Labeled images, ``per`` of each class, that look like the category of their class."""
    return labelled(*((label, category, 250, per) for label, category in enumerate(categories)))


ORDER = (3, 0, 4, 1, 2)  # the category of each class
CLASSES = (1, 3, 4, 0, 2)  # the class of each category


@pytest.fixture(scope="module")
def source():
    return matched(CodeWorld(*CLASSES), falling_into(*ORDER))


def test_the_generators_record_is_kept_with_the_number_of_labeled_images(source):
    world = CodeWorld(*CLASSES)
    world.training = {"data_sha256": "abc"}
    labelled = source.report.labelled_images
    assert labelled > 0
    assert matched(world, falling_into(*ORDER)).training == {"data_sha256": "abc", "labelled_images": labelled}
    assert source.training == {"labelled_images": labelled}


def test_samples_have_the_requested_labels(source):
    requested = torch.tensor([4, 0, 1, 3, 2, 0, 0])
    images, labels = source.sample(labels=requested, seed=1)
    assert torch.equal(labels, requested)
    assert torch.equal(true_class(images), requested)
    assert source.spec.num_classes == 5


def test_the_report_has_the_matching_and_the_error(source):
    report = source.report
    assert report.categories == CLASSES
    assert (report.method, report.acceptance_rate, report.wrong_share) == ("codes", 1.0, 0.0)
    assert report.acceptance_per_class == pytest.approx([0.2] * 5)
    assert report.held_out_wrong_share == 0
    assert report.held_out_wrong_share_upper == pytest.approx(1 - 0.05 ** (1 / 20))
    assert "20 fell into a category" in report.basis


def test_the_error_is_that_of_held_out_images():
    """Of each class's 8 images 2 fall into the next class's category: held out, these are labeled wrongly."""
    dataset = labelled(*((label, (label + off) % 3, 250, n) for label in range(3) for off, n in ((0, 6), (1, 2))))
    report = matched(CodeWorld(0, 1, 2), dataset).report
    assert report.categories == (0, 1, 2)
    assert report.wrong_share == pytest.approx(6 / 24)
    assert matched(CodeWorld(0, 1, 2), dataset, max_wrong=0.25).report == report
    with pytest.raises(InputError, match=r"by 'c1', 6 of 24 held-out .* max_wrong allows 24\.0%"):
        matched(CodeWorld(0, 1, 2), dataset, max_wrong=0.24)


@settings(max_examples=20)
@given(st.lists(st.integers(0, 4), max_size=20), st.lists(st.integers(0, 4), max_size=20), st.integers(0, 3))
def test_sample_i_of_a_seed_doesnt_depend_on_the_number_of_samples(source, some, others, seed):
    few, _ = source.sample(labels=torch.tensor(some, dtype=torch.int64), seed=seed)
    many, _ = source.sample(labels=torch.tensor(some + others, dtype=torch.int64), seed=seed)
    assert torch.equal(many[: len(some)], few)


def test_a_class_with_several_categories_has_samples_of_each():
    world = CodeWorld(0, 1, 0, 0, 1)  # no labeled image falls into category 4
    dataset = labelled(*((label, looks, 250, 4) for label, looks in ((0, 0), (0, 2), (0, 3), (1, 1))))
    source = matched(world, dataset)
    assert source.report.categories == (0, 1, 0, 0, -1)
    assert source.report.acceptance_rate == pytest.approx(4 / 5)
    images, _ = source.sample(labels=torch.tensor([0, 1] * 150), seed=0)
    codes = images[:, 0, 0, 1]
    assert set(codes[1::2].tolist()) == {1}
    assert torch.bincount(codes[0::2].long()).tolist() == pytest.approx([50, 0, 50, 50], abs=20)


def test_a_class_without_a_category_is_rejected():
    with pytest.raises(InputError, match=r"no category of 'c1' stands for class 2: "):
        matched(CodeWorld(0, 1, 2), falling_into(0, 1, 1, per=6))
    with pytest.raises(InputError, match="has 2 categories for 3 classes: 1 class would have none"):
        matched(CodeWorld(0, 1), falling_into(0, 1, 1))


def test_the_latent_is_the_only_one_or_chosen_by_name():
    both = CodeWorld(0, 1, latents=("c1", "member"))
    dataset = falling_into(0, 1)
    with pytest.raises(InputError, match=r"several categorical latents \(c1, member\): pass one as code="):
        matched(both, dataset)
    with pytest.raises(InputError, match=r"code='z' is not a categorical latent of this generator; its .*: c1, member"):
        matched(both, dataset, code="z")
    assert matched(both, dataset, code="member").report.categories == (0, 1)
    assert {name for name, _ in both.asked} == {"member"}
    with pytest.raises(InputError, match=r"this one has none\. Use method='classifier'"):
        matched(World((0, 0, 9, 1)), dataset)
    with pytest.raises(InputError, match=r"this one has none\."):
        matched(World((0, 0, 9, 1)), dataset, code="c1")


def test_a_pool_of_samples_has_no_codes():
    class Pool(CodeWorld):
        def sample(self, n=None, *, labels=None, seed=None):
            return super().sample(n, seed=seed, c1=torch.zeros(n, dtype=torch.int64))

    with pytest.raises(InputError, match=r"Pool\.sample can't fix the latent 'c1'.* Pass the generator itself"):
        matched(Pool(0, 1), falling_into(0, 1))


def test_the_network_is_trained_on_as_many_samples_of_each_category_as_chance_gives():
    world = CodeWorld(0, 1)
    matched(world, falling_into(0, 1), updates=17)  # 544 samples: two blocks
    first, second = (code for _, code in world.asked)
    assert not torch.equal(first, second)
    assert 190 < int(first.sum()) < 322


def test_least_certain_needs_no_rejection(source):
    images, labels, certainty = source.least_certain(2, among=5)
    assert labels.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert torch.equal(true_class(images), labels)
    assert (certainty > 0.9).all()


def test_it_is_a_source_for_a_pool(source):
    pool = genaug.SamplePool(source, size=20)
    assert torch.equal(true_class(torch.stack([torch.from_numpy(pool.image(i)) for i in range(20)])), pool.labels)


class Stripes(Backend):
    """Category k of 3 makes a bright row k: a generator whose classes a real classifier has to learn."""

    Config = BackendConfig

    def describe(self, config, data):
        latents = (Normal(size=16), Categorical(name="c1", size=3))
        return data.model_copy(update={"latents": latents, "classes": None})

    def build(self, config, spec):
        return nn.ModuleDict({"generator": nn.Linear(1, 1)})

    def generate(self, nets, inputs):
        images = inputs.latents["z"].reshape(-1, 1, 4, 4) / 5 - 0.5
        images[torch.arange(len(images)), 0, inputs.latents["c1"]] = 1.0
        return images


def test_a_real_generator_and_a_real_classifier(register_backend):
    register_backend("stripes", Stripes)
    backend = registry.resolve("stripes")
    generator, dataset = stripes(backend, "stripes"), striped()
    source = genaug.with_labels(generator, dataset, method="codes", updates=60, augment=())
    assert source.report.categories == (1, 2, 0)
    assert source.report.wrong_share == 0
    samples, labels = source.sample(labels=torch.tensor([0, 1, 2, 2]), seed=0)
    brightest = samples[:, 0].float().mean(2).argmax(1)
    assert torch.equal((brightest + 1) % 3, labels)
    assert torch.equal(source.sample(labels=torch.tensor([0, 1]), seed=0)[0], samples[:2])


class ReadingStripes(Stripes):
    """Also says in which row an image is brightest."""

    def classify(self, nets, x):
        return x[:, 0].mean(2)[:, :3] * 50


def no_network(*arguments):
    raise AssertionError("a network is built although the generator reads its code itself")


def stripes(backend, name):
    spec = backend.describe(None, Spec(sample=Image(*SHAPE)))
    return Generator(name, backend, BackendConfig(), spec, backend.build(None, spec), {})


def striped(shift=1):
    """Nine images of bright rows 0 to 2; row k shows class k + ``shift``."""
    rows = torch.arange(3).repeat_interleave(3)
    images = torch.randint(100, (9, *SHAPE), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    images[torch.arange(9), 0, rows] = 240
    return TensorDataset(images, (rows + shift) % 3)


def test_a_generator_that_classifies_reads_its_code_itself():
    generator = stripes(ReadingStripes(), "reading-stripes")
    source = genaug.with_labels(generator, striped(), method="codes", classifier=no_network)
    assert source.report.categories == (1, 2, 0)
    assert source.report.wrong_share == 0
    made, labels = source.sample(labels=torch.tensor([2, 0, 1, 1]), seed=3)
    assert torch.equal((made[:, 0].float().mean(2).argmax(1) + 1) % 3, labels)
    probabilities = source.class_probabilities(made)
    assert torch.allclose(probabilities.sum(1), torch.ones(4))
    assert torch.equal(probabilities.argmax(1), labels)
    assert source.to("cpu") is source


def test_a_generator_that_does_not_classify_has_a_network_learn_its_code():
    with pytest.raises(AssertionError, match="a network is built"):
        genaug.with_labels(stripes(Stripes(), "stripes"), striped(), method="codes", classifier=no_network)


def test_a_code_that_the_generator_does_not_read_is_learned():
    """``classify`` reads the first categorical latent only."""

    class Two(ReadingStripes):
        def describe(self, config, data):
            spec = super().describe(config, data)
            return spec.model_copy(update={"latents": (*spec.latents, Categorical(name="c2", size=3))})

    generator = stripes(Two(), "two")
    source = genaug.with_labels(generator, striped(), method="codes", code="c1", classifier=no_network)
    assert source.report.categories == (1, 2, 0)
    with pytest.raises(AssertionError, match="a network is built"):
        genaug.with_labels(generator, striped(), method="codes", code="c2", classifier=no_network)


@pytest.mark.parametrize(
    ("backend", "config", "reads"),
    [
        ("infogan", {"categories": [3], "continuous": 1, "width": 4, "max_width": 8, "hidden": 16}, True),
        ("mad-gan", {"generators": 3, "conditional": False, "width": 4, "max_width": 8}, False),
    ],
)
def test_infogan_reads_its_code_itself_and_a_mad_gans_members_are_learned(backend, config, reads, tmp_path, tiny_set):
    few = {"steps": 2, "batch_size": 8, "device": "cpu", "progress": False, "config": {"latent_size": 4, **config}}
    generator = genaug.fit(backend, tiny_set, out=tmp_path / "run", **few)
    assert generator.offers("classify") is reads
    built = []

    def classifier(shape, outputs, seed):
        built.append(outputs)
        return nn.Sequential(nn.Flatten(), nn.Linear(64, outputs))

    images, _ = generator.sample(60, seed=1)
    dataset = TensorDataset(images, torch.arange(60) % 2)
    with suppress(InputError):  # so short a training may leave a class without a category
        genaug.with_labels(generator, dataset, method="codes", classifier=classifier, updates=2, augment=())
    assert built == ([] if reads else [3])


def test_pictures_are_told_apart():
    """The other tests rely on it: the fakes count their images."""
    images = pictures([0] * 300, [0] * 300, [0] * 300, torch.arange(300))
    assert len({bytes(image.numpy()) for image in images}) == 300
