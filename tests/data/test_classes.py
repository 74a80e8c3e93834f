"""Class identity: names in any container, and two sides that number and write them differently."""

import unicodedata

import numpy as np
import pytest
import torch
from helpers.fakes import FakeReal, FakeSource, label_in
from torch.utils.data import ConcatDataset, Subset

from genaug import MixedDataset
from genaug.backends import Spec
from genaug.data.class_folders import folder_names
from genaug.data.classes import class_names, find_classes, match_classes, matched_by_number, renumbered
from genaug.errors import BlendWarning, InputError
from genaug.modalities.image import Image, to_uint8

LABELS = [0, 1, 2] * 4


def real(labels=LABELS, **attributes):
    dataset = FakeReal(labels)
    dataset.__dict__ |= attributes
    return dataset


@pytest.mark.parametrize(
    "attributes",
    [
        {"classes": ["a", "b", "c"]},
        {"classes": ("a", "b", "c")},
        {"classes": np.array(["a", "b", "c"])},
        {"classes": {0: "a", 1: "b", 2: "c"}},
        {"classes": {"a": 0, "c": 2, "b": 1}},
        {"classes": {"0": "a", "2": "c", "1": "b"}},
        {"classes": {np.int64(2): "c", np.int64(0): "a", np.int64(1): "b"}},
        {"class_to_idx": {"c": 2, "a": 0, "b": 1}},
        {"classes": ["c", "b", "a"], "class_to_idx": {"a": 0, "b": 1, "c": np.int64(2)}},
        {"classes": 3, "class_to_idx": {"a": 0, "b": 1, "c": 2}},
    ],
)
def test_names_in_any_container(attributes):
    assert class_names(real(**attributes)) == ("a", "b", "c")
    assert class_names(Subset(real(**attributes), [0])) == ("a", "b", "c")


@pytest.mark.parametrize(
    "attributes",
    [{}, {"classes": 3}, {"classes": "abc"}, {"classes": None}, {"class_to_idx": {}}, {"classes": {"a", "b"}}],
)
def test_containers_without_names(attributes):
    assert class_names(real(**attributes)) is None


def test_torchvisions_imagenet_has_several_names_per_class():
    names = [("tench", "Tinca tinca"), ("goldfish",)]
    index = {"tench": 0, "Tinca tinca": 0, "goldfish": 1}
    assert class_names(real(classes=names, class_to_idx=index)) == ("tench, Tinca tinca", "goldfish")


def test_a_number_without_a_name_is_its_own_name():
    assert class_names(real(class_to_idx={"a": 1, "b": 3})) == ("0", "a", "2", "b")
    assert class_names(real(class_to_idx={"n01440764": 1_440_764})) is None, "not a numbering of classes"


def test_names_through_a_wrapper_only_if_its_labels_are_the_inner_ones():
    class Wrapper:
        def __init__(self, dataset, indices=None, turn=False):
            self.dataset, self.indices, self.turn = dataset, indices or range(len(dataset)), turn

        def __len__(self):
            return len(self.indices)

        def __getitem__(self, index):
            image, label = self.dataset[self.indices[index]]
            return image, 2 - label if self.turn else label

    inner = real(classes=["a", "b", "c"])
    source = FakeSource(3, classes=("c", "b", "a"))
    for wrapper in (Wrapper(inner), Wrapper(inner, [5, 4, 0, 1])):
        mixed = MixedDataset(wrapper, source, ratio=0.5)
        assert mixed.classes == ["a", "b", "c"]
        generated = [mixed[i] for i in range(len(wrapper), len(mixed))]
        assert [label_in(to_uint8(image)) for image, _ in generated] == [2 - label for _, label in generated]
    with pytest.warns(BlendWarning, match="by number"):
        assert MixedDataset(Wrapper(inner, turn=True), source, ratio=0.5).classes is None


class TestConcatenated:
    def test_parts_may_have_different_classes(self):
        one, other = real(class_to_idx={"a": 0, "b": 1}), real(class_to_idx={"b": 1, "c": 2})
        assert class_names(ConcatDataset([one, other, real()])) == ("a", "b", "c")

    @pytest.mark.parametrize("names", [["b", "a", "c"], ["a", "x", "c"], ["c", "b"]])
    def test_parts_that_number_their_classes_differently_are_an_error(self, names):
        both = ConcatDataset([real(classes=["a", "b", "c"]), Subset(real(classes=names), [0, 1])])
        with pytest.raises(InputError, match="number their classes differently"):
            MixedDataset(both, FakeSource(3, classes=("a", "b", "c")), ratio=0.5)


