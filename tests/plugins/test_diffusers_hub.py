"""Pipelines of diffusers on a Hub on the loopback: one commit, only safe files, and what happens without the Hub."""

import json
import pickle
import re
import shutil

import pytest
import torch
from helpers import tiny_pipelines as tiny
from helpers.client_at import local_hub

import genaug
from genaug.errors import FormatError, HubError, HubWarning, InputError, NotOnHubError

pytest.importorskip("diffusers")
pytest.importorskip("transformers")
pytest.importorskip("peft")

CARD = b"---\ntags:\n- x\nlicense: cc-by-4.0\n---\n# A pipeline\n"
UNSAFE = {
    "unet/diffusion_pytorch_model.bin": pickle.dumps("weights"),
    "unet/diffusion_pytorch_model.fp16.safetensors": b"another variant",
    "model.ckpt": pickle.dumps("all weights"),
    "samples.png": b"a picture",
    "logs/run.json": b"{}",
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    folder = tmp_path_factory.mktemp("built")
    for name, build in {"ddim": tiny.ddim, "text": tiny.stable_diffusion, "lora": tiny.lora}.items():
        build(folder / name)
    shutil.rmtree(folder / "text" / "words")  # files that the tokenizer was made from
    return folder


@pytest.fixture
def hub(tmp_path):
    with local_hub(tmp_path) as hub:
        yield hub


def files_in(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def repo(hub, folders):
    return hub.repo("owner/digits", {**files_in(folders / "ddim"), **UNSAFE, "README.md": CARD})


def load(name="owner/digits", **options):
    return genaug.load(f"diffusers:{name}", device="cpu", num_inference_steps=2, **options)


def test_a_repo_becomes_a_commit_once_and_only_safe_files_of_it_are_fetched(hub, repo, folders):
    source = load()
    assert source.recipe["source"] == "diffusers:owner/digits"
    assert source.recipe["revision"] == repo.head
    assert source.training == {**{k: source.recipe[k] for k in ("source", "revision")}, "license": "cc-by-4.0"}
    assert len(hub.asked(r"/api/models/owner/digits")) == 1
    fetched = hub.asked("/resolve/")
    assert all(f"/resolve/{repo.head}/" in line for line in fetched)
    names = {re.sub(r".*/resolve/[0-9a-f]{40}/", "", line) for line in fetched}
    assert names == {*files_in(folders / "ddim"), "README.md"}
    local = load(folders / "ddim")
    assert torch.equal(source.sample(3, seed=0)[0], local.sample(3, seed=0)[0])


def test_a_recipe_means_the_commit_that_it_was_made_with(hub, repo, tmp_path):
    before = load()
    newer = tiny.ddim(tmp_path / "newer", 4)
    hub.put("owner/digits", files_in(newer))
    hub.log.clear()
    recipe = before.recipe
    again = genaug.load(recipe["source"], revision=recipe["revision"], device="cpu", **recipe["options"])
    assert again.spec.num_classes == 10
    assert again.recipe == recipe
    assert hub.log == []  # a commit that is in the cache needs no request
    assert load().spec.num_classes == 4
    assert load(revision=recipe["revision"]).spec.num_classes == 10


def test_a_branch_or_tag_is_looked_up(hub, repo):
    repo.tags["v1"] = repo.head
    assert load(revision="v1").recipe["revision"] == repo.head
    with pytest.raises(HubError, match="no revision 'v2'"):
        load(revision="v2")
    with pytest.raises(InputError, match="not a valid revision"):
        load(revision="../x")


def test_without_the_hub_the_last_known_commit_is_used(hub, repo, folders, monkeypatch):
    from huggingface_hub import constants

    text = str(folders / "text")

    source = load()
    expected = source.sample(2, seed=0)[0]
    hub.log.clear()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert torch.equal(load().sample(2, seed=0)[0], expected)
    assert hub.log == []
    offline = r"here, and .* is not in the cache .* HF_HUB_OFFLINE=1 forbids requests to the Hub\. Correct the name"
    with pytest.raises(NotOnHubError, match=f"there is no folder runs/pipeline {offline}"):
        load("runs/pipeline")
    with pytest.raises(NotOnHubError, match=f"there is no file or folder owner/style {offline}"):
        load(text, classes=["cat"], lora="owner/style")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.warns(HubWarning, match=f"Using the last known commit of main of owner/digits, {repo.head[:12]}") as w:
        assert load().recipe["revision"] == repo.head
    assert w[0].filename == __file__
    with pytest.raises(HubError, match=r"there is no folder runs/pipeline here, and .* can't be reached"):
        load("runs/pipeline")


def test_an_incomplete_copy_in_the_cache_is_completed(hub, repo, tmp_path):
    load()
    (weights,) = (tmp_path / "cache").rglob("diffusion_pytorch_model.safetensors")
    weights.unlink()
    hub.log.clear()
    assert load(revision=repo.head).recipe["revision"] == repo.head
    assert len(hub.asked("GET /owner/digits/resolve/")) <= 1


def test_what_isnt_there_is_one_sentence(hub):
    with pytest.raises(NotOnHubError, match=r"there is no folder owner/absent here, and .* has no model owner/absent"):
        load("owner/absent")
    with pytest.raises(InputError, match="3 is not a valid revision"):
        load("owner/absent", revision=3)
    hub.repo("owner/empty", {"README.md": CARD})
    with pytest.raises(FormatError, match=r"has no model_index\.json, so it isn't a pipeline"):
        load("owner/empty")


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"unet/unet.py": b"raise SystemExit"}, "Python code beside its components"),
        ({"unet/diffusion_pytorch_model.safetensors": None}, "pickled weights only|a variant only"),
        ({"model_index.json": ["os", "system"]}, "isn't among the classes"),
        ({"model_index.json": "MyPipeline"}, "isn't supported"),
    ],
)
def test_a_repo_that_is_refused_costs_one_small_file(hub, folders, change, match):
    files = {**files_in(folders / "ddim"), "unet/diffusion_pytorch_model.bin": pickle.dumps("weights")}
    for name, content in change.items():
        if name == "model_index.json":
            index = json.loads(files[name])
            index["_class_name" if isinstance(content, str) else "unet"] = content
            content = json.dumps(index).encode()
        files[name] = content
    hub.repo("owner/odd", {name: content for name, content in files.items() if content is not None})
    with pytest.raises(FormatError, match=match):
        load("owner/odd")
    assert len(hub.asked("/resolve/")) == 1


