"""Arrays that the main process writes and its DataLoader workers read, forked or spawned."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from genaug.artifacts.folders import resolve, saving_to, sweep, temporary_name
from genaug.errors import InputError, OutputExistsError, SaveError

_SHM = "/dev/shm"


class SharedArray:
    """A NumPy array, ``.array``, in shared memory.

    A spawned worker to which it is passed uses the same memory; a copy by ``copy.deepcopy`` or ``pickle`` has its own.

    Raises ``InputError`` if there is too little shared memory, before anything is written to it.
    """

    def __init__(self, shape: tuple[int, ...], dtype: torch.dtype = torch.int64) -> None:
        nbytes = dtype.itemsize * int(np.prod(shape, dtype=np.int64))
        free = free_bytes(_SHM)
        if free is not None and nbytes > free:
            raise InputError(_too_small(nbytes, f"{free:,} are free"))
        try:
            tensor = torch.zeros(shape, dtype=dtype, device="cpu").share_memory_()
        except RuntimeError as error:
            raise InputError(_too_small(nbytes, str(error))) from error
        self._tensor: torch.Tensor = tensor
        self.array: NDArray[Any] = tensor.numpy()

    def __deepcopy__(self, memo: dict[int, Any]) -> "SharedArray":
        copy = SharedArray(tuple(self._tensor.shape), self._tensor.dtype)
        copy.array[...] = self.array
        return copy

    def __getstate__(self) -> tuple[torch.Tensor]:
        return (self._tensor,)  # multiprocessing passes a shared tensor on by its handle

    def __setstate__(self, state: tuple[torch.Tensor]) -> None:
        (tensor,) = state
        if tensor.is_shared():
            self._tensor, self.array = tensor, tensor.numpy()
        else:  # not pickled by multiprocessing: a copy, to be shared with its own workers
            self.__init__(tuple(tensor.shape), tensor.dtype)  # type: ignore[misc]
            self.array[...] = tensor.numpy()


class FileArray:
    """An array, ``.array``, in a memory-mapped file that workers map as well.

    Until ``publish``, the file has a temporary name in the folder of ``path``. Raises ``OutputExistsError`` if ``path``
    exists, ``SaveError`` if the disk is full or not writable, before anything is mapped.
    """

    def __init__(self, shape: tuple[int, ...], path: str | Path, dtype: torch.dtype) -> None:
        check_new(path)
        self.path = resolve(path)
        empty: NDArray[Any] = torch.empty(0, dtype=dtype).numpy()
        self._shape, self._dtype = shape, empty.dtype
        sweep(self.path.parent)  # killed processes leave files of any size
        self._temporary = self.path.with_name(f".{temporary_name()}")
        nbytes = dtype.itemsize * int(np.prod(shape, dtype=np.int64))
        try:
            with open(self._temporary, "xb") as file:
                _reserve(file.fileno(), nbytes)
        except OSError as error:
            self.discard()
            raise SaveError(
                f"can't write the pool's {nbytes:,} bytes to {self.path} ({error.strerror or error}). "
                "Free some space, choose another path or a smaller size."
            ) from error
        self.array: NDArray[Any] = np.memmap(self._temporary, dtype=self._dtype, mode="r+", shape=shape)

    def publish(self) -> None:
        """Give the file its name."""
        with saving_to(self.path, "choose another path"):
            try:
                os.link(self._temporary, self.path)  # unlike a rename, it fails if the file exists
                self.discard()
            except FileExistsError as error:
                raise OutputExistsError(
                    f"{self.path} was created by another program while the pool was being filled, and is unchanged."
                ) from error
            except OSError:  # a file system without links
                check_new(self.path)
                os.replace(self._temporary, self.path)

    def discard(self) -> None:
        """Remove the temporary file."""
        self._temporary.unlink(missing_ok=True)

    def __getstate__(self) -> tuple[Path, tuple[int, ...], "np.dtype[Any]"]:
        return self.path, self._shape, self._dtype

    def __setstate__(self, state: tuple[Path, tuple[int, ...], "np.dtype[Any]"]) -> None:
        self.path, self._shape, self._dtype = state
        self.array = np.memmap(self.path, dtype=self._dtype, mode="r", shape=self._shape)


def check_new(path: str | Path) -> None:
    """Raises ``OutputExistsError`` if ``path`` exists."""
    path = resolve(path)
    if os.path.lexists(path):
        raise OutputExistsError(f"{path} exists already. Remove it or choose another path for the pool.")


def free_bytes(folder: str) -> int | None:
    """Free bytes in the file system of a folder; None if they can't be determined."""
    try:
        stats = os.statvfs(folder)
    except (AttributeError, OSError):  # Windows has no statvfs, macOS no /dev/shm
        return None
    return stats.f_bavail * stats.f_frsize


def _reserve(file: int, nbytes: int) -> None:
    """Allocate the disk space now: writing to a mapped hole on a full disk would kill the process."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file, 0, nbytes)
    else:
        os.truncate(file, nbytes)


def _too_small(nbytes: int, reason: str) -> str:
    return (
        f"the pool needs {nbytes:,} bytes of shared memory ({reason}). Use a smaller size (MixedDataset: "
        "max_pool_bytes=), a memory-mapped file (SamplePool: path=), or more shared memory (docker: --shm-size)."
    )
