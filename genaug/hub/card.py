"""The model card of a generator: its README.md, with the metadata that the Hub reads.

Text and metadata written by people are kept (see ``genaug.hub.prose``); figures come from the evaluation, and missing
ones are called not measured.
"""

import re
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from genaug.artifacts.ancestry import origin_of
from genaug.artifacts.figures import claim_generator, read_evaluation
from genaug.artifacts.manifest import Manifest, read_manifest
from genaug.artifacts.paths import user_path
from genaug.errors import InputError
from genaug.hub import figures as measurements, prose, sections
from genaug.hub.load import load
from genaug.hub.pull import CARD_FILE, MAX_CARD_BYTES, SHEET_FILE
from genaug.hub.sections import Facts
from genaug.hub.training_data import KEY, TrainingData, check_training_data, known_data, merged, parse_training_data
from genaug.reports.sheet import Block, draw_sheet, encode_png, sheet_labels
from genaug.sources.generator import Generator

UNKNOWN = "unknown"  # the Hub's name for a license that isn't stated
_LISTS = ("tags", "datasets")
_GRID_PIXELS = 2**25  # of all samples on a grid
_PROSE = """
## Intended use and limits

This generator is meant for augmenting the training data of image classifiers, and for research and teaching on that
subject. Whether it helps depends on the data and the classifier, and a weak generator does harm: compare training with
and without it before relying on it.

* It reproduces the gaps and biases of its training images, and rare classes are likely to be its worst.
* Its samples aren't evidence of anything real, and can't replace a test set.
* Samples may resemble training images; the measurements of this are below.

"""


def render(
    generator: Generator,
    manifest: Manifest,
    facts: Facts,
    *,
    remote: str | None = None,
    local: str | None = None,
    force: bool = False,
) -> str:
    """The card as Markdown with YAML metadata.

    ``remote`` is the card on the Hub and ``local`` the one in the generator's folder; text that people wrote is kept.
    Raises ``InputError`` if their metadata can't be read, or if both were changed, unless ``force``.
    """
    remote_data, remote_text = _parse(remote or "")
    local_data, local_text = _parse(local or "")
    local_prose = local_text if prose.prose(local_text) else _PROSE
    only_remote = prose.prose(remote_text) and not prose.prose(local_text)
    text = remote_text if only_remote else prose.choose(remote_text, local_prose, force)
    weights = manifest.weights.sha256
    figures = measurements.measured(facts.evaluation, weights)
    data_name = facts.data.name or str(generator.training.get("data") or "not stated")
    results = measurements.results(facts.evaluation, sections.task(generator), data_name)
    for old_text, old_data in ((local_text, local_data), (remote_text, remote_data)):
        old = prose.parts(old_text).get("figures")
        if old is None:
            results += old_data.eval_results or []  # entered by people
        elif facts.evaluation is None and old.notes.get("weights") == weights:  # earlier figures of the same weights
            figures, results = old, old_data.eval_results or []
            break
    new = {
        "summary": sections.summary(generator, manifest, facts),
        "figures": figures,
        "recipe": sections.recipe(generator.training),
    }
    head = _metadata(_fields(remote_data, local_data), generator, facts, results or None)
    return f"---\n{head.to_yaml()}\n---\n\n{prose.merge(text, new, local_prose)}"


def stated_license(card: str | None) -> str | None:
    """The license in a card's metadata; None if there is none, or only the "unknown" of an earlier push."""
    license = _parse(card or "")[0].license
    return license if isinstance(license, str) and license not in ("", UNKNOWN) else None


def stated_data(card: str | None) -> TrainingData:
    """The training data that a card's metadata states. Raises ``InputError`` for invalid values."""
    return parse_training_data(_parse(card or "")[0].get(KEY), f"the metadata of {CARD_FILE}")


def failed_copying_check(card: str | None, weights: str) -> bool:
    """Whether a card says that these weights failed a check for copies of training images."""
    figures = prose.parts(_parse(card or "")[1]).get("figures")
    return figures is not None and figures.notes.get("weights") == weights and "copies" in figures.notes


def write_card(
    folder: str | Path,
    repo: str,
    *,
    license: str | None = None,
    dataset_name: str | None = None,
    dataset_url: str | None = None,
    dataset_license: str | None = None,
) -> Path:
    """Write ``README.md`` and ``samples.png`` into a generator's local folder, as a push to ``repo`` would send them.

    The arguments are those of ``Generator.push``. An existing README.md keeps the text that people wrote, its license
    and its statements about the training data, unless the arguments replace them. Raises the errors of ``genaug.load``,
    ``InputError`` if no license is stated, and ``SaveError`` if writing fails.
    """
    folder = user_path(folder)
    generator = load(folder, device="cpu")
    old_card = read_card(folder)
    license = check_license(license or stated_license(old_card))
    if license is None:
        raise InputError("a card needs a license: pass license=, such as 'apache-2.0'.")
    sources = [
        check_training_data(dataset_name, dataset_url, dataset_license),
        stated_data(old_card),
        parse_training_data(generator.training.get(KEY), f"the record of {folder}"),
    ]
    facts = Facts(repo, license, read_evaluation(folder), data=merged(sources))
    card = render(generator, read_manifest(folder), facts, local=old_card)
    with claim_generator(folder, "a card") as place:
        place.adopt([CARD_FILE])  # the new card has the text that people wrote in it
        place.write({SHEET_FILE: draw_samples(generator), CARD_FILE: card.encode()})
    return place.path / CARD_FILE


