"""Recipes: rare classes that a generator sees more often."""

import re

import pytest
import torch
from helpers.toy import ToySet
from torch.utils.data import Subset
from typer.testing import CliRunner

import genaug
from genaug.cli import app
from genaug.errors import InputError
from genaug.studies import Recipe
from genaug.studies.advice_sources import Needs, source_code

TINY = {"steps": 2, "batch_size": 6, "config": {"width": 4, "max_width": 8, "latent_size": 4}}
STUDY = {"seeds": 2, "ratios": (0.5,), "updates": 2, "batch_size": 8, "device": "cpu", "progress": False}


def imbalanced():
    """30 images of class 0, and three of each other class."""
    data = ToySet(30, 0)
    labels = torch.tensor([data[index][1] for index in range(len(data))])
    rows = torch.cat([torch.nonzero(labels == label).flatten()[: 30 if label == 0 else 3] for label in labels.unique()])
    return Subset(data, rows.tolist())


def test_a_study_trains_on_balanced_batches_and_says_so(monkeypatch, tmp_path):
    balances = []

    def fit(*arguments, balance=None, **options):
        balances.append(balance)
        return genaug.fit(*arguments, balance=balance, **options)

    monkeypatch.setattr("genaug.studies.sources.fit", fit)
    sources = {"balanced": Recipe("cgan", balance="uniform", **TINY), "plain": Recipe("cgan", **TINY)}
    report = genaug.study(imbalanced(), ToySet(10, 1), sources=sources, metric="macro_f1", **STUDY)
    assert report.details["failures"] == []
    assert set(balances) == {"uniform", None}
    assert report.details["settings"]["sources"]["balanced"]["balance"] == "uniform"
    assert "Rare classes are shown more often (uniform)." in report.html
    assert report.html.count("shown more often") == 1


def test_the_advice_and_the_repr_have_it():
    recipe = Recipe("cgan", balance="sqrt", augment=(), **TINY)
    assert "balance='sqrt'" in source_code("cgan", recipe, {"image_size": None}, Needs())
    assert re.search(r"Recipe\('cgan'.*balance='sqrt'\)", repr(recipe))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"balance": "equal"}, "must be 'uniform'"),
        ({"balance": True}, "must be 'uniform'"),
        ({"balance": "sqrt", "unlabelled": ToySet(2, 2)}, "pass only one"),
    ],
)
def test_what_cannot_be_balanced_is_an_error(options, message):
    with pytest.raises(InputError, match=message):
        Recipe("ssgan", **options)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["cgan", "--balance", "equal"], "must be 'uniform'"),
        (["folder:{tmp}", "--balance", "sqrt"], "--balance is for backends to train"),
    ],
)
def test_the_command_line_checks_it_before_anything_is_trained(tmp_path, arguments, message):
    command = ["study", *(each.format(tmp=tmp_path) for each in arguments), "--out", str(tmp_path / "study")]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 1
    assert message in " ".join(result.output.split())
    assert not (tmp_path / "study").exists()
