import json
import secrets
from functools import partial

import numpy as np
import pytest
import torch
from helpers.class_folders import write_class_folders
from helpers.kills import killed_at
from PIL import Image

import genaug
from genaug.backends import Spec
from genaug.data.class_folders import folder_names
from genaug.data.datasets import load_data
from genaug.errors import DataWarning, InputError, OutputExistsError
from genaug.modalities import Image as ImageSamples
from genaug.randomness import uniform_rows
from genaug.sources.export import sample_parts, write_samples

IMAGES = torch.arange(6, dtype=torch.uint8)[:, None, None, None].expand(6, 1, 2, 3).contiguous()
LABELS = torch.tensor([1, 0, 1, 1, 0, 1])


class Slow:
    """A source whose image i of a seed depends only on both; it counts the images that it generates."""

    def __init__(self, classes=("cat", "dog"), batch_size=1, fail_at=None, recipe=None, supply=None):
        self.spec = Spec(sample=ImageSamples(1, 2, 3), classes=classes)
        self.batch_size, self.fail_at, self.recipe, self.supply = batch_size, fail_at, recipe, supply
        self.generated = 0

    def sample(self, n=None, *, labels=None, seed=None):
        count = n if labels is None else len(labels)
        if self.fail_at is not None and self.generated + count > self.fail_at:
            raise RuntimeError("the power is out")
        self.generated += count
        rows = torch.from_numpy(uniform_rows(seed, "pixels", 0, count, 6)).reshape(count, 1, 2, 3)
        return (rows * 256).to(torch.uint8), labels


def contents(folder):
    """The files of a folder by name, without genaug's journal."""
    paths = (path for path in folder.rglob("*") if path.is_file() and path.name != ".genaug.jsonl")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def test_every_image_is_in_its_class_bit_for_bit(tmp_path):
    write_class_folders(tmp_path / "out", IMAGES, LABELS, ["cat", "dog"], seed=3)
    values = {str(p.relative_to(tmp_path)): int(np.asarray(Image.open(p)).max()) for p in tmp_path.rglob("*.png")}
    dogs = {f"out/dog/{i:05d}.png": value for i, value in enumerate([0, 2, 3, 5])}
    assert values == {"out/cat/00000.png": 1, "out/cat/00001.png": 4, **dogs}
    assert json.loads((tmp_path / "out" / "samples.json").read_text()) == {
        "source": "existing",
        "seed": 3,
        "shape": [1, 2, 3],
        "batch_size": 6,
        "count": 6,
        "counts": [2, 4],
        "folders": ["cat", "dog"],
        "classes": ["cat", "dog"],
        "complete": True,
    }
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_without_labels_the_files_are_in_the_folder_itself(tmp_path):
    write_class_folders(tmp_path / "out", IMAGES, None, None)
    assert len(list((tmp_path / "out").glob("*.png"))) == 6
    write_class_folders(tmp_path / "out", IMAGES[:2], None, None, overwrite=True)
    assert len(list((tmp_path / "out").glob("*.png"))) == 2


def test_only_genaugs_samples_are_replaced(tmp_path):
    out = tmp_path / "out"
    write_class_folders(out, IMAGES, LABELS, 2)
    with pytest.raises(OutputExistsError, match="--overwrite"):
        write_class_folders(out, IMAGES[:1], LABELS[:1], 2)
    write_class_folders(out, IMAGES[:1], LABELS[:1], 2, overwrite=True)
    assert len(list(out.rglob("*.png"))) == 1
    (out / ".genaug.jsonl").unlink()  # then genaug doesn't know its own files
    with pytest.raises(OutputExistsError, match="left alone"):
        write_class_folders(out, IMAGES, LABELS, 2, overwrite=True)
    assert len(list(out.rglob("*.png"))) == 1


@pytest.mark.parametrize("foreign", ["thesis.tex", "old/00000.png", "0/notes.txt", "00000.png", "0/0/00000.png"])
def test_no_other_file_is_deleted(tmp_path, foreign):
    out = tmp_path / "out"
    write_class_folders(out, IMAGES, LABELS, 2)
    (out / foreign).parent.mkdir(exist_ok=True)
    (out / foreign).write_text("mine")
    write_class_folders(out, IMAGES[:1], LABELS[:1], 2, overwrite=True)
    assert set(contents(out)) == {"1/00000.png", "samples.json", foreign}
    assert (out / foreign).read_text() == "mine"


