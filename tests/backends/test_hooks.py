"""Plugins add kinds of sources and of datasets, by the name before a colon."""

import sys

import pytest
import torch
from helpers.plugin import installed
from typer.testing import CliRunner

import genaug
from genaug.backends.registry import discover
from genaug.cli import app
from genaug.data import load_data
from genaug.errors import FormatError, InputError, PluginError

PLUGIN = """
    from genaug import hookimpl

    @hookimpl
    def genaug_register_sources(register):
        register("noise", "genaug_odds.parts:noise", summary="noise of a size")
        register("broken", "genaug_odds.parts:absent")
        register("failing", "genaug_odds.parts:failing")
        register("strange", "genaug_odds.parts:strange")

    @hookimpl
    def genaug_register_datasets(register):
        register("stripes", "genaug_odds.parts:stripes", summary="striped images")
"""
PARTS = """
    import torch
    from torch.utils.data import TensorDataset
    from genaug.backends import Spec
    from genaug.modalities import Image

    class Noise:
        def __init__(self, side, scale, device):
            self.spec, self.scale, self.device = Spec(sample=Image(1, side, side), classes=2), scale, device

        def sample(self, n=None, *, labels=None, seed=None):
            labels = torch.arange(n) % 2 if labels is None else labels
            drawn = torch.Generator().manual_seed(seed or 0)
            return (self.scale * torch.rand(len(labels), *self.spec.shape, generator=drawn)).byte(), labels

    def noise(rest, *, device=None, scale=255, revision=None):
        return Noise(int(rest), scale, device)

    def strange(rest, *, device=None):
        return "no source"

    def failing(rest, *, device=None):
        return len(5)

    def stripes(rest, *, split, root):
        count = int(rest) if split == "train" else 4
        images = torch.zeros(count, 1, 8, 8, dtype=torch.uint8)
        images[1::2, :, ::2] = 255
        return TensorDataset(images, torch.arange(count) % 2)
"""


@pytest.fixture(autouse=True)
def plugin(tmp_path, monkeypatch):
    """An installed package with a source and a dataset."""
    with installed(tmp_path, monkeypatch, PLUGIN, PARTS):
        yield


def test_a_source_is_loaded_by_its_scheme_and_blended():
    source = genaug.load("noise:8", scale=100, device="cpu")
    assert source.sample(5, seed=0)[0].max() < 100
    assert source.device == "cpu"
    real = load_data("stripes:40")
    mixed = genaug.MixedDataset(real, source, ratio=0.5)
    assert len(mixed) == 80


def test_what_a_scheme_cannot_do_is_one_sentence():
    with pytest.raises(InputError, match=r"noise:… doesn't accept these options: .*'size'"):
        genaug.load("noise:8", size=3)
    with pytest.raises(PluginError, match=r"source 'broken' of genaug-odds 1.0 .*no attribute 'absent'"):
        genaug.load("broken:x")
    with pytest.raises(PluginError, match=r"source 'failing' of genaug-odds 1.0 failed for 'x' \(TypeError: .*len"):
        genaug.load("failing:x")
    with pytest.raises(PluginError, match=r"dataset 'stripes' of genaug-odds 1.0 failed for 'many' \(ValueError"):
        load_data("stripes:many")
    with pytest.raises(InputError, match="must be an object with spec and sample"):
        genaug.load("strange:x")
    with pytest.raises(FormatError, match=r"nonesuch:x is not a directory.*Hub id.*noise:…"):
        genaug.load("nonesuch:x")
    with pytest.raises(InputError, match="no option 'scale'"):
        genaug.load("owner/name", scale=3)


def test_a_dataset_is_read_by_its_name(tmp_path):
    assert len(load_data("stripes:40", split="test")) == 4
    out = tmp_path / "run"
    small = ["--set", "width=4", "--set", "max_width=8", "--set", "latent_size=4", "--device", "cpu"]
    result = CliRunner().invoke(
        app, ["train", "cgan", "--data", "stripes:20", "--steps", "1", "--out", str(out), *small]
    )
    assert result.exit_code == 0, result.output
    assert genaug.load(out, device="cpu").spec.num_classes == 2


def test_they_are_listed():
    found = discover()
    assert found.sources["noise"].summary == "noise of a size"
    assert found.datasets["stripes"].distribution == "genaug-odds"
    text = CliRunner().invoke(app, ["plugins"]).output
    assert "noise of a size" in text
    assert "striped images" in text
    assert "genaug_odds.parts" not in sys.modules


def test_a_source_serves_the_commands(tmp_path):
    out = tmp_path / "samples"
    result = CliRunner().invoke(app, ["sample", "noise:8", "--n", "4", "--out", str(out), "--device", "cpu"])
    assert result.exit_code == 0, result.output
    assert len(list(out.rglob("*.png"))) == 4


def test_its_samples_are_reproducible():
    source = genaug.load("noise:8")
    assert torch.equal(source.sample(4, seed=1)[0], source.sample(4, seed=1)[0])
