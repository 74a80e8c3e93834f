"""Generated rows that the real ones exclude: unknown categories, numbers out of range, and missing values."""

from collections.abc import Mapping

import torch
from torch import Tensor

from genaug.evaluation.aligned_rows import AlignedRows
from genaug.evaluation.arrays import Interval
from genaug.evaluation.copying import share_bounds
from genaug.evaluation.report import Findings, PageTable, measure
from genaug.modalities.columns import MISSING, Numeric

PATTERN = "combination of missing values"
_MOST = 20  # rows of a table


def count_violations(aligned: AlignedRows, findings: Findings) -> None:
    """``violations``: the share of generated rows that break a rule of all real rows.

    The reference is the share of held-out rows that do so: new rows may have a new largest number.
    """
    fake, unseen = violations(aligned, "generated"), None
    if "held_out" in aligned.rows:
        unseen = violations(aligned, "held_out")
    broken = _any(fake, len(aligned.rows["generated"]))
    count, total = int(broken.sum()), len(broken)
    interval: Interval = share_bounds(count, total)
    findings.metrics["violations"] = measure(
        count / total,
        interval,
        (0.0, 1.0),
        samples=total,
        real_samples=len(aligned.rows["real"]),
        features="categories, types, ranges and missing values that no real row has",
        higher_is_better=False,
        reference=None if unseen is None else float(_any(unseen, len(aligned.rows["held_out"])).double().mean()),
        details={"rules": {f"{name}: {rule}": int(rows.sum()) for (name, rule), rows in fake.items() if rows.any()}},
    )
    rows = []
    for (name, rule), own in sorted(fake.items(), key=lambda item: -int(item[1].sum()))[:_MOST]:
        if own.any():
            held_out = "–" if unseen is None else f"{float(unseen[name, rule].double().mean()):.2%}"
            rows.append([name, rule, f"{float(own.double().mean()):.2%}", held_out])
    if rows:
        head = ["column", "rule that is broken", "generated rows", "held-out rows"]
        findings.tables.append(PageTable("Constraint violations", head, rows))


def violations(aligned: AlignedRows, side: str) -> dict[tuple[str, str], Tensor]:
    """The rows of a side, bool (N,), that break each rule, by column and rule; PATTERN has no column."""
    real, rows = aligned.rows["real"], aligned.rows[side]
    result = {}
    allowed = torch.ones(len(rows), dtype=torch.bool)
    for i, column in enumerate(aligned.columns):
        name, own, present = str(column.name), rows[:, i], rows[:, i] != MISSING
        known = real[:, i][real[:, i] != MISSING]
        if len(known) == len(real):
            result[name, "missing value"] = ~present
            allowed &= present
        if not isinstance(column, Numeric):
            result[name, "unknown category"] = present & ~torch.isin(own, known)
            continue
        numbers, known_numbers = column.numbers(own), column.numbers(known)
        outside = (numbers < known_numbers.min()) | (numbers > known_numbers.max())
        result[name, "out of range"] = present & outside
        if not column.is_whole and bool((known_numbers == known_numbers.round()).all()):
            result[name, "not an integer"] = present & (numbers != numbers.round())
    known_patterns = {tuple(pattern) for pattern in (real == MISSING).unique(dim=0).tolist()}
    patterns = [tuple(pattern) in known_patterns for pattern in (rows == MISSING).tolist()]
    result["", PATTERN] = ~torch.tensor(patterns, dtype=torch.bool) & allowed
    return result


def _any(broken: Mapping[tuple[str, str], Tensor], count: int) -> Tensor:
    """The rows that break any rule, bool (N,)."""
    return torch.stack([torch.zeros(count, dtype=torch.bool), *broken.values()]).any(0)
