"""Translations of a dataset, as a source of labeled samples and as files."""

import json

import numpy as np
import pytest
import torch
from helpers.kills import killed_at
from helpers.translators import Brighter, brighter
from PIL import Image

import genaug
from genaug.backends.registry import added
from genaug.data import load_data
from genaug.errors import InputError, OutputExistsError
from genaug.sources.translated_files import write_translations

TO_BRIGHT = 40
TO_DIM = -10


@pytest.fixture(autouse=True)
def backend():
    with added("brighter", Brighter):
        yield


class Labelled(list):
    """Images whose pixels are all 10 + their index."""

    def __init__(self, labels, classes, side=8, channels=1):
        super().__init__(
            (torch.full((channels, side, side), 10 + i, dtype=torch.uint8), label) for i, label in enumerate(labels)
        )
        self.classes = classes


def pixels(images):
    return images[:, 0, 0, 0].int().tolist()


class TestVariations:
    def test_samples_keep_the_labels_of_the_dataset(self):
        dataset = Labelled([1, 0, 1, 0, 1], ("cat", "dog"))
        source = genaug.variations(brighter(), dataset, to="bright")
        images, labels = source.sample(5, seed=0)
        assert source.spec.class_names == ("cat", "dog")
        assert source.supply == [2, 3]
        for value, label in zip(pixels(images), labels.tolist(), strict=True):
            assert dataset[value - TO_BRIGHT - 10][1] == label
        images, _ = source.sample(labels=[1, 1, 1], seed=1)
        assert sorted(pixels(images)) == [10 + i + TO_BRIGHT for i in (0, 2, 4)], "none twice"

    def test_the_default_is_the_second_domain_and_the_first_is_translated_into_by_name(self):
        dataset = Labelled([0, 0], ("cat",))
        for to, shift in ((None, TO_BRIGHT), ("bright", TO_BRIGHT), ("dim", TO_DIM)):
            images, _ = genaug.variations(brighter(), dataset, to=to).sample(2, seed=0)
            assert sorted(pixels(images)) == [10 + shift, 11 + shift]

    def test_a_domain_that_is_a_class_gets_its_samples_from_the_class_of_the_other_domain(self):
        dataset = Labelled([0, 1, 2, 0], ("horse", "zebra", "cow"))
        source = genaug.variations(brighter(domains=("horse", "zebra")), dataset, to="zebra")
        images, labels = source.sample(2, seed=0)
        assert source.supply == [0, 2, 0]
        assert labels.tolist() == [1, 1]
        assert sorted(pixels(images)) == [10 + TO_BRIGHT, 13 + TO_BRIGHT]
        back = genaug.variations(brighter(domains=("horse", "zebra")), dataset, to="horse").sample(1, seed=0)
        assert (pixels(back[0]), back[1].tolist()) == ([11 + TO_DIM], [0])

    def test_samples_without_labels_are_translated_too(self):
        images = [image for image, _ in Labelled([0] * 3, ())]
        samples, labels = genaug.variations(brighter(), images).sample(3, seed=0)
        assert labels is None
        assert len(samples) == 3

    def test_a_mixed_dataset_takes_them(self):
        dataset = Labelled([0, 1] * 10, ("cat", "dog"))
        mixed = genaug.MixedDataset(dataset, genaug.variations(brighter(), dataset, to="bright"), ratio=0.5)
        assert len(mixed) == 40

    def test_the_direction_is_part_of_the_identity(self):
        dataset = Labelled([0, 0], ("cat",))
        one, other = (genaug.variations(brighter(), dataset, to=to).identity for to in ("bright", "dim"))
        assert one != other
        json.dumps(one)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"to": "zebra"}, r"doesn't know the domain 'zebra': it translates from 'dim' to 'bright' and back\."),
            ({"strength": 0.4}, "a translator has none: leave it out"),
            ({"image_size": 4}, r"takes 1x8x8 of the domain 'dim', the dataset has 1x4x4"),
        ],
    )
    def test_bad_arguments_are_one_sentence(self, options, message):
        with pytest.raises(InputError, match=message):
            genaug.variations(brighter(), Labelled([0], ("cat",)), **options)


def contents(folder):
    paths = (path for path in folder.rglob("*") if path.is_file() and path.name != ".genaug.jsonl")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