def test_a_conflicting_file_is_named_and_stays(tmp_path):
    out = tmp_path / "out"
    write_class_folders(out, IMAGES[:2], LABELS[:2], 2)
    (out / "1" / "00003.png").write_text("mine")
    before = contents(out)
    with pytest.raises(OutputExistsError, match=r"1/00003\.png is needed.*left alone"):
        write_class_folders(out, IMAGES, LABELS, 2, overwrite=True)
    assert contents(out) == before


def test_a_source_that_fails_leaves_existing_samples(tmp_path):
    write_samples(Slow(), tmp_path / "out", per_class=3)
    before = contents(tmp_path / "out")
    with pytest.raises(RuntimeError):
        write_samples(Slow(fail_at=0), tmp_path / "out", per_class=2, overwrite=True)
    assert contents(tmp_path / "out") == before
    with pytest.raises(RuntimeError):
        write_samples(Slow(fail_at=0), tmp_path / "other", per_class=2)
    assert not (tmp_path / "other").exists()


def test_they_are_the_generators_own_samples(tmp_path, make_generator):
    generator = make_generator(classes=("zero", "one", "two", "three"))
    out = write_samples(generator, tmp_path / "out", n=20, seed=5)
    images, labels = generator.sample(20, seed=5)
    for label, name in enumerate(generator.spec.class_names):
        pixels = [np.asarray(Image.open(path)) for path in sorted((out / name).glob("*.png"))]
        assert np.array_equal(np.stack(pixels), images[labels == label, 0].numpy())


