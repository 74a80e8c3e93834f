"""Fine-tuning: a training that starts from a generator's weights, with its classes matched and blocks frozen."""

import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from torch.utils.data import TensorDataset

import genaug
from genaug.artifacts.ancestry import origin_of
from genaug.artifacts.manifest import read_manifest
from genaug.backends import Backend, calls, registry
from genaug.backends.class_axes import class_axes, reordered
from genaug.errors import InputError, PluginError, TrainingError
from genaug.training.trainer import Trainer

ROOT = Path(__file__).parents[2]
NAMES = ("ant", "bee", "cat", "dog")
SMALL = {name: registry.resolve(name).tiny for name in ("cgan", "mad-gan", "wgan-gp", "infogan")}
FAST = {"steps": 6, "batch_size": 8, "checkpoint_every": 3, "device": "cpu", "precision": "float32", "progress": False}


def images_of(names=NAMES, n=40, shape=(1, 8, 8), seed=0):
    """Noise of these classes; without labels if there are no names."""
    x = torch.randint(0, 256, (n, *shape), generator=torch.Generator().manual_seed(seed)).to(torch.uint8)
    if names is None:
        return [(image,) for image in x]
    dataset = TensorDataset(x, torch.arange(n) % len(names))
    dataset.classes = list(names)
    return dataset


def fit(out, backend="cgan", dataset=None, **arguments):
    if "init" not in arguments and not arguments.get("resume") and isinstance(backend, str):
        arguments.setdefault("config", SMALL.get(backend, SMALL["cgan"]))
    return genaug.fit(backend, images_of() if dataset is None else dataset, out=out, **{**FAST, **arguments})


@pytest.fixture(scope="module")
def ancestors(tmp_path_factory):
    """A run folder of each backend."""
    folder = tmp_path_factory.mktemp("ancestors")
    for name in SMALL:
        fit(folder / name, name)
    return folder


@pytest.fixture
def ancestor(ancestors):
    return ancestors / "cgan"


@pytest.fixture
def trainers(monkeypatch):
    """The trainers that runs use, with copies of their weights before the first step and of their averages."""
    starts, build = [], Trainer.__init__

    def noting(self, *arguments, **options):
        build(self, *arguments, **options)
        self.start = {name: tensor.clone() for name, tensor in self.nets.state_dict().items()}
        self.averages = {name: tensor.clone() for name, tensor in self.ema.module.state_dict().items()}
        starts.append(self)

    monkeypatch.setattr(Trainer, "__init__", noting)
    return starts


def checkpoint(folder):
    return torch.load(max((folder / "checkpoints").glob("*.pt")), weights_only=True)["nets"]


def weights(folder):
    return (folder / "model.safetensors").read_bytes()


class TestTheStart:
    @pytest.mark.parametrize("backend", SMALL)
    def test_all_networks_and_their_averages_start_from_the_ancestor(self, backend, ancestors, tmp_path, trainers):
        fit(tmp_path / "run", backend, init=ancestors / backend, steps=1)
        ancestor = genaug.load(ancestors / backend, device="cpu")
        expected = {**checkpoint(ancestors / backend), **ancestor.nets.state_dict()}
        (trainer,) = trainers
        assert trainer.start.keys() == expected.keys()
        assert all(torch.equal(trainer.start[name], tensor) for name, tensor in expected.items())
        assert all(torch.equal(trainer.averages[name], t) for name, t in ancestor.nets.state_dict().items())

    def test_a_generator_without_its_discriminator_is_enough(self, ancestor, tmp_path, trainers, capsys):
        saved = genaug.load(ancestor, device="cpu").save(tmp_path / "saved")
        tuned = fit(tmp_path / "run", init=saved, progress=True)
        (trainer,) = trainers
        fresh = Trainer(trainer.backend, trainer.config, trainer.data, seed=0).start
        for name, tensor in trainer.start.items():
            assert torch.equal(tensor, fresh[name]) == name.startswith("discriminator") or name.endswith("tracked")
        assert "'saved' doesn't hold its discriminator, which starts with new weights" in capsys.readouterr().err
        assert origin_of(tuned.training).networks == ("generator",)

    def test_a_generator_in_memory_comes_with_its_folders_discriminator(self, ancestor, tmp_path):
        loaded = genaug.load(ancestor, device="cpu")
        fit(tmp_path / "folder", init=ancestor)
        first = fit(tmp_path / "generator", loaded)
        second = fit(tmp_path / "argument", "cgan", init=loaded)
        assert weights(tmp_path / "folder") == weights(tmp_path / "generator") == weights(tmp_path / "argument")
        assert first.training == second.training == genaug.load(tmp_path / "folder", device="cpu").training

    def test_a_folder_that_was_overwritten_since_is_not_its_folder(self, ancestor, tmp_path, trainers):
        shutil.copytree(ancestor, tmp_path / "old")
        loaded = genaug.load(tmp_path / "old", device="cpu")
        fit(tmp_path / "old", seed=1, overwrite=True)
        tuned = fit(tmp_path / "run", loaded)
        assert origin_of(tuned.training).networks == ("generator",)

    def test_options_are_those_of_the_ancestor_unless_they_are_set(self, tmp_path):
        fit(tmp_path / "old", config={**SMALL["cgan"], "loss": "hinge", "lr": 5e-4})
        tuned = fit(tmp_path / "run", init=tmp_path / "old", config={"lr": 1e-4})
        assert (tuned.config.loss, tuned.config.lr, tuned.config.width) == ("hinge", 1e-4, 4)


