"""Every code block of the README runs, in its order, as a reader would run it; only the training is cut short."""

from pathlib import Path

import pytest
from helpers.pages import blocks_of, follow
from helpers.tiny_files import write_jpegs

README = Path(__file__).parents[2] / "README.md"
PYTHON = [block.text for block in blocks_of(README) if block.language == "python"]


def test_the_blocks_run_one_after_another(tmp_path, monkeypatch):
    pytest.importorskip("timm")
    assert sum("loader = " in text for text in PYTHON) >= 3
    assert not any(block.reason for block in blocks_of(README)), "the README has nothing that can't be run here"
    write_jpegs(tmp_path / "photos" / "train", each=40)
    (tmp_path / "model_cards").symlink_to(README.parent / "model_cards")
    assert follow(README, tmp_path, monkeypatch) == len(blocks_of(README))


def test_a_timm_loader_over_a_folder_of_jpegs_takes_less_than_ten_lines():
    (block,) = (text for text in PYTHON if "create_loader(" in text)
    assert "ImageFolder(" in block
    assert len(["import genaug", *filter(str.strip, block.splitlines())]) < 10


def test_a_blended_loader_stands_in_the_first_30_lines():
    beginning = "\n".join(README.read_text().splitlines()[:30])
    assert "pip install genaug" in beginning
    assert "MixedDataset(" in beginning
    assert "DataLoader(" in beginning
    assert "`create_loader`" in beginning, "a timm user must see that the next block is theirs"
