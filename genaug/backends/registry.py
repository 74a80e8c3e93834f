"""The installed plugins: found through entry points, loaded one at a time, listed without importing a backend."""

import os
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache, partial
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from textwrap import shorten
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

import pluggy

from genaug.backends import hookspecs
from genaug.backends.foreign_code import TIME_LIMIT, TooSlowError, is_interrupt, limited_to, quiet
from genaug.errors import PluginError
from genaug.escaping import escaped, one_line

if TYPE_CHECKING:
    from genaug.backends.backend import Backend

Kind = Literal["backend", "source", "dataset"]

GROUP = "genaug"
DISABLE = "GENAUG_DISABLE_PLUGINS"

_NAME = re.compile(r"[a-z][a-z0-9_-]*")
_TARGET = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")
_added: "dict[str, type[Backend]]" = {}


class PluginWarning(UserWarning):
    """A plugin doesn't work; the others do."""


@dataclass(frozen=True)
class Info:
    """A backend, a kind of source or a kind of dataset (``kind``), and who brought it.

    ``target`` is where its class or function lives, "package.module:name".
    """

    name: str
    target: str
    summary: str
    distribution: str
    version: str
    kind: Kind = "backend"


@dataclass(frozen=True)
class Problem:
    """What is wrong with a plugin; ``owner`` is its distribution (or "a and b" where two get in each other's way)."""

    owner: str
    message: str

    def __str__(self) -> str:
        return f"{self.owner}: {self.message}"


@dataclass(frozen=True)
class Blocked:
    """An entry point that GENAUG_DISABLE_PLUGINS keeps from being loaded."""

    name: str
    distribution: str

    def __str__(self) -> str:
        return f"{self.name} ({self.distribution})"


@dataclass(frozen=True)
class Discovery:
    """What is installed and can be used, by name; a name registered twice is in ``duplicates``."""

    backends: Mapping[str, Info]
    sources: Mapping[str, Info]
    datasets: Mapping[str, Info]
    duplicates: Mapping[str, tuple[Info, ...]]
    problems: tuple[Problem, ...]
    blocked: tuple[Blocked, ...]


def discover(*, refresh: bool = False) -> Discovery:
    """All that plugins register, and all of their problems.

    Reads entry points once per process (and per value of GENAUG_DISABLE_PLUGINS); ``refresh`` reads them again.
    Never raises for a plugin's fault, and imports no backend.
    """
    if refresh:
        _discover.cache_clear()
    return _discover(os.environ.get(DISABLE, ""), tuple(_added))


@contextmanager
def added(name: str, backend: "type[Backend]") -> Iterator[None]:
    """A backend class without a package, known under ``name`` inside the block: for tests and notebooks."""
    _check("backend", name, "added:here", "")
    before = dict(_added)
    _added[name] = backend
    try:
        yield
    finally:
        _added.clear()
        _added.update(before)


def resolve(name: str, *, guess: bool = True) -> "Backend":
    """The backend of that name, imported now.

    Raises ``PluginError`` if it is unknown, blocked, registered twice or broken; ``guess`` is whether the message may
    guess at the distribution that brings an unknown one. Problems of other plugins are warned about, once per process.
    """
    if name in _added:
        return _added[name]()
    found = discover()
    for problem in found.problems:
        _warn_once(problem)
    if name in found.duplicates:
        raise PluginError(_duplicate(found.duplicates[name]))
    if name not in found.backends:
        raise PluginError(_unknown(name, found, guess))
    return _instance(found.backends[name])


def function_of(info: Info) -> Callable[..., Any]:
    """The function that a plugin registered for a kind of source or dataset. Raises ``PluginError`` if it is broken."""
    function: Callable[..., Any] = _imported(info)
    if not callable(function):
        raise PluginError(f"{owner_of(info)}: {info.target!r} must be a function, got {function!r}. {remedy_for(info)}")
    return function


