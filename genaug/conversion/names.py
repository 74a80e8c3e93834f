"""The names that a pickle may refer to, and what each becomes. None is ever imported or called."""

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from genaug.conversion.values import ITEM_SIZES, StandIn, Storage, Tensor
from genaug.errors import FormatError

INERT = (
    *("torch.nn.modules.", "torchvision.models.", "timm."),
    *("training.", "torch_utils.", "dnnlib.", "pg_modules.", "R3GAN.", "BaselineGAN."),
)
"""Packages whose classes become stand-ins: PyTorch's modules, and those of StyleGAN, its successors and R3GAN."""

_STORAGES = {
    "Double": "float64",
    "Float": "float32",
    "Half": "float16",
    "BFloat16": "bfloat16",
    "Byte": "uint8",
    "Char": "int8",
    "Short": "int16",
    "Int": "int32",
    "Long": "int64",
    "Bool": "bool",
    "ComplexFloat": "complex64",
    "ComplexDouble": "complex128",
    "Untyped": "uint8",
}
_NUMPY = {
    "f8": "float64",
    "f4": "float32",
    "f2": "float16",
    "c8": "complex64",
    "c16": "complex128",
    "b1": "bool",
    **{f"{kind}{size}": f"{'u' * (kind == 'u')}int{8 * size}" for kind in "iu" for size in (1, 2, 4, 8)},
}
_SCALARS = {
    "float64": "d", "float32": "f", "float16": "e", "bool": "?",
    **{f"{sign}int{bits}": code.upper() if sign else code for bits, code in ((8, "b"), (16, "h"), (32, "i"), (64, "q"))
       for sign in ("", "u")},
}  # fmt: skip

MAX_KEY = 500  # characters: names of parameters have 200 at most

Call = Callable[..., Any]


@dataclass(frozen=True, eq=False, slots=True)
class Name:
    """A name that a pickle refers to. ``call`` makes the value of a call with plain arguments, ``dtype`` is that of a
    storage class or of ``torch.dtype``; neither if it can't be called."""

    module: str
    attribute: str
    call: Call | None = None
    dtype: str | None = None
    inert: bool = False

    @property
    def path(self) -> str:
        return f"{self.module}.{self.attribute}"


@dataclass(eq=False, slots=True)
class NumpyType:
    """A ``numpy.dtype``, one of plain numbers in this machine's byte order."""

    dtype: str


def find(module: Any, attribute: Any) -> Name:
    """The meaning of a name. Raises ``FormatError`` for one that isn't known, whatever it is."""
    if not (isinstance(module, str) and isinstance(attribute, str)):
        raise FormatError("a name in it isn't a string")
    known = _KNOWN.get((module, attribute))
    if known is not None:
        return known
    if f"{module}.".startswith(INERT) and all(part.isidentifier() for part in attribute.split(".")):
        return Name(module, attribute, inert=True)
    name = f"{module}.{attribute}"
    raise FormatError(
        f"it refers to {name[:100]!r}, which is not among the names that a file of tensors and networks needs"
    )


def called(name: Any, args: Any, kwargs: Mapping[str, Any] | None = None) -> Any:
    """The value of a call of ``name`` in a pickle. Raises ``FormatError`` for anything that can't be called there."""
    if not isinstance(name, Name) or not isinstance(args, tuple):
        raise FormatError("it calls something that isn't a name with arguments")
    if name.inert:
        return StandIn(name.path, args, dict(kwargs or {}))
    if name.call is None or kwargs:
        raise FormatError(f"it calls {name.path}, which can't be called like that")
    try:
        return name.call(*args)
    except (TypeError, ValueError, KeyError, AttributeError, OverflowError, struct.error) as error:
        raise FormatError(f"it calls {name.path} with arguments that don't fit") from error


def _tensor(storage: Any, offset: int, shape: Any, stride: Any, *rest: Any) -> Tensor:
    if not isinstance(storage, Storage) or not isinstance(shape, tuple) or not isinstance(stride, tuple):
        raise TypeError
    return Tensor(storage, offset, shape, stride)


def _parameter(data: Any, requires_grad: Any = True, hooks: Any = None, *state: Any) -> Tensor:
    if not isinstance(data, Tensor):
        raise TypeError
    return data


def _persistent_object(meta: Any) -> StandIn:
    """An object with the source of its class (StyleGAN's ``torch_utils.persistence``), which is kept as text."""
    name, state, source = meta["class_name"], meta["state"], meta.get("module_src")
    if not isinstance(name, str) or not isinstance(state, dict) or not isinstance(source, str | None):
        raise TypeError
    return StandIn(name, state=state, source=source)


def _pairs(items: Any = ()) -> dict[Any, Any]:
    """A dict of pairs, as older versions of Python pickle an ``OrderedDict``."""
    result: dict[Any, Any] = {}
    for item in as_list(items):
        name, value = item
        result[checked_key(name)] = value
    return result


