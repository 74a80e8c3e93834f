"""The study of erased and filled in images from start to table, on a few images of 8x8 pixels."""

import json

import pytest
import torch
from torch.utils.data import TensorDataset

from benchmarks.studies import erased


def halves(per_class, seed):
    """Two classes of colour images: the left or the right half is bright."""
    labels = torch.arange(2).repeat(per_class)
    images = (torch.rand(2 * per_class, 3, 8, 8, generator=torch.Generator().manual_seed(seed)) * 120).to(torch.uint8)
    for image, label in zip(images, labels.tolist(), strict=True):
        image[:, :, 4 * label : 4 * label + 4] += 130
    return TensorDataset(images, labels)


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    sets = {"train": halves(30, 0), "test": halves(20, 1)}
    monkeypatch.setattr(erased, "load_data", lambda name, split: sets[split])
    monkeypatch.setattr(erased, "RESERVED_PER_CLASS", 20)
    monkeypatch.setattr(erased, "LABELS", 9)
    monkeypatch.setattr(erased, "STEPS", 1)
    monkeypatch.setattr(erased, "CONFIG", {"width": 4, "max_width": 8})

    def call(*arguments):
        words = ["--out", tmp_path / "runs", "--results", tmp_path / "cells.jsonl", "--seeds", 2, "--updates", 2]
        erased.main([str(word) for word in [*words, "--root", "none", *arguments]])
        return capsys.readouterr().out

    return call


def test_from_start_to_the_table_of_what_is_recorded(run):
    result = json.loads(run("--json").splitlines()[-1])
    study = "100_labels_erased_and_filled_in"
    assert result[f"{study}_verdict"] in ("use", "don't use", "no evidence")
    arms = [name.removeprefix(f"{study}_accuracy_") for name in result if "accuracy" in name]
    assert {"classic", "filled_0.5", "classic_and_filled_0.25"} <= set(arms)
    table = run("--table", "--json")
    assert table.count("| arm |") == 1
    again = json.loads(table.splitlines()[-1])
    assert {k: v for k, v in again.items() if "hours" not in k} == {k: v for k, v in result.items() if "hours" not in k}


def test_the_baseline_erases_parts_of_about_half_of_the_images():
    torch.manual_seed(0)
    images = torch.full((200, 3, 32, 32), 255, dtype=torch.uint8)
    changed = [(erased.random_erasing(image) == 0).float().mean().item() for image in images]
    assert 0.35 < sum(share > 0 for share in changed) / 200 < 0.65
    assert min(share for share in changed if share) > 0.019
    assert max(changed) < 0.34


def test_each_seeds_own_images_are_filled_in(monkeypatch):
    seen = {}
    monkeypatch.setattr(erased.genaug, "erase_and_fill", lambda generator, images: seen.update(locals()) or "source")
    assert erased.filled_in("images", 3, generator="generator") == "source"
    assert (seen["generator"], seen["images"]) == ("generator", "images")