class TestClasses:
    def test_they_are_matched_by_name(self, ancestor, tmp_path, trainers):
        fit(tmp_path / "run", dataset=images_of(("dog", "ant")), init=ancestor)
        old, start, axes = genaug.load(ancestor, device="cpu").nets.state_dict(), trainers[0].start, 0
        for name, tensor in old.items():
            if tensor.shape != start[name].shape:
                assert torch.equal(start[name], tensor[[3, 0]])
                axes += 1
            else:
                assert torch.equal(start[name], tensor)
        assert axes >= 3

    @pytest.mark.parametrize("backend", ["cgan", "mad-gan", "wgan-gp"])
    def test_samples_of_a_class_are_the_same_in_another_order(self, backend, ancestors, tmp_path, trainers):
        fit(tmp_path / "run", backend, dataset=images_of(("dog", "cat", "bee", "ant")), init=ancestors / backend)
        old = genaug.load(ancestors / backend, device="cpu")
        new = genaug.load(tmp_path / "run", device="cpu")
        new.nets.load_state_dict({name: tensor for name, tensor in trainers[0].start.items() if name in new.tensors()})
        labels = torch.arange(12) % 4
        assert torch.equal(old.sample(labels=labels, seed=1)[0], new.sample(labels=3 - labels, seed=1)[0])

    def test_new_ones_start_from_the_mean_of_the_old(self, ancestor, tmp_path, trainers):
        fit(tmp_path / "run", dataset=images_of(("cat", "emu")), init=ancestor)
        expected = {**checkpoint(ancestor), **genaug.load(ancestor, device="cpu").nets.state_dict()}
        for name in ("generator.stem.maps.weight", "generator.stem.norm.gain.weight", "discriminator.embed.weight"):
            old, new = expected[name], trainers[0].start[name]
            assert torch.equal(new[0], old[2])
            assert torch.allclose(new[1], old.mean(0))

    def test_without_names_they_are_matched_by_number(self, ancestor, tmp_path, trainers, capsys):
        x = torch.zeros(20, 1, 8, 8, dtype=torch.uint8)
        fit(tmp_path / "run", dataset=TensorDataset(x, torch.arange(20) % 5), init=ancestor, progress=True)
        old = genaug.load(ancestor, device="cpu").nets.state_dict()["generator.stem.maps.weight"]
        new = trainers[0].start["generator.stem.maps.weight"]
        assert torch.equal(new[:4], old)
        assert torch.allclose(new[4], old.mean(0))
        assert "the dataset has no class names" in capsys.readouterr().err

    def test_concatenated_labels_and_class_logits(self, tmp_path, trainers):
        options = {**SMALL["cgan"], "conditioning": "concatenation", "classifier_weight": 1.0}
        fit(tmp_path / "old", config=options, dataset=images_of(shape=(3, 8, 8)))
        fit(tmp_path / "run", init=tmp_path / "old", dataset=images_of(("emu", "dog"), shape=(3, 8, 8)))
        old, new = checkpoint(tmp_path / "old"), trainers[1].start
        first = "discriminator.body.convs.0.weight"
        assert torch.equal(new[first][:, :3], old[first][:, :3])
        assert torch.equal(new[first][:, 4], old[first][:, 6])
        assert torch.allclose(new[first][:, 3], old[first][:, 3:].mean(1))
        for name in ("discriminator.classify.weight", "discriminator.classify.bias"):
            assert torch.equal(new[name][1], old[name][3])
            assert torch.allclose(new[name][0], old[name].mean(0))

    def test_a_backend_that_does_not_say_where_they_are_is_named(self, ancestor, monkeypatch):
        backend = registry.resolve("cgan")
        generator = genaug.load(ancestor, device="cpu")
        config = backend.Config(**SMALL["cgan"], conditioning="concatenation")
        monkeypatch.setattr(type(backend), "after_classes", {})
        with pytest.raises(PluginError, match=r"'discriminator\.body\.convs\.0\.weight' has other entries beside"):
            class_axes(backend, config, generator.spec)

    def test_integers_of_new_classes_are_left_as_they_are_built(self):
        from genaug.backends.class_axes import ClassAxis

        tensors = {"counts": torch.arange(3), "weight": torch.arange(3.0)}
        axes = dict.fromkeys(tensors, ClassAxis(0, 0, 3))
        assert reordered(tensors, axes, [2, -1]).keys() == {"weight"}
        assert reordered(tensors, axes, [2, 0])["counts"].tolist() == [2, 0]


