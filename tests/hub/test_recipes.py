"""A recipe stands for another library's generator: it is saved, loaded, pushed and pulled without weights."""

import json

import pytest
import torch
from helpers.plugin import installed
from huggingface_hub import ModelCard
from hypothesis import HealthCheck, given, settings, strategies as st

import genaug
from genaug.artifacts.figures import write_evaluation
from genaug.artifacts.recipe import parse_recipe, read_recipe
from genaug.errors import FormatError, GenaugError, HubError, InputError, OutputExistsError, PluginError

REPO = "owner/cats"
COMMIT = "c" * 40


@pytest.fixture(autouse=True)
def plugin(tmp_path, monkeypatch):
    with installed(tmp_path / "packages", monkeypatch):
        yield


@pytest.fixture
def source():
    return genaug.load("slow:maker/model", prompt="an oil painting of a {}", device="cpu")


@pytest.fixture
def folder(source, tmp_path):
    return genaug.save_recipe(source, tmp_path / "recipe", license="OpenRAIL")


def same(source, other):
    return torch.equal(source.sample(6, seed=3)[0], other.sample(6, seed=3)[0])


def edited(folder, **fields):
    path = folder / "recipe.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))
    return folder


class TestSaving:
    def test_a_recipe_is_small_and_builds_the_same_source(self, source, folder):
        assert [path.name for path in folder.iterdir() if not path.name.startswith(".")] == ["recipe.json"]
        content = json.loads((folder / "recipe.json").read_text())
        expected = {
            "library": "genaug",
            "format_version": 1,
            "source": "slow:maker/model",
            "revision": COMMIT,
            "options": {"prompt": "an oil painting of a {}", "classes": ["cat", "dog"], "seconds": 0.0},
            "distribution": "genaug-odds",
            "distribution_version": "1.0",
            "license": "openrail",
            "training": {},
        }
        assert {name: content[name] for name in expected} == expected
        loaded = genaug.load(folder, device="cpu")
        assert loaded.recipe == source.recipe
        assert loaded.device == "cpu"
        assert same(loaded, source)

    def test_an_option_of_none_is_kept(self, source, tmp_path):
        source.options["lora"] = None
        folder = genaug.save_recipe(source, tmp_path / "out")
        assert read_recipe(folder).options["lora"] is None
        with pytest.raises(InputError, match=r"slow:… doesn't accept these options: .*'lora'"):
            genaug.load(folder)

    def test_the_commit_is_the_one_that_was_loaded(self, tmp_path):
        source = genaug.load("slow:maker/model", revision="main")
        assert read_recipe(genaug.save_recipe(source, tmp_path / "out")).revision == "d" * 40

    def test_only_a_recipe_is_replaced(self, source, folder, tmp_path, make_generator):
        with pytest.raises(OutputExistsError, match="overwrite=True"):
            genaug.save_recipe(source, folder)
        genaug.save_recipe(source, folder, overwrite=True)
        generator = make_generator().save(tmp_path / "generator")
        with pytest.raises(OutputExistsError, match="contains a generator"):
            genaug.save_recipe(source, generator, overwrite=True)
        assert not (generator / "recipe.json").exists()
        (tmp_path / "mine").mkdir()
        (tmp_path / "mine" / "recipe.json").write_text("apple pie")
        with pytest.raises(OutputExistsError, match="genaug didn't write"):
            genaug.save_recipe(source, tmp_path / "mine", overwrite=True)
        assert (tmp_path / "mine" / "recipe.json").read_text() == "apple pie"

    def test_a_folder_of_other_files_is_left_alone(self, source, tmp_path):
        (tmp_path / "mine").mkdir()
        (tmp_path / "mine" / "notes.txt").write_text("mine")
        with pytest.raises(OutputExistsError, match="genaug didn't write what it contains"):
            genaug.save_recipe(source, tmp_path / "mine", overwrite=True)
        assert [path.name for path in (tmp_path / "mine").iterdir()] == ["notes.txt"]

    @pytest.mark.parametrize(
        ("recipe", "message"),
        [
            (None, "has no recipe to save"),
            ("slow:x", "is not a recipe"),
            ({"source": "slow"}, "source"),
            ({"source": "slow:x", "revision": "main"}, "revision"),
            ({"source": "slow:x", "options": {"device": "cpu"}}, "device is not an option"),
            ({"source": "slow:x", "options": {"a b": 1}}, "options"),
            ({"source": "slow:x", "options": {"x": torch.zeros(1)}}, "Tensor is not a plain value"),
            ({"source": "slow:x", "options": {"x": float("nan")}}, "not a finite number"),
            ({"source": "slow:x", "options": {"x": "\ud800"}}, "surrogates"),
            ({"source": "slow:x", "options": {"x": {1: 2}}}, "dict is not a plain value"),
        ],
    )
    def test_what_is_no_recipe_is_one_sentence(self, source, tmp_path, monkeypatch, recipe, message):
        monkeypatch.setattr(type(source), "recipe", recipe)
        with pytest.raises(InputError, match=message):
            genaug.save_recipe(source, tmp_path / "out")
        assert not (tmp_path / "out").exists()

    def test_a_wrong_license(self, source, tmp_path):
        with pytest.raises(InputError, match="not the identifier of a license"):
            genaug.save_recipe(source, tmp_path / "out", license="unknown")
        assert not (tmp_path / "out").exists()

    def test_a_generator_has_save_instead(self, make_generator, tmp_path):
        with pytest.raises(InputError, match=r"has no recipe to save.*a generator has save\(\)"):
            genaug.save_recipe(make_generator(), tmp_path / "out")