def test_a_wrong_option_costs_one_small_file(hub, folders):
    hub.repo("owner/text", files_in(folders / "text"))
    with pytest.raises(InputError, match="doesn't know your classes"):
        load("owner/text")
    with pytest.raises(InputError, match="no prompt for the class 'dog'"):
        load("owner/text", classes=["cat", "dog"], prompt={"cat": "a cat"})
    assert len(hub.asked("/resolve/")) == 1


def test_a_damaged_download_is_discarded(hub, repo):
    hub.fault("/cdn/", lambda request, answer: request.send(answer, sent=answer.body[:-1] + b"!"), times=2)
    with pytest.raises(HubError, match="arrived damaged twice"):
        load()
    assert load().spec.num_classes == 10


def test_lora_weights_are_pinned_to_a_commit_too(hub, folders):
    hub.repo("owner/text", files_in(folders / "text"))
    lora = hub.repo("owner/style", {**files_in(folders / "lora"), "pytorch_lora_weights.bin": pickle.dumps("weights")})
    commit = lora.head
    source = load("owner/text", classes=["cat"], lora="owner/style")
    assert source.recipe["options"]["lora"] == {
        "source": "owner/style",
        "weight_name": "pytorch_lora_weights.safetensors",
        "revision": commit,
        "scale": 1.0,
    }
    assert len(hub.asked(r"/owner/style/resolve/")) == 1
    hub.put("owner/style", {"pytorch_lora_weights.safetensors": b"changed"})
    recipe = source.recipe
    again = genaug.load(recipe["source"], revision=recipe["revision"], device="cpu", **recipe["options"])
    assert torch.equal(again.sample(2, seed=0)[0], source.sample(2, seed=0)[0])
    second = (folders / "lora" / "pytorch_lora_weights.safetensors").read_bytes()
    hub.put("owner/style", {"other.safetensors": second})
    other = {"source": "owner/style", "weight_name": "other.safetensors"}
    assert load("owner/text", classes=["cat"], lora=other).recipe["options"]["lora"]["revision"] == lora.head != commit
    with pytest.raises(InputError, match="several files with weights"):
        load("owner/text", classes=["cat"], lora="owner/style")
    with pytest.raises(NotOnHubError, match="no model owner/absent"):
        load("owner/text", classes=["cat"], lora="owner/absent")
    hub.repo("owner/pickled", {"pytorch_lora_weights.bin": pickle.dumps("weights")})
    with pytest.raises(FormatError, match=r"no \.safetensors file"):
        load("owner/text", classes=["cat"], lora="owner/pickled")


def test_a_repo_with_a_new_name_is_used_with_a_warning(hub, repo):
    hub.renamed["owner/old"] = "owner/digits"
    with pytest.warns(HubWarning, match="owner/old is now called owner/digits") as warned:
        assert load("owner/old").spec.num_classes == 10
    assert warned[0].filename == __file__


def test_a_published_recipe_gives_the_same_images_without_its_weights(hub, repo, tmp_path):
    source = load()
    folder = genaug.save_recipe(source, tmp_path / "recipe", license="cc-by-4.0")
    genaug.push(folder, "owner/digits-recipe")
    assert set(hub.repos["owner/digits-recipe"].files) - {".gitattributes"} == {
        "recipe.json",
        "README.md",
        "samples.png",
    }
    pulled = genaug.load("owner/digits-recipe", device="cpu")
    assert pulled.recipe == source.recipe
    assert torch.equal(pulled.sample(2, seed=3)[0], source.sample(2, seed=3)[0])


def test_a_recipe_with_local_lora_weights_is_not_published(hub, folders, tmp_path):
    hub.repo("owner/photos", files_in(folders / "text"))
    source = load("owner/photos", prompt={"cat": "a photo", "dog": "a dog"}, lora=str(folders / "lora"))
    folder = genaug.save_recipe(source, tmp_path / "recipe", license="mit")
    with pytest.raises(InputError, match=r"isn't published: its options name the local path '?/.*lora"):
        genaug.push(folder, "owner/recipe")
    assert "owner/recipe" not in hub.repos
