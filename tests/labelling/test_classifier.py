import pickle

import pytest
import torch
from helpers.fakes import FakeReal, FakeSource
from helpers.fakes_unlabelled import SHAPE, Reader, World, labelled, true_class
from hypothesis import given, settings, strategies as st
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import genaug
from genaug.errors import InputError
from genaug.sources.source import Source

SURE, UNSURE = 200, 30
# (label, looks like, how sure, how many): what one can be sure of is what it looks like, half the rest isn't.
LABELLED = labelled(
    *((label, label, SURE, 10) for label in range(3)),
    *((label, looks, UNSURE, 2) for label in range(3) for looks in (label, (label + 1) % 3)),
)
# (true class, looks like, how sure, weight), with a rare class.
KINDS = (
    *((label, label, SURE, weight) for label, weight in enumerate((4, 2, 0.2))),
    *((label, looks, UNSURE, 1) for label in range(3) for looks in (label, (label + 1) % 3)),
)


def sorted_by(world, dataset=LABELLED, **options):
    options = {"method": "classifier", "classifier": Reader, "updates": 1, "augment": (), **options}
    return genaug.with_labels(world, dataset, **options)


@pytest.fixture(scope="module")
def source():
    return sorted_by(World(*KINDS))


def test_samples_have_the_requested_labels(source):
    assert isinstance(source, Source)
    requested = torch.tensor([2, 0, 1, 1, 2, 0, 0] * 30)
    images, labels = source.sample(labels=requested, seed=1)
    assert torch.equal(labels, requested)
    assert torch.equal(true_class(images), requested)
    assert (images.dtype, labels.dtype) == (torch.uint8, torch.int64)
    assert len({bytes(image.numpy()) for image in images}) == len(images), "no sample is returned twice"


def test_the_report_has_the_rates_and_the_errors(source):
    report = source.report
    assert (report.method, report.labelled_images) == ("classifier", 42)
    assert report.acceptance_per_class == pytest.approx([4 / 12.2, 2 / 12.2, 0.2 / 12.2], abs=0.05)
    assert report.acceptance_rate == pytest.approx(sum(report.acceptance_per_class))
    assert 0 < report.wrong_share <= 0.05
    assert report.held_out_wrong_share == 0
    assert report.held_out_wrong_share_upper == pytest.approx(1 - 0.05 ** (1 / 30))
    assert "calibrated on 42 labeled images" in report.basis
    assert "30 were accepted and 0 of these" in report.basis
    assert f"{report.wrong_share:.1%} wrong labels estimated" in repr(source)


def test_the_share_of_wrong_labels_can_be_chosen():
    """6 of 42 labeled images are labeled wrongly: if most may be wrong, all of them and all samples are accepted."""
    loose = sorted_by(World(*KINDS), max_wrong=0.6)
    assert loose.report.acceptance_rate == pytest.approx(1)
    assert loose.report.held_out_wrong_share == pytest.approx(6 / 42)
    requested = torch.arange(3).repeat(200)
    wrong = float((true_class(loose.sample(labels=requested, seed=0)[0]) != requested).double().mean())
    assert wrong == pytest.approx((1 / 6 + 1 / 4 + 1 / 2.2) / 3, abs=0.05)
    assert loose.report.wrong_share == pytest.approx(wrong, abs=0.05), "as among the labeled images"


def test_a_generator_worse_than_the_labelled_images_has_more_rejected():
    """All labeled images are accepted, with 1 in 20 wrong; of this generator's samples half are as doubtful."""
    dataset = labelled(
        *((label, label, SURE, 45) for label in range(2)), *((a, b, UNSURE, 2) for a in (0, 1) for b in (0, 1))
    )
    good = World(*((label, label, SURE, 90) for label in range(2)), (0, 0, UNSURE, 8), (1, 1, UNSURE, 8))
    poor = World(
        *((label, label, SURE, 1) for label in range(2)), *((a, b, UNSURE, 0.5) for a in (0, 1) for b in (0, 1))
    )
    sources = [sorted_by(world, dataset, max_wrong=0.1) for world in (good, poor)]
    assert [source.report.acceptance_rate for source in sources] == pytest.approx([1, 0.5], abs=0.05)
    requested = torch.arange(2).repeat(200)
    assert (true_class(sources[1].sample(labels=requested, seed=0)[0]) == requested).all()


@settings(max_examples=25)
@given(st.lists(st.integers(0, 2), max_size=30), st.lists(st.integers(0, 2), max_size=30), st.integers(0, 3))
def test_sample_j_of_a_class_depends_on_nothing_else(source, some, others, seed):
    alone, _ = source.sample(labels=torch.tensor(some, dtype=torch.int64), seed=seed)
    more, _ = source.sample(labels=torch.tensor(some + others, dtype=torch.int64), seed=seed)
    assert torch.equal(more[: len(some)], alone)
    for label in set(some):
        here = torch.tensor(some) == label
        assert torch.equal(source.sample(labels=torch.full((int(here.sum()),), label), seed=seed)[0], alone[here])


