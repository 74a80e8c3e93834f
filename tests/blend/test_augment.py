import pickle

import numpy as np
import pytest
import torch
from helpers.fakes import FakeReal, FakeSource, UnlabelledSource, is_fake, label_in, pixels_of
from hypothesis import given, settings, strategies as st
from PIL import Image
from torch.utils.data import DataLoader
from torchvision import tv_tensors
from torchvision.transforms import v2

from genaug import GenerativeAugment, SamplePool
from genaug.errors import InputError

LABELS = torch.tensor([0, 1, 2, 3] * 4)


def batch(dtype=torch.uint8, labels=LABELS, channels=1):
    images = torch.zeros(len(labels), channels, 6, 6, dtype=torch.uint8)
    images[:, :, 0, 1] = labels.to(torch.uint8)[:, None]
    return images if dtype == torch.uint8 else (images / 255).to(dtype)


def replaced(images):
    return [is_fake(pixels_of(image)) for image in images]


def labels_first(inputs):
    return inputs[0]


@settings(max_examples=40)
@given(
    st.integers(0, 12),
    st.floats(0, 1),
    st.sampled_from([torch.uint8, torch.float32, torch.float16]),
    st.integers(0, 2**31),
)
def test_replaces_floor_or_ceiling_with_the_same_labels(n, ratio, dtype, seed):
    torch.manual_seed(seed)
    labels = torch.arange(n) % 4
    images = batch(dtype, labels)
    before = images.clone()
    out, out_labels = GenerativeAugment(FakeSource(), ratio=ratio)(images, labels)
    assert torch.equal(images, before)
    assert torch.equal(out_labels, labels)
    assert (out.dtype, out.shape) == (images.dtype, images.shape)
    assert sum(replaced(out)) in (int(ratio * n), -int(-ratio * n // 1))
    for image, old, label, new in zip(out, images, labels, replaced(out), strict=True):
        assert label_in(pixels_of(image)) == label
        assert new or torch.equal(image, old)


def test_the_mean_is_exact():
    torch.manual_seed(0)
    augment = GenerativeAugment(FakeSource(), ratio=0.3)
    labels = torch.zeros(5, dtype=torch.int64)
    counts = [len(augment.make_params([labels])["indices"]) for _ in range(4000)]
    assert set(counts) == {1, 2}
    assert abs(np.mean(counts) - 1.5) < 5 * 0.5 / 4000**0.5
    places = torch.cat([augment.make_params([labels])["indices"] for _ in range(4000)])
    assert (torch.bincount(places) / len(places) - 0.2).abs().max() < 0.03


def test_torch_rng_decides():
    augment = GenerativeAugment(FakeSource(), ratio=0.5)
    torch.manual_seed(3)
    one, two = augment(batch(), LABELS)[0], augment(batch(), LABELS)[0]
    torch.manual_seed(3)
    assert torch.equal(augment(batch(), LABELS)[0], one)
    assert not torch.equal(one, two)


@pytest.mark.parametrize("normalize", [(0.5, 0.25), ([0.5], [0.25]), (torch.tensor([0.5]), torch.tensor([0.25]))])
def test_normalize(normalize):
    images = (batch(torch.float32) - 0.5) / 0.25
    out, _ = GenerativeAugment(FakeSource(), ratio=0.5, normalize=normalize)(images, LABELS)
    back = (out * 0.25 + 0.5).clamp(0, 1)
    assert sum(replaced(back)) == 8
    assert [label_in(pixels_of(image)) for image in back] == LABELS.tolist()


def test_normalize_per_channel():
    mean, std = (0.1, 0.2, 0.3), (0.5, 1.0, 2.0)
    augment = GenerativeAugment(FakeSource(shape=(3, 6, 6)), ratio=1, normalize=(mean, std))
    out, _ = augment(batch(torch.float32, channels=3), LABELS)
    assert torch.allclose(out[:, :, 0, 0], ((1 - torch.tensor(mean)) / torch.tensor(std)).expand(16, 3))


def test_after_and_in_the_loader():
    augment = GenerativeAugment(SamplePool(FakeSource(), size=40), ratio=0.25)
    real = FakeReal(LABELS.tolist(), transform=v2.PILToTensor())
    for workers in (0, 2):
        loader = DataLoader(
            real,
            8,
            collate_fn=augment.collate,
            num_workers=workers,
            multiprocessing_context="fork" if workers else None,
        )
        torch.manual_seed(5)
        first = [images for images, _ in loader]
        torch.manual_seed(5)
        again = list(loader)
        assert [sum(replaced(images)) for images in first] == [2, 2]
        assert all(torch.equal(a, b) for a, (b, _) in zip(first, again, strict=True))
        assert [label_in(image) for images, _ in again for image in images] == LABELS.tolist()
    copy = pickle.loads(pickle.dumps(augment.collate))
    assert sum(replaced(copy([real[i] for i in range(16)])[0])) == 4


def test_in_a_compose_before_cutmix():
    pipeline = v2.Compose([GenerativeAugment(FakeSource(), ratio=0.5), v2.ToDtype(torch.float32, scale=True),
                           v2.CutMix(num_classes=4)])  # fmt: skip
    images, labels = pipeline(batch(), LABELS)
    assert (images.dtype, labels.shape) == (torch.float32, (16, 4))


@pytest.mark.parametrize("label", [2, torch.tensor(2), np.int64(2)])
@pytest.mark.parametrize("kind", ["pil", "uint8", "tv", torch.float32])
def test_on_one_sample(label, kind):
    image = FakeReal([2], (3, 6, 6), kind)[0][0]
    source = FakeSource(shape=(3, 6, 6))
    out, out_label = GenerativeAugment(source, ratio=1)(image, label)
    assert out_label is label
    assert type(out) is type(image)
    assert is_fake(pixels_of(out))
    assert label_in(pixels_of(out)) == 2
    if kind == "pil":
        assert out.mode == "RGB"
    else:
        assert (out.dtype, out.shape) == (image.dtype, image.shape)
    assert GenerativeAugment(source, ratio=0)(image, label)[0] is image
    torch.manual_seed(0)
    half = GenerativeAugment(source, ratio=0.5)
    assert 60 < sum(is_fake(pixels_of(half((image, label))[0])) for _ in range(200)) < 140


def test_structures_are_kept():
    augment = GenerativeAugment(FakeSource(), ratio=0.5)
    packed = augment([batch(), LABELS])
    assert type(packed) is list
    sample = {"a_id": torch.arange(16), "image": batch(), "labels": LABELS}
    out = augment(sample)
    assert sum(replaced(out["image"])) == 8
    assert torch.equal(out["a_id"], sample["a_id"])
    out, _ = augment(batch(), {"label": LABELS})
    assert sum(replaced(out)) == 8
    by_getter = GenerativeAugment(FakeSource(), ratio=0.5, labels_getter=labels_first)
    assert sum(replaced(by_getter(LABELS, batch())[1])) == 8


def test_tv_tensors_are_wrapped_again():
    out, labels = GenerativeAugment(FakeSource(), ratio=0.5)(tv_tensors.Image(batch()), LABELS.int())
    assert type(out) is tv_tensors.Image
    assert labels.dtype == torch.int32
    assert sum(replaced(out)) == 8


class Network(torch.nn.Module, FakeSource):
    def __init__(self, **options):
        torch.nn.Module.__init__(self)
        FakeSource.__init__(self, **options)
        self.layer = torch.nn.Linear(2, 2)


def test_the_generator_is_not_a_submodule_of_the_pipeline():
    source = Network()
    pipeline = v2.Compose([GenerativeAugment(source, ratio=0.5), v2.Identity()])
    assert list(pipeline.state_dict()) == list(pipeline.parameters()) == []
    assert not any(module is source or module is source.layer for module in pipeline.modules())
    pipeline.to(torch.float64).eval()
    assert source.layer.weight.dtype == torch.float32
    assert source.training
    assert sum(replaced(pipeline(batch(), LABELS)[0])) == 8
    assert "ratio=0.5" in repr(pipeline)


class Away(FakeSource):
    device = torch.device("cuda")


def test_a_source_on_a_gpu_is_an_error_in_workers():
    augment = GenerativeAugment(Away(), ratio=0.5)
    assert sum(replaced(augment(batch(), LABELS)[0])) == 8
    loader = DataLoader(
        FakeReal(LABELS.tolist(), transform=v2.PILToTensor()),
        8,
        collate_fn=augment.collate,
        num_workers=1,
        multiprocessing_context="fork",
    )
    with pytest.raises(InputError, match="SamplePool"):
        next(iter(loader))


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ((batch(), torch.eye(4)[LABELS]), "before CutMix/MixUp"),
        ((batch(), LABELS.float()), "before CutMix/MixUp"),
        ((batch(), LABELS + 1), "doesn't know the label 4"),
        ((batch(), LABELS - 1), "doesn't know the label -1"),
        ((batch(), LABELS[:8]), "expected images"),
        ((batch(),), "found no labels"),
        ((batch(), "cat"), "must be integers, got strings"),
        ((torch.zeros(16, 1, 8, 8), LABELS), r"\(1, 8, 8\).*\(1, 6, 6\)"),
        ((batch(channels=3), LABELS), r"\(3, 6, 6\).*\(1, 6, 6\)"),
        ((batch(torch.float32) * 2 - 1, LABELS), "normalize="),
        ((batch(torch.float32) * 255, LABELS), "normalize="),
        ((batch().int(), LABELS), "uint8 or floats"),
        ((batch(), LABELS, batch()), "2 image inputs"),
        ((Image.new("L", (6, 6)), LABELS), "PIL"),
        ((Image.new("RGB", (6, 6)), 1), r"\(3, 6, 6\)"),
        ((batch(), 1), "0 image inputs"),
        ((batch(), LABELS, tv_tensors.Mask(batch())), "Mask"),
        ((batch(), LABELS, tv_tensors.BoundingBoxes([0, 0, 1, 1], format="XYXY", canvas_size=(6, 6))), "BoundingBoxes"),
        ((tv_tensors.Video(batch()[:, None]), LABELS), "Video"),
    ],
)
def test_bad_input(inputs, message):
    with pytest.raises(InputError, match=message):
        GenerativeAugment(FakeSource(), ratio=0.5)(*inputs)


