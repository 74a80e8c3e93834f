"""The generated parts of a card that describe the generator and its training."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from genaug.artifacts import ancestry
from genaug.artifacts.ancestry import Ancestor, Origin, origin_of
from genaug.artifacts.figures import Figures
from genaug.artifacts.manifest import Manifest
from genaug.artifacts.recipe import RecipeManifest
from genaug.backends.spec import Spec
from genaug.escaping import one_line
from genaug.hub.prose import Part
from genaug.hub.pull import SHEET_FILE
from genaug.hub.training_data import HUB_ID, KEY, TrainingData, known_data, merged
from genaug.sources.generator import Generator
from genaug.sources.recipes import requirement
from genaug.version import __version__

_ELSEWHERE = ("evaluation", KEY, ancestry.KEY)  # what other parts show of the training record
TASK = "unconditional-image-generation"  # the only one that the Hub knows, as a pipeline_tag, free of any condition
_ESCAPES = str.maketrans({"<": "&lt;", ">": "&gt;", "`": "'", **{mark: f"\\{mark}" for mark in "\\|*["}})
_ROWS = 80  # of a table, at most


@dataclass(frozen=True)
class Facts:
    """The facts on a card that the generator itself doesn't know: its name on the Hub, its license, its evaluation, and
    statements of people about its training data."""

    repo: str
    license: str | None
    evaluation: Figures | None
    reservations: tuple[str, ...] = ()  # reasons against publishing it
    data: TrainingData = field(default_factory=TrainingData)


@dataclass(frozen=True)
class Subject:
    """What a card is about: a generator or a recipe.

    ``tag`` is added to the card's tags, ``sha256`` identifies what was measured, ``description`` is its first sentence
    (in Markdown), ``notes`` are further lines, ``package`` is to be installed, ``settings`` are tables of its own, and
    ``base`` is the repo on the Hub from which it is built or was fine-tuned, if any. ``also_known_as`` are further
    hashes under which it may have been measured.
    """

    spec: Spec
    training: Mapping[str, Any]
    tag: str
    sha256: str
    description: str
    package: str
    settings: tuple[str, ...] = ()
    base: str | None = None
    notes: tuple[str, ...] = ()
    also_known_as: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        return "recipe" if self.settings else "generator"


def generator_subject(generator: Generator, manifest: Manifest, also_known_as: tuple[str, ...] = ()) -> Subject:
    """What a card says about a generator."""
    spec = generator.spec
    size = sum(p.numel() for p in generator.nets.parameters())
    description = (
        f"A generator of {spec.sample.describe_all()} with {cell(spec.describe_classes())}, made with the "
        f"`{manifest.backend}` backend of {manifest.distribution} {manifest.distribution_version}: {size:,} "
        f"parameters, {manifest.weights.size:,} bytes."
    )
    package = "genaug" if manifest.distribution == "genaug" else f"genaug {manifest.distribution}"
    origin = origin_of(generator.training)
    return Subject(
        spec,
        generator.training,
        manifest.backend,
        manifest.weights.sha256,
        description,
        package,
        base=None if origin is None else hub_id(origin),
        notes=_fine_tuning(origin, manifest.extras or ()),
        also_known_as=also_known_as,
    )


def recipe_subject(manifest: RecipeManifest) -> Subject:
    """What a card says about a recipe."""
    spec = manifest.spec
    source = f"`{cell(manifest.source)}`"
    base = None if manifest.revision is None else manifest.rest
    if base is not None:
        source = f"[{source}](https://huggingface.co/{base})"
    description = (
        f"A recipe for {spec.sample.describe_all()} with {cell(spec.describe_classes())}: {source} at commit "
        f"`{manifest.revision}`, with the options [below](#recipe). It contains no weights: they are loaded from their "
        f"own repo, by {manifest.distribution} {manifest.distribution_version}."
    )
    options = _table("option", manifest.options) or ["It has no options."]
    packages = requirement(manifest)
    package = packages if packages.startswith("genaug[") else f"genaug {packages}"
    settings = ("## Recipe", "", *options, "")
    return Subject(spec, manifest.training, manifest.scheme, manifest.sha256, description, package, settings, base)


def task(spec: Spec) -> str:
    """The task of a source, for the metadata of a card: "conditional-image-generation", "image-to-image"."""
    if spec.conditions:
        return f"{spec.conditions[0].sample.kind}-to-{spec.sample.kind}"
    return f"{'conditional' if spec.takes_labels else 'unconditional'}-{spec.sample.kind}-generation"


def summary(subject: Subject, facts: Facts) -> Part:
    """The first part of a card: what the generator is, its license and training data, samples, and how to load it."""
    spec, name = subject.spec, facts.repo.partition("/")[2]
    lines = [
        f"# {cell(name)}",
        "",
        *(line for sentence in facts.reservations for line in (f"> **{cell(sentence)}**", "")),
        f"{subject.description} License: {cell(facts.license or 'not stated')}.",
        "",
        _training_data(merged([facts.data, known_data(subject.training.get("data"))])),
        "",
        *subject.notes,
        *([] if spec.conditions else [f"![samples, not selected]({SHEET_FILE})", ""]),
        f"After `pip install {subject.package}`:",
        "",
        "```python",
        "import genaug",
        "",
        f'generator = genaug.load("{facts.repo}")',
        _use(spec),
        "```",
    ]
    return Part("summary", "\n".join(lines), {})


def _use(spec: Spec) -> str:
    """A line of code that makes samples."""
    noun, batch = spec.sample.noun, spec.sample.describe_batch(64)
    if spec.conditions:
        return f"{noun} = generator.translate(sources)  # {spec.conditions[0].sample.describe_batch(64)} to {batch}"
    labels = "int64 labels" if spec.takes_labels else "None, since it has no classes"
    return f"{noun}, labels = generator.sample(64, seed=0)  # {batch}, {labels}"


def _fine_tuning(origin: Origin | None, extras: Sequence[str]) -> tuple[str, ...]:
    """Lines about the generators that one was fine-tuned from, and about what it can be fine-tuned with."""
    lines = []
    if origin is not None:
        ancestors = [_ancestor(ancestor) for ancestor in origin.lineage()]
        lines += [f"Fine-tuned from {', which was fine-tuned from '.join(ancestors)}.", ""]
    if extras:
        lines += [
            f"For fine-tuning, the weights of its {' and '.join(map(cell, extras))} are included: "
            "`genaug train --init` starts from them.",
            "",
        ]
    return tuple(lines)


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


def recipe(subject: Subject) -> Part:
    """The last part of a card: the settings in the training record, as a table, and those of a recipe."""
    settings = {name: value for name, value in subject.training.items() if name not in _ELSEWHERE}
    table = _table("setting", settings) or ["No training settings are recorded."]
    lines = [*subject.settings, "## Training recipe", "", *table, "", f"Card written by genaug {__version__}."]
    return Part("recipe", "\n".join(lines), {})


def _table(title: str, settings: Mapping[str, Any]) -> list[str]:
    """Settings as a table, with those of inner mappings as ``name.inner``; empty if there are none."""
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        flat |= (
            {f"{name}.{inner}": entry for inner, entry in value.items()} if isinstance(value, dict) else {name: value}
        )
    rows = [
        f"| {cell(name)} | {cell(value if isinstance(value, str) else json.dumps(value, default=str))} |"
        for name, value in flat.items()
        if value not in (None, [])
    ]
    return [f"| {title} | value |", "|---|---|", *rows[:_ROWS]] if rows else []


def cell(text: str, limit: int = 300) -> str:
    """Untrusted text, escaped for a line or table cell of Markdown: without markup, links, tags and line breaks."""
    return one_line(text)[:limit].translate(_ESCAPES)
