"""Publishing a generator: checked here first, then one commit with everything in it, then the tag."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, TypeVar

from huggingface_hub import CommitOperationAdd, constants
from huggingface_hub.errors import HfHubHTTPError

from genaug.artifacts.figures import EVALUATION_FILE, Figures, parse_evaluation, read_evaluation
from genaug.artifacts.manifest import CONFIG_FILE, WEIGHTS_FILE, encode_generator, encode_manifest, parse_manifest
from genaug.errors import GenaugError, HubError, InputError, NotOnHubError
from genaug.hub import cache, client
from genaug.hub.card import (
    as_text,
    check_license,
    draw_samples,
    read_card,
    render,
    stated_data,
    stated_license,
    tells_of_copies,
)
from genaug.hub.client import NotAHubError, find_interruption, limited_session, persistently
from genaug.hub.download import Remote, download
from genaug.hub.explain import explain
from genaug.hub.pull import CARD_FILE, MAX_CARD_BYTES, PUBLISHED, SHEET_FILE, describe
from genaug.hub.redaction import credentials_redacted, redact
from genaug.hub.sections import Facts
from genaug.hub.training_data import KEY, TrainingData, check_training_data, merged, parse_training_data
from genaug.version import __version__

if TYPE_CHECKING:
    from genaug.sources.generator import Generator

T = TypeVar("T")
_MOST_CLASSES = 100  # whose figures travel in config.json
_CHANGED = 412  # the branch isn't where the commit expected it


@dataclass(frozen=True)
class Publication:
    """A commit on the Hub, or for a dry run the one that it would be: ``commit`` is its hash, or None."""

    repo: str
    message: str
    tag: str | None
    private: bool
    files: Mapping[str, bytes] = field(repr=False)
    state: str = ""
    commit: str | None = None

    @property
    def url(self) -> str:
        return f"{constants.ENDPOINT}/{self.repo}"

    @property
    def card(self) -> str:
        """The text of README.md."""
        return self.files[CARD_FILE].decode()

    def __str__(self) -> str:
        lines = [f"{self.url} ({self.state})", f"  {self.message}"]
        for name, content in self.files.items():
            lines.append(f"  {name:<18} {len(content):>12,} bytes, sha256 {sha256(content).hexdigest()[:16]}…")
        lines += [f"  tag {self.tag}"] if self.tag else []
        return "\n".join([*lines, f"  commit {self.commit}" if self.commit else "  nothing was sent (dry run)"])


def push(
    generator: "Generator",
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
) -> Publication:
    """See ``Generator.push``."""
    with credentials_redacted():
        data = check_training_data(dataset_name, dataset_url, dataset_license)
        publication = _push(generator, repo, license, data, private, tag, message, dry_run, force)
    if data.stated() and not dry_run:  # so that nobody is asked again
        recorded = parse_training_data(generator.training.get(KEY), "the training record")
        generator.training[KEY] = merged([data, recorded]).stated()
    return publication


def _push(
    generator: "Generator",
    repo: str,
    license: str | None,
    data: TrainingData,
    private: bool,
    tag: str | None,
    message: str | None,
    dry_run: bool,
    force: bool,
) -> Publication:
    client.check_repo_id(repo)
    if tag is not None:
        client.check_revision(tag, "name for a tag")
    files = encode_generator(generator.manifest_fields(), generator.nets.state_dict())
    manifest = parse_manifest(files[CONFIG_FILE], CONFIG_FILE)
    evaluation = _evaluation(generator, manifest.weights.sha256)
    if evaluation is not None:  # travels with the weights, so later pushes keep it
        many = len(evaluation.per_class) > _MOST_CLASSES
        manifest.training["evaluation"] = evaluation.model_dump(
            exclude_none=True, exclude={"per_class"} if many or not evaluation.per_class else None
        )
        files[CONFIG_FILE] = encode_manifest(manifest)
    our_card = None if generator.folder is None else read_card(generator.folder)
    known = check_license(license or stated_license(our_card))

    def vetted(*cards: str | None) -> Facts:
        stated = next(filter(None, (known, *map(stated_license, cards))), None)
        reservations = _reservations(stated, evaluation, cards, manifest.weights.sha256)
        if reservations and not force:
            raise InputError(
                f"{' '.join(reservations)} Nothing was sent. {' '.join(reservations.values())} With force (--force) it "
                "is published all the same, and the card says this too."
            )
        recorded = parse_training_data(generator.training.get(KEY), "the training record")
        described = merged([data, *map(stated_data, cards), recorded])
        return Facts(repo, stated, evaluation, tuple(reservations), described)

    vetted(our_card)
    message = message or f"{generator.backend_name} generator, genaug {__version__}"
    files[SHEET_FILE] = draw_samples(generator)

    def completed(their_card: str | None) -> Publication:
        facts = vetted(our_card, their_card)
        if facts.data.stated():
            manifest.training[KEY] = facts.data.stated()
            files[CONFIG_FILE] = encode_manifest(manifest)
        card = render(generator, manifest, facts, theirs=their_card, ours=our_card, force=force)
        files[CARD_FILE] = card.encode()
        return Publication(repo, message, tag, private, {name: files[name] for name in PUBLISHED})

    if dry_run:
        return _dry(repo, completed, private)
    with limited_session():
        remote = _look(repo)
        return _send(completed(_card_of(remote, repo)), remote)


def _reservations(
    license: str | None, evaluation: Figures | None, cards: tuple[str | None, ...], weights: str
) -> dict[str, str]:
    """What speaks against publishing, as sentences for the error or the card, each with what to do about it.

    Where nothing is known of an evaluation, what earlier cards say of the very same weights counts.
    """
    found = {}
    if license is None:
        found["No licence is stated, so nobody knows what may be done with this generator."] = (
            "State one with license= (--license), such as apache-2.0."
        )
    failed = any(tells_of_copies(card, weights) for card in cards) if evaluation is None else evaluation.copying_failed
    if failed:
        found["A check for copies of training images was run, and it failed."] = (
            "Train another, on more images or in fewer steps, and measure that."
        )
    return found


def _evaluation(generator: "Generator", weights: str) -> Figures | None:
    """What was measured of exactly these weights: in the generator's folder, else in its training record."""
    found = None if generator.folder is None else read_evaluation(generator.folder)
    where = EVALUATION_FILE if generator.folder is None else str(generator.folder / EVALUATION_FILE)
    if found is None and "evaluation" in generator.training:
        where = "training['evaluation']"
        found = parse_evaluation(generator.training["evaluation"], where)
    if found is not None and found.weights_sha256 not in (None, weights):
        raise InputError(
            f"{where} was measured of other weights than these. Measure again, or delete it, and the card calls the "
            "figures not measured."
        )
    return None if found is None else found.model_copy(update={"weights_sha256": weights})


