"""The generated parts of a card that describe the generator and its training."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from genaug.artifacts import ancestry
from genaug.artifacts.ancestry import Ancestor, origin_of
from genaug.artifacts.figures import Figures
from genaug.artifacts.manifest import Manifest
from genaug.escaping import one_line
from genaug.hub.prose import Part
from genaug.hub.pull import SHEET_FILE
from genaug.hub.training_data import HUB_ID, KEY, TrainingData, known_data, merged
from genaug.sources.generator import Generator
from genaug.version import __version__

TASK = "unconditional-image-generation"
# Not a task of the Hub and therefore not a pipeline_tag; the Hub defines the one above as free of any condition.
CLASS_TASK = "conditional-image-generation"
_ESCAPES = str.maketrans({"<": "&lt;", ">": "&gt;", "`": "'", **{mark: f"\\{mark}" for mark in "\\|*["}})
_ROWS = 80  # of the training record, at most


@dataclass(frozen=True)
class Facts:
    """The facts on a card that the generator itself doesn't know: its name on the Hub, its license, its evaluation, and
    statements of people about its training data."""

    repo: str
    license: str | None
    evaluation: Figures | None
    reservations: tuple[str, ...] = ()  # reasons against publishing it
    data: TrainingData = field(default_factory=TrainingData)


def task(generator: Generator) -> str:
    """The generator's task, for the metadata of a card."""
    return CLASS_TASK if generator.spec.takes_labels else TASK


def summary(generator: Generator, manifest: Manifest, facts: Facts) -> Part:
    """The first part of a card: what the generator is, its license and training data, samples, and how to load it."""
    spec, name = generator.spec, facts.repo.partition("/")[2]
    shape = "×".join(map(str, spec.shape))
    size = sum(p.numel() for p in generator.nets.parameters())
    plugin = "" if manifest.distribution == "genaug" else f" {manifest.distribution}"
    labels = "int64 labels" if spec.takes_labels else "None, since it has no classes"
    lines = [
        f"# {cell(name)}",
        "",
        *(line for sentence in facts.reservations for line in (f"> **{cell(sentence)}**", "")),
        f"A generator of {shape} images with {cell(spec.describe_classes())}, made with the `{manifest.backend}` "
        f"backend of {manifest.distribution} {manifest.distribution_version}: {size:,} parameters, "
        f"{manifest.weights.size:,} bytes. License: {cell(facts.license or 'not stated')}.",
        "",
        _training_data(merged([facts.data, known_data(generator.training.get("data"))])),
        "",
        *_fine_tuning(generator),
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


def _fine_tuning(generator: Generator) -> list[str]:
    """Lines about the generators that this one was fine-tuned from, and about what it can be fine-tuned with."""
    lines = []
    if (origin := origin_of(generator.training)) is not None:
        ancestors = [_ancestor(ancestor) for ancestor in origin.lineage()]
        lines += [f"Fine-tuned from {', which was fine-tuned from '.join(ancestors)}.", ""]
    if roles := generator.manifest_fields()["extras"]:
        lines += [
            f"For fine-tuning, the weights of its {' and '.join(map(cell, roles))} are included: "
            "`genaug train --init` starts from them.",
            "",
        ]
    return lines


def _ancestor(ancestor: Ancestor) -> str:
    name = f"`{cell(ancestor.name)}`"
    if (repo := hub_id(ancestor)) is not None:
        name = f"[{repo}](https://huggingface.co/{repo})"
    return f"{name} (sha256 of its weights: `{ancestor.weights_sha256}`)"


def hub_id(ancestor: Ancestor) -> str | None:
    """The id of an ancestor on the Hub, if it is there."""
    return ancestor.name if ancestor.on_hub and HUB_ID.fullmatch(ancestor.name) else None


def _training_data(data: TrainingData) -> str:
    """A sentence about the training data."""
    name = cell(data.name or "not stated")
    if data.url is not None:
        name = f"[{name.replace(']', '&#93;')}]({data.url.replace('(', '%28').replace(')', '%29')})"
    return f"Training data: {name}. License of the data: {cell(data.license or 'not stated')}."


def recipe(training: Mapping[str, Any]) -> Part:
    """The last part of a card: the settings in the training record, as a table."""
    settings: dict[str, Any] = {}
    for name, value in training.items():
        if name in ("evaluation", KEY, ancestry.KEY):  # shown in other parts
            continue
        if isinstance(value, dict):
            settings |= {f"{name}.{inner}": entry for inner, entry in value.items()}
        else:
            settings[name] = value
    rows = [
        f"| {cell(name)} | {cell(value if isinstance(value, str) else json.dumps(value, default=str))} |"
        for name, value in settings.items()
        if value not in (None, [])
    ]
    table = ["| setting | value |", "|---|---|", *rows[:_ROWS]] if rows else ["No training settings are recorded."]
    lines = ["## Training recipe", "", *table, "", f"Card written by genaug {__version__}."]
    return Part("recipe", "\n".join(lines), {})


def cell(text: str, limit: int = 300) -> str:
    """Untrusted text, escaped for a line or table cell of Markdown: without markup, links, tags and line breaks."""
    return one_line(text)[:limit].translate(_ESCAPES)
