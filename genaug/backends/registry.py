"""The installed plugins: found through entry points, loaded one at a time, listed without importing a backend."""

import os
import re
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import Distribution, EntryPoint, distributions, entry_points
from pathlib import Path
from textwrap import shorten
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import pluggy

from genaug.backends import hookspecs
from genaug.backends.foreign_code import TIME_LIMIT, TooSlowError, is_interrupt, limited_to, quiet
from genaug.errors import GenaugError, PluginError, is_out_of_memory
from genaug.escaping import escaped, one_line

if TYPE_CHECKING:
    from torch import nn

    from genaug.backends.backend import Backend
    from genaug.backends.spec import Spec

GROUP = "genaug"
DISABLE = "GENAUG_DISABLE_PLUGINS"

_NAME = re.compile(r"[a-z][a-z0-9_-]*")
_TARGET = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")


class PluginWarning(UserWarning):
    """A plugin doesn't work; the others do."""


@dataclass(frozen=True)
class BackendInfo:
    """A backend and who brought it. ``target`` is where its class lives, "package.module:Class"."""

    name: str
    target: str
    summary: str
    distribution: str
    version: str


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
    """What is installed. ``backends`` are those that can be used; a name registered twice is in ``duplicates``."""

    backends: Mapping[str, BackendInfo]
    duplicates: Mapping[str, tuple[BackendInfo, ...]]
    problems: tuple[Problem, ...]
    blocked: tuple[Blocked, ...]


def discover(*, refresh: bool = False) -> Discovery:
    """All installed backends and all problems of plugins, by backend name.

    Reads entry points once per process (and per value of GENAUG_DISABLE_PLUGINS); ``refresh`` reads them again.
    Never raises for a plugin's fault, and imports no backend.
    """
    if refresh:
        _discover.cache_clear()
    return _discover(os.environ.get(DISABLE, ""))


def resolve(name: str, *, guess: bool = True) -> "Backend":
    """The backend of that name, imported now.

    Raises ``PluginError`` where it is unknown, blocked, registered twice or broken; ``guess`` is whether the message
    may guess at the distribution that brings an unknown one. Problems of other plugins are warned about, once per
    process.
    """
    found = discover()
    for problem in found.problems:
        _warn_once(problem)
    if name in found.duplicates:
        raise PluginError(_duplicate(name, found.duplicates[name]))
    if name not in found.backends:
        raise PluginError(_unknown(name, found, guess))
    return _instance(found.backends[name])


@cache
def _discover(disabled: str) -> Discovery:
    off = {_normal(word) for word in disabled.split(",") if word.strip()}
    registered: dict[str, list[BackendInfo]] = {}
    problems: list[Problem] = []
    blocked: list[Blocked] = []
    for entry_point, owner, version in sorted(_entry_points(problems), key=lambda found: (found[1], found[0].name)):
        if off & {_normal(entry_point.name), _normal(owner)}:
            blocked.append(Blocked(entry_point.name, owner))
            continue
        with quiet(owner):
            infos, messages = _load(entry_point, owner, version)
        problems += (Problem(owner, message) for message in messages)
        for info in infos:
            registered.setdefault(info.name, []).append(info)
    duplicates = {name: tuple(infos) for name, infos in sorted(registered.items()) if len(infos) > 1}
    problems += (Problem(_owners(infos), _duplicate(name, infos)) for name, infos in duplicates.items())
    return Discovery(
        backends=MappingProxyType({name: infos[0] for name, infos in sorted(registered.items()) if len(infos) == 1}),
        duplicates=MappingProxyType(duplicates),
        problems=tuple(problems),
        blocked=tuple(blocked),
    )


def _entry_points(problems: list[Problem]) -> list[tuple[EntryPoint, str, str]]:
    """Our group's entry points with their distribution's name and version."""
    try:
        return [(entry_point, *_identity(entry_point.dist)) for entry_point in entry_points(group=GROUP)]
    except Exception:  # one distribution's damaged metadata hides all others: read them one by one
        pass
    found: list[tuple[EntryPoint, str, str]] = []
    seen: set[str] = set()
    for distribution in distributions():
        owner, version = _identity(distribution)
        if owner in seen:  # another copy further down sys.path, which the first one shadows
            continue
        seen.add(owner)
        try:
            found += ((entry_point, owner, version) for entry_point in distribution.entry_points.select(group=GROUP))
        except Exception as error:
            problems.append(Problem(owner, f"its entry points can't be read ({_brief(error)}). Reinstall {owner}."))
    return found


def _identity(distribution: Distribution | None) -> tuple[str, str]:
    """Name and version; a half-removed distribution has lost the file that holds them, but not its folder's name."""
    name = version = None
    with suppress(Exception):
        if distribution is not None:
            name, version = distribution.metadata["Name"], distribution.metadata["Version"]
    if not name:
        folder: Path | None = getattr(distribution, "_path", None)
        name, _, version = folder.stem.partition("-") if folder else ("unknown distribution", "", None)
    return name, version or "unknown"


