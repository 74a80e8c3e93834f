"""``genaug.load``: a generator from its folder, checked before anything of it is used."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from genaug import plugins, storage
from genaug.backend import Backend
from genaug.errors import FormatError, PluginError
from genaug.generator import Generator
from genaug.precision import pick_device
from genaug.spec import Spec


def load(where: str | Path, *, device: str | torch.device | None = None) -> Generator:
    """Load a generator from a local folder that ``save`` or ``fit`` wrote, on the GPU where there is one.

    Nothing is unpickled and no code that came with the weights is run. Raises ``FormatError`` for a damaged,
    truncated or foreign folder, ``PluginError`` where the backend isn't installed (saying what to install).
    """
    folder = Path(where)
    if not folder.is_dir():
        raise FormatError(f"{where} is no folder. Expected one with {storage.CONFIG_FILE} and {storage.WEIGHTS_FILE}.")
    manifest = storage.read_manifest(folder)
    try:
        backend = plugins.resolve(manifest.backend)
    except PluginError as error:
        needed = f"{manifest.distribution} {manifest.distribution_version}"
        raise PluginError(
            f"{folder} was written with {needed}, so `pip install {manifest.distribution}` brings what is missing, if "
            f"you trust that package. {error}"
        ) from error
    try:
        config = backend.Config.model_validate(manifest.config)
    except ValidationError as error:
        raise FormatError(
            f"{folder / storage.CONFIG_FILE} doesn't fit the installed backend {manifest.backend!r}: "
            f"{storage.first_problem(error)}. It was written with {manifest.distribution} "
            f"{manifest.distribution_version}."
        ) from error
    tensors = storage.read_weights(folder, manifest.weights)
    network = _restore(manifest.backend, backend, config, manifest.spec, tensors, folder)
    generator = Generator(manifest.backend, backend, config, manifest.spec, network, manifest.training)
    return generator.to(pick_device(device))


class _SkipInitialisation(TorchFunctionMode):
    """Leaves ``torch.nn.init`` out: on the meta device it does nothing but import torch's compiler, for seconds."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(func, "__module__", "") == "torch.nn.init":
            return args[0] if args else (kwargs or {}).get("tensor")
        return func(*args, **(kwargs or {}))


def _restore(
    name: str, backend: Backend, config: Any, spec: Spec, tensors: Mapping[str, Tensor], folder: Path
) -> nn.Module:
    """Build the network without memory, check every name, shape and dtype, and only then put the weights in."""
    if backend.describe(config, spec.model_copy(update={"latents": ()})) != spec:
        raise FormatError(
            f"{folder / storage.CONFIG_FILE}: its spec isn't the one that backend {name!r} gives for its config and "
            "shape. The file was changed or damaged; fetch or save the generator again."
        )
    with torch.random.fork_rng(devices=[]):
        with torch.device("meta"), _SkipInitialisation():
            network = backend.build(config, spec)["generator"]
        expected = network.state_dict()
        for name in sorted(set(expected) ^ set(tensors)):
            problem = "lacks" if name in expected else "holds the unknown tensor"
            raise FormatError(
                f"{folder / storage.WEIGHTS_FILE} {problem} {name!r}: it doesn't fit its {storage.CONFIG_FILE}."
            )
        for name, tensor in tensors.items():
            if tensor.shape != expected[name].shape or tensor.dtype != expected[name].dtype:
                raise FormatError(
                    f"{folder / storage.WEIGHTS_FILE}: tensor {name!r} is {tensor.dtype} {tuple(tensor.shape)}, "
                    f"expected {expected[name].dtype} {tuple(expected[name].shape)} from {storage.CONFIG_FILE}."
                )
        if any(buffer.is_meta for name, buffer in network.named_buffers() if name not in expected):
            network = backend.build(config, spec)["generator"]  # buffers that aren't saved have to be computed
        network.load_state_dict(tensors, strict=True, assign=True)
    return network
