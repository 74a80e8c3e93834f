"""Generated items have the format of the real set's, and go through its transform."""

from collections import namedtuple

import numpy as np
import pytest
import torch
from helpers.fakes import FakeReal, FakeSource, is_fake, pixels_of
from PIL import Image
from torch.utils.data import ConcatDataset, DataLoader, Dataset, Subset, TensorDataset, default_collate
from torchvision import datasets, tv_tensors
from torchvision.transforms import v2

from genaug import MixedDataset
from genaug.errors import BlendWarning, InputError

LABELS = [0, 1, 2, 3] * 5
FLOATS = v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])
Sample = namedtuple("Sample", "image label")


def blend(real, source=None, **options):
    return MixedDataset(real, source or FakeSource(shape=getattr(real, "shape", (1, 6, 6))), ratio=0.5, **options)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_pil_keeps_its_mode(channels):
    mixed = blend(FakeReal(LABELS, (channels, 6, 8)))
    real, generated = mixed[0][0], mixed[20][0]
    assert isinstance(generated, Image.Image)
    assert (
        (generated.mode, generated.size) == (real.mode, real.size) == (["L", "LA", "RGB", "RGBA"][channels - 1], (8, 6))
    )
    assert is_fake(pixels_of(generated))


@pytest.mark.parametrize("mode", ["1", "P", "CMYK", "HSV"])
def test_pil_of_other_modes(mode):
    base = FakeReal(LABELS, (1 if mode == "1" else 3, 6, 6))
    mixed = blend([(image.convert(mode), label) for image, label in base], FakeSource(shape=base.shape))
    assert mixed[25][0].mode == mode


@pytest.mark.parametrize("kind", ["uint8", "tv", torch.float32, torch.float16, torch.float64])
def test_tensors_keep_type_dtype_and_range(kind):
    mixed = blend(FakeReal(LABELS, (3, 6, 6), kind))
    real, generated = mixed[0][0], mixed[20][0]
    assert type(generated) is type(real)
    assert (generated.dtype, generated.shape) == (real.dtype, real.shape)
    assert is_fake(pixels_of(generated))
    assert generated.max() == (255 if generated.dtype == torch.uint8 else 1)
    batch = next(iter(DataLoader(mixed, 40)))
    assert batch[0].dtype == real.dtype


def same(one, other):
    """Whether two images are equal, bit for bit, and of the same type."""
    if isinstance(one, Image.Image):
        return (one.mode, one.size, one.tobytes()) == (other.mode, other.size, other.tobytes())
    equal = np.array_equal if isinstance(one, np.ndarray) else torch.equal
    return type(one) is type(other) and one.dtype == other.dtype and equal(one, other)


HWC = (np.uint8, np.float32)


@pytest.mark.parametrize("kind", ["pil", "uint8", "tv", torch.float32, torch.float16, *HWC])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("sources", [1, 2])
def test_items_of_a_batch_are_those_read_one_by_one(kind, channels, sources, make_generator):
    real = FakeReal(LABELS, (channels, 8, 8), "uint8" if kind in HWC else kind)
    if kind in HWC:
        scale = 1 if kind == np.uint8 else 255
        real = [((image.permute(1, 2, 0).numpy() / scale).astype(kind), label) for image, label in real]
    named = {str(n): make_generator((channels, 8, 8), weights_seed=n) for n in range(sources)}
    shares = dict.fromkeys(named, 0.6 / sources)
    mixed = MixedDataset(real, named, ratio=shares) if sources > 1 else MixedDataset(real, named["0"], ratio=0.6)
    order = torch.randperm(len(mixed), generator=torch.Generator().manual_seed(0)).tolist()
    items, alone = mixed.__getitems__(order), [mixed[index] for index in order]
    assert [label for _, label in items] == [label for _, label in alone]
    assert all(same(one[0], other[0]) for one, other in zip(items, alone, strict=True))
    if sources == 1 and kind == "uint8":
        samples = {bytes(image.numpy()) for image in mixed.pool.images}
        assert all(bytes(item[0].numpy()) in samples for item in map(mixed.__getitem__, range(20, len(mixed))))


def test_a_set_of_tensors_is_read_at_once():
    images = torch.stack([image for image, _ in FakeReal(LABELS, kind="uint8")])
    real = TensorDataset(images, torch.tensor(LABELS, dtype=torch.int32))
    mixed = blend(real)
    items = mixed.__getitems__([3, 25, 0, -1, 19])
    for index, item in zip([3, 25, 0, -1, 19], items, strict=True):
        assert type(item) is tuple
        assert all(same(one, other) for one, other in zip(item, mixed[index], strict=True))
    items[0][0].fill_(7)
    assert torch.equal(images, torch.stack([image for image, _ in FakeReal(LABELS, kind="uint8")]))
    real.tensors[1][5] += 1
    with pytest.raises(InputError, match="item 5 of the real set carries the label 2"):
        mixed.__getitems__([4, 5, 6])
    real.tensors = tuple(tensor[:4] for tensor in real.tensors)
    with pytest.raises(InputError, match="item 4 of the real set can't be read"):
        mixed.__getitems__([0, 4])


