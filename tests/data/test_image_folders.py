"""Folders of images as people download, copy and share them."""

import json
import os
import shutil
import socket
import unicodedata
import warnings

import numpy as np
import pytest
import torch
from helpers.class_folders import write_class_folders
from PIL import Image, PngImagePlugin

from genaug.data.datasets import load_data
from genaug.data.reading import read_samples
from genaug.data.split_folders import split_kind
from genaug.errors import DataWarning, InputError, MissingSplitError


def picture(path, shade=100, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (6, 5), shade).save(path, **options)


PINNED = ["happy/p03_1.png", "happy/p06_1.png", "happy/p08_1.png", "happy/p15_1.png"]


def sets(root, *folders, per_folder=2):
    """Pictures in each of these folders, all different."""
    for number, folder in enumerate(folders):
        for i in range(per_folder):
            picture(root / folder / f"{i}.png", 10 * number + i)
    return f"folder:{root}"


def names(data):
    return sorted(os.path.relpath(file, data.root) for file, _ in data.samples)


class TestSplitFolders:
    @pytest.mark.parametrize(
        ("train", "test"),
        [
            ("train", "test"),
            ("Training", "Testing"),
            ("TRAIN", "VAL"),
            ("train", "valid"),
            ("Train Set", "Validation_Set"),
            ("training_images", "test_images"),
            ("seg_train", "seg_test"),
        ],
    )
    @pytest.mark.parametrize("outer", ["", "archive", "archive/Brain Scans"])
    def test_they_are_found_in_usual_spellings_and_in_outer_folders(self, tmp_path, train, test, outer):
        inside = [f"{outer}/{split}/{name}".lstrip("/") for split in (train, test) for name in ("cat", "dog")]
        data = sets(tmp_path, *inside)
        (tmp_path / "README.txt").write_text("")
        trained, tested = load_data(data), load_data(data, split="test")
        assert trained.classes == tested.classes == ["cat", "dog"]
        assert {f"/{train}/" in file for file, _ in trained.samples} == {True}
        assert {f"/{test}/" in file for file, _ in tested.samples} == {True}
        assert (len(trained), len(tested)) == (4, 4)

    def test_a_split_may_repeat_its_name_inside(self, tmp_path):
        data = sets(tmp_path, "train/train/cat", "train/train/dog", "test/test/cat")
        assert load_data(data).classes == ["cat", "dog"]
        assert load_data(data, split="test").targets == [0, 0]

    def test_a_test_folder_takes_precedence_over_a_validation_folder(self, tmp_path):
        data = sets(tmp_path, "train/a", "val/a", "test/a", "pred/b")
        assert load_data(data, split="test").root == str(tmp_path / "test")
        assert "other split (val/)" in load_data(data).left_out

    @pytest.mark.parametrize(
        ("folders", "split", "pair"),
        [
            (["train/a", "Training/a"], "train", "Training/ and train/"),
            (["train/a", "test/a", "Testing/a"], "test", "Testing/ and test/"),
            (["train/a", "val/a", "valid/a"], "test", "val/ and valid/"),
        ],
    )
    def test_two_folders_for_one_split_are_an_error_that_names_both(self, tmp_path, folders, split, pair):
        with pytest.raises(InputError, match=pair):
            load_data(sets(tmp_path, *folders), split=split)

    @pytest.mark.parametrize("folders", [["bus", "train"], ["exam", "test"], ["train", "test", "quiz"]])
    def test_classes_of_such_names_are_classes_beside_others(self, tmp_path, folders):
        assert load_data(sets(tmp_path, *folders)).classes == sorted(folders)
        with pytest.raises(MissingSplitError, match="test_share"):
            load_data(f"folder:{tmp_path}", split="test")

    def test_class_folders_with_folders_in_them_are_classes(self, tmp_path):
        data = load_data(sets(tmp_path, "train/steam", "train/diesel", "bus/red", "bus/blue"))
        assert (data.classes, len(data)) == (["bus", "train"], 8)

    @pytest.mark.parametrize(
        "folders",
        [["train/a", "train/b", "test/a", "test/b", "extra/a"], ["train/a", "train/b", "extra"], ["test/a", "val/a"]],
    )
    def test_folders_that_may_be_splits_or_classes_are_an_error(self, tmp_path, folders):
        with pytest.raises(InputError, match=r"unclear|no training folder"):
            load_data(sets(tmp_path, *folders))

    def test_folders_without_images_are_ignored(self, tmp_path):
        data = sets(tmp_path, "train/cat", "train/dog", "test/cat")
        (tmp_path / "annotations").mkdir()
        (tmp_path / "annotations" / "boxes.xml").write_text("")
        (tmp_path / "train" / "empty").mkdir()
        loaded = load_data(data)
        assert loaded.classes == ["cat", "dog"]
        assert loaded.left_out["folders without images"] == 1

    def test_a_test_set_of_fewer_classes_keeps_the_numbers(self, tmp_path):
        data = sets(tmp_path, "train/a", "train/b", "train/c", "test/c")
        assert load_data(data, split="test").targets == [2, 2]

    @pytest.mark.parametrize("word", ["trains", "contest", "value", "testudo", "training wheels", "validity", "set"])
    def test_other_words_are_not_splits(self, word):
        assert split_kind(word) is None


