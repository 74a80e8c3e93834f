"""``GenerativeReplace`` as a step of an albumentations pipeline."""

import pickle
import sys
from importlib import import_module

import numpy as np
import pytest
import torch
from helpers.fakes import FakeReal, FakeSource, UnlabelledSource, is_fake, label_in, pixels_of
from torch.utils.data import DataLoader, Dataset

from genaug import SamplePool
from genaug.errors import InputError

A = pytest.importorskip("albumentations")
from genaug.integrations.albumentations import GenerativeReplace  # noqa: E402

LABELS = [0, 1, 2, 3] * 10


def image(shape=(6, 6, 1), dtype=np.uint8):
    return np.zeros(shape, dtype)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("shape", [(6, 6), (6, 6, 1), (6, 8, 3)])
def test_an_image_is_replaced_with_one_of_the_same_label_and_format(shape, dtype):
    channels = shape[2] if len(shape) == 3 else 1
    replace = GenerativeReplace(FakeSource(shape=(channels, *shape[:2])), p=1)
    before = image(shape, dtype)
    out = A.Compose([replace])(image=before, label=2)
    assert (out["image"].shape, out["image"].dtype, out["label"]) == (shape, dtype, 2)
    assert is_fake(pixels_of(out["image"]))
    assert label_in(pixels_of(out["image"])) == 2
    assert not before.any()


@pytest.mark.parametrize("label", [2, np.int64(2), np.array(2), np.array([2]), torch.tensor(2), torch.tensor([2])])
def test_labels_of_all_types_stay_as_they_are(label):
    out = GenerativeReplace(FakeSource(), p=1)(image=image(), label=label)
    assert out["label"] is label
    assert label_in(pixels_of(out["image"])) == 2


def test_p_is_the_generated_share_and_torch_decides():
    replace = A.Compose([GenerativeReplace(FakeSource(), label_key="y", p=0.3)], seed=1, strict=True)

    def replaced(n=400):
        return [is_fake(pixels_of(replace(image=image(), y=1)["image"])) for _ in range(n)]

    torch.manual_seed(0)
    first, second = replaced(), replaced()
    torch.manual_seed(0)
    assert replaced() == first != second
    assert 80 < sum(first) < 160
    never, always = GenerativeReplace(FakeSource(), p=0), GenerativeReplace(FakeSource(), p=1)
    assert not any(is_fake(pixels_of(never(image=image(), label=1)["image"])) for _ in range(20))
    assert all(is_fake(pixels_of(always(image=image(), label=1)["image"])) for _ in range(20))
    assert is_fake(pixels_of(never(image=image(), label=1, force_apply=True)["image"]))


def test_amid_other_transforms():
    pipeline = A.Compose([
        A.Resize(6, 6), GenerativeReplace(FakeSource(shape=(3, 6, 6)), p=1), A.HorizontalFlip(p=1), A.Normalize(),
    ])  # fmt: skip
    out = pipeline(image=image((9, 9, 3)), label=3)
    assert out["image"].dtype == np.float32
    assert (out["image"][0, -1] > 2).all()  # the mark, flipped and normalized


class Pictures(Dataset):
    """Items as a dataset with an albumentations pipeline has them."""

    def __init__(self, transform):
        self.real, self.transform = FakeReal(LABELS, (3, 6, 6), "array"), transform

    def __len__(self):
        return len(self.real)

    def __getitem__(self, index):
        picture, label = self.real[index]
        return torch.from_numpy(self.transform(image=picture, label=label)["image"]), label, index


def test_workers_and_epochs_draw_differently_and_are_reproducible():
    pool = SamplePool(FakeSource(shape=(3, 6, 6)), size=200)
    data = Pictures(A.Compose([GenerativeReplace(pool, p=0.5)]))
    loader = DataLoader(data, 4, num_workers=2, multiprocessing_context="fork")

    def epoch():
        return torch.cat([images for images, _, _ in loader])

    torch.manual_seed(0)
    first, second = epoch(), epoch()
    mask = torch.tensor([is_fake(picture.permute(2, 0, 1)) for picture in first]).view(-1, 4)
    assert 10 <= int(mask.sum()) <= 30
    assert not torch.equal(mask[0::2], mask[1::2])  # the two workers take turns
    assert not torch.equal(first, second)
    torch.manual_seed(0)
    assert torch.equal(epoch(), first)


