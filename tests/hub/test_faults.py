"""Every fault ends in the right samples or in one error that says what to do; docs/hub-faults.md is this as a table.

Each test compares its outcome with the table's row. After a deliberate change, write the table anew:

    GENAUG_WRITE_FAULTS=1 .venv/bin/python -m pytest -n 0 tests/hub/test_faults.py
"""

import os
import re
import warnings
from pathlib import Path

import pytest
import torch
from helpers.fault_cases import LOADING, PUSHING
from helpers.fault_world import REPO, World, repo

import genaug
from genaug.errors import GenaugError, HubWarning
from genaug.hub import client

PAGE = Path(__file__).parents[2] / "docs" / "hub-faults.md"
WRITE = os.environ.get("GENAUG_WRITE_FAULTS") == "1"
SAMPLES = "the right samples"


@pytest.fixture
def world(hub, make_generator, cache, monkeypatch):
    return World(hub, make_generator(), cache, monkeypatch)


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
    text = re.sub(r"(several times|be reached|as a Hub does|too slowly|a safetensors file) \(.*?\)\.", r"\1 (…).", text)
    text = re.sub(r"to wait 3[56]\d\d s", "to wait 3600 s", text)
    text = re.sub(r"Installed backends: [^.]*", "Installed backends: …", text)
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


HEAD = """# Hub errors and their outcomes

This page lists how `genaug.load` and `genaug push` handle every fault that the tests inject into a Hub on the loopback
interface, with the real `huggingface_hub` client. Each row is the recorded outcome of a test, which fails if the
outcome changes. Unless stated otherwise, the cache is empty at the start, and everything works again once the fault is
over.

To regenerate this page: `GENAUG_WRITE_FAULTS=1 .venv/bin/python -m pytest -n 0 tests/hub/test_faults.py`
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
