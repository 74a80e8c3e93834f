"""Every fault ends in the right samples or in one error that says what to do; docs/hub-faults.md is the table of them.

Each test compares its outcome with the table's row. After a deliberate change, generate the table again:

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
    """The error and the warnings of a call, as text."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            call()
            error = ""
        except GenaugError as raised:
            error = f"{type(raised).__name__}: {raised}"
    return error, " ".join(str(w.message) for w in caught if issubclass(w.category, HubWarning))


def for_the_page(world, text):
    """A text without anything that differs from run to run, or that other libraries word differently."""
    for address in (world.hub.url, "http://127.0.0.1:9"):
        text = text.replace(address, "https://huggingface.co")
    text = text.replace(str(world.cache), "~/.cache/huggingface/hub").replace(genaug.__version__, "VERSION")
    text = re.sub(r"\b([0-9a-f]{40}|[0-9a-f]{12})\b", "COMMIT", text)
    text = re.sub(r"(several times|be reached|like a Hub|is too slow|a safetensors file) \(.*?\)\.", r"\1 (…).", text)
    text = re.sub(r"to wait for 3[56]\d\d s", "to wait for 3600 s", text)
    text = re.sub(r"Installed backends: [^.]*", "Installed backends: …", text)
    text = text.replace("[", "\\[")  # otherwise Markdown reads a pattern as a link
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
    if not case.lasting:  # once the fault is over, everything works: no incomplete file is left
        world.hub.faults.clear()
        world.monkeypatch.undo()
        world.hub.point()
        repo(private=False, gated=False)(world)
        assert not outcome(world.load)[0]
    result = error or (f"{SAMPLES}, and a warning: {warning}" if warning else SAMPLES)
    table("loading", case.what, for_the_page(world, result))


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
    if not case.lasting:  # pushing again completes it, with a single commit in all
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


def page_of(rows):
    parts = [HEAD]
    for part, title in TITLES.items():
        parts.append(f"\n## {title}\n\n| fault | outcome |\n|---|---|\n")
        parts += [f"| {what} | {result} |\n" for (where, what), result in rows.items() if where == part]
    return "".join(parts)


@pytest.fixture(scope="module")
def table():
    """Compares a row of the table with the outcome, or collects the rows to write the page."""
    collected = {}
    page = PAGE.read_text() if PAGE.exists() else ""

    def compare(part, what, result):
        collected[part, what] = result
        assert WRITE or f"| {what} | {result} |" in page, (
            "docs/hub-faults.md is out of date: see the docstring of this module"
        )

    yield compare
    if WRITE:
        PAGE.write_text(page_of(collected))


def test_the_page_has_exactly_these_faults():
    if WRITE:
        pytest.skip("the page is being written")
    page = PAGE.read_text()
    cases = [line.split(" | ")[0].removeprefix("| ") for line in page.splitlines() if line.startswith("| ")]
    assert page.startswith(HEAD)
    assert cases == ["fault", *(case.what for case in LOADING), "fault", *(case.what for case in PUSHING)]


def test_the_limits_are_those_in_the_documentation():
    assert client.SILENCE == 60
    assert sum(client.PAUSES) + (len(client.PAUSES) + 1) * 10 < client.SILENCE  # 10 s is huggingface_hub's own timeout
