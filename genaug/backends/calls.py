"""Calling a backend: its errors name the plugin that provides it."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

from genaug.backends.backend import Backend
from genaug.backends.discovery import Info, brief
from genaug.backends.registry import discover, owner_of, remedy_for
from genaug.backends.spec import Spec
from genaug.errors import GenaugError, PluginError, is_out_of_memory


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
        info = _info_of(backend)
        if info is None:
            owner, remedy = f"backend {type(backend).__name__}", "Report this to its authors."
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


def _info_of(backend: Backend) -> Info | None:
    """The registration of a backend; None if no plugin registered it."""
    for info in discover().backends.values():
        module, _, attribute = info.target.partition(":")
        if getattr(sys.modules.get(module), attribute, None) is type(backend):
            return info
    return None
