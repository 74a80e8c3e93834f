"""What a card says about the training data: stated once, kept from then on, and never guessed."""

import json

import pytest
import yaml
from helpers.publishing import REPO, card_of, edit, push

import genaug
from genaug.errors import InputError
from genaug.hub.card import write_card
from genaug.hub.training_data import check_training_data, known_data

ROSES = {"dataset_name": "Roses", "dataset_url": "https://roses.example/data", "dataset_license": "CC BY 4.0"}
SENTENCE = "Training data: [Roses](https://roses.example/data). License of the data: CC BY 4.0."


def metadata(hub, repo=REPO):
    return yaml.safe_load(hub.repos[repo].files["README.md"].decode().split("---")[1])


def test_unknown_facts_are_not_guessed(hub, generator):
    push(generator)
    assert "Training data: not stated. License of the data: not stated." in card_of(hub)
    assert "training_data" not in metadata(hub)
    assert "datasets" not in metadata(hub)


def test_statements_are_on_the_card(hub, generator):
    push(generator, **ROSES)
    assert SENTENCE in card_of(hub)
    assert metadata(hub)["license"] == "apache-2.0", "the license of the weights is separate"
    assert "datasets" not in metadata(hub), "only the Hub's own datasets belong there"


def test_it_needs_to_be_stated_only_once(hub, saved, make_generator, tmp_path):
    push(saved, **ROSES)
    push(genaug.load(saved.folder, device="cpu"), commit_message="again")  # the card on the Hub knows
    assert SENTENCE in card_of(hub)
    push(make_generator(weights_seed=1))  # other weights of the same repo
    assert SENTENCE in card_of(hub)
    genaug.load(REPO, device="cpu").push("owner/copy", license="mit")  # config.json knows
    assert SENTENCE in hub.repos["owner/copy"].files["README.md"].decode()
    saved.push("owner/second", license="mit")  # and so does the generator
    assert SENTENCE in hub.repos["owner/second"].files["README.md"].decode()
    copy = genaug.load(saved.save(tmp_path / "copy"), device="cpu")
    copy.push("owner/third", license="mit")
    assert SENTENCE in hub.repos["owner/third"].files["README.md"].decode()


def test_a_dry_run_remembers_nothing(hub, generator):
    assert SENTENCE in push(generator, dry_run=True, **ROSES).card
    assert "training_data" not in generator.training


def test_a_new_value_replaces_the_old_one(hub, generator):
    push(generator, **ROSES)
    push(generator, dataset_license="CC0")
    assert "[Roses](https://roses.example/data). License of the data: CC0." in card_of(hub)
    push(generator, dataset_name="Tulips")  # another dataset, to which the statements about the roses don't apply
    assert "Training data: Tulips. License of the data: not stated." in card_of(hub)


def test_people_may_state_it_in_the_metadata(hub, saved):
    head = "---\nlicense: mit\ntraining_data:\n  name: Roses\n  license: CC0\n---\n"
    (saved.folder / "README.md").write_text(f"{head}Mine.\n")
    saved.push(REPO)
    assert "Training data: Roses. License of the data: CC0." in card_of(hub)
    edit(hub, lambda card: card.replace("name: Roses", "name: Roses\n  url: [1]"))
    with pytest.raises(InputError, match=r"metadata of README.md, training_data: .* not a dataset's URL"):
        saved.push(REPO)


def test_an_entry_of_another_form_is_kept(hub, generator):
    hub.repo(REPO, {"README.md": b"---\nlicense: mit\ntraining_data: my garden\n---\nMine.\n"})
    push(generator)
    assert metadata(hub)["training_data"] == "my garden"


@pytest.mark.parametrize(
    ("name", "sentence", "datasets"),
    [
        ("MNIST", "[MNIST](https://huggingface.co/datasets/ylecun/mnist). License of the data: not", ["ylecun/mnist"]),
        ("FashionMNIST", "/zalando-datasets/fashion_mnist). License of the data: MIT.", None),
        ("Digits", "https://archive.ics.uci.edu/dataset/80/", []),
        ("Flowers102", "Training data: Flowers102. License of the data: not stated.", []),
        ("FolderImages", "Training data: not stated. License of the data: not stated.", []),
        ("ClassFolders", "Training data: not stated. License of the data: not stated.", []),
    ],
)
def test_well_known_data(hub, generator, name, sentence, datasets):
    generator.training["data"] = name
    push(generator)
    assert sentence in card_of(hub)
    if datasets is not None:
        assert metadata(hub).get("datasets", []) == datasets
    assert "training_data" not in metadata(hub), "only statements of people are recorded as such"


def test_a_stated_name_replaces_that_of_the_record(hub, generator):
    generator.training["data"] = "MNIST"
    push(generator, dataset_name="Half of MNIST")
    assert "Training data: Half of MNIST. License of the data: not stated." in card_of(hub)
    assert "datasets" not in metadata(hub)


@pytest.mark.parametrize("url", ["owner/roses", "https://huggingface.co/datasets/owner/roses"])
def test_a_data_set_on_the_hub_is_linked_in_the_metadata(hub, generator, url):
    push(generator, dataset_url=url, dataset_name="Roses")
    assert "[Roses](https://huggingface.co/datasets/owner/roses)" in card_of(hub)
    assert metadata(hub)["datasets"] == ["owner/roses"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dataset_name": ""}, "not a dataset's name"),
        ({"dataset_name": "a\nb"}, "not a dataset's name"),
        ({"dataset_name": "x" * 201}, "not a dataset's name"),
        ({"dataset_license": "unknown"}, "is not the license of a dataset"),
        ({"dataset_license": " "}, "not a dataset's license"),
        ({"dataset_url": "roses"}, "not a link to a dataset"),
        ({"dataset_url": "example.com/data"}, "not a link to a dataset"),
        ({"dataset_url": "javascript:alert(1)"}, "not a link to a dataset"),
        ({"dataset_url": "https://me:secret@roses.example"}, "not a link to a dataset"),
        ({"dataset_url": "https://roses.example/a b"}, "not a link to a dataset"),
        ({"dataset_url": "https://[::1"}, "not a link to a dataset"),
        ({"dataset_url": 3}, "not a dataset's URL"),
    ],
)
def test_invalid_statements_are_rejected(hub, generator, options, message):
    with pytest.raises(InputError, match=message):
        push(generator, **options)
    assert not hub.log


def test_markdown_in_a_name_is_escaped(hub, generator):
    push(generator, dataset_name="[x](y) <b>|", dataset_url="https://roses.example/a_(b)")
    assert r"[\[x&#93;(y) &lt;b&gt;\|](https://roses.example/a_%28b%29)" in card_of(hub)


def test_a_card_in_a_folder_keeps_statements(saved):
    write_card(saved.folder, REPO, license="mit", **ROSES)
    assert SENTENCE in write_card(saved.folder, REPO).read_text()


def test_config_json_has_the_statements(hub, generator):
    push(generator, **ROSES)
    config = json.loads(hub.repos[REPO].files["config.json"])
    assert config["training"]["training_data"] == {
        "name": "Roses",
        "url": "https://roses.example/data",
        "license": "CC BY 4.0",
    }


def test_names_are_recognized_in_any_form():
    assert known_data("torchvision:MNIST") == known_data("mnist") == known_data("MNIST")
    assert known_data(None) == known_data(3) == check_training_data()
