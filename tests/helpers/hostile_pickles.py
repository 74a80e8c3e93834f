"""Files that would execute something, exhaust memory or crash a reader, each with a part of the expected message."""

import io
import pickle
import struct
import zipfile
from collections import OrderedDict

import torch

MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03."
SYSTEM = b"\x80\x02}X\r\x00\x00\x00little_endian\x88s."


FOUR_NUMBERS = struct.pack("<q4f", 4, 1, 2, 3, 4)


def text(value):
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def stack_global(module, attribute):
    return text(module) + text(attribute) + b"\x93"


def stored(name, body):
    """A call of ``torch.storage._load_from_bytes`` with ``body``."""
    return b"\x80\x04" + stack_global("torch.storage", "_load_from_bytes") + _bytes(body) + b"\x85R" + name


def _bytes(data):
    return b"B" + struct.pack("<I", len(data)) + data


def persistent(kind="FloatStorage", key="0", count=4):
    return b"(" + text("storage") + stack_global("torch", kind) + text(key) + text("cpu") + number(count) + b"tQ"


def number(value):
    data = value.to_bytes(10, "little", signed=True)
    return b"\x8a\x0a" + data


def tensor(storage, offset, shape, stride):
    parts = number(offset) + tuple_of(shape) + tuple_of(stride) + b"\x89" + b"N"
    return stack_global("torch._utils", "_rebuild_tensor_v2") + b"(" + storage + parts + b"tR"


def tuple_of(values):
    return b"(" + b"".join(map(number, values)) + b"t"


def stream(body, keys=("0",), data=FOUR_NUMBERS):
    """A file of torch.save's older format."""
    listed = b"\x80\x02](" + b"".join(map(text, keys)) + b"e."
    return MAGIC + SYSTEM + b"\x80\x02" + body + b"." + listed + data


def zipped(entries, compression=zipfile.ZIP_STORED):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return file.getvalue()


def dict_with(value):
    return b"}" + text("x") + value + b"s"


def module(**state):
    """A live module with these parts of its state."""
    parts = b"".join(
        text(name) + value + b"s" for name, value in {"_modules": b"}", "_parameters": b"}", **state}.items()
    )
    return b"ctorch.nn.modules.container\nSequential\n)\x81}" + parts + b"b"


def many_parameters(count):
    """A dict of many names for one tensor."""
    one = tensor(stored(b"", stream(persistent())), 0, (4,), (1,))
    names = b"".join(text(f"{index:x}") + b"h\x07" for index in range(count))
    return b"}" + text("first") + one + b"q\x07s(" + names + b"u"


def saved(**options):
    file = io.BytesIO()
    torch.save(OrderedDict(x=torch.arange(4.0), y=torch.ones(2, 3)), file, **options)
    return file.getvalue()


class Runs:
    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        import os

        return os.system, (self.command,)