class TestLoading:
    def test_the_plugin_is_missing(self, folder):
        edited(folder, distribution="genaug-evens", source="even:x")
        with pytest.raises(PluginError, match=r'no installed plugin provides even:….*pip install "genaug-evens>=1.0"'):
            genaug.load(folder)

    def test_the_plugin_is_blocked(self, folder, monkeypatch):
        for name in ("odds", "genaug-odds"):
            monkeypatch.setenv("GENAUG_DISABLE_PLUGINS", name)
            with pytest.raises(PluginError, match=r"slow:….*blocked: GENAUG_DISABLE_PLUGINS contains") as error:
                genaug.load(folder)
            assert "pip install" not in str(error.value)

    def test_a_later_version_of_genaug_is_needed(self, folder):
        edited(folder, distribution="genaug", distribution_version="99.0", source="timm:x")
        with pytest.raises(PluginError, match=r'which is too old: pip install "genaug\[timm\]>=99.0"'):
            genaug.load(folder)
        edited(folder, source="nowhere:x")
        with pytest.raises(PluginError, match=r'nowhere:….*which is too old: pip install "genaug>=99.0"'):
            genaug.load(folder)

    @pytest.mark.parametrize("distribution", ["genaug", "torch"])
    def test_an_installed_package_that_lacks_the_scheme_is_not_to_be_installed(self, folder, distribution):
        edited(folder, distribution=distribution, distribution_version="0.0.1", source="nowhere:x")
        with pytest.raises(PluginError, match=r"nowhere:….*which doesn't provide it.*`genaug plugins`") as error:
            genaug.load(folder)
        assert "pip install" not in str(error.value)

    def test_the_scheme_belongs_to_another_plugin(self, folder):
        edited(folder, distribution="genaug-evens")
        with pytest.raises(PluginError, match="which has different sources of this name"):
            genaug.load(folder)

    def test_the_spec_is_another_one(self, folder):
        spec = json.loads((folder / "recipe.json").read_text())["spec"]
        edited(folder, spec={**spec, "classes": {"count": 2, "names": ["cat", "owl"]}})
        with pytest.raises(FormatError, match=r"records samples that are .*cat, owl.*now makes .*cat, dog"):
            genaug.load(folder)

    def test_further_options_are_rejected(self, folder):
        with pytest.raises(InputError, match="no option 'prompt'"):
            genaug.load(folder, prompt="a {}")

    @pytest.mark.parametrize("name", ["rest", "info", "size", "kwargs"])
    def test_options_that_the_plugin_does_not_have(self, folder, name):
        edited(folder, options={name: 1})
        with pytest.raises(InputError, match="slow:… doesn't accept these options"):
            genaug.load(folder)

    def test_a_generator_has_precedence(self, folder, make_generator):
        make_generator().save(folder, overwrite=True)
        assert isinstance(genaug.load(folder), genaug.Generator)

    @pytest.mark.parametrize(
        ("fields", "message"),
        [
            ({"library": "timm"}, "not written by genaug"),
            ({"format_version": 2}, "reads up to 1. Update it"),
            ({"source": "slow"}, "source"),
            ({"source": "slow:x\ny"}, "source"),
            ({"revision": "main"}, "revision"),
            ({"options": {"device": "cuda"}}, "device"),
            ({"options": {"__class__()": 1}}, "options"),
            ({"options": {f"o{i}": 1 for i in range(101)}}, "options"),
            ({"options": {"x": json.loads("[" * 30 + "]" * 30)}}, "nesting"),
            ({"license": "unknown license"}, "license"),
            ({"distribution": "x; rm -rf"}, "distribution"),
            ({"extra": 1}, "extra"),
        ],
    )
    def test_a_damaged_file_is_one_sentence(self, folder, fields, message):
        edited(folder, **fields)
        with pytest.raises(FormatError, match=message):
            genaug.load(folder)

    def test_no_more_than_a_mebibyte_is_read(self, folder):
        edited(folder, training={"note": "x" * 2**20})
        with pytest.raises(FormatError, match="larger than 1,048,576 bytes"):
            genaug.load(folder)

    @given(content=st.binary(max_size=200))
    @settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_any_content(self, content):
        with pytest.raises(FormatError):
            parse_recipe(content, "recipe.json")