def test_an_index_that_no_dataset_has_is_an_index_error():
    mixed = blend(FakeReal(LABELS, (1, 8, 8), "uint8"))
    for index in (len(mixed), -len(mixed) - 1, 2**70):
        with pytest.raises(IndexError, match=f"index {index} is out of range"):
            mixed.__getitems__([0, index])


def test_items_of_a_batch_are_read_once():
    class Counting(FakeReal):
        reads = 0

        def __getitem__(self, index):
            Counting.reads += 1
            if Counting.reads == failing:
                raise OSError("network")
            return super().__getitem__(index)

    failing = 0
    mixed = blend(Counting(LABELS, (1, 8, 8), "uint8"))
    failing = Counting.reads + 3
    with pytest.raises(InputError, match=r"item 2 of the real set can't be read \(OSError: network"):
        mixed.__getitems__([0, 1, 2, 3])
    assert Counting.reads == failing


def test_items_of_a_batch_can_be_changed_without_a_change_of_others(make_generator):
    mixed = blend(FakeReal(LABELS, (1, 8, 8), "uint8"), make_generator())
    before = mixed.pool.images
    items = mixed.__getitems__(range(20, 40))
    expected = items[1][0].clone()
    items[0][0].fill_(7)
    assert torch.equal(items[1][0], expected)
    assert torch.equal(mixed.pool.images, before)


def test_a_gray_picture_is_changed_without_a_change_of_the_samples(make_generator):
    mixed = blend(FakeReal(LABELS, (1, 8, 8)), make_generator())
    before = mixed.pool.images
    picture, _ = mixed[25]
    picture.paste(7, (0, 0, 8, 8))
    assert set(picture.tobytes()) == {7}
    assert torch.equal(mixed.pool.images, before)


def test_tensors_without_a_channel_axis():
    flat = [(image[0], label) for image, label in FakeReal(LABELS, kind="uint8")]
    assert blend(flat, FakeSource())[25][0].shape == (6, 6)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_arrays(dtype):
    scale = 1 if dtype == np.uint8 else 255
    real = [((image / scale).astype(dtype), label) for image, label in FakeReal(LABELS, (3, 6, 8), "array")]
    generated = blend(real, FakeSource(shape=(3, 6, 8)))[25][0]
    assert (generated.shape, generated.dtype) == ((6, 8, 3), dtype)
    assert generated.max() * scale == 255
    first = [(image.transpose(2, 0, 1), label) for image, label in real]
    assert blend(first, FakeSource(shape=(3, 6, 8)))[25][0].shape == (3, 6, 8)


@pytest.mark.parametrize("container", [tuple, list, lambda pair: Sample(*pair)])
def test_containers(container):
    mixed = blend(FakeReal(LABELS, container=container))
    assert type(mixed[25]) is type(mixed[0])
    assert len(mixed[25]) == 2


@pytest.mark.parametrize(
    "label_type", [int, torch.tensor, np.int32, lambda x: torch.tensor(x, dtype=torch.int32), lambda x: np.array([x])]
)
def test_labels_keep_their_type(label_type):
    mixed = blend(FakeReal(LABELS, label_type=label_type))
    real, generated = mixed[0][1], mixed[25][1]
    for label in (generated, *(label for _, label in mixed.__getitems__([25, 0, 25])[::2])):
        assert type(label) is type(real)
        assert getattr(label, "dtype", None) == getattr(real, "dtype", None)
        assert getattr(label, "shape", None) == getattr(real, "shape", None)
        assert (label if isinstance(label, int) else label.item()) == mixed.targets[25]
    default_collate([real, generated])


def test_the_transform_runs_on_generated_images_too_and_receives_pil():
    inputs = []

    def transform(image):
        inputs.append(type(image))
        return FLOATS(image) - 3

    mixed = blend(FakeReal(LABELS, transform=transform))
    inputs.clear()
    generated = mixed[25][0]
    assert issubclass(inputs[0], Image.Image)
    assert generated.shape == (1, 6, 6)
    assert -3 <= generated.min() <= generated.max() == -2


