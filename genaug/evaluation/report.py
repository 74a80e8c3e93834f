"""What an evaluation found: every number with its interval, its number of samples and the features it was taken on."""

import json
import math
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from genaug.artifacts.claims import Claim, claim
from genaug.artifacts.figures import EVALUATION_FILE
from genaug.escaping import escaped
from genaug.evaluation.arrays import Interval
from genaug.reports.sheet import encode_png

SHEET_FILE = "neighbours.png"
FORMAT_VERSION = 1
_MOST_CLASSES = 20  # in the printed table


@dataclass(frozen=True)
class Measure:
    """One number.

    ``low`` and ``high`` bound its 95 % interval, or are None where there is none. ``samples`` and ``real_samples`` are
    how many generated and real images went in, ``features`` whose features were compared. ``higher_is_better`` is
    None where neither is: the best value is then ``best``. ``reference`` is what as many real held-out images score.
    """

    value: float
    low: float | None
    high: float | None
    samples: int
    real_samples: int
    features: str
    higher_is_better: bool | None
    best: float | None = None
    reference: float | None = None
    details: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and strings; what isn't finite is None. ``details`` stand beside the others."""
        own = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "details"}
        return {name: _finite(value) for name, value in {**own, **self.details}.items()}


def measure(value: float, interval: Interval | None, bounds: tuple[float, float], **rest: Any) -> Measure:
    """A measure whose interval is cut to where the value can lie."""
    if interval is None or math.isnan(interval.low):
        return Measure(value, None, None, **rest)
    return Measure(value, max(interval.low, bounds[0]), min(interval.high, bounds[1]), **rest)


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


@dataclass(frozen=True)
class Evaluation:
    """The result of ``genaug.evaluate``.

    ``header`` says on what data, with which seed, features and versions; ``metrics`` maps a measure's name to it,
    ``per_class`` a class's name to its measures, ``not_measured`` a name to the reason. ``sheet`` shows generated
    images beside their nearest real ones.
    """

    header: Mapping[str, Any]
    metrics: Mapping[str, Measure]
    per_class: Mapping[str, Mapping[str, Measure]]
    not_measured: Mapping[str, str]
    sheet: Image.Image

    @property
    def passed(self) -> bool | None:
        """Whether the copying check passed; None where it wasn't made."""
        return self.metrics["copying"].details["passed"] if "copying" in self.metrics else None

    def to_dict(self) -> dict[str, Any]:
        """What ``evaluation.json`` holds: the header, then ``metrics``, ``per_class`` and ``not_measured``."""
        return {
            "kind": "evaluation",
            "format_version": FORMAT_VERSION,
            **self.header,
            "metrics": {name: found.to_dict() for name, found in self.metrics.items()},
            "per_class": {
                label: {name: found.to_dict() for name, found in measures.items()}
                for label, measures in self.per_class.items()
            },
            "not_measured": dict(self.not_measured),
        }

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), indent=2, allow_nan=False, ensure_ascii=False) + "\n"

    def __str__(self) -> str:
        """Tables of the measures, of all and of each class, what wasn't measured and why, and the copying check."""
        rows = [("measure", "value", "95 % interval", "real images", "best")]
        for name, found in self.metrics.items():
            interval = "" if found.low is None else f"{found.low:.3f} to {found.high:.3f}"
            reference = "" if found.reference is None else f"{found.reference:.3f}"
            best = {True: "high", False: "low", None: f"{found.best:g}" if found.best is not None else ""}
            shown = "copying (C_T)" if name == "copying" else name
            rows.append((shown, f"{found.value:.3f}", interval, reference, best[found.higher_is_better]))
        lines = [*_aligned(rows), *self._class_lines(), "", f"features: {self.header['features']}"]
        for reason in dict.fromkeys(self.not_measured.values()):
            names = [name for name in self.not_measured if self.not_measured[name] == reason]
            lines.append(f"not measured: {', '.join(names)}: {reason}")
        if "copying" in self.metrics:
            lines += _copying_lines(self.metrics["copying"].details)
        return "\n".join(lines)

    def _class_lines(self) -> list[str]:
        names = [name for name in self.metrics if any(name in measures for measures in self.per_class.values())]
        if not names:
            return []
        if len(self.per_class) > _MOST_CLASSES:
            return ["", f"{len(self.per_class)} classes: see the JSON for each."]
        rows = [("class", *names)]
        for label, measures in self.per_class.items():
            rows.append((escaped(label), *(f"{measures[n].value:.3f}" if n in measures else "" for n in names)))
        return ["", *_aligned(rows)]

    def save(self, folder: str | Path, *, overwrite: bool = False) -> Path:
        """Write ``evaluation.json`` and ``neighbours.png`` into a folder, both or none.

        Raises ``OutputExistsError`` where the folder holds something, unless that is an evaluation and ``overwrite``
        is true; ``SaveError`` where writing fails.
        """
        with claim_evaluation(folder, overwrite) as place:
            self.write(place)
        return place.path

    def write(self, place: Claim) -> None:
        """As ``save``, into a folder that is claimed already."""
        text = self.to_json().encode(errors="backslashreplace")
        place.write({EVALUATION_FILE: text, SHEET_FILE: encode_png(self.sheet)})


def _copying_lines(found: Mapping[str, Any]) -> list[str]:
    copied = f"{found['copied']:.1%} ({found['copied_low']:.1%} to {found['copied_high']:.1%})"
    ratio = f"{found['nearest_ratio']:.2f} ({found['nearest_ratio_low']:.2f} to {found['nearest_ratio_high']:.2f})"
    outcome = "passed" if found["passed"] else "FAILED"
    return [
        f"copying check {outcome}: {copied} of the samples count as copies, nearest-neighbour ratio {ratio}.",
        f"{_share('exact', found)} are identical to a training image, {_share('near', found)} are near duplicates.",
        f"It {found['rule']}.",
    ]


def _share(name: str, found: Mapping[str, Any]) -> str:
    value, low, high, limit = (found[name + suffix] for suffix in ("", "_low", "_high", "_limit"))
    return f"{value:.1%} ({low:.1%} to {high:.1%}, real images up to {limit:.1%})"


def _aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def claim_evaluation(folder: str | Path, overwrite: bool) -> AbstractContextManager[Claim]:
    """Claim a folder for an evaluation."""
    return claim(folder, "evaluation", replace=overwrite)
