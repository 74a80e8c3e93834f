"""What could go wrong with a pipeline of diffusers, and does not: hostile folders, traps, and wrong options."""

import json
import pickle
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import tiny_pipelines as tiny
from torch.utils.data import TensorDataset

import genaug
from genaug.errors import FormatError, GenaugError, InputError, PluginError

pytest.importorskip("diffusers")
pytest.importorskip("transformers")
pytest.importorskip("peft")


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("built")
    for name, build in {"ddim": tiny.ddim, "dit": tiny.dit, "text": tiny.stable_diffusion, "lora": tiny.lora}.items():
        build(folder / name)
    tiny.stable_diffusion(folder / "checked", checked=True)
    return folder


@pytest.fixture
def pipeline(built, tmp_path):
    """``pipeline("ddim")`` is a copy of that pipeline, to be damaged."""

    def copy(name="ddim"):
        return Path(shutil.copytree(built / name, tmp_path / name))

    return copy


def load(folder, **options):
    return genaug.load(f"diffusers:{folder}", device="cpu", **options)


def edit(path, change):
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))


def check_refusal(folder, match, error=FormatError, **options):
    with pytest.raises(error, match=match) as raised:
        load(folder, **options)
    message = str(raised.value)
    assert "\n" not in message
    assert len(message) < 700
    return message