def _dry(repo: str, completed: Callable[[str | None], Publication], private: bool) -> Publication:
    try:
        with limited_session():
            remote = _look(repo)
            card = _card_of(remote, repo)
    except HubError as error:
        return replace(completed(None), state=redact(f"shown as a new repo, since its state is unknown: {error}"))
    visibility = "private" if private else "public"
    state = f"a new {visibility} repo" if remote is None else f"now at commit {remote.commit[:12]}"
    return replace(completed(card), state=state)


def _look(repo: str) -> Remote | None:
    """What the repo holds now; None where there is none (or none that we may see)."""
    try:
        return _asked(lambda: describe(repo), repo)
    except NotOnHubError:
        return None


def _card_of(remote: Remote | None, repo: str) -> str | None:
    if remote is None or CARD_FILE not in remote.files:
        return None
    with TemporaryDirectory() as folder:
        part = Path(folder) / CARD_FILE
        download(remote, repo, CARD_FILE, part, MAX_CARD_BYTES)
        return as_text(part.read_bytes(), f"{constants.ENDPOINT}/{repo}/blob/main/{CARD_FILE}")


def _send(wanted: Publication, remote: Remote | None) -> Publication:
    repo = wanted.repo
    if remote is None:
        _asked(lambda: client.api().create_repo(repo, private=wanted.private, exist_ok=True), repo)
        remote = _asked(lambda: describe(repo), repo)
        state = f"new, {'private' if remote.private else 'public'}"
    else:
        state = f"was at commit {remote.commit[:12]}"
    if wanted.private and not remote.private:
        raise HubError(
            f"{repo} is public already, and a push can't change that. Nothing was sent: make it private on "
            f"{wanted.url}/settings, or choose another name."
        )
    if wanted.tag is not None:
        _check_tag(wanted, remote)
    commit = _commit(wanted, remote)
    if wanted.tag is not None:
        _tag(repo, wanted.tag, commit)
    return replace(wanted, state=state, commit=commit)


