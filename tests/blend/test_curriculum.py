"""A curriculum: the samples that a classifier is most confident of come first."""

import copy
import pickle

import pytest
import torch
from helpers.fakes import FakeReal, FakeSource, pixels_of
from torch import nn
from torch.utils.data import DataLoader

from genaug import Curriculum, MixedDataset, SamplePool
from genaug.backends import Backend, BackendConfig, Categorical, Normal, Spec
from genaug.errors import InputError
from genaug.modalities import Image
from genaug.schedules import linear, pretrain, steps
from genaug.sources.generator import Generator

LABELS = [0] * 8 + [1] * 5 + [2] * 4 + [3] * 3


def brightness(image):
    """What the classifier below is confident of: pixel (1, 0)."""
    return int(pixels_of(image)[0, 1, 0])


class ByBrightness(nn.Module):
    """Logits of the class that pixel (0, 1) tells, larger for a brighter pixel (1, 0)."""

    def __init__(self, classes=4, order=None):
        super().__init__()
        self.classes, self.order, self.calls = classes, order or list(range(classes)), 0

    def forward(self, images):
        self.calls += 1
        labels = (images[:, 0, 0, 1] * 255).round().long()
        logits = torch.zeros(len(images), self.classes)
        logits[torch.arange(len(images)), torch.tensor(self.order)[labels]] = 5 * images[:, 0, 1, 0]
        return logits


def blend(share, source=None, classifier=None, **options):
    options = {"ratio": 0.5, "refresh": None, **options}
    return MixedDataset(
        FakeReal(LABELS), source or FakeSource(), curriculum=Curriculum(classifier or ByBrightness(), share), **options
    )


def generated(mixed):
    """(label, brightness) of all generated items."""
    return [(mixed[i][1], brightness(mixed[i][0])) for i in range(len(mixed)) if mixed.is_generated(i)]


def ranked(pool):
    """The brightness of a pool's images, per class, from the brightest."""
    values = {}
    for image, label in zip(pool.images, pool.labels.tolist(), strict=True):
        values.setdefault(label, []).append(int(image[0, 1, 0]))
    return {label: sorted(bright, reverse=True) for label, bright in values.items()}


@pytest.mark.parametrize("mode", ["expand", "replace"])
def test_an_epoch_uses_the_most_confident_share_of_each_class(mode):
    pool = SamplePool(FakeSource(), size=400)
    mixed = blend(steps({0: 0.1, 1: 0.5, 2: 1}), pool, mode=mode)
    order = ranked(pool)
    for epoch, share in enumerate((0.1, 0.5, 1)):
        mixed.set_epoch(epoch)
        assert all(value in order[label][: int(share * 100)] for label, value in generated(mixed))
    mixed.set_epoch(1)
    assert any(value < order[label][10] for label, value in generated(mixed)), "more than in epoch 0"


def test_all_of_the_pool_is_the_blend_without_a_curriculum():
    pool = SamplePool(FakeSource(), size=40)
    mixed, plain = blend(1, pool), MixedDataset(FakeReal(LABELS), pool, ratio=0.5)
    assert sorted(generated(mixed)) != sorted(generated(plain)), "another draw of the same pool"
    assert mixed.targets.tolist() == plain.targets.tolist()
    full = blend(1), MixedDataset(FakeReal(LABELS), FakeSource(), ratio=0.5, refresh=None)
    assert sorted(generated(full[0])) == sorted(generated(full[1]))


def test_too_few_confident_samples_are_repeated():
    mixed = blend(0.01)
    values = generated(mixed)
    assert len(values) == 20
    assert len(set(values)) == 4, "one per class"
    assert set(values) == {(label, bright[0]) for label, bright in ranked(mixed.pool).items()}


def test_new_samples_are_ranked_again_and_stored_ones_only_once():
    classifier = ByBrightness()
    mixed = blend(0.2, classifier=classifier, refresh="epoch")
    calls = classifier.calls
    mixed.set_epoch(1)
    assert classifier.calls == 2 * calls
    order = ranked(mixed.pool)
    assert all(value in order[label][:2] for label, value in generated(mixed))
    stored = blend(0.2, SamplePool(FakeSource(), size=40), classifier := ByBrightness())
    calls = classifier.calls
    stored.set_epoch(1)
    assert classifier.calls == calls


