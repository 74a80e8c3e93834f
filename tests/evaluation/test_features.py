import importlib
import sys
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from genaug.errors import InputError
from genaug.evaluation import Features, module_features
from genaug.evaluation.features import classifier_features, features_named
from genaug.nn.classifier import new_classifier

IMAGES = torch.randint(0, 256, (5, 1, 8, 8), generator=torch.Generator().manual_seed(0)).to(torch.uint8)


def test_pixels_are_bytes_and_large_images_are_averaged_down():
    pixels = features_named("pixels")
    assert torch.equal(pixels.of(IMAGES), IMAGES.flatten(1))
    assert not pixels.saw_data
    checkered = torch.zeros(2, 3, 64, 96, dtype=torch.uint8)
    checkered[:, :, ::2] = 200
    small = pixels.of(checkered)
    assert small.shape == (2, 3 * 21 * 32)
    assert int(small.min()) > 60


def test_a_module_sees_floats_and_is_named_by_its_weights():
    linear = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    features = features_named(linear)
    with torch.no_grad():
        assert torch.allclose(features.of(IMAGES), linear(IMAGES.float() / 255))
    assert features.saw_data, "it may have seen the data, so copies are looked for in pixels"
    before = features.description
    assert before.startswith("Sequential (weights ")
    assert module_features(linear).description == before
    with torch.no_grad():
        linear[1].bias[0] += 1
    assert module_features(linear).description != before
    assert module_features(linear, "mine").description == "mine"


def test_maps_are_flattened_and_batches_joined():
    features = Features("a map", lambda images: images.float().repeat(1, 2, 1, 1)).of(IMAGES.repeat(100, 1, 1, 1))
    assert features.shape == (500, 128)


def test_a_classifiers_penultimate_layer():
    model = new_classifier((1, 8, 8), 4, seed=0, width=4)
    features = classifier_features(model, "digits", IMAGES)
    unit_images = IMAGES.float() / 255
    with torch.inference_mode():
        raw = model.embed(unit_images)
    assert features.of(IMAGES).square().mean() == pytest.approx(1)
    torch.testing.assert_close(features.of(IMAGES), raw / raw.square().mean().sqrt())
    assert "trained on digits" in features.description


@pytest.mark.parametrize(
    ("extract", "message"),
    [
        (lambda images: images.float().mean(), "must be"),
        (lambda images: images[:2].flatten(1), "must be"),
        (lambda images: None, "NoneType"),
        (lambda images: images @ torch.zeros(3, 3), "can't be computed for images of shape"),
    ],
)
def test_anything_but_one_row_per_image_is_rejected(extract, message):
    with pytest.raises(InputError, match=message):
        Features("odd", extract).of(IMAGES)


@pytest.mark.parametrize("name", ["inceptoin", "timm:", 7, None])
def test_unknown_features_are_rejected(name):
    with pytest.raises(InputError, match="unknown features"):
        features_named(name)


class Small(nn.Module):
    """A stand-in for a pretrained timm model, whose weights tests can't download."""

    pretrained_cfg = {"input_size": (3, 16, 16), "mean": (0.5, 0.5, 0.5), "std": (0.25, 0.25, 0.25), "tag": "in1k"}  # noqa: RUF012

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, images):
        return images.mean((2, 3)) * self.scale


@pytest.mark.parametrize("channels", [1, 3])
def test_timm_models_get_images_as_in_their_training(monkeypatch, channels):
    timm = pytest.importorskip("timm")
    arguments = {}
    monkeypatch.setattr(timm, "create_model", lambda name, **options: arguments.update(options, name=name) or Small())
    features = features_named("timm:resnet18", "cpu")
    assert arguments == {"name": "resnet18", "pretrained": True, "num_classes": 0}, "never with random weights"
    assert features.description == "pooled features of timm's resnet18.in1k, images resized to 16x16"
    assert not features.saw_data
    level = torch.full((2, channels, 8, 8), 51, dtype=torch.uint8)
    assert torch.allclose(features.of(level), torch.full((2, 3), (0.2 - 0.5) / 0.25), atol=1e-5)
    with pytest.raises(InputError, match="4 channels"):
        features.of(torch.zeros(2, 4, 8, 8, dtype=torch.uint8))


@pytest.mark.parametrize("problem", [FileNotFoundError("no connection\nat all"), RuntimeError("Unknown model (x)")])
def test_timm_features_without_weights_are_rejected(monkeypatch, problem):
    timm = pytest.importorskip("timm")

    def fail(*_, **__):
        raise problem

    monkeypatch.setattr(timm, "create_model", fail)
    with pytest.raises(InputError, match=r"can't load a pretrained 'x'.*load the weights yourself"):
        features_named("timm:x")


def test_a_timm_model_without_pretrained_weights_is_rejected():
    pytest.importorskip("timm")
    with pytest.raises(InputError, match="can't load a pretrained 'test_vit2x'"):
        features_named("timm:test_vit2x")


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(InputError, match=r"genaug\[timm\]"):
        features_named("timm:resnet18")
    monkeypatch.setitem(sys.modules, "torch_fidelity", None)
    monkeypatch.setitem(sys.modules, "torch_fidelity.feature_extractor_inceptionv3", None)
    with pytest.raises(InputError, match=r"genaug\[inception\]"):
        features_named("inception")


@pytest.fixture
def torch_fidelity(monkeypatch, tmp_path):
    """A stand-in for the package, its weights in an empty torch.hub folder and no connection."""
    importlib.import_module("torchmetrics.image.fid")  # checks once whether the real package is installed

    package = SimpleNamespace(URL_INCEPTION_V3="https://nowhere.invalid/weights-1234.pth")
    monkeypatch.setitem(sys.modules, "torch_fidelity", SimpleNamespace())
    monkeypatch.setitem(sys.modules, "torch_fidelity.feature_extractor_inceptionv3", package)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))

    def fail(*_, **__):
        raise OSError("Name or service not known")

    monkeypatch.setattr(torch.hub, "download_url_to_file", fail)
    return tmp_path / "checkpoints" / "weights-1234.pth"


def test_inception_without_its_weights_says_where_they_belong(torch_fidelity):
    with pytest.raises(InputError, match=f"put it at {torch_fidelity}"):
        features_named("inception")


def test_a_file_of_inception_weights_with_anything_but_tensors_is_rejected(torch_fidelity, monkeypatch):
    from torchmetrics.image import fid

    class Network(nn.Module):
        def __init__(self, name, layers, path):
            super().__init__()
            assert (name, layers, path) == ("inception-v3-compat", ["2048"], str(torch_fidelity))
            self.weight = nn.Parameter(torch.ones(1))

        def forward(self, images):
            assert images.dtype == torch.uint8
            assert images.shape[1] == 3
            return images.float().mean((2, 3))

    monkeypatch.setattr(fid, "NoTrainInceptionV3", Network)
    torch_fidelity.parent.mkdir()
    torch.save(SimpleNamespace(code="anything"), torch_fidelity)
    with pytest.raises(InputError, match="UnpicklingError"):
        features_named("inception")
    torch.save({"weight": torch.ones(1)}, torch_fidelity)
    features = features_named("inception", "cpu")
    assert features.of(IMAGES).shape == (5, 3)
    assert "Inception" in features.description
