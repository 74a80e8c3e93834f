"""The evaluation on a card, as tables and for the card's model-index.

Every aspect has a row, measured or not. The basis of the figures is stated once: for all figures together if it is the
same, otherwise in a numbered list.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from huggingface_hub import EvalResult

from genaug.artifacts.figures import Figure, Figures, is_about_copying
from genaug.hub.prose import Part
from genaug.hub.sections import cell
from genaug.hub.training_data import known_data

_ASPECTS = {
    "fidelity": {
        "fid": "FID (lower is better)",
        "kid": "KID (lower is better)",
        "precision": "precision",
        "density": "density",
        "label_agreement": "samples recognized as the requested class",
        "synthetic_only_accuracy": "accuracy of a classifier trained on generated samples alone",
        "marginals": "distance of the distributions of columns or channels (lower is better)",
        "association": "difference of the columns' associations (lower is better)",
        "detection_auc": "AUC of a classifier that tells generated rows from real ones (0.5 is best)",
        "synthetic_only_macro_f1": "macro-F1 of classifiers trained on generated rows alone",
        "autocorrelation": "difference of autocorrelations (lower is better)",
        "mmd": "MMD of series (lower is better)",
        "discriminative_score": "discriminative score of the published judge (lower is better)",
        "discriminative_score_strong": "discriminative score of a small CNN (lower is better)",
        "predictive_score": "error of predictors trained on generated series (lower is better)",
        "violations": "rows that break a rule of the real ones",
    },
    "diversity": {
        "recall": "recall",
        "coverage": "coverage",
        "diversity_ratio": "distance within classes, relative to that of real images",
    },
    "copying": {
        "copying": "check for copies of training images",
        "closest_record": "median distance to the closest training row",
    },
    "augmentation gain": {"gain": "gain in a classifier's accuracy from blending in samples"},
}
_DECIDING = {
    "copied": "share of samples that count as copies",
    "nearest_ratio": "distance to the nearest training image, relative to the nearest held-out one (real images: 1)",
}
_CLASS_COLUMNS = {
    "label_agreement": "samples recognized",
    "synthetic_only_accuracy": "accuracy, trained on samples alone",
    "synthetic_only_macro_f1": "F1, trained on samples alone",
    "diversity_ratio": "distance within the class",
}
_REAL_COLUMNS = {  # both refer to a classifier trained on real images, and to other real images
    "label_agreement": "real images recognized",
    "synthetic_only_accuracy": "real images recognized",
    "synthetic_only_macro_f1": "F1, trained on real rows",
}
_CLASSES = 100  # rows, at most


@dataclass(frozen=True)
class _Row:
    aspect: str
    label: str
    value: str
    real: str
    basis: tuple[str, ...]


def measured(evaluation: Figures | None, weights: str) -> Part:
    """The evaluation as a part of the card. Its mark has the weights' hash, and notes a failed check for copies."""
    evaluation = evaluation or Figures()
    rows = list(_rows(evaluation.metrics))
    bases = [row.basis for row in rows if row.value]
    common = [text for text in (bases[0] if bases else ()) if all(text in basis for basis in bases)]
    own = list(dict.fromkeys(filter(None, (_joined(basis, common) for basis in bases))))
    lines = ["## What was measured", "", "| | measure | generated | real images | basis |", "|---|---|---|---|---|"]
    for row in rows:
        rest = _joined(row.basis, common)
        number = str(own.index(rest) + 1) if row.value and rest else ""
        lines.append(_line(row.aspect, row.label, row.value or "not measured", row.real, number))
    if common:
        lines += ["", f"Basis of all figures: {cell('; '.join(common))}."]
    if own:
        lines += ["", "Basis by number:", "", *(f"{number}. {cell(text)}" for number, text in enumerate(own, 1))]
    for name, figure in evaluation.metrics.items():
        if figure.rule:
            check = "check for copies" if name == "copying" else _title(name)
            lines += ["", f"The {check} {cell(figure.rule, 1000)}."]
    copies = {"copies": "1"} if evaluation.copying_failed else {}
    return Part("figures", "\n".join([*lines, *_class_table(evaluation)]), {"weights": weights, **copies})


def _line(*cells: str) -> str:
    return "|" + "|".join(f" {text} " if text else " " for text in cells) + "|"


def _title(name: str) -> str:
    return cell(name.replace("_", " "))


def _rows(metrics: Mapping[str, Figure]) -> Iterator[_Row]:
    others = dict(metrics)
    for aspect, labels in _ASPECTS.items():
        names = [name for name in labels if name in others]
        if aspect == "copying":
            names += [name for name in others if name not in names and is_about_copying(name)]
        for name in names:
            yield from _rows_of(aspect, labels.get(name) or _title(name), others.pop(name))
        if not names:
            yield _Row(aspect, "", "", "", ())
    for name, figure in others.items():
        yield from _rows_of("other", cell(name), figure)