class TestFormats:
    def test_every_format_that_pillow_reads_is_read(self, tmp_path):
        formats = {"jpg": "JPEG", "JPEG": "JPEG", "jfif": "JPEG", "gif": "GIF", "webp": "WEBP", "bmp": "BMP"}
        formats |= {"tif": "TIFF", "avif": "AVIF", "ppm": "PPM", "tga": "TGA"}
        for ending, kind in formats.items():
            if f".{ending.lower()}" in Image.registered_extensions():
                picture(tmp_path / "a" / f"x.{ending}", format=kind)
        expected = {f"a/x.{ending}" for ending in formats if f".{ending.lower()}" in Image.registered_extensions()}
        data = load_data(f"folder:{tmp_path}")
        assert set(names(data)) == expected
        assert len(expected) >= 9
        assert read_samples(data).x.shape[0] == len(expected)

    def test_one_line_says_what_was_read_and_what_was_left_out(self, tmp_path):
        data = sets(tmp_path, "cat", "dog")
        picture(tmp_path / "cat" / "._0.png")
        for hidden in (".git", "__MACOSX", "@eaDir", "cat/.ipynb_checkpoints"):
            picture(tmp_path / hidden / "0.png")
        for name in ("cat/Thumbs.db", "dog/.DS_Store", "cat/notes.txt", "dog/labels.csv", "list.txt"):
            (tmp_path / name).write_text("x")
        loaded = load_data(data)
        assert loaded.summary == (
            f"read 4 images of 2 classes from {tmp_path} (train); left out 10: 7 hidden, 3 not images (.txt, .csv)"
        )
        assert loaded.left_out == {"hidden": 7, "not images": 3}
        shutil.rmtree(tmp_path)
        assert load_data(sets(tmp_path, "cat")).summary == f"read 2 images of 1 class from {tmp_path} (train)"

    def test_files_that_look_like_images_but_cannot_be_read_are_named(self, tmp_path):
        data = sets(tmp_path, "cat", "dog")
        (tmp_path / "cat" / "IMG_1.HEIC").write_bytes(b"x")
        with pytest.warns(DataWarning, match=r"1 files look like images .*IMG_1\.HEIC") as caught:
            loaded = load_data(data)
        assert caught[0].filename == __file__
        assert "1 images that Pillow doesn't read here (.heic)" in loaded.summary

    def test_a_class_of_only_unreadable_images_is_an_error(self, tmp_path):
        data = sets(tmp_path, "cat", "dog")
        (tmp_path / "fox").mkdir()
        (tmp_path / "fox" / "1.heic").write_bytes(b"x")
        with pytest.raises(InputError, match=r"fox contains no image .*1\.heic"):
            load_data(data)

    def test_images_beside_class_folders_are_left_out_with_a_warning(self, tmp_path):
        data = sets(tmp_path, "cat", "dog")
        picture(tmp_path / "logo.png")
        with pytest.warns(DataWarning, match=r"1 files are images but aren't in any .*logo\.png"):
            assert load_data(data).left_out == {"images outside the class folders": 1}


