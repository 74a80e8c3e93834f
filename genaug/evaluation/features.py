"""What images are compared by: features, with a sentence that says whose, which travels with every number.

A Fréchet distance of 5 on one network's features says nothing about another's, and Inception's say little about small
grey images.
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
_SCALED_BY = 2_000  # images that tell how large a classifier's features are
_LARGEST_SIDE = 32  # pixels: beyond it, images are averaged down before their pixels are compared


@dataclass(frozen=True)
class Features:
    """A network, or another function, that turns images into rows of numbers.

    Args:
        description: whose features these are, in words that let somebody else compute them.
        extract: takes uint8 images (N, C, H, W) on the CPU and gives features (N, d) or (N, ...), which is flattened.
        saw_data: whether it was, or may have been, trained on the data that it is to judge. Copies are then looked for
            in pixels, since such a network places its training images apart from all others.
    """

    description: str
    extract: Callable[[Tensor], Tensor]
    saw_data: bool = True

    @torch.inference_mode()
    def of(self, images: Tensor) -> Tensor:
        """Features of uint8 images (N, C, H, W): float32 (N, d), or uint8 where ``extract`` gives bytes.

        Raises ``InputError`` where ``extract`` fails, or gives something other than a row for each image.
        """
        rows = []
        for part in images.split(_BATCH):
            try:
                found = self.extract(part)
            except InputError:
                raise
            except Exception as error:
                raise InputError(
                    f"the features ({self.description}) can't be computed for images of shape "
                    f"{tuple(part.shape[1:])}: {type(error).__name__}: {error}"
                ) from error
            if not isinstance(found, Tensor) or found.ndim < 2 or len(found) != len(part):
                got = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
                raise InputError(f"the features ({self.description}) of {len(part)} images must be (N, d), got {got}.")
            found = found.flatten(1).cpu()
            rows.append(found if found.dtype == torch.uint8 else found.float())
        return torch.cat(rows)


def features_named(wanted: Any, device: str | torch.device | None = None) -> Features:
    """Features from what a user names: ``"pixels"``, ``"timm:NAME"``, ``"inception"``, a module, or ``Features``.

    Raises ``InputError`` for anything else, and where a network's weights can't be had.
    """
    if isinstance(wanted, Features):
        return wanted
    if isinstance(wanted, nn.Module):
        return module_features(wanted)
    if wanted == "pixels":
        return pixel_features()
    if wanted == "inception":
        return inception_features(device)
    if isinstance(wanted, str) and wanted.startswith("timm:") and len(wanted) > len("timm:"):
        return timm_features(wanted.removeprefix("timm:"), device)
    raise InputError(
        f"unknown features {wanted!r}. Expected 'classifier' (trained on the same data), 'pixels', 'timm:NAME', "
        "'inception', a torch module that takes floats in [0, 1], or genaug.evaluation.Features."
    )


def pixel_features() -> Features:
    """The pixels themselves, as bytes; images larger than 32 pixels are averaged down to that first."""
    return Features(f"pixels, averaged down to at most {_LARGEST_SIDE}x{_LARGEST_SIDE}", _pixels, saw_data=False)


def _pixels(images: Tensor) -> Tensor:
    side = max(images.shape[2:])
    if side > _LARGEST_SIDE:
        height, width = (max(1, round(length * _LARGEST_SIDE / side)) for length in images.shape[2:])
        images = F.adaptive_avg_pool2d(images.float(), (height, width)).round().to(torch.uint8)
    return images.flatten(1)


def module_features(module: nn.Module, description: str | None = None, *, saw_data: bool = True) -> Features:
    """The output of a module, in evaluation mode and on its own device, that takes floats in [0, 1], (N, C, H, W).

    Without a description it is named by its class and a hash of its weights.
    """
    if description is None:
        description = f"{type(module).__name__} (weights {_fingerprint(module)})"
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
    """The penultimate layer of a small classifier; ``trained_on`` says on what, in words.

    It is divided by its root mean square over the first of ``images``, uint8 (N, C, H, W): KID's kernel is cubic, and
    on large features it tells little but their norm.
    """
    device = next(model.parameters()).device
    raw = Features(
        f"penultimate layer of a small CNN trained on {trained_on}, scaled to a root mean square of 1",
        lambda images: model.embed(to_float(images).to(device)),
    )
    size = float(raw.of(images[:_SCALED_BY]).square().mean().sqrt().clamp(min=torch.finfo(torch.float32).tiny))
    return Features(raw.description, lambda images: raw.extract(images) / size)


def timm_features(name: str, device: str | torch.device | None = None) -> Features:
    """The pooled features of a pretrained timm model, on images resized and normalised as it was trained with.

    timm fetches the weights where they aren't on this machine yet. Grey images become RGB. Raises ``InputError``
    where timm isn't installed, doesn't know the model, or has no weights for it: random weights are never used.
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
            f"timm can't give a pretrained {name!r} ({type(error).__name__}: {_first_line(error)}). Check the name "
            "with timm.list_models(pretrained=True); where there is no connection, load the weights yourself and pass "
            "the module as features=. Random weights are never used."
        ) from error
    expected = resolve_data_config({}, model=model)
    mean, std = (torch.tensor(expected[key]).view(-1, 1, 1) for key in ("mean", "std"))
    size = list(expected["input_size"][1:])
    place = next(model.parameters()).device
    tag = (getattr(model, "pretrained_cfg", None) or {}).get("tag") or ""
    called = name if not tag or name.endswith(f".{tag}") else f"{name}.{tag}"

    def extract(images: Tensor) -> Tensor:
        unit = F.interpolate(to_float(as_rgb(images)), size, mode="bicubic", antialias=True).clamp(0, 1)
        return model(((unit - mean) / std).to(place))  # type: ignore[no-any-return]

    return Features(
        f"pooled features of timm's {called}, images resized to {size[1]}x{size[0]}", extract, saw_data=False
    )


def inception_features(device: str | torch.device | None = None) -> Features:
    """The 2,048 features of the Inception network that FID is named after, in torch-fidelity's port.

    The weights are looked for in torch.hub's folder and fetched into it where they aren't there. Raises ``InputError``
    where torch-fidelity isn't installed or the weights can't be had.
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
        # torch-fidelity unpickles whatever the file holds: let only one through that is nothing but tensors.
        torch.load(weights, map_location="cpu", weights_only=True)
        network = NoTrainInceptionV3("inception-v3-compat", ["2048"], str(weights)).to(pick_device(device))
    except Exception as error:
        raise InputError(
            f"Inception's weights can't be had ({type(error).__name__}: {_first_line(error)}). Where there is no "
            f"connection, fetch {weights.name} of torch-fidelity's releases elsewhere and put it at {weights}."
        ) from error
    place = next(network.parameters()).device
    return Features(
        "Inception-v3 (FID's, torch-fidelity's port), 2,048 wide",
        lambda images: network(as_rgb(images).to(place)),
        saw_data=False,
    )


def as_rgb(images: Tensor) -> Tensor:
    """Grey images as three equal channels; RGB as it is. Raises ``InputError`` for other numbers of channels."""
    if images.shape[1] == 1:
        return images.expand(-1, 3, -1, -1)
    if images.shape[1] == 3:
        return images
    raise InputError(f"this network takes grey or RGB images, got {images.shape[1]} channels.")


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "no reason given").strip().rstrip(".")
