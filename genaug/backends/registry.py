"""The installed plugins by name: listed without importing a backend, and imported one at a time."""

import os
import sys
import warnings
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from difflib import get_close_matches
from functools import cache
from importlib import import_module
from inspect import signature
from typing import TYPE_CHECKING, Any

from genaug.backends.discovery import (
    DISABLE,
    NAME,
    Discovery as Discovery,
    Info as Info,
    Problem as Problem,
    brief,
    check_registration,
    describe_duplicate,
    normalize,
    read_plugins,
)
from genaug.backends.foreign_code import quiet
from genaug.errors import GenaugError, InputError, PluginError, is_out_of_memory

if TYPE_CHECKING:
    from genaug.backends.backend import Backend

_added: "dict[str, type[Backend]]" = {}


class PluginWarning(UserWarning):
    """A plugin doesn't work; the others do."""


def discover(*, refresh: bool = False) -> Discovery:
    """Everything that plugins register, and all of their problems.

    Reads entry points once per process (and per value of GENAUG_DISABLE_PLUGINS); ``refresh`` reads them again.
    Never raises for a plugin's fault, and imports no backend.
    """
    if refresh:
        _discover.cache_clear()
    return _discover(os.environ.get(DISABLE, ""), tuple(_added))


@cache
def _discover(disabled: str, added: tuple[str, ...]) -> Discovery:
    return read_plugins(disabled, tuple(Info(name, "added:here", "", "this-process", "0") for name in added))


@contextmanager
def added(name: str, backend: "type[Backend]") -> Iterator[None]:
    """A backend class without a package, known as ``name`` inside the block: for tests and notebooks."""
    check_registration("backend", name, "added:here", "")
    before = dict(_added)
    _added[name] = backend
    try:
        yield
    finally:
        _added.clear()
        _added.update(before)


def resolve(name: str, *, guess: bool = True) -> "Backend":
    """An instance of the backend called ``name``.

    Raises ``PluginError`` if it is unknown, blocked, registered twice or broken; with ``guess`` the message suggests a
    distribution that an unknown one may be in. Problems of other plugins are warned about, once per process.
    """
    if name in _added:
        return _added[name]()
    plugins = discover()
    for problem in plugins.problems:
        _warn_once(problem)
    if name in plugins.duplicates:
        raise PluginError(describe_duplicate(plugins.duplicates[name]))
    if name not in plugins.backends:
        raise PluginError(_describe_unknown(name, plugins, guess))
    return _instance(plugins.backends[name])


def call(info: Info, rest: str, /, **options: Any) -> Any:
    """What the function that a plugin registered for a kind of source or dataset returns for ``rest``.

    Raises ``InputError`` for options that it doesn't have, and ``PluginError`` if it is broken or fails.
    """
    function = _imported(info)
    if not callable(function):
        raise PluginError(f"{owner_of(info)}: {info.target!r} must be a function, got {function!r}. {remedy_for(info)}")
    try:
        signature(function).bind(rest, **options)
    except TypeError as error:
        raise InputError(f"{info.name}:… doesn't accept these options: {error}.") from error
    try:
        return function(rest, **options)
    except (GenaugError, KeyboardInterrupt):
        raise
    except BaseException as error:
        if is_out_of_memory(error):
            raise
        raise PluginError(f"{owner_of(info)} failed for {rest!r} ({brief(error)}). {remedy_for(info)}") from error


def offering(method: str, kinds: Collection[str] = ()) -> list[str]:
    """The names of the installed backends that offer an optional method, for any of these kinds of samples if there are
    some; those that can't be imported are left out."""
    return _those_with(lambda backend: backend.offers(method), kinds)


def taking_unlabelled(kinds: Collection[str] = ()) -> list[str]:
    """The names of the installed backends that learn from unlabeled samples beside labeled ones; ``kinds`` as in
    ``offering``."""
    return _those_with(lambda backend: backend.takes_unlabelled, kinds)


def taking_unpaired() -> list[str]:
    """The names of the installed backends that learn from two sets that don't correspond."""
    return _those_with(lambda backend: backend.takes_unpaired, ())