class TestFrozenBlocks:
    @pytest.mark.parametrize(("backend", "blocks"), [("cgan", 1), ("mad-gan", 1), ("wgan-gp", 1), ("infogan", 2)])
    def test_they_stay_as_they_are_and_the_others_move(self, backend, blocks, ancestors, tmp_path, trainers):
        options = {"init": ancestors / backend, "freeze_discriminator": blocks}
        tuned = fit(tmp_path / "run", backend, dataset=images_of(seed=1), **options)
        (trainer,) = trainers
        frozen = {
            name
            for name, module in trainer.nets.named_modules()
            for block in trainer.backend.discriminator_blocks(trainer.nets)[:blocks]
            if any(module is part for part in block.modules())
        }
        count = 0
        for name, tensor in trainer.nets.state_dict().items():
            is_frozen = name.rpartition(".")[0] in frozen
            count += is_frozen
            if is_frozen:
                assert torch.equal(tensor, trainer.start[name]), name
                if name in tuned.nets.state_dict():  # InfoGAN keeps it, with batch normalization
                    assert torch.equal(tuned.nets.state_dict()[name], trainer.start[name]), name
            elif name in dict(trainer.nets.named_parameters()) and not name.endswith("score.bias"):  # it cancels out
                assert not torch.equal(tensor, trainer.start[name]), name
        assert count >= 2 * blocks

    def test_they_have_no_optimizer(self, ancestor, tmp_path, trainers):
        fit(tmp_path / "run", init=ancestor, freeze_discriminator=1)
        (trainer,) = trainers
        (block,) = trainer.backend.discriminator_blocks(trainer.nets)[:1]
        optimized = {
            id(p) for optimizer in trainer.optimizers for group in optimizer.param_groups for p in group["params"]
        }
        assert not optimized & {id(parameter) for parameter in block.parameters()}
        assert all(parameter.grad is None for parameter in block.parameters())

    def test_more_than_there_are(self, ancestor, tmp_path):
        with pytest.raises(InputError, match=r"freeze_discriminator is 3, but the discriminator has only 1 block that"):
            fit(tmp_path / "run", init=ancestor, freeze_discriminator=3)
        assert not (tmp_path / "run").exists()

    def test_the_guide_lists_the_backends_of_this_repository_that_offer_it(self):
        page = " ".join((ROOT / "docs" / "how-to" / "fine-tune.md").read_text(encoding="utf-8").split())
        listed = re.search(r"The backends ([^.]*) offer it\.", page)[1]
        own = [
            name
            for name in registry.offering("discriminator_blocks")
            if registry.discover().backends[name].distribution == "genaug"
        ]
        assert re.findall(r"`([^`]+)`", listed) == own

    @pytest.mark.parametrize("name", ["vae", "ssgan"])
    def test_a_backend_is_named_as_it_is_registered(self, name, tmp_path):
        fit(tmp_path / "old", name, config=registry.resolve(name).tiny)
        with pytest.raises(InputError, match=f"backend '{name}' doesn't declare the blocks of a discriminator"):
            fit(tmp_path / "run", name, init=tmp_path / "old", freeze_discriminator=1)

    def test_a_backend_that_declares_none(self, register_backend, tmp_path):
        class Plain(type(registry.resolve("cgan"))):
            discriminator_blocks = Backend.discriminator_blocks

        register_backend("plain", Plain)
        fit(tmp_path / "old", "plain")
        with pytest.raises(
            InputError, match=r"backend 'plain' doesn't declare the blocks of .*Installed .* do: .*cgan"
        ):
            fit(tmp_path / "run", "plain", init=tmp_path / "old", freeze_discriminator=1)

    def test_a_backend_whose_blocks_are_all_that_a_player_has(self, register_backend, tmp_path):
        class Everything(type(registry.resolve("cgan"))):
            def discriminator_blocks(self, nets):
                return [nets["discriminator"]]

        register_backend("everything", Everything)
        fit(tmp_path / "old", "everything")
        with pytest.raises(InputError, match="leaves player 'discriminator' nothing to train"):
            fit(tmp_path / "run", "everything", init=tmp_path / "old", freeze_discriminator=1)

    def test_a_discriminator_that_is_not_there(self, ancestor, tmp_path):
        saved = genaug.load(ancestor, device="cpu").save(tmp_path / "saved")
        with pytest.raises(InputError, match="needs a trained discriminator, but the generator 'saved' doesn't hold"):
            fit(tmp_path / "run", init=saved, freeze_discriminator=1)

    def test_without_an_ancestor(self, tmp_path):
        with pytest.raises(InputError, match="freeze_discriminator is for fine-tuning: pass the generator to"):
            fit(tmp_path / "run", freeze_discriminator=1)


