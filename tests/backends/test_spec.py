"""What a spec accepts and what it refuses: everything that can't be, before anything is allocated."""

import json

import pytest
from hypothesis import given, strategies as st
from pydantic import ValidationError

from genaug.backends import Categorical, Classes, Condition, Normal, Spec, Uniform
from genaug.modalities import Image
from genaug.sources.generator import Generator
from genaug.sources.source import Source

IMAGE = Image(1, 8, 8)


@pytest.mark.parametrize("shape", [(1, 1, 1), (4, 2048, 2048), (3, 1, 2048)])
def test_shapes_within_bounds(shape):
    assert Spec(sample=Image(*shape)).shape == shape


@pytest.mark.parametrize(
    "shape",
    [(0, 8, 8), (5, 8, 8), (1, 0, 8), (1, 8, 2049), (1, 8), (1, 8, 8, 8), (1, 8.5, 8), (1, -8, 8), (1, 8, None), ()],
)
def test_shapes_out_of_bounds(shape):
    with pytest.raises((ValidationError, TypeError)):
        Spec(sample=Image(*shape))
    names = ("channels", "height", "width", "depth")
    with pytest.raises(ValidationError):
        Spec(sample={"kind": "image", **dict(zip(names, shape, strict=False))})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"classes": -1}, "classes.count"),
        ({"classes": 100_001}, "classes.count"),
        ({"classes": True}, "classes"),
        ({"classes": 2.0}, "classes"),
        ({"classes": "cat"}, "classes"),
        ({"classes": {"count": 2, "names": ("a",)}}, "1 class names for 2 classes"),
        ({"classes": {"count": 0, "names": ()}}, "classes.count"),
        ({"classes": {"count": 2, "colors": 3}}, "classes.colors"),
        ({"classes": ()}, "classes.count"),
        ({"classes": ("a", "a")}, "class names repeat"),
        ({"classes": ("a" * 201,)}, "classes.names.0"),
        ({"classes": ("a", 5)}, "classes.names.1"),
        ({"latents": (Normal(size=1), Normal(size=2))}, "latent names repeat"),
        ({"latents": (Normal(size=1), Categorical(name="z", size=2))}, "latent names repeat"),
        ({"latents": tuple(Normal(name=f"z{i}", size=1) for i in range(65))}, "latents"),
        ({"latents": ({"kind": "cauchy", "size": 4},)}, "latents.0"),
        ({"latents": ({"size": 4},)}, "latents.0"),
        ({"conditions": (Condition(name="a", sample=IMAGE),) * 2}, "condition names repeat"),
        ({"conditions": tuple(Condition(name=f"c{i}", sample=IMAGE) for i in range(9))}, "conditions"),
        ({"conditions": ({"name": "../a", "sample": IMAGE},)}, "conditions.0.name"),
        ({"conditions": ({"name": "a"},)}, "conditions.0.sample"),
        ({"sample": {"kind": "sound", "length": 5}}, "unknown kind of sample 'sound'; known kinds: image"),
        ({"sample": {"channels": 1, "height": 8, "width": 8}}, "unknown kind of sample 'None'"),
        ({"sample": {"kind": ["image"], "channels": 1}}, r"unknown kind of sample .*image"),
        ({"sample": {"kind": "image", "channels": 1, "height": 8, "width": 8, "depth": 3}}, "depth"),
        ({"sample": {"kind": "x" * 10_000}}, "unknown kind of sample 'x{100}'; known"),
        ({"sample": (1, 8, 8)}, "sample"),
        ({"sample": None}, "sample"),
        ({"num_classes": 3}, "num_classes"),
        ({"kind": "sound"}, "kind"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_invalid_specs_are_rejected(fields, message):
    with pytest.raises(ValidationError, match=message):
        Spec(**{"sample": IMAGE, **fields})


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just("image"),
        lambda values: (
            st.lists(values, max_size=4)
            | st.dictionaries(
                st.sampled_from(["kind", "count", "names", "channels", "height", "width", "name", "size"]), values
            )
        ),
        max_leaves=8,
    )
)
def test_any_file_content_is_a_spec_or_a_validation_error(value):
    for field in ("sample", "classes", "latents", "conditions"):
        try:
            spec = Spec.model_validate(
                {"sample": {"kind": "image", "channels": 1, "height": 8, "width": 8}, field: value}
            )
        except ValidationError:
            continue
        assert 1 <= spec.sample.nbytes <= 4 * 2048**2
        assert 0 <= spec.num_classes <= 100_000
        assert spec.class_names is None or len(spec.class_names) == spec.num_classes


