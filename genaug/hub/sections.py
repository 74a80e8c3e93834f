"""The generated parts of a card about the generator itself: what it is, and how it was trained."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from genaug.artifacts.figures import Figures
from genaug.artifacts.manifest import Manifest
from genaug.escaping import one_line
from genaug.hub.prose import Part
from genaug.hub.pull import SHEET_FILE
from genaug.hub.training_data import KEY, TrainingData, known_data, merged
from genaug.version import __version__

if TYPE_CHECKING:
    from genaug.sources.generator import Generator

TASK = "unconditional-image-generation"
# Not one of the Hub's tasks, so it is no pipeline_tag; by its definition the one above takes no condition of any kind.
CLASS_TASK = "conditional-image-generation"
_ESCAPES = str.maketrans({"<": "&lt;", ">": "&gt;", "`": "'", **{mark: f"\\{mark}" for mark in "\\|*["}})
_ROWS = 80  # of the training record at most


@dataclass(frozen=True)
class Facts:
    """What a card tells that the generator doesn't know: its name on the Hub, its licence, what was measured, and what
    people state about its training data."""

    repo: str
    license: str | None
    evaluation: Figures | None
    reservations: tuple[str, ...] = ()  # what spoke against publishing it
    data: TrainingData = field(default_factory=TrainingData)


def task(generator: "Generator") -> str:
    """What the generator does, for a card's metadata."""
    return CLASS_TASK if generator.spec.takes_labels else TASK


def summary(generator: "Generator", manifest: Manifest, facts: Facts) -> Part:
    spec, name = generator.spec, facts.repo.partition("/")[2]
    shape = "×".join(map(str, spec.shape))
    size = sum(p.numel() for p in generator.nets.parameters())
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
        _described(merged([facts.data, known_data(generator.training.get("data"))])),
        "",
        f"![samples, not selected]({SHEET_FILE})",
        "",
        f"After `pip install genaug{plugin}`:",
        "",
        "```python",
        "import genaug",
        "",
        f'generator = genaug.load("{facts.repo}")',
        f"images, labels = generator.sample(64, seed=0)  # uint8 (64, {', '.join(map(str, spec.shape))}), {labels}",
        "```",
    ]
    return Part("summary", "\n".join(lines), {})


def _described(data: TrainingData) -> str:
    """A sentence about the training data."""
    name = cell(data.name or "not stated")
    if data.url is not None:
        name = f"[{name.replace(']', '&#93;')}]({data.url.replace('(', '%28').replace(')', '%29')})"
    return f"Training data: {name}. Licence of the data: {cell(data.license or 'not stated')}."


def recipe(training: Mapping[str, Any]) -> Part:
    settings: dict[str, Any] = {}
    for name, value in training.items():
        if name in ("evaluation", KEY):  # which have places of their own
            continue
        if isinstance(value, dict):
            settings |= {f"{name}.{inner}": entry for inner, entry in value.items()}
        else:
            settings[name] = value
    told = {name: value for name, value in settings.items() if value not in (None, [])}
    rows = [f"| {cell(name)} | {cell(_plain(value))} |" for name, value in told.items()]
    table = ["| setting | value |", "|---|---|", *rows[:_ROWS]] if rows else ["How it was trained isn't recorded."]
    lines = ["## Training recipe", "", *table, "", f"Card written by genaug {__version__}."]
    return Part("recipe", "\n".join(lines), {})


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)


def cell(text: str, limit: int = 300) -> str:
    """Text from elsewhere for a line of Markdown: no marks, links, tags, line breaks or new columns in it."""
    return one_line(text)[:limit].translate(_ESCAPES)
