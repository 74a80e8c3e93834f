"""Calling a backend: whatever it raises names the plugin that brought it."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

from genaug.backends.backend import Backend
from genaug.backends.foreign_code import is_interrupt
from genaug.backends.registry import Info, brief, discover, owner_of, remedy_for
from genaug.backends.spec import Spec
from genaug.errors import GenaugError, PluginError, is_out_of_memory


@contextmanager
def faults_of(backend: Backend, doing: str, *, may_exit: bool = False) -> Iterator[None]:
    """Around a call of a backend: whatever it raises becomes a ``PluginError`` that names its distribution.

    ``doing`` is what failed then, such as "build". Errors of genaug's own, too little memory and Ctrl-C pass; with
    ``may_exit`` SystemExit does, too, which somebody's handler of a signal may raise during a long call.
    """
    try:
        yield
    except BaseException as error:
        if isinstance(error, GenaugError) or is_interrupt(error) or is_out_of_memory(error):
            raise
        if may_exit and isinstance(error, SystemExit):
            raise
        info = _info_of(backend)
        if info is None:
            owner, remedy = f"backend {type(backend).__name__}", "Tell its authors."
        else:
            owner, remedy = owner_of(info), remedy_for(info)
        raise PluginError(f"{owner}: {doing} failed ({brief(error)}). {remedy}") from error


def described(backend: Backend, config: Any, data: Spec) -> Spec:
    """What ``backend.describe`` gives. Raises ``PluginError`` if it fails, or gives anything but a spec."""
    with faults_of(backend, "describe"):
        spec: Any = backend.describe(config, data)
        if not isinstance(spec, Spec):
            raise TypeError(f"expected a Spec, got {type(spec).__name__}")
    return spec


def built(backend: Backend, config: Any, spec: Spec) -> nn.ModuleDict:
    """What ``backend.build`` gives. Raises ``PluginError`` if it fails, or lacks a network that the backend keeps."""
    with faults_of(backend, "build"):
        nets = backend.build(config, spec)
        missing = [role for role in backend.keeps if not isinstance(nets, nn.ModuleDict) or role not in nets]
        if missing:
            raise TypeError(f"expected an nn.ModuleDict with {', '.join(map(repr, missing))} in it")
    return nets


def kept(backend: Backend, config: Any, spec: Spec) -> nn.ModuleDict:
    """Freshly built networks, those alone that the backend keeps, in the order of its ``keeps``."""
    nets = built(backend, config, spec)
    return nn.ModuleDict({role: nets[role] for role in backend.keeps})


def _info_of(backend: Backend) -> Info | None:
    """Who brought a backend; None for one that no plugin did."""
    for info in discover().backends.values():
        module, _, attribute = info.target.partition(":")
        if getattr(sys.modules.get(module), attribute, None) is type(backend):
            return info
    return None