@cache
def _discover(disabled: str, extra: tuple[str, ...]) -> Discovery:
    off = {_normal(word) for word in disabled.split(",") if word.strip()}
    registered: dict[Kind, dict[str, list[Info]]] = {"backend": {}, "source": {}, "dataset": {}}
    problems: list[Problem] = []
    blocked: list[Blocked] = []
    for name in extra:
        registered["backend"][name] = [Info(name, "added:here", "", "this-process", "0")]
    for entry_point, owner, version in sorted(_entry_points(problems), key=lambda found: (found[1], found[0].name)):
        if off & {_normal(entry_point.name), _normal(owner)}:
            blocked.append(Blocked(entry_point.name, owner))
            continue
        with quiet(owner):
            infos, messages = _load(entry_point, owner, version)
        problems += (Problem(owner, message) for message in messages)
        for info in infos:
            registered[info.kind].setdefault(info.name, []).append(info)
    usable: dict[Kind, Mapping[str, Info]] = {}
    duplicates: dict[str, tuple[Info, ...]] = {}
    for kind, names in registered.items():
        usable[kind] = MappingProxyType({name: infos[0] for name, infos in sorted(names.items()) if len(infos) == 1})
        twice = {name: tuple(infos) for name, infos in sorted(names.items()) if len(infos) > 1}
        problems += (Problem(_owners(infos), _duplicate(infos)) for infos in twice.values())
        duplicates |= twice if kind == "backend" else {}
    return Discovery(
        backends=usable["backend"],
        sources=usable["source"],
        datasets=usable["dataset"],
        duplicates=MappingProxyType(duplicates),
        problems=tuple(problems),
        blocked=tuple(blocked),
    )


def _entry_points(problems: list[Problem]) -> list[tuple[EntryPoint, str, str]]:
    """Our group's entry points with their distribution's name and version."""
    try:
        found = [(point, point.dist) for point in entry_points(group=GROUP)]
        return [(point, owner.name, owner.version or "unknown") for point, owner in found if owner is not None]
    except Exception as error:  # one distribution's damaged metadata hides all others'
        problems.append(Problem("an installed package", f"its metadata can't be read ({brief(error)}). Run pip check."))
        return []


def _load(entry_point: EntryPoint, owner: str, version: str) -> tuple[list[Info], list[str]]:
    """What one plugin registers, and what is wrong with it. A manager for each, so that an error has one owner."""
    infos: list[Info] = []
    problems: list[str] = []

    def register(kind: Kind, name: str, target: str, *, summary: str = "") -> None:
        _check(kind, name, target, summary)
        if any((info.kind, info.name) == (kind, name) for info in infos):
            raise PluginError(f"{kind} {name!r} is registered twice here. Give each {kind} its own name.")
        infos.append(Info(name, target, one_line(summary), owner, version, kind))

    manager = pluggy.PluginManager(GROUP)
    manager.add_hookspecs(hookspecs)
    try:
        with limited_to(TIME_LIMIT):
            plugin = entry_point.load()
            manager.register(plugin, name=entry_point.name)
    except BaseException as error:
        if is_interrupt(error):
            raise
        remedy = f"Reinstall or update {owner}"
        if isinstance(error, TooSlowError):
            remedy += f", tell its authors, or block it by its name in {DISABLE}"
        return [], [f"{entry_point.value!r} can't be loaded ({brief(error)}). {remedy}."]
    known = ", ".join(hook for hook in vars(hookspecs) if hook.startswith("genaug_"))
    try:
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        problems.append(f"{error}. The hooks that genaug knows: {known}.")
    if not manager.get_hookcallers(plugin):
        problems.append(f"{entry_point.value!r} implements no hook. Mark {known} with @hookimpl.")
    kinds: tuple[Kind, ...] = ("backend", "source", "dataset")
    for kind in kinds:
        try:
            with limited_to(TIME_LIMIT):
                getattr(manager.hook, f"genaug_register_{kind}s")(register=partial(register, kind))
        except BaseException as error:
            if is_interrupt(error):
                raise
            problems.append(f"registering its {kind}s failed: {brief(error)}")
    return infos, problems


