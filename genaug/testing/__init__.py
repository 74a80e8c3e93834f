"""The contract of a backend as checks that run: every backend passes them, ours and yours.

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
    image_checks as image_checks,  # importing them registers their checks
    training_checks as training_checks,
)
from genaug.testing.listing import CHECKS, Check
from genaug.testing.subject import ConformanceError

if TYPE_CHECKING:
    import pytest

__all__ = ["CHECKS", "Check", "ConformanceError", "Result", "check_backend", "parametrize_with_checks", "run_checks"]


@dataclass(frozen=True)
class Result:
    """What came of one check; ``why`` says what was wrong, or why the check was skipped."""

    check: str
    outcome: Literal["passed", "failed", "skipped"]
    why: str = ""


def check_backend(backend: str, *, config: Mapping[str, Any] | None = None) -> list[Result]:
    """Run all checks on the installed backend of that name, on small data and for a few steps, and return the results.

    ``config`` holds options of the backend's own to check it under, beside those in its ``tiny``.

    Raises ``ConformanceError`` naming every check that failed and why, ``PluginError`` where there is no such backend,
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
    """The results of the checks one by one, as ``check_backend`` collects them; nothing is raised for a failed one."""
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
        except (Exception, SystemExit) as error:  # whatever a backend raises
            raised = error.__cause__ if isinstance(error, PluginError) and error.__cause__ is not None else error
            told = shorten(str(raised), 300, placeholder=" …")
            yield Result(check.__name__, "failed", f"{type(raised).__name__}: {told} ({_place(raised, type(recipe))})")
        else:
            yield Result(check.__name__, "passed")


def parametrize_with_checks(
    backends: Sequence[str], *, config: Mapping[str, Any] | None = None
) -> "pytest.MarkDecorator":
    """A pytest decorator for ``def test_backend(backend, check): check(backend)``: one case a check and backend.

    ``config`` is as in ``check_backend``. Raises ``InputError`` for a name that isn't in a list.
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
    except PluginError:  # whose checks say why
        return CHECKS
    return [check for check in CHECKS if check.applies(recipe)]


def _place(error: BaseException, backend: type) -> str:
    """Where in the backend's own package an error came up, else where it did at all: "networks.py, line 12"."""
    frames = extract_tb(error.__traceback__)
    own = [frame for frame in frames if Path(frame.filename).is_relative_to(Path(getfile(backend)).parent)]
    last = (own or frames)[-1]
    return f"{Path(last.filename).name}, line {last.lineno}"
