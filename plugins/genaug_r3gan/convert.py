"""Snapshots of the paper's authors (https://github.com/brownvc/R3GAN) as generators of this backend."""

import re
from collections.abc import Iterator, Mapping
from itertools import count

import torch

from genaug.backends.spec import Spec
from genaug.conversion.contents import Contents, Network
from genaug.conversion.converters import Conversion
from genaug.conversion.values import Tensor
from genaug.conversion.weights import as_torch
from genaug.errors import InputError
from genaug.modalities.image import Image

_FIRST = "MainLayers.0.Layers.0.Basis"
_BLOCK = {
    "LinearLayer1.Layer.weight": "expand.weight",
    "NonLinearity1.Bias": "expand.bias",
    "LinearLayer2.Layer.weight": "grouped.weight",
    "NonLinearity2.Bias": "grouped.bias",
    "LinearLayer3.Layer.weight": "reduce.weight",
}
_TRANSITION = {"Basis": "maps", "LinearLayer.weight": "project.weight", "LinearLayer.Layer.weight": "conv.weight"}
_ENDS = {"AggregationLayer.Layer.weight": "image.weight", "EmbeddingLayer.weight": "embed.weight"}
_LAYER = re.compile(r"MainLayers\.(\d{1,3})\.Layers\.(\d{1,3})\.(.+)", re.ASCII)
_KERNEL = "Resampler.Kernel"


def convert(contents: Contents) -> Conversion | None:
    """The generator of a snapshot, the averaged one if there is one; None if the file holds no generator of R3GAN.

    Everything follows from the shapes of the tensors, so a state dict of the generator does as well. Raises
    ``InputError`` if the generator's form isn't one that the options of this backend describe.
    """
    generators = [place for network in contents.networks for place in _places(network)]
    if not generators:
        return None
    name, network, prefix = min(generators, key=lambda place: _rank(place[0]))
    tensors = {n.removeprefix(prefix): tensor for n, tensor in network.tensors.items() if n.startswith(prefix)}
    return _conversion(name, tensors, str(contents.path))


def _places(network: Network) -> Iterator[tuple[str, Network, str]]:
    """The generators in a network: their names, and the prefix of their tensors, from the modules around them."""
    for tensor in network.tensors:
        prefix = tensor.removesuffix(_FIRST)
        if prefix != tensor and (prefix == "" or prefix.endswith(".")):
            yield f"{network.name}.{prefix}".removesuffix("Model.").strip("."), network, prefix


def _rank(name: str) -> tuple[bool, bool, int]:
    """Averaged generators first, then those called G, then those nearest to the top of the file."""
    parts = re.split(r"[._]", name.lower())
    return not {"ema", "gema"} & set(parts), "g" not in parts, len(parts)


def _conversion(name: str, tensors: Mapping[str, Tensor], path: str) -> Conversion:
    result: dict[str, Tensor] = {}
    for theirs, tensor in tensors.items():
        if theirs.endswith(f".{_KERNEL}"):
            _check_kernel(tensor, path)
        else:
            result[f"generator.{_our_name(theirs, path)}"] = tensor
    embedding = result.get("generator.embed.weight")
    if embedding is not None:  # a linear layer of one-hot labels
        result["generator.embed.weight"] = embedding.transposed()
    config, shape, classes = _form(tensors, path)
    if not 1 <= shape[0] <= 4:
        raise InputError(f"{path} can't be converted: its images have {shape[0]} channels, expected 1 to 4.")
    return Conversion(name, config, Spec(sample=Image(*shape), classes=classes), result)


def _our_name(name: str, path: str) -> str:
    match = _LAYER.fullmatch(name)
    if match is None and name in _ENDS:
        return _ENDS[name]
    if match is not None:
        stage, layer, rest = int(match[1]), int(match[2]), match[3]
        if layer == 0 and rest in _TRANSITION:
            return f"stages.{stage}.transition.{_TRANSITION[rest]}"
        if layer > 0 and rest in _BLOCK:
            return f"stages.{stage}.blocks.{layer - 1}.{_BLOCK[rest]}"
    raise InputError(
        f"{path} holds a generator of R3GAN's kind with {name[:100]!r}, which the published ones don't have."
    )


def _form(tensors: Mapping[str, Tensor], path: str) -> tuple[dict[str, int], tuple[int, int, int], int]:
    """The options, the shape of the images and the number of classes that the tensors' shapes say."""

    def shape(name: str, dimensions: int) -> tuple[int, ...]:
        tensor = tensors.get(name)
        if tensor is None or len(tensor.shape) != dimensions or not tensor.numel:
            raise InputError(f"{path} holds an incomplete generator of R3GAN: {name!r} is missing or not as published.")
        return tensor.shape

    stages = next(stage for stage in count() if f"MainLayers.{stage}.Layers.1.NonLinearity1.Bias" not in tensors)
    shape("MainLayers.0.Layers.1.NonLinearity1.Bias", 1)
    per_stage = {
        sum(f"MainLayers.{stage}.Layers.{layer}.NonLinearity1.Bias" in tensors for layer in range(1, 100))
        for stage in range(stages)
    }
    first = shape(_FIRST, 3)
    widths, inner, group_widths = [], [], set()
    for stage in range(stages):
        widths.append(shape(f"MainLayers.{stage}.Layers.1.LinearLayer3.Layer.weight", 4)[0])
        grouped = shape(f"MainLayers.{stage}.Layers.1.LinearLayer2.Layer.weight", 4)
        inner.append(grouped[0])
        group_widths.add(grouped[1])
    expansions = {total / width for total, width in zip(inner, widths, strict=True)}
    side = first[1] * 2 ** (stages - 1)
    if first[1:] != (4, 4):
        raise InputError(
            f"{path} holds a generator of R3GAN that starts with {first[1]} × {first[2]} pixels. Expected 4 × 4, as in "
            "the published ones."
        )
    if len(per_stage) != 1 or len(expansions) != 1 or len(group_widths) != 1 or stages > 9:
        raise InputError(
            f"{path} holds a generator of R3GAN whose stages differ in blocks, expansion or groups, which r3gan "
            "doesn't have. Expected one of the published form."
        )
    full_width_stages = next((stage for stage, width in enumerate(widths) if width != widths[0]), stages)
    channels = shape("AggregationLayer.Layer.weight", 4)[0]
    inputs = shape("MainLayers.0.Layers.0.LinearLayer.weight", 2)[1]
    embedding, classes = shape("EmbeddingLayer.weight", 2) if "EmbeddingLayer.weight" in tensors else (0, 0)
    if embedding >= inputs:
        raise InputError(
            f"{path} holds a generator of R3GAN whose label vector has {embedding} numbers, but its first layer takes "
            f"only {inputs} for the latent and the label together. Expected a network of the published form."
        )
    config = {
        "latent_size": inputs - embedding,
        "width": widths[0],
        "full_width_until": 4 * 2 ** (full_width_stages - 1),
        "blocks": per_stage.pop(),
        "expansion": int(expansions.pop()),
        "group_width": group_widths.pop(),
    }
    return config, (channels, side, side), classes


def _check_kernel(tensor: Tensor, path: str) -> None:
    """Check that features are resampled with the published filter, which this backend has built in."""
    line = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
    if tensor.shape != (4, 4) or not torch.allclose(as_torch(tensor).float(), line[:, None] * line, atol=1e-6):
        raise InputError(
            f"{path} holds a generator of R3GAN with another filter for resampling, which r3gan doesn't have."
        )
