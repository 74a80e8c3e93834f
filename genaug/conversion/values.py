"""What a file can contain, besides plain values: tensors, and inert stand-ins for objects."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any

from genaug.errors import FormatError

ITEM_SIZES = {
    "float64": 8,
    "float32": 4,
    "float16": 2,
    "bfloat16": 2,
    "complex64": 8,
    "complex128": 16,
    "uint8": 1,
    "int8": 1,
    "int16": 2,
    "int32": 4,
    "int64": 8,
    "uint16": 2,
    "uint32": 4,
    "uint64": 8,
    "bool": 1,
}
MAX_DIMENSIONS = 16


@dataclass(eq=False, slots=True)
class StandIn:
    """An object of a class that isn't imported: its name, constructor arguments and state as plain data.

    ``source`` is the Python code that came with it, which is never run; None if there is none.
    """

    name: str
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    state: Any = None
    source: str | None = None


@dataclass(eq=False, slots=True)
class Storage:
    """``numel`` numbers that tensors share; ``data`` is a view of the file, None until it has been reached."""

    dtype: str
    numel: int
    data: memoryview | None = None

    def fill(self, data: memoryview) -> None:
        """Set the data. Raises ``FormatError`` if its size isn't the one that the storage claims."""
        expected = self.numel * ITEM_SIZES[self.dtype]
        if len(data) != expected:
            raise FormatError(f"a storage of {self.numel} {self.dtype} numbers has {len(data)} bytes, not {expected}")
        self.data = data


@dataclass(eq=False, slots=True)
class Tensor:
    """A strided view of a storage, within its bounds and without overlaps of the storage's numbers."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]

    def __post_init__(self) -> None:
        numbers = (self.offset, *self.shape, *self.stride)
        if len(self.shape) > MAX_DIMENSIONS or len(self.shape) != len(self.stride):
            raise FormatError("a tensor's shape and strides don't fit each other")
        if not all(type(number) is int and 0 <= number < 2**62 for number in numbers):
            raise FormatError("a tensor has a negative or impossible offset, size or stride")
        last = sum((side - 1) * step for side, step in zip(self.shape, self.stride, strict=True))
        if self.numel and (self.numel > self.storage.numel or self.offset + last >= self.storage.numel):
            raise FormatError(
                f"a tensor of shape {self.shape} is larger than its storage of {self.storage.numel} numbers"
            )

    @property
    def dtype(self) -> str:
        return self.storage.dtype

    @property
    def numel(self) -> int:
        return prod(self.shape)

    @property
    def nbytes(self) -> int:
        return self.numel * ITEM_SIZES[self.dtype]

    def transposed(self) -> "Tensor":
        """The same numbers with the dimensions in reverse order."""
        return Tensor(self.storage, self.offset, self.shape[::-1], self.stride[::-1])