@pytest.mark.skipif(os.name != "posix", reason="links and special files as POSIX has them")
class TestSpecialFiles:
    def test_link_loops_end_and_do_not_lead_into_other_classes(self, tmp_path):
        data = sets(tmp_path, "cat", "dog")
        (tmp_path / "cat" / "up").symlink_to(tmp_path)
        (tmp_path / "cat" / "here").symlink_to(tmp_path / "cat")
        (tmp_path / "cat" / "self").symlink_to("self")
        (tmp_path / "dog" / "gone.png").symlink_to(tmp_path / "nowhere.png")
        loaded = load_data(data)
        assert names(loaded) == ["cat/0.png", "cat/1.png", "dog/0.png", "dog/1.png"]
        assert loaded.left_out == {"links to a folder that is read already": 2, "broken links": 2}

    @pytest.mark.parametrize("classes", ["", "only/"])
    def test_folders_that_link_to_each_other_are_read_once_each(self, tmp_path, classes):
        folders = [tmp_path / f"{classes}{i}" for i in range(12)]
        for i, folder in enumerate(folders):
            picture(folder / "x.png", i)
            for j, other in enumerate(folders):
                (folder / f"to{j}").symlink_to(other)
        if classes:
            picture(tmp_path / "only" / "x.png")
        assert len(load_data(f"folder:{tmp_path}")) == 12 + bool(classes)

    def test_links_to_folders_elsewhere_are_followed(self, tmp_path):
        sets(tmp_path / "store", "x", "y")
        (tmp_path / "set").mkdir()
        for name in "xy":
            (tmp_path / "set" / name).symlink_to(tmp_path / "store" / name)
        assert len(load_data(f"folder:{tmp_path}/set")) == 4

    def test_only_regular_files_are_opened(self, tmp_path, monkeypatch):
        data = sets(tmp_path, "cat")
        os.mkfifo(tmp_path / "cat" / "pipe.png")
        monkeypatch.chdir(tmp_path / "cat")  # a socket's path must be short
        with socket.socket(socket.AF_UNIX) as end:
            end.bind("door.png")
            loaded = load_data(data)
        assert len(loaded) == 2
        assert loaded.left_out == {"special files": 2}

    def test_a_pipe_that_replaces_a_file_is_not_opened(self, tmp_path):
        data = load_data(sets(tmp_path, "cat"))
        os.remove(data.samples[1][0])
        os.mkfifo(data.samples[1][0])
        with pytest.raises(InputError, match=r"1\.png is not a regular file"):
            data[1]


class TestReadingErrors:
    def broken(self, tmp_path, kind):
        file = tmp_path / "cat" / "1.png"
        if kind == "cut off":
            Image.effect_noise((64, 64), 50).save(file)
            os.truncate(file, 700)
        elif kind == "text":
            info = PngImagePlugin.PngInfo()
            info.add_text("comment", "x" * (PngImagePlugin.MAX_TEXT_CHUNK + 1), zip=True)
            Image.new("L", (6, 5)).save(file, pnginfo=info)
        elif kind == "bomb":
            Image.new("1", (20_000, 9_000)).save(file)
        elif kind == "program":  # PostScript, which Pillow would pass to Ghostscript
            file.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n")
        else:
            file.write_bytes(b"no picture")

    @pytest.mark.parametrize(
        ("kind", "remedy"),
        [
            ("cut off", "Replace the file"),
            ("text", "without metadata"),
            ("bomb", "MAX_IMAGE_PIXELS"),
            ("garbage", "Replace the file"),
            ("program", "Replace the file"),
        ],
    )
    @pytest.mark.parametrize("ours", [True, False])
    def test_each_names_the_file_and_what_to_do(self, tmp_path, kind, remedy, ours):
        from torchvision.datasets import ImageFolder

        data = sets(tmp_path, "cat")
        self.broken(tmp_path, kind)
        if kind == "program" and not ours:
            pytest.skip("torchvision's loader opens whatever Pillow knows")
        with pytest.raises(InputError) as caught:
            read_samples(load_data(data) if ours else ImageFolder(str(tmp_path)))
        assert str(tmp_path / "cat" / "1.png") in str(caught.value)
        assert remedy in str(caught.value)

    def test_in_a_subset_the_file_is_the_right_one(self, tmp_path):
        from torch.utils.data import ConcatDataset, Subset
        from torchvision.datasets import ImageFolder

        sets(tmp_path, "cat", "dog")
        (tmp_path / "dog" / "0.png").write_bytes(b"x")
        photos = ImageFolder(str(tmp_path))
        with pytest.raises(InputError, match=r"item 3 of the dataset \(.*dog/0\.png\)"):
            read_samples(ConcatDataset([Subset(photos, [0, 1]), Subset(photos, [3, 2])]))


