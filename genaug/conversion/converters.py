"""What a plugin's converter returns, and where the converters are."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from genaug.backends import registry
from genaug.backends.spec import Spec
from genaug.conversion.contents import Contents
from genaug.conversion.values import Tensor
from genaug.errors import PluginError

CONVERTERS = ("r3gan",)
"""The backends with a module ``convert`` beside the one of their class: its function ``convert`` takes the ``Contents``
of a file and returns a ``Conversion``, or None if the file isn't of its kind."""


@dataclass(frozen=True)
class Conversion:
    """A network of a file as one of a backend: the backend's options, the samples and classes, and the tensors of the
    networks that it keeps by their names in its state dict. ``network`` is the name of the original in the file."""

    network: str
    config: Mapping[str, Any]
    data: Spec
    tensors: Mapping[str, Tensor]


def converted(contents: Contents) -> tuple[str, Conversion] | None:
    """The backend that can run a network of a file, and the network in its terms; None if there is none.

    Raises ``InputError`` if the file is of a known kind, but its network is of a form that the backend doesn't have.
    """
    for backend in CONVERTERS:
        info = registry.discover().backends.get(backend)
        if info is None:
            continue
        package = info.target.partition(":")[0].rpartition(".")[0]
        try:
            convert = import_module(f"{package}.convert").convert
        except (ImportError, AttributeError) as error:
            raise PluginError(
                f"backend {backend!r} of {info.distribution} {info.version} has no converter for other libraries' "
                f"files. {registry.remedy_for(info)}"
            ) from error
        conversion = convert(contents)
        if conversion is not None:
            return backend, conversion
    return None
