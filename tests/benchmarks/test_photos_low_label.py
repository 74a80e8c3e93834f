"""The studies of photographs from start to table, on a few images of 8x8 pixels."""

import json
import sys

import pytest
import torch

from benchmarks.studies import photos_low_label
from genaug import SamplePool
from genaug.errors import InputError
from genaug.studies import Recipe

TINY = {"width": 4, "max_width": 8, "latent_size": 4}


class Columns(torch.utils.data.Dataset):
    """Two classes of colour images: the left or the right half is bright."""

    def __init__(self, per_class, seed):
        self.targets, self.classes = [0, 1] * per_class, ["left", "right"]
        noise = torch.rand(2 * per_class, 3, 8, 8, generator=torch.Generator().manual_seed(seed)) * 120
        self.images = noise.to(torch.uint8)
        for image, label in zip(self.images, self.targets, strict=True):
            image[:, :, 4 * label : 4 * label + 4] += 130

    def __len__(self):
        return len(self.targets)

    def __getitem__(self, index):
        return self.images[index], self.targets[index]


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    sets = {"train": Columns(30, 0), "test": Columns(20, 1)}
    monkeypatch.setattr(photos_low_label, "load_data", lambda name, split: sets[split])
    monkeypatch.setattr(photos_low_label, "RESERVED_PER_CLASS", 20)
    monkeypatch.setattr(photos_low_label, "CLASSIC", torch.nn.Identity())
    monkeypatch.setattr(photos_low_label, "OWN", Recipe("cgan", steps=1, batch_size=2, config=TINY))
    for settings in photos_low_label.GENERATORS.values():
        monkeypatch.setitem(settings, "steps", 1)
    monkeypatch.setitem(photos_low_label.GENERATORS["cgan"], "config", TINY)
    monkeypatch.setitem(photos_low_label.GENERATORS["unlabelled"], "config", {**TINY, "conditional": False})
    sources = {"pretrained": ("cgan",), "unlabelled": ("unlabelled",), "own images": ("own",)}
    monkeypatch.setattr(
        photos_low_label, "STUDIES", {f"10 labels, {name}": (9, names) for name, names in sources.items()}
    )

    def call(*arguments):
        words = ["--out", tmp_path / "runs", "--results", tmp_path / "cells.jsonl", "--seeds", 2, "--updates", 2]
        monkeypatch.setattr(sys, "argv", ["photos_low_label", *map(str, [*words, "--root", "none", *arguments])])
        photos_low_label.main()
        return capsys.readouterr().out

    return call


def test_from_start_to_the_table_of_what_is_recorded(run, monkeypatch):
    monkeypatch.setattr(
        photos_low_label, "labelled_by_seed", lambda images, seed, generator: SamplePool.from_dataset(images)
    )
    result = json.loads(run("--json").splitlines()[-1])
    for name in ("pretrained", "unlabelled", "own_images"):
        assert result[f"10_labels_{name}_verdict"] in ("use", "don't use", "no evidence")
    for source in ("pretrained_cgan", "unlabelled_unlabelled", "own_images_own"):
        study, _, arm = source.rpartition("_")
        assert 0 <= result[f"10_labels_{study}_accuracy_classic_and_{arm}_0.8"] <= 100
    table = run("--table", "--json")
    again = json.loads(table.splitlines()[-1])
    assert {k: v for k, v in again.items() if "hours" not in k} == {k: v for k, v in result.items() if "hours" not in k}
    assert table.count("| arm |") == 3


def test_labels_that_cannot_be_had_are_failures_in_the_table(run, monkeypatch):
    def refuse(images, seed, generator):
        raise InputError("class 0 wasn't found.")

    monkeypatch.setattr(photos_low_label, "labelled_by_seed", refuse)
    run("--study", "10 labels, unlabelled")
    assert "classic + unlabelled 0.5: InputError: class 0 wasn't found." in run("--table")


def test_a_generator_is_trained_alone_on_images_that_no_seed_uses(run, monkeypatch):
    sizes = []
    fit = photos_low_label.genaug.fit
    monkeypatch.setattr(
        photos_low_label.genaug, "fit", lambda name, images, **rest: sizes.append(images) or fit(name, images, **rest)
    )
    run("--train", "cgan")
    run("--train", "unlabelled")
    assert [len(images) for images in sizes] == [20, 20]
    assert len(sizes[0][0]) == 2
    assert isinstance(sizes[1][0], torch.Tensor), "no label"
