"""The result of a study: the verdict, for programs, and everything that it is based on, for people."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, TypeAdapter

from genaug.artifacts.claims import claim
from genaug.artifacts.json_files import check, read_json
from genaug.artifacts.paths import reading_from, user_path
from genaug.errors import FormatError, InputError
from genaug.schedules import Schedule
from genaug.studies.arms import Arm
from genaug.studies.compare import Reduction, error_reduction
from genaug.studies.decide import Verdict
from genaug.studies.metrics import COUNTING_ERRORS

FORMAT_VERSION = 3
_REMEDY = "Run the study with --resume, which writes it again."


class _Part(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True)


class _Metric(_Part):
    key: str
    noun: str


class _Schedule(_Part):
    values: Annotated[list[Annotated[FiniteFloat, Field(ge=0, le=1)]], Field(min_length=1)]
    text: str


class _Settings(_Part):
    seeds: list[int]
    schedules: dict[str, _Schedule] = {}


class _Statistics(_Part):
    correction: FiniteFloat


class _Difference(_Part):
    low: FiniteFloat
    high: FiniteFloat


class _Chosen(_Part):
    ratio: FiniteFloat | None  # None if it is a classifier
    schedule: str | None = None


class _Details(_Part):
    """The fields of ``report.json`` that are used; all others are passed on unchanged."""

    verdict: Verdict
    ratio: Annotated[FiniteFloat, Field(ge=0, lt=1)]
    source: str | None
    classic: bool
    chosen: _Chosen | None
    sentence: str
    reservations: list[str]
    warnings: list[str]
    difference: _Difference | None
    settings: _Settings
    statistics: _Statistics
    method: str | None
    metric: _Metric
    scores: dict[Literal["inner", "test"], dict[str, dict[str, FiniteFloat]]]
    comparisons: list[dict[str, Any]]


_ANY, _DETAILS = TypeAdapter(dict[str, Any]), TypeAdapter(_Details)


@dataclass(frozen=True)
class Report:
    """The result of ``genaug.study``; ``genaug.load_study`` reads it back.

    ``verdict`` is "use", "don't use" or "no evidence". ``ratio`` is the ratio for ``MixedDataset``: 0 unless the
    verdict is "use" of samples; the mean of ``schedule`` if there is one. ``source`` is the source that was chosen and
    tested, or None if none finished; ``classic`` is whether to use classic augmentation when training a classifier, and
    ``method`` the name of everything that is to be done besides, such as "classic", "smote (boosting)" or "none".
    ``details`` is the content of ``report.json``, with Python that follows the advice as ``details["code"]``; ``html``
    is the page, if any.
    """

    verdict: Verdict
    ratio: float
    source: str | None
    classic: bool
    sentence: str
    details: dict[str, Any]
    html: str | None = None

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95% interval (97.5% if the verdict is "don't use") of the chosen arm's gain, as a share, over the
        baseline, none or classic, over which it gained least; None if the arm failed."""
        difference = self.details["difference"]
        return None if difference is None else (difference["low"], difference["high"])

    @property
    def method(self) -> str | None:
        """How to train a classifier, beside generated samples if the verdict is "use" of these, as the name of a
        baseline: that of the chosen arm, or the best one without samples; None if all failed."""
        method: str | None = self.details["method"]
        return method

    @property
    def metric(self) -> str:
        """What was measured, in words: "accuracy", "macro-F1", "recall of 'yes'"."""
        noun: str = self.details["metric"]["noun"]
        return noun

    @property
    def schedule(self) -> Schedule | None:
        """The schedule of ratios for ``MixedDataset``, if the verdict is "use" of one. In a study its numbers last for
        equal parts of the training; ``report.schedule.over(epochs)`` has them for so many epochs."""
        name = (self.details["chosen"] or {}).get("schedule")
        if self.verdict != "use" or name is None:
            return None
        recorded = self.details["settings"]["schedules"][name]
        return Schedule(recorded["values"], recorded["text"])

    @property
    def route(self) -> Literal["samples", "classifier"] | None:
        """What to use of ``source``: its samples, at ``ratio``, or its classifier; None unless the verdict is "use"."""
        if self.verdict != "use":
            return None
        return "samples" if self.ratio else "classifier"

    def scores(self, arm: str, phase: str = "test") -> list[float]:
        """An arm's values of the metric on the test set, or on the ``inner`` splits, by seed.

        Raises ``KeyError`` for an arm that wasn't run there or failed on a seed.
        """
        row: dict[str, float] = self.details["scores"][phase][arm]
        return [row[str(seed)] for seed in self.details["settings"]["seeds"]]

    def error_reduction(self, arm: str, baseline: str, confidence: float = 0.95) -> Reduction:
        """The share of ``baseline``'s test errors that ``arm`` removes, with Fieller's interval at ``confidence``,
        which is not corrected for the number of comparisons. Raises ``KeyError`` for arms that weren't tested, and
        ``InputError`` if 1 minus the metric isn't a rate of errors."""
        if self.details["metric"]["key"] not in COUNTING_ERRORS:
            raise InputError(f"1 - {self.metric} is not a rate of errors, so there is no reduction of it.")
        correction = self.details["statistics"]["correction"]
        return error_reduction(self.scores(arm), self.scores(baseline), confidence, correction=correction)

    def save(self, folder: str | Path) -> None:
        """Write ``report.json`` and, if there is a page, ``report.html``, replacing those of an earlier study.

        Raises ``OutputExistsError`` for files of these names that genaug didn't write, ``SaveError`` if writing fails.
        """
        with claim(folder, "study", what="the report of a study", replace=True, join=True) as place:
            place.write(self.contents())

    def contents(self) -> dict[str, bytes]:
        """The files that ``save`` writes, by name."""
        contents = {"report.json": (json.dumps(self.details, indent=2, allow_nan=False) + "\n").encode()}
        if self.html is not None:
            contents["report.html"] = self.html.encode()
        return contents

    def __repr__(self) -> str:
        what = "route='classifier'" if self.route == "classifier" else f"ratio={self.ratio:g}"
        return f"Report({self.verdict!r}, {what}, source={self.source!r}, classic={self.classic})"