def _rows_of(aspect: str, label: str, figure: Figure) -> Iterator[_Row]:
    deciding = list(_deciding(figure)) if aspect == "copying" else []
    value = _value(figure, verdict_only=bool(deciding) and figure.passed is not None)
    real = "" if figure.reference is None else f"{figure.reference:.4g}"
    yield _Row(aspect, label, value, real, _basis(figure))
    for name, number in deciding:
        yield _Row(aspect, _DECIDING.get(name) or _title(name), number, "", _basis(figure))


def _deciding(figure: Figure) -> Iterator[tuple[str, str]]:
    """The numbers that decide a check, with their intervals, rather than the statistic that it is named after."""
    details = figure.details
    for name, number in details.items():
        low, high = details.get(f"{name}_low"), details.get(f"{name}_high")
        if low is not None and high is not None:
            yield name, f"{number:.4g} ({low:.4g} to {high:.4g})"
        elif not name.endswith(("_low", "_high")) and (name in _DECIDING or is_about_copying(name)):
            yield name, f"{number:.4g}"


def _value(figure: Figure, verdict_only: bool) -> str:
    parts = []
    if figure.passed is not None:
        parts.append("passed" if figure.passed else "**failed**")
    if figure.value is not None and not verdict_only:
        spread = "" if figure.uncertainty is None else f" ± {figure.uncertainty:.3g}"
        if figure.low is not None and figure.high is not None:
            spread += f" ({figure.low:.4g} to {figure.high:.4g})"
        parts.append(f"{figure.value:.4g}{spread}{' ' + cell(figure.unit) if figure.unit else ''}")
    return ", ".join(parts)


def _basis(figure: Figure) -> tuple[str, ...]:
    parts = (
        f"{figure.samples:,} samples" if figure.samples else None,
        f"{figure.seeds} seeds" if figure.seeds else None,
        f"features: {figure.features}" if figure.features else None,
        f"against {' '.join(filter(None, (figure.dataset, figure.split)))}" if figure.dataset else None,
        figure.note,
    )
    return tuple(filter(None, parts))


def _joined(basis: Iterable[str], common: Iterable[str]) -> str:
    return "; ".join(text for text in basis if text not in common)


def _class_table(evaluation: Figures) -> list[str]:
    """The figures per class, followed by those of real images if there are any."""
    classes = evaluation.per_class
    others = dict.fromkeys(name for figures in classes.values() for name in figures)
    columns: dict[str, dict[str, float | None]] = {}
    for name in [name for name in {**_CLASS_COLUMNS, **others} if name in others]:
        label = _CLASS_COLUMNS.get(name) or _title(name)
        columns[label] = {cls: figures[name].value for cls, figures in classes.items() if name in figures}
        references = {cls: figures[name].reference for cls, figures in classes.items() if name in figures}
        if any(value is not None for value in references.values()):
            columns.setdefault(_REAL_COLUMNS.get(name) or f"{label}, real images", references)
    if not columns:
        return []
    lines = ["", "### Per class", "", f"| class | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for cls in list(classes)[:_CLASSES]:
        values = [column.get(cls) for column in columns.values()]
        lines.append(_line(cell(cls), *("" if value is None else f"{value:.3f}" for value in values)))
    if len(classes) > _CLASSES:
        lines += ["", f"{len(classes) - _CLASSES} more classes were measured."]
    return lines


def results(evaluation: Figures | None, task: str, data: str) -> list[EvalResult]:
    """The numeric figures for the card's model-index; ``data`` is the name of the training data.

    A check for copies has the numbers that decide it. Features are named only in the text.
    """
    labels = {name: label for names in _ASPECTS.values() for name, label in names.items()} | _DECIDING
    entries = []
    for name, figure in ({} if evaluation is None else evaluation.metrics).items():
        details = figure.details if figure.passed is not None and is_about_copying(name) else {}
        numbers = {key: details[key] for key, _ in _deciding(figure)} if details else {}
        if not numbers and figure.value is not None:
            numbers = {name: figure.value}
        for key, number in numbers.items():
            fields = figure.model_dump(include={"uncertainty", "low", "high", "samples", "seeds", "unit"})
            if key != name:
                fields |= {"uncertainty": None, "low": details.get(f"{key}_low"), "high": details.get(f"{key}_high")}
            dataset = figure.dataset or data
            entries.append(
                EvalResult(
                    task_type=task,
                    dataset_type=known_data(dataset).hub_id or dataset,
                    dataset_name=dataset,
                    dataset_split=figure.split,
                    metric_type=key,
                    metric_name=labels.get(key, key),
                    metric_value=number,
                    metric_args={field: value for field, value in fields.items() if value is not None} or None,
                )
            )
    return entries
