"""The features by which images are compared, with a description that is reported with every number.

An FID of 5 on one network's features says nothing about another's, and Inception's features say little about small
grayscale images.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genaug.device import pick_device
from genaug.errors import InputError
from genaug.modalities.image import to_float
from genaug.nn.classifier import SmallCNN

_BATCH = 256
_SCALED_BY = 2_000  # images from which the scale of a classifier's features is measured
_LARGEST_SIDE = 32  # pixels; larger images are averaged down before their pixels are compared


@dataclass(frozen=True)
class Features:
    """A network, or another function, that turns images into feature vectors.

    Args:
        description: what these features are, in words that let somebody else compute them.
        extract: takes uint8 images (N, C, H, W) on the CPU and returns features (N, d) or (N, ...), which are
            flattened.
        saw_data: whether the network was, or may have been, trained on the data to evaluate. The copying check then
            compares pixels instead, since such a network sets its training images apart from all others.
    """

    description: str
    extract: Callable[[Tensor], Tensor]
    saw_data: bool = True

    @torch.inference_mode()
    def of(self, images: Tensor) -> Tensor:
        """Features of uint8 images (N, C, H, W): float32 (N, d), or uint8 if ``extract`` returns uint8.

        Raises ``InputError`` if ``extract`` fails, or returns anything but one row per image.
        """
        rows = []
        for batch in images.split(_BATCH):
            try:
                features = self.extract(batch)
            except InputError:
                raise
            except Exception as error:
                raise InputError(
                    f"the features ({self.description}) can't be computed for images of shape "
                    f"{tuple(batch.shape[1:])}: {type(error).__name__}: {error}"
                ) from error
            if not isinstance(features, Tensor) or features.ndim < 2 or len(features) != len(batch):
                got = tuple(features.shape) if isinstance(features, Tensor) else type(features).__name__
                raise InputError(f"the features ({self.description}) of {len(batch)} images must be (N, d), got {got}.")
            rows.append(features.flatten(1).to("cpu", torch.uint8 if features.dtype == torch.uint8 else torch.float32))
        return torch.cat(rows)


def features_named(features: Any, device: str | torch.device | None = None) -> Features:
    """Features by name or object: ``"pixels"``, ``"timm:NAME"``, ``"inception"``, a module, or ``Features``.

    Raises ``InputError`` for anything else, and if a network's weights aren't available.
    """
    if isinstance(features, Features):
        return features
    if isinstance(features, nn.Module):
        return module_features(features)
    if features == "pixels":
        return pixel_features()
    if features == "inception":
        return inception_features(device)
    if isinstance(features, str) and features.startswith("timm:") and len(features) > len("timm:"):
        return timm_features(features.removeprefix("timm:"), device)
    raise InputError(
        f"unknown features {features!r}. Expected 'classifier' (trained on the same data), 'pixels', 'timm:NAME', "
        "'inception', a torch module that takes floats in [0, 1], or genaug.evaluation.Features."
    )


def pixel_features() -> Features:
    """The pixels themselves, uint8; larger images are first averaged down to a side of 32 pixels."""
    return Features(f"pixels, averaged down to at most {_LARGEST_SIDE}x{_LARGEST_SIDE}", _pixels, saw_data=False)


def _pixels(images: Tensor) -> Tensor:
    side = max(images.shape[2:])
    if side > _LARGEST_SIDE:
        height, width = (max(1, round(length * _LARGEST_SIDE / side)) for length in images.shape[2:])
        images = F.adaptive_avg_pool2d(images.float(), (height, width)).round().to(torch.uint8)
    return images.flatten(1)


def module_features(module: nn.Module, description: str | None = None, *, saw_data: bool = True) -> Features:
    """The output of a module that takes floats in [0, 1], (N, C, H, W), in evaluation mode and on its own device.

    The default description consists of its class and a hash of its weights.
    """
    description = description or f"{type(module).__name__} (weights {_fingerprint(module)})"
    device = next((t.device for t in module.state_dict().values()), torch.device("cpu"))

    def extract(images: Tensor) -> Tensor:
        training = module.training
        module.eval()
        try:
            return module(to_float(images).to(device))  # type: ignore[no-any-return]
        finally:
            module.train(training)

    return Features(description, extract, saw_data)


def _fingerprint(module: nn.Module) -> str:
    digest = hashlib.sha256()
    for name, tensor in module.state_dict().items():
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:12]


def classifier_features(model: SmallCNN, trained_on: str, images: Tensor) -> Features:
    """The penultimate layer of a small classifier; ``trained_on`` describes its training data.

    It is divided by its root mean square over the first of ``images``, uint8 (N, C, H, W): KID's kernel is cubic, and
    for large features its value depends on little but their norm.
    """
    device = next(model.parameters()).device
    raw = Features(
        f"penultimate layer of a small CNN trained on {trained_on}, scaled to a root mean square of 1",
        lambda images: model.embed(to_float(images).to(device)),
    )
    scale = float(raw.of(images[:_SCALED_BY]).square().mean().sqrt().clamp(min=torch.finfo(torch.float32).tiny))
    return Features(raw.description, lambda images: raw.extract(images) / scale)


def timm_features(name: str, device: str | torch.device | None = None) -> Features:
    """The pooled features of a pretrained timm model, on images resized and normalized as in its training.

    timm downloads the weights unless they are on this machine already. Grayscale images become RGB. Raises
    ``InputError`` if timm isn't installed, doesn't know the model, or has no weights for it: random weights are never
    used.
    """
    try:
        import timm
        from timm.data.config import resolve_data_config
    except ImportError as error:
        raise InputError(
            f"features 'timm:{name}' need timm, which isn't installed: pip install 'genaug[timm]'."
        ) from error
    try:
        model = timm.create_model(name, pretrained=True, num_classes=0).eval().to(pick_device(device))
    except Exception as error:
        raise InputError(
            f"timm can't load a pretrained {name!r} ({type(error).__name__}: {_first_line(error)}). Check the name "
            "with timm.list_models(pretrained=True); without a connection, load the weights yourself and pass the "
            "module as features=. Random weights are never used."
        ) from error
    config = resolve_data_config({}, model=model)
    mean, std = (torch.tensor(config[key]).view(-1, 1, 1) for key in ("mean", "std"))
    size = list(config["input_size"][1:])
    tag = (getattr(model, "pretrained_cfg", None) or {}).get("tag") or ""
    full_name = name if not tag or name.endswith(f".{tag}") else f"{name}.{tag}"

    def extract(images: Tensor) -> Tensor:
        unit = F.interpolate(to_float(as_rgb(images)), size, mode="bicubic", antialias=True).clamp(0, 1)
        return model(((unit - mean) / std).to(next(model.parameters()).device))  # type: ignore[no-any-return]

    return Features(
        f"pooled features of timm's {full_name}, images resized to {size[1]}x{size[0]}", extract, saw_data=False
    )


def inception_features(device: str | torch.device | None = None) -> Features:
    """The 2,048 features of the Inception network that FID is named after, in torch-fidelity's port.

    The weights are downloaded into torch.hub's folder unless they are there already. Raises ``InputError`` if
    torch-fidelity isn't installed or the weights aren't available.
    """
    try:
        from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3
        from torchmetrics.image.fid import NoTrainInceptionV3
    except ImportError as error:
        raise InputError(
            "features 'inception' need torch-fidelity, which isn't installed: pip install 'genaug[inception]'."
        ) from error
    weights = Path(torch.hub.get_dir()) / "checkpoints" / URL_INCEPTION_V3.rsplit("/", 1)[-1]
    try:
        if not weights.is_file():
            weights.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(URL_INCEPTION_V3, str(weights))
        # torch-fidelity unpickles the file, whatever it contains: accept only one that contains nothing but tensors.
        torch.load(weights, map_location="cpu", weights_only=True)
        network = NoTrainInceptionV3("inception-v3-compat", ["2048"], str(weights)).to(pick_device(device))
    except Exception as error:
        raise InputError(
            f"Inception's weights aren't available ({type(error).__name__}: {_first_line(error)}). Without a "
            f"connection, download {weights.name} from torch-fidelity's releases elsewhere and put it at {weights}."
        ) from error
    return Features(
        "Inception-v3 (FID's, torch-fidelity's port), 2,048 wide",
        lambda images: network(as_rgb(images).to(next(network.parameters()).device)),
        saw_data=False,
    )


def as_rgb(images: Tensor) -> Tensor:
    """Grayscale images as three equal channels; RGB unchanged. Raises ``InputError`` for other numbers of channels."""
    if images.shape[1] not in (1, 3):
        raise InputError(f"this network takes grayscale or RGB images, got {images.shape[1]} channels.")
    return images.expand(-1, 3, -1, -1)


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "no reason given").strip().rstrip(".")
