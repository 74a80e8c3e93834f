"""A training reads its images from a cache as it would from the dataset, and the cache is filled once."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset, Subset, TensorDataset
from typer.testing import CliRunner

import genaug
from genaug.cli import app
from genaug.data import image_cache, load_data
from genaug.data.image_cache import ImageCache
from genaug.data.reading import fingerprint, read_samples
from genaug.errors import InputError, OutputExistsError, SaveError

SIZES = {"width": 4, "max_width": 8, "latent_size": 4}


class Counted(Dataset):
    """Images whose reads are counted, and which stop at item ``until``."""

    def __init__(self, count=300, shape=(1, 8, 8), until=None, labels=True):
        self.images = torch.randint(0, 256, (count, *shape), dtype=torch.uint8, generator=torch.manual_seed(0))
        self.reads, self.until, self.labels = 0, until, labels

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        if index == self.until:
            raise KeyboardInterrupt
        self.reads += 1
        return (self.images[index], index % 3) if self.labels else self.images[index]


def read(dataset, folder, image_size=None, **options):
    return ImageCache(folder).read(dataset, image_size, lambda count: None, **options)


def train(dataset, out, **options):
    return genaug.fit("cgan", dataset, out=out, steps=3, batch_size=8, config=SIZES, progress=False, **options)


@pytest.mark.parametrize("image_size", [None, 6])
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 9, 7)])
def test_the_data_are_those_of_the_dataset(tmp_path, shape, image_size):
    dataset = Counted(shape=shape)
    expected, first, second = (
        read_samples(dataset, image_size),
        read(dataset, tmp_path / "cache", image_size),
        read(dataset, tmp_path / "cache", image_size),
    )
    for data in (first, second):
        assert data.x.dtype == torch.uint8
        assert torch.equal(data.x, expected.x)
        assert torch.equal(data.labels, expected.labels)
        assert data.spec == expected.spec
        assert fingerprint(data) == fingerprint(expected)
        assert data.is_mapped
    assert np.array_equal(np.load(tmp_path / "cache" / "images.npy"), expected.x.numpy())


def test_the_fingerprint_of_images_without_labels_is_that_of_the_dataset(tmp_path):
    data = read(Counted(labels=False), tmp_path / "cache")
    assert data.labels is None
    assert data.label_problem is None
    assert fingerprint(data) == fingerprint(read_samples(Counted(labels=False)))


def test_a_complete_cache_is_compared_at_a_hundred_items_only(tmp_path):
    dataset = Counted(count=1000)
    read(dataset, tmp_path / "cache")
    dataset.reads = 0
    read(dataset, tmp_path / "cache")
    assert dataset.reads <= 102


def test_a_training_gives_the_same_weights_with_a_cache(tmp_path):
    dataset = Counted()
    without = train(dataset, tmp_path / "without")
    filled = train(dataset, tmp_path / "filled", cache=tmp_path / "cache")
    again = train(dataset, tmp_path / "again", cache=tmp_path / "cache")
    assert without.training == filled.training == again.training
    for name, tensor in without.tensors().items():
        assert torch.equal(tensor, filled.tensors()[name])
        assert torch.equal(tensor, again.tensors()[name])


def test_an_interrupted_filling_goes_on_from_where_it_stopped(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        read(Counted(until=211), tmp_path / "cache")
    rest, counts = Counted(), []
    data = ImageCache(tmp_path / "cache").read(rest, None, counts.append)
    assert counts == [211, 89]
    assert rest.reads <= 300 - 211 + 102 + 3
    assert torch.equal(data.x, rest.images)
    assert data.labels.tolist() == [index % 3 for index in range(300)]


def test_a_killed_filling_goes_on_from_its_last_save(tmp_path):
    script = """
        import sys, time, torch
        from genaug.data import image_cache
        image_cache._SAVED_EVERY = 0.0
        class Slow(torch.utils.data.Dataset):
            def __len__(self): return 20_000
            def __getitem__(self, index): return torch.full((1, 8, 8), index % 251, dtype=torch.uint8), index % 5
        image_cache.ImageCache(sys.argv[1]).read(Slow(), None, lambda count: None)
    """
    record = tmp_path / "cache" / "cache.json"
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(script), str(tmp_path / "cache")])
    deadline = time.monotonic() + 120
    while not (record.exists() and json.loads(record.read_text())["done"] > 1000) and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    done = json.loads(record.read_text())["done"]
    assert 1000 < done < 20_000
    pixels = np.arange(20_000) % 251
    dataset = TensorDataset(
        torch.from_numpy(pixels.astype(np.uint8)).view(-1, 1, 1, 1).expand(-1, 1, 8, 8), torch.arange(20_000) % 5
    )
    data = read(dataset, tmp_path / "cache")
    assert torch.equal(data.x, dataset.tensors[0])
    assert torch.equal(data.labels, dataset.tensors[1])


def test_another_dataset_is_rejected_and_the_cache_kept(tmp_path):
    dataset, cache = Counted(), tmp_path / "cache"
    read(dataset, cache)
    before = {path.name: path.read_bytes() for path in cache.iterdir()}
    changed = Counted()
    changed.images[0] += 1
    for other, size, message in (
        (Counted(count=299), None, r"it has count 300, and here it is 299"),
        (Counted(shape=(3, 8, 8)), None, r"it has shape \[1, 8, 8\], and here it is \[3, 8, 8\]"),
        (dataset, 4, "it has image_size None, and here it is 4"),
        (changed, None, "item 0 of the dataset has another image than the cache"),
    ):
        with pytest.raises(InputError, match=message):
            read(other, cache, size)
    assert {path.name: path.read_bytes() for path in cache.iterdir()} == before


def test_changed_labels_are_noticed(tmp_path):
    images = Counted().images
    read(TensorDataset(images, torch.arange(300) % 3), tmp_path / "cache")
    for labels in (2 - torch.arange(300) % 3, torch.full((300,), -1)):
        with pytest.raises(InputError, match="item 0 of the dataset has another label than the cache"):
            read(TensorDataset(images, labels), tmp_path / "cache", unlabelled=True)
    with pytest.raises(InputError, match="has another label than the cache"):
        read(TensorDataset(images), tmp_path / "cache")
    targets = Counted()
    targets.targets = [index % 3 for index in range(300)]
    read(targets, tmp_path / "cache")
    targets.targets[7] = 2  # not among the items that are compared
    with pytest.raises(InputError, match="item 7 of the dataset has another label"):
        read(targets, tmp_path / "cache")


def test_a_changed_file_is_noticed(tmp_path):
    from PIL import Image

    for name in ("a", "b"):
        (tmp_path / "images" / name).mkdir(parents=True)
        for number in range(70):
            Image.new("L", (8, 8), number).save(tmp_path / "images" / name / f"{number:03}.png")
    load = lambda: load_data(f"folder:{tmp_path / 'images'}")  # noqa: E731
    assert read(load(), tmp_path / "cache").x.shape == (140, 1, 8, 8)
    assert read(load(), tmp_path / "cache").spec.class_names == ("a", "b")
    Image.new("L", (8, 8), 255).save(tmp_path / "images" / "a" / "001.png")
    with pytest.raises(InputError, match="it has other files, or changed ones"):
        read(load(), tmp_path / "cache")


def test_random_transforms_are_rejected(tmp_path):
    class Noise(Counted):
        def __getitem__(self, index):
            return torch.randint(0, 256, (1, 8, 8), dtype=torch.uint8), 0

    with pytest.raises(InputError, match=r"item 0 of the dataset is another image each time .* random transforms"):
        read(Noise(), tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        (TensorDataset(torch.randn(5, 2, 30), torch.arange(5)), "for images, and these are series"),
        (genaug.data.TableDataset({"a": [1.0, 2.0], "y": ["p", "q"]}, target="y"), "at least one image"),
        (genaug.data.Unpaired(Counted(), Counted()), "one dataset of images"),
        (Subset(Counted(), []), "at least one image"),
    ],
)
def test_other_data_are_rejected(tmp_path, dataset, message):
    with pytest.raises(InputError, match=message):
        read(dataset, tmp_path / "cache", kinds=("series",))
    assert not (tmp_path / "cache").exists()


def test_labels_that_cannot_be_used_are_a_problem_of_those_who_need_them(tmp_path):
    dataset = [(torch.zeros(1, 8, 8, dtype=torch.uint8), label) for label in (0, 1, 0.5)]
    data = read(dataset, tmp_path / "cache")
    assert data.labels is None
    assert "the label of item 2" in str(data.label_problem)
    with pytest.raises(InputError, match="the label of item 2"):
        train(dataset, tmp_path / "run", cache=tmp_path / "cache")


def test_unlabeled_items_keep_their_label(tmp_path):
    dataset = TensorDataset(torch.zeros(4, 1, 8, 8, dtype=torch.uint8), torch.tensor([0, 1, -1, -1]))
    assert read(dataset, tmp_path / "cache", unlabelled=True).labels.tolist() == [0, 1, -1, -1]
    assert "must be 0 or more" in str(read(dataset, tmp_path / "cache").label_problem)


def test_a_second_set_and_conditions_are_rejected(tmp_path):
    with pytest.raises(InputError, match=r"cache= \(--cache\) is for one dataset"):
        genaug.fit(
            "ssgan",
            Counted(),
            out=tmp_path / "run",
            steps=1,
            unlabelled=Counted(),
            cache=tmp_path / "c",
            progress=False,
        )
    with pytest.raises(InputError, match="'pix2pix' needs more than images"):
        genaug.fit("pix2pix", Counted(), out=tmp_path / "run", steps=1, cache=tmp_path / "c", progress=False)
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize("name", ["images.npy", "labels.npy", "cache.json"])
def test_damage_is_reported(tmp_path, name):
    cache = tmp_path / "cache"
    read(Counted(), cache)
    content = (cache / name).read_bytes()
    (cache / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(genaug.errors.GenaugError, match="Remove the folder, so that it is filled again"):
        read(Counted(), cache)


def test_a_folder_with_other_files_is_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(OutputExistsError, match="genaug didn't write"):
        read(Counted(), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_full_disk_is_reported_and_the_filling_goes_on_elsewhere(small_disk, tmp_path):
    disk = small_disk("1M")
    with pytest.raises(SaveError, match="The disk is full"):
        read(Counted(count=300, shape=(3, 64, 64)), disk / "cache")


def test_a_process_that_does_not_fill_waits_for_the_one_that_does(tmp_path, monkeypatch):
    from threading import Timer

    dataset = Counted()
    monkeypatch.setattr(image_cache, "_PATIENCE", 20.0)
    filling = Timer(0.5, read, (Counted(), tmp_path / "cache"))
    filling.start()
    data = ImageCache(tmp_path / "cache", fills=False).read(dataset, None, lambda count: None)
    filling.join()
    assert torch.equal(data.x, dataset.images)
    monkeypatch.setattr(image_cache, "_PATIENCE", 0.3)
    with pytest.raises(InputError, match=r"should fill the cache in .*, and doesn't"):
        ImageCache(tmp_path / "nothing", fills=False).read(dataset, None, lambda count: None)


def test_the_command_trains_from_a_cache_and_a_resumed_run_remembers_it(tmp_path):
    arguments = ["train", "cgan", "--data", "digits", "--out", str(tmp_path / "run"), "--set", "width=4"]
    arguments += ["--set", "max_width=8", "--checkpoint-every", "1", "--device", "cpu"]
    result = CliRunner().invoke(app, [*arguments, "--steps", "1", "--cache", str(tmp_path / "cache")])
    assert result.exit_code == 0, result.output
    assert (tmp_path / "cache" / "images.npy").exists()
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["command"]["cache"] == str(tmp_path / "cache")
    (tmp_path / "cache" / "labels.npy").write_bytes(b"damaged")
    result = CliRunner().invoke(app, ["train", "--out", str(tmp_path / "run"), "--resume", "--steps", "2"])
    assert result.exit_code != 0
    assert "damaged" in result.output