def _commit(wanted: Publication, remote: Remote) -> str:
    """One commit on top of what was seen. Where its answer is lost, what the repo then holds decides."""

    def attempt() -> str:
        operations = [CommitOperationAdd(name, content) for name, content in wanted.files.items()]
        try:
            info = client.api().create_commit(
                wanted.repo,
                operations,
                commit_message=wanted.message,
                commit_description=f"sha256 of the weights: {sha256(wanted.files[WEIGHTS_FILE]).hexdigest()}",
                parent_commit=remote.commit,
            )
        except HfHubHTTPError as error:
            if error.response.status_code != _CHANGED:
                raise
            return _arrived(wanted) or _conflict(wanted.repo, error)
        except ValueError as error:
            if "metadata in README.md" not in str(error):
                raise
            raise InputError(f"the Hub refuses the card ({client.one_line(error)}). Correct README.md.") from error
        except Exception as error:
            if find_interruption(error) is None:
                raise
            commit = _arrived(wanted)
            if commit is None:
                raise
            return commit
        return _checked(info.oid)

    return _asked(attempt, wanted.repo)


def _checked(commit: Any) -> str:
    if not isinstance(commit, str) or not cache.is_commit(commit):
        raise NotAHubError(ValueError(f"it names {commit!r} as a commit"))
    return commit


def _arrived(wanted: Publication) -> str | None:
    """The commit at which the repo holds exactly what we send; None where it doesn't."""
    now = describe(wanted.repo)
    for name, content in wanted.files.items():
        there = now.files.get(name)
        if there is None or there.digest is None or cache.digest(content, there.digest) != there.digest:
            return None
    return now.commit


def _conflict(repo: str, error: Exception) -> str:
    raise HubError(f"somebody else changed {repo} meanwhile, so nothing was published. Push again.") from error


def _check_tag(wanted: Publication, remote: Remote) -> None:
    """Refuse a tag that exists, unless it is at what we would commit: tags stay where they are."""
    there = _tags(wanted.repo).get(wanted.tag or "")
    if there is not None and not (there == remote.commit and _arrived(wanted) == there):
        raise HubError(
            f"{wanted.repo} has a tag {wanted.tag!r} already, at commit {there[:12]}, and others may rely on it. "
            "Nothing was sent: choose another name, or delete it on the Hub first."
        )


def _tag(repo: str, tag: str, commit: str) -> None:
    try:
        _asked(lambda: client.api().create_tag(repo, tag=tag, revision=commit, exist_ok=True), repo)
        if _tags(repo).get(tag) == commit:
            return
        problem = f"somebody gave {tag!r} to another commit meanwhile. Push once more with another tag"
    except HubError as error:
        problem = f"{error} Push once more with the tag"
    raise HubError(
        f"{repo} is published as commit {commit[:12]}, but it isn't tagged: {problem}; nothing is uploaded twice."
    )


def _tags(repo: str) -> dict[str, str]:
    return _asked(
        lambda: {found.name: _checked(found.target_commit) for found in client.api().list_repo_refs(repo).tags}, repo
    )


def _asked(call: Callable[[], T], repo: str) -> T:
    """What a call on the Hub returns, in several attempts where needed. Raises ``HubError``."""
    try:
        return persistently(call, client.SILENCE)
    except GenaugError:
        raise
    except Exception as error:  # huggingface_hub's, httpx's, and what a server that isn't a Hub causes in them
        raise explain(error, repo) from error
