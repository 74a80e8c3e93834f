"""Data of two domains: pairs, and unpaired sets."""

import pytest
import torch
from torch.utils.data import Subset

import genaug
from genaug.backends import Spec
from genaug.data import Pairs, Unpaired, few_per_class
from genaug.data.reading import fingerprint, read_samples
from genaug.errors import InputError
from genaug.modalities import Image
from genaug.training.distributed import World
from genaug.training.streams import Batches

TINY = {"steps": 1, "batch_size": 4, "device": "cpu", "progress": False}


def items(count, value=0, channels=1, side=8, classes=2):
    """Images whose pixels are all ``value`` + their index, and their labels."""
    images = [torch.full((channels, side, side), value + i, dtype=torch.uint8) for i in range(count)]
    return [(image, i % classes) for i, image in enumerate(images)]


class Named(list):
    classes = ("cat", "dog")

    @property
    def targets(self):
        return [label for _, label in self]


def unpaired(a=7, b=5, **names):
    return Unpaired(items(a), items(b, 100), **names)


def batches(samples, size=4, seed=0):
    return Batches(samples, samples.spec, size, seed, torch.device("cpu"), World())


def values(x):
    """The pixel values (N,) of encoded images."""
    return ((x[:, 0, 0, 0] + 1) * 127.5).round().long().tolist()


class TestPairs:
    def test_an_item_is_the_target_with_its_label_and_its_source(self):
        pairs = Pairs(items(3), [image for image, _ in items(3, 100)])
        image, label, conditions = pairs[2]
        assert len(pairs) == 3
        assert (int(image[0, 0, 0]), label, int(conditions["source"][0, 0, 0])) == (102, 0, 2)

    def test_without_labels_of_the_source_those_of_the_target_count(self):
        assert Pairs([image for image, _ in items(2)], items(2, 100))[1][1] == 1
        assert Pairs([image for image, _ in items(2)], [image for image, _ in items(2)])[1][1] is None

    def test_the_spec_has_the_names_of_domains_and_classes(self):
        for dataset in (Pairs(Named(items(4)), items(4), names=("gray", "color")),):
            for part in (dataset, Subset(dataset, [1, 2]), few_per_class(dataset, 1)):
                spec = read_samples(part, conditions=["source"]).spec
                assert spec.conditions[0].domains == ("gray", "color")
                assert spec.class_names == ("cat", "dog")

    @pytest.mark.parametrize(("a", "b"), [(3, 4), (4, 3)])
    def test_unequal_counts_are_one_sentence(self, a, b):
        with pytest.raises(InputError, match=rf"as many samples of 'a' as of 'b', got {a} and {b}\. For sets"):
            Pairs(items(a), items(b))

    def test_pairs_of_unequal_size_are_one_sentence(self, tmp_path):
        pairs = Pairs(items(4), items(4, side=16), names=("small", "large"))
        with pytest.raises(InputError, match=r"same size: 'small' has 1x8x8, 'large' 1x16x16\. Pass image_size="):
            genaug.fit("pix2pix", pairs, out=tmp_path / "run", **TINY)
        assert not (tmp_path / "run").exists()

    def test_a_name_of_a_dataset_is_no_dataset(self):
        with pytest.raises(InputError, match="a must be a map-style dataset"):
            Pairs("folder:a", items(3))


