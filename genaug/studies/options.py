"""The options of a study, their checks, and the call that repeats it."""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from numbers import Integral
from typing import Any

import torch
from torch.utils.data import Subset

from genaug import checks
from genaug.blend.plan import as_number
from genaug.checks import as_whole
from genaug.errors import InputError
from genaug.randomness import check_seed
from genaug.studies.arms import NONE, Arm, parse_baseline
from genaug.studies.identity import described
from genaug.studies.mixes import Mix


@dataclass(frozen=True)
class Options:
    """What a study measures, as the arguments of ``genaug.study``, which explains them."""

    sources: Mapping[str, Any]
    ratios: Sequence[float] = (0.25, 0.5)
    schedules: Mapping[str, Any] | None = None
    seeds: int | Sequence[int] = 10
    labels_per_class: int | Mapping[Any, int] | None = None
    metric: str = "accuracy"
    baselines: Sequence[str] | None = None
    classifier: Any = None
    classic: Any = None
    updates: int = 500
    batch_size: int = 64
    lr: float = 1e-3
    image_size: int | None = None
    device: str | torch.device | None = None
    explore: bool = False

    def changed(self) -> dict[str, str]:
        """The options that differ from their defaults, as Python source or a description."""
        values = {field.name: (getattr(self, field.name), field.default) for field in fields(self)}
        return {
            name: _describe(value)
            for name, (value, default) in values.items()
            if default is MISSING or not _same(value, default)
        }


def check_applicable(options: Options, noun: str) -> None:
    """Raises ``InputError`` for options of networks, if the classifiers are estimators, of ``noun``."""
    of_networks = ("schedules", "classic", "updates", "batch_size", "lr", "image_size")
    if unfit := [name for name in options.changed() if name in of_networks]:
        raise InputError(
            f"{unfit[0]}= is for classifiers that are networks, and these are estimators of {noun}. Leave it out."
        )


def check_baselines(names: Any, possible: Sequence[str]) -> list[Arm]:
    """The baselines by their names, "none" first. ``possible`` are those that the classifiers allow besides. Raises
    ``InputError`` for anything else, and for a name that occurs twice."""
    if isinstance(names, str) or not isinstance(names, Sequence):
        raise InputError(f"baselines must be a sequence of names such as ('none', {possible[-1]!r}), got {names!r}.")
    arms = [NONE, *(arm for name in names if (arm := parse_baseline(name, possible)) != NONE)]
    if len(set(arms)) < len(arms):
        raise InputError(f"baselines must differ, got {names!r}.")
    return arms


def check_seeds(seeds: Any) -> list[int]:
    """The seeds, given by number or as a sequence. Raises ``InputError`` unless they are two or more different ones."""
    if isinstance(seeds, Integral) and not isinstance(seeds, bool):
        numbers = list(range(as_whole(seeds, "seeds", 0, checks.SEEDS)))
    elif isinstance(seeds, Sequence) and not isinstance(seeds, str):
        as_whole(len(seeds), "the number of seeds", 0, checks.SEEDS)
        numbers = [check_seed(seed) for seed in seeds]
    else:
        raise InputError(f"seeds must be a number of seeds or a sequence of them, got {seeds!r}.")
    if len(numbers) < 2 or len(set(numbers)) < len(numbers):
        raise InputError(
            f"a verdict needs at least two different seeds (ten are better), got {seeds!r}: a single one says nothing "
            "about the spread."
        )
    return numbers


def check_ratios(ratios: Any, *, required: bool = True) -> list[float]:
    """The ratios in ascending order. Raises ``InputError`` unless they differ and lie in (0, 1), and if there are none
    although they are ``required``."""
    if isinstance(ratios, str) or not isinstance(ratios, Sequence) or (required and not ratios):
        raise InputError(f"ratios must be a sequence of shares such as (0.25, 0.5), got {ratios!r}.")
    as_whole(len(ratios), "the number of ratios", 0, checks.RATIOS)
    shares = sorted(float(as_number(ratio)) for ratio in ratios)
    for share in shares:
        if not 0 < share < 1:
            raise InputError(
                f"ratios are the generated shares of a classifier's training images, each in (0, 1), got {share!r}. "
                "Ratio 0 is the arm 'none', which is always included."
            )
    if len({f"{share:g}" for share in shares}) < len(shares):
        raise InputError(f"ratios must differ, got {ratios!r}.")
    return shares


def python_call(options: Mapping[str, str]) -> str:
    """The call of ``genaug.study`` with these options, for the caller's two datasets."""
    return f"genaug.study({', '.join(['train_set', 'test_set', *(f'{k}={v}' for k, v in options.items())])})"


def data_name(dataset: Any) -> str:
    """The class of a dataset, and its folder if it has one; for a ``Subset``, those of the dataset it selects from."""
    while isinstance(dataset, Subset):
        dataset = dataset.dataset
    root = getattr(dataset, "root", None)
    return type(dataset).__name__ + (f" in {root}" if isinstance(root, str) and root else "")


def _describe(value: Any) -> str:
    """Python source if possible, otherwise a description."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key!r}: {_describe(item)}" for key, item in value.items()) + "}"
    if isinstance(value, Mix):
        weights = "" if value.weights is None else f", {_describe(value.weights)}"
        return f"Mix({_describe(value.sources)}{weights})"
    if hasattr(value, "sample"):  # a source: its repr may be anything, and can't be typed in
        return f"<{type(value).__name__}>"
    return value.__qualname__ if inspect.isclass(value) or inspect.isfunction(value) else described(value)


def _same(value: Any, default: Any) -> bool:
    if isinstance(value, list | tuple) and isinstance(default, list | tuple):
        return list(value) == list(default)
    return type(value) is type(default) and bool(value == default)
