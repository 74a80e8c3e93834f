"""The card that a push writes: its figures, its metadata, and the text that people wrote in it."""

import json

import pytest
import yaml
from helpers.publishing import REPO, card_of, edit, push
from huggingface_hub import ModelCard

import genaug
from genaug.artifacts.figures import write_evaluation
from genaug.errors import InputError
from genaug.hub import prose


class TestTheCard:
    def test_the_metadata(self, hub, generator):
        generator.training["data"] = "MNIST"
        push(generator)
        data = yaml.safe_load(card_of(hub).split("---")[1])
        assert data["library_name"] == "genaug"
        assert data["license"] == "apache-2.0"
        assert {"genaug", "cgan"} <= set(data["tags"])
        assert data["datasets"] == ["ylecun/mnist"]
        assert "pipeline_tag" not in data, "the Hub's task has no condition, and this one takes labels"
        assert "model-index" not in data

    def test_what_nobody_measured_is_not_measured(self, hub, generator):
        push(generator)
        for aspect in ("fidelity", "diversity", "copying", "augmentation gain"):
            assert f"| {aspect} | | not measured | |" in card_of(hub)

    def test_figures(self, hub, saved):
        metrics = {
            "fid": {"value": 12.3456, "uncertainty": 0.5, "samples": 10000, "features": "a|b", "dataset": "MNIST"},
            "my_own": {"value": 7, "unit": "apples", "curve": [1, 2, 3]},
        }
        write_evaluation(saved.folder, metrics)
        push(saved)
        assert "| fidelity | FID (lower is better) | 12.35 ± 0.5 | | 1 |" in card_of(hub)
        assert "\n1. 10,000 samples; features: a\\|b; against MNIST\n" in card_of(hub)
        assert "| other | my_own | 7 apples | | |" in card_of(hub)
        assert "| diversity | | not measured | |" in card_of(hub)
        results = {r.metric_type: r for r in ModelCard(card_of(hub)).data.eval_results}
        assert results["fid"].metric_value == 12.3456
        assert results["fid"].dataset_type == "ylecun/mnist"
        assert results["fid"].metric_args["samples"] == 10000
        assert results["my_own"].metric_value == 7

    def test_the_pipeline_tag_is_the_hubs_task_if_there_is_no_condition(self, hub, make_generator):
        push(make_generator(num_classes=0))
        assert ModelCard(card_of(hub)).data.pipeline_tag == "unconditional-image-generation"
        edit(hub, lambda card: card.replace("pipeline_tag: unconditional-image-generation", "pipeline_tag: mine"))
        push(make_generator(num_classes=0, weights_seed=1))
        assert ModelCard(card_of(hub)).data.pipeline_tag == "mine"

    def test_an_earlier_cards_wrong_task_is_taken_out(self, hub, generator):
        hub.repo(REPO, {"README.md": b"---\nlicense: mit\npipeline_tag: unconditional-image-generation\n---\nMine.\n"})
        push(generator)
        assert ModelCard(card_of(hub)).data.pipeline_tag is None

    def test_the_common_basis_of_figures_is_stated_once(self, hub, saved):
        basis = {"samples": 500, "dataset": "roses"}
        metrics = {
            "fid": {"value": 1.5, "features": "of a small CNN", **basis},
            "kid": {"value": 2.5, "features": "of a small CNN", **basis},
            "recall": {"value": 0.5, "features": "pixels", **basis},
        }
        write_evaluation(saved.folder, metrics)
        push(saved)
        text = prose.parts(card_of(hub))["figures"].text
        assert "| fidelity | FID (lower is better) | 1.5 | | 1 |" in text
        assert "| fidelity | KID (lower is better) | 2.5 | | 1 |" in text
        assert "| diversity | recall | 0.5 | | 2 |" in text
        assert "Basis of all figures: 500 samples; against roses.\n" in text
        assert "\n1. features: of a small CNN\n2. features: pixels\n" in text
        assert card_of(hub).count("of a small CNN") == 1, "nor are they repeated in the metadata"

    def test_the_figures_that_decide_about_copying(self, hub, saved):
        copying = {
            "value": 4.1,
            "passed": True,
            "statistic": "C_T",
            "z": 8.4,
            "cells": 5,
            "copied": 0.001,
            "copied_low": 0.0,
            "copied_high": 0.005,
            "nearest_ratio": 1.01,
            "nearest_ratio_low": 0.98,
            "nearest_ratio_high": 1.03,
            "rule": "fails if more than 5% are copies",
        }
        more = {"exact_copies": {"value": 0.0, "passed": True, "rule": "fails for any"}}
        write_evaluation(saved.folder, {"copying": copying, **more})
        push(saved)
        card = card_of(hub)
        assert "| copying | check for copies of training images | passed | | |" in card
        assert "| copying | share of samples that count as copies | 0.001 (0 to 0.005) | | |" in card
        assert "(real images: 1) | 1.01 (0.98 to 1.03) | | |" in card
        assert "| copying | exact copies | passed, 0 | | |" in card
        assert "The check for copies fails if more than 5% are copies." in card
        assert "The exact copies fails for any." in card
        assert "4.1" not in card, "C_T doesn't decide"
        assert {r.metric_type for r in ModelCard(card).data.eval_results} == {"copied", "nearest_ratio", "exact_copies"}

    def test_figures_per_class_are_beside_those_of_real_images(self, hub, saved):
        per_class = {
            "zero": {"label_agreement": {"value": 0.9, "reference": 0.95, "features": "x"}, "recall": {"value": 0.5}},
            "a|b": {"label_agreement": {"value": 0.25, "reference": 1.0}},
        }
        write_evaluation(saved.folder, {"label_agreement": {"value": 0.6, "reference": 0.97}}, per_class)
        push(saved)
        card = card_of(hub)
        assert "| fidelity | samples recognized as the requested class | 0.6 | 0.97 | |" in card
        assert "| class | samples recognized | real images recognized | recall |" in card
        assert "| zero | 0.900 | 0.950 | 0.500 |" in card
        assert "| a\\|b | 0.250 | 1.000 | |" in card
        pulled = genaug.load(REPO, device="cpu")
        pulled.push("owner/copy", license="mit")
        assert "| zero | 0.900 | 0.950 | 0.500 |" in hub.repos["owner/copy"].files["README.md"].decode()

    def test_many_classes_are_cut_off(self, hub, saved):
        per_class = {f"class {i}": {"recall": {"value": i / 500}} for i in range(500)}
        write_evaluation(saved.folder, {"recall": {"value": 0.6}}, per_class)
        push(saved)
        assert "| class 99 | 0.198 |\n\n400 more classes were measured." in card_of(hub)
        assert "per_class" not in hub.repos[REPO].files["config.json"].decode()

    def test_figures_stay_with_their_weights(self, hub, saved, generator, make_generator):
        write_evaluation(saved.folder, {"fid": {"value": 12.3}})
        push(saved)
        push(generator)  # the same weights, from a folder without figures
        assert "| 12.3 |" in card_of(hub)
        assert ModelCard(card_of(hub)).data.eval_results[0].metric_value == 12.3
        push(make_generator(weights_seed=1))
        assert "12.3" not in card_of(hub)
        assert ModelCard(card_of(hub)).data.eval_results is None

    def test_it_shows_how_to_load_the_generator_and_names_the_plugin(self, hub, generator, monkeypatch):
        fields = generator.manifest_fields() | {"distribution": "genaug-acme", "distribution_version": "0.3"}
        monkeypatch.setattr(generator, "manifest_fields", lambda: fields)
        push(generator)
        block = card_of(hub).split("```python\n")[1].split("```")[0]
        assert len(block.split("\n\n")[1].splitlines()) == 2, "and an import above them"
        assert f'genaug.load("{REPO}")' in block
        assert "`pip install genaug genaug-acme`" in card_of(hub)

    def test_class_names_are_escaped(self, hub, make_generator):
        push(make_generator(classes=("<script>", "a\n# b", "![c](x)`", "<!-- genaug:end summary -->")))
        summary = prose.parts(card_of(hub))["summary"].text
        assert "<script>" not in summary
        assert "\n# b" not in summary
        assert "!\\[c](x)'" in summary
        assert summary.endswith("```\n")


