"""Every fault ends in the right samples or in one error that says what to do; docs/hub-faults.md is this as a table.

Each test compares its outcome with the table's row. After a deliberate change, write the table anew:

    GENAUG_WRITE_FAULTS=1 .venv/bin/python -m pytest -n 0 tests/hub/test_faults.py
"""

import json
import os
import re
import time
import warnings
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path

import pytest
import torch
from hub_faults import (
    dropped,
    edited,
    endless,
    flipped,
    hung,
    hung_in_the_body,
    log_in_page,
    longer,
    lost,
    reset,
    short,
    status,
)

import genaug
from genaug import storage
from genaug.errors import GenaugError, HubWarning
from genaug.hub import client

PAGE = Path(__file__).parents[2] / "docs" / "hub-faults.md"
WRITE = os.environ.get("GENAUG_WRITE_FAULTS") == "1"
REPO, TAG, SEED = "owner/digits", "v1.0", 5
QUESTION, CONFIG, WEIGHTS = "GET /api/models/", "GET /owner/digits/resolve/.*config.json", "GET /cdn/"
SAMPLES = "the right samples"


@dataclass(frozen=True)
class Case:
    """``arrange`` makes the fault in a world where ``REPO`` is published. ``error`` is a part of the error's text; None
    where the right samples come. ``lasting``: it isn't over when the fault is, since the repo itself is at fault."""

    what: str
    arrange: object
    error: str | None = None
    warm: bool = False
    lasting: bool = False
    check: object = None
    revision: str | None = TAG


class World:
    def __init__(self, hub, generator, cache, monkeypatch):
        self.hub, self.generator, self.cache, self.monkeypatch = hub, generator, cache, monkeypatch
        self.files = storage.encode_generator(generator.manifest_fields(), generator.network.state_dict())
        self.commit = hub.repo(REPO, self.files).head
        hub.repos[REPO].tags[TAG] = self.commit
        self.expected = generator.sample(20, seed=SEED)[0]

    def load(self, revision=TAG):
        loaded = genaug.load(REPO, revision=revision, device="cpu")
        assert torch.equal(loaded.sample(20, seed=SEED)[0], self.expected)

    def publish(self, **files):
        """Move the tag to a commit with other files, by hand."""
        changed = {name.replace("_", "."): content for name, content in files.items()}
        self.hub.repos[REPO].tags[TAG] = self.hub.put(REPO, changed)

    def config(self, change):
        """config.json with something changed, whatever its own hash."""
        content = json.loads(self.files["config.json"])
        change(content)
        return json.dumps(content).encode()

    def sealed(self, weights):
        """Publish other weights with a config.json that describes them to the byte."""
        import hashlib

        told = {"sha256": hashlib.sha256(weights).hexdigest(), "size": len(weights)}
        self.publish(model_safetensors=weights, config_json=self.config(lambda c: c.update(weights=told)))

    def blob(self, name):
        return (self.cache / "models--owner--digits" / "snapshots" / self.commit / name).resolve()


@pytest.fixture
def world(hub, make_generator, cache, monkeypatch):
    return World(hub, make_generator(), cache, monkeypatch)


def offline(world):
    world.monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


def down(world):
    world.monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")


def impatient(world):
    """A minute of silence is half a second."""
    world.monkeypatch.setattr(client, "SILENCE", 0.5)


def little_room(world):
    """An answer may have a mebibyte."""
    world.monkeypatch.setattr("genaug.hub.pull.MAX_ANSWER_BYTES", 2**20)


def busy_for_an_hour(request, answer):
    status(503, Retry_After=formatdate(time.time() + 3600))(request, answer)


def login(token):
    def arrange(world):
        if token is None:
            world.monkeypatch.delenv("HF_TOKEN", raising=False)
        else:
            world.monkeypatch.setenv("HF_TOKEN", token)

    return arrange


def fault(where, act, **options):
    return lambda world: world.hub.fault(where, act, **options)


def both(*steps):
    return lambda world: [step(world) for step in steps]


def repo(**changes):
    return lambda world: vars(next(iter(world.hub.repos.values()))).update(changes)


def damage(name):
    """Flip a bit of a file in the cache."""

    def arrange(world):
        path = world.blob(name)
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)

    return arrange


def crash(world):
    """What a process leaves that is killed between the download of config.json and that of the weights."""
    world.hub.fault(WEIGHTS, status(500), times=4)
    with pytest.raises(GenaugError):
        world.load()
    blobs = world.cache / "models--owner--digits" / "blobs"
    (blobs / f"{'0' * 64}.1234abcd.incomplete").write_bytes(b"half of it")
    world.hub.log.clear()


