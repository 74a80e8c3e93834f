"""What a spec refuses: everything that can't be, before anything is allocated."""

import pytest
from pydantic import ValidationError

from genaug.backends import Normal, Spec
from genaug.modalities.image import Image
from genaug.sources.generator import Generator
from genaug.sources.source import Source


@pytest.mark.parametrize("shape", [(1, 1, 1), (4, 2048, 2048), (3, 1, 2048)])
def test_shapes_within_bounds(shape):
    assert Spec(sample=Image(*shape)).shape == shape


@pytest.mark.parametrize(
    "shape", [(0, 8, 8), (5, 8, 8), (1, 0, 8), (1, 8, 2049), (1, 8), (1, 8, 8, 8), (1, 8.5, 8), (1, -8, 8), "188", None]
)
def test_shapes_out_of_bounds(shape):
    with pytest.raises(ValidationError):
        Spec(sample=Image(*shape))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"num_classes": -1}, "num_classes"),
        ({"num_classes": 100_001}, "num_classes"),
        ({"num_classes": 2, "classes": ("a",)}, "1 class names for 2 classes"),
        ({"num_classes": 0, "classes": ("a",)}, "1 class names for 0 classes"),
        ({"num_classes": 2, "classes": ("a", "a")}, "class names repeat"),
        ({"num_classes": 1, "classes": ("a" * 201,)}, "classes.0"),
        ({"latents": (Normal(size=1), Normal(size=2))}, "latent names repeat"),
        ({"latents": tuple(Normal(name=f"z{i}", size=1) for i in range(65))}, "latents"),
        ({"kind": "sound"}, "kind"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_specs_that_cannot_be(fields, message):
    with pytest.raises(ValidationError, match=message):
        Spec(sample=Image(1, 8, 8), **fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"size": 0},
        {"size": 65537},
        {"size": 4, "kind": "cauchy"},
        {"size": 4, "name": ""},
        {"size": 4, "name": "Z"},
        {"size": 4, "name": "z\n"},
        {"size": 4, "name": "a" * 65},
        {"size": 4, "name": "../z"},
        {},
    ],
)
def test_latents_that_cannot_be(fields):
    with pytest.raises(ValidationError):
        Normal()


def test_specs_are_values():
    one, other = (Spec(sample=Image(1, 8, 8), classes=("a", "b"), latents=(Normal(size=4),)) for _ in range(2))
    assert one == other
    assert hash(one) == hash(other)
    with pytest.raises(ValidationError):
        one.num_classes = 3
    assert Spec.model_validate_json(one.model_dump_json()) == one


@pytest.mark.parametrize(
    ("num_classes", "classes", "text"),
    [
        (0, None, "no labels"),
        (10, None, "10 classes"),
        (2, ("cat", "dog"), "2 classes (cat, dog)"),
        (2, ("\x1b[31mcat", "d\no\0g"), r"2 classes (\x1b[31mcat, d\no\x00g)"),
        (13, tuple("abcdefghijklm"), "13 classes (a, b, c, d, e, f, g, h, i, j, k, l, …)"),
        (12, tuple("abcdefghijkl"), "12 classes (a, b, c, d, e, f, g, h, i, j, k, l)"),
    ],
)
def test_classes_are_described_in_words(num_classes, classes, text):
    spec = Spec(sample=Image(1, 8, 8), classes=classes or num_classes)
    assert spec.describe_classes() == text
    assert spec.takes_labels == (num_classes > 0)


def test_a_generator_is_a_source(make_generator):
    assert isinstance(make_generator(), Generator)
    assert isinstance(make_generator(), Source)
    assert not isinstance(object(), Source)