class TestTextByPeople:
    def test_it_survives_a_push(self, hub, generator, make_generator):
        push(generator)
        words = "Mind the sevens: they *look* like ones.\n\n| my | table |\n|---|---|\n"
        edit(
            hub, lambda card: card.replace("## Intended use and limits", f"{words}\n## Intended use and limits") + words
        )
        push(make_generator(weights_seed=1))
        assert card_of(hub).count(words) == 2
        assert card_of(hub).count("## What was measured") == 1
        push(make_generator(weights_seed=2))
        assert card_of(hub).count(words) == 2

    def test_their_metadata_survives_a_push(self, hub, generator):
        push(generator)
        edit(hub, lambda card: card.replace("tags:", "language: en\nthumbnail: x.png\ntags:\n- mine", 1))
        push(generator, license="mit")
        data = ModelCard(card_of(hub)).data.to_dict()
        assert (data["language"], data["thumbnail"], data["license"]) == ("en", "x.png", "mit")
        assert data["tags"] == ["mine", "genaug", "cgan"]

    def test_a_card_that_genaug_did_not_write(self, hub, generator):
        hub.repo(REPO, {"README.md": b"---\nlicense: mit\nlanguage: en\n---\n# My digits\n\nHand-made.\n"})
        push(generator)
        card = card_of(hub)
        assert "# My digits\n\nHand-made.\n" in card
        assert "Intended use" not in card
        assert card.index("genaug:begin summary") < card.index("Hand-made") < card.index("genaug:begin figures")
        assert ModelCard(card).data.language == "en"

    def test_the_card_in_the_folder(self, hub, saved):
        (saved.folder / "README.md").write_text("---\nlicense: cc-by-4.0\n---\nWritten beside the weights.\n")
        saved.push(REPO)
        assert "Written beside the weights." in card_of(hub)
        assert ModelCard(card_of(hub)).data.license == "cc-by-4.0"
        (saved.folder / "README.md").write_text("---\nlicense: cc-by-4.0\n---\nWritten again.\n")
        saved.push(REPO)
        assert "Written again." in card_of(hub)
        assert "beside the weights" not in card_of(hub)

    def test_edits_of_both_cards(self, hub, saved):
        readme = saved.folder / "README.md"
        readme.write_text("---\nlicense: mit\n---\nOurs.\n")
        saved.push(REPO)
        edit(hub, lambda card: card.replace("Ours.", "Theirs."))
        saved.push(REPO)
        assert "Theirs." in card_of(hub), "the folder's card is as it was, so the Hub's edits win"
        readme.write_text("---\nlicense: mit\n---\nOurs, new.\n")
        with pytest.raises(InputError, match=r"changed both on the Hub and in the generator's README\.md"):
            saved.push(REPO)
        assert "Theirs." in card_of(hub)
        saved.push(REPO, force=True)
        assert "Ours, new." in card_of(hub)

    @pytest.mark.parametrize(
        ("card", "message"),
        [
            (b"---\nlicense: [\n---\n", "metadata at the top of README.md can't be read"),
            (b"---\ntags: [{a: 1}]\n---\n", r"README.md can't be read \(tags must be a list of words\)"),
            (b"---\ndatasets: [[x]]\n---\n", r"README.md can't be read \(datasets must be a list of words\)"),
            (b"---\neval_results: 3\n---\n", "figures belong in model-index"),
            (b"\xff\xfe", "isn't a valid card"),
        ],
    )
    def test_a_card_that_cannot_be_read(self, hub, generator, card, message):
        hub.repo(REPO, {"README.md": card})
        with pytest.raises(InputError, match=message):
            push(generator)
        assert hub.repos[REPO].files["README.md"] == card


def test_the_config_on_the_hub_says_where_it_comes_from(hub, generator):
    push(generator)
    config = json.loads(hub.repos[REPO].files["config.json"])
    assert config["format_version"] == 2
    assert (config["backend"], config["distribution"]) == ("cgan", "genaug")
    assert config["distribution_version"] == genaug.__version__
    assert config["weights"]["size"] == len(hub.repos[REPO].files["model.safetensors"])
    assert config["training"]["note"] == "untrained"
