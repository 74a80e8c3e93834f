"""Generators that are pushed with their discriminator, pulled, and fine-tuned; and the cards of their descendants."""

import json

import pytest
import torch
from helpers.publishing import REPO, card_of, push
from huggingface_hub import ModelCard

import genaug
from genaug.artifacts.ancestry import origin_of
from genaug.artifacts.figures import write_evaluation
from genaug.artifacts.manifest import read_manifest
from genaug.errors import FormatError, InputError
from genaug.training.trainer import Trainer

FAST = {"steps": 2, "batch_size": 8, "device": "cpu", "precision": "float32", "progress": False}


@pytest.fixture
def run(tiny_set, tiny_config, tmp_path):
    """A run folder's generator."""
    generator = genaug.fit("cgan", tiny_set, out=tmp_path / "run", config=tiny_config, **FAST)
    assert not generator.extras
    return generator


def checkpoint(folder):
    return torch.load(max((folder / "checkpoints").glob("*.pt")), weights_only=True)["nets"]


def tune(dataset, out, **arguments):
    return genaug.fit("cgan", dataset, out=out, **{**FAST, **arguments})


class TestKeep:
    def test_the_published_weights_contain_the_discriminator(self, hub, run):
        push(run, keep=("discriminator",))
        loaded = genaug.load(REPO, device="cpu")
        assert torch.equal(loaded.sample(9, seed=0)[0], run.sample(9, seed=0)[0])
        assert list(loaded.nets) == ["generator"]
        expected = {n: t for n, t in checkpoint(run.folder).items() if n.startswith("discriminator.")}
        assert loaded.extras.keys() == expected.keys()
        assert all(torch.equal(tensor, expected[name]) for name, tensor in loaded.extras.items())
        assert json.loads(hub.repos[REPO].files["config.json"])["extras"] == ["discriminator"]
        assert not run.extras, "the generator that was pushed stays as it was"
        assert "the weights of its discriminator are included" in card_of(hub)

    def test_an_ordinary_push_has_none(self, hub, run):
        push(run)
        assert "extras" not in json.loads(hub.repos[REPO].files["config.json"])
        assert not genaug.load(REPO, device="cpu").extras
        assert "For fine-tuning" not in card_of(hub)

    def test_copies_and_later_pushes_keep_it(self, hub, run, tmp_path):
        push(run, keep=("discriminator",))
        loaded = genaug.load(REPO, device="cpu")
        copy = genaug.load(loaded.save(tmp_path / "copy"), device="cpu")
        assert copy.extras.keys() == loaded.extras.keys()
        assert (
            read_manifest(tmp_path / "copy").weights.sha256
            == json.loads(hub.repos[REPO].files["config.json"])["weights"]["sha256"]
        )
        copy.push("owner/copy", license="mit")
        assert genaug.load("owner/copy", device="cpu").extras.keys() == loaded.extras.keys()

    def test_tuning_from_the_hub_is_tuning_from_the_run(self, hub, run, tiny_set, tmp_path, monkeypatch):
        push(run, keep=("discriminator",))
        starts, build = [], Trainer.__init__

        def noting(self, *arguments, **options):
            build(self, *arguments, **options)
            starts.append({name: tensor.clone() for name, tensor in self.nets.state_dict().items()})

        monkeypatch.setattr(Trainer, "__init__", noting)
        tune(tiny_set, tmp_path / "local", init=run.folder, freeze_discriminator=1)
        tune(tiny_set, tmp_path / "hub", init=REPO, freeze_discriminator=1)
        assert all(torch.equal(tensor, starts[1][name]) for name, tensor in starts[0].items())
        tuned = genaug.fit(genaug.load(REPO, device="cpu"), tiny_set, out=tmp_path / "loaded", **FAST)
        origin = origin_of(tuned.training)
        assert (origin.name, origin.on_hub, origin.networks) == (REPO, True, ("generator", "discriminator"))

    def test_figures_of_the_same_weights_without_it_still_hold(self, hub, run):
        digest = read_manifest(run.folder).weights.sha256
        write_evaluation(run.folder, {"kid": {"value": 0.1}})
        push(run, keep=("discriminator",))
        recorded = json.loads(hub.repos[REPO].files["config.json"])
        assert recorded["training"]["evaluation"]["weights_sha256"] == recorded["weights"]["sha256"] != digest

    @pytest.mark.parametrize(
        ("keep", "message"),
        [
            (
                ("critic",),
                r"keep names 'critic', but of the networks that .* it holds discriminator",
            ),
            ("discriminator", r"keep must be a sequence of names"),
        ],
    )
    def test_networks_that_are_not_there(self, hub, run, keep, message):
        with pytest.raises(InputError, match=message):
            push(run, keep=keep)
        assert not hub.log

    def test_a_generator_without_a_run(self, hub, generator):
        with pytest.raises(InputError, match=r"it holds none\. Expected networks in the last checkpoint"):
            push(generator, keep=("discriminator",))

    def test_the_command(self, hub, run, tiny_set, tmp_path):
        from typer.testing import CliRunner

        from genaug.cli import app

        words = ["push", str(run.folder), REPO, "--license", "mit", "--keep", "discriminator"]
        result = CliRunner().invoke(app, words)
        assert result.exit_code == 0, result.output
        assert genaug.load(REPO, device="cpu").extras


