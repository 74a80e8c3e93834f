"""A machine that runs a pickle's operations on plain data: it has no import, no call and no attribute to misuse.

Operations are those of Python's ``pickletools``, of protocols 0 to 5. Names become a ``Name``, objects of known classes
a ``StandIn``, and everything is paid from a ``Budget``. Bytes are views of the file, never copies.
"""

import struct
from collections.abc import Callable
from typing import Any

from genaug.conversion.budget import CONTAINER, Budget
from genaug.conversion.names import LOAD, NumpyType, array_of, called, check_byte_order, checked_key, find
from genaug.conversion.values import StandIn
from genaug.errors import FormatError

MAX_STRING = 2**22  # bytes; the source of a module has 100,000
MAX_LINE = 512  # bytes of a number, name or string that is written as a line
MAX_INTEGER = 128  # bytes
MAX_MARKS = 200  # tuples, lists and dicts within each other

Persistent = Callable[[Any], Any]
Load = Callable[[memoryview], Any]


def run(
    data: memoryview, start: int, budget: Budget, *, persistent: Persistent | None = None, load: Load | None = None
) -> tuple[Any, int]:
    """The value of the pickle that begins at ``start``, and where it ends.

    ``persistent`` is the meaning of persistent ids, ``load`` that of ``torch.storage._load_from_bytes``; without them,
    these are rejected. Raises ``FormatError`` for anything that isn't plain data, for a damaged or truncated pickle,
    and for one that costs too much.
    """
    machine = _Machine(data, start, budget, persistent, load)
    spend_operation = budget.spend_operation
    try:
        while True:
            spend_operation()
            operation = _OPERATIONS[data[machine.position]]
            machine.position += 1
            if operation is None:
                return machine.stack[-1], machine.position
            operation(machine)
    except FormatError:
        raise
    except (IndexError, KeyError, ValueError, TypeError, OverflowError, struct.error) as error:
        raise FormatError(f"it is damaged or truncated at byte {machine.position:,}") from error