def test_bad_input_is_an_error_even_if_nothing_would_be_replaced():
    for inputs in ((batch(torch.float32) * 2 - 1, LABELS), (torch.zeros(16, 1, 8, 8), LABELS), (batch(), LABELS + 1)):
        with pytest.raises(InputError):
            GenerativeAugment(FakeSource(), ratio=0)(*inputs)


def test_normalize_is_for_floats():
    augment = GenerativeAugment(FakeSource(), ratio=0.5, normalize=(0.5, 0.5))
    for inputs in ((batch(), LABELS), (Image.new("L", (6, 6)), 1)):
        with pytest.raises(InputError, match="normalize="):
            augment(*inputs)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ratio": 1.1}, "ratio"),
        ({"ratio": float("nan")}, "ratio"),
        ({"ratio": "0.5"}, "ratio"),
        ({"ratio": 0.5, "labels_getter": None}, "labels_getter"),
        ({"ratio": 0.5, "normalize": 0.5}, "normalize"),
        ({"ratio": 0.5, "normalize": ((0.5, 0.5), (1, 1))}, "normalize"),
        ({"ratio": 0.5, "normalize": (0.5, 0)}, "normalize"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(InputError, match=message):
        GenerativeAugment(FakeSource(), **options)


def test_sources_without_labels_are_an_error():
    with pytest.raises(InputError, match=r"trained with labels"):
        GenerativeAugment(UnlabelledSource(), ratio=0.5)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_on_a_gpu():
    out, labels = GenerativeAugment(FakeSource(), ratio=0.5)(batch(torch.float32).cuda(), LABELS.cuda())
    assert (out.device.type, labels.device.type) == ("cuda", "cuda")
    assert sum(replaced(out.cpu())) == 8


@pytest.mark.parametrize(
    "convert",
    [
        lambda labels: labels[:, None],
        lambda labels: labels.numpy(),
        lambda labels: labels.tolist(),
        lambda labels: [labels],
        lambda labels: labels.to(torch.uint8),
    ],
    ids=["column", "array", "list", "list of a batch", "uint8"],
)
def test_labels_in_any_container(convert):
    images, labels = GenerativeAugment(FakeSource(), ratio=1)(batch(), convert(LABELS))
    assert [label_in(image) for image in images] == LABELS.tolist()
    assert type(labels) is type(convert(LABELS))


@pytest.mark.parametrize("label", [2, np.int64(2), np.array(2), torch.tensor(2, dtype=torch.int16)])
def test_one_label_of_any_kind(label):
    image, _ = GenerativeAugment(FakeSource(), ratio=1)(batch()[0], label)
    assert label_in(image) == 2
