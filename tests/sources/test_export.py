import json
import os
import weakref

import numpy as np
import pytest
import torch
from PIL import Image

from genaug.errors import OutputExistsError, SaveError
from genaug.sources import export
from genaug.sources.export import folder_names, sample_parts, write_class_folders

IMAGES = torch.arange(6, dtype=torch.uint8)[:, None, None, None].expand(6, 1, 2, 3).contiguous()
LABELS = torch.tensor([1, 0, 1, 1, 0, 1])


@pytest.mark.parametrize("size", [1, 4, 6])
def test_every_image_is_in_its_class_bit_for_bit(tmp_path, size):
    parts = zip(IMAGES.split(size), LABELS.split(size), strict=True)
    write_class_folders(tmp_path / "out", parts, ["cat", "dog"], {"seed": 3})
    values = {str(p.relative_to(tmp_path)): int(np.asarray(Image.open(p)).max()) for p in tmp_path.rglob("*.png")}
    dogs = {f"out/dog/{i:05d}.png": value for i, value in enumerate([0, 2, 3, 5])}
    assert values == {"out/cat/00000.png": 1, "out/cat/00001.png": 4, **dogs}
    assert json.loads((tmp_path / "out" / "samples.json").read_text()) == {
        "seed": 3,
        "count": 6,
        "counts": [2, 4],
        "folders": ["cat", "dog"],
        "classes": ["cat", "dog"],
    }
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_without_labels_the_files_are_in_the_folder_itself(tmp_path):
    write_class_folders(tmp_path / "out", [(IMAGES, None)], 0, {})
    assert len(list((tmp_path / "out").glob("*.png"))) == 6
    write_class_folders(tmp_path / "out", [(IMAGES[:2], None)], 0, {}, overwrite=True)
    assert len(list((tmp_path / "out").glob("*.png"))) == 2


def test_only_genaugs_samples_are_replaced(tmp_path):
    out = tmp_path / "out"
    write_class_folders(out, [(IMAGES, LABELS)], 2, {})
    with pytest.raises(OutputExistsError, match="--overwrite"):
        write_class_folders(out, [(IMAGES[:1], LABELS[:1])], 2, {})
    write_class_folders(out, [(IMAGES[:1], LABELS[:1])], 2, {}, overwrite=True)
    assert len(list(out.rglob("*.png"))) == 1
    (out / ".genaug.jsonl").unlink()  # then genaug doesn't know its own files
    with pytest.raises(OutputExistsError, match="left alone"):
        write_class_folders(out, [(IMAGES, LABELS)], 2, {}, overwrite=True)
    assert len(list(out.rglob("*.png"))) == 1


@pytest.mark.parametrize("foreign", ["thesis.tex", "old/00000.png", "0/notes.txt", "00000.png", "0/0/00000.png"])
def test_no_other_file_is_deleted(tmp_path, foreign):
    out = tmp_path / "out"
    write_class_folders(out, [(IMAGES, LABELS)], 2, {})
    (out / foreign).parent.mkdir(exist_ok=True)
    (out / foreign).write_text("mine")
    write_class_folders(out, [(IMAGES[:1], LABELS[:1])], 2, {}, overwrite=True)
    assert {p.relative_to(out).as_posix() for p in out.rglob("*.*")} == {
        "1/00000.png",
        "samples.json",
        ".genaug.jsonl",
        foreign,
    }
    assert (out / foreign).read_text() == "mine"


def test_a_conflicting_file_is_named_and_stays(tmp_path):
    out = tmp_path / "out"
    write_class_folders(out, [(IMAGES[:2], LABELS[:2])], 2, {})
    (out / "1" / "00003.png").write_text("mine")
    before = sorted(out.rglob("*.png"))
    with pytest.raises(OutputExistsError, match=r"1/00003\.png is needed.*left alone"):
        write_class_folders(out, [(IMAGES, LABELS)], 2, {}, overwrite=True)
    assert sorted(out.rglob("*.png")) == before
    assert (out / "1" / "00003.png").read_text() == "mine"


