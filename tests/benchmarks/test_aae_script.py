"""The script of the adversarial autoencoder from start to figures on the embedded digits."""

import json

import pytest
import torch

from benchmarks.papers import aae, encoder_measures
from genaug.backends import Normal, Spec
from genaug.modalities.image import Image

SMALL = {"classifier": {"width": 4, "max_width": 8}, "codes": {"hidden": [16]}}
TINY = ["--data", "digits", "--steps", "3", "--set", "discriminator_hidden=[8]", "--json"]


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Calls the script with its results and runs under ``tmp_path``: its last line, and all it said."""
    monkeypatch.setattr(aae, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(aae, "RUNS", tmp_path / "runs")
    monkeypatch.setattr(aae, "BATCH", 16)
    monkeypatch.setattr(aae, "CONFIG", {part: {**aae.CONFIG[part], **SMALL[part]} for part in SMALL})

    def call(*arguments):
        aae.main([*TINY, *arguments])
        captured = capsys.readouterr()
        return json.loads(captured.out.splitlines()[-1]), captured.out + captured.err

    return call


def rows_of(tmp_path):
    return [json.loads(line) for line in (tmp_path / "results" / "aae.jsonl").read_text().splitlines()]


def test_from_start_to_figures_and_on_from_there(run, tmp_path, monkeypatch):
    first, output = run("--draws", "1")
    rows = rows_of(tmp_path)
    assert [(row["part"], row["variant"]) for row in rows] == [
        ("classifier", "few labels"),
        ("codes", "without labels"),
        ("codes", "with labels"),
    ]
    assert [row["labels"] for row in rows] == [100, 0, 1297]
    assert all(row["test_images"] == 500 for row in rows)
    assert rows[0]["error"] == rows[0]["errors"] / 500 == first["mean_error"]
    assert first["max_ks"] == max(*rows[1]["ks"], *rows[2]["ks"])
    assert first["met"] is False
    assert "hours of training" in output
    pictures = {path.name for path in (tmp_path / "results").glob("*.png")}
    assert pictures == {"aae_codes.png", "aae_style.png"}
    monkeypatch.setattr(aae, "fit", lambda *_: pytest.fail("all trainings are finished"))
    again, _ = run("--draws", "1")
    assert again == first
    assert len(rows_of(tmp_path)) == 3


def test_tuning_draws_are_tested_on_training_images_that_were_held_out(run, tmp_path, monkeypatch):
    fit, sets = aae.fit, []
    monkeypatch.setattr(aae, "fit", lambda key, train, test: sets.append((train, test)) or fit(key, train, test))
    run("--draws", "1", "--first-draw", "100", "--only", "classifier")
    (row,) = rows_of(tmp_path)
    ((train, test),) = sets
    assert row["test_images"] == len(test) == 1297 // 6
    assert train.dataset is test.dataset
    assert sorted([*train.indices, *test.indices]) == list(range(1297))
    assert not list((tmp_path / "results").glob("*.png"))


def test_an_interrupted_training_goes_on(run, tmp_path, monkeypatch):
    fit, resumed = aae.genaug.fit, []

    def stopped(*arguments, **options):
        fit(*arguments, **{**options, "steps": 2})
        raise KeyboardInterrupt

    monkeypatch.setattr(aae.genaug, "fit", stopped)
    with pytest.raises(KeyboardInterrupt):
        run("--draws", "1", "--only", "classifier")
    monkeypatch.setattr(
        aae.genaug, "fit", lambda *arguments, **options: resumed.append(options["resume"]) or fit(*arguments, **options)
    )
    run("--draws", "1", "--only", "classifier")
    assert resumed == [True]
    assert len(list((tmp_path / "runs" / "aae").iterdir())) == 1


class Decoder:
    """A generator whose images show the two codes of each point."""

    def __init__(self, classes=None):
        self.spec = Spec(sample=Image(1, 1, 2), classes=classes, latents=(Normal(size=2),))

    def decode(self, z, labels=None):
        self.labels = labels
        return z[:, None, None, :]

    def encode(self, images, labels=None):
        return {"z": images[:, 0, 0, :].float() / 100}


def test_the_distance_is_that_from_the_prior():
    values = 5 * torch.special.ndtri((torch.arange(1000) + 0.5).double() / 1000)
    assert aae.distance(values) == pytest.approx(0.0005)
    assert aae.distance(values + 5) == pytest.approx(0.3829, abs=1e-3)  # of N(0, 1) and N(1, 1), at 1/2
    images = torch.tensor([[100, 50], [0, 200]], dtype=torch.uint8)[:, None, None, :]
    assert aae.codes_of(Decoder(), images, torch.tensor([0, 1])).tolist() == [[5, 2.5], [0, 10]]


@pytest.mark.parametrize("classes", [None, 10])
def test_a_grid_has_the_first_code_across_and_the_second_one_up(classes):
    decoder = Decoder(classes)
    picture = aae.grid(decoder)
    across, up = picture[:, 0::2], picture[:, 1::2]
    axis = Normal(size=2).axis(aae.SIDE)
    assert all(torch.equal(row, axis) for row in across)
    assert all(torch.equal(column, axis.flip(0)) for column in up.T)
    assert decoder.labels is None if classes is None else decoder.labels.tolist() == [aae.SHOWN] * aae.SIDE**2


@pytest.mark.parametrize(("errors", "met"), [((400, 500, 600), True), ((400, 500, 601), False)])
def test_the_targets_are_for_the_mean_error_and_for_every_distance(errors, met):
    rows = [{"part": "classifier", "seed": i, "error": e / 1e4, "errors": e} for i, e in enumerate(errors)]
    rows += [{"part": "codes", "variant": v, "seed": 0, "ks": [0.05, 0.04]} for v in aae.CODES]
    rows += [{"part": "codes", "variant": v, "seed": 1, "ks": [0.01, 0.06]} for v in ("with labels",)]
    measures = encoder_measures.aae(rows)
    assert measures[0].met is met
    assert f"mean {sum(errors) / 3e4:.2%}" in measures[0].label
    without, labeled = (next(m for m in measures if m.bound and variant in m.label) for variant in aae.CODES)
    assert without.values == {0: 0.05}
    assert without.met is True
    assert labeled.values == {0: 0.05, 1: 0.06}
    assert labeled.met is False