def trained_on(kind: str) -> list[str]:
    """The names of the installed backends that can be trained on samples of this kind."""
    return _those_with(lambda _: True, (kind,))


def _those_with(property: "Callable[[Backend], bool]", kinds: Collection[str]) -> list[str]:
    names = []
    for name in discover().backends:
        with suppress(PluginError):
            backend = resolve(name)
            if property(backend) and (not kinds or set(kinds) & set(backend.modalities)):
                names.append(name)
    return names


def name_of(backend: "Backend") -> str:
    """The name under which a backend is registered; that of its class if it isn't."""
    for name, cls in _added.items():
        if cls is type(backend):
            return name
    info = info_of(backend)
    return type(backend).__name__ if info is None else info.name


def info_of(backend: "Backend") -> Info | None:
    """The registration of a backend; None if no plugin registered it."""
    for info in discover().backends.values():
        module, _, attribute = info.target.partition(":")
        if getattr(sys.modules.get(module), attribute, None) is type(backend):
            return info
    return None


def owner_of(info: Info) -> str:
    return f"{info.kind} {info.name!r} of {info.distribution} {info.version}"


def remedy_for(info: Info) -> str:
    return f"Reinstall or update {info.distribution}, or report this to its authors."


def _imported(info: Info) -> Any:
    module, _, attribute = info.target.partition(":")
    try:
        with quiet(info.distribution):
            return getattr(import_module(module), attribute)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        problem = f"{owner_of(info)} can't be imported from {info.target!r} ({brief(error)})"
        raise PluginError(f"{problem}. {remedy_for(info)}") from error


def _instance(info: Info) -> "Backend":
    owner, remedy, cls = owner_of(info), remedy_for(info), _imported(info)

    from genaug.backends.backend import Backend, BackendConfig

    if not (isinstance(cls, type) and issubclass(cls, Backend)):
        raise PluginError(f"{owner}: {info.target!r} must be a subclass of genaug.Backend, got {cls!r}. {remedy}")
    config = getattr(cls, "Config", None)
    if not (isinstance(config, type) and issubclass(config, BackendConfig)):
        raise PluginError(
            f"{owner}: {info.target!r} must have a Config, a subclass of genaug.backends.backend.BackendConfig, "
            f"got {config!r}. {remedy}"
        )
    try:
        return cls()
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise PluginError(f"{owner}: {info.target!r} can't be instantiated ({brief(error)}). {remedy}") from error


def _describe_unknown(name: str, plugins: Discovery, guess: bool) -> str:
    distribution = normalize(f"genaug-{name}")
    for blocked in plugins.blocked:
        if normalize(name) == normalize(blocked.name) or distribution == normalize(blocked.distribution):
            return f"backend {name!r} is blocked: {DISABLE} contains {blocked}. Remove it there to use it."
    for problem in plugins.problems:
        if normalize(problem.owner) == distribution:
            return f"there is no backend {name!r}, because its plugin doesn't work: {problem}"
    if not (plugins.backends or plugins.duplicates or plugins.problems or plugins.blocked):
        return (
            f"there is no backend {name!r}: no backends are installed, not even genaug's own, so genaug seems to run "
            "from a checkout that isn't installed. Run `pip install -e .` in it."
        )
    names = [*plugins.backends, *plugins.duplicates]
    parts = [f"there is no backend {name!r}."]
    parts += [f"Did you mean {match!r}?" for match in get_close_matches(name.lower(), names, n=1)]
    parts.append(f"Installed backends: {', '.join(names) or 'none'}.")
    if guess and NAME.fullmatch(name):
        parts.append(f"A plugin may provide it: pip install {distribution}")
    if plugins.blocked:
        parts.append(f"(blocked by {DISABLE}: {', '.join(map(str, plugins.blocked))})")
    if plugins.problems:
        owners = sorted({problem.owner for problem in plugins.problems})
        parts.append(f"(not working: {', '.join(owners)}; see `genaug plugins`)")
    return " ".join(parts)


@cache
def _warn_once(problem: Problem) -> None:
    warnings.warn(f"a plugin doesn't work: {problem}", PluginWarning, stacklevel=4)
