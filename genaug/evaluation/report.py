"""The result of an evaluation: every number with its interval, its number of samples and its features."""

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
from genaug.evaluation.worst import worst_classes
from genaug.reports import page
from genaug.reports.sheet import encode_png

SHEET_FILE = "neighbours.png"
PAGE_FILE = "report.html"
FORMAT_VERSION = 1
_MOST_CLASSES = 20  # in the printed table


@dataclass(frozen=True)
class Measure:
    """One number.

    ``low`` and ``high`` bound its 95% interval, or are None if it has none. ``samples`` and ``real_samples`` are the
    numbers of generated and real samples that it is based on, ``features`` describes the features that were compared.
    ``higher_is_better`` is None if neither end is better: the best value is then ``best``. ``reference`` is the value
    for the same number of real held-out samples.
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
        """Numbers and strings for JSON, with None for NaN and infinity; ``details`` become fields beside the others."""
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "details"}
        return {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in {**fields, **self.details}.items()
        }


def measure(value: float, interval: Interval, bounds: tuple[float, float], **fields: Any) -> Measure:
    """A measure whose interval is clipped to the range of possible values, and is None if it is NaN."""
    if math.isnan(interval.low):
        return Measure(value, None, None, **fields)
    return Measure(value, max(interval.low, bounds[0]), min(interval.high, bounds[1]), **fields)


@dataclass(frozen=True)
class PageTable:
    """A further table of a report's page: a heading, the names of the columns, and rows of text."""

    heading: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    text: str = ""