def _load(entry_point: EntryPoint, owner: str, version: str) -> tuple[list[BackendInfo], list[str]]:
    """What one plugin registers, and what is wrong with it. A manager for each, so that an error has one owner."""
    infos: list[BackendInfo] = []
    problems: list[str] = []

    def register(name: str, target: str, *, summary: str = "") -> None:
        _check(name, target, summary)
        if any(info.name == name for info in infos):
            raise PluginError(f"backend {name!r} is registered twice here. Give each backend its own name.")
        infos.append(BackendInfo(name, target, one_line(summary), owner, version))

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
        return [], [f"{entry_point.value!r} can't be loaded ({_brief(error)}). {remedy}."]
    known = ", ".join(hook for hook in vars(hookspecs) if hook.startswith("genaug_"))
    try:
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        problems.append(f"{error}. The hooks that genaug knows: {known}.")
    if not manager.get_hookcallers(plugin):
        problems.append(f"{entry_point.value!r} implements no hook. Mark {known} with @hookimpl.")
    try:
        with limited_to(TIME_LIMIT):
            manager.hook.genaug_register_backends(register=register)
    except BaseException as error:
        if is_interrupt(error):
            raise
        problems.append(f"registering its backends failed: {_brief(error)}")
    return infos, problems


def _check(name: Any, target: Any, summary: Any) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise PluginError(
            f"{name!r} is no name for a backend. Use lower-case letters, digits, '_' and '-', a letter first."
        )
    if not isinstance(target, str) or not _TARGET.fullmatch(target):
        raise PluginError(
            f"the target of backend {name!r} must be a string such as 'genaug_{name.replace('-', '_')}.backend:"
            f"MyBackend' (package.module:Class), got {target!r}."
        )
    if not isinstance(summary, str):
        raise PluginError(f"the summary of backend {name!r} must be a string, got {type(summary).__name__}.")


def _instance(info: BackendInfo) -> "Backend":
    owner, remedy = _owner(info), _remedy(info)
    module, _, attribute = info.target.partition(":")
    try:
        with quiet(info.distribution):
            cls = getattr(import_module(module), attribute)
    except BaseException as error:
        if is_interrupt(error):
            raise
        raise PluginError(f"{owner} can't be imported from {info.target!r} ({_brief(error)}). {remedy}") from error

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
        raise PluginError(f"{owner}: {info.target!r} can't be instantiated ({_brief(error)}). {remedy}") from error


@contextmanager
def faults_of(backend: "Backend", doing: str, *, may_exit: bool = False) -> Iterator[None]:
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
            owner, remedy = _owner(info), _remedy(info)
        raise PluginError(f"{owner}: {doing} failed ({_brief(error)}). {remedy}") from error


def described(backend: "Backend", config: Any, data: "Spec") -> "Spec":
    """What ``backend.describe`` gives. Raises ``PluginError`` if it fails, or gives anything but a spec."""
    from genaug.backends.spec import Spec

    with faults_of(backend, "describe"):
        spec: Any = backend.describe(config, data)
        if not isinstance(spec, Spec):
            raise TypeError(f"expected a Spec, got {type(spec).__name__}")
    return spec


def built(backend: "Backend", config: Any, spec: "Spec") -> "nn.ModuleDict":
    """What ``backend.build`` gives. Raises ``PluginError`` if it fails, or lacks a network that the backend keeps."""
    from torch import nn

    with faults_of(backend, "build"):
        nets = backend.build(config, spec)
        missing = [role for role in backend.keeps if not isinstance(nets, nn.ModuleDict) or role not in nets]
        if missing:
            raise TypeError(f"expected an nn.ModuleDict with {', '.join(map(repr, missing))} in it")
    return nets


def kept(backend: "Backend", config: Any, spec: "Spec") -> "nn.ModuleDict":
    """Freshly built networks, those alone that the backend keeps, in the order of its ``keeps``."""
    from torch import nn

    nets = built(backend, config, spec)
    return nn.ModuleDict({role: nets[role] for role in backend.keeps})


def offering(method: str) -> list[str]:
    """The names of the installed backends that offer an optional method; those that can't be imported are left out."""
    names = []
    for name in discover().backends:
        with suppress(PluginError):
            if resolve(name).offers(method):
                names.append(name)
    return names


def _info_of(backend: "Backend") -> BackendInfo | None:
    """Who brought a backend; None for one that no plugin did."""
    for info in discover().backends.values():
        module, _, attribute = info.target.partition(":")
        if getattr(sys.modules.get(module), attribute, None) is type(backend):
            return info
    return None


def _owner(info: BackendInfo) -> str:
    return f"backend {info.name!r} of {info.distribution} {info.version}"


def _remedy(info: BackendInfo) -> str:
    return f"Reinstall or update {info.distribution}, or tell its authors."


def _duplicate(name: str, infos: tuple[BackendInfo, ...]) -> str:
    claims = " and ".join(f"{info.distribution} {info.version} ({info.target})" for info in infos)
    return f"backend {name!r} is registered by {claims}. Uninstall all but one, or block them by name in {DISABLE}."


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


def _owners(infos: tuple[BackendInfo, ...]) -> str:
    return " and ".join(info.distribution for info in infos)


def _brief(error: BaseException) -> str:
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
