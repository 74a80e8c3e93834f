"""A server knows the user's token; no message, warning or traceback shows it, whatever the server sends."""

import json
import traceback

import pytest
from helpers.hub_faults import echoing, edited
from helpers.publishing import push

import genaug
from genaug.artifacts import manifest
from genaug.errors import GenaugError, HubWarning
from genaug.hub.pull import pull
from genaug.hub.redaction import redact

REPO = "owner/digits"
TOKEN = "hf_owner"  # the token of the local Hub's user


@pytest.fixture
def generator(make_generator):
    return make_generator()


@pytest.fixture
def published(hub, generator):
    hub.repo(REPO, manifest.encode_generator(generator.manifest_fields(), generator.nets.state_dict()))
    return hub


def traceback_of(error):
    return "".join(traceback.format_exception(error))


@pytest.mark.parametrize("where", ["GET /api/models", "GET /owner/digits/resolve/.*config.json"])
def test_a_rejected_download(published, where):
    published.fault(where, echoing)
    with pytest.raises(GenaugError, match="may not do this") as error:
        pull(REPO)
    assert "[redacted]" in str(error.value)
    assert TOKEN not in traceback_of(error.value)


@pytest.mark.parametrize("where", ["preupload", "/commit/", "/tag/", "validate-yaml"])
def test_a_rejected_upload(hub, generator, where):
    hub.fault(f"POST .*{where}", echoing)
    with pytest.raises(GenaugError) as error:
        push(generator, tag="v1")
    assert TOKEN not in traceback_of(error.value)


@pytest.mark.parametrize(
    "change",
    [
        lambda info: info.update(sha=TOKEN),
        lambda info: info.update(siblings=TOKEN),
    ],
)
def test_an_answer_with_the_token_in_it(published, change):
    published.fault("GET /api/models", edited(change))
    with pytest.raises(GenaugError) as error:
        pull(REPO)
    assert TOKEN not in traceback_of(error.value)


def test_a_new_name_with_the_token_in_it(published):
    published.fault("GET /api/models", edited(lambda info: info.update(id=f"owner/{TOKEN}")))
    with pytest.warns(HubWarning, match=r"is now called owner/\[redacted\]"):
        pull(REPO)


@pytest.mark.parametrize(
    "changes",
    [
        {"library": TOKEN},
        {"backend": f"{TOKEN}!"},
        {"spec": {"sample": {"kind": TOKEN}}},
        {"backend": TOKEN, "distribution": TOKEN},
        {"config": {TOKEN: 1}},
        {"format_version": TOKEN},
    ],
)
def test_a_config_with_the_token_in_it(published, changes):
    config = json.loads(published.repos[REPO].files["config.json"])
    published.put(REPO, {"config.json": json.dumps({**config, **changes}).encode()})
    with pytest.raises(GenaugError) as error:
        genaug.load(REPO, device="cpu")
    assert TOKEN not in traceback_of(error.value)


def test_the_state_that_a_dry_run_shows(hub, generator):
    hub.fault("GET /api/models", echoing)
    description = str(push(generator, dry_run=True))
    assert "may not do this" in description
    assert TOKEN not in description


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("the token hf_owner.", "the token [redacted]."),
        ("hf_ownerwithmore is it", "[redacted] is it"),
        ("hf_" + "x" * 34 + " of somebody else", "[redacted] of somebody else"),
        ("Authorization: Basic dXNlcjpwYXNz, then", "Authorization: [redacted], then"),
        ('{"authorization": "Bearer abc.def_1"}', '{"authorization": "[redacted]"}'),
        ("sent Bearer abc123def", "sent Bearer [redacted]"),
        ("https://me:secret@hub.example/x", "https://[redacted]@hub.example/x"),
        ("a bearer of good news called hf_hub_download", "a bearer of good news called hf_hub_download"),
        ("owner/digits@main", "owner/digits@main"),
    ],
)
def test_what_counts_as_credentials(hub, text, expected):
    assert redact(text) == expected
    assert redact(expected) == expected
