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
from genaug.conversion.pickles import run
from genaug.conversion.torch_files import MAGIC, load_embedded_in, read_stream, read_zip
from genaug.conversion.values import StandIn, Tensor
from genaug.errors import FormatError

MAX_FILE_BYTES = 2**34
MAX_DEPTH = 100  # of networks within networks
MAX_TENSORS = 100_000
MAX_NAME = 500  # characters of a tensor's name


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
        data = _mapped(path)
    try:
        value = _value(data)
        networks, others = _divided(value)
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


def _value(data: memoryview) -> Any:
    budget = Budget()
    if bytes(data[:4]) == b"PK\x03\x04":
        return read_zip(data, budget)
    value, end = run(data, 0, budget, load=load_embedded_in(budget))
    if type(value) is int and value == MAGIC:
        return read_stream(data, end, budget)
    if end != len(data):
        raise FormatError(f"{len(data) - end:,} bytes follow its end")
    return value


def _divided(value: Any) -> tuple[list[Network], dict[str, Any]]:
    """The networks and the other values at the top of a file."""
    if isinstance(value, StandIn):
        return [_module("", value)], {}
    if not isinstance(value, dict):
        raise FormatError(f"it holds a {type(value).__name__}, not a network or a dict of tensors")
    tensors = {name: item for name, item in value.items() if isinstance(item, Tensor)}
    if tensors and not any(map(_is_network, value.values())):  # else they are counters and the like beside networks
        return [_state_dict("", tensors)], {str(name): item for name, item in value.items() if name not in tensors}
    networks, others = [], {}
    for key, item in value.items():
        name = str(key)
        if isinstance(item, StandIn) and _is_network(item):
            networks.append(_module(name, item))
        elif isinstance(item, dict) and _is_network(item):
            networks.append(_state_dict(name, {k: part for k, part in item.items() if isinstance(part, Tensor)}))
        else:
            others[name] = item
    return networks, others


def _is_network(item: Any) -> bool:
    """Whether this is a module, or a dict of tensors."""
    if isinstance(item, StandIn):
        return isinstance(item.state, dict) and "_modules" in item.state
    return isinstance(item, dict) and any(isinstance(part, Tensor) for part in item.values())


def _state_dict(name: str, tensors: dict[Any, Tensor]) -> Network:
    return Network(name, tensors={str(key): tensor for key, tensor in tensors.items()})


def _module(name: str, module: StandIn) -> Network:
    state = module.state if isinstance(module.state, dict) else {}
    plain = {
        key: value
        for key, value in state.items()
        if isinstance(key, str) and not key.startswith("_") and isinstance(value, bool | int | float | str)
    }
    init = state.get("_init_kwargs")
    network = Network(name, module.name, init if isinstance(init, dict) else {}, plain)
    for path, part in _parts(module):
        network.modules[path] = part.name
        state = part.state if isinstance(part.state, dict) else {}
        unsaved = state.get("_non_persistent_buffers_set")
        for kind in ("_parameters", "_buffers"):
            tensors = state.get(kind)
            for key, tensor in tensors.items() if isinstance(tensors, dict) else ():
                if isinstance(unsaved, set) and kind == "_buffers" and key in unsaved:
                    continue
                if isinstance(tensor, Tensor):
                    network.tensors[_joined(path, key)] = tensor
                elif tensor is not None:
                    raise FormatError(f"{_joined(path, key)!r} in it isn't a tensor")
        if len(network.tensors) > MAX_TENSORS:
            raise FormatError(f"a network in it has more than {MAX_TENSORS:,} tensors")
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
