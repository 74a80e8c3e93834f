"""The evaluation of tables: columns, detection, classifiers trained on generated rows, copies, and violated rules."""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from genaug.data.reading import Samples, read_samples
from genaug.errors import InputError
from genaug.evaluation import stages
from genaug.evaluation.aligned_rows import AlignedRows, align
from genaug.evaluation.arrays import Interval
from genaug.evaluation.detection import detect
from genaug.evaluation.report import Evaluation, Findings, measure
from genaug.evaluation.request import Request, versions
from genaug.evaluation.subject import Subject, check_unseen, generate, new_subject, training_set_mismatch
from genaug.evaluation.table_columns import compare_columns
from genaug.evaluation.trained_on_generated import score_with_classifiers
from genaug.evaluation.violations import count_violations
from genaug.modalities.table import Table
from genaug.nn.neighbours import nearest
from genaug.progress import Progress
from genaug.randomness import derive_seed
from genaug.sources.source import supply_of

PICTURE_FILE = "columns.png"
_CAPTION = "Distributions of columns, and Cramér's V of all pairs of them, of real and of generated rows."
_FEATURES = "numbers scaled to 0 to 1 by the real rows, different categories 1 apart"
_SHARED = 0.01  # of the held-out rows may be in the training set, in addition to what its own duplicates explain
_MOST_REPEATED = 0.1  # of the held-out rows equal a training row: above it, copies look like coincidences
_MOST_HELD_OUT = 10_000  # rows whose distances are measured
_MOST_WIDE = 2**30  # numbers in memory for distances: 4 GiB
_COST = 10  # of training classifiers once, in replicates, for the progress bar only


def evaluate_tables(request: Request) -> Evaluation:
    """Raises ``InputError`` as ``genaug.evaluate`` does."""
    seed, replicates = request.seed, request.replicates
    findings = Findings()
    with Progress("evaluate", _COST * (request.classifiers + 4), request.progress, line_every=10) as bar:
        bar.tell("generating")
        rows = _Rows.read(request)
        subject, aligned = rows.subject, rows.aligned
        bar.advance(_COST)
        bar.tell("distributions of columns")
        compare_columns(aligned, subject.rows, findings, replicates=replicates, seed=seed)
        bar.advance(_COST)
        bar.tell("telling generated rows from real ones")
        detect(aligned, subject.rows, findings, seed=derive_seed(seed, "detection"))
        bar.advance(_COST)
        bar.tell("training classifiers on generated rows")
        _score(rows, request, findings, lambda: bar.advance(_COST))
        bar.tell("looking for copies")
        _compare_distances(rows, findings, replicates=replicates, seed=seed)
        count_violations(aligned, findings)
    real, fake = aligned.rows["real"][subject.rows], aligned.rows["generated"]
    held_out = aligned.rows.get("held_out")
    header = {
        **request.header(
            samples=len(fake), real=len(aligned.rows["real"]), held_out=0 if held_out is None else len(held_out)
        ),
        "features": _FEATURES,
        "classifiers": request.classifiers,
        "replicates": replicates,
        "versions": versions("torch", "scikit-learn", "scipy", "pandas"),
    }
    return findings.report(
        header, aligned.table.preview(real, fake), noun="rows", sheet_file=PICTURE_FILE, caption=_CAPTION
    )


@dataclass(frozen=True)
class _Rows:
    """The rows that are compared: ``subject`` has the source's own raw rows, ``aligned`` all sides alike.

    ``subject.real`` has labels only if the source generates rows for the same classes.
    """

    subject: Subject
    aligned: AlignedRows
    real: Samples
    frames: dict[str, Any]
    objection: str | None

    @classmethod
    def read(cls, request: Request) -> "_Rows":
        source = request.source
        real = _read(request.real_set, "real_set")
        table, own = _table(real), _table_of(source)
        frames = {"real": table.present(real.x, real.labels)}
        unseen = None if request.held_out is None else _read(request.held_out, "held_out")
        if unseen is not None:
            check_unseen(source, unseen)
            frames["held_out"] = _table(unseen).present(unseen.x, unseen.labels)
        conditioned = own.target is not None and own.bins is None
        if conditioned and table.target != own.target:
            raise InputError(
                f"the source generates rows conditioned on the column {own.target!r}, and real_set has "
                f"{'no target' if table.target is None else f'the target {table.target!r}'}. Pass "
                f"TableDataset(frame, target={own.target!r}) (--target)."
            )
        alike = own.target == table.target and own.bins == table.bins
        compared = real if alike else replace(real, labels=None, spec=real.spec.model_copy(update={"classes": None}))
        subject = new_subject(source, compared, None, request.n, request.seed)
        frames["generated"] = _frame(subject, subject.fake, subject.labels)
        aligned = align(table, frames)
        if unseen is not None:
            _check_separate(aligned.rows["real"], aligned.rows["held_out"])
        return cls(subject, aligned, real, frames, training_set_mismatch(source, real))

    def more(self, seed: int) -> Tensor:
        """As many aligned rows as there are real ones, generated with their labels; fewer from a small pool."""
        labels, source = self.subject.real.labels, self.subject.source
        if labels is not None and source.spec.takes_labels:
            fake, labels = self.subject.generate(labels, seed)
        else:
            supply = supply_of(source)
            count = len(self.real.x) if supply is None else min(len(self.real.x), sum(supply))
            fake, labels = generate(source, count, seed), None
        frames = {**self.frames, "generated": _frame(self.subject, fake, labels)}
        return align(_table(self.real), frames).rows["generated"]


