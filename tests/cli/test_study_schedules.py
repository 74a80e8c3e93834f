import pytest
import typer

from genaug.cli.schedules import parse_schedules
from genaug.schedules import Schedule, linear, pretrain, steps


def test_schedules_are_called_by_their_function_or_by_the_name_before_them():
    texts = ["linear(0.8, 0, epochs=5)", "late=linear(0, 0.5, epochs=4)", " own = Schedule([0.5, 0.1])"]
    assert parse_schedules(texts) == {
        "linear": linear(0.8, 0, 5),
        "late": linear(0, 0.5, 4),
        "own": Schedule([0.5, 0.1]),
    }
    assert parse_schedules(["steps({0: 1, 1: 0})", "pretrain(3, ratio=0.9)"]) == {
        "steps": steps({0: 1, 1: 0}),
        "pretrain": pretrain(3, ratio=0.9),
    }


def test_a_curriculum_gets_the_studys_classifier():
    curricula = parse_schedules(["curriculum(linear(0.2, 1, epochs=5))", "fifth=curriculum(0.2)"])
    assert {name: (each.classifier, each.share) for name, each in curricula.items()} == {
        "curriculum": (None, linear(0.2, 1, 5)),
        "fifth": (None, Schedule([0.2])),
    }


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["0.5"], "is not a schedule"),
        (["linear"], "is not a schedule"),
        (["linear(0.8, 0, epochs=5"], "is not a schedule"),
        (["__import__('os')"], "is not a schedule"),
        (["linear(print(1), 0, epochs=5)"], "is not a schedule"),
        (["linear(*[1, 0, 5])"], "is not a schedule"),
        (["linear(**{})"], "is not a schedule"),
        (["schedules.linear(1, 0, epochs=5)"], "is not a schedule"),
        (["curriculum(curriculum(0.5))"], "is not a schedule"),
        (["curriculum()"], "a curriculum has one argument"),
        (["curriculum(0)"], "must be above 0"),
        (["linear(1)"], "missing 2 required positional arguments"),
        (["linear(2, 0, epochs=3)"], r"in \[0, 1\], got 2"),
        (["linear(1, 0, epochs=5)", "linear(0, 1, epochs=5)"], "two schedules are called 'linear'. Name them"),
    ],
)
def test_other_texts_are_usage_errors(texts, message):
    with pytest.raises(typer.BadParameter, match=message):
        parse_schedules(texts)
