"""The contract of a backend as executable checks, for genaug's backends and yours.

::

    from genaug.testing import parametrize_with_checks

    @parametrize_with_checks(["vae"])
    def test_backend(backend, check):
        check(backend)
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from inspect import getfile
from pathlib import Path
from textwrap import shorten
from traceback import extract_tb
from typing import TYPE_CHECKING, Any, Literal
from unittest import SkipTest

from genaug.backends import registry
from genaug.backends.backend import parse_config
from genaug.errors import InputError, PluginError
from genaug.testing import (
    sampling_checks as sampling_checks,  # importing these modules registers their checks
    side_effect_checks as side_effect_checks,
    training_checks as training_checks,
    tuning_checks as tuning_checks,
)
from genaug.testing.listing import CHECKS, Check
from genaug.testing.subject import ConformanceError

if TYPE_CHECKING:
    import pytest

__all__ = ["CHECKS", "Check", "ConformanceError", "Result", "check_backend", "parametrize_with_checks", "run_checks"]


@dataclass(frozen=True)
class Result:
    """The result of one check; ``why`` says what is wrong, or why the check was skipped."""

    check: str
    outcome: Literal["passed", "failed", "skipped"]
    why: str = ""


def check_backend(backend: str, *, config: Mapping[str, Any] | None = None) -> list[Result]:
    """Run all checks on an installed backend, on small data and for a few steps, and return the results.

    ``config`` holds options of the backend to check it with, in addition to those in its ``tiny``.

    Raises ``ConformanceError`` with every check that failed and why, ``PluginError`` if there is no such backend, and
    ``InputError`` for options that it doesn't have.
    """
    results = list(run_checks(backend, config=config))
    failed = [f"{result.check}: {result.why}" for result in results if result.outcome == "failed"]
    if failed:
        raise ConformanceError(
            "\n  ".join([f"backend {backend!r} fails {len(failed)} of {len(results)} checks:", *failed])
        )
    return results


def run_checks(backend: str, *, config: Mapping[str, Any] | None = None) -> Iterator[Result]:
    """Yield the result of each check as it completes, like ``check_backend``, but without raising for failures."""
    recipe = registry.resolve(backend)
    parse_config(backend, recipe.Config, {**recipe.tiny, **(config or {})})
    for check in CHECKS:
        if not check.applies(recipe):
            continue
        try:
            check(backend, config)
        except SkipTest as reason:
            yield Result(check.__name__, "skipped", str(reason))
        except ConformanceError as error:
            yield Result(check.__name__, "failed", str(error))
        except (Exception, SystemExit) as error:  # a backend may raise anything
            cause = error.__cause__ if isinstance(error, PluginError) and error.__cause__ is not None else error
            message = shorten(str(cause), 300, placeholder=" …")
            yield Result(check.__name__, "failed", f"{type(cause).__name__}: {message} ({_place(cause, type(recipe))})")
        else:
            yield Result(check.__name__, "passed")


def parametrize_with_checks(
    backends: Sequence[str], *, config: Mapping[str, Any] | None = None
) -> "pytest.MarkDecorator":
    """A pytest decorator for ``def test_backend(backend, check): check(backend)``, with a case per check and backend.

    ``config`` is as in ``check_backend``. Raises ``InputError`` for a single name instead of a list.
    """
    if isinstance(backends, str):
        raise InputError(f"backends must be a list of names: parametrize_with_checks([{backends!r}]).")
    import pytest

    cases = [
        pytest.param(name, partial(check, config=config) if config else check, id=f"{name}-{check.__name__}")
        for name in backends
        for check in checks_of(name)
    ]
    return pytest.mark.parametrize(("backend", "check"), cases)


def checks_of(backend: str) -> list[Check]:
    """The checks that apply to an installed backend by what it declares; all of them if it can't be imported."""
    try:
        recipe = registry.resolve(backend)
    except PluginError:  # each check then raises it
        return CHECKS
    return [check for check in CHECKS if check.applies(recipe)]


def _place(error: BaseException, backend: type) -> str:
    """Where an error was raised, if possible in the backend's own package: "networks.py, line 12"."""
    frames = extract_tb(error.__traceback__)
    own = [frame for frame in frames if Path(frame.filename).is_relative_to(Path(getfile(backend)).parent)]
    last = (own or frames)[-1]
    return f"{Path(last.filename).name}, line {last.lineno}"