class TestDamage:
    """The further networks are checked as the kept ones are."""

    @pytest.fixture
    def folder(self, hub, run, tmp_path):
        push(run, keep=("discriminator",))
        return genaug.load(REPO, device="cpu").save(tmp_path / "saved")

    @pytest.mark.parametrize(
        ("extras", "message"),
        [
            (None, "holds the unknown tensor 'discriminator"),
            (["critic"], "lists the further networks 'critic', of which backend 'cgan' has only 'discriminator'"),
            (["generator"], "lists the further networks 'generator'"),
            (["discriminator", "discriminator"], "lists the further networks 'discriminator', 'discriminator'"),
            ([1], "is not a valid generator config"),
            (["x"] * 17, "is not a valid generator config"),
        ],
    )
    def test_of_the_manifest(self, folder, extras, message):
        path = folder / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"extras": extras}))
        with pytest.raises(FormatError, match=message):
            genaug.load(folder, device="cpu")

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda tensor: tensor[:, :1], r"tensor 'discriminator\.score\.weight' is"),
            (lambda tensor: tensor.double(), r"tensor 'discriminator\.score\.weight' is torch\.float64"),
            (lambda tensor: tensor * float("nan"), "holds NaN or infinite values"),
            (None, r"lacks 'discriminator\.score\.weight'"),
        ],
    )
    def test_of_a_tensor(self, folder, change, message, tmp_path):
        import hashlib

        import safetensors.torch

        tensors = safetensors.torch.load_file(folder / "model.safetensors")
        tensor = tensors.pop("discriminator.score.weight")
        if change is not None:
            tensors["discriminator.score.weight"] = change(tensor).contiguous()
        content = safetensors.torch.save(tensors)
        (folder / "model.safetensors").write_bytes(content)
        manifest = json.loads((folder / "config.json").read_text())
        manifest["weights"] = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
        (folder / "config.json").write_text(json.dumps(manifest))
        with pytest.raises(FormatError, match=message):
            genaug.load(folder, device="cpu")


class TestCards:
    def test_an_ancestor_on_the_hub_is_the_base_model(self, hub, run, tiny_set, tmp_path):
        push(run)
        digest = json.loads(hub.repos[REPO].files["config.json"])["weights"]["sha256"]
        tuned = tune(tiny_set, tmp_path / "tuned", init=REPO)
        tuned.push("owner/tuned", license="mit")
        card = hub.repos["owner/tuned"].files["README.md"].decode()
        assert ModelCard(card).data.base_model == REPO
        assert ModelCard(card).data.to_dict()["base_model_relation"] == "finetune"
        assert f"Fine-tuned from [{REPO}](https://huggingface.co/{REPO}) (sha256 of its weights: `{digest}`)." in card
        child = tune(tiny_set, tmp_path / "child", init="owner/tuned")
        child.push("owner/child", license="mit")
        card = hub.repos["owner/child"].files["README.md"].decode()
        assert ModelCard(card).data.base_model == "owner/tuned"
        assert f"which was fine-tuned from [{REPO}]" in card
        assert digest in card

    def test_base_models_that_people_entered_stay(self, hub, run, tiny_set, tmp_path):
        push(run)
        tuned = tune(tiny_set, tmp_path / "tuned", init=REPO)
        (tuned.folder / "README.md").write_text("---\nbase_model: somebody/else\n---\n")
        card = ModelCard(tuned.push("owner/tuned", license="mit", dry_run=True).card)
        assert card.data.base_model == ["somebody/else", REPO]

    def test_a_local_ancestor_is_named_by_its_folder_alone(self, hub, run, tiny_set, tmp_path):
        tuned = tune(tiny_set, tmp_path / "tuned", init=run.folder)
        card = tuned.push("owner/tuned", license="mit", dry_run=True).card
        assert f"Fine-tuned from `run` (sha256 of its weights: `{read_manifest(run.folder).weights.sha256}`)." in card
        assert str(tmp_path) not in card
        assert ModelCard(card).data.base_model is None

    def test_a_name_cannot_write_on_the_card(self, hub, generator):
        name = "a](https://evil) `<b>` \n# x"
        generator.training["init"] = {"name": name, "on_hub": True, "weights_sha256": "0" * 64}
        card = push(generator, dry_run=True).card
        assert ModelCard(card).data.base_model is None
        assert "<b>" not in card
        assert "\n# x" not in card
