"""What a file holds, as text: short, whatever is in it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from genaug.conversion.contents import Contents, Network
from genaug.conversion.values import StandIn, Tensor
from genaug.escaping import one_line

LINES = 20  # of a table
WIDTH = 120  # characters of a value
_ITEMS = 12  # of a list or dict


def summary(contents: Contents) -> str:
    """What a file holds, in a clause."""
    parts = [f"{_named(network)} ({_count(len(network.tensors), 'tensor')})" for network in contents.networks[:4]]
    more = len(contents.networks) - len(parts)
    return ", ".join(parts) + (f" and {_count(more, 'more network')}" if more else "") or "no network"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s' * (number != 1)}"


def _named(network: Network) -> str:
    kind = short(network.class_name) if network.class_name else "a state dict"
    return f"{short(network.name)}: {kind}" if network.name else kind


def sections(contents: Contents) -> Iterator[tuple[str, list[str], list[tuple[str, ...]]]]:
    """Tables of what a file holds: a title, the names of the columns and the rows, at most ``LINES`` of each."""
    rows = [
        (
            short(network.name) or "-",
            short(network.class_name) or "state dict",
            f"{len(network.tensors):,}",
            f"{sum(tensor.numel for tensor in network.tensors.values()):,}",
        )
        for network in contents.networks
    ]
    yield "Networks", ["name", "class", "tensors", "numbers"], _shortened(rows)
    others = [(short(name), _text(value)) for name, value in contents.others.items()]
    if others:
        yield "Other entries", ["name", "value"], _shortened(others)
    for network in contents.networks[:_ITEMS]:
        title = short(network.name) or "The network"
        init = [(short(name), _text(value)) for name, value in {**network.attributes, **network.init}.items()]
        if init:
            yield f"{title}: arguments and attributes", ["name", "value"], _shortened(init)
        classes: dict[str, int] = {}
        for name in network.modules.values():
            classes[name] = classes.get(name, 0) + 1
        if classes:
            yield (
                f"{title}: modules",
                ["class", "number"],
                _shortened([(short(n), f"{c:,}") for n, c in classes.items()]),
            )
        tensors = [(short(name), tensor.dtype, _shape(tensor)) for name, tensor in network.tensors.items()]
        yield f"{title}: tensors", ["name", "dtype", "shape"], _shortened(tensors)


def _shortened(rows: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
    if len(rows) <= LINES:
        return list(rows)
    rest = len(rows) - LINES + 1
    return [*rows[: LINES - 1], (f"… {rest:,} more", *[""] * (len(rows[0]) - 1))]


def _shape(tensor: Tensor) -> str:
    return " × ".join(map(str, tensor.shape)) or "scalar"


def short(value: object) -> str:
    """The beginning of a text on one line."""
    text = str(value)[: WIDTH + 1]
    return one_line(text if len(text) <= WIDTH else text[:WIDTH] + "…")


def _text(value: Any, depth: int = 0) -> str:
    """A value as a Python programmer would write it, shortened."""
    if isinstance(value, StandIn) and isinstance(value.state, Tensor):
        value = value.state
    if isinstance(value, Tensor):
        return f"{value.dtype} {_shape(value)}"
    if isinstance(value, StandIn):
        return short(value.name)
    if isinstance(value, memoryview):
        return f"{len(value):,} bytes"
    if isinstance(value, Mapping | list | tuple | set):
        if depth == 2:
            return "…"
        items = list(value.items() if isinstance(value, Mapping) else value)
        parts = [
            f"{_text(item[0])}: {_text(item[1], depth + 1)}" if isinstance(value, Mapping) else _text(item, depth + 1)
            for item in items[:_ITEMS]
        ]
        parts += ["…"] * (len(items) > _ITEMS)
        signs = "{}" if isinstance(value, Mapping | set) else "[]" if isinstance(value, list) else "()"
        return short(signs[0] + ", ".join(parts) + signs[1])
    if isinstance(value, str):
        return short(repr(value[:WIDTH]))
    return short(getattr(value, "path", value))