def _check(kind: Kind, name: Any, target: Any, summary: Any) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise PluginError(
            f"{name!r} is not a name for a {kind}. Use lower-case letters, digits, '_' and '-', a letter first."
        )
    if not isinstance(target, str) or not _TARGET.fullmatch(target):
        raise PluginError(
            f"the target of {kind} {name!r} must be a string such as 'genaug_{name.replace('-', '_')}.backend:"
            f"MyBackend' (package.module:Class), got {target!r}."
        )
    if not isinstance(summary, str):
        raise PluginError(f"the summary of {kind} {name!r} must be a string, got {type(summary).__name__}.")


def _imported(info: Info) -> Any:
    module, _, attribute = info.target.partition(":")
    try:
        with quiet(info.distribution):
            return getattr(import_module(module), attribute)
    except BaseException as error:
        if is_interrupt(error):
            raise
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
    except BaseException as error:
        if is_interrupt(error):
            raise
        raise PluginError(f"{owner}: {info.target!r} can't be instantiated ({brief(error)}). {remedy}") from error


def offering(method: str) -> list[str]:
    """The names of the installed backends that offer an optional method; those that can't be imported are left out."""
    names = []
    for name in discover().backends:
        with suppress(PluginError):
            if resolve(name).offers(method):
                names.append(name)
    return names


def owner_of(info: Info) -> str:
    return f"{info.kind} {info.name!r} of {info.distribution} {info.version}"


def remedy_for(info: Info) -> str:
    return f"Reinstall or update {info.distribution}, or tell its authors."


def _duplicate(infos: tuple[Info, ...]) -> str:
    name, kind = infos[0].name, infos[0].kind
    claims = " and ".join(f"{info.distribution} {info.version} ({info.target})" for info in infos)
    return f"{kind} {name!r} is registered by {claims}. Uninstall all but one, or block them by name in {DISABLE}."


def _unknown(name: str, found: Discovery, guess: bool) -> str:
    for blocked in found.blocked:
        if _normal(name) == _normal(blocked.name) or _normal(f"genaug-{name}") == _normal(blocked.distribution):
            return f"backend {name!r} is blocked: {DISABLE} names {blocked}. Take it out to use it."
    for problem in found.problems:
        if _normal(problem.owner) == _normal(f"genaug-{name}"):
            return f"there is no backend {name!r}, since its plugin doesn't work: {problem}"
    if not (found.backends or found.duplicates or found.problems or found.blocked):
        return (
            f"there is no backend {name!r}: no backends are installed at all, genaug's own neither, so genaug seems to "
            "run from a checkout that isn't installed. Run `pip install -e .` in it."
        )
    from difflib import get_close_matches

    names = [*found.backends, *found.duplicates]
    close = get_close_matches(name.lower(), names, n=1)
    parts = [f"there is no backend {name!r}."]
    if close:
        parts.append(f"Did you mean {close[0]!r}?")
    parts.append(f"Installed are: {', '.join(names) or 'none'}.")
    if guess and _NAME.fullmatch(name):
        parts.append(f"A plugin may bring it: pip install genaug-{_normal(name)}")
    if found.blocked:
        parts.append(f"(blocked by {DISABLE}: {', '.join(map(str, found.blocked))})")
    if found.problems:
        parts.append(f"(not working: {', '.join(sorted({p.owner for p in found.problems}))}; see `genaug plugins`)")
    return " ".join(parts)


@cache
def _warn_once(problem: Problem) -> None:
    warnings.warn(f"a plugin doesn't work: {problem}", PluginWarning, stacklevel=4)


def _owners(infos: tuple[Info, ...]) -> str:
    return " and ".join(info.distribution for info in infos)


def brief(error: BaseException) -> str:
    """An error in one line: its class, unless it is our own, and the beginning of its message."""
    message = escaped(shorten(str(error), 300, placeholder=" …"))
    return (
        message
        if isinstance(error, (PluginError, TooSlowError))
        else f"{type(error).__name__}: {message}".removesuffix(": ")
    )


def _normal(name: str) -> str:
    """Names as package indexes compare them: case, "-", "_" and "." don't count."""
    return re.sub(r"[-_.]+", "-", name.strip()).lower()