OPTIONS = {"freeze_discriminator": 1, "dataset": images_of(("dog", "emu", "ant"), seed=2)}


class TestResuming:
    @pytest.fixture
    def interrupted(self, ancestor, tmp_path):
        """A run of 3 of 6 steps, whose ancestor is gone."""
        shutil.copytree(ancestor, tmp_path / "old")

        def stop(snapshot):
            if snapshot.step == 5:
                raise RuntimeError("the machine was switched off")

        with pytest.raises(RuntimeError, match="switched off"):
            fit(tmp_path / "run", init=tmp_path / "old", callbacks=[stop], **OPTIONS)
        shutil.rmtree(tmp_path / "old")
        return tmp_path / "run"

    def test_the_result_is_that_of_an_uninterrupted_run(self, interrupted, ancestor, tmp_path):
        shutil.copytree(ancestor, tmp_path / "again" / "old")
        fit(tmp_path / "uninterrupted", init=tmp_path / "again" / "old", **OPTIONS)
        fit(interrupted, resume=True, dataset=OPTIONS["dataset"])
        assert weights(interrupted) == weights(tmp_path / "uninterrupted")
        assert (interrupted / "config.json").read_bytes() == (tmp_path / "uninterrupted" / "config.json").read_bytes()
        ends = checkpoint(interrupted), checkpoint(tmp_path / "uninterrupted")
        assert all(torch.equal(tensor, ends[1][name]) for name, tensor in ends[0].items())

    def test_the_ancestor_may_be_named_again(self, interrupted, tmp_path):
        tuned = fit(interrupted, resume=True, init=tmp_path / "old", **OPTIONS)
        assert tuned.training["steps"] == 6

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"init": "other/name"}, r"can't be resumed: init was 'old', now it is 'other/name'"),
            ({"freeze_discriminator": 0}, r"can't be resumed: freeze_discriminator was 1, now it is 0\. Continue"),
            ({"freeze_discriminator": 2}, r"can't be resumed: freeze_discriminator was 1, now it is 2\. Continue"),
        ],
    )
    def test_changes_are_rejected(self, interrupted, change, message):
        with pytest.raises(InputError, match=message):
            fit(interrupted, resume=True, **{**OPTIONS, **change})

    def test_a_run_without_frozen_blocks_gets_none_later(self, tmp_path):
        fit(tmp_path / "run")
        with pytest.raises(InputError, match="freeze_discriminator was 0, now it is 1"):
            fit(tmp_path / "run", resume=True, freeze_discriminator=1, steps=8)
        assert fit(tmp_path / "run", resume=True, freeze_discriminator=0, steps=8).training["steps"] == 8

    def test_a_run_from_new_weights_gets_no_ancestor_later(self, ancestor, tmp_path):
        fit(tmp_path / "run")
        with pytest.raises(InputError, match="can't be resumed: init was None, now it is 'cgan'"):
            fit(tmp_path / "run", resume=True, init=ancestor, steps=8)

    def test_a_run_that_ended_before_its_first_checkpoint_needs_its_ancestor(self, interrupted, ancestor, tmp_path):
        for path in (interrupted / "checkpoints").iterdir():
            path.unlink()
        with pytest.raises(InputError, match=r"again from 'old'\. Pass that as init= \(--init\) once more"):
            fit(interrupted, resume=True, **OPTIONS)
        shutil.copytree(ancestor, tmp_path / "old")
        with pytest.warns(genaug.errors.TrainingWarning, match="no complete checkpoint: starting at step 0"):
            fit(interrupted, resume=True, init=tmp_path / "old", **OPTIONS)
        fit(tmp_path / "uninterrupted", init=tmp_path / "old", **OPTIONS)
        assert weights(interrupted) == weights(tmp_path / "uninterrupted")

    def test_only_damaged_checkpoints_are_an_error(self, interrupted):
        for path in (interrupted / "checkpoints").glob("*.pt"):
            path.write_bytes(b"damaged")
        with (
            pytest.warns(genaug.errors.TrainingWarning, match="is damaged and was skipped"),
            pytest.raises(TrainingError, match="no complete checkpoint, so the fine-tuning has to start again"),
        ):
            fit(interrupted, resume=True, **OPTIONS)


