"""Saved generators that are damaged, foreign or hostile, and folders that can't be written."""

import errno
import gc
import hashlib
import io
import json
import os
import pickle
import re
import shutil
from contextlib import suppress

import pytest
import safetensors.torch
import torch
from hypothesis import HealthCheck, example, find, given, settings, strategies as st

import genaug
from genaug.artifacts import manifest
from genaug.backends import registry
from genaug.errors import FormatError, OutputExistsError, PluginError, SaveError

CONFIG, WEIGHTS = "config.json", "model.safetensors"
MEMORY = 192 * 2**20  # bytes that reading a hostile folder may take at most
BIAS = "generator.image.bias"
SAMPLE = {"kind": "image", "channels": 1, "height": 8, "width": 8}
LARGEST = {  # spec within bounds
    "sample": {"kind": "image", "channels": 4, "height": 2048, "width": 2048},
    "classes": {"count": 100_000},
    "latents": [{"kind": "normal", "name": "z", "size": 1024}],
}
FUZZ = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def saved(make_generator, tmp_path):
    return make_generator().save(tmp_path / "saved")


def load(folder):
    return genaug.load(folder, device="cpu")


def change_config(folder, change):
    """Rewrite config.json: ``change`` is a function of its content, or what to update it with."""
    content = json.loads((folder / CONFIG).read_text())
    content = change(content) if callable(change) else {**content, **change}
    (folder / CONFIG).write_text(json.dumps(content))


def seal(folder, weights):
    """Put other weights in place, with a config.json that describes them to the byte."""
    (folder / WEIGHTS).write_bytes(weights)
    change_config(folder, {"weights": {"sha256": hashlib.sha256(weights).hexdigest(), "size": len(weights)}})


@pytest.fixture
def little_memory(saved):
    """In the test, this process gets at most ``MEMORY`` more than it has: beyond that, it raises or aborts."""
    load(saved)  # imports what loading needs
    find(st.text(), bool)  # Hypothesis creates its tables of characters
    resource = pytest.importorskip("resource")
    if not os.path.exists("/proc/self/statm"):
        pytest.skip("no /proc to see how much memory there is in use")
    gc.collect()
    with open("/proc/self/statm") as file:
        used = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, hard))
    yield
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def test_the_memory_limit_works(little_memory):
    with pytest.raises((MemoryError, RuntimeError), match=r"memory|^$"):
        torch.empty(2 * MEMORY, dtype=torch.uint8)
    with pytest.raises(MemoryError):
        bytes(2 * MEMORY)


def snapshot(folder):
    """The content of a folder without genaug's journals."""
    paths = [path for path in folder.rglob("*") if path.name != ".genaug.jsonl"]
    return {str(path.relative_to(folder)): path.is_file() and path.read_bytes() for path in paths}


