"""The hooks: a plugin implements one or more of these functions and marks them with ``@hookimpl``.

Every target is a string, so that listing the installed plugins imports nothing heavy.
"""

from typing import Protocol

import pluggy

hookspec = pluggy.HookspecMarker("genaug")
hookimpl = pluggy.HookimplMarker("genaug")


class Register(Protocol):
    def __call__(self, name: str, target: str, *, summary: str = "") -> None: ...


@hookspec
def genaug_register_backends(register: Register) -> None:
    """Call ``register("name", "package.module:Class", summary="one line")`` for each backend, a ``genaug.Backend``."""


@hookspec
def genaug_register_sources(register: Register) -> None:
    """Call ``register("scheme", "package.module:function", summary="one line")`` for each kind of source.

    ``genaug.load("scheme:REST", device=..., **options)`` then calls ``function("REST", device=..., **options)``, which
    returns a ``genaug.sources.source.Source``. If it has an attribute ``recipe`` it can be saved and published.
    """


@hookspec
def genaug_register_datasets(register: Register) -> None:
    """Call ``register("name", "package.module:function", summary="one line")`` for each kind of dataset.

    ``load_data("name:REST", split=..., root=...)`` (``--data name:REST``) then calls ``function("REST", split=...,
    root=...)``, which returns a map-style dataset; ``split`` is "train" or "test", ``root`` a ``Path`` or None.
    """
