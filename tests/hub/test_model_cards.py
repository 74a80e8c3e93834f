"""The generators in model_cards/ can be published as they are, and load the same."""

from pathlib import Path

import pytest
import torch

import genaug
from genaug.hub.card import read_card

CARDS = Path(__file__).parents[2] / "model_cards"


@pytest.mark.parametrize("name", ["digits-cgan", "mnist-cgan"])
def test_pushed_and_pulled(hub, name):
    generator = genaug.load(CARDS / name, device="cpu")
    published = generator.push(f"owner/{name}", tag="v1")
    pulled = genaug.load(f"owner/{name}", revision="v1", device="cpu")
    assert torch.equal(pulled.sample(20, seed=3)[0], generator.sample(20, seed=3)[0])
    card = published.files["README.md"].decode()
    assert "apache-2.0" in card
    figures = [line for line in read_card(CARDS / name).splitlines() if line.startswith("| fidelity")]
    assert figures
    assert all(line in card for line in figures)
