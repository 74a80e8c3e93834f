"""Converting a file of another library to a generator's folder."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from genaug.artifacts.manifest import first_not_finite, write_generator
from genaug.backends import registry
from genaug.backends.backend import Backend, parse_config
from genaug.backends.calls import described, kept
from genaug.backends.spec import Spec
from genaug.checks import check_license
from genaug.conversion.contents import Contents, read
from genaug.conversion.converters import Conversion, converted
from genaug.conversion.listing import summary
from genaug.conversion.weights import as_torch
from genaug.device import torch_defaults
from genaug.errors import FormatError, InputError
from genaug.hub.pull import CARD_FILE
from genaug.sources.generator import Generator


@torch_defaults()
def convert(file: str | Path, out: str | Path, *, license: str | None = None, overwrite: bool = False) -> Generator:
    """Convert a network of another library to a generator, written to the folder ``out``.

    ``file`` is a snapshot of R3GAN (``.pkl``), or a ``.pth`` or ``.pt`` state dict of its generator. It is read without
    being unpickled: nothing in it is imported or executed. Of several networks, the averaged generator is converted.
    Converted weights keep the license of their owners: ``license`` is its identifier, which goes into the folder's
    README.md, from which ``push`` takes it. ``overwrite`` replaces what genaug wrote to ``out`` before.

    Raises ``FormatError`` if the file isn't one of tensors, plain values and networks of known packages, or is damaged;
    ``InputError`` if there is no converter for what it holds; ``ReadError`` if it can't be opened; and
    ``OutputExistsError`` and ``SaveError`` as ``Generator.save`` does. Nothing is written then.
    """
    license = check_license(license)
    contents = read(file)
    result = converted(contents)
    if result is None:
        problem = f"holds {summary(contents)}, for which there is no converter"
        raise InputError(
            f"{contents.path} {problem if contents.networks else 'holds no network'}. Expected a snapshot of R3GAN, or "
            "a state dict of its generator; `genaug convert FILE --list` shows what a file holds."
        )
    name, conversion = result
    backend = registry.resolve(name)
    config = parse_config(name, backend.Config, conversion.config)
    spec = described(backend, config, conversion.data)
    nets = _filled(backend, config, spec, conversion, contents)
    training = {
        "converted_from": contents.path.name,
        "network": conversion.network,
        "sha256": _digest(contents.path),
    }
    generator = Generator(name, backend, config, spec, nets, training)
    card = _card(training, license)
    generator.folder = write_generator(
        out, generator.manifest_fields(), generator.nets.state_dict(), overwrite, {CARD_FILE: card.encode()}
    )
    return generator


_DTYPES = ("float16", "bfloat16", "float32")  # whose numbers are all numbers of float32


def _filled(backend: Backend, config: Any, spec: Spec, conversion: Conversion, contents: Contents) -> nn.ModuleDict:
    """The backend's networks with the tensors of the file, all of whose names and shapes have to fit."""
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        nets = kept(backend, config, spec)
    expected: Mapping[str, torch.Tensor] = nets.state_dict()
    shapes = {name: tuple(tensor.shape) for name, tensor in conversion.tensors.items()}
    for name in sorted({*expected, *shapes}):
        shape = tuple(expected[name].shape) if name in expected else None
        if shapes.get(name) != shape:
            raise InputError(
                f"{contents.path} doesn't fit the backend it is for: {name[:200]!r} has the shape {shapes.get(name)}, "
                f"expected {shape}. Expected a network of the published form."
            )
    if sum(tensor.nbytes for tensor in conversion.tensors.values()) > contents.size:
        raise FormatError(f"{contents.path} can't be converted: its tensors are larger than the file, so they overlap.")
    for name, tensor in conversion.tensors.items():
        if tensor.dtype not in _DTYPES:
            raise FormatError(
                f"{contents.path} can't be converted: {name[:200]!r} is {tensor.dtype}, expected "
                f"{' or '.join(_DTYPES)}."
            )
    tensors = {name: as_torch(tensor).to(expected[name].dtype) for name, tensor in conversion.tensors.items()}
    broken = first_not_finite(tensors)
    if broken is not None:
        raise FormatError(f"{contents.path} can't be converted: {broken!r} holds NaN or infinite values.")
    nets.load_state_dict(tensors, assign=True)
    return nets


def _digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _card(training: Mapping[str, str], license: str | None) -> str:
    """A README.md with the license, which belongs to the owners of the weights."""
    head = f"---\nlicense: {license}\n---\n\n" if license else ""
    return f"{head}Converted by genaug from a published network (sha256 {training['sha256']}); its license applies.\n"
