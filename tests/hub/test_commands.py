"""``genaug push`` and ``genaug pull``."""

import json

import pytest
from helpers.hub_faults import status
from typer.testing import CliRunner

import genaug
from genaug.cli import app

REPO = "owner/digits"


def run(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


@pytest.fixture
def folder(make_generator, tmp_path):
    return make_generator().save(tmp_path / "digits")


def test_push_and_pull(hub, folder, tmp_path):
    pushed = run("push", folder, REPO, "--license", "mit", "--tag", "v1.0", "-m", "first", "--json")
    assert pushed.exit_code == 0, pushed.output
    report = json.loads(pushed.stdout)
    assert report["commit"] == hub.repos[REPO].tags["v1.0"]
    assert list(report["files"]) == ["config.json", "model.safetensors", "README.md", "samples.png"]
    assert hub.repos[REPO].messages[-1] == "first"
    pulled = run("pull", REPO, "--revision", "v1.0", "--out", tmp_path / "copy", "--json")
    assert pulled.exit_code == 0, pulled.output
    assert json.loads(pulled.stdout) == {"repo": REPO, "commit": report["commit"], "folder": str(tmp_path / "copy")}
    for name in ("config.json", "model.safetensors"):
        assert (tmp_path / "copy" / name).read_bytes() == (folder / name).read_bytes()
    assert genaug.load(tmp_path / "copy").spec == genaug.load(folder).spec


def test_a_dry_run_shows_the_commit_and_the_card(hub, folder):
    result = run("push", folder, REPO, "--license", "mit", "--dry-run")
    assert result.exit_code == 0, result.output
    for part in ("config.json", "samples.png", "nothing was sent", "## Training recipe", "library_name: genaug"):
        assert part in result.output
    assert not hub.repos


def test_the_training_data_are_described_once(hub, folder):
    options = ["--dataset-name", "Roses", "--dataset-url", "owner/roses", "--dataset-license", "CC0"]
    assert run("push", folder, REPO, "--license", "mit", *options).exit_code == 0
    sentence = "Training data: [Roses](https://huggingface.co/datasets/owner/roses). License of the data: CC0."
    assert sentence in hub.repos[REPO].files["README.md"].decode()
    assert run("push", folder, REPO, "--license", "mit").exit_code == 0
    assert sentence in hub.repos[REPO].files["README.md"].decode()
    result = run("push", folder, REPO, "--dataset-url", "roses")
    assert (result.exit_code, "not a link to a dataset" in result.output) == (1, True)


def test_the_output_says_how_to_load_it(hub, folder):
    assert (
        f"genaug.load(\"{REPO}\", revision='v1')" in run("push", folder, REPO, "--license", "mit", "--tag", "v1").output
    )
    assert f'genaug.load("{REPO}")' in run("pull", REPO).output


def test_a_pulled_generator_can_be_pushed(hub, folder):
    run("push", folder, REPO, "--license", "mit")
    assert run("push", REPO, "owner/copy", "--license", "mit", "--private").exit_code == 0
    assert hub.repos["owner/copy"].private
    for name in ("config.json", "model.safetensors"):
        assert hub.repos["owner/copy"].files[name] == hub.repos[REPO].files[name]


def test_samples_of_a_hub_id(hub, folder, tmp_path):
    run("push", folder, REPO, "--license", "mit")
    assert run("sample", REPO, "--n", "5", "--out", tmp_path / "sheet.png").exit_code == 0
    assert (tmp_path / "sheet.png").is_file()


def test_force_downloads_again_and_replaces_the_copy(hub, folder, tmp_path):
    run("push", folder, REPO, "--license", "mit")
    assert run("pull", REPO, "--out", tmp_path / "copy").exit_code == 0
    result = run("pull", REPO, "--out", tmp_path / "copy")
    assert (result.exit_code, "--force" in result.output) == (1, True)
    hub.log.clear()
    assert run("pull", REPO, "--out", tmp_path / "copy", "--force").exit_code == 0
    assert len(hub.asked("resolve")) == 4


def test_force_needs_a_network(hub, folder, offline):
    run("push", folder, REPO, "--license", "mit")
    run("pull", REPO)
    offline()
    assert run("pull", REPO).exit_code == 0
    result = run("pull", REPO, "--force")
    assert (result.exit_code, "can't be downloaded again: HF_HUB_OFFLINE=1" in result.output) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["push", "{folder}", REPO], "No license is stated"),
        (["push", "{folder}", "digits", "--license", "mit"], "the owner is missing"),
        (["push", "{folder}/nowhere", REPO, "--license", "mit"], "is not a directory"),
        (["pull", "digits"], "the owner is missing"),
        (["pull", "owner/nothing"], "has no model owner/nothing"),
        (["pull", REPO, "--revision", "../x"], "is not a valid revision"),
    ],
)
def test_mistakes_end_in_one_sentence(hub, folder, arguments, message):
    result = run(*(argument.format(folder=folder) for argument in arguments))
    assert result.exit_code == 1
    assert message in result.output
    assert "Traceback" not in result.output


def test_a_failing_server_ends_in_one_sentence(hub, folder):
    hub.fault("POST", status(500), unheard=True)
    result = run("push", folder, REPO, "--license", "mit")
    assert result.exit_code == 1
    assert "failed several times (HTTP 500)" in result.output
