"""The entries of a zip file as views of it. Nothing is decompressed: ``torch.save`` compresses nothing."""

import struct

from genaug.conversion.budget import CONTAINER, Budget
from genaug.conversion.other_formats import other_archive
from genaug.errors import FormatError

_END = b"PK\x05\x06"
_END_64 = b"PK\x06\x06"
_LOCATOR_64 = b"PK\x06\x07"
_DIRECTORY = b"PK\x01\x02"
_LOCAL = b"PK\x03\x04"
_FULL_2, _FULL_4 = 0xFFFF, 0xFFFFFFFF


def entries_of(data: memoryview, budget: Budget) -> dict[str, memoryview]:
    """The contents of a zip file's entries by name, which are never used as paths.

    Raises ``FormatError`` if the file is damaged, or has compressed or encrypted entries or one name twice.
    """
    try:
        return _entries(data, budget)
    except (struct.error, IndexError, UnicodeDecodeError) as error:
        raise FormatError("it is a damaged or truncated zip file") from error


def _entries(data: memoryview, budget: Budget) -> dict[str, memoryview]:
    count, position = _directory(data)
    entries: dict[str, memoryview] = {}
    unreadable: list[str] = []
    for _ in range(count):
        budget.spend_operation()
        signature, flags, method, packed, size, name_size, extra_size, comment_size, start = struct.unpack_from(
            "<4s4xHH8xIIHHH8xI", data, position
        )
        if signature != _DIRECTORY:
            raise FormatError("it is a damaged or truncated zip file")
        name_at = position + 46
        budget.spend(4 * name_size + CONTAINER)
        name = str(data[name_at : name_at + name_size], "utf-8")
        extra = data[name_at + name_size : name_at + name_size + extra_size]
        size, packed, start = _wide(extra, size, packed, start)
        if name in entries:
            raise FormatError(f"it has two entries called {name[:100]!r}")
        is_readable = method == 0 and not flags & 0x41 and packed == size
        entries[name] = _content(data, start, size) if is_readable else data[:0]
        unreadable += [] if is_readable else [name]
        position = name_at + name_size + extra_size + comment_size
    other = other_archive(entries)
    if other is not None:
        raise FormatError(other)
    if unreadable:
        raise FormatError(f"its entry {unreadable[0][:100]!r} is compressed or encrypted, which torch.save never does")
    return entries


def _directory(data: memoryview) -> tuple[int, int]:
    """The number of entries, and where the directory begins."""
    tail_at = max(0, len(data) - 22 - _FULL_2)
    end = bytes(data[tail_at:]).rfind(_END)
    if end < 0:
        raise FormatError("it is a truncated zip file")
    end += tail_at
    count, start = struct.unpack_from("<10xH4xI", data, end)
    if end >= 20 and bytes(data[end - 20 : end - 16]) == _LOCATOR_64:
        end_64 = struct.unpack_from("<8xQ", data, end - 20)[0]
        signature, count, start = struct.unpack_from("<4s28xQ8xQ", data, min(end_64, len(data)))
        if signature != _END_64:
            raise FormatError("it is a damaged or truncated zip file")
    return count, min(start, len(data))


def _wide(extra: memoryview, size: int, packed: int, start: int) -> tuple[int, int, int]:
    """The sizes and the start of an entry, from its zip64 field if they don't fit into 32 bits."""
    position = 0
    while position + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, position)
        if kind == 1:
            values = iter(struct.unpack_from(f"<{length // 8}Q", extra, position + 4))
            size = next(values, size) if size == _FULL_4 else size
            packed = next(values, packed) if packed == _FULL_4 else packed
            start = next(values, start) if start == _FULL_4 else start
            break
        position += 4 + length
    return size, packed, start


def _content(data: memoryview, start: int, size: int) -> memoryview:
    if start + 30 > len(data):
        raise FormatError("an entry of it lies outside of the file")
    signature, name_size, extra_size = struct.unpack_from("<4s22xHH", data, start)
    begin = start + 30 + name_size + extra_size
    if signature != _LOCAL or begin + size > len(data):
        raise FormatError("an entry of it lies outside of the file")
    return data[begin : begin + size]
