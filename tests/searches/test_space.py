"""The options that a search varies."""

from types import SimpleNamespace
from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, Field, model_validator

from genaug.backends import registry
from genaug.backends.backend import Backend, parse_config
from genaug.backends.spec import Classes, Spec
from genaug.errors import InputError
from genaug.modalities.image import Image
from genaug.searches.space import Choices, Range, fitting, search_space

DIGITS = Spec(sample=Image(channels=1, height=8, width=8), classes=Classes(count=10))


class Options(BaseModel):
    lr: Annotated[float, Field(gt=0, le=0.1)] = 1e-3
    beta: Annotated[float, Field(ge=0, lt=1)] = 0.9
    weight: Annotated[float, Field(ge=0, le=1000)] = 0.0
    width: Annotated[int, Field(ge=4, le=256)] = 32
    loss: Literal["hinge", "minimax"] = "hinge"
    conditional: bool = True
    norm: str = "batch"
    deep: bool = False
    name: str = "x"
    free: float = 1.0

    @model_validator(mode="after")
    def _deep_is_narrow(self):
        if self.deep and self.width > 64:
            raise ValueError("deep networks have a width of at most 64")
        if self.norm == "none" and self.loss == "minimax":
            raise ValueError("minimax needs a norm")
        return self


class Shaped(Backend):
    Config = Options

    def build(self, config, spec):
        raise NotImplementedError

    def generate(self, nets, inputs):
        raise NotImplementedError

    def describe(self, config, data):
        return data if config.conditional else data.model_copy(update={"classes": None})


def space(choices=None, **fixed):
    return search_space("shaped", Shaped(), fixed, DIGITS, choices)


def test_default_ranges_follow_from_bounds_and_defaults():
    assert space() == {
        "lr": Range(1e-4, 1e-2, False, True),
        "beta": Range(0.0, pytest.approx(0.99), False, False),
        "width": Range(8, 128, True, True),
        "loss": Choices(("hinge", "minimax")),
    }


def test_fixed_options_and_those_that_switch_off_the_labels_are_left_out():
    assert not {"conditional", "lr"} & space(lr=1e-3).keys()


def test_a_choice_that_the_backend_rejects_beside_the_fixed_options_is_left_out():
    assert space(norm="batch")["loss"] == Choices(("hinge", "minimax"))
    assert "loss" not in space(norm="none")


@pytest.mark.parametrize(
    ("choices", "expected"),
    [
        ({"lr": (1e-4, 1e-3)}, {"lr": Range(1e-4, 1e-3, False, True)}),
        ({"lr": (1e-4, 2e-4)}, {"lr": Range(1e-4, 2e-4, False, False)}),
        ({"width": (4, 64)}, {"width": Range(4, 64, True, True)}),
        ({"width": [16, 32, 64]}, {"width": Choices((16, 32, 64))}),
        ({"free": (0, 5)}, {"free": Range(0, 5, False, False)}),
        (["lr"], {"lr": Range(1e-4, 1e-2, False, True)}),
        ({"conditional": [False, True]}, {"conditional": Choices((False, True))}),
    ],
)
def test_a_space_of_ones_own(choices, expected):
    assert space(choices) == expected


@pytest.mark.parametrize(
    ("choices", "fixed", "message"),
    [
        (["depth"], {}, r"'shaped' has no option 'depth' to search. Its options: lr, beta"),
        (["lr"], {"lr": 1e-3}, "'lr' is fixed by the config and in the space"),
        (["free"], {}, r"'free' of backend 'shaped' has no default range. Pass \(low, high\)"),
        ({"lr": (1e-3, 1)}, {}, "lr must be less than or equal to 0.1, got 1.0"),
        ({"lr": (2, 1)}, {}, r"space of option 'lr' is \(2, 1\). Expected \(low, high\)"),
        ({"lr": 3}, {}, "space of option 'lr' is 3"),
        ({"lr": ("a", "b")}, {}, "space of option 'lr' is"),
        ({"lr": [1e-3]}, {}, "space of option 'lr' is"),
        ({"width": (4.5, 8)}, {}, "space of option 'width' is"),
        ({"loss": ["hinge", "wasserstein"]}, {}, "loss must be 'hinge' or 'minimax', got 'wasserstein'"),
        ([], {}, "no option left to search"),
    ],
)
def test_a_space_that_cannot_be_searched_is_one_sentence(choices, fixed, message):
    with pytest.raises(InputError, match=message):
        space(choices, **fixed)


def test_nothing_is_left_to_search():
    fixed = {name: Options.model_fields[name].default for name in ("lr", "beta", "width", "loss")}
    with pytest.raises(InputError, match="no option left to search"):
        space(**fixed)


def test_an_option_that_clashes_with_the_others_keeps_its_default():
    assert fitting("shaped", Shaped(), {}, {"width": 128, "deep": True}) == {"width": 128}
    assert fitting("shaped", Shaped(), {"width": 128}, {"lr": 0.01, "deep": True}) == {"lr": 0.01}
    assert fitting("shaped", Shaped(), {}, {"width": 32, "deep": True}) == {"width": 32, "deep": True}
    assert fitting("shaped", Shaped(), {}, {"lr": 5, "deep": True, "width": 128}) == {
        "lr": 5,
        "deep": True,
        "width": 128,
    }


def test_numbers_are_proposed_with_three_digits_within_the_range():
    trial = SimpleNamespace(suggest_float=lambda *_, **__: 0.123456)
    assert Range(0.1, 0.5, False, False).suggest(trial, "x") == 0.123
    assert Range(0.1234, 0.5, False, False).suggest(trial, "x") == 0.1234


@pytest.mark.parametrize("name", ["cgan", "wgan-gp", "mad-gan", "infogan", "vae", "aae", "bigan", "ssgan", "r3gan"])
def test_the_ends_of_every_default_range_are_accepted_by_the_backend(name):
    backend = registry.resolve(name)
    dimensions = search_space(name, backend, {}, DIGITS, None)
    assert len(dimensions) >= 5
    for option, dimension in dimensions.items():
        for end in dimension.ends:
            config = fitting(name, backend, {}, {option: end})
            parse_config(name, backend.Config, config)
