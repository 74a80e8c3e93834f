"""The arms of a study: the ways to get a classifier."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

NOISE = "noise"  # the name of the control, reserved like those of the baselines
RESERVED = ("none", "classic", NOISE)


@dataclass(frozen=True)
class Arm:
    """A combination of training data and augmentation: images of ``source`` blended in at ``ratio``, or none, with or
    without classic augmentation. With ``ratio`` None, the arm is a classifier that ``source`` itself provides."""

    source: str | None = None
    ratio: float | None = 0.0
    classic: bool = False

    @property
    def name(self) -> str:
        """Unique within a study: "none", "classic", "noise 0.25", "classic + cgan 0.5", "ssgan" without a ratio."""
        source = str(self.source) if self.ratio is None else f"{self.source} {self.ratio:g}"
        parts = ["classic"] * self.classic + [source] * (self.source is not None)
        return " + ".join(parts) or "none"

    @property
    def candidate(self) -> bool:
        """Whether the arm can be chosen: it isn't a baseline or the control."""
        return self.source not in (None, NOISE)


NONE, CLASSIC = Arm(), Arm(classic=True)


def all_arms(sources: Sequence[str], ratios: Sequence[float], classifiers: Sequence[str] = ()) -> list[Arm]:
    """None and classic, then for each ratio in ascending order: the noise control, and each source without and with
    classic augmentation. Then the ``classifiers``, once each."""
    arms = [NONE, CLASSIC]
    for ratio in sorted(ratios) if sources else ():
        arms.append(Arm(NOISE, ratio))
        arms += [Arm(source, ratio, classic) for source in sources for classic in (False, True)]
    return arms + [Arm(name, None) for name in classifiers]


def arms_of(settings: Mapping[str, Any]) -> list[Arm]:
    """All arms of the study with these recorded settings."""
    described = settings["sources"]
    classifiers = [name for name, source in described.items() if source.get("route") == "classifier"]
    return all_arms([name for name in described if name not in classifiers], settings["ratios"], classifiers)


def arms_to_test(chosen: Arm | None, others: Sequence[Arm] = ()) -> list[Arm]:
    """The arms to score on the test set: both baselines, the chosen arm and, if it has a ratio, the same without (or
    with) classic augmentation and the noise control at its ratio; then ``others``, for exploration only."""
    arms = [NONE, CLASSIC]
    if chosen is not None and chosen.ratio is None:
        arms.append(chosen)
    elif chosen is not None:
        arms.append(Arm(NOISE, chosen.ratio))
        arms += [Arm(chosen.source, chosen.ratio, classic) for classic in (False, True)]
    return arms + [arm for arm in others if arm not in arms]