def no_file_escaped(world):
    names = {path.name for path in world.cache.parent.rglob("*") if path.is_file() or path.is_symlink()}
    assert not {name for name in names if "evil" in name}
    assert not world.hub.asked("evil")


def asked(pattern, times):
    def check(world):
        assert len(world.hub.asked(pattern)) == times

    return check


def sent_at_most(most):
    def check(world):
        assert 0 < world.hub.endless_bytes < most

    return check


def slept(*seconds):
    def check(world):
        assert world.hub.slept == list(seconds)

    return check


def rename(world):
    world.hub.repos["owner/renamed"] = world.hub.repos.pop(REPO)
    world.hub.repos["owner/renamed"].name = "owner/renamed"
    world.hub.renamed[REPO] = "owner/renamed"


def wide(content):
    content["spec"]["latents"][0]["size"] = content["config"]["latent_size"] = 10**9


def other_weights(world):
    import safetensors.torch

    tensors = safetensors.torch.load(world.files["model.safetensors"])
    return safetensors.torch.save({name: tensor + 1 for name, tensor in tensors.items()})


def pickled(world):
    import pickle

    class Bomb:
        def __reduce__(self):
            return os.mkdir, (str(world.cache.parent / "exploded"),)

    return pickle.dumps(Bomb())


def not_run(world):
    assert not (world.cache.parent / "exploded").exists()


def huge(info):
    for file in info["siblings"]:
        if file["rfilename"] == "config.json":
            file["size"] = 2**30


def nameless(info):
    for file in info["siblings"]:
        file.pop("lfs", None)
        file.pop("blobId")
        file.pop("size")


def newer_plugin(content):
    content.update(distribution_version="9.1.0")
    content["config"]["an_option_of_version_9"] = True


