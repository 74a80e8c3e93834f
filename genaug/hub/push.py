"""Publishing a generator: everything is checked before the first request, then it is sent as one commit and its tag."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from genaug.artifacts.figures import EVALUATION_FILE, Figures, parse_evaluation, read_evaluation
from genaug.checks import check_license
from genaug.errors import HubError, InputError
from genaug.hub import client
from genaug.hub.card import (
    failed_copying_check,
    read_card,
    render,
    stated_data,
    stated_license,
)
from genaug.hub.commit import Publication as Publication, describe_if_present, download_card, send
from genaug.hub.contents import Contents, contents_of
from genaug.hub.pull import CARD_FILE, PUBLISHED
from genaug.hub.redaction import credentials_redacted, redact
from genaug.hub.sections import Facts
from genaug.hub.training_data import KEY, check_training_data, merged, parse_training_data
from genaug.sources.generator import Generator
from genaug.version import __version__

_MOST_CLASSES = 100  # with figures in the record


@credentials_redacted()
def push(
    what: Generator | str | Path,
    repo: str,
    *,
    license: str | None = None,
    private: bool = False,
    tag: str | None = None,
    commit_message: str | None = None,
    dry_run: bool = False,
    force: bool = False,
    dataset_name: str | None = None,
    dataset_url: str | None = None,
    dataset_license: str | None = None,
    device: str | torch.device | None = None,
    keep: Sequence[str] = (),
) -> Publication:
    """Publish a generator, or the generator or recipe in a folder, on the Hub as ``repo`` ("owner/name").

    ``device`` is where a recipe's sample grid is drawn, by default a GPU if there is one. The other arguments are those
    of ``Generator.push``. A recipe (see ``genaug.save_recipe``) is published without weights, and must name the commit
    of what it is built from.

    Raises the errors of ``Generator.push``, and those of ``genaug.load`` for the folder.
    """
    client.check_repo_id(repo)
    if tag is not None:
        client.check_revision(tag, "name for a tag")
    data = check_training_data(dataset_name, dataset_url, dataset_license)
    contents = contents_of(what, device, keep)
    subject, training = contents.subject, dict(contents.subject.training)
    recorded = parse_training_data(training.get(KEY), "the training record")
    evaluation = _evaluation(contents)
    if evaluation is not None:  # travels with the generator, so that later pushes keep it
        short = 0 < len(evaluation.per_class) <= _MOST_CLASSES
        training["evaluation"] = evaluation.model_dump(exclude_none=True, exclude=None if short else {"per_class"})
    local_card = None if contents.folder is None else read_card(contents.folder)
    known_license = check_license(license or stated_license(local_card) or contents.license)

    def checked_facts(*cards: str | None) -> Facts:
        license = next(filter(None, (known_license, *map(stated_license, cards))), None)
        reservations = _reservations(license, evaluation, cards, (subject.sha256, *subject.also_known_as))
        if reservations and not force:
            raise InputError(
                f"{' '.join(reservations)} Nothing was sent. {' '.join(reservations.values())} Pass force (--force) to "
                "publish it anyway; the card then says this too."
            )
        return Facts(repo, license, evaluation, tuple(reservations), merged([data, *map(stated_data, cards), recorded]))

    def publication(remote_card: str | None) -> Publication:
        facts = checked_facts(local_card, remote_card)
        if facts.data.stated():
            training[KEY] = facts.data.stated()
        card = render(subject, facts, remote=remote_card, local=local_card, force=force)
        files = {**contents.encode(training, facts.license), CARD_FILE: card.encode(), **sheet}
        return Publication(
            repo,
            commit_message or f"{subject.tag} {subject.kind}, genaug {__version__}",
            tag,
            private,
            {name: files[name] for name in PUBLISHED if name in files},
        )

    checked_facts(local_card)
    sheet = contents.draw()
    if dry_run:
        return _dry_run(repo, publication, private)
    with client.limited_session():
        remote = describe_if_present(repo)
        published = send(publication(download_card(remote, repo)), remote)
    if isinstance(what, Generator) and data.stated():  # so that it needn't be stated again
        what.training[KEY] = merged([data, recorded]).stated()
    return published


def _reservations(
    license: str | None, evaluation: Figures | None, cards: tuple[str | None, ...], digests: tuple[str, ...]
) -> dict[str, str]:
    """The reasons against publishing, as sentences for the error or the card, each with a remedy.

    Without an evaluation, the statements of earlier cards about the same weights count.
    """
    reservations = {}
    if license is None:
        reservations["No license is stated, so nobody knows how this generator may be used."] = (
            "State one with license= (--license), such as apache-2.0."
        )
    failed = any(failed_copying_check(card, weights) for card in cards for weights in digests)
    failed = failed if evaluation is None else evaluation.copying_failed
    if failed:
        reservations["A check for copies of training images failed."] = (
            "Train another generator, on more images or for fewer steps, and evaluate that one."
        )
    return reservations


def _evaluation(contents: Contents) -> Figures | None:
    """The figures of exactly this generator or recipe, from its folder or otherwise from its training record."""
    folder, record, kind = contents.folder, contents.subject.training, contents.subject.kind
    figures = None if folder is None else read_evaluation(folder)
    where = EVALUATION_FILE if folder is None else str(folder / EVALUATION_FILE)
    if figures is None and "evaluation" in record:
        where = "training['evaluation']"
        figures = parse_evaluation(record["evaluation"], where)
    if figures is None:
        return None
    field, others = (
        ("recipe_sha256", "a recipe other than") if kind == "recipe" else ("weights_sha256", "other weights")
    )
    if getattr(figures, field) not in (None, contents.subject.sha256, *contents.subject.also_known_as):
        raise InputError(
            f"{where} was measured with {others} {'this one' if kind == 'recipe' else 'than these'}. Evaluate again, "
            "or delete it; the card then calls the figures not measured."
        )
    return figures.model_copy(update={field: contents.subject.sha256})


def _dry_run(repo: str, publication: Callable[[str | None], Publication], private: bool) -> Publication:
    try:
        with client.limited_session():
            remote = describe_if_present(repo)
            card = download_card(remote, repo)
    except HubError as error:
        return replace(publication(None), state=redact(f"shown as a new repo, since its state is unknown: {error}"))
    new = "a new private repo" if private else "a new public repo"
    return replace(publication(card), state=new if remote is None else f"now at commit {remote.commit[:12]}")
