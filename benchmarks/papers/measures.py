"""Figures by seed and their targets."""

import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from scipy.stats import ttest_1samp

Row = dict[str, Any]
Of = Literal["median", "mean", "every seed", "paired t-test"]
LEVEL = 0.05


@dataclass(frozen=True)
class Bound:
    """A target for the median, the mean or every seed, or, with a paired t-test, for the mean of values that are
    differences."""

    sign: Literal[">=", "<=", "<"]
    limit: float
    of: Of = "median"

    def holds(self, value: float) -> bool:
        return {">=": value >= self.limit, "<=": value <= self.limit, "<": value < self.limit}[self.sign]

    def met(self, values: Iterable[float]) -> bool:
        values = list(values)
        if self.of == "every seed":
            return all(map(self.holds, values))
        if self.of in ("median", "mean"):
            return self.holds(statistics.median(values) if self.of == "median" else statistics.mean(values))
        return len(values) > 1 and self.holds(statistics.mean(values)) and float(ttest_1samp(values, 0).pvalue) < LEVEL


@dataclass(frozen=True)
class Measure:
    """A figure by seed. A finished seed may lack it unless it is ``required``; ``seeds`` is the number of its seeds
    when it is complete, if it differs from the script's."""

    label: str
    values: Mapping[int, float]
    form: str = ".3f"
    bound: Bound | None = None
    paper: str = "–"
    required: bool = True
    seeds: int | None = None

    @property
    def met(self) -> bool | None:
        return self.bound.met(self.values.values()) if self.bound and self.values else None


def by_seed(rows: Iterable[Row], of: str, seed: str = "seed", **only: Any) -> dict[int, Any]:
    """A figure of the rows with these settings, by seed."""
    values = {row[seed]: row[of] for row in rows if all(row.get(k) == v for k, v in only.items())}
    return dict(sorted((s, value) for s, value in values.items() if value is not None))


def differences(many: Mapping[int, float], few: Mapping[int, float]) -> dict[int, float]:
    return {seed: many[seed] - few[seed] for seed in many if seed in few}
