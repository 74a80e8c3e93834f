import pytest
import torch
from helpers.fakes import FakeReal
from hypothesis import given, strategies as st
from torch.utils.data import TensorDataset

from genaug.errors import InputError
from genaug.labelling.labelled_set import deal, read_labelled
from genaug.modalities.image import to_pil

SHAPE = (1, 6, 6)


def read(dataset, shape=SHAPE, **options):
    return read_labelled(dataset, shape, **{"image_size": None, "exclude": None, "folds": 3, "seed": 0, **options})


class Items:
    """A dataset of any items."""

    def __init__(self, *items, classes=None):
        self.items = items
        if classes is not None:
            self.classes = classes

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        return self.items[index]


@given(st.lists(st.integers(2, 9), min_size=1, max_size=6), st.integers(2, 6), st.integers(0, 5))
def test_classes_are_dealt_evenly(counts, folds, seed):
    labels = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    assigned = deal(labels, folds, seed)
    assert torch.equal(assigned, deal(labels, folds, seed))
    for rows in (labels >= 0, *(labels == label for label in range(len(counts)))):
        sizes = torch.bincount(assigned[rows], minlength=folds)
        assert sizes.max() - sizes.min() <= 1
    for fold in assigned.unique():
        assert labels[assigned != fold].unique().tolist() == list(range(len(counts))), "all classes remain"


def test_folds_depend_on_the_seed():
    labels = torch.arange(40) % 4
    assert not torch.equal(deal(labels, 5, 0), deal(labels, 5, 1))


def test_images_labels_and_names_are_read():
    real = FakeReal([0, 1, 0, 1])
    real.classes = ["cat", "dog"]
    data = read(real)
    assert data.labels.tolist() == [0, 1, 0, 1]
    assert data.spec.class_names == ("cat", "dog")
    assert torch.equal(data.images, torch.stack([real.pixels(index) for index in range(4)]))
    assert sum(int(fold.sum()) for fold in data.held_out()) == 4


def test_a_repeated_image_counts_once():
    real = FakeReal([0, 1, 0, 1])
    twice = Items(*(real[index] for index in (0, 1, 2, 3, 0, 3)))
    assert read(twice).labels.tolist() == [0, 1, 0, 1]
    with pytest.raises(InputError, match=r"of 1 of its 2 classes: class 0 has 1\. .*at least 2"):
        read(Items(*(real[index] for index in (0, 1, 3, 0))))


@pytest.mark.parametrize("kind", ["pil", "uint8", torch.float32])
def test_overlap_is_found_in_every_image_format(kind):
    real = FakeReal([0, 1] * 6)
    test = FakeReal([0, 1] * 6, kind=kind)
    with pytest.raises(InputError, match=r"^7 of the 12 images .*\(items 2, 3, 5, 6, 7, … of labelled_set\)"):
        read(real, exclude=Items(*(test[index] for index in (7, 3, 2, 5, 11, 6, 10))))
    with pytest.raises(InputError, match=r"^1 of the 12 images .*\(items 4 of"):
        read(real, exclude=Items(test[4]))


def test_a_disjoint_set_is_accepted_whatever_its_labels():
    other = FakeReal([2, 3, 2, 3])  # the label is in the pixels
    for items in ([other[0][0], other[1][0]], [(other[0][0], -1)], [(other[0][0], "a", {})]):
        assert len(read(FakeReal([0, 1, 0, 1]), exclude=Items(*items)).labels) == 4


def test_overlap_is_found_after_resizing():
    draws = torch.Generator().manual_seed(0)
    large = [to_pil(torch.randint(256, (1, 12, 15), generator=draws).to(torch.uint8)) for _ in range(5)]
    real = Items(*((image, index % 2) for index, image in enumerate(large[:4])))
    assert read(real, exclude=Items(large[4]), image_size=6).images.shape == (4, *SHAPE)
    with pytest.raises(InputError, match="1 of the 4 images"):
        read(real, exclude=Items(large[2]), image_size=6)


def test_an_excluded_set_that_cant_be_compared_is_rejected():
    real = FakeReal([0, 1, 0, 1])
    with pytest.raises(InputError, match=r"exclude has images of shape \(1, 8, 8\).*image_size="):
        read(real, exclude=FakeReal([0], shape=(1, 8, 8)))
    with pytest.raises(InputError, match="expected a map-style dataset"):
        read(real, exclude=iter(()))


def test_datasets_that_labels_cant_be_learned_from_are_rejected():
    image = torch.zeros(SHAPE, dtype=torch.uint8)
    others = torch.arange(4, dtype=torch.uint8).reshape(4, 1, 1, 1).expand(4, *SHAPE).contiguous()
    invalid = {
        "images without labels": Items(image, image + 1),
        "a single class": TensorDataset(others, torch.zeros(4, dtype=torch.int64)),
        r"class 0 has 1, class 2 has 1\.": TensorDataset(others, torch.tensor([0, 1, 2, 1])),
        r"class 1 \('dog'\) has 0": Items((image, 0), (image + 1, 0), classes=["cat", "dog"]),
        "must be integers": TensorDataset(others, torch.rand(4)),
        "is empty": Items(),
        r"shape \(1, 6, 6\) \(C, H, W\), and the generator makes \(1, 8, 8\). Pass image_size=": None,
        r"shape \(1, 6, 6\) \(C, H, W\), and the generator makes \(3, 6, 6\). Convert them": None,
    }
    for message, dataset in invalid.items():
        shape = (1, 8, 8) if "8, 8" in message else (3, 6, 6) if "3, 6" in message else SHAPE
        with pytest.raises(InputError, match=message):
            read(dataset if dataset is not None else FakeReal([0, 1, 0, 1]), shape)
