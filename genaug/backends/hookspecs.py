"""All that a plugin can do. A plugin implements one of these functions and marks it with ``@hookimpl``."""

from typing import Protocol

import pluggy

hookspec = pluggy.HookspecMarker("genaug")
hookimpl = pluggy.HookimplMarker("genaug")


class Register(Protocol):
    def __call__(self, name: str, target: str, *, summary: str = "") -> None: ...


@hookspec
def genaug_register_backends(register: Register) -> None:
    """Call ``register("name", "package.module:Class", summary="one line")`` once for each backend.

    The target is a string, so that listing backends imports nothing heavy.
    """