@pytest.mark.parametrize("latent", [Normal, Uniform, Categorical])
@pytest.mark.parametrize(
    "fields",
    [
        {"size": 0},
        {"size": 65537},
        {"size": -1},
        {"size": 2.5},
        {"size": None},
        {"size": "many"},
        {"size": ()},
        {"size": (2, 0)},
        {"size": (2, 65537)},
        {"size": (1,) * 5},
        {"size": 4, "kind": "cauchy"},
        {"size": 4, "name": ""},
        {"size": 4, "name": "Z"},
        {"size": 4, "name": "z\n"},
        {"size": 4, "name": "a" * 65},
        {"size": 4, "name": "../z"},
        {"size": 4, "colour": 1},
        {},
    ],
)
def test_invalid_latents_are_rejected(latent, fields):
    with pytest.raises(ValidationError):
        latent(**fields)


def test_categories_have_no_shape():
    with pytest.raises(ValidationError):
        Categorical(size=(2, 3))


@pytest.mark.parametrize(
    "fields",
    [{"name": ""}, {"name": "Source"}, {"name": "a b"}, {"sample": None}, {"sample": {"kind": "sound"}}, {"x": 1}],
)
def test_invalid_conditions_are_rejected(fields):
    with pytest.raises(ValidationError):
        Condition(**{"name": "source", "sample": IMAGE, **fields})


def test_specs_are_values():
    one, other = (
        Spec(
            sample=IMAGE,
            classes=("a", "b"),
            latents=(Normal(size=(2, 3)), Uniform(name="u", size=1), Categorical(name="c", size=3)),
            conditions=[Condition(name="source", sample=Image(3, 4, 4))],
        )
        for _ in range(2)
    )
    assert one == other
    assert hash(one) == hash(other)
    with pytest.raises(ValidationError):
        one.classes = None
    again = Spec.model_validate_json(one.model_dump_json())
    assert again == one
    assert isinstance(again.sample, Image)
    assert [type(latent) for latent in again.latents] == [Normal, Uniform, Categorical]
    assert again.latents[0].shape == (2, 3)
    assert json.loads(one.model_dump_json())["conditions"] == [
        {"name": "source", "sample": {"kind": "image", "channels": 3, "height": 4, "width": 4}}
    ]


def test_classes_are_a_number_or_names_or_both():
    assert Spec(sample=IMAGE).classes is Spec(sample=IMAGE, classes=0).classes is None
    assert Spec(sample=IMAGE, classes=3).classes == Classes(count=3)
    named = Classes(count=2, names=("cat", "dog"))
    for classes in (("cat", "dog"), ["cat", "dog"], named, {"count": 2, "names": ["cat", "dog"]}):
        spec = Spec(sample=IMAGE, classes=classes)
        assert spec.classes == named
        assert (spec.num_classes, spec.class_names, spec.takes_labels) == (2, ("cat", "dog"), True)
    without = named and Spec(sample=IMAGE, classes=named).model_copy(update={"classes": None})
    assert (without.num_classes, without.class_names, without.takes_labels) == (0, None, False)


@pytest.mark.parametrize(
    ("classes", "text"),
    [
        (None, "no labels"),
        (10, "10 classes"),
        (("cat",), "1 class (cat)"),
        (("cat", "dog"), "2 classes (cat, dog)"),
        (("\x1b[31mcat", "d\no\0g"), r"2 classes (\x1b[31mcat, d\no\x00g)"),
        (tuple("abcdefghijklm"), "13 classes (a, b, c, d, e, f, g, h, i, j, k, l, …)"),
        (tuple("abcdefghijkl"), "12 classes (a, b, c, d, e, f, g, h, i, j, k, l)"),
    ],
)
def test_classes_are_described_in_words(classes, text):
    spec = Spec(sample=IMAGE, classes=classes)
    assert spec.describe_classes() == text
    assert spec.takes_labels == (classes is not None)


def test_a_generator_is_a_source(make_generator):
    assert isinstance(make_generator(), Generator)
    assert isinstance(make_generator(), Source)
    assert not isinstance(object(), Source)


def test_recognized_classes_are_those_of_the_classifier_and_absent_from_other_specs():
    spec = Spec(sample=IMAGE, classes=("day", "night"), recognized=("car", "bus", "tram"))
    assert spec.of_classifier.class_names == ("car", "bus", "tram")
    assert spec.of_classifier.sample == spec.sample
    assert Spec.model_validate(spec.model_dump(mode="json")) == spec
    other = Spec(sample=IMAGE, classes=("day", "night"))
    assert other.of_classifier == other
    assert "recognized" not in other.model_dump(mode="json")
