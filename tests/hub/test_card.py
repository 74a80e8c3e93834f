"""Cards written into a generator's folder, and the sample grid."""

import io

import pytest
from huggingface_hub import ModelCard
from PIL import Image

import genaug
from genaug import modalities
from genaug.artifacts.figures import write_evaluation
from genaug.errors import InputError
from genaug.hub.card import write_card
from genaug.hub.contents import draw_samples

REPO = "owner/digits"


@pytest.fixture
def folder(make_generator, tmp_path):
    return make_generator(num_classes=3).save(tmp_path / "digits")


def test_a_card_in_a_folder_equals_the_one_that_a_push_sends(folder, hub):
    write_evaluation(folder, {"kid": {"value": 0.02, "samples": 2048}})
    path = write_card(folder, REPO, license="Apache-2.0")
    assert path == folder / "README.md"
    published = genaug.load(folder, device="cpu").push(REPO)
    assert published.card == path.read_text()
    assert published.files["samples.png"] == (folder / "samples.png").read_bytes()


def test_an_existing_card_keeps_its_text_license_and_figures(folder):
    write_evaluation(folder, {"kid": {"value": 0.02}})
    path = write_card(folder, REPO, license="mit")
    path.write_text(path.read_text() + "\nMine.\n")
    (folder / "evaluation.json").unlink()
    write_card(folder, REPO)
    card = ModelCard.load(path)
    assert "\nMine.\n" in card.text
    assert "| 0.02 |" in card.text
    assert card.data.license == "mit"
    assert card.data.eval_results[0].metric_value == 0.02


def test_a_card_needs_a_license(folder):
    (folder / "README.md").write_text("---\nlicense: unknown\n---\nMine.\n")
    with pytest.raises(InputError, match="a card needs a license"):
        write_card(folder, REPO)
    (folder / "README.md").unlink()
    with pytest.raises(InputError, match="a card needs a license"):
        write_card(folder, REPO)
    assert not (folder / "README.md").exists()


@pytest.mark.parametrize(
    ("shape", "num_classes", "most"),
    [((1, 8, 8), 0, 100), ((1, 8, 8), 3, 30), ((3, 8, 8), 50, 200), ((1, 2048, 2048), 4, 8)],
)
def test_the_grid_shows_the_first_samples_and_is_bounded(make_generator, monkeypatch, shape, num_classes, most):
    generator = make_generator(num_classes=num_classes)
    requests = []

    def sample(n=None, *, labels=None, seed=None):
        requests.append((n if labels is None else len(labels), seed))
        import torch

        return torch.zeros(requests[-1][0], 1, 8, 8, dtype=torch.uint8), labels

    monkeypatch.setattr(generator, "spec", generator.spec.model_copy(update={"sample": modalities.Image(*shape)}))
    monkeypatch.setattr(generator, "sample", sample)
    picture = Image.open(io.BytesIO(draw_samples(generator)))
    assert picture.format == "PNG"
    assert requests == [(most, 0)]


def test_the_training_record_may_contain_anything(make_generator, tmp_path):
    generator = make_generator()
    generator.training |= {
        "config": {"lr": 0.1, "nested": {"a": [1, 2], "b": "\\|"}},
        "augment": [],
        "a | b": "<b>\n\n# no heading",
        **{f"entry{i}": i for i in range(500)},
    }
    card = write_card(generator.save(tmp_path / "g"), REPO, license="mit").read_text()
    assert "| config.lr | 0.1 |" in card
    assert r'| config.nested | {"a": \[1, 2], "b": "\\\\\|"} |' in card
    assert "| a \\| b | &lt;b&gt; # no heading |" in card
    assert "augment |" not in card
    assert len(card.splitlines()) < 200