class TestWeights:
    @pytest.mark.parametrize("at", [0, 8, 100, -1])
    def test_a_flipped_byte(self, saved, at):
        content = bytearray((saved / WEIGHTS).read_bytes())
        content[at] ^= 1
        (saved / WEIGHTS).write_bytes(content)
        with pytest.raises(FormatError, match=r"model\.safetensors is damaged or foreign: its sha256"):
            load(saved)

    @pytest.mark.parametrize("length", [0, 7, 8, 1000, -1])
    def test_truncated(self, saved, length):
        (saved / WEIGHTS).write_bytes((saved / WEIGHTS).read_bytes()[:length])
        with pytest.raises(FormatError, match=r"is truncated: \d+ bytes, expected \d+"):
            load(saved)

    def test_longer_than_described(self, saved):
        with open(saved / WEIGHTS, "ab") as file:
            file.write(b"0")
        with pytest.raises(FormatError, match=r"is not the file that config\.json describes"):
            load(saved)

    def test_weights_of_another_shape_with_the_right_hash(self, saved, make_generator, tmp_path):
        other = make_generator(latent_size=5).save(tmp_path / "other")
        seal(saved, (other / WEIGHTS).read_bytes())
        with pytest.raises(
            FormatError, match=r"tensor '\w[\w.]*' is torch\.float32 \([\d, ]+\), expected torch\.float32"
        ):
            load(saved)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda tensors: tensors.pop(BIAS), "lacks 'generator.image.bias'"),
            (lambda tensors: tensors.update(extra=torch.zeros(1)), "holds the unknown tensor 'extra'"),
            (
                lambda tensors: tensors.update({"generator.image.bias": tensors["generator.image.bias"].double()}),
                "float64",
            ),
            (lambda tensors: tensors.update({BIAS: tensors[BIAS][None]}), r"\(1, 1\), expected"),
            (lambda tensors: tensors.clear(), "lacks"),
        ],
    )
    def test_other_tensors_with_the_right_hash(self, saved, change, message):
        tensors = safetensors.torch.load((saved / WEIGHTS).read_bytes())
        change(tensors)
        seal(saved, safetensors.torch.save(tensors))
        with pytest.raises(FormatError, match=message):
            load(saved)

    def test_a_pickle_is_an_error_and_never_executed(self, saved, tmp_path):
        class Bomb:
            def __reduce__(self):
                return os.mkdir, (str(tmp_path / "exploded"),)

        zipped = io.BytesIO()
        torch.save({"generator.image.bias": Bomb()}, zipped)
        for content in (pickle.dumps(Bomb()), zipped.getvalue()):
            seal(saved, content)
            with pytest.raises(FormatError, match="is not a safetensors file"):
                load(saved)
        pickle.loads(pickle.dumps(Bomb()))  # it would have worked
        assert (tmp_path / "exploded").is_dir()

    def test_missing(self, saved):
        (saved / WEIGHTS).unlink()
        with pytest.raises(FormatError, match=r"model\.safetensors is missing"):
            load(saved)

    def test_a_folder_instead_of_it(self, saved):
        (saved / WEIGHTS).unlink()
        (saved / WEIGHTS).mkdir()
        with pytest.raises(FormatError, match="missing"):
            load(saved)

    @given(content=st.binary(min_size=1, max_size=300))
    @FUZZ
    def test_random_bytes_with_the_right_hash(self, saved, little_memory, content):
        seal(saved, content)
        with pytest.raises(FormatError):
            load(saved)

    @example(header={"x": {"dtype": "F32", "shape": [0, 2**63], "data_offsets": [0, 0]}}, data=b"")  # torch's TypeError
    @given(
        header=st.dictionaries(
            st.sampled_from(["generator.image.bias", "generator.image.weight", "__metadata__", "x"]),
            st.fixed_dictionaries(
                {
                    "dtype": st.sampled_from(
                        ["F32", "F64", "I64", "BOOL", "F8_E4M3", "F8_E8M0", "F4", "C64", "U64", "X"]
                    ),
                    "shape": st.lists(st.sampled_from([0, 1, 2, 2**31, 2**63, 2**64 - 1, -1]), max_size=3),
                    "data_offsets": st.lists(st.integers(0, 20), min_size=1, max_size=3),
                }
            )
            | st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=2),
            max_size=3,
        ),
        data=st.binary(max_size=24),
    )
    @FUZZ
    def test_crafted_headers_with_the_right_hash(self, saved, little_memory, header, data):
        text = json.dumps(header).encode()
        seal(saved, len(text).to_bytes(8, "little") + text + data)
        with pytest.raises(FormatError):
            load(saved)


