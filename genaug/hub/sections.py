"""The generated parts of a card: what a generator is, what was measured of it, how it was trained."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from huggingface_hub import EvalResult

from genaug import __version__, storage
from genaug.escaping import one_line
from genaug.evaluation.record import Evaluation, Figure
from genaug.hub.prose import Part
from genaug.hub.pull import SHEET_FILE

if TYPE_CHECKING:
    from genaug.generator import Generator

TASK = "unconditional-image-generation"  # the Hub has no task of its own for images of given classes
# What the classes of well-known data sets are called on the Hub.
DATASETS = {
    "CIFAR10": "uoft-cs/cifar10",
    "CIFAR100": "uoft-cs/cifar100",
    "FashionMNIST": "zalando-datasets/fashion_mnist",
    "MNIST": "ylecun/mnist",
}
_ESCAPES = str.maketrans({"<": "&lt;", ">": "&gt;", "`": "'", **{mark: f"\\{mark}" for mark in "\\|*["}})
_ROWS = 80  # of the training record at most
_ASPECTS = {
    "fidelity": {
        "fid": "FID (lower is better)",
        "kid": "KID (lower is better)",
        "precision": "precision",
        "density": "density",
        "label_agreement": "samples recognised as the class asked for",
        "synthetic_only_accuracy": "accuracy of a classifier trained on generated samples alone",
    },
    "diversity": {
        "recall": "recall",
        "coverage": "coverage",
        "diversity_ratio": "distance within classes, over that of real images",
    },
    "copying": {"copying": "check for copies of training images"},
    "augmentation gain": {"gain": "gain in a classifier's accuracy from blending samples in"},
}


@dataclass(frozen=True)
class Facts:
    """What a card tells that the generator doesn't know: its name on the Hub, its licence, what was measured."""

    repo: str
    license: str | None
    evaluation: Evaluation | None
    reservations: tuple[str, ...] = ()  # what spoke against publishing it


def summary(generator: "Generator", manifest: storage.Manifest, facts: Facts) -> Part:
    spec, name = generator.spec, facts.repo.partition("/")[2]
    shape = "×".join(map(str, spec.shape))
    size = sum(p.numel() for p in generator.network.parameters())
    plugin = "" if manifest.distribution == "genaug" else f" {manifest.distribution}"
    labels = "int64 labels" if spec.takes_labels else "None, as it takes no labels"
    lines = [f"# {cell(name)}", ""]
    for sentence in facts.reservations:
        lines += [f"> **{cell(sentence)}**", ""]
    lines += [
        f"A generator of {shape} images with {cell(spec.describe_classes())}, made with the `{manifest.backend}` "
        f"backend of {manifest.distribution} {manifest.distribution_version}: {size:,} parameters, "
        f"{manifest.weights.size:,} bytes. Licence: {cell(facts.license or 'not stated')}.",
        "",
        f"![samples, not selected]({SHEET_FILE})",
        "",
        f"After `pip install genaug{plugin}`:",
        "",
        "```python",
        "import genaug",
        f'generator = genaug.load("{facts.repo}")',
        f"images, labels = generator.sample(64, seed=0)  # uint8 (64, {', '.join(map(str, spec.shape))}), {labels}",
        "```",
    ]
    return Part("summary", "\n".join(lines), {})


def figures(evaluation: Evaluation | None, weights: str) -> Part:
    """Every aspect has its row, measured or not. The mark tells of which weights, and of a failed check for copies."""
    metrics = dict(evaluation.metrics) if evaluation is not None else {}
    rows = []
    for aspect, names in _ASPECTS.items():
        found = [(label, metrics.pop(name)) for name, label in names.items() if name in metrics]
        rows += [f"| {aspect} | {label} | {_value(figure)} | {_basis(figure)} |" for label, figure in found]
        if not found:
            rows.append(f"| {aspect} | | not measured | |")
    rows += [f"| other | {cell(name)} | {_value(figure)} | {_basis(figure)} |" for name, figure in metrics.items()]
    text = "\n".join(["## What was measured", "", "| | measure | figure | basis |", "|---|---|---|---|", *rows])
    copies = {"copies": "1"} if evaluation is not None and evaluation.copying_failed else {}
    return Part("figures", text, {"weights": weights, **copies})


def _value(figure: Figure) -> str:
    parts = []
    if figure.passed is not None:
        parts.append("passed" if figure.passed else "**failed**")
    if figure.value is not None:
        spread = "" if figure.uncertainty is None else f" ± {figure.uncertainty:.3g}"
        if figure.low is not None and figure.high is not None:
            spread += f" ({figure.low:.4g} to {figure.high:.4g})"
        parts.append(f"{figure.value:.4g}{spread}{' ' + cell(figure.unit) if figure.unit else ''}")
    return ", ".join(parts) or "not measured"


def _basis(figure: Figure) -> str:
    parts = [
        f"{figure.samples:,} samples" if figure.samples else None,
        f"{figure.seeds} seeds" if figure.seeds else None,
        f"features: {figure.features}" if figure.features else None,
        f"against {' '.join(filter(None, (figure.dataset, figure.split)))}" if figure.dataset else None,
        figure.note,
    ]
    return cell("; ".join(part for part in parts if part))


def results(facts: Facts, training: Mapping[str, Any]) -> list[EvalResult]:
    """The figures that are numbers, for the card's model-index."""
    labels = {name: label for names in _ASPECTS.values() for name, label in names.items()}
    metrics = facts.evaluation.metrics if facts.evaluation is not None else {}
    found = []
    for name, figure in metrics.items():
        if figure.value is None:
            continue
        dataset = figure.dataset or str(training.get("data") or "not stated")
        basis = figure.model_dump(
            include={"uncertainty", "low", "high", "samples", "seeds", "features", "unit"}, exclude_none=True
        )
        found.append(
            EvalResult(
                task_type=TASK,
                dataset_type=DATASETS.get(dataset, dataset),
                dataset_name=dataset,
                dataset_split=figure.split,
                metric_type=name,
                metric_name=labels.get(name, name),
                metric_value=figure.value,
                metric_args=basis or None,
            )
        )
    return found


def recipe(training: Mapping[str, Any]) -> Part:
    settings: dict[str, Any] = {}
    for name, value in training.items():
        if isinstance(value, dict) and name != "evaluation":
            settings |= {f"{name}.{inner}": entry for inner, entry in value.items()}
        elif name != "evaluation":
            settings[name] = value
    told = {name: value for name, value in settings.items() if value not in (None, [])}
    rows = [f"| {cell(name)} | {cell(_plain(value))} |" for name, value in told.items()]
    table = ["| setting | value |", "|---|---|", *rows[:_ROWS]] if rows else ["How it was trained isn't recorded."]
    lines = ["## Training recipe", "", *table, "", f"Card written by genaug {__version__}."]
    return Part("recipe", "\n".join(lines), {})


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)


def cell(text: str) -> str:
    """Text from elsewhere for a line of Markdown: no marks, links, tags, line breaks or new columns in it."""
    return one_line(text)[:300].translate(_ESCAPES)