class _Machine:
    def __init__(
        self, data: memoryview, start: int, budget: Budget, persistent: Persistent | None, load: Load | None
    ) -> None:
        self.data, self.position, self.budget = data, start, budget
        self.persistent, self.load = persistent, load
        self.stack: list[Any] = []
        self.marks: list[list[Any]] = []  # what is below each mark
        self.memo: dict[int, Any] = {}

    # reading -----------------------------------------------------------------------------------------------------

    def number(self, code: str) -> Any:
        size = struct.calcsize(code)
        value = struct.unpack_from(code, self.data, self.position)[0]
        self.position += size
        return value

    def view(self, size: int) -> memoryview:
        if not 0 <= size <= len(self.data) - self.position:
            raise FormatError(f"it is truncated: {size:,} bytes should follow byte {self.position:,}")
        self.budget.spend(CONTAINER)
        self.position += size
        return self.data[self.position - size : self.position]

    def text(self, size: int) -> str:
        if size > MAX_STRING:
            raise FormatError(f"a string in it has {size:,} bytes, but the limit is {MAX_STRING:,}")
        self.budget.spend(4 * size)
        return str(self.view(size), "utf-8", "surrogatepass")

    def line(self) -> str:
        window = bytes(self.data[self.position : self.position + MAX_LINE])
        end = window.index(b"\n")
        self.position += end + 1
        self.budget.spend(4 * end)
        return window[:end].decode("utf-8")

    def integer(self, size: int) -> int:
        if not 0 <= size <= MAX_INTEGER:
            raise FormatError(f"an integer in it has {size:,} bytes, but the limit is {MAX_INTEGER}")
        return int.from_bytes(self.view(size), "little", signed=True)

    # the stack ---------------------------------------------------------------------------------------------------

    def pop(self) -> Any:
        return self.stack.pop()

    def pop_mark(self) -> list[Any]:
        items = self.stack
        self.stack = self.marks.pop()
        return items

    def mark(self) -> None:
        if len(self.marks) >= MAX_MARKS:
            raise FormatError(f"its values are nested more than {MAX_MARKS} levels deep")
        self.budget.spend(CONTAINER)
        self.marks.append(self.stack)
        self.stack = []

    def push_container(self, value: Any) -> None:
        self.budget.spend(CONTAINER)
        self.stack.append(value)

    def wrap(self, count: int) -> None:
        if len(self.stack) < count:
            raise IndexError
        self.stack[-count:] = [tuple(self.stack[-count:])]

    # values ------------------------------------------------------------------------------------------------------

    def int_line(self) -> None:
        line = self.line()
        self.stack.append(line == "01" if line in ("00", "01") else int(line[:300].removesuffix("L")))

    def string_line(self) -> None:
        line = self.line()
        if len(line) < 2 or line[0] != line[-1] or line[0] not in "'\"" or "\\" in line:
            raise ValueError
        self.stack.append(line[1:-1])

    def list_of_mark(self) -> None:
        items = self.pop_mark()
        self.push_container(items)

    def dict_of_mark(self) -> None:
        items = self.pop_mark()
        self.push_container({})
        self.set_items(self.stack[-1], items)

    def set_items(self, target: Any, items: list[Any]) -> None:
        if type(target) is not dict or len(items) % 2:
            raise FormatError("it sets items of something that isn't a dict")
        for key, value in zip(items[::2], items[1::2], strict=True):
            target[checked_key(key)] = value

    def setitem(self) -> None:
        value, key = self.pop(), self.pop()
        self.set_items(self.stack[-1], [key, value])

    def setitems(self) -> None:
        items = self.pop_mark()
        self.set_items(self.stack[-1], items)

    def append(self) -> None:
        self.extend([self.pop()])

    def extend(self, items: list[Any]) -> None:
        if type(self.stack[-1]) is not list:
            raise FormatError("it appends to something that isn't a list")
        self.stack[-1].extend(items)

    def add_items(self) -> None:
        items = self.pop_mark()
        if type(self.stack[-1]) is not set:
            raise FormatError("it adds items to something that isn't a set")
        self.stack[-1].update(map(checked_key, items))

    def frozen_set(self) -> None:
        self.push_container(set(map(checked_key, self.pop_mark())))

    # the memo ----------------------------------------------------------------------------------------------------

    def put(self, index: int) -> None:
        self.budget.spend(CONTAINER // 2)
        self.memo[index] = self.stack[-1]

    def get(self, index: int) -> None:
        self.stack.append(self.memo[index])

    # names and objects -------------------------------------------------------------------------------------------

    def name(self, module: Any, attribute: Any) -> None:
        self.push_container(find(module, attribute))

    def stack_name(self) -> None:
        attribute, module = self.pop(), self.pop()
        self.name(module, attribute)

    def call(self, name: Any, args: Any, kwargs: Any = None) -> None:
        for value in args if isinstance(args, tuple) else ():
            if isinstance(value, str | list | tuple):
                self.budget.spend(100 * len(value))  # its items may be copied
        if name is LOAD and self.load is not None:
            self.push_container(self.load(*args))
        else:
            self.push_container(called(name, args, kwargs))

    def reduce(self) -> None:
        args, name = self.pop(), self.pop()
        self.call(name, args)

    def new_with_kwargs(self) -> None:
        kwargs, args, name = self.pop(), self.pop(), self.pop()
        if type(kwargs) is not dict:
            raise TypeError
        self.call(name, args, kwargs)

    def instance(self) -> None:
        name = find(self.line(), self.line())
        self.call(name, tuple(self.pop_mark()))

    def object_of_mark(self) -> None:
        name, *args = self.pop_mark()
        self.call(name, tuple(args))

    def build(self) -> None:
        state, target = self.pop(), self.stack[-1]
        if isinstance(target, StandIn) and target.name == "numpy.ndarray":
            if target.state is not None:
                raise FormatError("it sets the state of an array twice")
            target.state = array_of(state)
        elif isinstance(target, StandIn):
            target.state = state
        elif isinstance(target, NumpyType):
            check_byte_order(state)
        elif type(target) is not dict:  # attributes of a dict, such as the versions in a state dict's _metadata
            raise FormatError("it sets the state of something that isn't an object of a known class")

    def persistent_id(self, value: Any) -> None:
        if self.persistent is None:
            raise FormatError("it refers to an object outside of the file (a persistent id)")
        self.push_container(self.persistent(value))

    def extension(self) -> None:
        raise FormatError("it refers to a class by an extension code of Python's copyreg, which could be anything")

    def outside_buffer(self) -> None:
        raise FormatError("it refers to a buffer outside of the file")

    def protocol(self) -> None:
        number = self.number("<B")
        if number > 5:
            raise FormatError(f"it is a pickle of protocol {number}; this version reads up to 5")


_OPERATIONS: list[Any] = []


def _unknown(machine: _Machine) -> None:
    code = machine.data[machine.position - 1]
    raise FormatError(
        f"it isn't a pickle: the byte {code:#04x} at position {machine.position - 1:,} isn't an operation"
    )


_CONSTANTS = {b"N": None, b"\x88": True, b"\x89": False, b")": ()}
_FACTORIES: dict[bytes, Callable[[], Any]] = {b"]": list, b"}": dict, b"\x8f": set}
_NUMBERS = {b"K": "<B", b"M": "<H", b"J": "<i", b"G": ">d"}
_TEXTS = {b"\x8c": "<B", b"X": "<I", b"\x8d": "<Q"}
_BYTES = {b"C": "<B", b"B": "<I", b"\x8e": "<Q", b"\x96": "<Q", b"U": "<B", b"T": "<i"}


def _constant(value: Any) -> Callable[[_Machine], None]:
    return lambda machine: machine.stack.append(value)


def _empty(make: Callable[[], Any]) -> Callable[[_Machine], None]:
    return lambda machine: machine.push_container(make())


def _number(code: str) -> Callable[[_Machine], None]:
    return lambda machine: machine.stack.append(machine.number(code))


def _text(code: str) -> Callable[[_Machine], None]:
    return lambda machine: machine.stack.append(machine.text(machine.number(code)))


def _bytes(code: str) -> Callable[[_Machine], None]:
    return lambda machine: machine.stack.append(machine.view(machine.number(code)))


_OTHERS: dict[bytes, Callable[[_Machine], Any] | None] = {
    b".": None,
    b"(": _Machine.mark,
    b"0": lambda m: m.pop() if m.stack else m.pop_mark(),
    b"1": _Machine.pop_mark,
    b"2": lambda m: m.stack.append(m.stack[-1]),
    b"F": lambda m: m.stack.append(float(m.line())),
    b"I": _Machine.int_line,
    b"L": _Machine.int_line,
    b"S": _Machine.string_line,
    b"V": lambda m: m.stack.append(m.line()),
    b"\x8a": lambda m: m.stack.append(m.integer(m.number("<B"))),
    b"\x8b": lambda m: m.stack.append(m.integer(m.number("<i"))),
    b"t": lambda m: m.push_container(tuple(m.pop_mark())),
    b"\x85": lambda m: m.stack.append((m.pop(),)),
    b"\x86": lambda m: m.wrap(2),
    b"\x87": lambda m: m.wrap(3),
    b"l": _Machine.list_of_mark,
    b"d": _Machine.dict_of_mark,
    b"a": _Machine.append,
    b"e": lambda m: m.extend(m.pop_mark()),
    b"s": _Machine.setitem,
    b"u": _Machine.setitems,
    b"\x90": _Machine.add_items,
    b"\x91": _Machine.frozen_set,
    b"p": lambda m: m.put(int(m.line()[:20])),
    b"q": lambda m: m.put(m.number("<B")),
    b"r": lambda m: m.put(m.number("<I")),
    b"\x94": lambda m: m.put(len(m.memo)),
    b"g": lambda m: m.get(int(m.line()[:20])),
    b"h": lambda m: m.get(m.number("<B")),
    b"j": lambda m: m.get(m.number("<I")),
    b"c": lambda m: m.name(m.line(), m.line()),
    b"\x93": _Machine.stack_name,
    b"R": _Machine.reduce,
    b"\x81": _Machine.reduce,  # NEWOBJ: a class and its arguments
    b"\x92": _Machine.new_with_kwargs,
    b"i": _Machine.instance,
    b"o": _Machine.object_of_mark,
    b"b": _Machine.build,
    b"P": lambda m: m.persistent_id(m.line()),
    b"Q": lambda m: m.persistent_id(m.pop()),
    **dict.fromkeys((b"\x82", b"\x83", b"\x84"), _Machine.extension),
    **dict.fromkeys((b"\x97", b"\x98"), _Machine.outside_buffer),
    b"\x80": _Machine.protocol,
    b"\x95": lambda m: m.number("<Q"),  # FRAME: a hint for reading from a stream
}

_OPERATIONS += [_unknown] * 256
for _codes in (
    {code: _constant(value) for code, value in _CONSTANTS.items()},
    {code: _empty(make) for code, make in _FACTORIES.items()},
    {code: _number(form) for code, form in _NUMBERS.items()},
    {code: _text(form) for code, form in _TEXTS.items()},
    {code: _bytes(form) for code, form in _BYTES.items()},
    _OTHERS,
):
    for _code, _operation in _codes.items():
        _OPERATIONS[_code[0]] = _operation
