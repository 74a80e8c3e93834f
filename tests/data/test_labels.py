import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import TensorDataset

from genaug.data.classes import class_names
from genaug.data.labels import as_labels, known_labels, labels_of
from genaug.errors import InputError


@pytest.mark.parametrize(
    "values",
    [[1, 2], (1, 2), np.array([1, 2], np.int32), torch.tensor([[1], [2]]), [np.array([1]), np.array([2])]],
)
def test_integers_of_any_kind(values):
    labels = as_labels(values)
    assert (labels.dtype, labels.tolist()) == (torch.int64, [1, 2])


@pytest.mark.parametrize(
    "values", [torch.eye(4), torch.eye(4).long(), [torch.tensor([0.5, 0.5])] * 3, [[0.5, 0.5]] * 3]
)
def test_soft_labels_are_an_error_that_says_so(values):
    with pytest.raises(InputError, match="Soft or one-hot"):
        as_labels(values)


@pytest.mark.parametrize("values", [[0.5], ["cat"], [True, False], [-1], [None], 3, [torch.zeros(2), torch.zeros(3)]])
def test_values_that_are_not_labels(values):
    with pytest.raises(InputError):
        as_labels(values)


def test_one_pass_over_soft_items():
    with pytest.raises(InputError, match="Soft or one-hot"):
        labels_of(TensorDataset(torch.zeros(4, 1, 6, 6), torch.eye(4)))


def test_names_and_labels_of_timm_datasets_are_read_without_decoding(tmp_path):
    timm = pytest.importorskip("timm.data")
    for name in ("1", "2", "10"):
        (tmp_path / name).mkdir()
        Image.new("L", (4, 4)).save(tmp_path / name / "a.png")
    dataset = timm.ImageDataset(str(tmp_path))
    assert class_names(dataset) == ("1", "2", "10"), "timm sorts them as people do"
    assert known_labels(dataset).tolist() == [label for _, label in dataset.reader.samples] == [0, 1, 2]


class Series:
    """What matters of a pandas Series here: ``[i]`` asks its index, iteration and arrays go by position."""

    def __init__(self, values, index):
        self.values, self.index = list(values), list(index)

    def __len__(self):
        return len(self.values)

    def __iter__(self):
        return iter(self.values)

    def __getitem__(self, key):
        if key not in self.index:
            raise KeyError(key)
        return self.values[self.index.index(key)]

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.values, dtype=dtype)


@pytest.mark.parametrize(
    "values",
    [
        Series([2, 0, 1], [7, 8, 9]),
        Series([2, 0, 1], [1, 0, 2]),
        iter([2, 0, 1]),
        (label for label in (2, 0, 1)),
        {2: "", 0: "", 1: ""}.keys(),
        np.array([2, 0, 1], dtype=">i2"),
        np.array([2, 0, 1], dtype=np.uint64),
        np.array([2, 0, 1], dtype=object),
        np.array([1, 0, 2])[::-1],
        [np.int8(2), torch.tensor(0), np.array(1)],
        [[2], torch.tensor([0]), (np.array([1]),)],
        torch.tensor([2, 0, 1], dtype=torch.uint16),
        torch.tensor([2, 0, 1], dtype=torch.int8),
    ],
    ids=range(13),
)
def test_labels_in_any_container(values):
    if type(values).__name__ == "dict_keys":
        assert as_labels(list(values)).tolist() == [2, 0, 1]
        return
    labels = as_labels(values)
    assert (labels.dtype, labels.tolist()) == (torch.int64, [2, 0, 1])


@pytest.mark.parametrize("values", ["012", b"012", {0: 1}, {0, 1}, np.array([2**63], np.uint64), np.array(["a"]), 1.5])
def test_values_without_an_order_or_integers(values):
    with pytest.raises(InputError):
        as_labels(values)


class Attributes:
    """A dataset of 12 items that keeps something of its own under the usual names."""

    def __init__(self, **attributes):
        self.__dict__ |= attributes

    def __len__(self):
        return 12

    def __getitem__(self, index):
        return Image.new("L", (4, 4)), index % 3


@pytest.mark.parametrize(
    "attributes",
    [
        {"labels": ["cat", "dog", "owl"] * 4},
        {"targets": np.eye(3)[[0, 1, 2] * 4]},
        {"labels": np.arange(12.0)},
        {"labels": 3},
        {"targets": iter(range(12))},
        {"targets": None},
        {"labels": {"0": "cat"}},
    ],
)
def test_attributes_that_are_not_labels_are_ignored_and_the_items_are_read(attributes):
    dataset = Attributes(**attributes)
    assert known_labels(dataset) is None
    assert labels_of(dataset).tolist() == [0, 1, 2] * 4
    if hasattr(dataset, "targets") and hasattr(dataset.targets, "__next__"):
        assert next(dataset.targets) == 0, "it was not used up"
