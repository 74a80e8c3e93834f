"""The script of the semi-supervised GAN from start to figures on the embedded digits."""

import json

import pytest
import torch

from benchmarks.papers import encoder_measures, ssgan
from genaug.training.checkpoint import newest_step

TINY = ["--data", "digits", "--steps", "3", "--set", "hidden=[16,8]", "--set", "generator_hidden=[16]", "--json"]


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Calls the script with its results and runs under ``tmp_path``: its last line, and all it said."""
    monkeypatch.setattr(ssgan, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(ssgan, "RUNS", tmp_path / "runs")
    monkeypatch.setattr(ssgan, "BATCH", 16)

    def call(*arguments):
        ssgan.main([*TINY, *arguments])
        captured = capsys.readouterr()
        return json.loads(captured.out.splitlines()[-1]), captured.out + captured.err

    return call


def rows_of(tmp_path):
    return [json.loads(line) for line in (tmp_path / "results" / "ssgan.jsonl").read_text().splitlines()]


def test_from_start_to_figures_and_on_from_there(run, tmp_path, monkeypatch):
    first, output = run("--draws", "2")
    rows = rows_of(tmp_path)
    assert [row["seed"] for row in rows] == [0, 1]
    assert [row["labels"] for row in rows] == [100, 100]
    assert all(row["error"] == row["errors"] / 500 and row["test_images"] == 500 for row in rows)
    assert first["mean_error"] == pytest.approx((rows[0]["error"] + rows[1]["error"]) / 2)
    assert first["met"] is False
    assert all(row["config"]["label_weight"] == 1e-6 for row in rows)
    assert " h" in output
    assert "hours of training" in output
    assert "Salimans et al. 2016" in output
    monkeypatch.setattr(ssgan, "train", lambda *_: pytest.fail("both draws are finished"))
    again, _ = run("--draws", "2")
    assert again == first
    assert len(rows_of(tmp_path)) == 2


def test_an_interrupted_training_goes_on(run, tmp_path, monkeypatch):
    result, _ = run("--draws", "1")
    fit = ssgan.genaug.fit

    def stopped(*arguments, **options):
        fit(*arguments, **{**options, "steps": 2})
        raise KeyboardInterrupt

    monkeypatch.setattr(ssgan, "RESULTS", tmp_path / "results again")
    monkeypatch.setattr(ssgan, "RUNS", tmp_path / "runs again")
    monkeypatch.setattr(ssgan.genaug, "fit", stopped)
    with pytest.raises(KeyboardInterrupt):
        run("--draws", "1")
    monkeypatch.setattr(ssgan.genaug, "fit", fit)
    (folder,) = (tmp_path / "runs again" / "ssgan").iterdir()
    assert newest_step(folder / "checkpoints") == 2
    run("--draws", "1")
    assert newest_step(folder / "checkpoints") == 3
    assert result["draws"] == 1


def test_other_labels_are_another_training(run, tmp_path):
    run("--draws", "1")
    run("--draws", "1", "--per-class", "5")
    assert [row["labels"] for row in rows_of(tmp_path)] == [100, 50]
    assert len(list((tmp_path / "runs" / "ssgan").iterdir())) == 2


def test_errors_are_those_of_the_averaged_classifier():
    class Generator:
        def classify(self, images):
            return torch.nn.functional.one_hot(images[:, 0, 0, 0].long(), 10).float()

    images = torch.arange(10).repeat(150).to(torch.uint8)[:, None, None, None]
    labels = images.flatten().long()
    assert ssgan.count_errors(Generator(), images, labels) == 0
    assert ssgan.count_errors(Generator(), images, labels.roll(1)) == 1500
    assert ssgan.count_errors(Generator(), images, labels.where(labels != 3, 4)) == 150


@pytest.mark.parametrize(("errors", "met"), [((100, 110, 150), True), ((100, 110, 151), False)])
def test_the_target_is_for_the_mean(errors, met):
    rows = [{"seed": i, "error": e / 1e4, "errors": e, "errors_not_averaged": e} for i, e in enumerate(errors)]
    measure = encoder_measures.ssgan(rows)[0]
    assert measure.met is met
    assert f"mean {sum(errors) / 3e4:.2%}" in measure.label