class TestWhatDoesNotFit:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"config": {"width": 8}}, r"the weights of the generator 'cgan' don't fit width=8 \(it has 4\)\. Leave"),
            ({"config": {"latent_size": 5}}, r"don't fit latent_size=5 \(it has 4\)"),
            ({"config": {"conditional": False}}, r"don't fit conditional=False \(it has True\)"),
            ({"config": {"conditioning": "none", "classifier_weight": 1}}, r"don't fit conditioning='none'"),
            ({"backend": "mad-gan"}, r"is of backend 'cgan', but fit was called with 'mad-gan'\. Pass 'cgan'"),
            (
                {"dataset": images_of(shape=(3, 8, 8))},
                "of size 1x8x8, but the training data are images of size 3x8x8",
            ),
            ({"image_size": 6}, r"of size 1x6x6\. Fine-tuning needs data of the same kind and size"),
            ({"dataset": images_of(None)}, r"takes labels, but the training data have none\. Pass a dataset of"),
            ({"init": 3}, "init is of type int"),
            ({"init": "no/such/folder"}, "is not a directory"),
        ],
    )
    def test_one_sentence_and_nothing_is_written(self, arguments, message, ancestor, tmp_path):
        with pytest.raises(genaug.GenaugError, match=message) as raised:
            fit(tmp_path / "run", **{"init": ancestor, **arguments})
        assert "\n" not in str(raised.value)
        assert not (tmp_path / "run" / "run.json").exists()
        assert not list((tmp_path / "run").glob("*.safetensors"))

    def test_labels_for_a_generator_that_was_trained_without(self, tmp_path):
        fit(tmp_path / "old", dataset=images_of(None))
        with pytest.raises(InputError, match="was trained without labels, but the training data have them"):
            fit(tmp_path / "run", init=tmp_path / "old")
        tuned = fit(tmp_path / "run", init=tmp_path / "old", config={"conditional": False})
        assert not tuned.spec.takes_labels

    def test_its_own_folder(self, ancestor, tmp_path):
        shutil.copytree(ancestor, tmp_path / "old")
        with pytest.raises(InputError, match="init and out are the same folder"):
            fit(tmp_path / "old", init=tmp_path / "old", overwrite=True)
        assert weights(tmp_path / "old") == weights(ancestor)

    def test_a_generator_and_another_one(self, ancestor, tmp_path):
        loaded = genaug.load(ancestor, device="cpu")
        with pytest.raises(InputError, match="is a generator to fine-tune, and init= is another one"):
            fit(tmp_path / "run", loaded, init=ancestor)


