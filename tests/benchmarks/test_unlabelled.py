"""The study of images without labels and the measurement of variations, on the embedded digits with a few steps."""

import json
from pathlib import Path

import pytest
import torch
from torch.utils.data import Subset

import genaug
from benchmarks.common.record import RESULTS, Record
from benchmarks.studies import unlabelled, variations
from genaug import SamplePool
from genaug.data import load_data
from genaug.studies import AsClassifier

CGAN = {"conditional": False, "width": 4, "max_width": 8, "latent_size": 4}
AE = {"conditional": False, "kind": "mlp", "hidden": 8, "latent_size": 4}
SSGAN = {"hidden": [8], "generator_hidden": [8], "latent_size": 4}


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Calls the script on digits, with the vae in place of bigan: the last line of its output, and all of it."""
    sets = {"train": load_data("digits"), "test": Subset(load_data("digits", split="test"), range(60))}
    monkeypatch.setattr(unlabelled, "load_data", lambda name, split, root: sets[split])
    monkeypatch.setattr(unlabelled, "PER_CLASS", 3)
    monkeypatch.setattr(unlabelled, "RATIOS", (0.5,))
    tiny = {"steps": 1, "batch_size": 8}
    generators = {"gan": {"backend": "cgan", **tiny, "config": CGAN}, "vae": {"backend": "vae", **tiny, "config": AE}}
    generators["bigan"] = generators["vae"]
    monkeypatch.setitem(unlabelled.GENERATORS, "digits", generators)
    monkeypatch.setitem(unlabelled.SSGAN, "digits", {**tiny, "augment": (), "config": SSGAN})
    monkeypatch.setitem(unlabelled.FEATURES, "bigan", "encoder")
    monkeypatch.setattr(unlabelled, "labelled_by_seed", lambda images, seed, generator: SamplePool.from_dataset(images))
    monkeypatch.setattr(unlabelled, "is_installed", lambda backend: True)

    def call(*arguments):
        words = ["--out", tmp_path / "runs", "--results", tmp_path / "cells.jsonl", "--seeds", 2, "--updates", 2]
        unlabelled.main([*map(str, [*words, "--study", "digits", *arguments])])
        captured = capsys.readouterr()
        return captured.out.splitlines(), captured.out + captured.err

    return call


def test_from_start_to_the_table_of_what_is_recorded(run, tmp_path):
    lines, _ = run("--json")
    result = json.loads(lines[-1])
    assert result["digits_verdict"] in ("use", "don't use", "no evidence")
    assert result["digits_route"] in (None, "samples", "classifier")
    for arm in (
        "ssgan_classifier",
        "vae_features",
        "bigan_features",
        "classic_and_vae_variations_0.5",
        "gan_labelled_0.5",
    ):
        assert 0 <= result[f"digits_accuracy_{arm}"] <= 100
    assert result["digits_source"] is not None
    settings = json.loads((tmp_path / "runs" / "digits" / "study.json").read_text())
    semi = settings["sources"]["ssgan-classifier"]["unlabelled"]
    assert semi["images"] == len(load_data("digits")) - 3 * 2 * 10
    assert semi["training_images"] == 0, "images that no seed uses"
    lines, output = run("--table", "--json")
    again = json.loads(lines[-1])
    assert {k: v for k, v in again.items() if "hours" not in k} == {k: v for k, v in result.items() if "hours" not in k}
    assert "| ssgan-classifier |" in output.replace("**", "")
    assert "InputError" not in output


def test_a_backend_that_is_not_installed_is_left_out_and_the_output_says_so(run, monkeypatch):
    monkeypatch.setattr(unlabelled, "is_installed", lambda backend: backend != "bigan")
    lines, output = run("--json")
    assert "bigan-features is left out, because the backend 'bigan' isn't installed" in output
    assert "digits_accuracy_bigan_features" not in json.loads(lines[-1])


def test_a_generator_is_trained_alone_without_labels_on_images_that_no_seed_uses(run, monkeypatch, tmp_path):
    run("--train", "vae")
    assert not (tmp_path / "cells.jsonl").exists()
    generator = genaug.load(tmp_path / "runs" / "digits-vae")
    assert generator.training["images"] == len(load_data("digits")) - 3 * 2 * 10
    assert generator.training["labels"] == 0
    assert not generator.spec.takes_labels


def test_the_estimate_trains_nothing_that_stays(run, tmp_path):
    _, output = run("--estimate")
    assert "hours of one core here" in output
    assert not (tmp_path / "cells.jsonl").exists()
    assert not (tmp_path / "runs" / "digits").exists()


def test_bigan_is_a_backend_only_if_a_plugin_registers_it():
    assert unlabelled.is_installed("vae")
    assert not unlabelled.is_installed("no-such-backend")


def test_the_settings_of_the_studies_are_valid():
    """Without training: the options of every backend that is installed."""
    from genaug.backends import registry
    from genaug.backends.backend import parse_config

    for generators in unlabelled.GENERATORS.values():
        for settings in generators.values():
            if unlabelled.is_installed(settings["backend"]):
                backend = registry.resolve(settings["backend"])
                assert parse_config(settings["backend"], backend.Config, settings["config"]).conditional is False
    for settings in unlabelled.SSGAN.values():
        assert isinstance(AsClassifier(unlabelled.Recipe("ssgan", **settings)).of.config, dict)
        parse_config("ssgan", registry.resolve("ssgan").Config, settings["config"])


@pytest.fixture
def vary(tmp_path, monkeypatch, capsys):
    for name, value in {
        "RESULTS": tmp_path,
        "STEPS": 3,
        "BATCH": 8,
        "JUDGE_UPDATES": 3,
        "CONFIG": {"kind": "mlp", "hidden": 8, "latent_size": 4},
    }.items():
        monkeypatch.setattr(variations, name, value)

    def call(*arguments):
        variations.main(["--data", "digits", "--json", "--seeds", "1", *arguments])
        captured = capsys.readouterr()
        return json.loads(captured.out.splitlines()[-1]), captured.out

    return call


def test_variations_are_measured_at_every_strength_and_a_second_run_only_reads(vary, tmp_path, monkeypatch):
    result, output = vary()
    rows = [json.loads(line) for line in (tmp_path / "variations.jsonl").read_text().splitlines()]
    assert [row["method"] for row in rows] == ["with labels", "without labels"]
    assert all(list(row["recognized"]) == [f"{step / 10:g}" for step in range(11)] for row in rows)
    assert result["with_labels_recognized_at_0.5"] == rows[0]["recognized"]["0.5"]
    assert result["met"] is (rows[0]["recognized"]["0.5"] >= 0.95)
    assert output.count("| without labels |") == 1
    monkeypatch.setattr(variations, "read", lambda *_: pytest.fail("everything was done already"))
    assert vary()[0] == result


def test_the_target_is_for_every_seed_and_for_the_default_strength():
    def row(seed, share, method="with labels"):
        recognized = {f"{strength:g}": 1.0 for strength in variations.STRENGTHS} | {"0.5": share}
        return {"seed": seed, "method": method, "recognized": recognized, "spearman": 1.0}

    assert variations.summary([row(0, 0.95), row(1, 0.99), row(0, 0.1, "without labels")])["met"] is True
    assert variations.summary([row(0, 0.949), row(1, 0.99)])["met"] is False
    assert variations.summary([row(0, 0.1, "without labels")])["met"] is None


def test_the_page_has_the_table_of_the_record():
    rows = Record(RESULTS / "variations.jsonl").rows({})
    assert variations.table_of(rows) in (Path(__file__).parents[2] / "docs" / "results.md").read_text()


def test_variations_have_the_labels_of_their_own_images():
    calls = []

    class Editor:
        spec = genaug.Spec(sample=genaug.modalities.Image(1, 2, 2), classes=3)

        def vary(self, images, labels, *, strength, seed):
            calls.append((labels.tolist(), strength, seed))
            return images

    images, labels = torch.zeros(7, 1, 2, 2, dtype=torch.uint8), torch.arange(7) % 3
    assert len(variations.varied(Editor(), images, labels, 0.5, 0)) == 7
    assert [part for part, _, _ in calls] == [labels.tolist()]
