"""Files of ``torch.save``: the older format, a sequence of pickles and storages, and the zip format."""

import struct
from typing import Any

from genaug.conversion.budget import Budget
from genaug.conversion.names import Name
from genaug.conversion.pickles import run
from genaug.conversion.values import ITEM_SIZES, Storage
from genaug.conversion.zip_files import entries_of
from genaug.errors import FormatError

MAGIC = 0x1950A86A20F9469CFC6C  # the first pickle of the older format
_PROTOCOL = 1001
_MAX_NUMBERS = 2**40


class Storages:
    """The storages to which a file's tensors refer, by key."""

    def __init__(self) -> None:
        self.by_key: dict[str, Storage] = {}

    def refer(self, value: Any) -> Storage:
        """The storage of a persistent id: ("storage", class, key, device, count of numbers, and maybe None)."""
        if (
            not isinstance(value, tuple)
            or len(value) not in (5, 6)
            or value[0] != "storage"
            or value[5:] not in ((), (None,))
        ):
            raise FormatError("it refers to an object outside of the file that isn't a storage")
        _, kind, key, _, count = value[:5]
        if not isinstance(kind, Name) or kind.dtype is None or not isinstance(key, str) or type(count) is not int:
            raise FormatError("it refers to a storage of an unknown kind")
        if not 0 <= count <= _MAX_NUMBERS:
            raise FormatError(f"a storage claims to have {count:,} numbers")
        storage = self.by_key.setdefault(key, Storage(kind.dtype, count))
        if (storage.dtype, storage.numel) != (kind.dtype, count):
            raise FormatError(f"it describes the storage {key[:50]!r} in two ways")
        return storage


def read_stream(data: memoryview, start: int, budget: Budget) -> Any:
    """The value in a file of the older format, after the pickle of ``MAGIC``, which ends at ``start``."""
    protocol, position = run(data, start, budget)
    system, position = run(data, position, budget)
    if protocol != _PROTOCOL or not isinstance(system, dict):
        raise FormatError(f"it has version {str(protocol)[:50]} of torch.save's older format, expected {_PROTOCOL}")
    if system.get("little_endian") is not True:
        raise FormatError("it was written on a big-endian machine")
    storages = Storages()
    value, position = run(data, position, budget, persistent=storages.refer, load=load_embedded_in(budget))
    keys, position = run(data, position, budget)
    if not isinstance(keys, list) or len(keys) != len(storages.by_key):
        raise FormatError("its list of storages isn't the one to which its tensors refer")
    for key in keys:
        storage = storages.by_key.get(key) if isinstance(key, str) else None
        if storage is None or storage.data is not None:
            raise FormatError("its list of storages isn't the one to which its tensors refer")
        size = storage.numel * ITEM_SIZES[storage.dtype]
        if len(data) < position + 8 + size:
            raise FormatError(f"it is truncated: a storage of {size:,} bytes should follow byte {position:,}")
        if struct.unpack_from("<q", data, position)[0] != storage.numel:
            raise FormatError("the size of a storage isn't the one that its tensors claim")
        storage.fill(data[position + 8 : position + 8 + size])
        position += 8 + size
    if position != len(data):
        raise FormatError(f"{len(data) - position:,} bytes follow its end")
    return value


def load_embedded_in(budget: Budget) -> Any:
    """``torch.storage._load_from_bytes`` for a pickle: the one storage in a file of the older format."""
    known: dict[int, tuple[memoryview, Storage]] = {}

    def load(data: Any = None) -> Storage:
        if not isinstance(data, memoryview):
            raise FormatError("a storage embedded in it isn't made of bytes")
        if id(data) not in known:
            magic, position = run(data, 0, budget)
            storage = read_stream(data, position, budget) if magic == MAGIC else None
            if not isinstance(storage, Storage):
                raise FormatError("what is embedded in it isn't a storage")
            known[id(data)] = data, storage
        return known[id(data)][1]

    return load


def read_zip(data: memoryview, budget: Budget) -> Any:
    """The value in a file of the zip format: ``data.pkl``, and a file per storage."""
    entries = entries_of(data, budget)
    folders = {name.removesuffix("data.pkl") for name in entries if name.endswith("/data.pkl")}
    if len(folders) != 1:
        raise FormatError("it is a zip file, but not one of torch.save: there should be one data.pkl in it")
    folder = folders.pop()
    if bytes(entries.get(f"{folder}byteorder", memoryview(b"little"))[:16]) != b"little":
        raise FormatError("it was written on a big-endian machine")
    storages = Storages()
    pickle = entries[f"{folder}data.pkl"]
    value, end = run(pickle, 0, budget, persistent=storages.refer)
    if end != len(pickle):
        raise FormatError(f"{len(pickle) - end:,} bytes follow the end of its data.pkl")
    for key, storage in storages.by_key.items():
        content = entries.get(f"{folder}data/{key}")
        if content is None:
            raise FormatError(f"the storage {key[:50]!r} is missing in it")
        storage.fill(content)
    return value