class TestWithoutClasses:
    def test_a_flat_folder_gives_images_without_labels(self, tmp_path):
        for i in range(3):
            picture(tmp_path / f"{i}.jpg", i)
        data = load_data(f"folder:{tmp_path}")
        assert data[0].mode == "L"
        samples = read_samples(data)
        assert (samples.labels, samples.spec.num_classes, len(samples.x)) == (None, 0, 3)
        assert "3 images without classes" in data.summary

    def test_flat_splits_too(self, tmp_path):
        data = sets(tmp_path, "train", "test")
        assert (len(load_data(data)), load_data(data).targets) == (2, None)
        assert load_data(data, split="test").root == str(tmp_path / "test")

    def test_a_test_set_without_classes_is_an_error_if_the_training_set_has_some(self, tmp_path):
        with pytest.raises(InputError, match="without class folders"):
            load_data(sets(tmp_path, "train/a", "train/b", "test"), split="test")


class TestUnicode:
    def test_composed_and_decomposed_names_are_one_class(self, tmp_path):
        composed, decomposed = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
        data = sets(tmp_path, f"train/{composed}", "train/zoo", f"test/{decomposed}")
        assert load_data(data).classes == [composed, "zoo"]
        assert load_data(data, split="test").targets == [0, 0]

    def test_both_forms_in_one_set_are_one_class(self, tmp_path):
        forms = [unicodedata.normalize(form, "café") for form in ("NFC", "NFD")]
        data = load_data(sets(tmp_path, *forms, "zoo"))
        assert sorted(data.targets) == [0, 0, 0, 0, 1, 1]


class TestRecordedClasses:
    IMAGES = torch.arange(4, dtype=torch.uint8).reshape(4, 1, 1, 1).expand(4, 1, 5, 6)

    def test_samples_come_back_under_their_own_names_and_numbers(self, tmp_path):
        classes = ["salt & pepper", "never sampled", "colt's foot", "a" * 120]
        write_class_folders(tmp_path / "out", self.IMAGES, torch.tensor([2, 0, 3, 2]), classes)
        data = load_data(f"folder:{tmp_path / 'out'}")
        assert data.classes == classes
        assert data.left_out == {}
        pixels = {int(np.asarray(image)[0, 0]): label for image, label in (data[i] for i in range(4))}
        assert pixels == {0: 2, 1: 0, 2: 3, 3: 2}

    def test_classes_without_names_keep_their_numbers_though_some_were_not_drawn(self, tmp_path):
        write_class_folders(tmp_path / "out", self.IMAGES, torch.tensor([2, 10, 10, 2]), 11)
        data = load_data(f"folder:{tmp_path / 'out'}")
        assert (data.classes, sorted(data.targets)) == (None, [2, 2, 10, 10])

    @pytest.mark.parametrize(
        "record",
        [
            "{",
            "[]",
            '{"folders": ["b", "b"], "classes": null}',
            '{"folders": [1]}',
            '{"folders": "ab", "classes": "ab"}',
        ],
    )
    def test_a_foreign_record_changes_nothing(self, tmp_path, record):
        data = sets(tmp_path, "a", "b")
        (tmp_path / "samples.json").write_text(record)
        assert load_data(data).classes == ["a", "b"]

    def test_a_folder_that_was_added_comes_after_the_recorded_ones(self, tmp_path):
        data = sets(tmp_path, "a", "b", "c_")
        record = {"folders": ["c_", "b"], "classes": ["c'", "b"]}
        (tmp_path / "samples.json").write_text(json.dumps(record))
        assert load_data(data).classes == ["c'", "b", "a"]


