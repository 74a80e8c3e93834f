"""Calling a backend: its errors name the plugin that provides it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from genaug.backends.backend import Backend
from genaug.backends.discovery import brief
from genaug.backends.registry import info_of, name_of, offering, owner_of, remedy_for
from genaug.backends.spec import Spec
from genaug.errors import GenaugError, InputError, PluginError, is_out_of_memory


@contextmanager
def faults_of(backend: Backend, doing: str, *, may_exit: bool = False) -> Iterator[None]:
    """Around a call of a backend: an error becomes a ``PluginError`` that names the distribution.

    ``doing`` says what failed, such as "build". genaug's own errors, running out of memory and Ctrl-C pass through;
    with ``may_exit`` so does SystemExit, which a signal handler may raise during a long call.
    """
    try:
        yield
    except BaseException as error:
        passes = (GenaugError, KeyboardInterrupt, SystemExit) if may_exit else (GenaugError, KeyboardInterrupt)
        if isinstance(error, passes) or is_out_of_memory(error):
            raise
        info = info_of(backend)
        if info is None:
            owner, remedy = f"backend {name_of(backend)!r}", "Report this to its authors."
        else:
            owner, remedy = owner_of(info), remedy_for(info)
        raise PluginError(f"{owner}: {doing} failed ({brief(error)}). {remedy}") from error


def described(backend: Backend, config: Any, data: Spec) -> Spec:
    """The result of ``backend.describe``. Raises ``PluginError`` if it fails or doesn't return a spec."""
    with faults_of(backend, "describe"):
        spec: Any = backend.describe(config, data)
        if not isinstance(spec, Spec):
            raise TypeError(f"expected a Spec, got {type(spec).__name__}")
    return spec


def built(backend: Backend, config: Any, spec: Spec) -> nn.ModuleDict:
    """The result of ``backend.build``. Raises ``PluginError`` if it fails or a kept network is missing."""
    with faults_of(backend, "build"):
        nets = backend.build(config, spec)
        missing = [role for role in backend.keeps if not isinstance(nets, nn.ModuleDict) or role not in nets]
        if missing:
            raise TypeError(f"expected an nn.ModuleDict with {', '.join(map(repr, missing))} in it")
    return nets


def kept(backend: Backend, config: Any, spec: Spec) -> nn.ModuleDict:
    """Freshly built networks: only those in the backend's ``keeps``, in that order."""
    nets = built(backend, config, spec)
    return nn.ModuleDict({role: nets[role] for role in backend.keeps})


def outline(backend: Backend, config: Any, spec: Spec) -> nn.ModuleDict:
    """The networks without memory, on the meta device: their names, shapes and dtypes. No random state is used."""
    with torch.random.fork_rng(devices=[]), torch.device("meta"), _SkipInitialization():
        return built(backend, config, spec)


def first_blocks(backend: Backend, nets: nn.ModuleDict, count: int) -> list[nn.Module]:
    """The discriminator's first ``count`` blocks. Raises ``InputError`` if it has fewer, or if none are declared."""
    if not count:
        return []
    if not backend.offers("discriminator_blocks"):
        raise InputError(
            f"freeze_discriminator is {count}, but backend {name_of(backend)!r} doesn't declare the blocks of a "
            "discriminator. Leave it out. Installed backends that do: "
            f"{', '.join(offering('discriminator_blocks', backend.modalities)) or 'none'}."
        )
    with faults_of(backend, "discriminator_blocks"):
        blocks = list(backend.discriminator_blocks(nets))
    if count > len(blocks):
        raise InputError(
            f"freeze_discriminator is {count}, but the discriminator has only {len(blocks)} block"
            f"{'s' * (len(blocks) != 1)} that can be frozen. Choose a number from 0 to {len(blocks)}."
        )
    return blocks[:count]


class _SkipInitialization(TorchFunctionMode):
    """Skips ``torch.nn.init``: on the meta device it does nothing but import torch's compiler, which takes seconds."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(func, "__module__", "") == "torch.nn.init":
            return args[0] if args else (kwargs or {}).get("tensor")
        return func(*args, **(kwargs or {}))
