"""Arrays in shared memory and in mapped files, of any dtype that samples have."""

import copy
import multiprocessing
import pickle

import numpy as np
import pytest
import torch

from genaug.errors import InputError
from genaug.sources import shared
from genaug.sources.shared import FileArray, SharedArray

DTYPES = [torch.uint8, torch.float32, torch.int64]
VALUES = np.array([[0, 1, 2], [250, 251, 252]])


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_shared_array_holds_values_of_its_dtype(dtype):
    array = SharedArray((2, 3), dtype)
    assert array.array.dtype == torch.empty(0, dtype=dtype).numpy().dtype
    assert (array.array == 0).all()
    array.array[...] = VALUES / 4 if dtype.is_floating_point else VALUES
    for twin in (copy.deepcopy(array), pickle.loads(pickle.dumps(array))):
        assert twin.array.dtype == array.array.dtype
        assert np.array_equal(twin.array, array.array)
        twin.array[0, 0] = 9
        assert array.array[0, 0] == 0, "a copy has memory of its own"


def add_half(array):
    array.array[1, 2] += 0.5


def test_a_spawned_process_writes_floats_into_the_same_memory():
    array = SharedArray((2, 3), torch.float32)
    array.array[...] = VALUES
    process = torch.multiprocessing.get_context("spawn").Process(target=add_half, args=(array,))
    process.start()
    process.join(120)
    assert process.exitcode == 0
    assert array.array[1, 2] == 252.5
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_file_array_has_the_size_of_its_dtype_and_comes_back_read_only(tmp_path, dtype):
    path = tmp_path / "pool.bin"
    array = FileArray((2, 3), path, dtype)
    array.array[...] = VALUES / 4 if dtype.is_floating_point else VALUES
    assert not path.exists()
    array.publish()
    assert [file.name for file in tmp_path.iterdir()] == ["pool.bin"]
    assert path.stat().st_size == 6 * dtype.itemsize
    twin = pickle.loads(pickle.dumps(array))
    assert twin.array.dtype == array.array.dtype
    assert np.array_equal(twin.array, array.array)
    with pytest.raises(ValueError, match="read-only"):
        twin.array[0, 0] = 1


def test_room_is_counted_in_bytes_of_the_dtype(monkeypatch):
    monkeypatch.setattr(shared, "free_bytes", lambda folder: 30)
    SharedArray((30,), torch.uint8)
    with pytest.raises(InputError, match="needs 120 bytes of shared memory"):
        SharedArray((30,), torch.float32)
