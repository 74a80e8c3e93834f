"""Reading a dataset in the main process without changing it for the workers that read it later."""

import operator
from collections.abc import Iterator
from contextlib import contextmanager
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
    instances: list[tuple[dict[str, Any], dict[str, Any]]] = []
    containers: list[tuple[Any, Any]] = []
    visited: set[int] = set()

    def visit(value: Any, depth: int) -> None:
        if value is None or isinstance(value, _LEAVES) or id(value) in visited or depth > _DEPTH:
            return
        visited.add(id(value))
        inner: Any = ()
        if isinstance(value, dict | list | set):
            containers.append((value, value.copy()))
        if isinstance(value, dict | list | set | tuple | frozenset):
            inner = value.values() if isinstance(value, dict) else value
            inner = list(inner) if len(value) <= _MAX_ELEMENTS else ()
        elif isinstance(attributes := getattr(value, "__dict__", None), dict):
            instances.append((attributes, attributes.copy()))
            inner = list(attributes.values())
        for part in inner:
            visit(part, depth + 1)

    visit(dataset, 0)
    try:
        yield
    finally:
        for attributes, before in instances:
            _restore(attributes, before)
        for container, before in containers:
            _restore(container, before)


def _restore(container: Any, before: Any) -> None:
    """Restore the content of a list, dictionary or set, unless it still contains the same objects."""
    if isinstance(container, list):
        if len(container) != len(before) or any(map(operator.is_not, container, before)):
            container[:] = before
        return
    same = len(container) == len(before) and all(key in container for key in before)
    if isinstance(container, dict):
        same = same and all(container[key] is value for key, value in before.items())
    if not same:
        container.clear()
        container.update(before)
