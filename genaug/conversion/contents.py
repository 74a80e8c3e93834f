"""What a file holds: networks with their tensors by name, and other values."""

import mmap
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from genaug.artifacts.paths import reading_from, user_path
from genaug.conversion.budget import Budget
from genaug.conversion.other_formats import other_format
from genaug.conversion.pickles import run
from genaug.conversion.torch_files import MAGIC, load_embedded_in, read_stream, read_zip
from genaug.conversion.values import StandIn, Tensor
from genaug.errors import FormatError, ReadError

MAX_FILE_BYTES = 2**34
MAX_DEPTH = 100  # of networks within networks
MAX_DICTS = 10  # levels of dicts around a network
MAX_NAME = 500  # characters of a tensor's name
_ENTRY = 100  # bytes of an entry in a dict


@dataclass
class Network:
    """A module or a state dict in a file: ``class_name`` ("" of a state dict), ``init`` with the arguments of its
    constructor, if they were kept, ``attributes`` with other plain values, and its tensors and modules by name."""

    name: str
    class_name: str = ""
    init: dict[str, Any] = field(default_factory=dict)
    attributes: dict[str, Any] = field(default_factory=dict)
    tensors: dict[str, Tensor] = field(default_factory=dict)
    modules: dict[str, str] = field(default_factory=dict)


@dataclass
class Contents:
    """The networks in a file, and its other values by name. ``size`` is the file's, in bytes."""

    path: Path
    size: int
    networks: list[Network]
    others: dict[str, Any]


def read(file: str | Path) -> Contents:
    """What a ``.pkl``, ``.pth`` or ``.pt`` file holds, without unpickling it: nothing in it is imported or executed.

    Tensors are views of the file. Raises ``FormatError`` if the file contains anything but tensors, plain values and
    modules of known packages, if it is damaged, or if reading it would cost too much; ``ReadError`` if it can't be
    opened.
    """
    path = user_path(file)
    with reading_from(path):
        if not os.path.lexists(path):
            raise ReadError(
                f"there is no file {str(file)[:200]} here. Expected the path of a .pkl, .pth or .pt file on this "
                "machine: convert downloads nothing."
            )
        data = _mapped(path)
    other = other_format(data)
    if other is not None:
        raise FormatError(f"{path} {other}")
    budget = Budget()
    try:
        networks, others = _divided(_value(data, budget), budget)
    except FormatError as error:
        raise FormatError(
            f"{path} can't be read: {error}. Expected a .pkl, .pth or .pt file of tensors, plain values and networks "
            "of a known kind; nothing in it was executed."
        ) from error
    return Contents(path, len(data), networks, others)


def _mapped(path: Path) -> memoryview:
    if path.is_dir():
        raise FormatError(f"{path} is a directory. Expected a .pkl, .pth or .pt file.")
    with open(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)), "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise FormatError(f"{path} is not a file. Expected a .pkl, .pth or .pt file.")
        if status.st_size > MAX_FILE_BYTES:
            raise FormatError(f"{path} has {status.st_size:,} bytes, but the limit is {MAX_FILE_BYTES:,}.")
        if status.st_size == 0:
            raise FormatError(f"{path} is empty. Expected a .pkl, .pth or .pt file.")
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def _value(data: memoryview, budget: Budget) -> Any:
    if bytes(data[:4]) == b"PK\x03\x04":
        return read_zip(data, budget)
    value, end = run(data, 0, budget, load=load_embedded_in(budget))
    if type(value) is int and value == MAGIC:
        return read_stream(data, end, budget)
    if end != len(data):
        raise FormatError(f"{len(data) - end:,} bytes follow its end")
    return value