class TestFolders:
    @pytest.mark.parametrize(
        "component",
        [
            ["os", "system"],
            ["torch", "load"],
            ["subprocess", "Popen"],
            ["transformers", "AutoModel"],
            ["diffusers", "DiffusionPipeline"],
            ["evil_module", "UNet2DModel"],
            ["stable_diffusion", "UNet2DModel"],
            ["diffusers", "UNet2DModel", "more"],
            ["diffusers", None],
            ["diffusers", "../UNet2DModel"],
            [["diffusers"], "UNet2DModel"],
        ],
        ids=str,
    )
    def test_a_component_outside_the_list_is_refused_before_it_is_imported(
        self, pipeline, component, tmp_path, monkeypatch
    ):
        folder = pipeline()
        edit(folder / "model_index.json", lambda index: index.update(unet=component))
        (tmp_path / "evil_module.py").write_text("raise SystemExit('imported')")
        monkeypatch.syspath_prepend(tmp_path)
        check_refusal(folder, r"component 'unet' is .* isn't among the classes")
        assert "evil_module" not in sys.modules

    def test_a_component_with_a_name_that_leaves_the_folder_is_refused(self, pipeline):
        folder = pipeline()
        edit(folder / "model_index.json", lambda index: index.update({"../other": ["diffusers", "UNet2DModel"]}))
        check_refusal(folder, "component '../other'")

    @pytest.mark.parametrize("name", ["FluxPipeline", "DiffusionPipeline", "MyPipeline", None, ["pipeline", "Evil"]])
    def test_a_pipeline_of_another_kind_is_refused_by_its_name(self, pipeline, name):
        folder = pipeline()
        edit(folder / "model_index.json", lambda index: index.update(_class_name=name))
        message = check_refusal(folder, "which isn't supported. Supported are DiTPipeline")
        assert str(name) in message

    @pytest.mark.parametrize("place", ["pipeline.py", "unet/unet.py", "scheduler/my.py"])
    def test_python_code_beside_components_is_refused(self, pipeline, place):
        folder = pipeline()
        (folder / place).write_text("raise SystemExit('run')")
        check_refusal(folder, f"Python code beside its components .{place}")

    def test_pickled_weights_are_refused_and_not_read(self, pipeline, tmp_path):
        folder = pipeline()
        (folder / "unet" / "diffusion_pytorch_model.safetensors").unlink()
        (folder / "unet" / "diffusion_pytorch_model.bin").write_bytes(pickle.dumps(Evil(tmp_path / "ran")))
        check_refusal(folder, "component 'unet' has pickled weights only .*bin")
        assert not (tmp_path / "ran").exists()

    def test_pickled_weights_beside_safe_ones_are_not_read(self, pipeline, tmp_path):
        folder = pipeline()
        (folder / "unet" / "diffusion_pytorch_model.bin").write_bytes(pickle.dumps(Evil(tmp_path / "ran")))
        load(folder, num_inference_steps=1).sample(1, seed=0)
        assert not (tmp_path / "ran").exists()

    def test_weights_of_a_variant_only_are_refused(self, pipeline):
        folder = pipeline()
        weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
        weights.rename(weights.with_name("diffusion_pytorch_model.fp16.safetensors"))
        check_refusal(folder, "weights of a variant only")

    @pytest.mark.parametrize(
        ("removed", "match"),
        [
            ("unet", "component 'unet' has no weights"),
            ("scheduler", "files of its component 'scheduler' are missing"),
            ("unet/config.json", "files of its component 'unet' are missing"),
            ("unet/diffusion_pytorch_model.safetensors", "component 'unet' has no weights"),
            ("model_index.json", "has no model_index.json"),
        ],
    )
    def test_a_missing_component_is_named(self, pipeline, removed, match):
        folder = pipeline()
        path = folder / removed
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        check_refusal(folder, match)

    def test_a_missing_vocabulary_is_named(self, pipeline):
        folder = pipeline("text")
        for name in ("vocab.json", "tokenizer.json"):
            (folder / "tokenizer" / name).unlink(missing_ok=True)
        check_refusal(folder, "files of its component 'tokenizer' are missing", classes=["cat"])

    def test_a_missing_part_of_split_weights_is_named(self, pipeline):
        folder = pipeline()
        index = {"weight_map": {"conv_in.bias": "diffusion_pytorch_model-00001-of-00002.safetensors"}}
        (folder / "unet" / "diffusion_pytorch_model.safetensors.index.json").write_text(json.dumps(index))
        check_refusal(folder, "00001-of-00002.safetensors', weights of its 'unet', is missing")

    @pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff", b'{"_class_name": 1e999}', b"[" * 100_000])
    def test_a_damaged_index_is_refused(self, pipeline, content):
        folder = pipeline()
        (folder / "model_index.json").write_bytes(content)
        check_refusal(folder, "model_index.json")

    def test_an_index_of_any_size_is_not_read(self, pipeline):
        folder = pipeline()
        (folder / "model_index.json").write_bytes(b" " * (2**20 + 1))
        check_refusal(folder, "larger than 1,048,576 bytes")

    def test_damaged_weights_are_refused(self, pipeline):
        folder = pipeline()
        weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
        weights.write_bytes(weights.read_bytes()[:-100])
        check_refusal(folder, "diffusers can't load its 'unet'")

    @pytest.mark.parametrize("classes", [7, 10**12])
    def test_a_config_that_the_weights_do_not_fit_is_refused(self, pipeline, classes):
        folder = pipeline()
        edit(folder / "unet" / "config.json", lambda config: config.update(num_class_embeds=classes))
        check_refusal(folder, r"diffusers can't load its 'unet'|its 'unet' needs more memory")

    def test_a_scheduler_that_diffusers_does_not_have_is_refused(self, pipeline):
        folder = pipeline()
        edit(folder / "model_index.json", lambda index: index.update(scheduler=["diffusers", "EvilScheduler"]))
        check_refusal(folder, "no scheduler 'EvilScheduler'")

    def test_a_component_of_another_class_is_refused(self, pipeline):
        folder = pipeline("text")
        edit(folder / "model_index.json", lambda index: index.update(unet=["diffusers", "UNet2DModel"]))
        check_refusal(folder, "'unet' is a UNet2DModel, and a StableDiffusionPipeline needs", classes=["cat"])

    def test_class_embeddings_that_are_no_table_are_refused(self, tmp_path):
        folder = tiny.ddim(tmp_path / "timestep", None, class_embed_type="timestep")
        check_refusal(folder, "embeds classes by 'timestep'")

    @pytest.mark.parametrize(
        ("where", "problem"),
        [
            ("nowhere", "nowhere doesn't exist"),
            ("./nowhere", "nowhere doesn't exist"),
            ("/nowhere/at/all", "/nowhere/at/all doesn't exist"),
            ("a/b/c", "a/b/c doesn't exist"),
            ("model.safetensors", "model.safetensors is a file"),
            (".", "has no model_index.json"),
            ("https://hub/owner/name", "is an address"),
        ],
    )
    def test_a_folder_that_is_not_there_is_refused(self, where, problem, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "model.safetensors").touch()
        check_refusal(where, f"{problem}. Expected a folder that diffusers' save_pretrained wrote")

    @pytest.mark.parametrize("where", ["", " ", "\t"])
    def test_a_scheme_without_anything_after_it_is_refused(self, where):
        check_refusal(where, "lacks what follows diffusers:, such as a Hub id", InputError)


class Evil:
    """Creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


class TestTraps:
    def test_a_dit_of_10_classes_is_guided_by_its_own_null_class(self, built):
        guided, plain = (load(built / "dit", num_inference_steps=3, guidance_scale=scale) for scale in (4.0, 1.0))
        embedded = []
        table = guided._sampler.transformer.transformer_blocks[0].norm1.emb.class_embedder.embedding_table
        table.register_forward_hook(lambda module, inputs, output: embedded.append(inputs[0]))
        images, _ = guided.sample(labels=[3, 9], seed=0)
        assert embedded[0][:2].tolist() == [3, 9]
        assert embedded[0][16:].tolist() == [10] * 16
        assert not torch.equal(images, plain.sample(labels=[3, 9], seed=0)[0])

    def test_names_come_from_the_index_if_it_has_them_and_from_the_user_if_not(self, pipeline):
        folder = pipeline("dit")
        assert load(folder).spec.class_names is None
        names = {str(number): f"name {number % 9}" for number in range(10)}
        edit(folder / "model_index.json", lambda index: index.update(id2label=names))
        expected = (*(f"name {number}" for number in range(9)), "name 0 (9)")
        source = load(folder)
        assert source.spec.class_names == expected
        assert source.recipe["options"]["classes"] == list(expected)
        own = tuple("abcdefghij")
        assert load(folder, classes=own).spec.class_names == own

    def test_some_classes_can_be_chosen_by_their_numbers(self, built):
        all_classes = load(built / "dit", num_inference_steps=3)
        two = load(built / "dit", num_inference_steps=3, classes={"fox": 7, "hen": 2})
        assert two.spec.class_names == ("fox", "hen")
        images, _ = two.sample(labels=[0, 1, 0], seed=0)
        assert torch.equal(images, all_classes.sample(labels=[7, 2, 7], seed=0)[0])
        assert two.recipe["options"]["classes"] == {"fox": 7, "hen": 2}

    @pytest.mark.parametrize("strength", [0, 0.0, -0.1, 1.01, float("nan"), float("inf"), "0.5", True, None])
    def test_a_strength_outside_its_range_is_refused(self, built, strength):
        source = load(built / "text", classes=["cat"], num_inference_steps=2)
        images = torch.zeros(1, 3, 16, 16, dtype=torch.uint8)
        with pytest.raises(InputError, match="strength must be a number above 0 and at most 1"):
            source.vary(images, [0], strength=strength)

    def test_a_strength_that_leaves_no_step_is_refused(self, built):
        source = load(built / "text", classes=["cat"], num_inference_steps=4)
        images = torch.zeros(1, 3, 16, 16, dtype=torch.uint8)
        with pytest.raises(InputError, match=r"leaves none of the 4 denoising steps.* at least 0\.25"):
            source.vary(images, [0], strength=0.24)
        assert source.vary(images, [0], strength=0.25, seed=0).shape == images.shape

    @pytest.mark.parametrize("vary", [False, True])
    def test_black_images_are_drawn_again_and_counted(self, built, vary, monkeypatch):
        from diffusers.pipelines.stable_diffusion import StableDiffusionSafetyChecker

        source = load(built / "checked", classes=["cat"], num_inference_steps=2)
        gray = torch.full((20, 3, 16, 16), 128, dtype=torch.uint8)

        def draw(count):
            labels = [0] * count
            return source.vary(gray[:count], labels, seed=0) if vary else source.sample(labels=labels, seed=0)[0]

        clean = draw(4)
        assert source.redrawn == 0
        check, calls = StableDiffusionSafetyChecker.forward, []

        def reject(self, clip_input, images):
            images, _ = check(self, clip_input, images)
            rows = [1, 3, 9] if not calls else [3] if len(calls) == 1 else []
            calls.append(rows)
            for row in rows:
                images[row] = 0
            return images, [row in rows for row in range(len(images))]

        monkeypatch.setattr(StableDiffusionSafetyChecker, "forward", reject)
        drawn = draw(4)
        assert source.redrawn == 3  # rows 1 and 3, then 3 again; there is no row 9
        assert [bool((a == b).all()) for a, b in zip(clean, drawn, strict=True)] == [True, False, True, False]
        assert (drawn.flatten(1).float().std(dim=1) > 1).all()
        calls.clear()
        assert torch.equal(draw(10)[:4], drawn)

    def test_a_safety_checker_that_rejects_everything_is_an_error(self, built):
        source = load(built / "checked", classes=["cat"], num_inference_steps=1)
        checker = source._sampler.pipeline.safety_checker
        checker.concept_embeds_weights.data.fill_(-2.0)  # each cosine is above it
        with pytest.raises(InputError, match="safety checker rejected 3 of 3 images with each of 11 seeds"):
            source.sample(3, seed=0)

    def test_weights_that_give_nan_are_an_error(self, built):
        source = load(built / "ddim", num_inference_steps=1)
        next(source._sampler.unet.parameters()).data.fill_(float("nan"))
        with pytest.raises(InputError, match="NaN or infinite"):
            source.sample(2, seed=0)

    def test_what_diffusers_raises_while_sampling_is_one_sentence(self, built):
        source = load(built / "ddim", num_inference_steps=1)
        source._sampler.unet.conv_in = torch.nn.Conv2d(5, 5, 3)
        with pytest.raises(PluginError, match="diffusers failed while sampling"):
            source.sample(2, seed=0)

    def test_pickled_lora_weights_are_refused_and_not_read(self, built, tmp_path):
        (tmp_path / "lora").mkdir()
        file = tmp_path / "lora" / "pytorch_lora_weights.bin"
        file.write_bytes(pickle.dumps(Evil(tmp_path / "ran")))
        options = {"classes": ["cat"]}
        check_refusal(built / "text", "no .safetensors file", lora=str(file.parent), **options)
        check_refusal(built / "text", "Expected a .safetensors file", InputError, lora=str(file), **options)
        named = {"source": str(file.parent), "weight_name": file.name}
        check_refusal(built / "text", "Expected a .safetensors file", InputError, lora=named, **options)
        assert not (tmp_path / "ran").exists()

    def test_lora_weights_of_another_model_are_refused(self, built, tmp_path):
        from safetensors.torch import save_file

        save_file({"other.lora_A.weight": torch.zeros(2, 2)}, tmp_path / "other.safetensors")
        check_refusal(built / "text", "other.safetensors", lora=str(tmp_path / "other.safetensors"), classes=["cat"])

    def test_several_lora_files_have_to_be_named(self, built, tmp_path):
        for name in ("a.safetensors", "b.safetensors"):
            shutil.copy(built / "lora" / "pytorch_lora_weights.safetensors", tmp_path / name)
        check_refusal(built / "text", "several files with weights", InputError, lora=str(tmp_path), classes=["cat"])
        source = load(built / "text", lora={"source": str(tmp_path), "weight_name": "b.safetensors"}, classes=["cat"])
        assert source.recipe["options"]["lora"]["weight_name"] == "b.safetensors"
        absent = {"source": str(tmp_path), "weight_name": "../b.safetensors"}
        check_refusal(built / "text", "has no file", lora=absent, classes=["cat"])


class TestOptions:
    @pytest.mark.parametrize(
        ("name", "options", "match"),
        [
            ("text", {}, "doesn't know your classes. Pass classes="),
            ("text", {"classes": []}, "classes=.. names no class. Expected a list of class names"),
            ("text", {"classes": {}}, "classes=.. names no class"),
            ("text", {"classes": ["cat", "cat"]}, "classes= names the class 'cat' twice"),
            ("text", {"classes": "cat"}, "classes='cat' can't be used. Expected a list of class names, such as"),
            ("text", {"classes": {"cat", "dog"}}, "can't be used. Expected .*; a set has no order"),
            ("text", {"classes": 3}, "classes=3 can't be used. Expected a list"),
            ("text", {"classes": ["cat", 2]}, "classes= contains 2, which can't be the name of a class"),
            ("text", {"classes": [""]}, "classes= contains '', which can't"),
            ("text", {"classes": {"cat": 0}}, "must be a list of names"),
            ("ddim", {"classes": {"cat": -1}}, "classes.'cat'. must be an integer of 0 or more, got -1"),
            ("ddim", {"classes": {"cat": "3"}}, "classes.'cat'. must be an integer of 0 or more, got '3'"),
            ("ddim", {"classes": {3: 3}}, "classes= contains 3, which can't"),
            ("text", {"classes": ["cat"], "prompt": "a photo"}, "has no {} for the name"),
            ("text", {"classes": ["cat", "dog"], "prompt": {"cat": "x"}}, "no prompt for the class 'dog'"),
            ("text", {"classes": ["cat"], "prompt": {"cat": "x", "dog": "y"}}, "the class 'dog', which isn't one"),
            ("text", {"prompt": {"cat": []}}, "prompt.'cat'. lists 0 prompts. Expected 1 to 1,000"),
            ("text", {"prompt": {"cat": 3}}, "prompt.'cat'.=3 can't be used. Expected a prompt or a list of prompts"),
            ("text", {"prompt": {"cat": ["x", 3]}}, "prompt.'cat'..1.=3 can't be used. Expected a text"),
            ("text", {"prompt": {1: "x"}}, "prompt= maps 1, which can't be the name of a class"),
            ("text", {"prompt": 3}, "prompt=3 can't be used. Expected a template such as 'a photo of a {}', or a"),
            ("text", {"prompt": ["a {}"]}, "prompt=.'a {}'. can't be used. Expected a template"),
            ("text", {"prompt": "x{}" * 1000}, "prompt has 3,000 characters, but the limit is 2,000"),
            (
                "text",
                {"classes": ["cat"], "negative_prompt": ["x"]},
                "negative_prompt=.'x'. can't be used. Expected a text",
            ),
            (
                "text",
                {"classes": ["cat"], "guidance_scale": -1},
                "guidance_scale=-1 can't be used. Expected a number from 0",
            ),
            ("text", {"classes": ["cat"], "guidance_scale": "7"}, "guidance_scale='7' can't be used"),
            ("text", {"classes": ["cat"], "guidance_scale": True}, "guidance_scale=True can't be used"),
            ("text", {"classes": ["cat"], "guidance_scale": float("nan")}, "guidance_scale=nan can't be used"),
            (
                "text",
                {"classes": ["cat"], "num_inference_steps": 0},
                "num_inference_steps must be an integer of 1 or more",
            ),
            ("text", {"classes": ["cat"], "num_inference_steps": 2.5}, "num_inference_steps must be an integer"),
            ("text", {"classes": ["cat"], "num_inference_steps": 1001}, "more than the 1000 steps"),
            ("text", {"classes": ["cat"], "image_size": 0}, "image_size must be an integer of 1 or more"),
            ("text", {"classes": ["cat"], "image_size": (32, 32)}, "image_size must be an integer"),
            ("text", {"classes": ["cat"], "image_size": 5000}, "image_size must be 2,048 at most"),
            ("text", {"classes": ["cat"], "revision": "main"}, "is a local folder"),
            ("text", {"classes": ["cat"], "lora": 3}, "lora=3 can't be used. Expected a folder"),
            ("text", {"classes": ["cat"], "lora": ""}, "lora= has the source ''. Expected a folder"),
            ("text", {"classes": ["cat"], "lora": {"weight_name": "x"}}, "lora= has no source. Expected a folder"),
            ("text", {"classes": ["cat"], "lora": {"source": "x", "scale": "a"}}, "lora.'scale'.='a' can't be used"),
            (
                "text",
                {"classes": ["cat"], "lora": {"source": "x", "file": "a"}},
                "lora= has no entry 'file'. Expected source",
            ),
            ("text", {"classes": ["cat"], "strength": 0.5}, "doesn't accept these options"),
            ("ddim", {"classes": ["cat"]}, "has 1 names, but the pipeline has 10 classes"),
            ("ddim", {"classes": {"cat": 10}}, "maps 'cat' to 10, but the pipeline's classes are 0 to 9"),
            ("ddim", {"prompt": "a {}"}, "prompt= can't be used with a DDIMPipeline"),
            ("ddim", {"guidance_scale": 2.0}, "guidance_scale= can't be used"),
            ("ddim", {"lora": "x/y"}, "lora= can't be used"),
            ("dit", {"negative_prompt": "x"}, "negative_prompt= can't be used"),
        ],
    )
    def test_a_wrong_option_is_one_sentence(self, built, name, options, match):
        check_refusal(built / name, match, InputError, **options)

    @pytest.mark.parametrize(
        "options",
        [{"classes": 3}, {"classes": []}, {"prompt": {"cat": [None]}}, {"guidance_scale": None, "image_size": "x"}],
    )
    def test_no_words_of_the_library_that_checks_values_are_shown(self, built, options):
        message = check_refusal(built / "text", "Expected|must be", InputError, **options)
        assert not re.search(r"Input should|constrained|Value error|pydantic|\(got", message)

    def test_values_of_numpy_are_taken(self, built):
        options = {
            "classes": np.array(["cat", "dog"]),
            "num_inference_steps": np.int64(2),
            "guidance_scale": np.float32(2),
        }
        source = load(built / "text", **options)
        assert source.spec.class_names == ("cat", "dog")
        assert json.loads(json.dumps(source.recipe["options"]))["guidance_scale"] == 2.0

    @pytest.mark.parametrize(
        "path", ["/nowhere/lora", "nowhere", "./style", "a/b/c", "style.safetensors", "a/b.safetensors"]
    )
    def test_lora_weights_that_are_not_there_are_named(self, built, path, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        for lora in (path, Path(path), {"source": path}):
            check_refusal(
                built / "text", "which doesn't exist. Expected a folder", InputError, lora=lora, classes=["a"]
            )

    def test_a_pipeline_that_cannot_vary_so_is_no_editor(self, built):
        data = TensorDataset(torch.zeros(2, 3, 16, 16, dtype=torch.uint8), torch.tensor([0, 1]))
        data.classes = ["cat", "dog"]
        source = load(built / "text", classes=["cat", "dog"], num_inference_steps=4)
        with pytest.raises(InputError, match="leaves none of the 4 denoising steps"):
            genaug.variations(source, data, 0.2)
        with pytest.raises(InputError, match="strength must be a number above 0"):
            genaug.variations(source, data, 0)
        with pytest.raises(InputError, match="vary needs a text-to-image pipeline"):
            genaug.variations(load(built / "ddim"), data)
        with pytest.raises(InputError, match="varies images with 1 or 3 channels, the dataset has 4x16x16"):
            genaug.variations(source, TensorDataset(torch.zeros(2, 4, 16, 16, dtype=torch.uint8), torch.tensor([0, 1])))

    def test_classes_of_a_pipeline_without_any_are_refused(self, tmp_path):
        folder = tiny.ddim(tmp_path / "plain", None)
        check_refusal(folder, "has no class embeddings", InputError, classes=["cat"])

    def test_labels_and_counts_are_checked(self, built):
        source = load(built / "ddim", num_inference_steps=1)
        for arguments in ({}, {"n": 1, "labels": [0]}, {"n": -1}, {"labels": [10]}, {"n": 1, "seed": -1}):
            with pytest.raises(InputError):
                source.sample(**arguments)
        assert source.sample(0)[0].shape == (0, 3, 8, 8)

    def test_what_cannot_be_varied_is_refused(self, built):
        images = torch.zeros(2, 3, 16, 16, dtype=torch.uint8)
        with pytest.raises(InputError, match="vary needs a text-to-image pipeline"):
            load(built / "ddim").vary(images, [0, 1])
        source = load(built / "text", classes=["cat"], num_inference_steps=2)
        for samples, labels in [
            (images, None),
            (images, [0]),
            (images, [0, 1]),
            (images.float(), [0, 0]),
            (images[0], [0]),
            (images[:, :2], [0, 0]),
            ([1, 2], [0, 0]),
        ]:
            with pytest.raises(InputError, match=r"vary|unknown"):
                source.vary(samples, labels)
        assert source.vary(images[:0], []).shape == (0, 3, 16, 16)

    @pytest.mark.parametrize(("missing", "name"), [("diffusers", "ddim"), ("transformers", "text"), ("peft", "text")])
    def test_a_missing_extra_is_named(self, built, missing, name, monkeypatch):
        from genaug_diffusers import quiet

        find = quiet.find_spec
        monkeypatch.setattr(quiet, "find_spec", lambda package: None if package == missing else find(package))
        options = {"classes": ["cat"], "lora": str(built / "lora")} if name == "text" else {}
        with pytest.raises(GenaugError, match=rf'needs {missing}, .*pip install "genaug\[diffusers\]"'):
            load(built / name, **options)
