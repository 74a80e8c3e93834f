import json

import numpy as np
import pytest
import torch
from PIL import Image

from genaug import export
from genaug.errors import OutputExistsError
from genaug.export import folder_names, write_class_folders

IMAGES = torch.arange(6, dtype=torch.uint8)[:, None, None, None].expand(6, 1, 2, 3).contiguous()
LABELS = torch.tensor([1, 0, 1, 1, 0, 1])


def test_every_image_lies_in_its_class_bit_for_bit(tmp_path):
    write_class_folders(tmp_path / "out", IMAGES, LABELS, ["cat", "dog"], {"seed": 3})
    found = {str(p.relative_to(tmp_path)): int(np.asarray(Image.open(p)).max()) for p in tmp_path.rglob("*.png")}
    dogs = {f"out/dog/{i:05d}.png": value for i, value in enumerate([0, 2, 3, 5])}
    assert found == {"out/cat/00000.png": 1, "out/cat/00001.png": 4, **dogs}
    assert json.loads((tmp_path / "out" / "samples.json").read_text()) == {"seed": 3}
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_without_labels_the_files_lie_in_the_folder_itself(tmp_path):
    write_class_folders(tmp_path / "out", IMAGES, None, 0, {})
    assert len(list((tmp_path / "out").glob("*.png"))) == 6


def test_only_samples_of_ours_are_replaced(tmp_path):
    out = tmp_path / "out"
    write_class_folders(out, IMAGES, LABELS, 2, {})
    with pytest.raises(OutputExistsError, match="--overwrite"):
        write_class_folders(out, IMAGES[:1], LABELS[:1], 2, {})
    write_class_folders(out, IMAGES[:1], LABELS[:1], 2, {}, overwrite=True)
    assert len(list(out.rglob("*.png"))) == 1
    (out / "samples.json").unlink()
    with pytest.raises(OutputExistsError, match="left alone"):
        write_class_folders(out, IMAGES, LABELS, 2, {}, overwrite=True)
    assert len(list(out.rglob("*.png"))) == 1


def test_a_failure_leaves_what_was_there(tmp_path, monkeypatch):
    write_class_folders(tmp_path / "out", IMAGES, LABELS, 2, {})
    before = sorted(tmp_path.rglob("*"))

    def broken(image):
        raise ValueError("broken")

    monkeypatch.setattr(export, "to_pil", broken)
    with pytest.raises(ValueError, match="broken"):
        write_class_folders(tmp_path / "out", IMAGES, LABELS, 2, {}, overwrite=True)
    assert sorted(tmp_path.rglob("*")) == before


def test_class_names_cant_lead_out_of_the_folder():
    names = folder_names(["../../etc", "/root", "..", "", "a/b", "a_b", "Cat", "cat", "naïve 7", "samples.json"])
    assert len({name.lower() for name in names}) == len(names)
    assert all(name and "/" not in name and "\\" not in name and not name.startswith(".") for name in names)
    assert names[8] == "naïve 7"
    assert names[9] != "samples.json"


def test_numbers_sort_as_labels():
    assert folder_names(11)[:3] == ["00", "01", "02"]
    assert sorted(folder_names(101)) == folder_names(101)
