"""How a check becomes a function of a backend's name."""

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, Protocol

import torch

from genaug.testing.subject import Subject


class Check(Protocol):
    """One promise of the contract.

    Raises ``ConformanceError`` where the backend breaks it, ``unittest.SkipTest`` where it doesn't apply; what the
    backend itself raises comes through as it is.
    """

    __name__: str
    __doc__: str | None

    def __call__(self, backend: str, config: Mapping[str, Any] | None = None) -> None: ...


CHECKS: list[Check] = []


def check(body: Callable[[Subject], None]) -> Check:
    """Register a check in ``CHECKS``; torch's global RNG is as before after it ran."""

    @wraps(body)
    def run(backend: str, config: Mapping[str, Any] | None = None) -> None:
        with torch.random.fork_rng(devices=[]):
            body(Subject(backend, dict(config or {})))

    CHECKS.append(run)
    return run
