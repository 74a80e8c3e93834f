"""The model card of a generator: its README.md, with the metadata that the Hub reads.

Text and metadata written by people are kept (see ``genaug.hub.prose``); figures come from the evaluation, and missing
ones are called not measured.
"""

from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from genaug.artifacts.figures import claim_generator, read_evaluation
from genaug.artifacts.paths import user_path
from genaug.checks import UNKNOWN_LICENSE, check_license
from genaug.errors import InputError
from genaug.hub import figures as measurements, prose, sections
from genaug.hub.contents import contents_of
from genaug.hub.pull import CARD_FILE, MAX_CARD_BYTES
from genaug.hub.sections import Facts, Subject
from genaug.hub.training_data import KEY, TrainingData, check_training_data, known_data, merged, parse_training_data

_LISTS = ("tags", "datasets")
_PROSE = """
## Intended use and limits

This generator is meant for augmenting the training data of classifiers, and for research and teaching on that
subject. Whether it helps depends on the data and the classifier, and a weak generator does harm: compare training with
and without it before relying on it.

* It reproduces the gaps and biases of its training {noun}, and rare classes are likely to be its worst.
* Its samples aren't evidence of anything real, and can't replace a test set.
* Samples may resemble training {noun}; the measurements of this are below.

"""


def render(
    subject: Subject,
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
    local_prose = local_text if prose.prose(local_text) else _PROSE.format(noun=subject.spec.sample.noun)
    only_remote = prose.prose(remote_text) and not prose.prose(local_text)
    text = remote_text if only_remote else prose.choose(remote_text, local_prose, force)
    weights = subject.sha256
    figures = measurements.measured(facts.evaluation, weights)
    data_name = facts.data.name or str(subject.training.get("data") or "not stated")
    results = measurements.results(facts.evaluation, sections.task(subject.spec), data_name)
    for old_text, old_data in ((local_text, local_data), (remote_text, remote_data)):
        old = prose.parts(old_text).get("figures")
        if old is None:
            results += old_data.eval_results or []  # entered by people
        elif facts.evaluation is None and old.notes.get("weights") == weights:  # earlier figures of the same weights
            figures, results = old, old_data.eval_results or []
            break
    new = {
        "summary": sections.summary(subject, facts),
        "figures": figures,
        "recipe": sections.recipe(subject),
    }
    head = _metadata(_fields(remote_data, local_data), subject, facts, results or None)
    return f"---\n{head.to_yaml()}\n---\n\n{prose.merge(text, new, local_prose)}"


def stated_license(card: str | None) -> str | None:
    """The license in a card's metadata; None if there is none, or only the "unknown" of an earlier push."""
    license = _parse(card or "")[0].license
    return license if isinstance(license, str) and license not in ("", UNKNOWN_LICENSE) else None


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
    """Write ``README.md`` and ``samples.png`` into the local folder of a generator or a recipe, as a push to ``repo``
    would send them; a translator has no ``samples.png``.

    The arguments are those of ``Generator.push``. An existing README.md keeps the text that people wrote, its license
    and its statements about the training data, unless the arguments replace them. Raises the errors of ``genaug.load``,
    ``InputError`` if no license is stated, and ``SaveError`` if writing fails.
    """
    folder = user_path(folder)
    contents = contents_of(folder, "cpu")
    old_card = read_card(folder)
    license = check_license(license or stated_license(old_card) or contents.license)
    if license is None:
        raise InputError("a card needs a license: pass license=, such as 'apache-2.0'.")
    sources = [
        check_training_data(dataset_name, dataset_url, dataset_license),
        stated_data(old_card),
        parse_training_data(contents.subject.training.get(KEY), f"the record of {folder}"),
    ]
    facts = Facts(repo, license, read_evaluation(folder), data=merged(sources))
    card = render(contents.subject, facts, local=old_card)
    with claim_generator(folder, "a card") as place:
        place.adopt([CARD_FILE])  # the new card has the text that people wrote in it
        place.write({**contents.draw(), CARD_FILE: card.encode()})
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
    fields: dict[str, Any], subject: Subject, facts: Facts, results: list[EvalResult] | None
) -> ModelCardData:
    """The entries of people, updated with the generated ones."""
    data = merged([facts.data, known_data(subject.training.get("data"))])
    task = fields.get("pipeline_tag")
    own_task = sections.task(subject.spec)
    if task == sections.TASK != own_task:
        task = None
    generated = {
        "library_name": "genaug",
        "license": facts.license or fields.get("license") or UNKNOWN_LICENSE,
        "pipeline_tag": task or (own_task if own_task == sections.TASK else None),
        "tags": list(dict.fromkeys([*fields["tags"], "genaug", subject.tag])),
        "datasets": list(dict.fromkeys([*fields["datasets"], *_as_list(data.hub_id)])) or None,
        **_base_model(fields, subject),
        **({KEY: facts.data.stated()} if facts.data.stated() else {}),
        "model_name": facts.repo.partition("/")[2] if results else None,
    }
    return ModelCardData(**{**fields, **generated}, eval_results=results)


def _base_model(fields: dict[str, Any], subject: Subject) -> dict[str, Any]:
    """The repo that a recipe names or that a generator was fine-tuned from, with those that people entered."""
    if subject.base is None:
        return {}
    models = list(dict.fromkeys([*_as_list(fields.get("base_model")), subject.base]))
    relation = {"base_model_relation": "finetune"} if subject.kind == "generator" else {}
    return {"base_model": models if len(models) > 1 else subject.base, **relation}


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]