LOADING = [
    # Failures of the server and of the network, while the cache is empty
    Case("HTTP 500 to the question what the repo holds, once", fault(QUESTION, status(500), times=1), check=slept(1)),
    Case("HTTP 500 to it every time", fault(QUESTION, status(500)), "failed several times", check=slept(1, 2, 4)),
    Case("HTTP 503 for the weights, once", fault(WEIGHTS, status(503), times=1)),
    Case("HTTP 503 for the weights, every time", fault(WEIGHTS, status(503)), r"HTTP 503"),
    Case("HTTP 403 for the weights", fault(WEIGHTS, status(403)), "forbids this"),
    Case("HTTP 416 for the weights", fault(WEIGHTS, status(416)), "refused the request"),
    Case("HTTP 404 for the weights, though they are listed", fault(WEIGHTS, status(404)), "refused the request"),
    Case(
        "HTTP 429 with Retry-After: 30",
        fault(QUESTION, status(429, Retry_After=30), times=1),
        check=slept(30),
    ),
    Case(
        "HTTP 429 with Retry-After: 3600", fault(QUESTION, status(429, Retry_After=3600)), "wait 3600 s", check=slept()
    ),
    Case(
        "HTTP 503 with Retry-After: a date in an hour",
        fault(QUESTION, busy_for_an_hour),
        r"wait 3\d\d\d s",
        check=slept(),
    ),
    Case(
        "HTTP 503 with Retry-After: 3600 for the weights", fault(WEIGHTS, status(503, Retry_After=3600)), "wait 3600 s"
    ),
    Case(
        "HTTP 429 with a rate limit that ends in an hour",
        fault(QUESTION, status(429, ratelimit='"api";r=0;t=3600')),
        "wait 3600 s",
    ),
    Case("connection reset at the question, once", fault(QUESTION, reset, times=1)),
    Case("connection reset at the question, every time", fault(QUESTION, reset), "broke off several times"),
    Case(
        "connection dropped in the middle of the weights, once",
        fault(WEIGHTS, dropped, times=1),
        check=asked(WEIGHTS, 2),
    ),
    Case(
        "connection dropped in the middle of the weights, every time",
        fault(WEIGHTS, dropped),
        "broke off several times",
    ),
    Case("weights shorter than announced, once", fault(WEIGHTS, short, times=1)),
    Case("config.json shorter than announced, every time", fault(CONFIG, short), r"config.json ended after"),
    Case("one bit of the weights flipped on the way, once", fault(WEIGHTS, flipped, times=1)),
    Case("one bit of the weights flipped on the way, every time", fault(WEIGHTS, flipped), "arrived damaged twice"),
    Case("one bit of config.json flipped on the way, once", fault(CONFIG, flipped, times=1)),
    Case("one bit of config.json flipped on the way, every time", fault(CONFIG, flipped), "arrived damaged twice"),
    Case("a server that never answers", fault(QUESTION, hung), "can't be reached"),
    Case("a server that stops in the middle of the weights, once", fault(WEIGHTS, hung_in_the_body, times=1)),
    Case("a server that never sends the weights", fault(WEIGHTS, hung), "can't be reached"),
    Case("a body without an end in place of config.json", fault(CONFIG, endless), "sends more for config.json"),
    Case(
        "more bytes than announced in place of the weights", fault(WEIGHTS, longer), "sends more for model.safetensors"
    ),
    Case("a network's log-in page in place of the Hub", fault(QUESTION, log_in_page), "doesn't answer as a Hub"),
    Case(
        "JSON that means something else", fault(QUESTION, edited(lambda info: info.update(sha=7))), "doesn't answer as"
    ),
    Case(
        "an answer without an end to the question what the repo holds",
        both(little_room, fault(QUESTION, endless)),
        "more than 1,048,576 bytes",
        check=sent_at_most(2**24),
    ),
    Case("server down", down, "can't be reached"),
    Case("HF_HUB_OFFLINE=1, never pulled", offline, "HF_HUB_OFFLINE=1 forbids", check=asked(".", 0)),
    Case("a server that tells no sizes and hashes", fault(QUESTION, edited(nameless))),
    # The same, with a copy in the cache
    Case("HTTP 500 every time, pulled before", fault(QUESTION, status(500)), warm=True, check=slept()),
    Case("a server that never answers, pulled before", fault(QUESTION, hung), warm=True, check=asked(QUESTION, 1)),
    Case("a log-in page, pulled before", fault(QUESTION, log_in_page), warm=True),
    Case("server down, pulled before", down, warm=True),
    Case("HF_HUB_OFFLINE=1, pulled before", offline, warm=True, check=asked(".", 0)),
    Case("one bit of the weights flipped in the cache", damage("model.safetensors"), warm=True),
    Case("one bit of config.json flipped in the cache", damage("config.json"), warm=True),
    Case(
        "the same with HF_HUB_OFFLINE=1",
        both(damage("model.safetensors"), offline),
        "damaged or incomplete in the cache",
        warm=True,
    ),
    Case("the weights missing in the cache", lambda world: world.blob("model.safetensors").unlink(), warm=True),
    Case("a crash between the download of config.json and of the weights", crash, check=asked(CONFIG, 0)),
    # Rights and names
    Case("a wrong token", login("hf_wrong"), "refused the token"),
    Case("a token with a typing error in it", login("hf_öwner"), "characters that no token has", check=asked(".", 0)),
    Case("a private repo, not logged in", both(repo(private=True), login(None)), "or it is private"),
    Case("a private repo, somebody else's token", both(repo(private=True), login("hf_stranger")), "or it is private"),
    Case("a private repo, the owner's token", repo(private=True)),
    Case("a gated repo, not logged in", both(repo(gated=True), login(None)), "is gated"),
    Case("a gated repo, access not granted", repo(gated=True), "is gated"),
    Case("a repo that doesn't exist", lambda world: world.hub.repos.clear(), "has no model owner/digits", lasting=True),
    Case("a renamed repo", rename),
    Case("a deleted tag", lambda world: world.hub.repos[REPO].tags.clear(), "has no revision 'v1.0'", lasting=True),
    Case(
        "a deleted tag, pulled before",
        lambda world: world.hub.repos[REPO].tags.clear(),
        "still in the cache: revision='",
        warm=True,
        lasting=True,
    ),
    # What somebody may publish
    Case(
        "a repo without a config.json",
        lambda world: world.hub.repos[REPO].tags.update({TAG: min(world.hub.repos[REPO].commits, key=len)}),
        "holds no generator of genaug: config.json is missing",
        lasting=True,
    ),
    Case(
        "another library's config.json",
        lambda world: world.publish(config_json=b'{"model_type": "bert"}'),
        "was not written by genaug",
        lasting=True,
    ),
    Case(
        "a config.json of 1 GiB",
        fault(QUESTION, edited(huge)),
        "has 1,073,741,824 bytes, more than the 1,048,576",
        check=asked("resolve", 0),
    ),
    Case(
        "a config.json with a latent of 10⁹ dimensions",
        lambda world: world.publish(config_json=world.config(wide)),
        "less than or equal to 65536",
        lasting=True,
        check=asked(WEIGHTS, 0),
    ),
    Case(
        "a config.json of a newer format",
        lambda world: world.publish(config_json=world.config(lambda c: c.update(format_version=2))),
        "pip install --upgrade genaug",
        lasting=True,
    ),
    Case(
        "a file named ../../evil.py in the repo",
        lambda world: world.publish(**{"../../evil_py": b"raise SystemExit", "evil_py": b"raise SystemExit"}),
        check=no_file_escaped,
    ),
    Case(
        "a backend named ../evil",
        lambda world: world.publish(config_json=world.config(lambda c: c.update(backend="../evil"))),
        "not a valid generator config: backend",
        lasting=True,
    ),
    Case(
        "a plugin that isn't installed",
        lambda world: world.publish(
            config_json=world.config(lambda c: c.update(backend="acme", distribution="genaug-acme"))
        ),
        'pip install "genaug-acme>=',
        lasting=True,
    ),
    Case(
        "a plugin that is too old",
        lambda world: world.publish(config_json=world.config(newer_plugin)),
        'is too old: pip install "genaug>=9.1.0"',
        lasting=True,
    ),
    Case(
        "other weights of the right shapes beside the same config.json",
        lambda world: world.publish(model_safetensors=other_weights(world)),
        "holds other weights than its config.json describes",
        lasting=True,
        check=asked(WEIGHTS, 0),
    ),
    Case(
        "weights whose safetensors header is cut off, with the right hash",
        lambda world: world.sealed(world.files["model.safetensors"][:30]),
        "is not a safetensors file",
        lasting=True,
    ),
    Case(
        "a pickle in place of the weights, with the right hash",
        lambda world: world.sealed(pickled(world)),
        "is not a safetensors file",
        lasting=True,
        check=not_run,
    ),
]

