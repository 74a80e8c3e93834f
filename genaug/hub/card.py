"""The card of a published generator: its README.md, with the metadata that the Hub reads.

Text and metadata that people wrote stay (see ``genaug.hub.prose``); figures come from what was measured, or are called
not measured.
"""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from genaug.artifacts.figures import claim_generator, read_evaluation
from genaug.artifacts.manifest import Manifest, read_manifest
from genaug.artifacts.paths import user_path
from genaug.errors import InputError
from genaug.hub import figures as measurements, prose, sections
from genaug.hub.pull import CARD_FILE, MAX_CARD_BYTES, SHEET_FILE
from genaug.hub.sections import Facts
from genaug.hub.training_data import KEY, TrainingData, check_training_data, known_data, merged, parse_training_data

if TYPE_CHECKING:
    from genaug.sources.generator import Generator

UNKNOWN = "unknown"  # what the Hub calls a licence that isn't stated
_LISTS = ("tags", "datasets")
_SHEET_PIXELS = 2**25  # of all the samples on a sheet
_PROSE = """
## Intended use and limits

Meant to be blended into the training data of image classifiers, and for research and teaching about that. Whether it
helps depends on the data and the classifier, and weak generators hurt: compare with and without before relying on it.

* It shows what its training images showed, gaps and biases included, and rare classes are likely to be its worst.
* Its samples are evidence of nothing real, and are no test set.
* Samples may resemble training images; what was measured about that stands below.

"""


def render(
    generator: "Generator",
    manifest: Manifest,
    facts: Facts,
    *,
    theirs: str | None = None,
    ours: str | None = None,
    force: bool = False,
) -> str:
    """The card as Markdown with a YAML head.

    ``theirs`` is the card on the Hub and ``ours`` the one in the generator's folder: what people wrote in them stays.
    Raises ``InputError`` where their metadata can't be read, and where both were changed, unless ``force``.
    """
    their_data, their_text = _parse(theirs or "")
    our_data, our_text = _parse(ours or "")
    own_words = our_text if prose.prose(our_text) else _PROSE
    if prose.prose(our_text) or not prose.prose(their_text):
        text = prose.choose(their_text, own_words, force)
    else:
        text = their_text
    data = _fields(their_data, our_data)
    weights = manifest.weights.sha256
    figures = measurements.measured(facts.evaluation, weights)
    data_name = facts.data.name or str(generator.training.get("data") or "not stated")
    results = measurements.results(facts.evaluation, sections.task(generator), data_name)
    written = [(prose.parts(our_text).get("figures"), our_data), (prose.parts(their_text).get("figures"), their_data)]
    for old, old_data in written:
        if old is None:
            results += old_data.eval_results or []  # people's own
        elif facts.evaluation is None and old.notes.get("weights") == weights:  # measured earlier, of these weights
            figures, results = old, old_data.eval_results or []
            break
    new = {
        "summary": sections.summary(generator, manifest, facts),
        "figures": figures,
        "recipe": sections.recipe(generator.training),
    }
    head = _metadata(data, generator, facts, results or None)
    return f"---\n{head.to_yaml()}\n---\n\n{prose.merge(text, new, own_words)}"


def stated_license(card: str | None) -> str | None:
    """The licence in a card's metadata; None where there is none, or only the "unknown" of an earlier push."""
    found = _parse(card or "")[0].license
    return found if isinstance(found, str) and found not in ("", UNKNOWN) else None


def stated_data(card: str | None) -> TrainingData:
    """What a card's metadata says about the training data. Raises ``InputError`` for what can't be used."""
    return parse_training_data(_parse(card or "")[0].get(KEY), f"the metadata of {CARD_FILE}")


