"""Settings of torch, NumPy and the console outside the call don't affect training."""

import contextlib
import io
import sys

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

import genaug
from genaug.data.datasets import load_data
from genaug.data.reading import read_samples
from genaug.device import torch_defaults
from genaug.errors import InputError
from genaug.progress import Progress


@pytest.fixture
def fit(tiny_config, tiny_set):
    def run(out, dataset=None):
        settings = {"config": tiny_config, "batch_size": 8, "device": "cpu", "precision": "float32", "progress": False}
        return genaug.fit("cgan", tiny_set if dataset is None else dataset, out=out, steps=3, **settings)

    return run


@pytest.fixture(scope="module")
def reference(tmp_path_factory, tiny_set, tiny_config):
    out = tmp_path_factory.mktemp("surroundings") / "run"
    settings = {"config": tiny_config, "batch_size": 8, "device": "cpu", "precision": "float32", "progress": False}
    genaug.fit("cgan", tiny_set, out=out, steps=3, **settings)
    return (out / "model.safetensors").read_bytes()


@contextlib.contextmanager
def default_dtype(dtype):
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


SURROUNDINGS = {
    "float64": lambda: default_dtype(torch.float64),
    "bfloat16": lambda: default_dtype(torch.bfloat16),
    "device": lambda: torch.device("meta"),
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
}


@pytest.mark.parametrize("name", SURROUNDINGS)
def test_training_gives_the_same_weights(fit, tmp_path, reference, name):
    with SURROUNDINGS[name]():
        before = torch.get_default_dtype(), torch.get_default_device(), torch.is_grad_enabled()
        fit(tmp_path / "run")
        assert (torch.get_default_dtype(), torch.get_default_device(), torch.is_grad_enabled()) == before
    assert (tmp_path / "run" / "model.safetensors").read_bytes() == reference


def test_an_error_leaves_the_settings_unchanged():
    with default_dtype(torch.float64):
        with contextlib.suppress(ZeroDivisionError), torch_defaults():
            assert torch.zeros(1).dtype == torch.float32
            raise ZeroDivisionError
        assert torch.get_default_dtype() == torch.float64


@pytest.mark.parametrize("dtype", ["|u1", ">f4", ">f8", "<f4"])
def test_arrays_of_any_byte_order(dtype):
    pixels = np.arange(16).reshape(4, 4)
    images = [(pixels if dtype == "|u1" else pixels / 255).astype(dtype)] * 3
    labels = np.array([2, 0, 1], ">i8")
    data = read_samples([(image, labels[index : index + 1].reshape(())) for index, image in enumerate(images)])
    assert data.x[2, 0].tolist() == pixels.tolist()
    assert data.labels.tolist() == [2, 0, 1]


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        ("folder:photos", r"got 'folder:photos'. genaug.data.datasets.load_data\('folder:photos'\) reads it"),
        ("digits", r"load_data\('digits'\) reads it"),
        ("photos", r"load_data\('folder:photos'\) reads it"),
    ],
)
def test_a_name_instead_of_a_dataset(tmp_path, dataset, message):
    with pytest.raises(InputError, match=message):
        genaug.fit("cgan", dataset, out=tmp_path / "run", steps=1)
    assert not (tmp_path / "run").exists()


def test_a_loader_instead_of_a_dataset(tmp_path, tiny_set):
    with pytest.raises(InputError, match=r"got a DataLoader. Pass its .dataset"):
        genaug.fit("cgan", DataLoader(tiny_set), out=tmp_path / "run", steps=1)


def test_a_dataset_instead_of_a_backend(tmp_path):
    with pytest.raises(InputError, match=r"is of type Digits. Expected the name .*The dataset comes second"):
        genaug.fit(load_data("digits"), "cgan", out=tmp_path / "run", steps=1)
    assert not (tmp_path / "run").exists()


class Broken(io.StringIO):
    def write(self, text):
        raise BrokenPipeError


def closed():
    stream = io.StringIO()
    stream.close()
    return stream


@pytest.mark.parametrize("stderr", [lambda: None, closed, Broken], ids=["none", "closed", "broken"])
def test_progress_without_a_stream_is_not_an_error(monkeypatch, stderr):
    monkeypatch.setattr(sys, "stderr", stderr())
    with Progress("training", 2) as progress:
        progress.advance()
        progress.tell("step 1", now=True)
        progress.say("a line")


def test_progress_on_a_stream_that_cannot_encode_it(monkeypatch):
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(written, "cp1252"))
    with Progress("training", 2) as progress:
        progress.say("no image of class 'Łoś'")
    assert written.getvalue() == b"no image of class '\\u0141o\\u015b'\n"