def _read(dataset: Any, name: str) -> Samples:
    data = read_samples(dataset, what=name)
    if not isinstance(data.spec.sample, Table):
        raise InputError(
            f"the source generates rows of a table, and {name} has {data.spec.sample.noun}. Pass a "
            "genaug.data.TableDataset (--data table:FILE)."
        )
    return data


def _table(data: Samples) -> Table:
    table = data.spec.sample
    assert isinstance(table, Table)
    return table


def _table_of(source: Any) -> Table:
    table = source.spec.sample
    assert isinstance(table, Table)
    return table


def _frame(subject: Subject, raw: Tensor, labels: Tensor | None) -> Any:
    """Raw rows of the source, and their labels in the real set's numbering, as a DataFrame."""
    return _table_of(subject.source).present(raw, None if labels is None else subject.match[labels])


def _check_separate(real: Tensor, held_out: Tensor) -> None:
    """Raises ``InputError`` if more held-out rows are in the training set than coincidences explain."""
    shared, repeated = _shared(held_out, real), _repeated(real)
    if shared > repeated + _SHARED + 3 * (repeated * (1 - repeated) / len(held_out)) ** 0.5:
        raise InputError(
            f"{shared:.1%} of the held-out rows are in real_set too, and only {repeated:.1%} of its own rows occur "
            "twice, so they can't reveal copying. Pass a separate test set, or omit held_out."
        )


def _shared(rows: Tensor, others: Tensor) -> float:
    """The share of rows that are also among the others."""
    both = torch.cat([rows, others]).unique(dim=0, return_inverse=True)[1]
    return float(torch.isin(both[: len(rows)], both[len(rows) :]).double().mean())


def _repeated(rows: Tensor) -> float:
    """The share of rows that equal another one."""
    _, inverse, counts = rows.unique(dim=0, return_inverse=True, return_counts=True)
    return float((counts[inverse] > 1).double().mean())


def _score(rows: _Rows, request: Request, findings: Findings, tick: Any) -> None:
    name, aligned = "synthetic_only_macro_f1", rows.aligned
    if aligned.target not in aligned.names or len(aligned.columns) < 2:
        findings.missing[name] = "needs a target and other columns"
    elif "held_out" not in aligned.rows:
        findings.missing[name] = "needs held-out rows"
    elif request.classifiers == 0:
        findings.missing[name] = "no classifiers requested"
    else:
        generated = [rows.more(derive_seed(request.seed, "training set", i)) for i in range(request.classifiers)]
        names = aligned.class_names(rows.real.spec.class_names or ())
        score_with_classifiers(
            aligned, generated, names, findings, replicates=request.replicates, seed=request.seed, tick=tick
        )


def _compare_distances(rows: _Rows, findings: Findings, *, replicates: int, seed: int) -> None:
    """``diversity_ratio``, ``closest_record`` and ``copying``."""
    subject, aligned = rows.subject, rows.aligned
    width = len(aligned.vectors(aligned.rows["real"][:1])[0])
    if width * len(aligned.rows["real"]) > _MOST_WIDE:
        reason = f"the rows have {width:,} numbers each, too many for distances of {len(aligned.rows['real']):,} rows"
        findings.missing.update(dict.fromkeys(("diversity_ratio", "closest_record", "copying"), reason))
        return
    raw = dict(aligned.rows)
    if "held_out" in raw:
        raw["held_out"] = raw["held_out"][:_MOST_HELD_OUT]
    vectors = {side: aligned.vectors(own) for side, own in raw.items()}
    train, fake, held_out = vectors["real"], vectors["generated"], vectors.get("held_out")
    stages.compare_distances(
        subject, (train[subject.rows], fake, held_out), _FEATURES, findings, replicates=replicates, seed=seed
    )
    _closest_record(train, held_out, fake, findings, replicates=replicates, seed=seed)
    objection = rows.objection
    if held_out is not None and objection is None:
        repeated = _shared(raw["held_out"], raw["real"])
        if repeated > _MOST_REPEATED:
            objection = f"{repeated:.0%} of the held-out rows equal a training row, so copies aren't distinguishable"
    sides = raw["real"], raw.get("held_out"), raw["generated"]
    stages.measure_copying(subject, (train, held_out, fake), sides, _FEATURES, findings, seed=seed, objection=objection)


def _closest_record(
    train: Tensor, held_out: Tensor | None, fake: Tensor, findings: Findings, *, replicates: int, seed: int
) -> None:
    """The median distance of generated rows to the closest training row; the reference is that of held-out rows."""
    distances = nearest(fake, train)[0]
    draws = torch.Generator().manual_seed(derive_seed(seed, "closest"))
    medians = [
        float(distances[torch.randint(len(distances), (len(distances),), generator=draws)].median())
        for _ in range(replicates)
    ]
    ends = torch.tensor(medians or [torch.nan]).double().quantile(torch.tensor([0.025, 0.975]).double())
    findings.metrics["closest_record"] = measure(
        float(distances.median()),
        Interval(float(ends[0]), float(ends[1])),
        (0.0, float("inf")),
        samples=len(fake),
        real_samples=len(train),
        features=_FEATURES,
        higher_is_better=None,
        reference=None if held_out is None else float(nearest(held_out, train)[0].median()),
    )
