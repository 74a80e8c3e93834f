"""Reading a dataset in the main process without changing it for the workers that read it later."""

import operator
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from types import FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
from torch import Tensor, nn

_DEPTH = 8
_MAX_ELEMENTS = 10_000  # the state of the elements of a larger container isn't restored, only the container
_LEAVES = (str, bytes, int, float, complex, type, FunctionType, MethodType, ModuleType, nn.Module, Tensor, np.ndarray)


@contextmanager
def state_kept(dataset: Any) -> Iterator[None]:
    """Restore the attributes of a dataset, and of the Python objects and containers in it, after the block.

    Many datasets open their archive (zip, HDF5, LMDB) at the first access, so that every worker has its own
    handle. One that is read in the main process before the workers start would pass its open handle on to all of them,
    which then read from each other's position in the file, or can't be pickled. Assigned attributes and changed lists,
    dictionaries and sets are restored; networks, tensors and arrays are left alone.
    """
    containers: list[tuple[Any, Any]] = []
    visited: set[int] = set()

    def visit(value: Any, depth: int) -> None:
        if value is None or isinstance(value, _LEAVES) or id(value) in visited or depth > _DEPTH:
            return
        visited.add(id(value))
        if isinstance(value, dict | list | set):
            containers.append((value, value.copy()))
        if isinstance(value, dict | list | set | tuple | frozenset):
            if len(value) <= _MAX_ELEMENTS:
                for element in list(value.values() if isinstance(value, dict) else value):
                    visit(element, depth + 1)
        elif isinstance(attributes := getattr(value, "__dict__", None), dict):
            visit(attributes, depth)

    visit(dataset, 0)
    try:
        yield
    finally:
        for container, before in containers:
            _restore(container, before)


def _restore(container: Any, before: Any) -> None:
    """Restore the content of a list, dictionary or set, unless it still contains the same objects."""
    contents = (chain(c, c.values()) if isinstance(c, dict) else c for c in (container, before))
    if len(container) == len(before) and all(map(operator.is_, *contents)):
        return
    if isinstance(container, list):
        container[:] = before
    else:
        container.clear()
        container.update(before)