def test_transforms_stay_random_and_differ_by_access():
    mixed = blend(FakeReal(LABELS, transform=v2.Compose([FLOATS, v2.GaussianNoise()])))
    assert not torch.equal(mixed[25][0], mixed[25][0])


@pytest.mark.parametrize(
    "wrap",
    [
        lambda real: Subset(real, range(20)),
        lambda real: ConcatDataset([real, real]),
        lambda real: ConcatDataset([Subset(real, range(10)), Subset(Subset(real, range(20)), range(15))]),
    ],
)
def test_transforms_are_found_inside_and_assigned_inside(wrap):
    real = FakeReal(LABELS, transform=v2.Compose([FLOATS, v2.Normalize([0.5], [0.1])]))
    mixed = blend(wrap(real), FakeSource())
    assert mixed.transform is real.transform
    assert mixed[-1][0].max() == pytest.approx(5)
    mixed.transform = v2.Compose([v2.Resize(9), FLOATS])
    assert real.transform is mixed.transform
    assert mixed[0][0].shape == mixed[-1][0].shape == (1, 9, 9)
    mixed.transform = None
    assert isinstance(mixed[-1][0], Image.Image)


def test_an_assignment_that_does_not_fit_is_undone():
    real = FakeReal(LABELS, kind="uint8", transform=v2.RandomHorizontalFlip(0))
    mixed = blend(real, generated_transform=lambda image: v2.functional.pil_to_tensor(image))
    with pytest.raises(InputError, match=r"tensor uint8 1x3x3.*tensor uint8 1x6x6"):
        mixed.transform = v2.CenterCrop(3)
    assert isinstance(real.transform, v2.RandomHorizontalFlip)
    with pytest.raises(InputError, match="no transform attribute"):
        blend([(image, label) for image, label in real], FakeSource()).transform = FLOATS


def test_parts_may_have_equal_transforms_but_not_different_ones():
    def part(size):
        return FakeReal(LABELS, transform=v2.Compose([v2.Resize(size), FLOATS]))

    assert blend(ConcatDataset([part(6), part(6)]), FakeSource())[-1][0].shape == (1, 6, 6)
    with pytest.raises(InputError, match="different transforms"):
        blend(ConcatDataset([part(6), part(7)]), FakeSource())
    blend(
        ConcatDataset([part(6), FakeReal(LABELS, transform=part(6).transform)]),
        FakeSource(),
        generated_transform=FLOATS,
    )


@pytest.mark.parametrize("kind", ["lambda", "Lambda", "picklable"])
def test_transforms_that_only_look_the_same_are_an_error(kind):
    def transform(shift):
        by_hand = lambda image: FLOATS(image) + shift  # noqa: E731
        return {"lambda": by_hand, "Lambda": v2.Lambda(by_hand), "picklable": Shift(shift)}[kind]

    parts = [FakeReal(LABELS, transform=transform(shift)) for shift in (0, 1)]
    with pytest.raises(InputError, match="the same transform object"):
        blend(ConcatDataset(parts), FakeSource())
    parts[1].transform = parts[0].transform
    blend(ConcatDataset(parts), FakeSource())


class Shift:
    def __init__(self, shift):
        self.shift = shift

    def __call__(self, image):
        return FLOATS(image) + self.shift

    def __repr__(self):
        return "Shift()"


def test_a_transform_may_bring_both_to_one_shape():
    real = FakeReal(LABELS, (3, 9, 7), transform=v2.Compose([v2.Grayscale(), v2.Resize((6, 6)), FLOATS]))
    mixed = blend(real, FakeSource(shape=(1, 5, 5)))
    assert mixed[0][0].shape == mixed[39][0].shape == (1, 6, 6)


@pytest.mark.parametrize("kind", ["pil", "uint8", "tv", torch.float32])
@pytest.mark.parametrize(("shape", "size"), [((1, 5, 5), "5x5"), ((3, 6, 6), "3x6x6")])
def test_shapes_that_differ_are_an_error_that_shows_both(kind, shape, size):
    with pytest.raises(InputError, match=f"6x6.*{size}"):  # in the first batch: a transform may still be assigned
        next(iter(DataLoader(blend(FakeReal(LABELS, (1, 6, 6), kind), FakeSource(shape=shape)), 40, collate_fn=list)))
    with pytest.raises(InputError, match=f"6x6.*{size}"):
        blend(FakeReal(LABELS, (1, 6, 6), transform=FLOATS), FakeSource(shape=shape))


def test_pil_images_of_many_sizes_await_a_transform():
    many = [(image.resize((5 + i, 6)), label) for i, (image, label) in enumerate(FakeReal(LABELS))]
    assert blend(many, FakeSource())[25][0].size == (6, 6)


