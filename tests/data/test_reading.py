"""Reading datasets as people have them."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import ConcatDataset, IterableDataset, Subset, TensorDataset

from genaug.data.reading import fingerprint, read_samples
from genaug.errors import InputError
from genaug.modalities import Image as Modality


class Items:
    """A dataset of these items; an exception among them is raised."""

    def __init__(self, items, **attributes):
        self.items = items
        self.__dict__.update(attributes)

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        item = self.items[index]
        if isinstance(item, Exception):
            raise item
        return item


def pil(mode="L", size=(6, 4), value=7):
    return Image.new(mode, size, value if mode in ("L", "1", "P") else (value,) * len(mode))


UINT8 = torch.full((1, 4, 6), 7, dtype=torch.uint8)


@pytest.mark.parametrize(
    "image",
    [
        pil(),
        UINT8,
        UINT8[0],
        UINT8.numpy()[0],
        UINT8.numpy().transpose(1, 2, 0),
        UINT8 / 255,
        (UINT8 / 255).double(),
        np.asarray(UINT8[0] / 255),
    ],
    ids=["pil", "uint8", "uint8 2d", "array 2d", "array", "float", "double", "float array"],
)
def test_images_of_all_types(image):
    data = read_samples(Items([(image, 0), (image, 1)]))
    assert data.x.dtype == torch.uint8
    assert data.x.shape == (2, 1, 4, 6)
    assert bool((data.x == 7).all())
    assert data.labels.tolist() == [0, 1]
    assert data.spec.shape == (1, 4, 6)
    assert data.spec.num_classes == 2


@pytest.mark.parametrize(("mode", "channels"), [("L", 1), ("LA", 2), ("RGB", 3), ("RGBA", 4), ("1", 1), ("P", 3)])
def test_pil_modes(mode, channels):
    assert read_samples(Items([pil(mode)])).spec.shape == (channels, 4, 6)


class TestImageSize:
    def test_the_shorter_side_is_resized_and_the_center_cropped(self):
        image = torch.zeros(1, 8, 24, dtype=torch.uint8)
        image[..., 8:16] = 200  # the middle third is the center square
        data = read_samples(Items([image, image.transpose(1, 2)]), image_size=4)
        assert data.x.shape == (2, 1, 4, 4)
        assert bool((data.x[:, :, 1:3, 1:3] == 200).all())
        assert float(data.x.float().mean()) > 180

    def test_smaller_images_are_enlarged(self):
        assert read_samples(Items([pil(size=(3, 5))]), image_size=16).x.shape == (1, 1, 16, 16)

    def test_sizes_that_vary_are_an_error_without_it(self):
        items = Items([pil(), pil(), pil(size=(6, 5))])
        with pytest.raises(
            InputError,
            match=r"item 2 of the dataset has shape \(1, 5, 6\), the ones before it \(1, 4, 6\).*image_size=",
        ):
            read_samples(items)
        assert read_samples(items, image_size=4).x.shape == (3, 1, 4, 4)

    def test_channels_that_vary_are_an_error_with_it_too(self):
        with pytest.raises(InputError, match=r"item 1 of the dataset has shape \(3, 4, 4\)"):
            read_samples(Items([pil(), pil("RGB")]), image_size=4)

    def test_images_that_are_too_large_are_an_error(self):
        with pytest.raises(InputError, match="2049x4 are too large"):
            read_samples(Items([pil(size=(2049, 4))]))


class TestErrors:
    def test_an_empty_dataset(self):
        with pytest.raises(InputError, match="the dataset is empty"):
            read_samples(Items([]))

    def test_a_dataset_that_can_only_be_iterated(self):
        class Stream(IterableDataset):
            def __iter__(self):
                return iter([])

        with pytest.raises(InputError, match="expected a map-style dataset"):
            read_samples(Stream())

    @pytest.mark.parametrize("image", [UINT8 / 127.5 - 1, UINT8 * 1.0, torch.full((1, 4, 4), float("nan"))])
    def test_normalized_floats_name_the_item(self, image):
        with pytest.raises(InputError, match=r"item 1 of the dataset: float images must lie in \[0, 1\]"):
            read_samples(Items([UINT8, image]))

    @pytest.mark.parametrize(
        "image", [torch.zeros(5, 4, 4), torch.zeros(1, 1, 4, 4), torch.zeros(1, 0, 4), "x", {}, None]
    )
    def test_anything_but_an_image_names_the_item(self, image):
        with pytest.raises(InputError, match="item 1 of the dataset: expected an image"):
            read_samples(Items([UINT8, image]))

    @pytest.mark.parametrize("error", [OSError("truncated file"), KeyError("x"), AssertionError()])
    def test_an_item_that_raises_names_the_item_and_keeps_the_cause(self, error):
        with pytest.raises(
            InputError, match=rf"item 1 of the dataset can't be read \({type(error).__name__}"
        ) as caught:
            read_samples(Items([UINT8, error]))
        assert caught.value.__cause__ is error

    def test_ctrl_c_is_not_an_error_of_an_item(self):
        class Interrupted(Items):
            def __getitem__(self, index):
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            read_samples(Interrupted([1]))

    @pytest.mark.parametrize("label", [0.5, "cat", -1, torch.tensor([0.2, 0.8]), True])
    def test_labels_that_are_not_integers(self, label):
        with pytest.raises(InputError, match="the dataset's labels must be"):
            read_samples(Items([(UINT8, label), (UINT8, label)]))

    def test_labels_that_are_sometimes_missing(self):
        with pytest.raises(InputError, match="the dataset's labels must be integers"):
            read_samples(Items([(UINT8, 1), UINT8]))

    def test_labels_that_are_too_large(self):
        with pytest.raises(InputError, match=r"labels go up to 100000; at most 100,000 classes.*Number them from 0"):
            read_samples(Items([(UINT8, 100_000)]))


class TestLabels:
    @pytest.mark.parametrize(
        "label", [3, np.int64(3), torch.tensor(3), torch.tensor(3, dtype=torch.int32), np.uint8(3)]
    )
    def test_integers_of_all_types(self, label):
        data = read_samples(Items([(UINT8, label)] * 2))
        assert data.labels.dtype == torch.int64
        assert data.labels.tolist() == [3, 3]
        assert data.spec.num_classes == 4

    @pytest.mark.parametrize("item", [UINT8, (UINT8,), [UINT8], (UINT8, None)])
    def test_datasets_without_labels(self, item):
        data = read_samples(Items([item, item]))
        assert data.labels is None
        assert data.spec.num_classes == 0
        assert data.x.shape == (2, 1, 4, 6)

    def test_a_tensor_dataset_without_labels(self):
        assert read_samples(TensorDataset(torch.zeros(3, 1, 4, 4, dtype=torch.uint8))).labels is None

    def test_additional_fields_are_ignored(self):
        assert read_samples(Items([(UINT8, 1, "more", 5)])).labels.tolist() == [1]


LABELLED = ((UINT8, 0), (UINT8, 1))


class TestClassNames:
    def test_names_include_classes_without_images(self):
        data = read_samples(Items(LABELLED, classes=["cat", "dog", "owl"]))
        assert data.spec.class_names == ("cat", "dog", "owl")
        assert data.spec.num_classes == 3

    def test_through_subset_and_concat(self):
        items = Items(LABELLED, classes=["cat", "dog"])
        assert read_samples(Subset(items, [0])).spec.class_names == ("cat", "dog")
        assert read_samples(ConcatDataset([items, items])).spec.class_names == ("cat", "dog")

    @pytest.mark.parametrize(("names", "classes"), [(["cat"], 2), (["cat", "cat", "owl"], 3), (["a" * 201, "b"], 2)])
    def test_names_that_do_not_distinguish_classes_are_left_out(self, names, classes):
        spec = read_samples(Items(LABELLED, classes=names)).spec
        assert spec.class_names is None
        assert spec.num_classes == classes

    def test_a_dataset_without_labels_has_none(self):
        assert read_samples(Items([UINT8], classes=["cat"])).spec.classes is None


def test_every_item_is_read_once_and_reported():
    class Counted(Items):
        reads = 0

        def __getitem__(self, index):
            Counted.reads += 1
            return super().__getitem__(index)

    reports = []
    read_samples(Counted([UINT8] * 205), on_items=reports.append)
    assert Counted.reads == 205
    assert reports == [100, 100, 5]


def plain(value):
    return torch.full((1, 2, 3), value, dtype=torch.uint8)


class TestConditions:
    """Further samples that belong to an item, by name, in its third field."""

    def test_they_are_read_beside_the_samples(self):
        items = [(UINT8, i, {"source": pil("RGB", value=10 * i), "small": plain(i), "path": "a.png"}) for i in range(3)]
        data = read_samples(Items(items), conditions=("source", "small"))
        assert data.x.shape == (3, 1, 4, 6)
        assert data.labels.tolist() == [0, 1, 2]
        assert set(data.conditions) == {"source", "small"}
        assert data.conditions["source"].shape == (3, 3, 4, 6)
        assert data.conditions["source"].dtype == torch.uint8
        assert data.conditions["source"][:, 0, 0, 0].tolist() == [0, 10, 20]
        assert data.conditions["small"].flatten(1)[:, 0].tolist() == [0, 1, 2]
        assert {c.name: c.sample for c in data.spec.conditions} == {
            "source": Modality(3, 4, 6),
            "small": Modality(1, 2, 3),
        }

    def test_without_labels(self):
        data = read_samples(Items([(UINT8, None, {"source": plain(i)}) for i in range(2)]), conditions=("source",))
        assert data.labels is None
        assert data.spec.classes is None
        assert list(data.conditions) == ["source"]

    @pytest.mark.parametrize("third", [{}, {"path": "a.jpg"}, {"source": UINT8}, "more", [1]])
    def test_other_fields_are_left_out(self, third):
        data = read_samples(Items([(UINT8, 0, third), (UINT8, 0)]))
        assert data.conditions == {}
        assert data.spec.conditions == ()

    def test_image_size_holds_for_conditions_too(self):
        items = [(UINT8, 0, {"source": pil(size=(9 + i, 12))}) for i in range(2)]
        data = read_samples(Items(items), image_size=4, conditions=("source",))
        assert data.conditions["source"].shape == (2, 1, 4, 4)

    @pytest.mark.parametrize(
        ("second", "message"),
        [
            ((UINT8, 0), r"item 1 of the dataset lacks the condition 'source'.* \(sample, label, {'source': sample}\)"),
            ((UINT8, 0, {"target": plain(0)}), "item 1 of the dataset lacks the condition 'source'"),
            ((UINT8, 0, "source"), "item 1 of the dataset lacks the condition 'source'"),
            (
                (UINT8, 0, {"source": UINT8}),
                r"item 1 of the dataset has shape \(1, 4, 6\), the ones before it \(1, 2, 3\)",
            ),
            ((UINT8, 0, {"source": "cat.png"}), "item 1 of the dataset: expected an image .*got str"),
            ((UINT8, 0, {"source": plain(0).float() - 1}), r"item 1 of the dataset: float images must lie in \[0, 1\]"),
        ],
    )
    def test_inconsistent_ones_are_refused_with_the_item_named(self, second, message):
        first = (UINT8, 0, {"source": plain(0)})
        with pytest.raises(InputError, match=message):
            read_samples(Items([first, second]), conditions=("source",))

    def test_they_count_for_the_fingerprint(self):
        one, other = (read_samples(Items([(UINT8, 0, {"source": plain(i)})]), conditions=("source",)) for i in range(2))
        assert fingerprint(one) != fingerprint(other)


class TestUnlabeledSamples:
    """Labels of -1 among others, for backends that take them."""

    def test_they_are_refused_unless_asked_for(self):
        items = Items([(UINT8, -1), (UINT8, 2)])
        with pytest.raises(InputError, match="the dataset's labels must be 0 or more, got -1"):
            read_samples(items)
        data = read_samples(items, unlabelled=True)
        assert data.labels.tolist() == [-1, 2]
        assert data.spec.num_classes == 3

    def test_without_any_label_there_are_no_classes(self):
        data = read_samples(Items([(UINT8, -1), (UINT8, -1)]), unlabelled=True)
        assert data.spec.classes is None

    def test_names_of_the_classes_come_along(self):
        data = read_samples(Items([(UINT8, -1), (UINT8, 0)], classes=["cat", "dog"]), unlabelled=True)
        assert data.spec.class_names == ("cat", "dog")

    def test_lower_numbers_are_refused_all_the_same(self):
        with pytest.raises(InputError, match="the dataset's labels must be -1 or more, got -2"):
            read_samples(Items([(UINT8, -2), (UINT8, 0)]), unlabelled=True)