def read_card(folder: Path) -> str | None:
    """The README.md of a generator's folder; None if there is none. Raises ``InputError`` if it isn't text."""
    path = folder / CARD_FILE
    if not path.is_file():
        return None
    with open(path, "rb") as file:
        return as_text(file.read(MAX_CARD_BYTES + 1), str(path))


def as_text(card: bytes, where: str) -> str:
    """A card's text. Raises ``InputError`` if it is too long or isn't UTF-8."""
    try:
        if len(card) > MAX_CARD_BYTES:
            raise ValueError(f"more than {MAX_CARD_BYTES:,} bytes")
        return card.decode("utf-8-sig").replace("\r\n", "\n")
    except ValueError as error:
        raise InputError(
            f"{where} isn't a valid card ({error}). Expected Markdown in UTF-8; correct or remove it."
        ) from error


def check_license(license: str | None) -> str | None:
    """The identifier of a license as the Hub writes it. Raises ``InputError`` for "unknown" and for invalid ones."""
    if license is None:
        return None
    if license.lower() == UNKNOWN or not re.fullmatch(r"[a-z0-9][a-z0-9.+-]{0,60}", license.lower()):
        raise InputError(
            f"{license!r} is not the identifier of a license. Expected one such as 'apache-2.0', 'mit' or 'cc-by-4.0'."
        )
    return license.lower()


def draw_samples(generator: Generator) -> bytes:
    """A PNG of a sample grid with a row per class: the first samples of seed 0, without selection."""
    spec = generator.spec
    most = max(1, _GRID_PIXELS // (spec.shape[1] * spec.shape[2]))
    rows = min(spec.num_classes or 10, 20, most)
    columns = min(10, max(1, most // rows))
    labels = sheet_labels(spec.num_classes, columns, rows) if spec.takes_labels else None
    images, labels = generator.sample(rows * columns if labels is None else None, labels=labels, seed=0)
    return encode_png(draw_sheet(Block(images.cpu(), labels), classes=spec.class_names, columns=columns))


def _parse(card: str) -> tuple[ModelCardData, str]:
    if not card.lstrip().startswith("---"):
        return ModelCardData(), card
    try:
        parsed = ModelCard(card, ignore_metadata_errors=True)
        data = parsed.data
        assert isinstance(data, ModelCardData)
        for name in _LISTS:
            if not all(isinstance(entry, str) for entry in _as_list(data.get(name))):
                raise ValueError(f"{name} must be a list of words")
        if not isinstance(data.eval_results, list | None):
            raise ValueError("eval_results isn't a field of a card; figures belong in model-index")
    except Exception as error:  # PyYAML and huggingface_hub raise many kinds
        raise InputError(
            f"the metadata at the top of {CARD_FILE} can't be read ({' '.join(str(error).split())[:200]}). Expected "
            "YAML between two lines of '---'; correct it there."
        ) from error
    return data, parsed.text


def _fields(remote: ModelCardData, local: ModelCardData) -> dict[str, Any]:
    """The metadata of both cards except the figures; local ones take precedence, and lists are joined."""
    fields, own = remote.to_dict(), local.to_dict()
    lists = {name: [*_as_list(fields.get(name)), *_as_list(own.get(name))] for name in _LISTS}
    return {name: value for name, value in {**fields, **own, **lists}.items() if name != "model-index"}


def _metadata(
    fields: dict[str, Any], generator: Generator, facts: Facts, results: list[EvalResult] | None
) -> ModelCardData:
    """The entries of people, updated with the generated ones."""
    conditional = generator.spec.takes_labels
    data = merged([facts.data, known_data(generator.training.get("data"))])
    task = fields.get("pipeline_tag")
    if conditional and task == sections.TASK:
        task = None
    generated = {
        "library_name": "genaug",
        "license": facts.license or fields.get("license") or UNKNOWN,
        "pipeline_tag": task or (None if conditional else sections.TASK),
        "tags": list(dict.fromkeys([*fields["tags"], "genaug", generator.backend_name])),
        "datasets": list(dict.fromkeys([*fields["datasets"], *_as_list(data.hub_id)])) or None,
        **_base_model(fields, generator),
        **({KEY: facts.data.stated()} if facts.data.stated() else {}),
        "model_name": facts.repo.partition("/")[2] if results else None,
    }
    return ModelCardData(**{**fields, **generated}, eval_results=results)


def _base_model(fields: dict[str, Any], generator: Generator) -> dict[str, Any]:
    """The generator on the Hub that this one was fine-tuned from, with those that people entered."""
    origin = origin_of(generator.training)
    base = None if origin is None else sections.hub_id(origin)
    if base is None:
        return {}
    models = list(dict.fromkeys([*_as_list(fields.get("base_model")), base]))
    return {"base_model": models if len(models) > 1 else base, "base_model_relation": "finetune"}


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]
