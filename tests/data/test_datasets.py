import math
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.shared_data import SHARED
from PIL import Image
from sklearn.datasets import load_digits
from torch.utils.data import Dataset, Subset

from genaug.data.classes import class_names
from genaug.data.datasets import Digits, few_per_class, load_data, long_tail, public_name
from genaug.data.labels import labels_of
from genaug.errors import DataWarning, InputError


def picture(path: Path, mode: str = "L", value: int = 100) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, (5, 4), value if mode == "L" else (value, 0, 0)).save(path)


def test_digits_have_a_fixed_stratified_split():
    train, test = load_data("digits"), load_data("digits", split="test")
    assert (len(train), len(test)) == (1297, 500)
    bunch = load_digits()
    complete = {image.tobytes() + bytes([y]) for image, y in zip(bunch.images, bunch.target, strict=True)}
    rows = [
        np.round(np.asarray(image) * (16 / 255)).astype(float).tobytes() + bytes([y]) for image, y in [*train, *test]
    ]
    assert set(rows) == complete
    shares = np.bincount(test.targets) / np.bincount(load_digits().target)
    assert shares.max() - shares.min() < 0.01
    # Pinned: a change of the split would make old results and new ones incomparable.
    assert test.targets[:12] == [0, 3, 8, 4, 5, 5, 5, 0, 8, 4, 5, 2]
    assert sum(i * y for i, y in enumerate(test.targets)) == 561632


def test_digits_items_have_the_form_of_torchvisions():
    digits = Digits("train")
    image, label = digits[3]
    assert (image.mode, image.size) == ("L", (8, 8))
    assert type(label) is int
    assert label == digits.targets[3]
    assert digits.data.max() == 255
    assert digits.classes == [str(i) for i in range(10)]
    digits.transform = lambda image: "transformed"
    assert digits[0][0] == "transformed"


def test_few_per_class_is_balanced_seeded_and_nested():
    digits = load_data("digits")
    few, again, more, other = (few_per_class(digits, n, s) for n, s in ((3, 0), (3, 0), (5, 0), (3, 1)))
    assert isinstance(few, Subset)
    assert torch.tensor([few[i][1] for i in range(len(few))]).bincount().tolist() == [3] * 10
    assert few.indices == again.indices != other.indices
    assert set(few.indices) < set(more.indices)
    assert few.indices == sorted(few.indices)


def test_few_per_class_names_the_class_that_has_too_few(tmp_path):
    for i in range(3):
        picture(tmp_path / "cat" / f"{i}.png")
    picture(tmp_path / "newt" / "0.png")
    with pytest.raises(InputError, match=r"'newt'.* has 1 items, fewer than the 2"):
        few_per_class(load_data(f"folder:{tmp_path}"), 2)


class Balanced(Dataset):
    """``count`` items of each class, in turn."""

    def __init__(self, classes: int, count: int) -> None:
        self.targets = [label for _ in range(count) for label in range(classes)]
        self.classes = [f"kind {label}" for label in range(classes)]

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: int) -> tuple[int, int]:
        return index, self.targets[index]


@pytest.mark.parametrize(
    ("factor", "counts"),
    [
        (100, [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50]),  # Cui et al. 2019: CIFAR-10-LT
        (10, [5000, 3871, 2997, 2320, 1796, 1391, 1077, 834, 645, 500]),
        (1, [5000] * 10),
        (1e9, [5000, 500, 50, 5, 1, 1, 1, 1, 1, 1]),
    ],
)
def test_long_tail_has_the_class_counts_of_the_usual_protocol(factor, counts):
    tail = long_tail(Balanced(10, 5000), factor)
    assert isinstance(tail, Subset)
    assert labels_of(tail).bincount().tolist() == counts
    assert class_names(tail) == tuple(f"kind {label}" for label in range(10))
    assert tail.indices == sorted(tail.indices)


def test_long_tail_is_seeded_and_nested():
    digits = load_data("digits")
    tail, again, longer, other = (long_tail(digits, *args) for args in ((10,), (10, 0), (50,), (10, 1)))
    assert tail.indices == again.indices != other.indices
    assert set(longer.indices) < set(tail.indices)
    counts = torch.tensor(digits.targets).bincount().tolist()
    expected = [math.floor(n * 100 ** (-label / 9)) for label, n in enumerate(counts)]
    assert labels_of(long_tail(digits)).bincount().tolist() == expected


def test_long_tail_of_a_single_class_is_the_dataset():
    assert len(long_tail(Balanced(1, 7))) == 7


@pytest.mark.parametrize("factor", [0.5, 0, -3, math.nan, math.inf, True, "100", None])
def test_long_tail_rejects_other_factors(factor):
    with pytest.raises(InputError, match="factor must be a number of at least 1"):
        long_tail(Balanced(3, 4), factor)


