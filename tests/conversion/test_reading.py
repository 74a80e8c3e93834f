"""Well-formed files are read exactly, in every form that PyTorch and Python write."""

import gzip
import io
import lzma
import pickle
import tarfile
import time
import warnings
import zipfile
from collections import OrderedDict

import numpy as np
import pytest
import torch
from helpers.snapshots import EasyDict, make_generator, published_names, snapshot
from safetensors.torch import save as safetensors_bytes
from torch import nn

from genaug.conversion.contents import read
from genaug.conversion.listing import LINES, sections
from genaug.conversion.weights import as_torch
from genaug.errors import FormatError

DTYPES = (torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.complex64)
DTYPES += (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.bool)


FOREIGN = {
    "Git LFS": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n",
        "is a pointer of Git LFS",
    ),
    "HTML": (b"<!DOCTYPE html>\n<html><body>Sign in</body></html>", r"is a web page.*download the file itself"),
    "HTML after a blank line": (b"\xef\xbb\xbf\r\n  <HTML lang=en>", "is a web page"),
    "XML": (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "is a web page"),
    "JSON": (b'{"error": "Repository not found"}', "is a JSON file"),
    "safetensors": (safetensors_bytes({"x": torch.ones(3)}), "is a safetensors file, which convert"),
    "a server's message": (
        b"Entry not found",
        "is a text that begins with 'Entry not found', perhaps a server's error",
    ),
    "a text": (b"import torch\nprint(1)\n", "is a text"),
    "HDF5": (b"\x89HDF\r\n\x1a\n" + bytes(20), "is an HDF5 file"),
    "gzip": (gzip.compress(b"x"), "is compressed. Unpack it first"),
    "xz": (lzma.compress(b"x"), "is compressed. Unpack it first"),
    "PNG": (b"\x89PNG\r\n\x1a\n", "is a picture"),
}


@pytest.mark.parametrize("name", FOREIGN)
@pytest.mark.parametrize("ending", [".pkl", ".pth", ".bin"])
def test_a_file_of_another_kind_is_named_with_what_to_do(name, ending, tmp_path):
    content, words = FOREIGN[name]
    file = tmp_path / f"network{ending}"
    file.write_bytes(content)
    with pytest.raises(FormatError, match=words) as error:
        read(file)
    assert str(error.value).startswith(f"{file} is ")


def zip_of(**options):
    def save(file):
        with zipfile.ZipFile(file, "w", **options) as archive:
            archive.writestr("runs/network.pkl", b"x")

    return save


def tar(file):
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("network.pkl"))


def torchscript(file):
    torch.jit.save(torch.jit.trace(nn.Linear(2, 2), torch.ones(1, 2)), file)


@pytest.mark.parametrize(
    ("save", "words"),
    [
        (lambda file: np.save(file, np.ones(3)), r"is an array of NumPy \(\.npy\)"),
        (lambda file: np.savez(file, x=np.ones(3)), r"it is an \.npz file of NumPy"),
        (lambda file: np.savez_compressed(file, x=np.ones(3)), r"it is an \.npz file of NumPy"),
        (torchscript, "it is a TorchScript program"),
        (zip_of(), "have to be unpacked first"),
        (zip_of(compression=zipfile.ZIP_DEFLATED), "have to be unpacked first"),
        (tar, "is a tar archive"),
    ],
)
def test_files_of_other_libraries_are_named(save, words, tmp_path):
    with open(tmp_path / "a.pkl", "wb") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        save(file)
    with pytest.raises(FormatError, match=words):
        read(tmp_path / "a.pkl")


@pytest.mark.parametrize(
    ("value", "kind"), [(3, "int"), ([1], "list"), ("x", "str"), (None, "NoneType"), (1.5, "float")]
)
def test_a_file_with_another_content_names_its_type(value, kind, tmp_path):
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(value))
    with pytest.raises(FormatError, match=f"its content is of the type {kind}, not a network or a dict of tensors"):
        read(tmp_path / "a.pkl")


def test_networks_in_dicts_within_dicts_are_found_and_optimizers_are_not_networks(network, tmp_path):
    optimizer = torch.optim.Adam(network.parameters())
    network[:2](torch.ones(1, 3, 4, 4)).sum().backward()
    optimizer.step()
    content = {"model": {"G_ema": network.state_dict(), "steps": 3}, "D": {"a": {"net": network.state_dict()}}}
    content |= {"optimizers": {"G": optimizer.state_dict()}, "epoch": 7, "args": {"lr": 0.1, "names": {"x": 1}}}
    torch.save(content, tmp_path / "a.pth")
    contents = read(tmp_path / "a.pth")
    assert [part.name for part in contents.networks] == ["model.G_ema", "D.a.net"]
    assert set(contents.others) == {"model.steps", "optimizers", "epoch", "args"}
    for part in contents.networks:
        assert_same(tensors_of(part), network.state_dict())


def test_dicts_that_contain_themselves_or_are_shared_or_nested_deeply_are_read(tmp_path):
    shared = {f"x{i}": i for i in range(20_000)}
    looped = {"w": torch.ones(2), "again": None, "shared": [{"s": shared, "i": i} for i in range(3000)]}
    looped["again"] = looped
    deep = looped
    for _ in range(150):
        deep = {"in": deep, "own": {"w": torch.zeros(1)}}
    torch.save({"top": deep, "loop": looped}, tmp_path / "a.pth", pickle_protocol=4)
    start = time.process_time()
    contents = read(tmp_path / "a.pth")
    assert time.process_time() - start < 1
    names = [part.name for part in contents.networks]
    assert names[0] == "top.own" or "top.own" in names
    assert "loop" in names


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