def test_serialization_is_an_error():
    replace = GenerativeReplace(FakeSource(), p=1)
    pipeline = A.Compose([replace])
    for save in (replace.to_dict, pipeline.to_dict, lambda: A.to_dict(pipeline)):
        with pytest.raises(NotImplementedError, match="GenerativeReplace can't be serialized"):
            save()
    assert "label_key='label'" in repr(replace)
    assert "FakeSource" in repr(replace)


def test_a_pipeline_prints_itself():
    replace = GenerativeReplace(SamplePool(FakeSource(), size=8), p=0.3)
    text = repr(A.Compose([A.HorizontalFlip(), replace, A.OneOf([A.Sequential([replace])])]))
    assert text.count("GenerativeReplace(p=0.3, ") == 2
    assert "SamplePool(8 of 1x6x6" in text
    with pytest.raises(NotImplementedError, match="can't be serialized"):
        A.Compose([A.OneOf([replace])]).to_dict()


def test_it_pickles_with_a_pool():
    replace = GenerativeReplace(SamplePool(FakeSource(), size=8), p=1)
    assert is_fake(pixels_of(pickle.loads(pickle.dumps(replace))(image=image(), label=0)["image"]))


@pytest.mark.parametrize("p", [0, 1])
@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"image": image(), "label": 1, "mask": image()}, "mask, which would no longer belong"),
        ({"image": image(), "label": 1, "masks": [image()]}, "masks"),
        ({"image": image(), "label": 1, "bboxes": np.zeros((0, 4))}, "bboxes"),
        ({"image": image(), "label": 1, "keypoints": np.zeros((1, 2))}, "keypoints"),
        ({"images": image((2, 6, 6, 1)), "label": 1}, "images"),
        ({"volume": image((2, 6, 6)), "label": 1}, "volume"),
        ({"image": image()}, "needs image= and label=, but got image"),
        ({"label": 1}, "needs image="),
        ({"image": image(), "label": 4}, "doesn't know the label 4"),
        ({"image": image(), "label": -1}, "0 or more"),
        ({"image": image(), "label": "cat"}, "must be integers"),
        ({"image": image(), "label": np.eye(4)[0]}, "must be integers"),
        ({"image": image((5, 6, 1)), "label": 1}, r"\(1, 5, 6\).*\(1, 6, 6\)"),
        ({"image": image((6, 6, 3)), "label": 1}, r"\(3, 6, 6\).*\(1, 6, 6\)"),
        ({"image": image(dtype=np.float32) - 1, "label": 1}, "before Normalize"),
        ({"image": image(dtype=np.int32), "label": 1}, "int32"),
        ({"image": torch.zeros(1, 6, 6), "label": 1}, "must be an array"),
    ],
)
def test_bad_calls_are_errors_whether_or_not_it_would_apply(p, data, message):
    with pytest.raises(InputError, match=message):
        GenerativeReplace(FakeSource(), p=p)(**data)


def test_other_targets_of_a_compose_are_errors():
    replace = GenerativeReplace(FakeSource(), p=0)
    pipeline = A.Compose([replace], additional_targets={"depth": "image", "outline": "mask"})
    for key in ("depth", "outline"):
        with pytest.raises(InputError, match=key):
            pipeline(image=image(), label=1, **{key: image()})
    boxes = A.Compose([A.NoOp(), replace], bbox_params=A.BboxParams("pascal_voc", label_fields=["kinds"]))
    with pytest.raises(InputError, match="bboxes"):
        boxes(image=image(), label=1, bboxes=[[0, 0, 3, 3]], kinds=[1])
    assert A.Compose([replace])(image=image(), label=1, mask=None)["label"] == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"p": 1.5}, "p must be"),
        ({"p": "half"}, "p must be"),
        ({"label_key": "image"}, "label_key"),
        ({"label_key": 3}, "label_key"),
        ({"source": UnlabelledSource()}, "no labels"),
        ({"source": "runs/x"}, "genaug.load"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(InputError, match=message):
        GenerativeReplace(**{"source": FakeSource(), **options})


def test_without_the_library_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "albumentations", None)
    monkeypatch.delitem(sys.modules, "genaug.integrations.albumentations")
    with pytest.raises(ImportError, match=r"pip install 'genaug\[albumentations\]'"):
        import_module("genaug.integrations.albumentations")
