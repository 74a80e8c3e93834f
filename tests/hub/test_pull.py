"""What a pull downloads, where it is stored, and when no request is made."""

import errno
import json
import os
import subprocess

import pytest
import torch
from helpers.hub_faults import dropped, edited, status
from huggingface_hub import hf_hub_download, scan_cache_dir, snapshot_download

import genaug
from genaug.artifacts import manifest
from genaug.errors import FormatError, HubError, HubWarning, InputError, OutputExistsError, SaveError
from genaug.hub.cache import blank, blob
from genaug.hub.pull import claim_copy, pull, write_copy

REPO = "owner/digits"


@pytest.fixture
def generator(make_generator):
    return make_generator()


def contents(generator):
    return manifest.encode_generator(generator.manifest_fields(), generator.nets.state_dict())


@pytest.fixture
def commit(hub, generator):
    extras = {"README.md": b"# Digits\n", "samples.png": b"\x89PNG", "train.py": b"raise SystemExit", "a.bin": b"0"}
    return hub.repo(REPO, {**contents(generator), **extras}).head


def same(one, other):
    return torch.equal(one.sample(12, seed=4)[0], other.sample(12, seed=4)[0])


class TestDownloads:
    def test_a_load_downloads_two_files(self, hub, commit, generator):
        assert same(genaug.load(REPO, device="cpu"), generator)
        assert [line.split("/")[-1] for line in hub.asked("resolve")] == ["config.json", "model.safetensors"]

    def test_a_pull_downloads_the_card_and_the_grid_too_and_nothing_else(self, hub, commit):
        folder = pull(REPO, extras=True)
        names = ["README.md", "config.json", "model.safetensors", "samples.png"]
        assert sorted(path.name for path in folder.iterdir()) == names
        assert sorted(line.split("/")[-1] for line in hub.asked("resolve")) == names

    def test_complete_files_are_not_downloaded_again(self, hub, commit):
        first = pull(REPO)
        assert pull(REPO) == first
        assert len(hub.asked("resolve")) == 2
        pull(REPO, extras=True)
        assert len(hub.asked("resolve")) == 4

    def test_force_downloads_again(self, hub, commit):
        pull(REPO)
        pull(REPO, force=True)
        assert len(hub.asked("resolve")) == 4

    def test_only_changed_files_are_downloaded(self, hub, commit, generator):
        pull(REPO)
        hub.put(REPO, {"config.json": contents(generator)["config.json"] + b" "})
        assert same(genaug.load(REPO, device="cpu"), generator)
        assert len(hub.asked("resolve.*config")) == 2
        assert len(hub.asked("GET /cdn/")) == 1

    def test_a_download_is_resumed(self, hub, commit, generator):
        hub.fault("GET /cdn/", dropped, times=1)
        assert same(genaug.load(REPO, device="cpu"), generator)
        ranges = [headers.get("range") for line, headers in hub.log if "/cdn/" in line]
        half = len(contents(generator)["model.safetensors"]) // 2
        assert ranges == [None, f"bytes={half}-"]

    def test_a_cached_commit_needs_no_request(self, hub, commit, generator):
        assert same(genaug.load(REPO, revision=commit, device="cpu"), generator)
        hub.log.clear()
        assert same(genaug.load(REPO, revision=commit, device="cpu"), generator)
        assert not hub.log

    def test_branches_and_tags_move(self, hub, commit, generator, make_generator):
        genaug.load(REPO, device="cpu")
        newer = make_generator(weights_seed=1)
        hub.put(REPO, contents(newer))
        assert same(genaug.load(REPO, device="cpu"), newer)
        assert same(genaug.load(REPO, revision=commit, device="cpu"), generator)

    def test_the_hash_of_a_commit_gives_that_commit_or_an_error(self, hub, commit, make_generator):
        other = hub.put(REPO, contents(make_generator(weights_seed=1)))
        hub.repos[REPO].commits[commit] = hub.repos[REPO].commits[other]  # a mirror that always gives the newest
        hub.fault("GET /api/models", edited(lambda info: info.update(sha=other)))
        with pytest.raises(HubError, match=f"it names {other} for the commit {commit}"):
            pull(REPO, commit)

    def test_a_branch_with_a_slash(self, hub, commit, generator):
        hub.repos[REPO].branches["refs/pr/1"] = commit
        assert same(genaug.load(REPO, revision="refs/pr/1", device="cpu"), generator)

    @pytest.mark.parametrize("revision", ["../../x", "", "a b", "-x", "a/../b", "x" * 300, "a\0b", ".hidden"])
    def test_an_invalid_revision_is_rejected(self, hub, commit, revision):
        with pytest.raises(InputError, match="is not a valid revision"):
            pull(REPO, revision)
        assert not hub.log