def checked_key(value: Any) -> Any:
    """A key of a dict or an item of a set. Only those whose hashes are quick and can't be made to collide."""
    if type(value) is str and len(value) <= MAX_KEY:
        return value
    if value is None or type(value) is bool or (type(value) is int and abs(value) < 2**31):
        return value
    raise FormatError("a dict or set in it has a key that is neither a short string nor a small integer")


def as_list(value: Any) -> Any:
    if not isinstance(value, list | tuple):
        raise TypeError
    return value


def _set(items: Any = ()) -> set[Any]:
    return {checked_key(item) for item in as_list(items)}


def _sizes(items: Any = ()) -> tuple[Any, ...]:
    return tuple(as_list(items)[:64])


def _numpy_type(name: Any, *flags: Any) -> NumpyType:
    if not isinstance(name, str) or name[:1] in (">", "!"):
        raise ValueError
    return NumpyType(_NUMPY[name.lstrip("<=|")])


def check_byte_order(state: Any) -> None:
    """Check the state with which a ``numpy.dtype`` is pickled: version, byte order, and nothing that matters here."""
    if not isinstance(state, tuple) or len(state) < 2 or state[1] not in ("<", "|", "=") or any(state[2:5]):
        raise FormatError("a NumPy array in it isn't one of plain numbers in little-endian order")


def _array_to_fill(kind: Any, shape: Any, code: Any) -> StandIn:
    if not (isinstance(kind, Name) and kind.path == "numpy.ndarray"):
        raise TypeError
    return StandIn("numpy.ndarray")


def array_of(state: Any) -> Tensor:
    """A NumPy array from the state with which it is pickled: version, shape, dtype, whether Fortran order, bytes."""
    if not isinstance(state, tuple) or len(state) != 5:
        raise FormatError("the state of a NumPy array isn't one")
    _, shape, kind, fortran, data = state
    return _array(data, kind, shape, "F" if fortran is True else "C")


def _array(data: Any, kind: Any, shape: Any, order: Any = "C") -> Tensor:
    if not isinstance(kind, NumpyType) or not isinstance(data, memoryview) or not isinstance(shape, tuple):
        raise FormatError("a NumPy array in it isn't one of plain numbers")
    if len(shape) > 16 or not all(type(side) is int and 0 <= side < 2**40 for side in shape):
        raise FormatError("a NumPy array in it has an impossible shape")
    storage = Storage(kind.dtype, len(data) // ITEM_SIZES[kind.dtype])
    storage.fill(data)
    stride, step = [0] * len(shape), 1
    for axis in range(len(shape)) if order == "F" else reversed(range(len(shape))):
        stride[axis], step = step, min(step * max(shape[axis], 1), 2**61)
    return Tensor(storage, 0, shape, tuple(stride))


def _array_of_buffer(*args: Any) -> StandIn:
    return StandIn("numpy.ndarray", state=_array(*args))


def _number(kind: Any, data: Any) -> Any:
    if not isinstance(kind, NumpyType) or not isinstance(data, memoryview):
        raise TypeError
    return struct.unpack(f"<{_SCALARS[kind.dtype]}", data)[0]


def _encoded(text: Any, encoding: Any = "latin1") -> memoryview:
    """Bytes, as protocol 2 writes them."""
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise TypeError
    return memoryview(text.encode("latin1"))


_CALLS: dict[str, Call] = {
    "collections.OrderedDict": _pairs,
    "dnnlib.util.EasyDict": _pairs,
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": _parameter,
    "torch._utils._rebuild_parameter_with_state": _parameter,
    "torch.Size": _sizes,
    "torch_utils.persistence._reconstruct_persistent_obj": _persistent_object,
    "_codecs.encode": _encoded,
    "numpy.dtype": _numpy_type,
}
for _package in ("numpy.core", "numpy._core"):
    _CALLS |= {
        f"{_package}.multiarray._reconstruct": _array_to_fill,
        f"{_package}.multiarray.scalar": _number,
        f"{_package}.numeric._frombuffer": _array_of_buffer,
    }
for _module in ("builtins", "__builtin__"):
    _CALLS |= {f"{_module}.set": _set, f"{_module}.frozenset": _set, f"{_module}.dict": _pairs}

LOAD = Name("torch.storage", "_load_from_bytes")
"""Storages in a pickle of live modules are files of ``torch.save`` themselves: the machine reads them."""

_KNOWN: dict[tuple[str, str], Name] = {("torch.storage", "_load_from_bytes"): LOAD}
for _path, _call in _CALLS.items():
    _module, _, _attribute = _path.rpartition(".")
    _KNOWN[_module, _attribute] = Name(_module, _attribute, _call)
for _dtype in ITEM_SIZES:
    _KNOWN["torch", _dtype] = Name("torch", _dtype, dtype=_dtype)
for _kind, _dtype in _STORAGES.items():
    for _module in ("torch", "torch.storage", "torch.cuda"):
        _KNOWN[_module, f"{_kind}Storage"] = Name(_module, f"{_kind}Storage", dtype=_dtype)
_KNOWN["numpy", "ndarray"] = Name("numpy", "ndarray")
_KNOWN["torch", "device"] = Name("torch", "device", lambda *args: StandIn("torch.device", args))
