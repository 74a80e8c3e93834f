"""The generators that are published from this repository."""

from pathlib import Path

import pytest
import torch
from huggingface_hub import ModelCard

import genaug
from genaug.backends import registry
from genaug.data.datasets import load_data
from genaug.data.reading import read_samples
from genaug.hub.card import read_card
from genaug.hub.pull import PUBLISHED
from genaug.training.statistics import recompute_statistics

CARDS = Path(__file__).parents[2] / "model_cards"


@pytest.mark.parametrize(("name", "shape"), [("digits-cgan", (1, 8, 8)), ("mnist-cgan", (1, 28, 28))])
class TestCard:
    def test_it_loads_and_its_classes_differ(self, name, shape):
        generator = genaug.load(CARDS / name, device="cpu")
        labels = torch.arange(10).repeat_interleave(20)
        images, returned = generator.sample(labels=labels, seed=0)
        assert images.shape == (200, *shape)
        assert torch.equal(returned, labels)
        means = images.float().unflatten(0, (10, 20)).mean(1).flatten(1)
        assert float(torch.nn.functional.pdist(means).min()) > 0.05 * 255 * (shape[1] * shape[2]) ** 0.5

    def test_it_is_small_and_complete(self, name, shape):
        assert (CARDS / name / "model.safetensors").stat().st_size <= 4_000_000
        assert {path.name for path in (CARDS / name).iterdir()} >= set(PUBLISHED) - {"recipe.json"}

    def test_the_card_has_the_metadata_of_the_hub(self, name, shape):
        card = ModelCard(read_card(CARDS / name))
        assert card.data.library_name == "genaug"
        assert card.data.license == "apache-2.0"
        assert f'genaug.load("genaug/{name}")' in card.text


@pytest.mark.usefixtures("all_samples_for_statistics")
def test_the_statistics_are_those_of_the_weights():
    """They equal those of ``model_cards/recipe.py``, up to rounding."""
    generator = genaug.load(CARDS / "digits-cgan", device="cpu")
    published = {name: tensor.clone() for name, tensor in generator.network.named_buffers() if "running" in name}
    data = read_samples(load_data("digits", split="train"))
    recompute_statistics(registry.resolve("cgan"), generator.spec, generator.nets, data, generator.training["seed"])
    buffers = dict(generator.network.named_buffers())
    assert len(published) == 4
    for name, tensor in published.items():
        assert torch.allclose(tensor, buffers[name], rtol=1e-3, atol=1e-3), name
