"""The list of checks, which are functions of a backend's name."""

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, Protocol, cast

import torch

from genaug.backends.backend import Backend
from genaug.modalities.known import MODALITIES
from genaug.testing.subject import Subject


class Check(Protocol):
    """A check of one part of the contract.

    Raises ``ConformanceError`` if the backend breaks it and ``unittest.SkipTest`` if it doesn't apply; exceptions of
    the backend itself are propagated.
    """

    __name__: str
    __doc__: str | None
    applies: Callable[[Backend], bool]

    def __call__(self, backend: str, config: Mapping[str, Any] | None = None) -> None: ...


CHECKS: list[Check] = []


def check(applies: Callable[[Backend], bool] = lambda _: True) -> Callable[[Callable[[Subject], None]], Check]:
    """Register a check in ``CHECKS``; ``applies`` says whether it applies to a backend, by what that declares.

    A check leaves torch's global RNG as it was.
    """

    def register(body: Callable[[Subject], None]) -> Check:
        @wraps(body)
        def run(backend: str, config: Mapping[str, Any] | None = None) -> None:
            with torch.random.fork_rng(devices=[]):
                body(Subject(backend, dict(config or {})))

        listed: Any = run
        listed.applies = applies
        CHECKS.append(listed)
        return cast(Check, listed)

    return register


def of_images(backend: Backend) -> bool:
    """Whether a backend makes images."""
    return "image" in backend.modalities


def with_sizes(backend: Backend) -> bool:
    """Whether a backend makes samples that come in various sizes."""
    return any(MODALITIES[kind].has_size for kind in backend.modalities if kind in MODALITIES)


def offering(method: str) -> Callable[[Backend], bool]:
    """Whether a backend implements an optional method."""
    return lambda backend: backend.offers(method)
