"""The arms of a study: the ways in which a classifier is trained."""

from collections.abc import Sequence
from dataclasses import dataclass

NOISE = "noise"  # the name of the control, reserved like those of the baselines
RESERVED = ("none", "classic", NOISE)


@dataclass(frozen=True)
class Arm:
    """A combination of training data and augmentation: images of ``source`` blended in at ``ratio``, or none, with or
    without classic augmentation."""

    source: str | None = None
    ratio: float = 0.0
    classic: bool = False

    @property
    def name(self) -> str:
        """Unique within a study: "none", "classic", "noise 0.25", "classic + cgan 0.5"."""
        parts = ["classic"] * self.classic + [f"{self.source} {self.ratio:g}"] * (self.source is not None)
        return " + ".join(parts) or "none"

    @property
    def candidate(self) -> bool:
        """Whether the arm can be chosen: it contains generated images, and isn't the control."""
        return self.source not in (None, NOISE)


NONE, CLASSIC = Arm(), Arm(classic=True)


def all_arms(sources: Sequence[str], ratios: Sequence[float]) -> list[Arm]:
    """None and classic, then for each ratio in ascending order: the noise control, and each source without and with
    classic augmentation."""
    arms = [NONE, CLASSIC]
    for ratio in sorted(ratios):
        arms.append(Arm(NOISE, ratio))
        arms += [Arm(source, ratio, classic) for source in sources for classic in (False, True)]
    return arms


def arms_to_test(chosen: Arm | None, others: Sequence[Arm] = ()) -> list[Arm]:
    """The arms to score on the test set: both baselines, the chosen arm, the same without (or with) classic
    augmentation, and the noise control at its ratio; then ``others``, for exploration only."""
    arms = [NONE, CLASSIC]
    if chosen is not None:
        arms.append(Arm(NOISE, chosen.ratio))
        arms += [Arm(chosen.source, chosen.ratio, classic) for classic in (False, True)]
    return arms + [arm for arm in others if arm not in arms]
