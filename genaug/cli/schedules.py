"""``--schedule``: the schedules and curricula of a study, as text."""

import ast
from collections.abc import Sequence
from typing import Any, NoReturn

import typer

from genaug import schedules
from genaug.errors import InputError

_SCHEDULES = ("constant", "linear", "cosine", "steps", "pretrain", "Schedule")
_CURRICULUM = "curriculum"


def parse_schedules(texts: Sequence[str]) -> dict[str, Any]:
    """The schedules and curricula of ``[NAME=]CALL`` by name, which is the function's by default.

    Nothing but calls of these functions with plain values is evaluated. Ends with a usage error for any other text, for
    arguments that a function doesn't take, and for a name that occurs twice.
    """
    named: dict[str, Any] = {}
    for text in texts:
        name, course = _parse(text)
        if name in named:
            _reject(f"two schedules are called {name!r}. Name them: NAME={text.partition('=')[2] or text}.")
        named[name] = course
    return named


def _parse(text: str) -> tuple[str, Any]:
    name, equals, rest = text.partition("=")
    named = bool(equals) and "(" not in name
    try:
        expression = ast.parse((rest if named else text).strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        _reject(_expected(text))
    function, course = _evaluated(expression, text)
    return (name.strip() if named else function), course


def _evaluated(expression: ast.expr, text: str) -> tuple[str, Any]:
    """The function that is called, and what it returns."""
    if not isinstance(expression, ast.Call) or not isinstance(expression.func, ast.Name):
        _reject(_expected(text))
    function = expression.func.id
    if function not in (*_SCHEDULES, _CURRICULUM) or any(keyword.arg is None for keyword in expression.keywords):
        _reject(_expected(text))
    try:
        if function == _CURRICULUM:
            if len(expression.args) != 1 or expression.keywords:
                _reject(f"a curriculum has one argument, its share, as in 'curriculum(0.5)'; got {text!r}.")
            share = expression.args[0]
            nested = isinstance(share, ast.Call)
            if nested and isinstance(share.func, ast.Name) and share.func.id == _CURRICULUM:  # type: ignore[attr-defined]
                _reject(_expected(text))
            from genaug.blend.curriculum import Curriculum

            return function, Curriculum(None, _evaluated(share, text)[1] if nested else ast.literal_eval(share))
        values = [ast.literal_eval(value) for value in expression.args]
        options = {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in expression.keywords}
        return function, getattr(schedules, function)(*values, **options)
    except InputError as error:
        _reject(str(error))
    except TypeError as error:
        _reject(f"{text!r} can't be used ({error}). {_EXPECTED}")
    except ValueError:
        _reject(_expected(text))


_EXPECTED = (
    "Expected a schedule such as 'linear(0.8, 0, epochs=5)', 'steps({0: 1, 1: 0})' or "
    "'curriculum(linear(0.2, 1, epochs=5))', with a name before it if you like: 'decay=linear(0.8, 0, epochs=5)'."
)


def _expected(text: str) -> str:
    return f"{text!r} is not a schedule. {_EXPECTED}"


def _reject(message: str) -> NoReturn:
    raise typer.BadParameter(message, param_hint="--schedule")
