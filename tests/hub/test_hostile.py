"""Whatever a repo contains and a server answers, no code is run, nothing crashes, and one of our errors is raised."""

import contextlib
import hashlib
import json
import uuid

import pytest
from helpers.hub_faults import status
from helpers.local_hub import Answer
from hypothesis import HealthCheck, given, settings, strategies as st

import genaug
from genaug.artifacts import manifest
from genaug.errors import GenaugError
from genaug.hub.pull import pull

pytestmark = pytest.mark.filterwarnings("ignore::genaug.errors.HubWarning")

REPO = "owner/digits"
FEW = settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture
def files(make_generator):
    """The files of a generator's repo."""
    generator = make_generator()
    return manifest.encode_generator(generator.manifest_fields(), generator.nets.state_dict())


def check_rejected(hub, files):
    """Publish under a new name and check that loading raises one of our errors."""
    name = f"owner/{uuid.uuid4().hex[:12]}"
    hub.repo(name, files)
    with pytest.raises(GenaugError, match=r"\w"):
        genaug.load(name, device="cpu")


@given(config=st.binary(max_size=200) | JSON.map(lambda content: json.dumps(content).encode()))
@FEW
def test_any_config(hub, files, cache, config):
    check_rejected(hub, {**files, "config.json": config})
    assert not list(cache.rglob("snapshots/*/*"))


@given(weights=st.binary(min_size=1, max_size=200))
@FEW
def test_any_weights(hub, files, weights):
    check_rejected(hub, {**files, "model.safetensors": weights})
    config = json.loads(files["config.json"])
    config["weights"] = {"sha256": hashlib.sha256(weights).hexdigest(), "size": len(weights)}
    check_rejected(hub, {"config.json": json.dumps(config).encode(), "model.safetensors": weights})


@given(
    key=st.sampled_from(["id", "sha", "siblings", "private", "cardData", "lastModified", "tags", "config"]), value=JSON
)
@FEW
def test_any_description_of_the_repo(hub, files, key, value):
    """Irrelevant changes may load; all others end in one of our errors."""
    if REPO not in hub.repos:
        hub.repo(REPO, files)

    def changed(request, answer):
        content = json.loads(answer.body)
        content[key] = value
        request.send(Answer(200, json.dumps(content).encode()))

    hub.faults.clear()
    hub.fault("GET /api/models", changed)
    with contextlib.suppress(GenaugError):
        genaug.load(REPO, device="cpu")


@given(
    code=st.sampled_from([400, 402, 404, 405, 409, 410, 413, 418, 451, 501, 505, 599]),
    at=st.sampled_from(["api", "file", "cdn"]),
)
@FEW
def test_any_status(hub, files, code, at):
    if REPO not in hub.repos:
        hub.repo(REPO, files)
    hub.faults.clear()
    hub.fault({"api": "GET /api/models", "file": "GET .*config.json", "cdn": "GET /cdn"}[at], status(code))
    with pytest.raises(GenaugError, match=r"\w"):
        pull(REPO, force=True)