class TestContinuing:
    @pytest.mark.parametrize(("batch_size", "kept"), [(1, 7), (3, 6), (4, 4)])
    @pytest.mark.parametrize("request_", [{"per_class": 5}, {"n": 10}])
    def test_images_that_are_there_are_not_generated_again(self, tmp_path, batch_size, kept, request_):
        reference = write_samples(Slow(batch_size=batch_size), tmp_path / "reference", seed=3, **request_)
        with pytest.raises(RuntimeError):
            write_samples(Slow(batch_size=batch_size, fail_at=7), tmp_path / "out", seed=3, **request_)
        images = {name: content for name, content in contents(tmp_path / "out").items() if name.endswith(".png")}
        assert len(images) == kept
        assert images.items() <= contents(reference).items()
        source = Slow(batch_size=batch_size)
        write_samples(source, tmp_path / "out", seed=3, **request_)
        assert source.generated == 10 - kept
        assert contents(tmp_path / "out") == contents(reference)
        write_samples(source, tmp_path / "out", seed=3, **request_)
        assert source.generated == 10 - kept, "a complete export generates nothing"

    def test_images_of_a_call_that_were_written_stay(self, tmp_path):
        write_samples(Slow(batch_size=4), tmp_path / "out", per_class=4)
        reference = contents(tmp_path / "out")
        (tmp_path / "out" / "dog" / "00001.png").unlink()
        cut_short = tmp_path / "out" / "dog" / "00002.png"
        cut_short.write_bytes(cut_short.read_bytes()[:-5])  # as a power failure may leave it
        before = (tmp_path / "out" / "dog" / "00003.png").stat().st_mtime_ns
        source = Slow(batch_size=4)
        write_samples(source, tmp_path / "out", per_class=4)
        assert source.generated == 4
        assert contents(tmp_path / "out") == reference
        assert (tmp_path / "out" / "dog" / "00003.png").stat().st_mtime_ns == before

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"seed": 1}, "seed was 0, now it is 1"),
            ({"per_class": 6}, "per_class was 5, now it is 6"),
            ({"per_class": None, "n": 10}, "n was null, now it is 10"),
            ({"classes": ("cat", "owl")}, r'folders was \["cat", "dog"\], now it is \["cat", "owl"\]'),
            ({"batch_size": 2}, "batch_size was 1, now it is 2"),
            ({"recipe": {"source": "x:y", "revision": "b" * 40}}, f"recipe was .*{'a' * 40}.*now it is .*{'b' * 40}"),
        ],
    )
    def test_other_settings_are_rejected(self, tmp_path, change, message):
        recipe = {"source": "x:y", "revision": "a" * 40}
        with pytest.raises(RuntimeError):
            write_samples(Slow(fail_at=3, recipe=recipe), tmp_path / "out", per_class=5)
        before = contents(tmp_path / "out")
        arguments = {"per_class": 5, "seed": 0, "recipe": recipe, **change}
        options = {name: arguments.pop(name) for name in ("classes", "batch_size", "recipe") if name in arguments}
        with pytest.raises(OutputExistsError, match=f"samples with other settings: {message}"):
            write_samples(Slow(**options), tmp_path / "out", **arguments)
        assert contents(tmp_path / "out") == before
        write_samples(Slow(**options), tmp_path / "out", **arguments, overwrite=True)
        write_samples(Slow(**options), tmp_path / "new", **arguments)
        assert contents(tmp_path / "out") == contents(tmp_path / "new")

    @pytest.mark.parametrize("record", ["", '{"seed": 0', "[]", "{}", None])
    def test_a_damaged_record_is_not_taken_for_other_settings(self, tmp_path, record):
        write_samples(Slow(), tmp_path / "out", per_class=2)
        reference = contents(tmp_path / "out")
        path = tmp_path / "out" / "samples.json"
        path.unlink() if record is None else path.write_text(record)
        with pytest.raises(OutputExistsError, match=r"unknown settings, .* samples\.json is missing or damaged"):
            write_samples(Slow(), tmp_path / "out", per_class=2)
        write_samples(Slow(), tmp_path / "out", per_class=2, overwrite=True)
        assert contents(tmp_path / "out") == reference

    def test_another_generator_of_the_same_name_is_rejected(self, tmp_path, make_generator):
        write_samples(make_generator(), tmp_path / "out", per_class=1)
        with pytest.raises(OutputExistsError, match="weights_sha256 was"):
            write_samples(make_generator(weights_seed=1), tmp_path / "out", per_class=1)

    def test_overwriting_continues_too(self, tmp_path):
        write_samples(Slow(), tmp_path / "out", per_class=2, seed=1)
        with pytest.raises(RuntimeError):
            write_samples(Slow(fail_at=3), tmp_path / "out", per_class=5, overwrite=True)
        source = Slow()
        write_samples(source, tmp_path / "out", per_class=5, overwrite=True)
        assert source.generated == 7
        write_samples(source, tmp_path / "out", per_class=5, overwrite=True)
        assert source.generated == 17, "complete samples are replaced"
        write_samples(source, tmp_path / "out", per_class=5)
        assert source.generated == 17

    def test_no_image_of_a_supply_comes_twice(self, tmp_path):
        source = Slow(supply=[8, 8])
        write_samples(source, tmp_path / "out", per_class=4)
        assert json.loads((tmp_path / "out" / "samples.json").read_text())["batch_size"] == 8

    def test_an_incomplete_folder_is_read_with_a_warning(self, tmp_path):
        with pytest.raises(RuntimeError):
            write_samples(Slow(fail_at=7), tmp_path / "out", per_class=5)
        with pytest.warns(DataWarning, match="hasn't generated all images of .*: the 7 that are there"):
            images = load_data(f"folder:{tmp_path / 'out'}")
        assert images.classes == ["cat", "dog"]
        write_samples(Slow(), tmp_path / "out", per_class=5)
        assert len(load_data(f"folder:{tmp_path / 'out'}")) == 10

    def test_fifty_images_killed_ten_times(self, tmp_path):
        def export(out):
            write_samples(Slow(), tmp_path / out, per_class=25, progress=False)

        export("reference")
        kept = 0
        for kill in range(10):
            assert killed_at(16 + kill, partial(export, "out"))
            images = [name for name in contents(tmp_path / "out") if name.endswith(".png")]
            assert len(images) >= kept
            kept = len(images)
        assert 10 < kept < 50
        export("out")
        assert contents(tmp_path / "out") == contents(tmp_path / "reference")
        assert [path.name for path in (tmp_path / "out").glob(".*")] == [".genaug.jsonl"]

    @pytest.mark.parametrize("old", [False, True])
    def test_a_kill_at_any_point_leaves_complete_images(self, tmp_path, old):
        def export(out, **options):
            write_samples(Slow(), tmp_path / out, per_class=1, progress=False, **options)

        export("reference")
        point, reference = secrets.randbelow(3), contents(tmp_path / "reference")  # other points in every run
        while True:
            out = tmp_path / str(point)
            if old:
                write_samples(Slow(), out, n=3, seed=1, progress=False)
            if not killed_at(point, partial(export, out.name, overwrite=old)):
                break
            for image in out.rglob("*.png"):
                Image.open(image).load()
            export(out.name, overwrite=old)
            assert contents(out) == reference, point
            point += 3
        assert point > 20