def from_details(details: dict[str, Any], html: str | None = None) -> Report:
    """A report from the content of ``report.json``."""
    fields = ("verdict", "ratio", "source", "classic", "sentence")
    return Report(**{name: details[name] for name in fields}, details=details, html=html)


def load_study(where: str | Path) -> Report:
    """Read a study's report from its folder or from ``report.json`` itself.

    ``genaug.load_study(path).ratio`` is the ratio for ``MixedDataset``. Raises ``FormatError`` for anything that isn't
    a study's report, for a damaged one, and for one of another format version; ``ReadError`` if it can't be read.
    """
    path = user_path(where)
    with reading_from(path):
        path = path / "report.json" if path.is_dir() else path
        if not path.is_file():
            raise FormatError(
                f"{path} is missing. Expected the report of genaug.study; a study that isn't finished has none."
            )
    details = read_json(path, _ANY, _REMEDY)
    if details.get("kind") != "study":
        raise FormatError(f"{path} is not a study's report. Pass the folder of a study, or its report.json.")
    version = details.get("format_version")
    if version != FORMAT_VERSION:
        raise FormatError(
            f"{path} has format version {str(version)[:40]}; this genaug reads version {FORMAT_VERSION}. Update genaug "
            "if the report is newer; run the study again if it is older."
        )
    checked = check(details, _DETAILS, str(path), _REMEDY)
    blended = checked.chosen is not None and checked.chosen.ratio is not None
    if (checked.ratio > 0) != (checked.verdict == "use" and blended) or (
        checked.verdict == "use" and checked.chosen is None
    ):
        raise FormatError(f"{path} is damaged (ratio and verdict contradict each other). {_REMEDY}")
    if checked.chosen is not None and checked.chosen.schedule not in (None, *checked.settings.schedules):
        raise FormatError(f"{path} is damaged (schedule {checked.chosen.schedule!r} is missing). {_REMEDY}")
    return from_details(details)


def arm_details(arm: Arm | None) -> dict[str, Any] | None:
    if arm is None:
        return None
    details = {"name": arm.name, "source": arm.source, "ratio": arm.ratio, "classic": arm.classic}
    others = {name: getattr(arm, name) for name in ("method", "classifier", "schedule", "curriculum")}
    return details | {name: value for name, value in others.items() if value is not None}