def test_a_file_that_appears_while_generating_is_not_deleted(tmp_path):
    def parts():
        yield IMAGES, LABELS
        (tmp_path / "out" / "samples.json").write_text("mine")

    with pytest.raises(OutputExistsError, match=r"samples\.json"):
        write_class_folders(tmp_path / "out", parts(), 2, {}, overwrite=True)
    assert [str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*")] == ["out", "out/samples.json"]


@pytest.mark.parametrize("error", [OSError("disk"), KeyboardInterrupt()])
def test_a_failure_between_the_two_renames_restores_the_old_files(tmp_path, monkeypatch, error):
    write_class_folders(tmp_path / "out", [(IMAGES, LABELS)], 2, {})
    before, calls, replace = sorted(tmp_path.rglob("*")), [], os.replace

    def second_fails(*paths):
        calls.append(paths)
        if len(calls) == 2:
            raise error
        replace(*paths)

    monkeypatch.setattr(os, "replace", second_fails)
    with pytest.raises((SaveError, KeyboardInterrupt)):
        write_class_folders(tmp_path / "out", [(IMAGES[:1], LABELS[:1])], 2, {}, overwrite=True)
    assert sorted(tmp_path.rglob("*")) == before


def test_old_files_that_cannot_be_restored_are_kept_and_restored_next_time(tmp_path, monkeypatch):
    out = tmp_path / "out"
    write_class_folders(out, [(IMAGES, LABELS)], 2, {})
    before, calls, replace = contents(out), [], os.replace

    def all_but_the_first_fail(*paths):
        calls.append(paths)
        if len(calls) > 1:
            raise OSError("gone")
        replace(*paths)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", all_but_the_first_fail)
        with pytest.raises(SaveError, match="could not put back") as caught:
            write_class_folders(out, [(IMAGES[:1].flip(0) + 9, LABELS[:1])], 2, {}, overwrite=True)
    (kept,) = out.glob(".genaug-*/old")
    assert str(kept) in str(caught.value)
    with pytest.raises(OutputExistsError, match="--overwrite"):
        write_class_folders(out, [(IMAGES, LABELS)], 2, {})
    assert contents(out) == before


def contents(folder):
    return {str(path): path.read_bytes() for path in folder.rglob("*.*") if path.name != ".genaug.jsonl"}


def test_writing_to_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_class_folders("", [(IMAGES, LABELS)], 2, {})
    assert len(list(tmp_path.rglob("*.png"))) == 6


@pytest.mark.parametrize("labelled", [True, False])
def test_parts_do_not_depend_on_the_number_of_samples(monkeypatch, make_generator, labelled):
    monkeypatch.setattr(export, "PART", 4)
    generator = make_generator()

    def samples(count):
        request = torch.arange(count) % 4 if labelled else count
        parts = list(sample_parts(generator, request, 5))
        assert [len(images) for images, _ in parts] == [4] * (count // 4) + [count % 4] * (count % 4 > 0)
        return tuple(map(torch.cat, zip(*parts, strict=True)))

    images, labels = samples(11)
    assert len(torch.unique(images, dim=0)) == 11
    for count in (3, 4, 9):
        assert all(torch.equal(few, many[:count]) for few, many in zip(samples(count), (images, labels), strict=True))
    first, _ = generator.sample(labels=labels[:4], seed=5)
    assert torch.equal(images[:4], first)
    assert not labelled or torch.equal(labels, torch.arange(11) % 4)


def test_few_parts_are_in_memory_at_once(tmp_path):
    parts_in_memory, counts = weakref.WeakSet(), []

    class Counted(torch.Tensor):
        pass

    def parts():
        for _ in range(6):
            images = IMAGES.clone().as_subclass(Counted)
            parts_in_memory.add(images)
            counts.append(len(parts_in_memory))
            yield images, LABELS

    write_class_folders(tmp_path / "out", parts(), 2, {})
    assert max(counts) <= 2
    assert len(list((tmp_path / "out").rglob("*.png"))) == 36


def test_a_failure_leaves_existing_files(tmp_path, monkeypatch):
    write_class_folders(tmp_path / "out", [(IMAGES, LABELS)], 2, {})
    before = sorted(tmp_path.rglob("*"))

    def broken(image):
        raise ValueError("broken")

    monkeypatch.setattr(export, "to_pil", broken)
    with pytest.raises(ValueError, match="broken"):
        write_class_folders(tmp_path / "out", [(IMAGES, LABELS)], 2, {}, overwrite=True)
    assert sorted(tmp_path.rglob("*")) == before


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
