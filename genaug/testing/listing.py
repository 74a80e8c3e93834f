"""How a check becomes a function of a backend's name."""

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, Protocol, cast

import torch

from genaug.backends.backend import Backend
from genaug.testing.subject import Subject


class Check(Protocol):
    """One promise of the contract.

    Raises ``ConformanceError`` where the backend breaks it, ``unittest.SkipTest`` where it doesn't apply; what the
    backend itself raises comes through as it is.
    """

    __name__: str
    __doc__: str | None
    applies: Callable[[Backend], bool]

    def __call__(self, backend: str, config: Mapping[str, Any] | None = None) -> None: ...


CHECKS: list[Check] = []


def check(applies: Callable[[Backend], bool] = lambda _: True) -> Callable[[Callable[[Subject], None]], Check]:
    """Register a check in ``CHECKS``, for the backends that it applies to by what they declare.

    torch's global RNG is as before after it ran.
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


def offering(method: str) -> Callable[[Backend], bool]:
    """Whether a backend has an optional method of its own."""
    return lambda backend: backend.offers(method)