def cases(mark):
    """Hostile files by name: their bytes, and what the message has to contain. None may create the file ``mark``."""
    command = f"touch {mark}"
    line = command.encode()
    code = f"open({str(mark)!r}, 'w')"
    good = saved(_use_new_zipfile_serialization=False)
    inner = pickle.dumps(Runs(command))
    flat = b"\x80\x02"
    four = persistent()
    system = ("posix.system", "os.system", "nt.system")
    zip_pickle = b"\x80\x02" + dict_with(tensor(persistent(), 0, (4,), (1,))) + b"."
    files = {
        "GLOBAL": (b"cos\nsystem\n(S'" + line + b"'\ntR.", system),
        "a pickled object": (pickle.dumps({"G": Runs(command)}), system),
        "STACK_GLOBAL": (b"\x80\x04" + stack_global("os", "system") + text(command) + b"\x85R.", system),
        "INST": (b"(S'" + line + b"'\nios\nsystem\n.", system),
        "OBJ": (b"(cos\nsystem\nS'" + line + b"'\no.", system),
        "NEWOBJ": (b"\x80\x02cos\nsystem\n" + text(command) + b"\x85\x81.", system),
        "NEWOBJ_EX": (b"\x80\x04" + stack_global("subprocess", "Popen") + b")}\x92.", ("subprocess.Popen",)),
        "eval": (b"\x80\x04" + stack_global("builtins", "eval") + text(code) + b"\x85R.", ("builtins.eval",)),
        "exec": (b"c__builtin__\nexec\n(" + text(code) + b"tR.", ("__builtin__.exec",)),
        "getattr": (b"\x80\x04" + stack_global("builtins", "getattr") + b".", ("builtins.getattr",)),
        "__import__": (b"cbuiltins\n__import__\n(S'os'\ntR.", ("builtins.__import__",)),
        "operator": (b"coperator\nmethodcaller\n(S'x'\ntR.", ("operator.methodcaller",)),
        "partial": (b"cfunctools\npartial\n.", ("functools.partial",)),
        "codecs": (b"c_codecs\ndecode\n.", ("_codecs.decode",)),
        "an attribute of a class": (
            b"\x80\x04" + stack_global("collections", "OrderedDict.fromkeys") + b".",
            ("fromkeys",),
        ),
        "a module of torch": (b"ctorch.hub\nload\n(S'a'\ntR.", ("torch.hub.load",)),
        "torch.load": (b"ctorch\nload\n(S'a'\ntR.", ("torch.load",)),
        "a function within a known package": (
            b"\x80\x04" + stack_global("torch.nn.modules.module", "__builtins__['eval']") + b".",
            ("torch.nn.modules.module",),
        ),
        "a package with a similar name": (b"ctrainingx\nevil\n)R.", ("trainingx.evil",)),
        "BUILD of a class": (b"\x80\x02ccollections\nOrderedDict\n}b.", ("state",)),
        "BUILD of a number": (b"\x80\x02K\x01}b.", ("state",)),
        "a call of a value": (b"\x80\x02K\x01)R.", ("isn't a name",)),
        "a call of a storage class": (b"ctorch\nFloatStorage\n)R.", ("can't be called",)),
        "EXT1": (b"\x80\x02\x82\x01.", ("extension code",)),
        "EXT2": (b"\x80\x02\x83\x01\x00.", ("extension code",)),
        "EXT4": (b"\x80\x02\x84\x01\x00\x00\x00.", ("extension code",)),
        "a persistent id in a pickle": (b"Pos.system\n.", ("persistent id",)),
        "a persistent id of another kind": (stream(text("x") + b"\x85Q"), ("isn't a storage",)),
        "a storage of another kind": (
            stream(b"(" + b"".join(map(text, ("storage", "os.system", "0", "cpu"))) + number(4) + b"tQ"),
            ("unknown kind",),
        ),
        "a hostile pickle as a storage": (stored(b"", inner) + b".", system),
        "a hostile pickle in an older file": (stream(b"cos\nsystem\n(S'" + line + b"'\ntR"), system),
        "a hostile pickle in a storage's file": (
            stored(b"", stream(b"cos\nsystem\n(S'" + line + b"'\ntR")) + b".",
            system,
        ),
        "a dict as a storage": (stored(b"", stream(b"}", (), b"")) + b".", ("isn't a storage",)),
        "a hostile pickle in a zip file": (zipped({"a/data.pkl": inner}), system),
        "a buffer outside": (b"\x80\x05\x97.", ("buffer outside",)),
        "a memo bomb": (flat + b"]" + b"q\x00h\x00" * 300_000 + b".", ("operations", "objects")),
        "an index of the memo": (flat + b"]r\xff\xff\xff\xffj\xfe\xff\xff\xff.", ("damaged",)),
        "billion laughs": (flat + b"]" + b"q\x002222222222222222t\x86" * 30 + b".", ("damaged",)),
        "nested tuples": (flat + b")" + b"\x85" * 390_000 + b".", ("of the type tuple",)),
        "a key of nested tuples": (flat + b"})" + b"2\x86" * 60 + b"Ns.", ("key",)),
        "nested marks": (flat + b"(" * 100_000 + b"t" * 100_000 + b".", ("nested",)),
        "many lists": (flat + b"]" * 2_000_000 + b".", ("objects", "operations")),
        "many dicts": (flat + b"}" * 500_000 + b".", ("objects", "operations")),
        "a list within itself": (flat + b"]q\x00h\x00a.", ("of the type list",)),
        "colliding keys": (
            flat + b"}(" + b"".join(number(i * (2**61 - 1)) + b"N" for i in range(1000)) + b"u.",
            ("key",),
        ),
        "a long integer": (flat + b"\x8b\x00\x00\x00\x08" + b"\x01" * 2**21 + b".", ("integer",)),
        "a negative length": (flat + b"\x8b\xff\xff\xff\xff.", ("integer",)),
        "a negative string": (b"T\xff\xff\xff\xff.", ("truncated",)),
        "a long decimal": (b"I" + b"9" * 400_000 + b"\n.", ("damaged",)),
        "huge bytes": (b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7f.", ("truncated",)),
        "huge text": (b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\xff.", ("string",)),
        "a huge bytearray": (b"\x80\x05\x96\x00\x00\x00\x00\x00\x01\x00\x00.", ("truncated",)),
        "another encoding": (b"c_codecs\nencode\n(S'a'\nS'zip'\ntR.", ("don't fit",)),
        "many copies of a text": (
            b"\x80\x02" + text("a" * 2**20) + b"q\x000" + b"c_codecs\nencode\nh\x00\x85Rq\x01" * 5000 + b".",
            ("objects",),
        ),
        "a protocol of the future": (b"\x80\x63}.", ("protocol 99",)),
        "an empty stack": (b"\x80\x02.", ("damaged",)),
        "no pickle": (b"PNG and so on", ("is a text that begins with 'PNG and",)),
        "truncated": (good[: len(good) // 2], ("truncated",)),
        "truncated in its storage": (good[:-3], ("truncated",)),
        "something after it": (good + b"x", ("follow",)),
        "a tensor larger than its storage": (stream(dict_with(tensor(four, 0, (5,), (1,)))), ("larger",)),
        "a tensor after its storage": (stream(dict_with(tensor(four, 4, (1,), (1,)))), ("larger",)),
        "a stride beyond its storage": (stream(dict_with(tensor(four, 0, (2, 2), (3, 1)))), ("larger",)),
        "a negative stride": (stream(dict_with(tensor(four, 3, (4,), (-1,)))), ("negative",)),
        "a negative offset": (stream(dict_with(tensor(four, -1, (4,), (1,)))), ("negative",)),
        "an expanded tensor": (stream(dict_with(tensor(four, 0, (2**30, 2**30), (0, 0)))), ("larger",)),
        "too few strides": (stream(dict_with(tensor(four, 0, (2, 2), (1,)))), ("fit",)),
        "a giant storage": (stream(dict_with(tensor(persistent(count=2**39), 0, (1,), (1,)))), ("truncated",)),
        "an impossible storage": (stream(dict_with(persistent(count=2**62))), ("claims",)),
        "a storage of two sizes": (stream(b"]" + four + b"a" + persistent(count=2) + b"a"), ("two ways",)),
        "a storage that lies about its size": (
            stream(dict_with(four), data=struct.pack("<q4f", 9, 1, 2, 3, 4)),
            ("size",),
        ),
        "a storage that isn't listed": (stream(dict_with(four), keys=("1",)), ("list of storages",)),
        "a storage that is missing in a zip file": (zipped({"a/data.pkl": zip_pickle}), ("missing",)),
        "a storage that is short in a zip file": (zipped({"a/data.pkl": zip_pickle, "a/data/0": b"123"}), ("bytes",)),
        "a zip bomb": (
            zipped({"a/data.pkl": zip_pickle, "a/data/0": bytes(2**24)}, zipfile.ZIP_DEFLATED),
            ("compressed",),
        ),
        "a path out of a zip file": (zipped({"../../data.pkl": inner}), system),
        "two pickles in a zip file": (zipped({"a/data.pkl": zip_pickle, "b/data.pkl": zip_pickle}), ("one data.pkl",)),
        "a zip file of something else": (zipped({"word/document.xml": b"x"}), ("not one of torch.save",)),
        "a big-endian zip file": (
            zipped({"a/data.pkl": zip_pickle, "a/data/0": bytes(16), "a/byteorder": b"big"}),
            ("big-endian",),
        ),
        "a truncated zip file": (saved()[:-40], ("zip",)),
        "an entry outside of the zip file": (_entry_outside(), ("outside",)),
        "quantized tensors": (b"ctorch._utils\n_rebuild_qtensor\n)R.", ("_rebuild_qtensor",)),
        "an array of objects": (
            b"\x80\x04" + stack_global("numpy", "dtype") + text("O8") + b"\x89\x88\x87R.",
            ("numpy.dtype",),
        ),
        "a big-endian array": (
            b"\x80\x04" + stack_global("numpy", "dtype") + text("f4") + b"\x89\x88\x87R(K\x03" + text(">") + b"NNNtb.",
            ("little-endian",),
        ),
        "an array larger than its bytes": (
            b"\x80\x04" + stack_global("numpy.core.numeric", "_frombuffer") + b"(" + _bytes(bytes(8))
            + stack_global("numpy", "dtype") + text("f4") + b"\x89\x88\x87R" + tuple_of((2**38,)) + text("C") + b"tR.",
            ("larger",),
        ),
        "long names of many tensors": (
            flat + module(_modules=b"}" + text("x" * 490) + module(_parameters=many_parameters(100_000)) + b"s") + b".",
            ("more than 48 MiB",),
        ),
        "no dict": (b"\x80\x02K\x01.", ("of the type int",)),
        "empty": (b"", ("empty",)),
    }  # fmt: skip
    return {name: (content, expected) for name, (content, expected) in files.items()}


def _entry_outside():
    """A zip file whose directory says that an entry begins after its end."""
    content = bytearray(zipped({"a/data.pkl": b"\x80\x02}."}))
    at = content.rindex(b"PK\x01\x02")
    content[at + 42 : at + 46] = struct.pack("<I", 2**31)
    return bytes(content)
