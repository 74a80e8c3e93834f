"""Loading a generator from its folder, which is checked before anything in it is used."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from packaging.version import InvalidVersion, Version
from pydantic import ValidationError
from torch import Tensor, nn

from genaug.artifacts.manifest import (
    AGAIN,
    CONFIG_FILE,
    WEIGHTS_FILE,
    Manifest,
    first_not_finite,
    read_manifest,
    read_weights,
)
from genaug.backends import registry
from genaug.backends.backend import Backend
from genaug.backends.calls import described, kept, outline
from genaug.checks import first_problem
from genaug.device import pick_device, torch_defaults
from genaug.errors import FormatError, PluginError
from genaug.sources.generator import Generator


@torch_defaults()
def load_folder(folder: Path, device: str | torch.device | None = None, again: str = AGAIN) -> Generator:
    """The generator in a folder that ``save`` or ``fit`` wrote.

    ``again`` ends messages about damaged weights with what to do about them. Raises the same errors as ``genaug.load``.
    """
    manifest = read_manifest(folder)
    try:
        backend = registry.resolve(manifest.backend, guess=False)  # the manifest names the package
    except PluginError as error:
        command = pip_command(manifest.distribution, manifest.distribution_version)
        raise PluginError(
            f"{folder} was written with {manifest.distribution} {manifest.distribution_version}, so "
            f"`{command}` installs what is missing, if you trust that package: {error}"
        ) from error
    origin = _written_with(manifest, again)
    try:
        config = backend.Config.model_validate(manifest.config)
    except ValidationError as error:
        raise FormatError(
            f"{folder / CONFIG_FILE} doesn't fit the installed backend {manifest.backend!r}: "
            f"{first_problem(error)}. {origin}"
        ) from error
    tensors = read_weights(folder, manifest.weights, again)
    nets, extras = _restore(manifest, backend, config, tensors, folder, origin)
    generator = Generator(manifest.backend, backend, config, manifest.spec, nets, manifest.training)
    generator.extras = extras
    return generator.to(pick_device(device))


@contextmanager
def _backend_errors(manifest: Manifest, folder: Path, origin: str) -> Iterator[None]:
    """Around a call of the backend with a config that may come from anywhere: its errors name the file."""
    try:
        yield
    except PluginError as error:
        cause = error.__cause__ or error
        raise PluginError(
            f"backend {manifest.backend!r} can't build what {folder / CONFIG_FILE} describes "
            f"({type(cause).__name__}: {str(cause)[:200]}). {origin}"
        ) from error


def _written_with(manifest: Manifest, again: str) -> str:
    """Which package wrote a generator, and what to do if it doesn't fit the installed one."""
    origin = f"It was written with {manifest.distribution} {manifest.distribution_version}"
    command = pip_command(manifest.distribution, manifest.distribution_version)
    info = registry.discover().backends[manifest.backend]
    if info.distribution != manifest.distribution:
        return (
            f"{origin}; installed is {info.distribution} {info.version}, which has a different backend of this name. "
            f"Install the package that wrote it instead, if you trust it: {command}"
        )
    if is_older(info.version, manifest.distribution_version):
        return f"{origin}; installed is {info.version}, which is too old: {command}"
    return f"{origin}; installed is {info.version}. {again}"


def pip_command(distribution: str, version: str) -> str:
    """The command that installs the plugin that wrote a folder. Its manifest has validated the name and the version."""
    try:
        least = f">={Version(version).public}"
    except InvalidVersion:
        least = ""
    return f'pip install "{distribution}{least}"'


def is_older(version: str, other: str) -> bool:
    """Whether a version precedes another one, as far as both can be compared."""
    try:
        return Version(version) < Version(other)
    except InvalidVersion:
        return False


def _restore(
    manifest: Manifest,
    backend: Backend,
    config: Any,
    tensors: Mapping[str, Tensor],
    folder: Path,
    origin: str,
) -> tuple[nn.ModuleDict, dict[str, Tensor]]:
    """Build the networks without memory, check every name, shape, dtype and value, then assign the weights.

    Returns the kept networks, and the tensors of the others that the file holds. ``origin`` ends the messages: which
    package wrote the folder, and what to do.
    """
    spec = manifest.spec
    plain = spec.model_copy(update={"latents": ()})
    with _backend_errors(manifest, folder, origin):
        expected_spec = described(backend, config, plain)
    if expected_spec != spec:
        raise FormatError(
            f"{folder / CONFIG_FILE}: its spec isn't the one that backend {manifest.backend!r} returns for its config "
            f"and shape. The file was changed or damaged, or the backend has changed. {origin}"
        )
    with _backend_errors(manifest, folder, origin):
        every = outline(backend, config, spec)
    extras = manifest.extras or ()
    if not set(extras) <= set(every) - set(backend.keeps) or len(set(extras)) < len(extras):
        raise FormatError(
            f"{folder / CONFIG_FILE} lists the further networks {', '.join(map(repr, extras))}, of which backend "
            f"{manifest.backend!r} has only {', '.join(map(repr, set(every) - set(backend.keeps))) or 'none'}. {origin}"
        )
    nets = nn.ModuleDict({role: every[role] for role in backend.keeps})
    expected = nn.ModuleDict({role: every[role] for role in (*backend.keeps, *extras)}).state_dict()
    for name in sorted(set(expected) ^ set(tensors)):
        problem = "lacks" if name in expected else "holds the unknown tensor"
        raise FormatError(
            f"{folder / WEIGHTS_FILE} {problem} {name[:200]!r}: it doesn't fit its {CONFIG_FILE}. {origin}"
        )
    for name, tensor in tensors.items():
        if tensor.shape != expected[name].shape or tensor.dtype != expected[name].dtype:
            raise FormatError(
                f"{folder / WEIGHTS_FILE}: tensor {name!r} is {tensor.dtype} {tuple(tensor.shape)}, "
                f"expected {expected[name].dtype} {tuple(expected[name].shape)} from {CONFIG_FILE}. "
                f"{origin}"
            )
    broken = first_not_finite(tensors)
    if broken is not None:
        raise FormatError(
            f"{folder / WEIGHTS_FILE}: tensor {broken!r} holds NaN or infinite values; expected finite "
            f"numbers only, as save() writes them. {origin}"
        )
    if any(buffer.is_meta for name, buffer in nets.named_buffers() if name not in expected):
        with torch.random.fork_rng(devices=[]):
            nets = kept(backend, config, spec)  # buffers that aren't saved have to be computed
    names = nets.state_dict().keys()
    nets.load_state_dict({name: tensors[name] for name in names}, strict=True, assign=True)
    return nets, {name: tensor for name, tensor in tensors.items() if name not in names}