def tells_of_copies(card: str | None, weights: str) -> bool:
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

    The arguments are those of ``Generator.push``. What people wrote in an existing README.md stays, and so do its
    licence and what it says about the training data, unless other values are given. Raises what ``genaug.load`` raises,
    ``InputError`` if there is no licence at all, and ``SaveError`` if writing fails.
    """
    from genaug.hub.load import load

    folder = user_path(folder)
    generator = load(folder, device="cpu")
    base = read_card(folder)
    known = check_license(license or stated_license(base))
    if known is None:
        raise InputError("a card needs a licence: pass license=, such as 'apache-2.0'.")
    stated = check_training_data(dataset_name, dataset_url, dataset_license)
    recorded = parse_training_data(generator.training.get(KEY), f"the record of {folder}")
    data = merged([stated, stated_data(base), recorded])
    facts = Facts(repo, known, read_evaluation(folder), data=data)
    card = render(generator, read_manifest(folder), facts, ours=base)
    with claim_generator(folder, "a card") as place:
        place.adopt([CARD_FILE])  # what people wrote in it is in the new one
        place.write({SHEET_FILE: draw_samples(generator), CARD_FILE: card.encode()})
    return place.path / CARD_FILE


def read_card(folder: Path) -> str | None:
    """The README.md of a generator's folder; None where there is none. Raises ``InputError`` where it isn't text."""
    path = folder / CARD_FILE
    if not path.is_file():
        return None
    with open(path, "rb") as file:
        return as_text(file.read(MAX_CARD_BYTES + 1), str(path))


def as_text(card: bytes, where: str) -> str:
    """A card's content. Raises ``InputError`` for what is too long or isn't UTF-8."""
    try:
        if len(card) > MAX_CARD_BYTES:
            raise ValueError(f"more than {MAX_CARD_BYTES:,} bytes")
        return card.decode("utf-8-sig").replace("\r\n", "\n")
    except ValueError as error:
        raise InputError(f"{where} is no card ({error}). Expected Markdown in UTF-8; correct or remove it.") from error


def check_license(license: str | None) -> str | None:
    """The identifier of a licence as the Hub writes it. Raises ``InputError`` for what can't be one, or states none."""
    if license is not None and license.lower() == UNKNOWN:
        raise InputError(f"{license!r} states no licence. Expected one such as 'apache-2.0', 'mit' or 'cc-by-4.0'.")
    if license is not None and not re.fullmatch(r"[a-z0-9][a-z0-9.+-]{0,60}", license.lower()):
        raise InputError(
            f"{license!r} is no identifier of a licence. Expected one such as 'apache-2.0', 'mit' or 'cc-by-4.0'."
        )
    return None if license is None else license.lower()


def draw_samples(generator: "Generator") -> bytes:
    """A PNG sheet of samples with a row for each class: the first ones of seed 0, none left out."""
    from genaug.reports.sheet import Block, draw_sheet, encode_png, sheet_labels

    spec = generator.spec
    most = max(1, _SHEET_PIXELS // (spec.shape[1] * spec.shape[2]))
    rows = min(spec.num_classes or 10, 20, most)
    columns = min(10, max(1, most // rows))
    if spec.takes_labels:
        images, labels = generator.sample(labels=sheet_labels(spec.num_classes, columns, rows), seed=0)
    else:
        images, labels = generator.sample(rows * columns, seed=0)
    return encode_png(draw_sheet(Block(images.cpu(), labels), classes=spec.class_names, columns=columns))


def _parse(card: str) -> tuple[ModelCardData, str]:
    if not card.lstrip().startswith("---"):
        return ModelCardData(), card
    try:
        parsed = ModelCard(card, ignore_metadata_errors=True)
        data = parsed.data
        assert isinstance(data, ModelCardData)
        for name in _LISTS:
            if not all(isinstance(entry, str) for entry in _listed(data.get(name))):
                raise ValueError(f"{name} must be a list of words")
        if not isinstance(data.eval_results, list | None):
            raise ValueError("eval_results is no field of a card; figures stand in model-index")
    except Exception as error:  # PyYAML's and huggingface_hub's, of many kinds
        raise InputError(
            f"the metadata at the top of {CARD_FILE} can't be read ({' '.join(str(error).split())[:200]}). Correct it "
            "there; expected YAML between two lines of '---'."
        ) from error
    return data, parsed.text


def _fields(theirs: ModelCardData, ours: ModelCardData) -> dict[str, Any]:
    """What people entered in either card, but for the figures; in ours where both say something, lists joined."""
    one, other = theirs.to_dict(), ours.to_dict()
    lists = {name: [*_listed(one.get(name)), *_listed(other.get(name))] for name in _LISTS}
    return {name: value for name, value in {**one, **other, **lists}.items() if name != "model-index"}


def _metadata(
    fields: dict[str, Any], generator: "Generator", facts: Facts, results: list[EvalResult] | None
) -> ModelCardData:
    """People's own entries, with ours over them."""
    conditional = generator.spec.takes_labels
    described = merged([facts.data, known_data(generator.training.get("data"))])
    task = fields.get("pipeline_tag")
    if conditional and task == sections.TASK:
        task = None
    ours = {
        "library_name": "genaug",
        "license": facts.license or fields.get("license") or UNKNOWN,
        "pipeline_tag": task or (None if conditional else sections.TASK),
        "tags": list(dict.fromkeys([*fields["tags"], "genaug", generator.backend_name])),
        "datasets": list(dict.fromkeys([*fields["datasets"], *_listed(described.hub_id)])) or None,
        **({KEY: facts.data.stated()} if facts.data.stated() else {}),
        "model_name": facts.repo.partition("/")[2] if results else None,
    }
    return ModelCardData(**{**fields, **ours}, eval_results=results)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]
