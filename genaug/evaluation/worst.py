"""The classes whose generated images are least like the real ones."""

from collections.abc import Mapping
from typing import Protocol

MOST = 3  # classes per measure


class Figure(Protocol):
    """What a ``Measure`` says about the samples of a class."""

    @property
    def value(self) -> float: ...
    @property
    def low(self) -> float | None: ...
    @property
    def high(self) -> float | None: ...
    @property
    def higher_is_better(self) -> bool | None: ...
    @property
    def best(self) -> float | None: ...
    @property
    def reference(self) -> float | None: ...


def worst_classes(per_class: Mapping[str, Mapping[str, Figure]]) -> dict[str, list[str]]:
    """The three classes, or fewer, with the worst figures, by measure, the worst first.

    A figure is compared with that of the class's real images (``reference``); without it with the best value, if there
    is one, or with the mean of all classes. It counts as worse only if its interval doesn't contain that value.
    """
    worst = {}
    for name in dict.fromkeys(name for figures in per_class.values() for name in figures):
        figures = {label: of_class[name] for label, of_class in per_class.items() if name in of_class}
        mean = sum(figure.value for figure in figures.values()) / len(figures)
        gaps = {label: _gap(figure, mean) for label, figure in figures.items()}
        ranked = sorted((label for label, gap in gaps.items() if gap > 0), key=lambda label: -gaps[label])
        if ranked:
            worst[name] = ranked[:MOST]
    return worst


def _gap(figure: Figure, mean: float) -> float:
    """By how much a figure is worse than expected; 0 if it isn't, or if that may be chance."""
    expected = next((value for value in (figure.reference, figure.best) if value is not None), mean)
    if figure.low is not None and figure.high is not None and figure.low <= expected <= figure.high:
        return 0.0
    if figure.higher_is_better is None:
        return abs(expected - figure.value)
    return (expected - figure.value) * (1 if figure.higher_is_better else -1)