def _divided(value: Any, budget: Budget) -> tuple[list[Network], dict[str, Any]]:
    """The networks in a file, also in dicts within dicts, and its other values."""
    if _is_module(value):
        return [_module("", value, budget)], {}
    if not isinstance(value, dict):
        kind = value.name if isinstance(value, StandIn) else type(value).__name__
        raise FormatError(f"its content is of the type {kind}, not a network or a dict of tensors")
    networks: list[Network] = []
    others: dict[str, Any] = {}
    holders = _Holders()

    def collect(name: str, content: dict[Any, Any], around: tuple[int, ...]) -> None:
        around = (*around, id(content))
        inner = {
            key
            for key, item in content.items()
            if isinstance(key, str) and id(item) not in around and holders.holds_network(item)
        }
        tensors = {key: item for key, item in content.items() if key not in inner and isinstance(item, Tensor)}
        if tensors and not inner:  # otherwise, they are counters and the like beside networks
            budget.spend(_ENTRY * len(tensors))
            networks.append(Network(name, tensors={str(key): tensor for key, tensor in tensors.items()}))
        for key, item in content.items():
            path = f"{name}.{key}" if name else str(key)
            budget.spend(_ENTRY + 4 * len(path))
            if key in inner and _is_module(item):
                networks.append(_module(_joined(name, key), item, budget))
            elif key in inner and len(around) <= MAX_DICTS:
                collect(_joined(name, key), item, around)
            elif inner or key not in tensors:
                others[path] = item

    collect("", value, ())
    return networks, others


def _is_module(item: Any) -> bool:
    return isinstance(item, StandIn) and isinstance(item.state, dict) and "_modules" in item.state


class _Holders:
    """Which dicts have a network in them, by their names: a module, or a dict of tensors. Each is looked at once."""

    def __init__(self) -> None:
        self._results: dict[int, bool] = {}

    def holds_network(self, item: Any, depth: int = 0) -> bool:
        """Whether this is a module, a dict of tensors, or a dict with one of these in it.

        An optimizer's state isn't: there, the dicts of tensors have numbers.
        """
        if not isinstance(item, dict):
            return _is_module(item)
        if id(item) not in self._results:
            self._results[id(item)] = False  # for a dict that contains itself
            named = [child for key, child in item.items() if isinstance(key, str)]
            self._results[id(item)] = any(isinstance(child, Tensor) for child in named) or (
                depth < MAX_DICTS and any(self.holds_network(child, depth + 1) for child in named)
            )
        return self._results[id(item)]


def _module(name: str, module: StandIn, budget: Budget) -> Network:
    state = module.state if isinstance(module.state, dict) else {}
    plain = {
        key: value
        for key, value in state.items()
        if isinstance(key, str) and not key.startswith("_") and isinstance(value, bool | int | float | str)
    }
    init = state.get("_init_kwargs")
    network = Network(name, module.name, init if isinstance(init, dict) else {}, plain)
    for path, part in _parts(module):
        budget.spend(_ENTRY + 4 * len(path))
        network.modules[path] = part.name
        state = part.state if isinstance(part.state, dict) else {}
        unsaved = state.get("_non_persistent_buffers_set")
        for kind in ("_parameters", "_buffers"):
            tensors = state.get(kind)
            for key, tensor in tensors.items() if isinstance(tensors, dict) else ():
                if isinstance(unsaved, set) and kind == "_buffers" and key in unsaved:
                    continue
                if isinstance(tensor, Tensor):
                    tensor_name = _joined(path, key)
                    budget.spend(_ENTRY + 4 * len(tensor_name))
                    network.tensors[tensor_name] = tensor
                elif tensor is not None:
                    raise FormatError(f"{_joined(path, key)!r} in it isn't a tensor")
    return network


def _parts(module: StandIn) -> Iterator[tuple[str, StandIn]]:
    """A module and those within it, by name, each once."""
    waiting, known = [("", module, 0)], set[int]()
    while waiting:
        path, part, depth = waiting.pop()
        if id(part) in known:
            continue
        known.add(id(part))
        yield path, part
        children = part.state.get("_modules") if isinstance(part.state, dict) else None
        for key, child in reversed(list(children.items())) if isinstance(children, dict) else ():
            if child is None or id(child) in known:
                continue
            if not isinstance(child, StandIn) or depth >= MAX_DEPTH:
                raise FormatError(f"{_joined(path, key)!r} in it isn't a module, or is nested too deeply")
            waiting.append((_joined(path, key), child, depth + 1))


def _joined(path: str, key: Any) -> str:
    name = f"{path}.{key}" if path else str(key)
    if len(name) > MAX_NAME:
        raise FormatError(f"a tensor's name in it has more than {MAX_NAME} characters")
    return name