PUSHING = [
    Case("HTTP 500 at a step of the upload, once", fault("POST .*preupload", status(500), times=1, unheard=True)),
    Case(
        "HTTP 500 at a step of the upload, every time", fault("POST .*preupload", status(500), unheard=True), "HTTP 500"
    ),
    Case("HTTP 503 where the weights go, once", fault("PUT /cdn", status(503), times=1, unheard=True)),
    Case("HTTP 403 where the weights go", fault("PUT /cdn", status(403), unheard=True), "forbids this"),
    Case(
        "HTTP 429 with Retry-After: 3600",
        fault("POST .*preupload", status(429, Retry_After=3600), unheard=True),
        "wait 3600 s",
        check=slept(),
    ),
    Case("connection reset at the upload of the weights, once", fault("PUT /cdn", reset, times=1, unheard=True)),
    Case("the commit is made, and its answer lost", fault("POST .*/commit/", lost, times=1)),
    Case("the tag is made, and its answer lost", fault("POST .*/tag/", lost, times=1)),
    Case(
        "the commit is made, and the tag refused",
        fault("POST .*/tag/", status(403), times=1, unheard=True),
        "published as commit .* but it isn't tagged",
    ),
    Case(
        "a server that never answers the commit",
        both(impatient, fault("POST .*/commit/", hung, unheard=True)),
        "can't be reached",
    ),
    Case(
        "somebody else commits meanwhile",
        lambda world: world.hub.fault("POST .*preupload", meddling(world), times=1),
        "somebody else changed",
    ),
    Case("server down", down, "can't be reached"),
    Case("HF_HUB_OFFLINE=1", offline, "HF_HUB_OFFLINE=1 forbids", check=asked(".", 0)),
    Case("not logged in", login(None), "wants to know who you are"),
    Case("a wrong token", login("hf_wrong"), "refused the token"),
    Case("somebody else's token", login("hf_stranger"), "forbids this"),
    Case(
        "a tag that exists",
        lambda world: world.hub.repos[REPO].tags.update({"v2.0": world.commit}),
        "has a tag 'v2.0' already",
        lasting=True,
    ),
]


def meddling(world):
    def act(request, answer):
        world.hub.put(REPO, {"notes.txt": b"mine"})
        request.send(answer)

    return act


