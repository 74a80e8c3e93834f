"""A source that isn't ours and has so many samples: every use asks for its ``supply``, whatever its type."""

import numpy as np
import pytest
import torch
from helpers.fakes import FakeReal, FakeSource
from torch.utils.data import TensorDataset

import genaug
from genaug.backends import Spec
from genaug.data.reading import read_samples
from genaug.errors import InputError
from genaug.evaluation.subject import new_subject
from genaug.modalities import Image
from genaug.sources.source import check_supply, distinct_labels, supply_of
from genaug.studies.blending import class_counts, generate
from genaug.studies.sources import describe_source, resolve
from genaug.studies.splits import LabelledSamples, labelled as images_of

SHAPE = (1, 4, 4)


class Shelf:
    """Somebody's own source: ``supply[c]`` samples of class c, all different, each given once in a call."""

    def __init__(self, *supply, container=list, classes=True):
        self.spec = Spec(sample=Image(*SHAPE), classes=len(supply) if classes else None)
        self.supply = container(supply)
        self.calls = []

    def sample(self, n=None, *, labels=None, seed=None):
        self.calls.append(n if labels is None else len(labels))
        generator = torch.Generator().manual_seed(seed % 2**62)
        classes = torch.zeros(n, dtype=torch.int64) if labels is None else labels
        images = torch.zeros(len(classes), *SHAPE, dtype=torch.uint8)
        for label in classes.unique().tolist():
            rows = torch.nonzero(classes == label).flatten()
            held = int(self.supply[label])
            if not held:
                raise RuntimeError("the shelf is empty")
            numbers = torch.randperm(held, generator=generator)[torch.arange(len(rows)) % held]
            images[rows, 0, 0, 0] = label
            images[rows, 0, 0, 1] = (numbers // 256).to(torch.uint8)
            images[rows, 0, 0, 2] = (numbers % 256).to(torch.uint8)
        return images, None if self.spec.classes is None else classes


def distinct(images):
    return len({bytes(image) for image in images.numpy()})


def real_set(*counts, seed=1):
    labels = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    images = torch.randint(256, (len(labels), *SHAPE), generator=torch.Generator().manual_seed(seed)).to(torch.uint8)
    return TensorDataset(images, labels)


@pytest.mark.parametrize("container", [list, tuple, np.array, torch.tensor])
def test_supply_may_be_any_sequence_of_counts(container):
    shelf = Shelf(3, 0, 2, container=container)
    assert supply_of(shelf) == [3, 0, 2]
    check_supply(shelf, [0, 2])
    with pytest.raises(InputError, match="Shelf has no sample of class 1, and some are needed"):
        check_supply(shelf, torch.tensor([0, 1]))
    labels = torch.tensor([0, 0, 0, 0, 2, 2, 2, 2])
    assert distinct_labels(shelf, labels, torch.arange(3)).tolist() == [0, 0, 0, 2, 2]


def test_a_source_without_the_attribute_is_endless():
    assert supply_of(FakeSource()) is None
    check_supply(FakeSource(), [0, 1, 2, 3])
    labels = torch.zeros(1000, dtype=torch.int64)
    assert torch.equal(distinct_labels(FakeSource(), labels, torch.arange(4)), labels)


@pytest.mark.parametrize("supply", [[3, 2], [1, 2, 3, 4], [1, -1, 2], []])
def test_counts_that_do_not_fit_its_classes_are_refused(supply):
    shelf = Shelf(1, 1, 1)
    shelf.supply = supply
    with pytest.raises(InputError, match=r"Shelf\.supply must be one count of 0 or more for each of 3 classes"):
        supply_of(shelf)


@pytest.mark.parametrize("container", [list, torch.tensor])
def test_an_evaluation_takes_each_sample_once(container):
    shelf = Shelf(150, 90, container=container)
    subject = new_subject(shelf, read_samples(real_set(300, 200)), None, None, 0)
    assert len(shelf.calls) == 1
    assert distinct(subject.fake) == len(subject.fake)
    counts = subject.fake[:, 0, 0, 0].bincount(minlength=2).tolist()
    assert counts[0] / counts[1] == pytest.approx(300 / 200, abs=0.03)
    assert counts[1] == 90
    with pytest.raises(InputError, match="the pool of 240 images is enough for"):
        new_subject(shelf, read_samples(real_set(300, 200)), None, 240, 0)
    with pytest.raises(InputError, match="has no sample of class 1"):
        new_subject(Shelf(300, 0, container=container), read_samples(real_set(30, 20)), None, None, 0)


def test_an_evaluation_of_one_without_labels_takes_each_sample_once():
    shelf = Shelf(230, classes=False)
    subject = new_subject(shelf, read_samples(list(real_set(300)[:][0])), None, None, 0)
    assert distinct(subject.fake) == len(subject.fake) == 230


@pytest.mark.parametrize("container", [list, torch.tensor])
def test_a_study_takes_each_sample_once_and_says_how_many_there_are(container):
    shelf = Shelf(40, 20, container=container)
    train = read_samples(real_set(60, 60))
    assert describe_source(shelf, train)["type"] == "Shelf of 60 images"
    counts = class_counts(train.labels, 0.5, 5000, fill=False)
    generated = generate(shelf, LabelledSamples(train.x, train.labels, None), counts, 0, train.spec)
    assert generated.labels.bincount().tolist() == [21, 20]
    assert distinct(generated.samples) == 41
    assert shelf.calls[-1] == 41, "in one call, so that none comes twice"


def test_a_study_refuses_one_that_lacks_a_class_before_anything_is_trained(tmp_path):
    with pytest.raises(InputError, match=r"source 'shelf': Shelf has no sample of class 1, and some are needed"):
        genaug.study(
            real_set(30, 30), real_set(8, 8, seed=2), sources={"shelf": Shelf(9, 0)}, out=tmp_path / "study", seeds=2
        )
    real = read_samples(real_set(3, 3))
    assert resolve({"shelf": Shelf(9, 1)}, real.spec, images_of(real, "the training set"))


def test_a_blend_takes_each_sample_once_and_refuses_one_that_lacks_a_class():
    real = FakeReal([0] * 20 + [1] * 20, SHAPE, kind="uint8")
    shelf = Shelf(20, 30)
    mixed = genaug.MixedDataset(real, shelf, ratio=0.5)
    assert shelf.calls[-1] == 40, "in one call, so that none comes twice"
    assert distinct(torch.stack([mixed[i][0] for i in range(40, 80)])) == 40
    with pytest.raises(InputError, match="Shelf has no sample of class 1, and some are needed"):
        genaug.MixedDataset(real, Shelf(20, 0), ratio=0.5)
    only = genaug.MixedDataset(real, Shelf(20, 0), balance={0: 10})
    assert only.targets.bincount().tolist() == [30, 20]


def test_a_pool_of_one_holds_each_sample_once(monkeypatch):
    monkeypatch.setattr("genaug.sources.pool._BATCH", 5)
    pool = genaug.SamplePool(Shelf(12, 12), size=24)
    assert distinct(pool.images) == 24
    assert supply_of(pool) == pool.supply == [12, 12]
