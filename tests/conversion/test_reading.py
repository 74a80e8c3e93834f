"""Well-formed files are read exactly, in every form that PyTorch and Python write."""

import io
import pickle
from collections import OrderedDict

import numpy as np
import pytest
import torch
from helpers.snapshots import EasyDict, make_generator, published_names, snapshot
from torch import nn

from genaug.conversion.contents import read
from genaug.conversion.listing import LINES, sections
from genaug.conversion.weights import as_torch
from genaug.errors import FormatError

DTYPES = (torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.complex64)
DTYPES += (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.bool)


def tensors_of(network):
    return {name: as_torch(tensor) for name, tensor in network.tensors.items()}


def assert_same(tensors, expected):
    assert list(tensors) == list(expected)
    for name, tensor in expected.items():
        assert tensors[name].dtype == tensor.dtype
        assert torch.equal(tensors[name], tensor), name


@pytest.fixture
def network():
    torch.manual_seed(0)
    shared = nn.Conv2d(3, 4, 3)
    return nn.Sequential(OrderedDict(first=shared, norm=nn.BatchNorm2d(4), rest=nn.Sequential(nn.Linear(3, 2))))


@pytest.mark.parametrize("zipped", [True, False])
def test_state_dicts_are_read_bit_for_bit(zipped, network, tmp_path):
    file = tmp_path / "a.pth"
    torch.save({"epoch": 3, "model": network.state_dict()}, file, _use_new_zipfile_serialization=zipped)
    contents = read(file)
    assert contents.others == {"epoch": 3}
    assert [part.name for part in contents.networks] == ["model"]
    assert_same(tensors_of(contents.networks[0]), network.state_dict())


@pytest.mark.parametrize("zipped", [True, False])
def test_every_dtype_stride_and_shape_is_read(zipped, tmp_path):
    base = torch.arange(24.0)
    tensors = {str(dtype): base.to(dtype).reshape(2, 3, 4) for dtype in DTYPES}
    tensors |= {"transposed": base.reshape(4, 6).t(), "part": base[5:9], "columns": base.reshape(4, 6)[:, ::2]}
    tensors |= {"scalar": torch.tensor(2.5), "empty": torch.empty(0, 3), "parameter": nn.Parameter(base)}
    torch.save(tensors, tmp_path / "a.pt", _use_new_zipfile_serialization=zipped)
    assert_same(tensors_of(read(tmp_path / "a.pt").networks[0]), tensors)


@pytest.mark.parametrize("protocol", range(2, 6))
def test_live_modules_are_read_in_every_protocol(protocol, network, tmp_path):
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(network, protocol))
    (read_network,) = read(tmp_path / "a.pkl").networks
    assert read_network.class_name == "torch.nn.modules.container.Sequential"
    assert read_network.modules["rest.0"] == "torch.nn.modules.linear.Linear"
    assert_same(tensors_of(read_network), network.state_dict())


def test_buffers_that_a_state_dict_leaves_out_are_left_out(tmp_path):
    network = nn.Linear(2, 2)
    network.register_buffer("scratch", torch.ones(1), persistent=False)
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(network))
    assert set(read(tmp_path / "a.pkl").networks[0].tensors) == {"weight", "bias"}


@pytest.mark.parametrize("protocol", range(2, 6))
def test_plain_values_and_arrays_are_read(protocol, tmp_path):
    array = np.asfortranarray(np.arange(6, dtype=np.int16).reshape(2, 3))
    values = {"array": array, "number": np.float32(0.5), "list": [1, -(2**70), 0.5, None, True], "set": {"a"}}
    values |= {
        "text": "é" * 300,
        "tuple": ((1, 2), "x"),
        "bytes": b"abc",
        "dtype": torch.float16,
        "size": torch.Size([2]),
    }
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(values, protocol))
    others = read(tmp_path / "a.pkl").others
    assert torch.equal(as_torch(others["array"].state), torch.from_numpy(array.copy()))
    assert bytes(others["bytes"]) == b"abc"
    assert others["dtype"].path == "torch.float16"
    assert others["size"] == (2,)
    for name in ("number", "list", "set", "text", "tuple"):
        assert others[name] == values[name]


@pytest.mark.parametrize("source", [None, "import os\nos.abort()\n"])
def test_a_snapshot_is_listed_with_its_networks_arguments_and_other_entries(source, tmp_path):
    generator = make_generator()
    (tmp_path / "a.pkl").write_bytes(snapshot(generator, source=source))
    contents = read(tmp_path / "a.pkl")
    networks = {network.name: network for network in contents.networks}
    assert list(networks) == ["G", "D", "G_ema"]
    assert_same(tensors_of(networks["G_ema"]), generator.state_dict())
    assert networks["G"].class_name == ("training.networks.Generator" if source is None else "Generator")
    assert networks["G"].init["WidthPerStage"] == [12, 12, 6]
    assert networks["G"].attributes["z_dim"] == 8
    assert contents.others["cur_nimg"] == 1000
    assert contents.others["training_set_kwargs"] == EasyDict(path="x.zip", use_labels=True)


def test_long_listings_are_shortened(tmp_path):
    tensors = {f"layer{i}.{'x' * 150}": torch.ones(2) for i in range(100)}
    torch.save({"model": tensors, **{f"entry{i}": ["y" * 100] * 100 for i in range(50)}}, tmp_path / "a.pth")
    for _, head, rows in sections(read(tmp_path / "a.pth")):
        assert len(rows) <= LINES
        assert all(len(row) == len(head) and len(cell) <= 125 for row in rows for cell in row)
        if len(rows) == LINES:
            assert "more" in rows[-1][0]


def test_modules_that_contain_each_other_are_listed_once(tmp_path):
    with published_names():
        outer = nn.Sequential(nn.Linear(2, 2))
        outer.again, outer[0].up = outer[0], nn.Identity()
        outer[0].up._modules["back"] = outer
        content = pickle.dumps(outer)
    (tmp_path / "a.pkl").write_bytes(content)
    assert set(read(tmp_path / "a.pkl").networks[0].tensors) == {"0.weight", "0.bias"}


def test_modules_nested_too_deeply_are_rejected(tmp_path):
    network = nn.Identity()
    for _ in range(120):
        network = nn.Sequential(network)
    file = io.BytesIO()
    pickle.dump(network, file)
    (tmp_path / "a.pkl").write_bytes(file.getvalue())
    with pytest.raises(FormatError, match="nested"):
        read(tmp_path / "a.pkl")