def test_a_pool_in_a_folder_is_generated_once(tmp_path):
    source = Slow()
    pool = genaug.SamplePool.in_folder(source, tmp_path / "pool", per_class=4)
    assert source.generated == 8
    again = genaug.SamplePool.in_folder(source, tmp_path / "pool", per_class=4)
    assert source.generated == 8
    assert pool.spec == source.spec
    assert pool.supply == [4, 4]
    assert torch.equal(pool.images, again.images)
    with pytest.raises(OutputExistsError, match="other settings"):
        genaug.SamplePool.in_folder(source, tmp_path / "pool", per_class=5)
    numbered = Slow(classes=5)
    assert genaug.SamplePool.in_folder(numbered, tmp_path / "few", n=2).supply[0] <= 2
    assert genaug.SamplePool.in_folder(numbered, tmp_path / "few", n=2).spec.num_classes == 5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "either n= .* or per_class="),
        ({"n": 1, "per_class": 1}, "either n= .* or per_class="),
        ({"n": 0}, "n must be an integer of 1 or more"),
        ({"per_class": 10**8}, "too many for one folder"),
        ({"per_class": 1, "seed": -1}, "seed must be"),
    ],
)
def test_bad_arguments_create_nothing(tmp_path, arguments, message):
    with pytest.raises(InputError, match=message):
        write_samples(Slow(), tmp_path / "out", **arguments)
    assert not (tmp_path / "out").exists()


def test_writing_to_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_class_folders("", IMAGES, LABELS, 2)
    assert len(list(tmp_path.rglob("*.png"))) == 6


@pytest.mark.parametrize("labelled", [True, False])
def test_parts_do_not_depend_on_the_number_of_samples(make_generator, labelled):
    generator = make_generator()

    def samples(count):
        request = torch.arange(count) % 4 if labelled else count
        parts = list(sample_parts(generator, request, 5, 4))
        assert [len(images) for images, _ in parts] == [4] * (count // 4) + [count % 4] * (count % 4 > 0)
        return tuple(map(torch.cat, zip(*parts, strict=True)))

    images, labels = samples(11)
    assert len(torch.unique(images, dim=0)) == 11
    for count in (3, 4, 9):
        assert all(torch.equal(few, many[:count]) for few, many in zip(samples(count), (images, labels), strict=True))
    first, _ = generator.sample(labels=labels[:4], seed=5)
    assert torch.equal(images[:4], first)
    assert not labelled or torch.equal(labels, torch.arange(11) % 4)


def test_class_names_cannot_lead_out_of_the_folder():
    names = folder_names(["../../etc", "/root", "..", "", "a/b", "a_b", "Cat", "cat", "naïve 7", "samples.json"])
    assert len({name.lower() for name in names}) == len(names)
    assert all(name and "/" not in name and "\\" not in name and not name.startswith(".") for name in names)
    assert names[8] == "naïve 7"
    assert names[9] != "samples.json"


@pytest.mark.parametrize("names", [["a_b-2", "a_b", "a/b"], ["a/b", "a_b", "a_b-1", "A_B-1-2"], ["", "class-0", "/"]])
def test_folder_names_are_distinct(names):
    folders = folder_names(names)
    assert len({name.lower() for name in folders}) == len(names)


def test_numbers_sort_as_labels():
    assert folder_names(11)[:3] == ["00", "01", "02"]
    assert sorted(folder_names(101)) == folder_names(101)
