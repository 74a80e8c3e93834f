"""The options that a search varies: ranges and choices, by default from a backend's config."""

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

import annotated_types

from genaug.backends.backend import Backend, parse_config
from genaug.backends.calls import described
from genaug.backends.spec import Spec
from genaug.errors import InputError

if TYPE_CHECKING:
    import optuna
    from pydantic.fields import FieldInfo

_FACTORS = {int: 4, float: 10}  # a default range reaches from the default value divided by this to it times this
_FORMS = "(low, high) for a range or a list of values"


@dataclass(frozen=True)
class Range:
    """Numbers from ``low`` to ``high``, both included; ``log`` draws their logarithm uniformly."""

    low: float
    high: float
    integer: bool
    log: bool

    def suggest(self, trial: "optuna.Trial", name: str) -> float:
        if self.integer:
            return trial.suggest_int(name, int(self.low), int(self.high), log=self.log)
        value = float(f"{trial.suggest_float(name, self.low, self.high, log=self.log):.3g}")  # to be read and typed
        return min(max(value, self.low), self.high)

    @property
    def ends(self) -> list[float]:
        return [int(end) if self.integer else end for end in (self.low, self.high)]

    def __contains__(self, value: object) -> bool:
        return isinstance(value, int | float) and self.low <= value <= self.high


@dataclass(frozen=True)
class Choices:
    """One of several values."""

    values: tuple[Any, ...]

    def suggest(self, trial: "optuna.Trial", name: str) -> Any:
        return trial.suggest_categorical(name, list(self.values))

    @property
    def ends(self) -> list[Any]:
        return list(self.values)

    def __contains__(self, value: object) -> bool:
        return value in self.values


Dimension = Range | Choices


def search_space(
    name: str,
    backend: Backend,
    fixed: Mapping[str, Any],
    spec: Spec,
    space: Mapping[str, Any] | Sequence[str] | None,
) -> dict[str, Dimension]:
    """The dimensions of a search by option, for a backend called ``name`` and data that ``spec`` describes.

    ``space`` maps options to a pair (low, high), a list of values, or None for the default range; a list of options
    takes the default range for each, and None all options that have one: numbers above 0 with bounds, and strings from
    a fixed set. Options in ``fixed`` are left out, as are values that the backend rejects and those that change whether
    labels are used.

    Raises ``InputError`` for options that the backend doesn't have or that are both fixed and to be searched, for
    values that it rejects, and if no option is left.
    """
    fields: Mapping[str, FieldInfo] = backend.Config.model_fields
    if space is not None and not isinstance(space, Mapping):
        space = dict.fromkeys(space)
    named = list(space if space is not None else fields)
    for option in named if space is not None else []:
        if option not in fields:
            raise InputError(f"backend {name!r} has no option {option!r} to search. Its options: {', '.join(fields)}.")
        if option in fixed:
            raise InputError(f"option {option!r} is fixed by the config and in the space. Leave it out of one of them.")
    dimensions: dict[str, Dimension] = {}
    usual = described(backend, parse_config(name, backend.Config, fixed), spec)

    def fits(option: str, value: Any) -> bool:
        try:
            config = parse_config(name, backend.Config, {**fixed, option: value})
        except InputError:
            return False
        return described(backend, config, spec).takes_labels == usual.takes_labels

    for option in named:
        value = None if space is None else space[option]
        if value is not None:
            dimensions[option] = _dimension(option, fields[option], value)
            for end in dimensions[option].ends:
                parse_config(name, backend.Config, {**fixed, option: end})
            continue
        default = None if option in fixed else _default(fields[option])
        if isinstance(default, Choices):
            values = tuple(value for value in default.values if fits(option, value))
            default = Choices(values) if len(values) > 1 else None
        if default is not None:
            dimensions[option] = default
        elif space is not None:
            raise InputError(f"option {option!r} of backend {name!r} has no default range. Pass {_FORMS} for it.")
    if not dimensions:
        raise InputError(f"backend {name!r} has no option left to search. Fix fewer in config=, or pass space=.")
    return dimensions


def fitting(name: str, backend: Backend, fixed: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """``options`` without the one that the backend rejects in combination with the others, such as one that has no
    effect there; all of them if there is no such option."""
    for left_out in (None, *reversed(list(options))):
        rest = {option: value for option, value in options.items() if option != left_out}
        with suppress(InputError):
            parse_config(name, backend.Config, {**fixed, **rest})
            return rest
    return dict(options)


def _default(field: "FieldInfo") -> Dimension | None:
    """The default dimension of an option; None if its type or its bounds don't give one, or if the default is 0, which
    usually means that something is off."""
    if get_origin(field.annotation) is Literal:
        return Choices(get_args(field.annotation))
    if field.annotation not in _FACTORS or not field.default:
        return None
    integer = field.annotation is int
    default = float(field.default)
    low, high, is_share = _bounds(field, default)
    if low is None or high is None or low >= high:
        return None
    if is_share:
        return Range(low, high, integer, False)
    factor = _FACTORS[field.annotation]
    low, high = max(low, default / factor), min(high, default * factor)
    if integer:
        low, high = math.ceil(low), math.floor(high)
    return Range(low, high, integer, low > 0) if low < high else None


def _bounds(field: "FieldInfo", default: float) -> tuple[float | None, float | None, bool]:
    """The least and the greatest value, and whether they are 0 and 1 at most, as for shares and rates of decay.

    A bound that is itself excluded is replaced with a value a tenth of the way to the default.
    """
    low: float | None = None
    high: float | None = None
    is_share = False
    for item in field.metadata:
        if isinstance(item, annotated_types.Ge):
            low, is_share = float(item.ge), item.ge == 0  # type: ignore[arg-type]
        elif isinstance(item, annotated_types.Gt):
            low = float(item.gt)  # type: ignore[arg-type]
            low += (default - low) / 10
        elif isinstance(item, annotated_types.Le):
            high = float(item.le)  # type: ignore[arg-type]
        elif isinstance(item, annotated_types.Lt):
            high = float(item.lt)  # type: ignore[arg-type]
            high -= (high - default) / 10
    return low, high, is_share and high is not None and high <= 1 and field.annotation is float


def _dimension(option: str, field: "FieldInfo", value: Any) -> Dimension:
    """What a user passed for an option."""
    if isinstance(value, list) and len(value) > 1:
        return Choices(tuple(value))
    if isinstance(value, tuple) and len(value) == 2:
        try:
            low, high = (float(end) for end in value)
        except (TypeError, ValueError):
            low = high = math.nan
        if math.isfinite(low) and math.isfinite(high) and low < high:
            integer = field.annotation is int
            if not integer or (low.is_integer() and high.is_integer()):
                return Range(low, high, integer, low > 0 and high >= 10 * low)
    raise InputError(f"the space of option {option!r} is {value!r}. Expected {_FORMS}, such as (1e-4, 1e-2) or [2, 4].")