class TestUnpaired:
    def test_both_sets_are_read_with_the_labels_of_the_first(self):
        samples = read_samples(unpaired(names=("horse", "zebra")), conditions=["source"])
        assert samples.unpaired
        assert (len(samples.x), len(samples.conditions["source"]), len(samples.labels)) == (5, 7, 7)
        assert samples.labels.tolist() == [0, 1, 0, 1, 0, 1, 0]
        assert samples.spec.conditions[0].domains == ("horse", "zebra")
        assert fingerprint(samples) != fingerprint(read_samples(unpaired(6), conditions=["source"]))

    def test_labels_of_the_second_set_are_not_read(self):
        b = [(image, "a name") for image, _ in items(5)]
        assert read_samples(Unpaired(items(7), b), conditions=["source"]).labels is not None

    def test_batches_draw_each_set_in_permutations_of_its_own_and_labels_belong_to_the_first(self):
        samples = read_samples(unpaired(), conditions=["source"])
        stream = batches(samples)
        drawn = [stream.batch(index) for index in range(35)]
        a = [value for batch in drawn for value in values(batch.conditions["source"])]
        b = [value for batch in drawn for value in values(batch.x)]
        labels = [label for batch in drawn for label in batch.labels.tolist()]
        for start in range(0, 140, 7):
            assert sorted(a[start : start + 7]) == list(range(7))
        for start in range(0, 140, 5):
            assert sorted(b[start : start + 5]) == list(range(100, 105))
        assert labels == [value % 2 for value in a]
        assert len(set(zip(a, b, strict=True))) > 30, "nearly all 35 combinations: neither decides the other"

    def test_a_batch_depends_on_seed_and_index_only(self):
        samples = read_samples(unpaired(), conditions=["source"])
        first = batches(samples)
        [first.batch(index) for index in range(9)]
        resumed, other = batches(samples), batches(samples, seed=1)
        for one, two in ((first.batch(9), resumed.batch(9)),):
            assert torch.equal(one.x, two.x)
            assert torch.equal(one.conditions["source"], two.conditions["source"])
        assert values(other.batch(9).x) != values(first.batch(9).x)

    def test_paired_batches_keep_pairs_together(self):
        samples = read_samples(Pairs(items(7), items(7, 100)), conditions=["source"])
        batch = batches(samples).batch(3)
        assert values(batch.x) == [value + 100 for value in values(batch.conditions["source"])]

    def test_joined_the_domains_are_classes_and_the_labels_of_the_first_are_targets(self):
        data = Unpaired(Named(items(7)), items(5, 100), names=("horse", "zebra"))
        samples = read_samples(data, join_domains=True)
        assert samples.labels.tolist() == [0] * 7 + [1] * 5
        assert samples.targets.tolist() == [0, 1, 0, 1, 0, 1, 0] + [-1] * 5
        assert samples.spec.class_names == ("horse", "zebra")
        assert samples.spec.recognized.names == ("cat", "dog")
        assert not samples.unpaired
        assert not samples.spec.conditions
        hidden = Unpaired([(image, -1 if i < 3 else label) for i, (image, label) in enumerate(items(7))], items(5, 100))
        partly = read_samples(hidden, join_domains=True)
        assert partly.targets.tolist() == [-1, -1, -1, 1, 0, 1, 0] + [-1] * 5
        assert fingerprint(partly) != fingerprint(samples)

    def test_joined_without_labels_there_are_no_targets(self):
        for a in ([image for image, _ in items(7)], [(image, -1) for image, _ in items(7)]):
            samples = read_samples(Unpaired(a, items(5, 100)), join_domains=True)
            assert samples.targets is None
            assert samples.spec.recognized is None

    def test_targets_stay_with_their_samples_in_batches(self):
        samples = read_samples(unpaired(), join_domains=True)
        for index in range(10):
            batch = batches(samples).batch(index)
            of_a = [value < 100 for value in values(batch.x)]
            expected = [value % 2 if first else -1 for value, first in zip(values(batch.x), of_a, strict=True)]
            assert batch.targets.tolist() == expected
            assert batch.labels.tolist() == [int(not first) for first in of_a]

    def test_different_channels_are_one_sentence(self, tmp_path):
        data = Unpaired(items(4), items(5, channels=3), names=("gray", "color"))
        with pytest.raises(InputError, match="same channels: 'gray' has 1x8x8, 'color' 3x8x8"):
            genaug.fit("cyclegan", data, out=tmp_path / "run", **TINY)

    def test_a_backend_that_needs_pairs_says_so(self, tmp_path):
        with pytest.raises(InputError, match=r"'pix2pix' needs pairs.*unpaired sets: cogan, cyclegan"):
            genaug.fit("pix2pix", unpaired(), out=tmp_path / "run", **TINY)

    def test_a_backend_that_does_not_translate_says_so(self, tmp_path):
        with pytest.raises(InputError, match=r"has two domains \('a', 'b'\), which only a backend that translates"):
            genaug.fit("cgan", unpaired(), out=tmp_path / "run", **TINY)

    def test_an_item_that_cannot_be_read_names_its_domain(self, tmp_path):
        with pytest.raises(InputError, match="domain 'b'"):
            genaug.fit("cyclegan", Unpaired(items(4), [("no image", 0)]), out=tmp_path / "run", **TINY)


@pytest.mark.parametrize("names", [("a", "a"), ("a",), "ab", ("", "b"), ("a", 3)])
@pytest.mark.parametrize("kind", [Pairs, Unpaired])
def test_names_are_two_different_ones(kind, names):
    with pytest.raises(InputError, match="two different names of the domains"):
        kind(items(3), items(3), names=names)


def test_an_error_says_how_to_build_pairs(tmp_path):
    with pytest.raises(InputError, match=r"lacks the condition 'source'.*genaug\.data\.Pairs"):
        genaug.fit("pix2pix", items(4), out=tmp_path / "run", **TINY)


def test_the_names_of_domains_survive_in_json_and_default_ones_are_left_out():
    for names in (("gray", "color"), ("a", "b")):
        spec = read_samples(Pairs(items(2), items(2), names=names), conditions=["source"]).spec
        text = spec.model_dump_json()
        assert Spec.model_validate_json(text) == spec
        assert ("domains" in text) == (names != ("a", "b"))
    assert spec.conditions[0].sample == Image(1, 8, 8)