def test_generated_transform_overrides():
    inputs = []

    def own(image):
        inputs.append(image)
        return FLOATS(image) * 2

    normalized = v2.Compose([FLOATS, v2.Normalize([0.5] * 3, [0.5] * 3)])
    mixed = blend(FakeReal(LABELS, (3, 6, 6), transform=normalized), generated_transform=own)
    assert mixed[25][0].max() == 2
    assert isinstance(inputs[-1], Image.Image)
    with pytest.raises(InputError, match=r"tensor float32 3x6x6.*PIL RGB"):
        blend(FakeReal(LABELS, (3, 6, 6), transform=FLOATS), generated_transform=lambda image: image)
    with pytest.raises(InputError, match="boom"):
        blend(FakeReal(LABELS), generated_transform=_fail)


def _fail(image):
    raise ValueError("boom")


def test_normalized_floats_without_a_transform_are_an_error():
    real = [(image * 2 - 1, label) for image, label in FakeReal(LABELS, kind=torch.float32)]
    with pytest.raises(InputError, match="generated_transform"):
        blend(real, FakeSource())
    mixed = blend(real, FakeSource(), generated_transform=lambda image: FLOATS(image) * 2 - 1)
    assert mixed[25][0].max() == 1


class NormalizesInside(FakeReal):
    def __getitem__(self, index):
        image, label = super().__getitem__(index)
        return v2.functional.normalize(image, [0.5], [0.5]), label


def test_sets_that_change_images_after_their_transform_are_an_error():
    with pytest.raises(InputError, match=r"after its transform.*generated_transform"):
        blend(NormalizesInside(LABELS, transform=FLOATS), FakeSource())
    with pytest.raises(InputError, match="generated_transform"):
        blend(NormalizesInside(LABELS, kind=torch.float32), FakeSource())


class IgnoresItsTransform(FakeReal):
    def __getitem__(self, index):
        return self.look(self.pixels(index)), self.targets[index]


def test_a_transform_that_is_not_called_is_not_used():
    generated = blend(IgnoresItsTransform(LABELS, kind="uint8", transform=FLOATS))[25][0]
    assert generated.dtype == torch.uint8


def test_transforms_of_tensors_get_tensors():
    mixed = blend(FakeReal(LABELS, kind="tv", transform=v2.ToDtype(torch.float32, scale=True)))
    assert type(mixed[25][0]) is tv_tensors.Image
    assert mixed[25][0].max() == 1


class Albumented(FakeReal):
    """Calls its transform as albumentations is called."""

    def __getitem__(self, index):
        image = self.pixels(index).numpy().transpose(1, 2, 0)
        return self.transform(image=image)["image"], self.targets[index]


def test_transforms_called_by_keyword():
    generated = blend(Albumented(LABELS, transform=lambda image: {"image": image[:4, :5].astype(np.float32) / 255}))[
        25
    ][0]
    assert (generated.shape, generated.dtype, generated.max()) == ((4, 5, 1), np.float32, 1)


def test_lists_of_views():
    mixed = blend(FakeReal(LABELS, transform=lambda image: [FLOATS(image), FLOATS(image)]))
    assert [view.shape for view in mixed[25][0]] == [(1, 6, 6)] * 2


class Wide(FakeReal):
    def __getitem__(self, index):
        image, label = super().__getitem__(index)
        return {"image": image, "label": label, "id": index}


def test_make_item_builds_other_items():
    real = Wide(LABELS, transform=FLOATS)
    with pytest.raises(InputError, match="make_item"):
        blend(real)
    mixed = blend(real, make_item=lambda image, label: {"image": image, "label": label, "id": -1})
    assert mixed[25]["image"].max() == 1
    assert mixed[25]["label"] == mixed.targets[25]
    assert next(iter(DataLoader(mixed, 40)))["id"].tolist()[20:] == [-1] * 20
    with pytest.raises(InputError, match=r"a tuple of 2.*a dict of image, label, id"):
        blend(real, make_item=lambda image, label: (image, label))
    with pytest.raises(InputError, match="PIL L 6x6"):
        blend(Wide(LABELS), make_item=lambda image, label: {"image": FLOATS(image), "label": label, "id": -1})


def test_class_folders(tmp_path):
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for i in range(3):
            Image.fromarray(np.full((9, 7 + i, 3), 50 * i, np.uint8)).save(tmp_path / name / f"{i}.png")
    real = datasets.ImageFolder(str(tmp_path), transform=v2.Compose([v2.Resize((6, 6)), FLOATS]))
    mixed = blend(real, FakeSource(2, (3, 8, 8), ("dog", "cat")))
    assert default_collate(list(mixed))[0].shape == (12, 3, 6, 6)
    mixed.transform = v2.Compose([v2.Resize((5, 5)), FLOATS])
    assert real.transforms.transform is mixed.transform
    assert default_collate(list(mixed))[0].shape == (12, 3, 5, 5)


