"""The memory of this process."""

from pathlib import Path


def anonymous() -> int:
    """This process's anonymous resident memory, in bytes."""
    return _status("RssAnon")


def resident() -> int:
    """This process's resident memory with mapped files and shared memory, in bytes."""
    return _status("VmRSS")


def _status(field: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise OSError(f"/proc/self/status has no {field}: this measurement needs Linux")