class TestTheHub:
    def test_one_commit_without_weights(self, hub, folder, source):
        published = genaug.push(folder, REPO, tag="v1.0")
        repo = hub.repos[REPO]
        assert sorted(repo.files) == [".gitattributes", "README.md", "recipe.json", "samples.png"]
        assert repo.tags == {"v1.0": published.commit}
        assert repo.messages[-1].startswith("slow recipe, genaug")
        assert same(genaug.load(REPO, device="cpu"), source)
        genaug.push(folder, REPO)
        assert repo.head == published.commit, "a push without changes makes no commit"

    def test_the_card(self, hub, folder):
        write_evaluation(folder, {"gain": {"value": 2.5, "unit": "points", "seeds": 10, "dataset": "cats"}})
        card = genaug.push(folder, REPO, dry_run=True).card
        data = ModelCard(card).data
        assert (data.license, data.library_name, data.base_model) == ("openrail", "genaug", "maker/model")
        assert {"genaug", "slow"} <= set(data.tags)
        for text in (
            "A recipe for 3×8×8 images with 2 classes (cat, dog)",
            "[`slow:maker/model`](https://huggingface.co/maker/model)",
            f"at commit `{COMMIT}`",
            "| prompt | an oil painting of a {} |",
            "| gain in a classifier's accuracy from blending in samples | 2.5 points |",
            f'genaug.load("{REPO}")',
            "pip install genaug genaug-odds",
            "License: openrail.",
        ):
            assert text in card, text
        assert not hub.repos

    def test_figures_stay_with_the_recipe(self, hub, folder, source, tmp_path):
        write_evaluation(folder, {"copying": {"passed": False}})
        with pytest.raises(InputError, match="check for copies of training images failed"):
            genaug.push(folder, REPO)
        genaug.push(folder, REPO, force=True)
        with pytest.raises(InputError, match="check for copies of training images failed"):
            genaug.push(REPO, "owner/copy")
        changed = genaug.load("slow:maker/model", prompt="another {}")
        genaug.save_recipe(changed, folder, overwrite=True, license="mit")
        with pytest.raises(InputError, match="a recipe other than this one"):
            genaug.push(folder, REPO)

    def test_a_pulled_recipe_is_pushed_on(self, hub, folder):
        genaug.push(folder, REPO)
        genaug.push(REPO, "owner/copy")
        assert hub.repos["owner/copy"].files["recipe.json"] == hub.repos[REPO].files["recipe.json"]

    def test_a_recipe_without_a_commit_is_not_pushed(self, hub, tmp_path):
        folder = genaug.save_recipe(genaug.load("slow:/a/local/folder"), tmp_path / "local", license="mit")
        assert genaug.load(folder).recipe["revision"] is None
        with pytest.raises(InputError, match="isn't published: it names no commit of slow:/a/local/folder"):
            genaug.push(folder, REPO)
        assert not hub.log

    @pytest.mark.parametrize(
        ("path", "revision", "message"),
        [
            ("/etc", None, "names no commit of slow:/etc"),
            ("/etc", COMMIT, "a revision is for a repo on the Hub"),
            ("../etc", COMMIT, "a revision is for a repo on the Hub"),
            ("~/x", COMMIT, "a revision is for a repo on the Hub"),
            ("a/b/c", COMMIT, "a revision is for a repo on the Hub"),
        ],
    )
    def test_a_local_path_in_somebody_elses_recipe_is_not_used(
        self, hub, folder, cache, tmp_path, path, revision, message
    ):
        content = json.loads((folder / "recipe.json").read_text())
        content |= {"source": f"slow:{path}", "revision": revision}
        hub.repo(REPO, {"recipe.json": json.dumps(content).encode()})
        with pytest.raises(HubError, match=message):
            genaug.load(REPO)
        assert not list(cache.rglob("snapshots/*/*"))

    def test_a_license_is_needed(self, hub, source, tmp_path):
        folder = genaug.save_recipe(source, tmp_path / "out")
        with pytest.raises(InputError, match="No license is stated"):
            genaug.push(folder, REPO)
        genaug.push(folder, REPO, license="mit")
        assert parse_recipe(hub.repos[REPO].files["recipe.json"], "").license == "mit"

    def test_generators_and_recipes_do_not_mix_in_a_repo(self, hub, folder, make_generator):
        genaug.push(folder, REPO)
        with pytest.raises(HubError, match=r"contains a recipe \(recipe.json\).*Nothing was sent"):
            make_generator().push(REPO, license="mit")
        make_generator().push("owner/digits", license="mit")
        with pytest.raises(HubError, match=r"contains a generator \(config.json\)"):
            genaug.push(folder, "owner/digits")

    def test_what_cannot_be_pushed_is_one_sentence(self, hub, source):
        with pytest.raises(InputError, match=r"Slow can't be published.*save_recipe"):
            genaug.push(source, REPO)
        with pytest.raises(InputError, match=r"slow:maker/model can't be published itself\. Save it as a recipe"):
            genaug.push("slow:maker/model", REPO)
        with pytest.raises(FormatError, match="is not a directory"):
            genaug.push("nowhere", REPO)
        assert not hub.log

    def test_it_loads_from_the_cache(self, hub, folder, source, offline):
        genaug.push(folder, REPO)
        genaug.load(REPO)
        offline()
        assert same(genaug.load(REPO), source)

    def test_a_damaged_copy_is_downloaded_again(self, hub, folder, source, cache):
        genaug.push(folder, REPO)
        genaug.load(REPO)
        (blob,) = (path for path in cache.rglob("blobs/*") if b'"library": "genaug"' in path.read_bytes())
        blob.write_bytes(b"{}")
        assert same(genaug.load(REPO), source)

    def test_a_copy_of_ones_own(self, hub, folder, source, tmp_path):
        from typer.testing import CliRunner

        from genaug.cli import app

        genaug.push(folder, REPO)
        result = CliRunner().invoke(app, ["pull", REPO, "--out", str(tmp_path / "copy")])
        assert result.exit_code == 0, result.output
        assert same(genaug.load(tmp_path / "copy"), source)

    @given(content=st.binary(max_size=200))
    @settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_any_recipe_in_a_repo(self, hub, content):
        name = f"owner/r{len(hub.repos)}"
        hub.repo(name, {"recipe.json": content})
        with pytest.raises(GenaugError, match=r"\w"):
            genaug.load(name)