def test_joint_transforms_are_an_error():
    real = datasets.FakeData(8, (3, 6, 6), 2)
    real.transforms = v2.Compose([v2.Identity()])
    with pytest.raises(InputError, match="transforms="):
        blend(real, FakeSource(2, (3, 6, 6)), labels=[int(real[i][1]) for i in range(8)])


@pytest.mark.parametrize("prefetcher", [True, False])
def test_timm(prefetcher):
    timm_data = pytest.importorskip("timm.data")
    real = FakeReal(LABELS, (3, 8, 8))
    mixed = blend(Subset(real, range(16)), FakeSource(shape=(3, 8, 8)))
    loader = timm_data.create_loader(
        mixed, (3, 16, 16), 8, is_training=True, num_workers=0, use_prefetcher=prefetcher, device=torch.device("cpu"),
        persistent_workers=False,
    )  # fmt: skip
    images, labels = next(iter(loader))
    assert images.shape == (8, 3, 16, 16)
    assert labels.shape == (8,)
    assert mixed[0][0].shape == mixed[-1][0].shape == (3, 16, 16)


class Sixteen(Dataset):
    """Items whose images have 16 bits, all of one value, before the transform."""

    def __init__(self, make, transform):
        self.make, self.transform, self.targets = make, transform, [0, 1, 2, 3] * 3

    def __len__(self):
        return len(self.targets)

    def __getitem__(self, index):
        return self.transform(self.make(np.full((6, 6), 40_000, dtype=np.uint16))), self.targets[index]


@pytest.mark.parametrize(
    ("make", "transform"),
    [
        (Image.fromarray, lambda image: np.asarray(image).astype(np.float32)[None] / 65_535),
        (Image.fromarray, v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])),
        (np.asarray, lambda image: image.astype(np.float32)[None] / 65_535),
        (torch.from_numpy, lambda image: image.to(torch.float32)[None] / 65_535),
    ],
    ids=["PIL", "PIL and ToDtype", "array", "tensor"],
)
def test_images_of_16_bits_and_generated_ones_have_the_same_scale(make, transform):
    mixed = MixedDataset(Sixteen(make, transform), FakeSource(), ratio=0.5)
    real, generated = (torch.as_tensor(mixed[index][0]) for index in (0, len(mixed) - 1))
    assert float(real.max()) == pytest.approx(40_000 / 65_535)
    assert float(generated[..., 0, 0]) == pytest.approx(1), "white stays white"


def test_images_of_a_mode_without_a_known_range_are_an_error():
    real = Sixteen(lambda values: Image.fromarray(values.astype(np.int32)), lambda image: np.asarray(image)[None] / 1e5)
    with pytest.raises(InputError, match="PIL images of mode I before its transform"):
        MixedDataset(real, FakeSource(), ratio=0.5)


@pytest.mark.parametrize("convert", [None, v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])])
def test_gray_generated_images_become_rgb_beside_rgb_ones(convert):
    class Colored(Sixteen):
        def __getitem__(self, index):
            image = Image.new("RGB", (6, 6), (10, 200, 30))
            return (image if self.transform is None else self.transform(image)), self.targets[index]

    with pytest.warns(BlendWarning, match="come out with 3 channels"):
        mixed = MixedDataset(Colored(None, convert), FakeSource(), ratio=0.5)
    generated = mixed[len(mixed) - 1][0]
    pixels = torch.as_tensor(np.array(generated)).permute(2, 0, 1) if convert is None else generated
    assert pixels.shape == (3, 6, 6)
    assert torch.equal(pixels[0], pixels[1])


def test_generated_items_of_three_fields_have_the_label_type_of_the_real_ones():
    class Three(Sixteen):
        def __getitem__(self, index):
            return torch.zeros(1, 6, 6, dtype=torch.uint8), torch.tensor(self.targets[index]), index

    real = Three(None, None)
    mixed = MixedDataset(real, FakeSource(), ratio=0.5, make_item=lambda image, label: (image, label, -1))
    default_collate([mixed[0], mixed[len(mixed) - 1]])
    default_collate([mixed[len(mixed) - 1], mixed[0]])
    with pytest.raises(InputError, match=r"plain, plain beside the image, .* tensor int64, plain"):
        MixedDataset(real, FakeSource(), ratio=0.5, make_item=lambda image, label: (image, int(label), -1))
