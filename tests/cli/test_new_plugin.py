"""``genaug new-plugin`` and ``genaug check-backend``, as commands."""

import json
import os
import re
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest
from typer.testing import CliRunner

from genaug.cli import app
from genaug.testing import CHECKS, checks_of

EXAMPLE = Path(__file__).parents[2] / "examples" / "plugin"


def run(*arguments):
    return CliRunner().invoke(app, list(arguments))


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def files_in(folder):
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file() and "__pycache__" not in path.parts)
    return {str(path.relative_to(folder)): path.read_text() for path in paths}


def test_a_new_plugin_is_the_example_under_another_name(here, monkeypatch):
    result = run("new-plugin", "style-gan3")
    assert result.exit_code == 0, result.output
    assert os.listdir(here) == ["genaug-style-gan3"]
    written, example = files_in(here / "genaug-style-gan3"), files_in(EXAMPLE)
    assert set(written) == {name.replace("genaug_small_vae", "genaug_style_gan3") for name in example}
    assert not any("vae" in text.lower() for text in written.values())
    assert [text.count("\n") for text in written.values()] == [text.count("\n") for text in example.values()]
    project = tomllib.loads(written["pyproject.toml"])
    assert project["project"]["name"] == "genaug-style-gan3"
    assert project["project"]["entry-points"] == {"genaug": {"style-gan3": "genaug_style_gan3"}}
    monkeypatch.syspath_prepend(here / "genaug-style-gan3")
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    registered = []
    import_module("genaug_style_gan3").genaug_register_backends(lambda *a, summary: registered.append(a))
    assert registered == [("style-gan3", "genaug_style_gan3.backend:StyleGan3")]
    assert import_module("genaug_style_gan3.backend").StyleGan3().Config.__name__ == "StyleGan3Config"
    assert '  pip install -e "genaug-style-gan3[test]"\n' in result.output


def test_the_page_shows_the_examples_files():
    page = (EXAMPLE.parents[1] / "docs" / "write-a-plugin.md").read_text()
    names = re.findall(r'^--8<-- "genaug/skeleton/(.*)"$', page, re.MULTILINE)
    assert names == ["pyproject.toml", "genaug_small_vae/__init__.py", "genaug_small_vae/backend.py"]
    assert all((EXAMPLE / name).is_file() for name in names)


@pytest.mark.parametrize("name", ["Sketch", "3d", "a b", "a-", "-a", "../a", "a.b", "", "a--b"])
def test_invalid_names(here, name):
    result = run("new-plugin", "--", name)
    assert result.exit_code == 1
    assert "is not a valid name" in result.output
    assert os.listdir(here) == []


def test_nothing_is_overwritten_and_no_name_is_used_twice(here):
    (here / "genaug-sketch").mkdir()
    result = run("new-plugin", "sketch")
    assert (result.exit_code, os.listdir(here / "genaug-sketch")) == (1, [])
    assert "genaug-sketch exists" in result.output
    result = run("new-plugin", "cgan")
    assert result.exit_code == 1
    assert "'cgan' is installed already, by genaug" in result.output


def test_a_full_disk_leaves_nothing(here, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    result = run("new-plugin", "sketch")
    assert result.exit_code == 1
    assert "The disk is full" in result.output
    assert os.listdir(here) == []


def test_check_backend_prints_each_check(tiny_config, monkeypatch):
    monkeypatch.setattr("genaug.testing.CHECKS", CHECKS[:6])
    options = [part for key, value in tiny_config.items() for part in ("--set", f"{key}={value}")]
    result = run("check-backend", "cgan", *options, "--set", "conditional=false")
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert "passed  check_image_range" in lines
    assert "skipped check_labels_reach_images: its spec takes no labels" in lines
    assert lines[-1] == "cgan keeps the contract."


def test_check_backend_fails_with_the_name_of_the_check(register_backend, monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLE)
    vae = import_module("genaug_small_vae.backend").SmallVAE

    class Loud(vae):
        def generate(self, nets, inputs):
            return 3 * super().generate(nets, inputs)

        def players(self, config, nets):
            raise ZeroDivisionError("no players")

    register_backend("loud", Loud)
    result = run("check-backend", "loud")
    assert result.exit_code == 1
    failed = [line for line in result.output.splitlines() if line.startswith("failed")]
    assert any(line.startswith("failed  check_players: ZeroDivisionError: no players (test_new") for line in failed)
    assert result.output.splitlines()[-1] == f"{len(failed)} of {len(checks_of('loud'))} checks fail."
    as_json = run("check-backend", "loud", "--json")
    assert as_json.exit_code == 1
    content = json.loads(as_json.output)
    assert (content["backend"], content["passed"]) == ("loud", False)
    assert [check["check"] for check in content["checks"] if check["outcome"] == "failed"] == [
        line.split()[1].rstrip(":") for line in failed
    ]


@pytest.mark.parametrize(
    ("arguments", "message"), [(["nonesuch"], "no backend 'nonesuch'"), (["cgan", "--set", "wdth=3"], "wdth")]
)
def test_check_backend_names_unknown_backends_and_options(arguments, message):
    result = run("check-backend", *arguments)
    assert result.exit_code == 1
    assert message in result.output
    assert "Traceback" not in result.output
