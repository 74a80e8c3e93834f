"""The card that a push writes: its figures, its metadata, and people's own words in it."""

import json

import pytest
import yaml
from huggingface_hub import ModelCard
from publishing import REPO, card_of, edit, push

import genaug
from genaug.errors import InputError
from genaug.evaluation.record import write_evaluation
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
        row = "| fidelity | FID (lower is better) | 12.35 ± 0.5 | 10,000 samples; features: a\\|b; against MNIST |"
        assert row in card_of(hub)
        assert "| other | my_own | 7 apples |  |" in card_of(hub)
        assert "| diversity | | not measured | |" in card_of(hub)
        results = {r.metric_type: r for r in ModelCard(card_of(hub)).data.eval_results}
        assert results["fid"].metric_value == 12.3456
        assert results["fid"].dataset_type == "ylecun/mnist"
        assert results["fid"].metric_args["samples"] == 10000
        assert results["my_own"].metric_value == 7

    def test_figures_stay_with_their_weights(self, hub, saved, generator, make_generator):
        write_evaluation(saved.folder, {"fid": {"value": 12.3}})
        push(saved)
        push(generator)  # the same weights, from where nothing is known of the figures
        assert "| 12.3 |" in card_of(hub)
        assert ModelCard(card_of(hub)).data.eval_results[0].metric_value == 12.3
        push(make_generator(weights_seed=1))
        assert "12.3" not in card_of(hub)
        assert ModelCard(card_of(hub)).data.eval_results is None

    def test_it_loads_in_three_lines_and_names_the_plugin(self, hub, generator, monkeypatch):
        fields = generator.manifest_fields() | {"distribution": "genaug-acme", "distribution_version": "0.3"}
        monkeypatch.setattr(generator, "manifest_fields", lambda: fields)
        push(generator)
        block = card_of(hub).split("```python\n")[1].split("```")[0]
        assert len(block.splitlines()) == 3
        assert f'genaug.load("{REPO}")' in block
        assert "`pip install genaug genaug-acme`" in card_of(hub)

    def test_class_names_cannot_break_out(self, hub, make_generator):
        push(make_generator(classes=("<script>", "a\n# b", "![c](x)`", "<!-- genaug:end summary -->")))
        summary = prose.parts(card_of(hub))["summary"].text
        assert "<script>" not in summary
        assert "\n# b" not in summary
        assert "!\\[c](x)'" in summary
        assert summary.endswith("```\n")


class TestPeoplesWords:
    def test_they_survive_a_push(self, hub, generator, make_generator):
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

    def test_so_does_their_metadata(self, hub, generator):
        push(generator)
        edit(hub, lambda card: card.replace("tags:", "language: en\nthumbnail: x.png\ntags:\n- mine", 1))
        push(generator, license="mit")
        data = ModelCard(card_of(hub)).data.to_dict()
        assert (data["language"], data["thumbnail"], data["license"]) == ("en", "x.png", "mit")
        assert data["tags"] == ["mine", "genaug", "cgan"]

    def test_a_card_that_genaug_never_saw(self, hub, generator):
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
        (saved.folder / "README.md").write_text("---\nlicense: cc-by-4.0\n---\nWritten anew.\n")
        saved.push(REPO)
        assert "Written anew." in card_of(hub)
        assert "beside the weights" not in card_of(hub)

    def test_edits_on_both_sides(self, hub, saved):
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
            (b"---\neval_results: 3\n---\n", "figures stand in model-index"),
            (b"\xff\xfe", "is no card"),
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
    assert config["format_version"] == 1
    assert (config["backend"], config["distribution"]) == ("cgan", "genaug")
    assert config["distribution_version"] == genaug.__version__
    assert config["weights"]["size"] == len(hub.repos[REPO].files["model.safetensors"])
    assert config["training"]["note"] == "untrained"