class TestTheCache:
    def test_it_is_huggingface_hubs_own(self, hub, commit, cache):
        folder = pull(REPO, extras=True)
        info = scan_cache_dir(cache)
        assert not info.warnings
        (repo,) = info.repos
        assert repo.repo_id == REPO
        assert {r.commit_hash: r.refs for r in repo.revisions} == {commit: {"main"}}
        for name in ("config.json", "README.md"):
            assert hf_hub_download(REPO, name, local_files_only=True, cache_dir=cache) == str(folder / name)

    def test_files_downloaded_by_huggingface_hub_are_used(self, hub, commit, generator, cache):
        snapshot_download(REPO, cache_dir=cache)
        hub.log.clear()
        assert same(genaug.load(REPO, device="cpu"), generator)
        assert not hub.asked("resolve")
        assert not hub.asked("cdn")

    def test_without_links(self, hub, commit, generator, cache, monkeypatch, offline):
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_SYMLINKS", True)
        assert same(genaug.load(REPO, device="cpu"), generator)
        assert not [path for path in cache.rglob("*") if path.is_symlink()]
        offline()
        assert same(genaug.load(REPO, device="cpu"), generator)

    @pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
    def test_damage_without_links(self, hub, commit, generator, monkeypatch, offline, name):
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_SYMLINKS", True)
        file = pull(REPO) / name
        file.write_bytes(file.read_bytes()[:-1] + b"x")
        with monkeypatch.context() as patch:
            patch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
            with pytest.raises(HubError, match="damaged or incomplete in the cache"):
                genaug.load(REPO, device="cpu")
        assert same(genaug.load(REPO, device="cpu"), generator)
        offline()
        assert same(genaug.load(REPO, device="cpu"), generator)

    @pytest.mark.parametrize("absolute", [True, False])
    def test_a_link_to_a_file_outside_the_repo_is_replaced(
        self, hub, commit, generator, make_generator, tmp_path, absolute
    ):
        folder = pull(REPO)
        for name, content in contents(make_generator(weights_seed=1)).items():
            (tmp_path / name).write_bytes(content)
            (folder / name).unlink()
            target = tmp_path / name
            (folder / name).symlink_to(target if absolute else os.path.relpath(target, folder))
        assert same(genaug.load(REPO, device="cpu"), generator)
        assert (folder / "config.json").resolve().parent.name == "blobs"

    def test_a_link_to_the_blob_of_another_commit_is_replaced(self, hub, commit, generator):
        old = pull(REPO)
        hub.put(REPO, {"config.json": contents(generator)["config.json"] + b" "})
        new = pull(REPO)
        (new / "config.json").unlink()
        (new / "config.json").symlink_to((old / "config.json").readlink())
        pull(REPO)
        assert (new / "config.json").read_bytes().endswith(b" ")

    def test_a_link_to_another_repos_blob_is_replaced(self, hub, commit, generator, make_generator):
        hub.repo("owner/other", contents(make_generator(weights_seed=1)))
        folder, other = pull(REPO), pull("owner/other")
        for name in ("config.json", "model.safetensors"):
            (folder / name).unlink()
            (folder / name).symlink_to((other / name).resolve())
        assert same(genaug.load(REPO, device="cpu"), generator)

    def test_a_pipe_instead_of_a_file_does_not_hang(self, hub, commit, generator):
        folder = pull(REPO)
        (folder / "config.json").unlink()
        os.mkfifo(folder / "config.json")
        assert same(genaug.load(REPO, device="cpu"), generator)

    @pytest.mark.parametrize("names", [("v1", "v1/fix", "v1/fix/2"), ("v1/fix/2", "v1/fix", "v1")])
    def test_names_of_tags_and_branches_that_contain_each_other(
        self, hub, commit, generator, make_generator, cache, offline, names
    ):
        repo, generators = hub.repos[REPO], [generator, *(make_generator(weights_seed=seed) for seed in (1, 2))]
        for name, version in zip(names, generators, strict=True):
            repo.branches[name] = hub.put(REPO, contents(version))
            assert same(genaug.load(REPO, revision=name, device="cpu"), version)
        repo.branches[names[1]] = repo.branches[names[0]]  # it moves
        assert same(genaug.load(REPO, revision=names[1], device="cpu"), generators[0])
        assert not scan_cache_dir(cache).warnings
        offline()
        for name, version in zip(names, [generators[0], generators[0], generators[2]], strict=True):
            assert same(genaug.load(REPO, revision=name, device="cpu"), version)

    def test_a_name_is_stored_in_its_usual_place_once_that_is_free(self, hub, commit, generator, make_generator, cache):
        repo, newer = hub.repos[REPO], make_generator(weights_seed=1)
        repo.tags["v1"] = commit
        pull(REPO, "v1")
        repo.branches["v1/fix"] = commit
        pull(REPO, "v1/fix")
        (cache / "models--owner--digits" / "refs" / "v1").unlink()
        repo.branches["v1/fix"] = hub.put(REPO, contents(newer))
        assert same(genaug.load(REPO, revision="v1/fix", device="cpu"), newer)
        assert hf_hub_download(REPO, "config.json", revision="v1/fix", local_files_only=True, cache_dir=cache)
        refs = cache / "models--owner--digits" / "refs"
        assert [path.relative_to(refs).as_posix() for path in refs.rglob("*") if path.is_file()] == ["v1/fix"]

    def test_a_cache_that_cannot_be_written(self, hub, commit, cache):
        cache.write_text("a file")
        with pytest.raises(SaveError, match="or set HF_HUB_CACHE to a folder"):
            genaug.load(REPO, device="cpu")

    def test_a_full_disk(self, hub, commit, generator, small_disk, monkeypatch):
        disk = small_disk("8k")
        with monkeypatch.context() as patch:
            patch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(disk))
            with pytest.raises(SaveError, match="disk is full"):
                genaug.load(REPO, device="cpu")
            assert not list(disk.rglob("*.incomplete"))
            assert not list(disk.rglob("snapshots/*/*"))
        assert same(genaug.load(REPO, device="cpu"), generator)

    def test_a_failed_copy_leaves_nothing(self, hub, commit, cache, monkeypatch):
        def full(content, part):
            part.write_bytes(b"half of it")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_SYMLINKS", True)
        monkeypatch.setattr("genaug.hub.cache.shutil.copyfile", full)
        with pytest.raises(SaveError, match="disk is full"):
            pull(REPO)
        assert not [path for path in cache.rglob("snapshots/*/*") if path.is_file()]

    @pytest.mark.parametrize("at", range(1, 6))  # two downloads, two links, one note
    def test_an_interruption_leaves_nothing_half_written(self, hub, commit, generator, cache, monkeypatch, at):
        replace, places = os.replace, []

        def interrupted(part, place):
            places.append(place)
            if len(places) == at:
                raise KeyboardInterrupt
            replace(part, place)

        with monkeypatch.context() as patch:
            patch.setattr("genaug.hub.pull.os.replace", interrupted)
            with pytest.raises(KeyboardInterrupt):
                pull(REPO)
        assert not list(cache.rglob("*.incomplete"))
        assert same(genaug.load(REPO, device="cpu"), generator)

    def test_a_read_only_cache(self, hub, commit, generator, small_disk, monkeypatch):
        disk = small_disk("1m")
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(disk))
        pull(REPO)
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        hub.repos[REPO].tags["v1"] = commit
        assert same(genaug.load(REPO, revision="v1", device="cpu"), generator)  # the tag wasn't requested before
        hub.put(REPO, {"config.json": contents(generator)["config.json"] + b" "})
        with pytest.warns(
            HubWarning, match=r"can't be written.*main of owner/digits, commit .*set HF_HUB_CACHE"
        ) as caught:
            assert same(genaug.load(REPO, device="cpu"), generator)
        assert caught[0].filename == __file__
        with pytest.warns(HubWarning, match="set HF_HUB_CACHE"):
            assert pull(REPO, extras=True).name == commit
        for options in ({"force": True}, {"revision": "v2"}):
            hub.repos[REPO].tags["v2"] = hub.repos[REPO].head
            with pytest.raises(SaveError, match="read-only: set HF_HUB_CACHE to a folder that you can write to"):
                pull(REPO, **options)

    def test_files_of_a_killed_process_are_removed(self, hub, commit, generator, cache):
        if (child := os.fork()) == 0:
            with blank(blob(REPO, "0" * 64)) as part:
                part.write_bytes(b"half")
                os._exit(9)
        os.waitpid(child, 0)
        (incomplete,) = cache.rglob("*.incomplete")
        other = incomplete.with_name("1234.abcdef01.incomplete")  # huggingface_hub's
        other.write_bytes(b"half")
        assert same(genaug.load(REPO, device="cpu"), generator)
        assert list(cache.rglob("*.incomplete")) == [other]

    def test_concurrent_pulls(self, hub, commit, generator):
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(4) as pool:
            folders = list(pool.map(lambda _: pull(REPO, force=True), range(8)))
        assert len(set(folders)) == 1
        assert same(genaug.load(REPO, device="cpu"), generator)


