"""The arms of a study: the ways to get a classifier."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

from genaug.errors import InputError

NOISE = "noise"  # the name of the control, reserved like those of the baselines
METHODS = ("weights", "oversample", "smote")  # against imbalance
RESERVED = ("none", "classic", NOISE, *METHODS)


@dataclass(frozen=True)
class Arm:
    """A combination of training data and augmentation: samples of ``source`` blended in at ``ratio``, or none, with or
    without classic augmentation.

    With ``ratio`` None, the arm is a classifier that ``source`` itself provides. With the name of a ``schedule``, the
    ratio changes during the training, and ``ratio`` is its mean; ``curriculum`` is the name of the curriculum that
    decides which generated samples are used when. ``method`` is what is done about
    imbalanced classes: "weights" (of the classes in the loss), "oversample" (real samples are repeated) or "smote".
    ``classifier`` is the name of the classifier, if the study has several.
    """

    source: str | None = None
    ratio: float | None = 0.0
    classic: bool = False
    method: str | None = None
    classifier: str | None = None
    schedule: str | None = None
    curriculum: str | None = None

    @property
    def name(self) -> str:
        """Unique within a study: "none", "classic + oversample", "noise 0.25", "smote + tvae 0.5 (logistic)", "cgan
        decay" with a schedule, "cgan 0.5 easy-first" with a curriculum, "ssgan" without a ratio."""
        source = str(self.source) if self.ratio is None else f"{self.source} {self.schedule or f'{self.ratio:g}'}"
        source += f" {self.curriculum}" if self.curriculum else ""
        parts = ["classic"] * self.classic + ([self.method] if self.method else [])
        name = " + ".join(parts + [source] * (self.source is not None)) or "none"
        return f"{name} ({self.classifier})" if self.classifier else name

    @property
    def candidate(self) -> bool:
        """Whether the arm can be chosen: it isn't a baseline or the control."""
        return self.source not in (None, NOISE)

    @property
    def without_methods(self) -> "Arm":
        """The same arm without classic augmentation, and with nothing done about imbalance."""
        return replace(self, classic=False, method=None)

    @property
    def without_samples(self) -> "Arm":
        """The arm with the same augmentation and classifier that has no generated samples."""
        return replace(self, source=None, ratio=0.0, schedule=None, curriculum=None)

    @property
    def control(self) -> "Arm":
        """The noise control of an arm with generated samples: the same share of noisy copies at the same time."""
        return replace(self.without_methods, source=NOISE)


NONE, CLASSIC = Arm(), Arm(classic=True)
BASELINES = (NONE, CLASSIC)


def parse_baseline(name: Any, possible: Sequence[str]) -> Arm:
    """The baseline with this name: "none", or "classic" and a method, or one of them. ``possible`` are those that the
    data allow. Raises ``InputError`` for any other name."""
    parts = [part.strip() for part in name.split("+")] if isinstance(name, str) else []
    methods = [part for part in parts if part in METHODS]
    known = parts == ["none"] or (parts and set(parts) <= {"classic", *METHODS} and len(set(parts)) == len(parts))
    if not known:
        raise InputError(
            f"a baseline must be one of {', '.join(map(repr, ('none', *possible)))}, or two of them with ' + ', got "
            f"{name!r}."
        )
    if unfit := [part for part in parts if part not in ("none", *possible)]:
        raise InputError(f"{unfit[0]!r} isn't possible here. Expected baselines of 'none', {', '.join(possible)}.")
    if len(methods) > 1:
        raise InputError(f"{name!r} makes up for imbalanced classes twice. Use {methods[0]!r} or {methods[1]!r}.")
    return Arm(classic="classic" in parts, method=methods[0] if methods else None)


def variants(plain: Arm, baselines: Sequence[Arm]) -> list[Arm]:
    """The arms with the same generated samples as ``plain``: this one alone, and with each augmentation that is a
    baseline by itself, classic or SMOTE."""
    arms = [replace(plain, classic=arm.classic, method=arm.method) for arm in baselines if _is_augmentation(arm)]
    return list(dict.fromkeys([plain, *arms]))


def _is_augmentation(arm: Arm) -> bool:
    return (arm.classic, arm.method) in ((True, None), (False, "smote"))


def all_arms(
    sources: Sequence[str],
    ratios: Sequence[float],
    classifiers: Sequence[str] = (),
    baselines: Sequence[Arm] = BASELINES,
    schedules: Mapping[str, float] | None = None,
    curricula: Sequence[str] = (),
) -> list[Arm]:
    """The baselines; then for each ratio in ascending order, and each of the study's classifiers: the noise control,
    and each source's ``variants``. The same for each of the ``curricula`` at each ratio, and for each of the
    ``schedules``, which have a mean ratio. Then the ``classifiers`` that sources provide, once each."""
    arms, own = list(baselines), dict.fromkeys(arm.classifier for arm in baselines)
    blends = [Arm(ratio=ratio, curriculum=name) for name in (None, *curricula) for ratio in sorted(ratios)]
    blends += [Arm(ratio=mean, schedule=name) for name, mean in (schedules or {}).items()]
    for blend in blends if sources else ():
        for classifier in own:
            plain = replace(blend, classifier=classifier)
            arms.append(plain.control)
            arms += [arm for source in sources for arm in variants(replace(plain, source=source), baselines)]
    return arms + [Arm(name, None) for name in classifiers]


def arms_of(settings: Mapping[str, Any]) -> list[Arm]:
    """All arms of the study with these recorded settings."""
    described = settings["sources"]
    classifiers = [name for name, source in described.items() if source.get("route") == "classifier"]
    sources = [name for name in described if name not in classifiers]
    kinds: dict[str, dict[str, Any]] = {"ratio": {}, "curriculum": {}}
    for name, schedule in (settings.get("schedules") or {}).items():
        kinds[schedule["kind"]][name] = fmean(schedule["values"])
    return all_arms(
        sources, settings["ratios"], classifiers, baselines_of(settings), kinds["ratio"], tuple(kinds["curriculum"])
    )


def baselines_of(settings: Mapping[str, Any]) -> tuple[Arm, ...]:
    """The baselines of the study with these recorded settings, which omit the usual ones."""
    names = settings.get("baselines") or [arm.name for arm in BASELINES]
    arms = [parse_baseline(name, ("classic", *METHODS)) for name in names]
    classifiers = list(settings.get("classifiers") or ())
    own = classifiers if len(classifiers) > 1 else [None]
    return tuple(replace(arm, classifier=name) for name in own for arm in arms)


def arms_to_test(chosen: Arm | None, others: Sequence[Arm] = (), baselines: Sequence[Arm] = BASELINES) -> list[Arm]:
    """The arms to score on the test set: the baselines, the chosen arm and, if it has a ratio, its other ``variants``
    and the noise control at its ratio; then ``others``, for exploration only."""
    arms = list(baselines)
    if chosen is not None and chosen.ratio is None:
        arms.append(chosen)
    elif chosen is not None:
        arms += [chosen.control, *variants(chosen.without_methods, baselines)]
    return arms + [arm for arm in others if arm not in arms]