def test_generated_images_follow_class_to_idx_not_the_order_of_names():
    names = [str(c) for c in range(11)]
    numbered = real([c for c in range(11) for _ in range(2)], classes=sorted(names))
    numbered.class_to_idx = {name: int(name) for name in names}
    mixed = MixedDataset(numbered, FakeSource(11, classes=tuple(sorted(names))), ratio=0.5)
    generated = [mixed[i] for i in range(22, 44)]
    assert [sorted(names)[label_in(to_uint8(image))] for image, _ in generated] == [
        str(label) for _, label in generated
    ]


class TestMatching:
    FORMS = tuple(unicodedata.normalize(form, "Bär") for form in ("NFC", "NFD"))

    @pytest.mark.parametrize("order", [[0, 1], [1, 0]])
    def test_unicode_forms(self, order):
        one, other = self.FORMS[order[0]], self.FORMS[order[1]]
        assert find_classes(["zoo", one], [other, "zoo"]) == [1, 0]

    @pytest.mark.parametrize("order", [1, -1])
    def test_names_that_folder_names_changed_in_either_direction(self, order):
        names = ["colt's foot", "salt & pepper", "a/b", "plain"]
        sides = [names, folder_names(names)][::order]
        assert find_classes(*sides) == [0, 1, 2, 3]
        assert find_classes(sides[0], sides[1][::-1]) == [3, 2, 1, 0]

    @pytest.mark.parametrize("order", [1, -1])
    def test_names_that_become_one_folder_name_are_not_guessed(self, order):
        names = ["a/b", "a:b", "x?"]
        assert find_classes(names, folder_names(names)[::order]) == ([-1, -1, 2] if order > 0 else [-1, -1, 0])

    def test_upper_and_lower_case_are_two_classes(self):
        assert find_classes(["a"], ["A", "b"]) == [-1]
        assert find_classes(["A", "a"], ["a", "A"]) == [1, 0]

    def test_an_exact_match_takes_precedence_over_a_folder_name(self):
        assert find_classes(["a/b", "a_b"], ["a_b", "x"]) == [-1, 0]

    def test_a_match_gives_the_sources_numbers(self):
        spec = Spec(sample=Image(1, 2, 2), classes=("b_", "a"))
        assert match_classes([0, 1], ["a", "b?"], spec).tolist() == [1, 0]

    @pytest.mark.parametrize(
        ("names", "classes", "message"),
        [
            (None, None, None),
            (["a", "b"], ("a", "b"), None),
            (["0", "1"], None, None),
            (None, ("0", "1"), None),
            (["a", "b"], None, r"the source has no class names, .* by number \(0: 'a'"),
            (None, ("a", "b"), r"the real set has no class names, .* by number \(0: 'a'"),
        ],
    )
    def test_matching_by_number_is_reported(self, names, classes, message):
        spec = Spec(sample=Image(1, 6, 6), classes=classes or 2)
        note = matched_by_number(names, spec)
        assert (note is None) == (message is None)
        if message is not None:
            with pytest.warns(BlendWarning, match=message):
                MixedDataset(real([0, 1] * 4, classes=names), FakeSource(2, classes=classes), ratio=0.5)


def test_labels_are_renumbered_by_name():
    labels = torch.tensor([0, 1, 1, 2])
    assert renumbered(labels, ["c", "a", "b"], ["a", "b", "c"], 3, "it").tolist() == [2, 0, 0, 1]
    assert renumbered(labels, None, ["a", "b", "c"], 3, "it").tolist() == [0, 1, 1, 2]
    assert renumbered(torch.tensor([0]), ["a", "x"], ["a", "b"], 3, "it").tolist() == [0], "x doesn't occur"
    with pytest.raises(InputError, match=r"it has classes that the other set lacks: 1 \('x'\)"):
        renumbered(torch.tensor([1]), ["a", "x"], ["a", "b"], 3, "it")


def test_names_that_are_numbers_mean_the_classes_of_these_numbers():
    labels, nameless = torch.tensor([0, 1, 1]), Spec(sample=Image(1, 6, 6), classes=3)
    assert renumbered(labels, ["1", "2"], None, 3, "it").tolist() == [1, 2, 2]
    assert renumbered(labels, ["2", "3"], None, 3, "it").tolist() == [0, 1, 1], "there is no class 3"
    assert renumbered(labels, ["1", "b"], None, 3, "it").tolist() == [0, 1, 1]
    assert match_classes([0, 1], ["1", "2"], nameless).tolist() == [1, 2]
    assert matched_by_number(["1", "2"], nameless) is None
    assert match_classes([0, 1], ["2", "3"], nameless).tolist() == [0, 1]
    assert "by number (0: '2', ...)" in matched_by_number(["2", "3"], nameless)
