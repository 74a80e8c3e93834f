"""Publishing a generator: everything is checked before the first request, then it is sent as one commit and its tag."""

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import replace

from genaug.artifacts.figures import EVALUATION_FILE, Figures, parse_evaluation, read_evaluation
from genaug.artifacts.manifest import CONFIG_FILE, encode_generator, encode_manifest, parse_manifest
from genaug.errors import HubError, InputError
from genaug.hub import client
from genaug.hub.card import (
    check_license,
    draw_samples,
    failed_copying_check,
    read_card,
    render,
    stated_data,
    stated_license,
)
from genaug.hub.commit import Publication as Publication, describe_if_present, download_card, send
from genaug.hub.pull import CARD_FILE, PUBLISHED, SHEET_FILE
from genaug.hub.redaction import credentials_redacted, redact
from genaug.hub.sections import Facts
from genaug.hub.training_data import KEY, check_training_data, merged, parse_training_data
from genaug.sources.generator import Generator
from genaug.training.tuning import further_tensors, weights_digest
from genaug.version import __version__

_MOST_CLASSES = 100  # with figures in config.json


@credentials_redacted()
def push(
    generator: Generator,
    repo: str,
    *,
    license: str | None = None,
    private: bool = False,
    tag: str | None = None,
    message: str | None = None,
    dry_run: bool = False,
    force: bool = False,
    dataset_name: str | None = None,
    dataset_url: str | None = None,
    dataset_license: str | None = None,
    keep: Sequence[str] = (),
) -> Publication:
    """See ``Generator.push``."""
    client.check_repo_id(repo)
    if tag is not None:
        client.check_revision(tag, "name for a tag")
    data = check_training_data(dataset_name, dataset_url, dataset_license)
    recorded = parse_training_data(generator.training.get(KEY), "the training record")
    digest = weights_digest(generator)
    generator = _with_extras(generator, keep, digest)
    files = encode_generator(generator.manifest_fields(), generator.tensors())
    manifest = parse_manifest(files[CONFIG_FILE], CONFIG_FILE)
    evaluation = _evaluation(generator, manifest.weights.sha256, digest)
    if evaluation is not None:  # travels with the weights, so that later pushes keep it
        short = 0 < len(evaluation.per_class) <= _MOST_CLASSES
        manifest.training["evaluation"] = evaluation.model_dump(
            exclude_none=True, exclude=None if short else {"per_class"}
        )
    local_card = None if generator.folder is None else read_card(generator.folder)
    known_license = check_license(license or stated_license(local_card))

    def checked_facts(*cards: str | None) -> Facts:
        license = next(filter(None, (known_license, *map(stated_license, cards))), None)
        reservations = _reservations(license, evaluation, cards, (digest, manifest.weights.sha256))
        if reservations and not force:
            raise InputError(
                f"{' '.join(reservations)} Nothing was sent. {' '.join(reservations.values())} Pass force (--force) to "
                "publish it anyway; the card then says this too."
            )
        return Facts(repo, license, evaluation, tuple(reservations), merged([data, *map(stated_data, cards), recorded]))

    def publication(remote_card: str | None) -> Publication:
        facts = checked_facts(local_card, remote_card)
        if facts.data.stated():
            manifest.training[KEY] = facts.data.stated()
        files[CONFIG_FILE] = encode_manifest(manifest)
        card = render(generator, manifest, facts, remote=remote_card, local=local_card, force=force)
        files[CARD_FILE] = card.encode()
        return Publication(
            repo,
            message or f"{generator.backend_name} generator, genaug {__version__}",
            tag,
            private,
            {name: files[name] for name in PUBLISHED},
        )

    checked_facts(local_card)
    files[SHEET_FILE] = draw_samples(generator)
    if dry_run:
        return _dry_run(repo, publication, private)
    with client.limited_session():
        remote = describe_if_present(repo)
        published = send(publication(download_card(remote, repo)), remote)
    if data.stated():  # so that it needn't be stated again
        generator.training[KEY] = merged([data, recorded]).stated()
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


def _with_extras(generator: Generator, keep: Sequence[str], digest: str) -> Generator:
    """The generator with the tensors of the further networks ``keep``, which its folder has to hold."""
    if isinstance(keep, str):
        raise InputError(f"keep must be a sequence of names such as ('discriminator',), got {keep!r}.")
    names = [name for name in dict.fromkeys(keep) if name not in generator.nets]
    if not names:
        return generator
    tensors = further_tensors(generator, digest)
    available = {name.partition(".")[0] for name in tensors}
    if missing := [name for name in names if name not in available]:
        held = f"it holds {', '.join(sorted(available))}" if available else "it holds none"
        raise InputError(
            f"keep names {', '.join(map(repr, missing))}, but of the networks that sampling doesn't need, {held}. "
            "Expected networks in the last checkpoint of this generator's run folder: push that folder."
        )
    extras = {name: tensor for name, tensor in tensors.items() if name.partition(".")[0] in names}
    extended = copy(generator)
    extended.extras = {**generator.extras, **extras}
    return extended


def _evaluation(generator: Generator, weights: str, digest: str) -> Figures | None:
    """The figures of exactly these weights, from the generator's folder or otherwise from its training record.

    ``digest`` is the hash of the same weights without the extras that a push adds.
    """
    figures = None if generator.folder is None else read_evaluation(generator.folder)
    where = EVALUATION_FILE if generator.folder is None else str(generator.folder / EVALUATION_FILE)
    if figures is None and "evaluation" in generator.training:
        where = "training['evaluation']"
        figures = parse_evaluation(generator.training["evaluation"], where)
    if figures is None:
        return None
    if figures.weights_sha256 not in (None, weights, digest):
        raise InputError(
            f"{where} was measured with other weights than these. Evaluate again, or delete it; the card then calls "
            "the figures not measured."
        )
    return figures.model_copy(update={"weights_sha256": weights})


def _dry_run(repo: str, publication: Callable[[str | None], Publication], private: bool) -> Publication:
    try:
        with client.limited_session():
            remote = describe_if_present(repo)
            card = download_card(remote, repo)
    except HubError as error:
        return replace(publication(None), state=redact(f"shown as a new repo, since its state is unknown: {error}"))
    new = "a new private repo" if private else "a new public repo"
    return replace(publication(card), state=new if remote is None else f"now at commit {remote.commit[:12]}")