class TestFoldersAndIds:
    def test_an_existing_folder_takes_precedence(self, hub, commit, make_generator, tmp_path, monkeypatch):
        local = make_generator(weights_seed=9)
        local.save(tmp_path / REPO)
        monkeypatch.chdir(tmp_path)
        loaded = genaug.load(REPO, device="cpu")
        assert same(loaded, local)
        assert not hub.log
        with pytest.raises(InputError, match="is a local folder, but revision= is for the Hub"):
            genaug.load(REPO, revision="main")

    def test_a_generator_knows_the_folder_it_was_loaded_from(self, hub, commit, generator, tmp_path):
        assert genaug.load(generator.save(tmp_path / "g"), device="cpu").folder == tmp_path / "g"
        assert genaug.load(REPO, device="cpu").folder is None

    @pytest.mark.parametrize("where", ["nowhere", "./no/where", "a/b/c", "/no/where", "owner/"])
    def test_an_invalid_id_is_treated_as_a_folder(self, hub, where):
        with pytest.raises(FormatError, match="is not a directory"):
            genaug.load(where)
        assert not hub.log

    def test_a_url_names_no_installed_plugin(self, hub):
        with pytest.raises(FormatError, match=r"is not a directory. Expected .* a source of an installed plugin"):
            genaug.load("https://huggingface.co/owner/digits")
        assert not hub.log

    def test_a_path_is_never_an_id(self, hub, commit, tmp_path):
        from pathlib import Path

        with pytest.raises(FormatError, match="is not a directory"):
            genaug.load(Path(REPO))
        assert not hub.log

    def test_the_error_covers_a_wrong_path_and_a_wrong_id(self, hub):
        with pytest.raises(HubError, match=r"there is no folder runs/mnist here, and http.* has no model runs/mnist"):
            genaug.load("runs/mnist")