def test_seeds(source):
    few, many = source.sample(5, seed=3), source.sample(200, seed=3)
    assert torch.equal(many[0][:5], few[0])
    assert torch.equal(many[1][:5], few[1])
    assert torch.equal(true_class(many[0]), many[1])
    assert set(many[1].tolist()) == {0, 1, 2}
    assert not torch.equal(source.sample(5, seed=4)[0], few[0])
    torch.manual_seed(0)
    one, two = source.sample(5)[0], source.sample(5)[0]
    torch.manual_seed(0)
    assert torch.equal(source.sample(5)[0], one)
    assert not torch.equal(one, two)


def test_the_source_is_reproducible_and_doesnt_change_torchs_rng():
    images = torch.randint(256, (24, *SHAPE), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    images[::2, :, :2], images[1::2, :, 2:] = 255, 255  # two classes: bright above, bright below
    dataset = TensorDataset(images, torch.arange(24) % 2)

    class Dark(World):  # candidates of both classes
        def sample(self, n=None, *, labels=None, seed=None):
            noise = torch.randint(256, (n, *SHAPE), generator=torch.Generator().manual_seed(seed)).to(torch.uint8)
            noise[::2, :, :2], noise[1::2, :, 2:] = 255, 255
            return noise, None

    state = torch.get_rng_state()
    options = {"method": "classifier", "updates": 30, "folds": 2, "max_wrong": 0.1}
    both = [genaug.with_labels(Dark((0, 0, 0, 1)), dataset, **options) for _ in range(2)]
    assert torch.equal(torch.get_rng_state(), state)
    assert both[0].report == both[1].report
    requested = torch.tensor([0, 1] * 20)
    (first, _), (second, _) = (source.sample(labels=requested, seed=0) for source in both)
    assert torch.equal(first, second)
    assert torch.equal(first[:, 0, :2].float().mean((1, 2)) == 255, requested == 0), (
        "the classifier learned the classes"
    )


def test_a_missing_class_is_an_error_with_the_rates():
    world = World((0, 0, SURE, 1), (1, 1, SURE, 1), (2, 2, UNSURE, 1))
    source = sorted_by(world, max_tries=5000)
    assert source.report.acceptance_per_class[2] == 0
    world.made = 0
    with pytest.raises(InputError, match=r"class 2 wasn't found among the last 5,[0-9]+ samples") as error:
        source.sample(labels=torch.tensor([0, 1, 2, 0]), seed=0)
    assert 5000 <= world.made < 5000 + 2048
    assert f"Of {world.made:,} samples" in str(error.value)
    rates = [float(part.split("%")[0].split()[-1]) for part in str(error.value).split("class")[2:5]]
    assert rates == pytest.approx([0, 33.3, 33.3], abs=2)
    assert source.sample(labels=torch.tensor([0, 1]), seed=0)[1].tolist() == [0, 1], "the others are available"


def test_many_samples_of_a_rare_class_are_found():
    source = sorted_by(World((0, 0, SURE, 200), (1, 1, SURE, 200), (2, 2, SURE, 1)), max_tries=5000)
    images, _ = source.sample(labels=torch.full((30,), 2), seed=0)  # about 12,000 candidates
    assert (true_class(images) == 2).all()


def test_a_share_that_cant_be_shown_is_an_error():
    with pytest.raises(InputError, match=r"1\.0%: held out, 36 of 42 .* at least 99 must be"):
        sorted_by(World(*KINDS), max_wrong=0.01)


class Memorizer(Reader):
    """Right about its training images, wrong about all others."""

    def __init__(self, shape, outputs, seed):
        super().__init__(shape, outputs, seed)
        self.seen = set()

    def forward(self, images):
        if self.training:
            self.seen |= {bytes(image.numpy()) for image in images}
        known = torch.tensor([bytes(image.numpy()) in self.seen for image in images])
        return torch.where(known[:, None], super().forward(images), super().forward(images).roll(1, 1))


def test_no_classifier_judges_images_that_it_was_trained_on():
    dataset = labelled((0, 0, SURE, 20), (1, 1, SURE, 20))
    with pytest.raises(InputError, match="held out, 0 of 40 labeled images are labeled correctly"):
        sorted_by(World(*KINDS), dataset, classifier=Memorizer, updates=10)


def test_least_certain_comes_first():
    kinds = [(label, label, sure, 1) for label in range(2) for sure in (100, 120, 250)]
    source = sorted_by(World(*kinds), labelled(*((label, label, 100, 20) for label in range(2))))
    images, labels, certainty = source.least_certain(6, among=30)
    assert labels.tolist() == [0] * 6 + [1] * 6
    assert torch.equal(true_class(images), labels)
    assert (certainty.reshape(2, 6).diff(dim=1) >= 0).all()
    assert (images[:, 0, 0, 2] == 100).all()
    with pytest.raises(InputError, match="among must be an integer of 6"):
        source.least_certain(6, among=5)


def test_it_is_a_source_for_the_pool_the_dataset_and_the_transform(source):
    pool = genaug.SamplePool(source, size=60, labels={0: 1, 1: 1, 2: 4})
    assert torch.equal(true_class(torch.stack([torch.from_numpy(pool.image(i)) for i in range(60)])), pool.labels)
    assert torch.equal(pickle.loads(pickle.dumps(pool)).sample(9, seed=0)[0], pool.sample(9, seed=0)[0])
    real = FakeReal([0, 1, 2] * 4, shape=SHAPE, kind="uint8")
    mixed = genaug.MixedDataset(real, source, ratio=0.5)
    items = [mixed[index] for index in range(12, 24)]
    assert [int(image[0, 0, 0]) for image, _ in items] == [label for _, label in items]
    augment = genaug.GenerativeAugment(source, ratio=1.0)
    images, labels = augment(*next(iter(DataLoader(real, 12))))
    assert torch.equal(true_class(images), labels)
    assert (
        augment.source.sample(3, seed=0)[1].tolist() == pickle.loads(pickle.dumps(source)).sample(3, seed=0)[1].tolist()
    )


def test_a_pool_of_equal_classes_needs_few_candidates(monkeypatch):
    monkeypatch.setattr("genaug.sources.pool._BATCH", 500)
    world = World((0, 0, SURE, 1), (1, 1, SURE, 1), (2, 2, SURE, 1))
    source = sorted_by(world)
    world.made = 0
    genaug.SamplePool(source, size=3000)
    assert world.made < 2 * 3000


def test_a_real_generator_is_labeled_and_moved(make_generator):
    generator = make_generator(shape=SHAPE, num_classes=0)
    samples, _ = generator.sample(60, seed=9)
    looks = (samples[:, 0, 0, 1] % 2).long()
    assert 5 < int(looks.sum()) < 55
    source = sorted_by(generator, TensorDataset(samples, looks), max_wrong=0.1)
    images, labels = source.sample(labels=torch.tensor([1, 0, 1, 1]), seed=0)
    assert (images[:, 0, 0, 1] % 2).tolist() == labels.tolist() == [1, 0, 1, 1]
    assert source.device == torch.device("cpu")
    assert source.to("cpu") is source
    assert genaug.SamplePool(source, size=10, device="cpu").counts.tolist() == [5, 5]
    with pytest.raises(InputError, match="a World can't be moved"):
        sorted_by(World(*KINDS)).to("cpu")


def test_requests_that_cant_be_sampled_are_rejected(source):
    for arguments, message in [
        ({}, "either n="),
        ({"n": 1, "labels": [0]}, "either n="),
        ({"n": -1}, "n must be"),
        ({"labels": [0, 3]}, "label 3 is unknown: the labeled set has 3 classes"),
        ({"labels": [0.5]}, "integers"),
        ({"labels": torch.eye(3)}, "Soft or one-hot"),
        ({"n": 1, "seed": -1}, "seed"),
    ]:
        with pytest.raises(InputError, match=message):
            source.sample(**arguments)
    for empty in ({"n": 0}, {"labels": []}):
        images, labels = source.sample(**empty)
        assert (images.shape, labels.shape) == ((0, *SHAPE), (0,))


class NoLogits(Reader):
    def forward(self, images):
        return images.mean()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "svm"}, "method must be 'classifier', 'classify' or 'codes'"),
        ({"code": "c1"}, "code= has no meaning for method='classifier'"),
        ({"method": "codes", "max_tries": 9}, "max_tries= has no meaning for method='codes'"),
        ({"max_wrong": 0}, "max_wrong must be a share between 0 and 1"),
        ({"max_wrong": 1.0}, "max_wrong must be"),
        ({"max_wrong": "a few"}, "max_wrong must be"),
        ({"max_tries": 0}, "max_tries must be"),
        ({"folds": 1}, "folds must be an integer of 2"),
        ({"updates": 0}, "updates must be"),
        ({"augment": ["flip"]}, "augment must be"),
        ({"seed": -1}, "seed must be"),
        ({"exclude": LABELLED}, "42 of the 42 images of labelled_set are in exclude too"),
        ({"classifier": NoLogits}, r"gave \(\) for 2 images; expected logits of shape \(2, 3\)"),
        ({"classifier": lambda shape, outputs, seed: nn.Identity()}, "a torch network with parameters, got Identity"),
    ],
)
def test_invalid_options_are_rejected(options, message):
    with pytest.raises(InputError, match=message):
        sorted_by(World(*KINDS), **options)


def test_sources_with_labels_and_other_objects_are_rejected():
    with pytest.raises(InputError, match=r"takes labels already \(4 classes\)\. Use it directly"):
        sorted_by(FakeSource())
    with pytest.raises(InputError, match=r"genaug\.load"):
        sorted_by("runs/mnist")