def test_each_source_has_its_own_ranking():
    pools = {"gan": SamplePool(FakeSource(), size=200), "hub": SamplePool(FakeSource(shape=(1, 6, 6)), size=80)}
    mixed = MixedDataset(
        FakeReal(LABELS), pools, ratio={"gan": 0.3, "hub": 0.3}, curriculum=Curriculum(ByBrightness(), 0.1)
    )
    for index in range(len(LABELS), len(mixed)):
        image, label = mixed[index]
        pool = pools[mixed.source_of(index)]
        assert brightness(image) in ranked(pool)[label][: len(pool) // 40]


def test_the_classifier_has_the_classes_of_the_real_set():
    real = FakeReal(LABELS)
    real.classes = ["ant", "bee", "cat", "dog"]
    pool = SamplePool(FakeSource(classes=("dog", "cat", "bee", "ant")), size=400)
    classifier = ByBrightness(order=[3, 2, 1, 0])  # the source's class in pixel (0, 1) to the real set's number
    mixed = MixedDataset(real, pool, ratio=0.5, curriculum=Curriculum(classifier, 0.1))
    order = ranked(pool)
    assert all(value in order[3 - label][:10] for label, value in generated(mixed))


class Classifying(Backend):
    """A generator whose classifier finds the class in pixel (0, 1), in reverse order, surer of a brighter (1, 0)."""

    class Config(BackendConfig):
        pass

    def build(self, config, spec):
        return nn.ModuleDict({"generator": nn.Identity()})

    def generate(self, nets, inputs):
        raise NotImplementedError

    def classify(self, nets, x):
        return ByBrightness(order=[3, 2, 1, 0])((x + 1) / 2)


def classifying(classes):
    spec = Spec(sample=Image(1, 6, 6), classes=classes, latents=(Normal(size=1), Categorical(name="c1", size=4)))
    backend = Classifying()
    return Generator("classifying", backend, backend.Config(), spec, backend.build(None, spec), {})


def test_the_classes_of_a_generator_that_classifies_are_matched_by_name(make_generator):
    pool = SamplePool(FakeSource(classes=("ant", "bee", "cat", "dog")), size=400)
    real = FakeReal(LABELS)
    real.classes = ["ant", "bee", "cat", "dog"]

    def build(classifier):
        return MixedDataset(real, pool, ratio=0.5, curriculum=Curriculum(classifier, 0.1))

    order = ranked(pool)
    mixed = build(classifying(("dog", "cat", "bee", "ant")))
    assert all(value in order[label][:10] for label, value in generated(mixed))
    with pytest.raises(InputError, match="without labels, whose classifier recognizes its own categories"):
        build(classifying(None))
    with pytest.raises(InputError, match="'ant'"):
        build(classifying(("dog", "cat", "bee", "asp")))
    with pytest.raises(InputError, match="can't classify"):
        build(make_generator((1, 6, 6)))
    with pytest.raises(InputError, match=r"the curriculum's classifier classifies .*, the source makes"):
        MixedDataset(
            FakeReal(LABELS, shape=(1, 8, 8)),
            FakeSource(shape=(1, 8, 8)),
            ratio=0.5,
            curriculum=Curriculum(classifying(4), 0.1),
        )


def collate(items):
    return torch.stack([pixels_of(image) for image, _ in items]), torch.tensor([label for _, label in items])


class Unpicklable(ByBrightness):
    def __reduce_ex__(self, protocol):
        raise AssertionError("the classifier was sent to a worker")


@pytest.mark.parametrize("context", ["fork", "forkserver"])
def test_persistent_workers_follow_the_curriculum(context):
    mixed = blend(linear(0.1, 1, 3), classifier=Unpicklable(), refresh="epoch")
    loader = DataLoader(
        mixed,
        9,
        collate_fn=collate,
        num_workers=1,
        persistent_workers=True,
        multiprocessing_context=context,
    )
    for epoch in range(3):
        mixed.set_epoch(epoch)
        expected = collate(list(mixed))
        images, labels = zip(*loader, strict=True)
        assert torch.equal(torch.cat(images), expected[0])
        assert torch.equal(torch.cat(labels), expected[1])


def test_copies_keep_the_order():
    source = FakeSource()
    for duplicate in (copy.deepcopy, copy.copy):
        mixed = blend(linear(0.1, 1, 3), source, refresh="epoch")
        twin = duplicate(mixed)
        for epoch in (1, 2):
            mixed.set_epoch(epoch)
            expected = generated(mixed)
            twin.set_epoch(epoch)
            assert generated(twin) == expected
    mixed = blend(linear(0.1, 1, 3), ratio=steps({0: 0, 1: 0.5}))
    twin = pickle.loads(pickle.dumps(mixed))
    for epoch in (1, 2):
        mixed.set_epoch(epoch)
        twin.set_epoch(epoch)
        assert generated(twin) == generated(mixed)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Curriculum("model", 0.5), "needs a classifier.*got str"),
        (lambda: Curriculum(ByBrightness(), 0), "must be above 0, but it is 0 in epoch 0"),
        (lambda: Curriculum(ByBrightness(), pretrain(2)), "must be above 0, but it is 0 in epoch 2"),
        (lambda: Curriculum(ByBrightness(), 1.5), "a curriculum's share must be a number from 0 to 1, got 1.5"),
        (lambda: Curriculum(ByBrightness(), "all"), "a curriculum's share must be a number"),
        (lambda: blend(0.5, classifier=lambda x: x.flatten(1)[:, :2]), r"returned \(8, 2\) for 8 samples; expected"),
        (lambda: blend(0.5, classifier=lambda x: x.flatten(1)[:, :4] * float("nan")), "NaN or infinite logits"),
        (
            lambda: MixedDataset(FakeReal(LABELS), FakeSource(), ratio=0.5, curriculum=0.5),
            "curriculum must be a genaug.Curriculum, got float",
        ),
    ],
)
def test_bad_input(build, message):
    with pytest.raises(InputError, match=message):
        build()


def test_a_classifier_may_have_more_classes_than_occur():
    assert len(generated(blend(0.5, classifier=ByBrightness(6)))) == 20
    assert repr(Curriculum(ByBrightness(), 0.5)) == "Curriculum(ByBrightness, share=Schedule([0.5]))"