def outcome(call):
    """The error and the warnings that came of it, as texts."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            call()
            error = ""
        except GenaugError as raised:
            error = f"{type(raised).__name__}: {raised}"
    return error, " ".join(str(w.message) for w in caught if issubclass(w.category, HubWarning))


def for_the_page(world, text):
    """With nothing in it that differs from run to run, or that other libraries say in words of their own."""
    for address in (world.hub.url, "http://127.0.0.1:9"):
        text = text.replace(address, "https://huggingface.co")
    text = text.replace(str(world.cache), "~/.cache/huggingface/hub").replace(genaug.__version__, "VERSION")
    text = re.sub(r"\b([0-9a-f]{40}|[0-9a-f]{12})\b", "COMMIT", text)
    text = re.sub(r"(several times|be reached|as a Hub does|a safetensors file) \(.*?\)\.", r"\1 (…).", text)
    text = re.sub(r"to wait 3[56]\d\d s", "to wait 3600 s", text)
    text = re.sub(r"Installed are: [^.]*", "Installed are: …", text)
    text = text.replace("[", "\\[")  # or Markdown takes a pattern for a link
    return text.replace("|", "\\|")


@pytest.mark.parametrize("case", LOADING, ids=lambda case: case.what)
def test_loading(case, world, table):
    if case.warm:
        world.load()
    world.hub.log.clear()
    case.arrange(world)
    error, warning = outcome(lambda: world.load(case.revision))
    if case.error is None:
        assert not error
    else:
        assert re.search(case.error, error), error
    if case.check is not None:
        case.check(world)
    assert not [path for path in world.cache.rglob("*.incomplete") if "0000" not in path.name]
    if not case.lasting:  # and once it is over, all is well: nothing half-written was left
        world.hub.faults.clear()
        world.monkeypatch.undo()
        world.hub.point()
        repo(private=False, gated=False)(world)
        assert not outcome(world.load)[0]
    told = error or (f"{SAMPLES}, and a warning: {warning}" if warning else SAMPLES)
    table("loading", case.what, for_the_page(world, told))


@pytest.mark.parametrize("case", PUSHING, ids=lambda case: case.what)
def test_pushing(case, world, table, make_generator):
    newer = make_generator(weights_seed=1)

    def publish():
        newer.push(REPO, license="mit", tag="v2.0")

    case.arrange(world)
    commits = len(world.hub.repos[REPO].commits)
    error, _ = outcome(publish)
    if case.error is None:
        assert not error
    else:
        assert re.search(case.error, error), error
    if case.check is not None:
        case.check(world)
    if not case.lasting:  # pushing again completes it, and in all there is one commit of ours
        world.hub.faults.clear()
        world.monkeypatch.undo()
        world.hub.point()
        publish()
        head = world.hub.repos[REPO].head
        assert world.hub.repos[REPO].tags["v2.0"] == head
        assert len([m for m in world.hub.repos[REPO].messages if "cgan" in m]) == 1
        assert len(world.hub.repos[REPO].commits) - commits <= 1 + ("meanwhile" in case.what)
        loaded = genaug.load(REPO, revision="v2.0", device="cpu")
        assert torch.equal(loaded.sample(9, seed=1)[0], newer.sample(9, seed=1)[0])
    table("pushing", case.what, for_the_page(world, error) or "published, in one commit")


HEAD = """# What can go wrong on the way

What `genaug.load` and `genaug push` make of every fault that the tests inject into a Hub on the loopback, with the
real `huggingface_hub` client. Each line is what came out of a test, which fails when it no longer does. Where nothing
else is said, the cache is empty before, and all works again as soon as the fault is over.

To write this page anew: `GENAUG_WRITE_FAULTS=1 .venv/bin/python -m pytest -n 0 tests/hub/test_faults.py`
"""
TITLES = {"loading": "Loading", "pushing": "Pushing"}


def written(rows):
    parts = [HEAD]
    for part, title in TITLES.items():
        parts.append(f"\n## {title}\n\n| fault | outcome |\n|---|---|\n")
        parts += [f"| {what} | {result} |\n" for (where, what), result in rows.items() if where == part]
    return "".join(parts)


@pytest.fixture(scope="module")
def table():
    """Compares a line of the table with what happened, or collects the lines where the page is to be written."""
    collected = {}
    page = PAGE.read_text() if PAGE.exists() else ""

    def compare(part, what, result):
        collected[part, what] = result
        assert WRITE or f"| {what} | {result} |" in page, "docs/hub-faults.md is out of date: see this module's head"

    yield compare
    if WRITE:
        PAGE.write_text(written(collected))


def test_the_page_has_exactly_these_faults():
    if WRITE:
        pytest.skip("it is being written")
    page = PAGE.read_text()
    told = [line.split(" | ")[0].removeprefix("| ") for line in page.splitlines() if line.startswith("| ")]
    assert page.startswith(HEAD)
    assert told == ["fault", *(case.what for case in LOADING), "fault", *(case.what for case in PUSHING)]


def test_the_limits_are_those_that_the_documentation_names():
    assert client.SILENCE == 60
    assert sum(client.PAUSES) + (len(client.PAUSES) + 1) * 10 < client.SILENCE  # 10 s is huggingface_hub's own timeout