class TestTheRecord:
    def test_it_lists_the_ancestors_by_their_hashes(self, ancestor, tmp_path):
        fit(tmp_path / "child", init=ancestor)
        fit(tmp_path / "grandchild", init=tmp_path / "child", freeze_discriminator=1)
        record = json.loads((tmp_path / "grandchild" / "run.json").read_text())
        loaded = genaug.load(tmp_path / "grandchild", device="cpu")
        assert loaded.training["init"] == record["init"]
        assert loaded.training["freeze_discriminator"] == record["freeze_discriminator"] == 1
        expected = [(p.name, read_manifest(p).weights.sha256) for p in (tmp_path / "child", ancestor)]
        assert [(each.name, each.weights_sha256) for each in origin_of(loaded.training).lineage()] == expected

    def test_an_ordinary_run_has_none(self, ancestor):
        assert origin_of(genaug.load(ancestor, device="cpu").training) is None

    @pytest.mark.parametrize("record", ["x", {"name": "a"}, {"name": "a", "weights_sha256": "z" * 64}, [1]])
    def test_one_that_genaug_did_not_write_is_ignored(self, record):
        assert origin_of({"init": record}) is None

    def test_random_numbers_are_those_of_a_run_from_new_weights(self, ancestor, tmp_path, trainers):
        """The outlines of networks draw none, so that fine-tuning with a seed is reproducible."""
        before = torch.random.get_rng_state()
        fit(tmp_path / "run", init=ancestor)
        assert torch.equal(torch.random.get_rng_state(), before)
        assert calls.outline(trainers[0].backend, trainers[0].config, trainers[0].spec) is not None
        assert torch.equal(torch.random.get_rng_state(), before)


class TestTheCommand:
    @staticmethod
    def run(*words):
        from typer.testing import CliRunner

        from genaug.cli import app

        return CliRunner().invoke(app, ["train", *map(str, words)])

    def test_the_ancestor_stands_for_the_backend(self, tmp_path):
        from genaug.data import load_data

        fit(tmp_path / "old", dataset=load_data("digits"))
        options = ["--init", tmp_path / "old", "--freeze-discriminator", 1, "--labels-per-class", 3, "--steps", 2]
        options += ["--batch-size", 8, "--device", "cpu", "--out", tmp_path / "run"]
        result = self.run(*options)
        assert result.exit_code == 0, result.output
        training = genaug.load(tmp_path / "run", device="cpu").training
        assert (training["backend"], training["freeze_discriminator"]) == ("cgan", 1)
        assert training["init"]["name"] == "old"
        assert self.run(*options, "--resume", "--steps", 3).exit_code == 0
        assert genaug.load(tmp_path / "run", device="cpu").training["steps"] == 3

    def test_a_folder_for_the_run_is_needed_without_a_backend(self):
        result = self.run("--init", "owner/name")
        assert result.exit_code == 2
        assert "to fine-tune, --init and another folder" in " ".join(result.output.replace("│", " ").split())

    def test_an_ancestor_that_is_not_there(self, tmp_path):
        result = self.run("--init", tmp_path / "nothing", "--out", tmp_path / "run", "--steps", 1)
        assert result.exit_code == 1
        assert "nothing is not a directory" in " ".join(result.output.split())
        assert not (tmp_path / "run").exists()