class TestHoldout:
    def people(self, tmp_path, people=20, photos=3):
        for i in range(people):
            for j in range(photos):
                picture(tmp_path / ("happy" if j % 2 else "sad") / f"p{i:02d}_{j}.png", i)
        return f"folder:{tmp_path}"

    def test_it_is_the_same_every_time_and_has_each_classs_share(self, tmp_path):
        data = self.people(tmp_path)
        train, test = (load_data(data, split=split, test_share=0.2) for split in ("train", "test"))
        assert set(names(train)) | set(names(test)) == set(names(load_data(data)))
        assert not set(names(train)) & set(names(test))
        assert np.bincount(test.targets).tolist() == [4, 8]
        assert names(load_data(data, split="test", test_share=0.2)) == names(test)
        assert train.classes == test.classes

    def test_it_follows_from_the_names_wherever_the_folder_lies(self, tmp_path):
        data = self.people(tmp_path / "here")
        shutil.copytree(tmp_path / "here", tmp_path / "there")
        parts = [load_data(where, split="test", test_share=0.2) for where in (data, f"folder:{tmp_path / 'there'}")]
        assert names(parts[0]) == names(parts[1])
        # Pinned: a change of the split would let old test images be trained on.
        assert names(parts[0])[:4] == PINNED

    def test_no_group_is_divided_not_even_between_classes(self, tmp_path):
        data = self.people(tmp_path)
        train, test = (load_data(data, split=s, test_share=0.25, group_by=r"/(p\d+)_") for s in ("train", "test"))
        people = [{os.path.basename(file)[:3] for file, _ in part.samples} for part in (train, test)]
        assert not people[0] & people[1]
        assert len(people[0] | people[1]) == 20
        assert np.bincount(test.targets).tolist() == [5, 10]

    def test_every_class_is_on_both_sides(self, tmp_path):
        data = sets(tmp_path, "a", "b", "c")
        for split in ("train", "test"):
            assert load_data(data, split=split, test_share=0.1).targets == [0, 1, 2]

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"test_share": 0.2, "group_by": r"(p1\d)_"}, r"doesn't match .*p0\d"),
            ({"test_share": 0.2, "group_by": r"p\d\d_0|(p\d\d)_"}, "doesn't match"),
            ({"test_share": 0.2, "group_by": "("}, "must be a regular expression"),
            ({"test_share": 0.2, "group_by": "(p)"}, "too few groups"),
            ({"test_share": 1.0}, "between 0 and 1"),
            ({"test_share": float("nan")}, "between 0 and 1"),
            ({"group_by": "(p)"}, "pass test_share"),
        ],
    )
    def test_folders_that_cannot_be_split_are_an_error(self, tmp_path, options, message):
        with pytest.raises(InputError, match=message):
            load_data(self.people(tmp_path), **options)

    def test_a_class_with_one_image_cant_be_split(self, tmp_path):
        picture(tmp_path / "newt" / "0.png")
        with pytest.raises(InputError, match="'newt' has 1 images, too few"):
            load_data(sets(tmp_path, "a"), test_share=0.2)

    def test_what_has_a_test_split_needs_none(self, tmp_path):
        with pytest.raises(InputError, match="has a test split"):
            load_data(sets(tmp_path, "train/a", "test/a"), test_share=0.2)
        with pytest.raises(InputError, match="are for folder:PATH"):
            load_data("digits", test_share=0.2)


def test_reading_warns_of_nothing(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_samples(load_data(sets(tmp_path, "a", "b")))
