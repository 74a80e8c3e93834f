"""``python fuzz_pickles.py COUNT SEED FOLDER``: mutations of well-formed files, read, listed and converted.

Prints one line of JSON: the slowest, the largest growth of the process's memory beyond twice a file's size, how many
were read and converted, and what was executed or raised that shouldn't have been.
"""

import io
import json
import random
import re
import struct
import sys
import time
from pathlib import Path

import torch

from genaug.conversion.contents import read
from genaug.conversion.convert import convert
from genaug.conversion.listing import sections
from genaug.errors import GenaugError

FORBIDDEN = {
    "exec",
    "compile",
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.fork",
    "subprocess.Popen",
    "socket.connect",
}
FORBIDDEN |= {"pickle.find_class", "ctypes.dlopen", "import"}
FRAGMENTS = [
    *(b"cos\nsystem\n", b"\x8c\x02os\x8c\x06system\x93", b"cbuiltins\neval\n", b"(S'echo'\ntR", b"\x82\x01", b"Pid\n"),
    *(
        b"R",
        b"b",
        b"\x81",
        b"o",
        b"2" * 50,
        b"\x86" * 50,
        b"(" * 50,
        b"\x85" * 200,
        b"h\x00" * 99,
        b"}" * 99,
        b"\x94" * 99,
    ),
    *(struct.pack("<I", 2**32 - 1), struct.pack("<Q", 2**63 - 1), b"r\xff\xff\xff\x7f", b"\x8b\xff\xff\xff\x7f"),
    *(b"\x8e" + struct.pack("<Q", 2**40), b"X" + struct.pack("<I", 2**31), b"\x8a\xff", bytes(8), b"\xff" * 8),
]


def mutated(content: bytes, chance: random.Random, starts: list[int]) -> bytes:
    """A file after one to eight changes, most of them where its operations are rather than its numbers."""
    data = bytearray(content)
    for _ in range(chance.choice((1, 1, 2, 3, 8))):
        if not data:
            break
        at = chance.choice(starts) + chance.randrange(400) if chance.random() < 0.7 else chance.randrange(len(data))
        at = min(at, len(data) - 1)
        size = chance.choice((1, 1, 2, 4, 8, 64, 1000))
        kind = chance.randrange(8)
        if kind == 0:
            data[at] = chance.randrange(256)
        elif kind == 1:
            data[at] ^= 1 << chance.randrange(8)
        elif kind == 2:
            del data[at : at + size]
        elif kind == 3:
            data[at:at] = chance.randbytes(size)
        elif kind == 4:
            data[at:at] = chance.choice(FRAGMENTS)
        elif kind == 5:
            other = chance.randrange(len(data))
            data[at : at + size] = data[other : other + size]
        elif kind == 6:
            fragment = chance.choice(FRAGMENTS)
            data[at : at + len(fragment)] = fragment
        else:
            data[at:at] = data[at : at + size] * chance.choice((1, 2, 50))
        if chance.random() < 0.02:
            del data[at:]
    return bytes(data)


def peak() -> int:
    """The largest resident size since the last ``reset``, in bytes."""
    return int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) * 1024


def size_now() -> int:
    return int(re.search(r"VmRSS:\s+(\d+)", Path("/proc/self/status").read_text())[1]) * 1024


def reset() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def originals() -> list[bytes]:
    from helpers.snapshots import make_generator, snapshot

    generator = make_generator()
    tensors = generator.state_dict()
    files = [snapshot(generator, source="raise SystemExit"), snapshot(generator, source=None, protocol=2)]
    for zipped in (True, False):
        file = io.BytesIO()
        torch.save({"epoch": 3, "model": tensors}, file, _use_new_zipfile_serialization=zipped)
        files.append(file.getvalue())
    return files


def main(count: int, seed: int, folder: Path) -> None:
    files = originals()
    chance = random.Random(seed)
    starts = [[m.start() for m in re.finditer(b"storage|PK|\x80[\x02\x04]|_modules", file)] for file in files]
    target, out = folder / "file.pkl", folder / "out"
    for file in files:  # what is imported and allocated once
        target.write_bytes(file)
        list(sections(read(target)))
        convert(target, out, overwrite=True)
    executed: list[str] = []
    active = False

    def hook(event: str, args: tuple[object, ...]) -> None:
        if active and event in FORBIDDEN:
            executed.append(f"{event} {str(args[:1])[:200]}")

    sys.addaudithook(hook)
    summary = {"count": count, "read": 0, "converted": 0, "slowest": 0.0, "growth": 0, "errors": []}
    for number in range(count):
        which = number % len(files)
        content = mutated(files[which], chance, starts[which])
        target.write_bytes(content)
        reset()
        before, start, active = size_now(), time.process_time(), True
        try:
            list(sections(read(target)))
            summary["read"] += 1
            convert(target, out, overwrite=True)
            summary["converted"] += 1
        except GenaugError as error:
            if "\n" in str(error) or len(str(error)) > 700:
                summary["errors"].append(f"{number}: {error}")
        except BaseException as error:
            summary["errors"].append(f"{number}: {type(error).__name__}: {error}")
        active = False
        summary["slowest"] = max(summary["slowest"], time.process_time() - start)
        summary["growth"] = max(summary["growth"], peak() - before - 2 * len(content))
    print(json.dumps({**summary, "executed": executed}))


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
