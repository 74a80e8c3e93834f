"""Which dtype networks run in."""

import pytest
import torch

import genaug
from genaug import device as devices
from genaug.data import SeriesDataset
from genaug.errors import InputError
from genaug.modalities import Image, Series

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.fixture
def gaining(monkeypatch):
    """A machine on which bfloat16 is faster."""
    monkeypatch.setattr(devices, "_gains_from_bfloat16", lambda device_type: True)


@pytest.mark.usefixtures("gaining")
def test_by_default_only_images_are_computed_in_bfloat16():
    assert devices.compute_dtype("auto", CPU, Image.in_bfloat16) == torch.bfloat16
    assert devices.compute_dtype("auto", CUDA, Series.in_bfloat16) == torch.float32
    assert devices.compute_dtype("bfloat16", CPU, Series.in_bfloat16) == torch.bfloat16, "as requested"


@pytest.mark.parametrize("in_bfloat16", [Image.in_bfloat16, Series.in_bfloat16])
def test_a_precision_may_be_requested(in_bfloat16):
    assert devices.compute_dtype("float32", CPU, in_bfloat16) == torch.float32
    with pytest.raises(InputError, match="precision must be one of auto, float32, bfloat16, got 'half'"):
        devices.compute_dtype("half", CPU, in_bfloat16)


@pytest.mark.parametrize(("capabilities", "dtype"), [({"amx_bf16": True}, torch.bfloat16), ({}, torch.float32)])
def test_a_processor_gains_from_bfloat16_with_amx(monkeypatch, capabilities, dtype):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    devices._gains_from_bfloat16.cache_clear()
    assert devices.compute_dtype("auto", CPU, Image.in_bfloat16) == dtype
    devices._gains_from_bfloat16.cache_clear()


@pytest.mark.parametrize("supported", [True, False])
def test_a_gpu_gains_from_bfloat16_that_it_has(monkeypatch, supported):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: supported)
    devices._gains_from_bfloat16.cache_clear()
    expected = torch.bfloat16 if supported else torch.float32
    assert devices.compute_dtype("auto", CUDA, Image.in_bfloat16) == expected
    devices._gains_from_bfloat16.cache_clear()


@pytest.mark.usefixtures("gaining")
def test_a_run_has_the_precision_of_its_data(tmp_path, monkeypatch):
    seen = {}
    monkeypatch.setattr("genaug.training.fit.Trainer", lambda *_, dtype, **__: seen.update(dtype=dtype) or 1 / 0)
    series = SeriesDataset(torch.randn(20, 2, 16), torch.arange(20) % 2)
    images = [(torch.rand(1, 8, 8), index % 2) for index in range(20)]
    for data, backend, expected in ((series, "timevae", torch.float32), (images, "cgan", torch.bfloat16)):
        with pytest.raises(ZeroDivisionError):
            genaug.fit(backend, data, out=tmp_path / backend, steps=1, device="cpu", progress=False)
        assert seen == {"dtype": expected}