@pytest.fixture
def photos(tmp_path):
    """Class folders of gray images with names of their own."""
    for folder, names in {"cat": ("tom", "felix.old"), "dog": ("rex", "bello")}.items():
        (tmp_path / "photos" / folder).mkdir(parents=True)
        for i, name in enumerate(names):
            array = np.full((8, 8), 100 + i, dtype=np.uint8)
            Image.fromarray(array).save(tmp_path / "photos" / folder / f"{name}.png")
    return load_data(f"folder:{tmp_path / 'photos'}")


class TestFiles:
    def test_images_stay_in_their_classes_and_keep_their_names(self, photos, tmp_path):
        write_translations(brighter(), photos, tmp_path / "out", progress=False)
        values = {name: Image.open(tmp_path / "out" / name) for name in contents(tmp_path / "out") if "png" in name}
        assert {name: image.getpixel((0, 0)) for name, image in values.items()} == {
            "cat/felix.old.png": 100 + 1 + TO_BRIGHT,
            "cat/tom.png": 100 + TO_BRIGHT,
            "dog/bello.png": 100 + 1 + TO_BRIGHT,
            "dog/rex.png": 100 + TO_BRIGHT,
        }
        again = load_data(f"folder:{tmp_path / 'out'}")
        assert (again.classes, len(again)) == (["cat", "dog"], 4)

    def test_names_that_files_share_stay_apart(self, tmp_path):
        (tmp_path / "photos" / "cat").mkdir(parents=True)
        for name in ("a.png", "a.bmp"):
            Image.new("L", (8, 8)).save(tmp_path / "photos" / "cat" / name)
        images = load_data(f"folder:{tmp_path / 'photos'}")
        write_translations(brighter(), images, tmp_path / "out", to="dim", progress=False)
        assert len([name for name in contents(tmp_path / "out") if name.endswith(".png")]) == 2

    def test_images_without_files_are_numbered_and_those_without_labels_have_no_folders(self, tmp_path):
        write_translations(brighter(), Labelled([1, 0, 1], ("cat", "dog")), tmp_path / "one", progress=False)
        assert {"cat/00000.png", "dog/00000.png", "dog/00001.png", "samples.json"} == set(contents(tmp_path / "one"))
        images = [image for image, _ in Labelled([0, 0], ())]
        write_translations(brighter(), images, tmp_path / "two", progress=False)
        assert {"00000.png", "00001.png", "samples.json"} == set(contents(tmp_path / "two"))

    def test_it_continues_wherever_it_was_killed(self, photos, tmp_path):
        write_translations(brighter(), photos, tmp_path / "reference", progress=False)
        killed, point = True, 0
        while killed:
            out = tmp_path / f"out{point}"
            killed = killed_at(point, lambda out=out: write_translations(brighter(), photos, out, progress=False))
            write_translations(brighter(), photos, out, progress=False)
            assert contents(out) == contents(tmp_path / "reference"), point
            point += 7
        assert point > 21

    def test_images_that_are_there_are_not_translated_again(self, photos, tmp_path):
        generator = brighter()
        write_translations(generator, photos, tmp_path / "out", progress=False)
        (tmp_path / "out" / "dog" / "rex.png").unlink()
        before = (tmp_path / "out" / "cat" / "tom.png").stat().st_mtime_ns
        write_translations(generator, photos, tmp_path / "out", progress=False)
        assert (tmp_path / "out" / "dog" / "rex.png").is_file()
        assert (tmp_path / "out" / "cat" / "tom.png").stat().st_mtime_ns == before

    def test_other_settings_or_other_data_do_not_continue_it(self, photos, tmp_path):
        write_translations(brighter(), photos, tmp_path / "out", progress=False)
        with pytest.raises(OutputExistsError, match='to was null, now it is "dim"'):
            write_translations(brighter(), photos, tmp_path / "out", to="dim", progress=False)
        Image.new("L", (8, 8), 7).save(tmp_path / "photos" / "dog" / "rex.png")
        with pytest.raises(OutputExistsError, match="data_sha256"):
            write_translations(brighter(), photos, tmp_path / "out", progress=False)
        write_translations(brighter(), photos, tmp_path / "out", progress=False, overwrite=True)
        assert Image.open(tmp_path / "out" / "dog" / "rex.png").getpixel((0, 0)) == 7 + TO_BRIGHT

    def test_images_that_do_not_fit_leave_nothing_behind(self, tmp_path):
        with pytest.raises(InputError, match="takes 1x8x8"):
            write_translations(brighter(), Labelled([0], ("cat",), channels=3), tmp_path / "out", progress=False)
        assert not (tmp_path / "out").exists()
