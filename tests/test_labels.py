import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import TensorDataset

from genaug.classes import class_names
from genaug.errors import InputError
from genaug.labels import as_labels, known_labels, labels_of


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
def test_soft_labels_are_named_as_such(values):
    with pytest.raises(InputError, match="Soft or one-hot"):
        as_labels(values)


@pytest.mark.parametrize("values", [[0.5], ["cat"], [True, False], [-1], [None], 3, [torch.zeros(2), torch.zeros(3)]])
def test_what_is_no_label(values):
    with pytest.raises(InputError):
        as_labels(values)


def test_one_pass_over_soft_items():
    with pytest.raises(InputError, match="Soft or one-hot"):
        labels_of(TensorDataset(torch.zeros(4, 1, 6, 6), torch.eye(4)))


def test_timms_data_sets_tell_names_and_labels_without_decoding(tmp_path):
    timm = pytest.importorskip("timm.data")
    for name in ("1", "2", "10"):
        (tmp_path / name).mkdir()
        Image.new("L", (4, 4)).save(tmp_path / name / "a.png")
    found = timm.ImageDataset(str(tmp_path))
    assert class_names(found) == ("1", "2", "10"), "timm sorts them as people do"
    assert known_labels(found).tolist() == [label for _, label in found.reader.samples] == [0, 1, 2]