def test_a_folder_of_gray_images_stays_gray_in_both_splits(tmp_path):
    for split, classes in (("train", "ab"), ("test", "b")):
        for name in classes:
            picture(tmp_path / split / name / "0.png")
    (tmp_path / "train" / ".ipynb_checkpoints").mkdir()
    train, test = load_data(f"folder:{tmp_path}"), load_data(f"folder:{tmp_path}", split="test")
    assert train.classes == test.classes == ["a", "b"]
    assert train[0][0].mode == "L"
    assert test[0][0].mode == "L"
    assert [label for _, label in test] == [1], "labels follow the training classes, not the test set's own"


def test_a_folder_with_one_color_image_is_all_rgb(tmp_path):
    picture(tmp_path / "a" / "0.png")
    picture(tmp_path / "b" / "0.png", "RGB")
    assert [image.mode for image, _ in load_data(f"folder:{tmp_path}")] == ["RGB", "RGB"]


def test_one_set_has_no_test_split_even_with_a_class_called_train(tmp_path):
    for name in ("bus", "train"):
        picture(tmp_path / name / "0.png")
    assert load_data(f"folder:{tmp_path}").classes == ["bus", "train"]
    with pytest.raises(InputError, match="nothing to test on"):
        load_data(f"folder:{tmp_path}", split="test")


def test_folder_problems_are_named(tmp_path):
    with pytest.raises(InputError, match="is not a directory"):
        load_data(f"folder:{tmp_path}/nowhere")
    with pytest.raises(InputError, match="no class folders"):
        load_data(f"folder:{tmp_path}")
    picture(tmp_path / "train" / "a" / "0.png")
    picture(tmp_path / "test" / "z" / "0.png")
    with pytest.raises(InputError, match=r"class folders that .* lacks: z"):
        load_data(f"folder:{tmp_path}", split="test")
    (tmp_path / "train" / "a" / "1.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"1\.png can't be read"):
        load_data(f"folder:{tmp_path}")


def test_sixteen_bit_images_are_an_error(tmp_path):
    (tmp_path / "a").mkdir()
    Image.fromarray(np.full((4, 4), 40000, np.uint16)).save(tmp_path / "a" / "0.png")
    with pytest.raises(InputError, match="more than 8 bits"):
        load_data(f"folder:{tmp_path}")[0]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("digts", "Did you mean 'digits'"),
        ("whatever", "Expected 'digits', 'folder:PATH', 'series:FILE', 'table:FILE' or 'torchvision:NAME'"),
        ("folder:", "doesn't name a folder"),
        ("torchvision:MNST", "Did you mean .*torchvision:MNIST"),
        ("torchvision:MNIST", "needs --root"),
    ],
)
def test_unknown_names_are_an_error_with_a_suggestion(name, message):
    with pytest.raises(InputError, match=message):
        load_data(name)


@pytest.mark.parametrize("name", ["MNIST", "CIFAR10", "SVHN", "STL10", "OxfordIIITPet", "USPS", "ImageNet"])
@pytest.mark.parametrize("split", ["train", "test"])
def test_missing_torchvision_files_are_an_error_that_names_the_folder(tmp_path, name, split):
    with pytest.raises(InputError, match="looked in") as caught:
        load_data(f"torchvision:{name}", root=tmp_path / "empty", split=split)
    assert str(tmp_path / "empty") in str(caught.value)
    assert "doesn't exist" in str(caught.value)
    assert not (tmp_path / "empty").exists(), "nothing is created or downloaded"


@pytest.mark.skipif(not (SHARED / "MNIST" / "raw").is_dir(), reason="no MNIST in $GENAUG_TEST_DATA")
def test_torchvision_mnist_is_read():
    train = load_data("torchvision:mnist", root=SHARED)
    assert len(train) == 60000
    assert train[0][0].mode == "L"
    assert len(load_data("torchvision:MNIST", root=SHARED, split="test")) == 10000


def test_the_public_name_of_a_folder_contains_no_path(tmp_path):
    assert public_name(f"folder:{tmp_path / 'scans'}") == "folder scans"
    assert public_name("folder:~/scans/") == "folder scans"
    assert public_name("torchvision:MNIST") == "torchvision:MNIST"


class Letters:
    """Classes numbered from 1, with a name for 0 that no item has, like EMNIST's letters."""

    classes = ("N/A", "a", "b", "c")

    def __init__(self, count):
        self.targets = [1 + i % 3 for i in range(count)]

    def __len__(self):
        return len(self.targets)

    def __getitem__(self, index):
        return Image.new("L", (4, 4)), self.targets[index]


def test_few_per_class_leaves_out_classes_without_items_and_says_so():
    with pytest.warns(DataWarning, match=r"no item is of class 0 \('N/A'\)"):
        few = few_per_class(Letters(60), 2)
    assert sorted(few[i][1] for i in range(len(few))) == [1, 1, 2, 2, 3, 3]
    with pytest.warns(DataWarning, match=r"no item is of class 0 \('N/A'\)") as caught:
        tail = long_tail(Letters(60), 4)
    assert labels_of(tail).bincount().tolist() == [0, 20, 10, 5]
    assert caught[0].filename == __file__