class TestConfig:
    def test_missing(self, saved):
        (saved / CONFIG).unlink()
        with pytest.raises(FormatError, match=r"holds no saved generator: config\.json is missing"):
            load(saved)

    def test_an_empty_folder_and_a_file(self, tmp_path):
        with pytest.raises(FormatError, match="holds no saved generator"):
            load(tmp_path)
        (tmp_path / "file").write_text("x")
        with pytest.raises(FormatError, match="is not a directory"):
            load(tmp_path / "file")

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"", "is not valid JSON"),
            (b"{", "is not valid JSON"),
            (b"\xff\xfe\x00", "is not valid JSON"),
            (b"[" * 100_000, "is not valid JSON"),
            (b'{"library": ' + b"9" * 5000 + b"}", "is not valid JSON"),
            (b"null", "was not written by genaug"),
            (b'{"library": "genaug", "training": {"note": "\\ud800"}}', "is not valid JSON"),  # could never be saved
            (b'{"library": "genaug", "training": {"note": NaN}}', "is not valid JSON"),
            (b"[]", "was not written by genaug"),
            (b'{"model_type": "bert"}', "was not written by genaug"),
            (b'{"library": "genaug"}', "not a valid generator config: backend is missing"),
            (b'{"library": "genaug", "format_version": 3}', "has format version 3; this genaug reads up to 2"),
            (b" " * 2**21, "is larger than 1,048,576 bytes"),
        ],
    )
    def test_content_that_is_not_ours(self, saved, content, message):
        (saved / CONFIG).write_bytes(content)
        with pytest.raises(FormatError, match=message):
            load(saved)

    def test_a_newer_format_says_what_to_do(self, saved):
        change_config(saved, {"format_version": 7})
        with pytest.raises(FormatError, match=r"format version 7.*pip install --upgrade genaug"):
            load(saved)

    @pytest.mark.parametrize("depth", [*range(150, 1000, 50), *range(960, 1000, 4)])
    def test_deep_nesting(self, saved, depth):
        nested = b"[" * depth + b"]" * depth
        (saved / CONFIG).write_bytes(b'{"library": "genaug", "format_version": 2, "backend": ' + nested + b"}")
        with pytest.raises(FormatError):
            load(saved)

    @pytest.mark.parametrize(
        ("spec", "problem"),
        [
            ({"sample": {**SAMPLE, "height": 10**9}}, "spec.sample.height must be less than or equal to 2048"),
            ({"sample": {**SAMPLE, "channels": 10**6}}, "spec.sample.channels must be less than"),
            (
                {"sample": {**SAMPLE, "kind": "hologram"}},
                "spec.sample: unknown kind of sample 'hologram'; known kinds: image, series, table",
            ),
            ({"sample": {"kind": ["image"]}}, "spec.sample: .*unknown kind of sample"),
            ({"sample": {**SAMPLE, "depth": 3}}, "spec.sample.depth is unknown"),
            ({"sample": SAMPLE, "classes": {"count": 10**12}}, "spec.classes.count must be less than"),
            (
                {"sample": SAMPLE, "classes": {"count": 3, "names": ["a"]}},
                "spec.classes: .*1 class names for 3",
            ),
            ({"sample": SAMPLE, "classes": {"count": 2, "names": ["a", "a"]}}, "spec.classes: .*class names repeat"),
            ({"sample": SAMPLE, "latents": [{"kind": "normal", "size": 10**12}]}, "spec.latents.0.normal.size"),
            ({"sample": SAMPLE, "latents": [{"kind": "normal", "size": [2] * 5}]}, "spec.latents.0.normal.size"),
            ({"sample": SAMPLE, "latents": [{"kind": "cauchy", "size": 2}]}, "spec.latents.0: .*'cauchy'"),
            ({"sample": SAMPLE, "latents": [{"kind": "normal", "size": 1}] * 2}, "spec: .*latent names repeat"),
            ({"sample": SAMPLE, "latents": [{"kind": "normal", "size": 1}] * 65}, "spec.latents: Tuple should have at"),
            ({"sample": SAMPLE, "conditions": [{"name": "x", "sample": {}}]}, "spec.conditions.0.sample"),
            ({"shape": [1, 8, 8]}, "spec.sample is missing"),
            ({}, "spec.sample is missing"),
            (None, "spec"),
        ],
    )
    def test_absurd_specs(self, saved, spec, problem):
        change_config(saved, {"spec": spec})
        with pytest.raises(FormatError, match=f"not a valid generator config: {problem}"):
            load(saved)

    def test_a_folder_of_a_development_version_says_that_its_generator_has_to_be_trained_again(self, saved):
        change_config(saved, {"format_version": 1, "spec": {"shape": [1, 8, 8], "kind": "image"}})
        with pytest.raises(
            FormatError, match=r"config\.json has format version 1, .*has to be trained again .* can't be resumed"
        ):
            load(saved)

    def test_the_largest_valid_spec_is_an_error_before_anything_is_allocated(self, saved):
        change_config(saved, {"spec": LARGEST, "config": {"latent_size": 1024, "width": 256, "max_width": 2048}})
        with pytest.raises(FormatError, match=r"doesn't fit|expected torch\.float32"):  # 6 TB of weights
            load(saved)

    @pytest.mark.parametrize("opening", [b"[", b'{"a":', b"[[],", b"[0,", b'{"":[', b'"\\u0000', b"1"])
    def test_a_mebibyte_of_anything_needs_little_memory(self, saved, little_memory, opening):
        start = b'{"library": "genaug", "format_version": 2, "config": '
        (saved / CONFIG).write_bytes((start + opening * (2**20 // len(opening)))[: 2**20])
        with pytest.raises(FormatError):
            load(saved)
        flat = b"[" + b",".join([b"[]"] * (2**20 // 3 - 40)) + b"]"
        (saved / CONFIG).write_bytes(b'{"library": "genaug", "config": {"a": ' + flat + b"}}")
        with pytest.raises(FormatError):
            load(saved)

    def test_a_config_of_a_gibibyte_is_not_read(self, saved, little_memory):
        with open(saved / CONFIG, "wb") as file:
            file.truncate(2**30)
        with pytest.raises(FormatError, match="is larger than 1,048,576 bytes"):
            load(saved)

    def test_the_largest_valid_sizes_need_little_memory(self, saved, little_memory):
        change_config(saved, {"spec": LARGEST, "config": {"latent_size": 1024, "width": 256, "max_width": 2048}})
        with pytest.raises(FormatError):
            load(saved)

    @pytest.mark.parametrize("size", [2**34 + 1, 0, -1])
    def test_weights_of_an_absurd_size(self, saved, size):
        change_config(saved, {"weights": {"sha256": "0" * 64, "size": size}})
        with pytest.raises(FormatError, match=r"weights\.size"):
            load(saved)

    @pytest.mark.parametrize("digest", ["", "0" * 63, "g" * 64, "A" * 64, "0" * 64 + "\n"])
    def test_an_invalid_sha256(self, saved, digest):
        change_config(saved, {"weights": {"sha256": digest, "size": 100}})
        with pytest.raises(FormatError, match=r"weights\.sha256"):
            load(saved)

    def test_a_backend_that_is_not_installed(self, saved):
        change_config(saved, {"backend": "stylegan9"})
        with pytest.raises(PluginError, match=r'pip install "genaug>=.*no backend \'stylegan9\'') as caught:
            load(saved)
        assert str(caught.value).count("pip install") == 1  # the one that the file names, without a guess

    @pytest.mark.parametrize("backend", ["../cgan", "os:system", "CGAN", "", "a" * 65, "cgan\n", 3, None])
    def test_an_invalid_backend_name(self, saved, backend):
        change_config(saved, {"backend": backend})
        with pytest.raises(FormatError, match="backend"):
            load(saved)

    @pytest.mark.parametrize("config", [{"tilt": 3}, {"width": -1}, {"width": "wide"}, {"lr": 1e9}])
    def test_options_that_the_backend_does_not_know(self, saved, config):
        change_config(saved, {"config": config})
        with pytest.raises(
            FormatError, match=rf"doesn't fit the installed backend 'cgan': {next(iter(config))}.*genaug"
        ):
            load(saved)

    @pytest.mark.parametrize(
        ("distribution", "version", "message"),
        [
            ("genaug", "99.1+local", r'installed is [\d.]+, which is too old: pip install "genaug>=99\.1"$'),
            ("genaug", "0.0.1", r"It was written with genaug 0\.0\.1; installed is [\d.]+\. Save the generator again"),
            (
                "genaug",
                "unknown",
                r"It was written with genaug unknown; installed is [\d.]+\. Save the generator again",
            ),
            (
                "genaug-acme",
                "1.0",
                r"has a different backend of this name\..* if you trust it: pip install \"genaug-acme>=1\.0\"$",
            ),
        ],
    )
    def test_the_distribution_that_wrote_it_is_named(self, saved, distribution, version, message):
        change_config(saved, {"distribution": distribution, "distribution_version": version, "config": {"tilt": 3}})
        with pytest.raises(FormatError, match=message):
            load(saved)

    @pytest.mark.parametrize(
        ("version", "command"),
        [("0.3", 'pip install "genaug-acme>=0.3"'), ("unknown", 'pip install "genaug-acme"')],
    )
    def test_what_to_install(self, saved, version, command):
        change_config(saved, {"backend": "acme", "distribution": "genaug-acme", "distribution_version": version})
        with pytest.raises(PluginError, match=re.escape(f"`{command}` installs what is missing, if you trust that")):
            load(saved)

    @pytest.mark.parametrize("step", ["describe", "build"])
    def test_a_plugin_that_fails(self, saved, register_backend, monkeypatch, step):
        def fail(*_):
            raise ZeroDivisionError("so many pixels")

        CGAN = type(registry.resolve("cgan"))  # noqa: N806
        register_backend("fragile", type("Fragile", (CGAN,), {step: fail}))
        change_config(saved, {"backend": "fragile"})
        with pytest.raises(
            PluginError, match=r"'fragile' can't build what .*config\.json describes \(ZeroDivisionError"
        ):
            load(saved)

    def test_an_unknown_field(self, saved):
        change_config(saved, {"run_me": "rm -rf"})
        with pytest.raises(FormatError, match="run_me"):
            load(saved)

    @given(content=st.binary(max_size=200))
    @FUZZ
    def test_random_bytes(self, saved, little_memory, content):
        (saved / CONFIG).write_bytes(content)
        with pytest.raises((FormatError, PluginError)):
            load(saved)

    JSON = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
        max_leaves=6,
    )

    @given(data=st.data())
    @FUZZ
    def test_a_random_change_anywhere(self, saved, little_memory, data):
        """A config that is still valid loads, and can be saved; anything else is one of our errors."""
        pristine = saved.parent / "pristine.json"
        if not pristine.exists():
            shutil.copy(saved / CONFIG, pristine)
        content = place = json.loads(pristine.read_text())
        while True:
            key = data.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
            if isinstance(place[key], (dict, list)) and place[key] and data.draw(st.booleans()):
                place = place[key]
            else:
                break
        place[key] = data.draw(self.JSON)
        (saved / CONFIG).write_text(json.dumps(content))
        with suppress(FormatError, PluginError):
            load(saved).save(saved.parent / "again", overwrite=True)

    def test_nesting_that_could_not_be_saved(self, saved):
        nested = "null"
        for _ in range(300):
            nested = f'{{"a": {nested}}}'
        change_config(saved, {"training": {"a": "NESTED"}})
        (saved / CONFIG).write_text((saved / CONFIG).read_text().replace('"NESTED"', nested))
        with pytest.raises(FormatError, match="is not valid JSON"):
            load(saved)


class TestSaving:
    def test_an_existing_folder_is_an_error_and_unchanged(self, saved, make_generator):
        before = snapshot(saved)
        with pytest.raises(OutputExistsError, match="exists and is not empty"):
            make_generator(weights_seed=1).save(saved)
        assert snapshot(saved) == before

    def test_overwrite_replaces_only_files_of_genaug(self, saved, make_generator):
        (saved / "README.md").write_text("mine")
        other = make_generator(num_classes=7, weights_seed=1)
        other.save(saved, overwrite=True)
        assert torch.equal(load(saved).sample(5, seed=0)[0], other.sample(5, seed=0)[0])
        assert (saved / "README.md").read_text() == "mine"
        assert set(snapshot(saved)) == {"README.md", CONFIG, WEIGHTS}

    def test_an_empty_folder_and_missing_parents_are_fine(self, make_generator, tmp_path):
        (tmp_path / "empty").mkdir()
        make_generator().save(tmp_path / "empty")
        make_generator().save(str(tmp_path / "a" / "b" / "c"))
        assert load(tmp_path / "empty").spec == load(tmp_path / "a" / "b" / "c").spec
        assert set(snapshot(tmp_path / "a" / "b")) == {"c", f"c/{CONFIG}", f"c/{WEIGHTS}"}

    def test_a_relative_folder(self, make_generator, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        make_generator().save(".")
        make_generator().save("g")
        make_generator().save(".", overwrite=True)
        assert set(snapshot(tmp_path)) == {"g", f"g/{CONFIG}", f"g/{WEIGHTS}", CONFIG, WEIGHTS}

    def test_a_folder_of_other_files_is_left_alone_whatever_overwrite_says(self, make_generator, tmp_path):
        (tmp_path / "mine" / "deep").mkdir(parents=True)
        (tmp_path / "mine" / "deep" / "notes.txt").write_text("mine")
        for overwrite in (False, True):
            with pytest.raises(OutputExistsError, match="Choose another folder"):
                make_generator().save(tmp_path / "mine", overwrite=overwrite)
            assert sorted(path.name for path in (tmp_path / "mine").rglob("*")) == ["deep", "notes.txt"]

    @pytest.mark.parametrize("overwrite", [False, True])
    def test_a_file_instead_of_the_folder(self, make_generator, tmp_path, overwrite):
        (tmp_path / "file").write_text("mine")
        with pytest.raises(OutputExistsError, match="is a file"):
            make_generator().save(tmp_path / "file", overwrite=overwrite)
        with pytest.raises(SaveError, match="could not write to"):
            make_generator().save(tmp_path / "file" / "g", overwrite=overwrite)
        assert snapshot(tmp_path) == {"file": b"mine"}

    def test_permissions_follow_the_umask(self, saved):
        assert saved.stat().st_mode & 0o777 == 0o755
        assert (saved / CONFIG).stat().st_mode & 0o444

    @pytest.mark.parametrize("fails_at", [1, 2])
    @pytest.mark.parametrize("existed", [True, False])
    def test_a_disk_that_fills_up(self, make_generator, tmp_path, monkeypatch, fails_at, existed):
        old = make_generator()
        if existed:
            old.save(tmp_path / "g")
        before, calls = snapshot(tmp_path), []

        def full(_):
            calls.append(1)
            if len(calls) == fails_at:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(
            SaveError, match=r"No space left.*disk is full.*What was there before is unchanged"
        ) as caught:
            make_generator(weights_seed=1).save(tmp_path / "g", overwrite=True)
        assert isinstance(caught.value, OSError)
        assert snapshot(tmp_path) == before
        if existed:
            assert torch.equal(load(tmp_path / "g").sample(3, seed=0)[0], old.sample(3, seed=0)[0])

    def test_a_disk_that_is_really_full(self, make_generator, small_disk):
        disk = small_disk("64k")
        make_generator().save(disk / "g")
        before = snapshot(disk)
        for target in ("g", "new"):
            with pytest.raises(SaveError, match="disk is full"):
                make_generator(width=32, max_width=64).save(disk / target, overwrite=True)
        assert snapshot(disk) == before
        load(disk / "g")

    def test_an_interruption_leaves_nothing(self, saved, make_generator, monkeypatch):
        before = snapshot(saved.parent)

        def interrupted(_):
            raise KeyboardInterrupt

        monkeypatch.setattr(os, "fsync", interrupted)
        with pytest.raises(KeyboardInterrupt):
            make_generator(weights_seed=1).save(saved, overwrite=True)
        assert snapshot(saved.parent) == before

    @pytest.mark.parametrize("renames", range(3))
    def test_a_kill_between_the_renames_leaves_a_folder_that_loads(
        self, saved, make_generator, monkeypatch, renames, tmp_path
    ):
        old, new = load(saved), make_generator(weights_seed=1, width=8)
        contents = manifest.encode_generator(new.manifest_fields(), new.nets.state_dict())
        (left := next(saved.glob(".genaug.jsonl")).with_name(".genaug-0123456789abcdef") / "new").mkdir(parents=True)
        for name in (WEIGHTS, CONFIG):  # in this order a replacement renames them
            (left / name).write_bytes(contents[name])
        for name in (WEIGHTS, CONFIG)[:renames]:
            os.replace(left / name, saved / name)
        expected = (old if renames == 0 else new).sample(5, seed=0)[0]
        assert torch.equal(load(saved).sample(5, seed=0)[0], expected)

    def test_a_replacement_that_was_killed_is_undone_by_the_next_one(self, saved, make_generator):
        """In a process of its own, which ends in the middle."""
        before, old = snapshot(saved), load(saved).sample(5, seed=0)[0]
        child = os.fork()
        if child == 0:
            replace, done = os.replace, []

            def killed(part, place):
                done.append(replace(part, place))
                os._exit(9)

            os.replace = killed
            make_generator(weights_seed=1).save(saved, overwrite=True)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
        assert (saved / ".genaug.lock").exists()
        with pytest.raises(OutputExistsError, match="exists and is not empty"):
            make_generator().save(saved)
        assert snapshot(saved) == before
        assert torch.equal(load(saved).sample(5, seed=0)[0], old)


class TestNumbersThatAreNotFinite:
    @pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
    @pytest.mark.parametrize("name", ["generator.image.weight", "generator.stem.norm.norm.running_var"])
    def test_one_in_the_weights_is_named_on_loading(self, saved, value, name):
        tensors = safetensors.torch.load((saved / WEIGHTS).read_bytes())
        tensors[name].view(-1)[-1] = value
        seal(saved, safetensors.torch.save(tensors))
        with pytest.raises(FormatError, match=rf"model\.safetensors: tensor '{re.escape(name)}' holds NaN or infinite"):
            load(saved)

    @pytest.mark.parametrize("value", [float("nan"), float("inf")])
    def test_one_in_the_weights_is_not_saved_and_existing_files_stay(self, saved, make_generator, tmp_path, value):
        generator = make_generator(weights_seed=1)
        generator.network.image.weight.data[0, 0, 0, 0] = value
        before = {path.name: path.read_bytes() for path in saved.iterdir()}
        with pytest.raises(SaveError, match=r"its tensor 'generator\.image\.weight' holds NaN or infinite values"):
            generator.save(saved, overwrite=True)
        assert {path.name: path.read_bytes() for path in saved.iterdir()} == before
        with pytest.raises(SaveError, match="isn't saved"):
            generator.save(tmp_path / "new")
        assert not (tmp_path / "new").exists()

    def test_integer_tensors_are_left_alone(self):
        counts = {"steps": torch.tensor(2**62), "flags": torch.tensor([True]), "empty": torch.zeros(0)}
        assert manifest.first_not_finite(counts) is None
