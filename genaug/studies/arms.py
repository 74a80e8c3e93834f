"""The arms of a study: the ways to get a classifier."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from genaug.errors import InputError

NOISE = "noise"  # the name of the control, reserved like those of the baselines
METHODS = ("weights", "oversample", "smote")  # against imbalance
RESERVED = ("none", "classic", NOISE, *METHODS)


@dataclass(frozen=True)
class Arm:
    """A combination of training data and augmentation: samples of ``source`` blended in at ``ratio``, or none, with or
    without classic augmentation.

    With ``ratio`` None, the arm is a classifier that ``source`` itself provides. ``method`` is what is done about
    imbalanced classes: "weights" (of the classes in the loss), "oversample" (real samples are repeated) or "smote".
    ``classifier`` is the name of the classifier, if the study has several.
    """

    source: str | None = None
    ratio: float | None = 0.0
    classic: bool = False
    method: str | None = None
    classifier: str | None = None

    @property
    def name(self) -> str:
        """Unique within a study: "none", "classic + oversample", "noise 0.25", "smote + tvae 0.5 (logistic)", "ssgan"
        without a ratio."""
        source = str(self.source) if self.ratio is None else f"{self.source} {self.ratio:g}"
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


def variants(source: str, ratio: float | None, baselines: Sequence[Arm], classifier: str | None = None) -> list[Arm]:
    """The arms with samples of ``source`` at a ratio: alone, and with each augmentation that is a baseline by itself,
    classic or SMOTE."""
    plain = Arm(source, ratio, classifier=classifier)
    arms = [replace(plain, classic=arm.classic, method=arm.method) for arm in baselines if _is_augmentation(arm)]
    return list(dict.fromkeys([plain, *arms]))


def _is_augmentation(arm: Arm) -> bool:
    return (arm.classic, arm.method) in ((True, None), (False, "smote"))


def all_arms(
    sources: Sequence[str],
    ratios: Sequence[float],
    classifiers: Sequence[str] = (),
    baselines: Sequence[Arm] = BASELINES,
) -> list[Arm]:
    """The baselines; then for each ratio in ascending order, and each of the study's classifiers: the noise control,
    and each source's ``variants``. Then the ``classifiers`` that sources provide, once each."""
    arms, own = list(baselines), dict.fromkeys(arm.classifier for arm in baselines)
    for ratio in sorted(ratios) if sources else ():
        for name in own:
            arms.append(Arm(NOISE, ratio, classifier=name))
            arms += [arm for source in sources for arm in variants(source, ratio, baselines, name)]
    return arms + [Arm(name, None) for name in classifiers]


def arms_of(settings: Mapping[str, Any]) -> list[Arm]:
    """All arms of the study with these recorded settings."""
    described = settings["sources"]
    classifiers = [name for name, source in described.items() if source.get("route") == "classifier"]
    sources = [name for name in described if name not in classifiers]
    return all_arms(sources, settings["ratios"], classifiers, baselines_of(settings))


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
        arms.append(Arm(NOISE, chosen.ratio, classifier=chosen.classifier))
        arms += variants(str(chosen.source), chosen.ratio, baselines, chosen.classifier)
    return arms + [arm for arm in others if arm not in arms]
