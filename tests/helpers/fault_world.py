"""The faults that the tests of pulls and pushes inject: a world where a generator is published, and what breaks it."""

import errno
import json
import os
import time
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import formatdate

import pytest
import torch
from helpers.hub_faults import status

import genaug
from genaug.artifacts import manifest
from genaug.errors import GenaugError
from genaug.hub import client

REPO, TAG, SEED = "owner/digits", "v1.0", 5
QUESTION, CONFIG, WEIGHTS = "GET /api/models/", "GET /owner/digits/resolve/.*config.json", "GET /cdn/"


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
        self.files = manifest.encode_generator(generator.manifest_fields(), generator.nets.state_dict())
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

    @property
    def snapshot(self):
        return self.cache / "models--owner--digits" / "snapshots" / self.commit

    def blob(self, name):
        return (self.snapshot / name).resolve()


def offline(world):
    world.monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


def down(world):
    world.monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")


def impatient(world):
    """A minute of silence is half a second."""
    world.monkeypatch.setattr(client, "SILENCE", 0.5)


def little_room(world):
    """An answer may have a mebibyte."""
    world.monkeypatch.setattr("genaug.hub.client.MAX_ANSWER_BYTES", 2**20)


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


def foreign(name):
    """Put a plain file, with something else in it, in the place of a link of the cache."""

    def arrange(world):
        path = world.snapshot / name
        content = path.read_bytes()
        path.unlink()
        path.write_bytes(content.replace(b"untrained", b"retrained") if name == "config.json" else content[:-1] + b"x")

    return arrange


def branch_below_the_tag(world):
    """A branch whose name begins with the tag's: git has no place for both in one repo, but a repo may change."""
    world.hub.repos[REPO].branches[f"{TAG}/fix"] = world.commit
    world.hub.repos[REPO].tags.clear()


def read_only(world):
    """The cache can't be written, and the tag has moved on."""

    @contextmanager
    def refused(path):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
        yield

    world.monkeypatch.setattr("genaug.hub.cache.blank", refused)
    world.publish(config_json=world.config(lambda content: content.update(training={})))


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
        assert len(world.hub.asked(pattern)) == times, world.hub.asked(pattern)

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


def sizeless(info):
    for file in info["siblings"]:
        file.pop("size")


def newer_plugin(content):
    content.update(distribution_version="9.1.0")
    content["config"]["an_option_of_version_9"] = True


def meddling(world):
    def act(request, answer):
        world.hub.put(REPO, {"notes.txt": b"mine"})
        request.send(answer)

    return act
