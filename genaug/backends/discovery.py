"""Reading the plugins' entry points and hooks, one plugin at a time, so that an error has one owner."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from textwrap import shorten
from typing import Any, Literal, get_args

import pluggy

from genaug.backends import hookspecs
from genaug.backends.foreign_code import TIME_LIMIT, TooSlowError, limited_to, quiet
from genaug.errors import PluginError
from genaug.escaping import escaped, one_line

Kind = Literal["backend", "source", "dataset"]

GROUP = "genaug"
DISABLE = "GENAUG_DISABLE_PLUGINS"

NAME = re.compile(r"[a-z][a-z0-9_-]*")
_TARGET = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")


@dataclass(frozen=True)
class Info:
    """A backend, a kind of source or a kind of dataset (``kind``), and the distribution that registers it.

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
    """What is wrong with a plugin; ``owner`` is its distribution, or "a and b" if two register the same name."""

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
    """What is installed and can be used, by name; a backend's name that is registered twice is in ``duplicates``."""

    backends: Mapping[str, Info]
    sources: Mapping[str, Info]
    datasets: Mapping[str, Info]
    duplicates: Mapping[str, tuple[Info, ...]]
    problems: tuple[Problem, ...]
    blocked: tuple[Blocked, ...]


def read_plugins(disabled: str, extra: tuple[Info, ...]) -> Discovery:
    """Everything that plugins register, and ``extra``. ``disabled`` is the value of GENAUG_DISABLE_PLUGINS."""
    off = {normalize(word) for word in disabled.split(",") if word.strip()}
    registered: dict[Kind, dict[str, list[Info]]] = {kind: {} for kind in get_args(Kind)}
    problems: list[Problem] = []
    blocked: list[Blocked] = []
    for info in extra:
        registered["backend"][info.name] = [info]
    for entry_point, owner, version in _entry_points(problems):
        if off & {normalize(entry_point.name), normalize(owner)}:
            blocked.append(Blocked(entry_point.name, owner))
            continue
        with quiet(owner):
            infos, messages = _load(entry_point, owner, version)
        problems += (Problem(owner, message) for message in messages)
        for info in infos:
            registered[info.kind].setdefault(info.name, []).append(info)
    usable: dict[Kind, dict[str, Info]] = {kind: {} for kind in registered}
    duplicates: dict[str, tuple[Info, ...]] = {}
    for kind, names in registered.items():
        for name, infos in sorted(names.items()):
            if len(infos) == 1:
                usable[kind][name] = infos[0]
                continue
            problems.append(Problem(" and ".join(info.distribution for info in infos), describe_duplicate(infos)))
            if kind == "backend":
                duplicates[name] = tuple(infos)
    return Discovery(
        backends=usable["backend"],
        sources=usable["source"],
        datasets=usable["dataset"],
        duplicates=duplicates,
        problems=tuple(problems),
        blocked=tuple(blocked),
    )


def _entry_points(problems: list[Problem]) -> list[tuple[EntryPoint, str, str]]:
    """The entry points of the group, sorted, with the name and version of their distributions."""
    try:
        return sorted(
            (
                (point, point.dist.name or "unknown", point.dist.version or "unknown")
                for point in entry_points(group=GROUP)
                if point.dist is not None
            ),
            key=lambda item: (item[1], item[0].name),
        )
    except Exception as error:  # one distribution's damaged metadata hides all the others
        problems.append(Problem("an installed package", f"its metadata can't be read ({brief(error)}). Run pip check."))
        return []


def _load(entry_point: EntryPoint, owner: str, version: str) -> tuple[list[Info], list[str]]:
    """What one plugin registers, and what is wrong with it. Every plugin has a manager of its own."""
    infos: list[Info] = []
    problems: list[str] = []

    def register(kind: Kind, name: str, target: str, *, summary: str = "") -> None:
        check_registration(kind, name, target, summary)
        if any((info.kind, info.name) == (kind, name) for info in infos):
            raise PluginError(f"{kind} {name!r} is registered twice here. Give each {kind} its own name.")
        infos.append(Info(name, target, one_line(summary), owner, version, kind))

    manager = pluggy.PluginManager(GROUP)
    manager.add_hookspecs(hookspecs)
    try:
        with limited_to(TIME_LIMIT):
            plugin = entry_point.load()
            manager.register(plugin, name=entry_point.name)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        remedy = f"Reinstall or update {owner}"
        if isinstance(error, TooSlowError):
            remedy += f", report this to its authors, or block it by its name in {DISABLE}"
        return [], [f"{entry_point.value!r} can't be loaded ({brief(error)}). {remedy}."]
    known = ", ".join(hook for hook in vars(hookspecs) if hook.startswith("genaug_"))
    try:
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        problems.append(f"{error}. genaug has these hooks: {known}.")
    if not manager.get_hookcallers(plugin):
        problems.append(f"{entry_point.value!r} implements no hook. Mark {known} with @hookimpl.")
    for kind in get_args(Kind):
        try:
            with limited_to(TIME_LIMIT):
                getattr(manager.hook, f"genaug_register_{kind}s")(register=partial(register, kind))
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            problems.append(f"registering its {kind}s failed: {brief(error)}")
    return infos, problems


def check_registration(kind: Kind, name: Any, target: Any, summary: Any) -> None:
    """Raises ``PluginError`` if these can't be the arguments of ``register``."""
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise PluginError(
            f"{name!r} is not a valid name for a {kind}. Use lower-case letters, digits, '_' and '-', starting with a "
            "letter."
        )
    if not isinstance(target, str) or not _TARGET.fullmatch(target):
        raise PluginError(
            f"the target of {kind} {name!r} must be a string such as 'genaug_{name.replace('-', '_')}.backend:"
            f"MyBackend' (package.module:Class), got {target!r}."
        )
    if not isinstance(summary, str):
        raise PluginError(f"the summary of {kind} {name!r} must be a string, got {type(summary).__name__}.")


def describe_duplicate(infos: "list[Info] | tuple[Info, ...]") -> str:
    """The problem of a name that several distributions register."""
    name, kind = infos[0].name, infos[0].kind
    claims = " and ".join(f"{info.distribution} {info.version} ({info.target})" for info in infos)
    return f"{kind} {name!r} is registered by {claims}. Uninstall all but one, or block them by name in {DISABLE}."


def brief(error: BaseException) -> str:
    """An error in one line: its class, unless it is genaug's own, and the beginning of its message."""
    message = escaped(shorten(str(error), 300, placeholder=" …"))
    if isinstance(error, (PluginError, TooSlowError)):
        return message
    return f"{type(error).__name__}: {message}".removesuffix(": ")


def normalize(name: str) -> str:
    """A name as package indexes compare it: case, "-", "_" and "." don't count."""
    return re.sub(r"[-_.]+", "-", name.strip()).lower()