def copy(folder, out, overwrite):
    with claim_copy(out, overwrite) as place:
        write_copy(folder, place)


class TestCopies:
    def test_all_four_files(self, hub, commit, generator, tmp_path):
        copy(pull(REPO, extras=True), tmp_path / "a" / "copy", False)
        loaded = genaug.load(tmp_path / "a" / "copy", device="cpu")
        assert same(loaded, generator)
        assert sorted(path.name for path in loaded.folder.glob("[!.]*")) == [
            "README.md",
            "config.json",
            "model.safetensors",
            "samples.png",
        ]
        assert not any(path.is_symlink() for path in loaded.folder.iterdir())

    def test_only_blobs_of_the_repo_are_copied(self, hub, commit, tmp_path):
        folder = pull(REPO, extras=True)
        (tmp_path / "secret").write_text("mine")
        (folder / "README.md").unlink()
        (folder / "README.md").symlink_to(tmp_path / "secret")
        copy(folder, tmp_path / "copy", False)
        assert not (tmp_path / "copy" / "README.md").exists()

    def test_a_folder_in_use_is_left_alone(self, hub, commit, tmp_path):
        (tmp_path / "mine").mkdir()
        (tmp_path / "mine" / "notes.txt").write_text("mine")
        folder = pull(REPO)
        with pytest.raises(OutputExistsError, match="--force"):
            copy(folder, tmp_path / "mine", False)
        assert [path.name for path in (tmp_path / "mine").iterdir()] == ["notes.txt"]
        with pytest.raises(OutputExistsError, match="genaug didn't write what it contains"):
            copy(folder, tmp_path / "mine", True)
        assert [path.name for path in (tmp_path / "mine").iterdir()] == ["notes.txt"]

    def test_another_projects_files_are_never_replaced(self, hub, commit, tmp_path, make_generator):
        folder = make_generator().save(tmp_path / "copy")
        (folder / "config.json").unlink()
        claim_marker = folder / ".genaug.jsonl"
        claim_marker.write_text(claim_marker.read_text().replace('"config.json",', ""))
        (folder / "config.json").write_text('{"model": "bert"}')
        with pytest.raises(
            OutputExistsError, match=r"config\.json is needed, but genaug didn't write what is there; it is left alone"
        ):
            copy(pull(REPO), folder, True)
        assert (folder / "config.json").read_text() == '{"model": "bert"}'


def test_warnings_point_at_the_callers_line(hub, commit):
    pull(REPO)
    hub.fault("GET /api", status(500))
    with pytest.warns(HubWarning, match="Using the last known commit of main of owner/digits") as caught:
        genaug.load(REPO, device="cpu")
    assert caught[0].filename == __file__


def test_a_record_of_another_version_of_the_plugin_loads_if_it_fits(hub, commit, generator):
    config = json.loads(contents(generator)["config.json"])
    config["distribution_version"] = "99.0"
    hub.put(REPO, {"config.json": json.dumps(config).encode()})
    assert same(genaug.load(REPO, device="cpu"), generator)
