"""The generated shares that a user asks for: one number, a schedule over epochs, or one of these per source."""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from genaug.blend.plan import Mode, Plan, divide, make_plan
from genaug.data.apportion import Ints
from genaug.data.shares import as_number, as_share
from genaug.errors import InputError
from genaug.schedules import Schedule
from genaug.sources.source import Source

ONLY = "source"
"""The name of a source that was passed without one."""


def named_sources(source: Any, ratio: Any) -> dict[str, Source]:
    """The sources of a blend by name. Raises ``InputError`` for names that aren't those of ``ratio``."""
    if not isinstance(source, Mapping):
        if isinstance(ratio, Mapping):
            raise InputError(
                f"ratio= names {', '.join(map(repr, ratio))}, but one source was passed without a name. Pass a mapping "
                "of name to source, or one number as ratio=."
            )
        return {ONLY: source}
    if not source:
        raise InputError("the mapping of sources is empty. Pass at least one source.")
    for name in source:
        if not isinstance(name, str) or not name:
            raise InputError(f"the names of sources must be strings, got {name!r}.")
    if not isinstance(ratio, Mapping):
        example = ", ".join(f"{name!r}: 0.1" for name in source)
        raise InputError(
            f"with named sources ratio= must have a share for each of them, such as {{{example}}}, got {ratio!r}."
        )
    if set(ratio) != set(source):
        raise InputError(
            f"ratio= has shares for {', '.join(map(repr, ratio)) or 'no source'}, but the sources are "
            f"{', '.join(map(repr, source))}. Use the same names."
        )
    return dict(source)


class Plans:
    """The plan of each epoch of a blend.

    Args:
        counts: the number of real samples per class.
        names: the names of the sources, in order.
        ratio: a number or a schedule, or a mapping of name to these; None with a ``balance`` per class.
        mode, balance: as for ``make_plan``.

    Raises ``InputError`` for shares that leave [0, 1) in mode "expand" or [0, 1] in mode "replace", in any epoch.
    """

    def __init__(self, counts: Sequence[int], names: Sequence[str], ratio: Any, *, mode: Mode, balance: Any) -> None:
        self._counts, self._mode, self._balance = list(counts), mode, balance
        self.names = tuple(names)
        self.by_name = isinstance(ratio, Mapping)
        self._ratios = tuple(ratio[name] for name in names) if self.by_name else (ratio,)
        if self.by_name and not isinstance(balance, str):
            raise InputError("balance= as a mapping is for one source. With several, use 'match' or 'uniform'.")
        for value in self._ratios:
            if callable(value) and not isinstance(value, Schedule):
                raise InputError(
                    f"ratio= must be a number or a schedule of genaug.schedules, got {value!r}. A function becomes one "
                    "as Schedule([function(epoch) for epoch in range(epochs)])."
                )
        self.epochs = max([1, *(value.epochs for value in self._ratios if isinstance(value, Schedule))])
        """The number of epochs until the plan stays the same."""
        self._plans: dict[Any, Plan] = {}
        for epoch in range(self.epochs):
            self.of_epoch(epoch)

    @property
    def scheduled(self) -> bool:
        """Whether the plan changes with the epoch."""
        return len(self._plans) > 1

    @property
    def keep_labels(self) -> bool:
        """Whether in every class as many real samples are removed as generated ones are added."""
        return all(np.array_equal(plan.added, plan.removed) for plan in self._plans.values())

    @property
    def needed(self) -> list[Ints]:
        """The largest number of samples per class that an epoch uses, of each source, int64 (classes,)."""
        return [np.max(parts, axis=0) for parts in zip(*(plan.parts for plan in self._plans.values()), strict=True)]

    def of_epoch(self, epoch: int) -> Plan:
        """The plan of an epoch."""
        ratios = tuple(value(epoch) if isinstance(value, Schedule) else value for value in self._ratios)
        key = tuple(map(repr, ratios))
        if key not in self._plans:
            try:
                self._plans[key] = self._plan(ratios)
            except InputError as error:
                if self.epochs == 1:
                    raise
                raise InputError(f"in epoch {epoch} of the schedule, {error}") from error
        return self._plans[key]

    def describe(self) -> str:
        """For a repr: the shares of several sources and schedules; empty for one number."""
        if self.by_name:
            return f"ratio={dict(zip(self.names, self._ratios, strict=True))!r}, "
        return f"ratio={self._ratios[0]!r}, " if isinstance(self._ratios[0], Schedule) else ""

    def _plan(self, ratios: tuple[Any, ...]) -> Plan:
        if not self.by_name:
            return make_plan(self._counts, ratio=ratios[0], mode=self._mode, balance=self._balance)
        shares = [as_share(ratio, f"ratio[{name!r}]") for name, ratio in zip(self.names, ratios, strict=True)]
        total = sum(shares, Fraction(0))
        if total > 1 or (total == 1 and self._mode == "expand"):
            limit = "must be less than 1 in all" if self._mode == "expand" else "can't be more than 1 in all"
            raise InputError(f"the sources' shares {limit}, but {_listed(self.names, ratios)} sum to {float(total):g}.")
        plan = make_plan(self._counts, ratio=total, mode=self._mode, balance=self._balance)
        real = sum(self._counts)
        return divide(plan, shares, real + plan.generated if self._mode == "expand" else real)


def _listed(names: Sequence[str], ratios: Sequence[Any]) -> str:
    return ", ".join(f"{name!r}: {as_number(ratio)}" for name, ratio in zip(names, ratios, strict=True))