@dataclass(frozen=True)
class Findings:
    """What the stages of an evaluation add to its report."""

    metrics: dict[str, Measure] = field(default_factory=dict)
    per_class: dict[str, dict[str, Measure]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    tables: list[PageTable] = field(default_factory=list)

    def measures(self, name: str | None) -> dict[str, Measure]:
        """The measures of the class ``name``, or, if it is None, the overall ones."""
        return self.metrics if name is None else self.per_class.setdefault(name, {})

    def report(self, header: Mapping[str, Any], sheet: Image.Image, **fields: Any) -> "Evaluation":
        """The evaluation with these measures; ``fields`` are further ones of ``Evaluation``."""
        fields = {"tables": self.tables, **fields}
        return Evaluation(header, self.metrics, self.per_class, self.missing, sheet, **fields)


@dataclass(frozen=True)
class Evaluation:
    """The result of ``genaug.evaluate``.

    ``header`` describes the data, seed, features and versions; ``metrics`` maps names to measures, ``per_class`` maps
    class names to the measures of that class, and ``not_measured`` maps names of missing measures to the reasons.
    ``sheet`` is a picture that compares generated samples with real ones: images beside their nearest real ones, or
    the columns of a table. ``tables`` are further tables for the page, ``noun`` is what samples are called, and
    ``sheet_file`` and ``caption`` are the picture's file name and caption.
    """

    header: Mapping[str, Any]
    metrics: Mapping[str, Measure]
    per_class: Mapping[str, Mapping[str, Measure]]
    not_measured: Mapping[str, str]
    sheet: Image.Image
    tables: Sequence[PageTable] = ()
    noun: str = "images"
    sheet_file: str = SHEET_FILE
    caption: str = "Generated images, those nearest to a training image first, beside their nearest real images."

    @property
    def worst_classes(self) -> dict[str, list[str]]:
        """For each measure up to three classes that are worse than the real images, the worst first.

        The real images' figure of a class is its measure's ``reference``; without it, ``best`` or the mean of the
        classes takes its place. Differences within the 95% interval don't count.
        """
        return worst_classes(self.per_class)

    @property
    def passed(self) -> bool | None:
        """Whether the copying check passed; None if it wasn't run."""
        return self.metrics["copying"].details["passed"] if "copying" in self.metrics else None

    def to_dict(self) -> dict[str, Any]:
        """The content of ``evaluation.json``: the header, ``metrics``, ``per_class``, ``worst_classes`` and
        ``not_measured``."""
        return {
            "kind": "evaluation",
            "format_version": FORMAT_VERSION,
            **self.header,
            "metrics": {name: measure.to_dict() for name, measure in self.metrics.items()},
            "per_class": {
                label: {name: measure.to_dict() for name, measure in measures.items()}
                for label, measures in self.per_class.items()
            },
            "worst_classes": self.worst_classes,
            "not_measured": dict(self.not_measured),
        }

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), indent=2, allow_nan=False, ensure_ascii=False) + "\n"

    def __str__(self) -> str:
        """Tables of the measures, overall and per class, the missing ones with reasons, and the copying check."""
        lines = [*_aligned(self._rows()), *self._class_lines(), "", f"features: {self.header['features']}"]
        lines += self._missing_lines()
        if "copying" in self.metrics:
            lines += _copying_lines(self.metrics["copying"].details, self.noun)
        return "\n".join(lines)

    def _rows(self) -> list[tuple[str, ...]]:
        rows: list[tuple[str, ...]] = [("measure", "value", "95% interval", f"real {self.noun}", "best")]
        for name, measure in self.metrics.items():
            interval = "" if measure.low is None else f"{measure.low:.3f} to {measure.high:.3f}"
            reference = "" if measure.reference is None else f"{measure.reference:.3f}"
            best = {True: "high", False: "low", None: "" if measure.best is None else f"{measure.best:g}"}
            label = "copying (C_T)" if name == "copying" else name
            rows.append((label, f"{measure.value:.3f}", interval, reference, best[measure.higher_is_better]))
        return rows

    def _missing_lines(self) -> list[str]:
        lines = []
        for reason in dict.fromkeys(self.not_measured.values()):
            names = [name for name in self.not_measured if self.not_measured[name] == reason]
            lines.append(f"not measured: {', '.join(names)}: {reason}")
        return lines

    def _class_rows(self) -> list[tuple[str, ...]]:
        """The measures per class; empty if there are none."""
        names = [name for name in self.metrics if any(name in measures for measures in self.per_class.values())]
        if not names:
            return []
        worst = self.worst_classes
        shown = list(self.per_class)
        if len(shown) > _MOST_CLASSES:
            shown = [label for label in shown if any(label in labels for labels in worst.values())]
        rows: list[tuple[str, ...]] = [("class", *names)]
        for label in shown:
            measures = self.per_class[label]
            marks = {name: "*" if label in worst.get(name, ()) else "" for name in names}
            rows.append((escaped(label), *(_cell(measures.get(name), marks[name]) for name in names)))
        return rows

    def _class_notes(self) -> tuple[list[str], list[str]]:
        """What is said before and after the figures of the classes."""
        before, after = [], []
        if len(self.per_class) > _MOST_CLASSES:
            count = len(self.per_class)
            before.append(f"{count} classes: see the JSON for the measures of each class. The worst ones:")
        if any(measure.reference is not None for measures in self.per_class.values() for measure in measures.values()):
            after.append(f"In parentheses: the same number of real held-out {self.noun}, or as many as there are.")
        if self.worst_classes:
            after.append(
                f"*: one of the classes that are worse than the real {self.noun} by most, beyond the 95% interval."
            )
        return before, after

    def _class_lines(self) -> list[str]:
        rows = self._class_rows()
        before, after = self._class_notes()
        return ["", *before, *_aligned(rows), *after] if rows else []

    @property
    def html(self) -> str:
        """The report as one HTML page, which contains the picture."""
        header, rows, classes = self.header, self._rows(), self._class_rows()
        parts = [page.paragraph(line) for line in self._missing_lines()]
        sections = [page.section("Measures", page.table(rows[0], rows[1:]), *parts)]
        if classes:
            before, after = (list(map(page.paragraph, lines)) for lines in self._class_notes())
            sections.append(page.section("Per class", *before, page.table(classes[0], classes[1:]), *after))
        for table in self.tables:
            text = [page.paragraph(table.text)] if table.text else []
            sections.append(page.section(table.heading, *text, page.table(table.head, table.rows)))
        if "copying" in self.metrics:
            lines = _copying_lines(self.metrics["copying"].details, self.noun)
            sections.append(page.section("Copies", *map(page.paragraph, lines)))
        sections.append(page.section("Picture", page.figure(page.picture(self.sheet, self.caption), self.caption)))
        facts = {name: value for name, value in header.items() if not isinstance(value, Mapping)}
        versions = ", ".join(f"{name} {number}" for name, number in header["versions"].items())
        pairs = [(name.replace("_", " "), escaped(str(value))) for name, value in facts.items()]
        sections.append(page.section("What was compared", page.facts([*pairs, ("versions", versions)])))
        verdict = f"The copying check {'passed' if self.passed else 'failed'}."
        opening = [] if self.passed is None else [page.paragraph(verdict, "verdict")]
        return page.page(f"Evaluation: {escaped(str(header['data']))}", *opening, *sections)

    def save(self, folder: str | Path, *, overwrite: bool = False) -> Path:
        """Write ``evaluation.json``, ``report.html`` and the picture into a folder, all or none.

        Raises ``OutputExistsError`` unless the folder is empty, or contains an evaluation and ``overwrite`` is true;
        ``SaveError`` if writing fails.
        """
        with claim_evaluation(folder, overwrite) as claimed:
            self.write(claimed)
        return claimed.path

    def write(self, place: Claim) -> None:
        """As ``save``, into a folder that is claimed already."""
        text = self.to_json().encode(errors="backslashreplace")
        html = self.html.encode(errors="backslashreplace")
        place.write({EVALUATION_FILE: text, PAGE_FILE: html, self.sheet_file: encode_png(self.sheet)})


def _cell(measure: Measure | None, mark: str) -> str:
    """A figure of a class, with its mark and, in parentheses, that of the real images."""
    if measure is None:
        return ""
    return f"{measure.value:.3f}{mark}" + ("" if measure.reference is None else f" ({measure.reference:.3f})")


def _copying_lines(check: Mapping[str, Any], noun: str) -> list[str]:
    copied = f"{check['copied']:.1%} ({check['copied_low']:.1%} to {check['copied_high']:.1%})"
    ratio = f"{check['nearest_ratio']:.2f} ({check['nearest_ratio_low']:.2f} to {check['nearest_ratio_high']:.2f})"
    exact, near = (
        f"{check[name]:.1%} ({check[f'{name}_low']:.1%} to {check[f'{name}_high']:.1%}, real {noun} up to "
        f"{check[f'{name}_limit']:.1%})"
        for name in ("exact", "near")
    )
    return [
        f"copying check {'passed' if check['passed'] else 'FAILED'}: {copied} of the samples count as copies, "
        f"nearest-neighbor ratio {ratio}.",
        f"{exact} are identical to one of the training {noun}, {near} are near duplicates.",
        f"It {check['rule']}.",
    ]


def _aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def claim_evaluation(folder: str | Path, overwrite: bool) -> AbstractContextManager[Claim]:
    """Claim a folder for an evaluation."""
    return claim(folder, "evaluation", replace=overwrite)
