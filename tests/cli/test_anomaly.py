"""``genaug anomaly``, with generators whose scores can be computed by hand."""

import csv
import json
from pathlib import Path

import pytest
import torch
from helpers.stripes import Judged, Painted, bars, column_variance, generator_of, stripes
from PIL import Image
from typer.testing import CliRunner

from genaug.cli import app
from genaug.modalities.image import to_pil


def write(folder, images):
    folder.mkdir(parents=True)
    for index, image in enumerate(images):
        to_pil(image).save(folder / f"{index:03}.png")
    return folder


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs the command with a generator named "stripes", "painted" or "judged": its exit code and its output."""
    monkeypatch.chdir(tmp_path)
    generators = {"stripes": generator_of(), "painted": generator_of(Painted), "judged": generator_of(Judged)}
    monkeypatch.setattr("genaug.hub.load.load", lambda name, device=None: generators[name])
    write(tmp_path / "normal", stripes(40))
    write(tmp_path / "new", torch.cat([bars(3), stripes(5, seed=2)]))

    def call(*arguments):
        result = CliRunner().invoke(app, ["anomaly", *map(str, arguments)])
        assert "Traceback" not in result.output
        return result.exit_code, result.output

    return call


def test_the_scores_of_a_folder_with_their_files_a_threshold_and_a_picture(run, tmp_path):
    code, output = run("stripes", "--data", "new", "--normal", "normal", "--out", "anomalies")
    assert code == 0, output
    with open("anomalies/scores.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 8
    assert {row["file"] for row in rows[:3]} == {f"new/{index:03}.png" for index in range(3)}
    assert [row["anomalous"] for row in rows[:3]] == ["1"] * 3
    expected = column_variance(torch.cat([bars(3), stripes(5, seed=2)]))
    for row in rows:
        assert float(row["score"]) == pytest.approx(float(expected[int(row["index"])]), rel=1e-2)
    assert [float(row["score"]) for row in rows] == sorted((float(row["score"]) for row in rows), reverse=True)
    summary = json.loads((tmp_path / "anomalies" / "anomalies.json").read_text())
    assert (summary["method"], summary["images"], summary["held_out_images"]) == ("reconstruction", 8, 40)
    assert summary["threshold"] == pytest.approx(float(column_variance(stripes(40)).sort().values[-2]), rel=1e-2)
    assert summary["anomalous"] == sum(row["anomalous"] == "1" for row in rows)
    with Image.open("anomalies/anomalies.png") as picture:
        assert picture.height > picture.width
    assert f"{summary['anomalous']} ({summary['anomalous'] / 8:.1%}) are anomalous: above the threshold" in output
    assert "which at most 5.0% of normal images exceed, judging by 40 of --normal" in output
    assert output.count("new/00") == 5
    assert "In anomalies" in output


def test_without_normal_images_there_is_no_threshold(run):
    code, output = run("stripes", "--data", "folder:new", "--out", "anomalies", "--json")
    assert code == 0, output
    summary = json.loads(output[output.index("{") : output.rindex("}") + 1])
    assert (summary["threshold"], summary["anomalous"], summary["false_alarms"]) == (None, None, None)
    rows = Path("anomalies/scores.csv").read_text().splitlines()
    assert all(row.endswith(",") for row in rows[1:])
    code, output = run("judged", "--data", "new", "--method", "discriminator", "--out", "other")
    assert code == 0
    assert "no threshold: pass normal images with --normal" in output


def test_an_encoder_is_trained_on_the_normal_images(run):
    code, output = run(
        "painted", "--data", "new", "--normal", "normal", "--out", "anomalies", "--steps", 3, "--false-alarms", 0.2
    )
    assert code == 0, output
    assert "method encoder" in output
    assert "at most 20.0% of normal images exceed, judging by 8 of --normal" in output


def test_the_test_split_is_scored_and_the_training_split_is_normal(run, tmp_path):
    write(tmp_path / "split" / "train" / "a", stripes(20, seed=3))
    write(tmp_path / "split" / "test" / "a", bars(2))
    code, output = run("stripes", "--data", "split", "--normal", "split", "--out", "anomalies")
    assert code == 0, output
    assert "2 images, method reconstruction" in output
    assert "judging by 20 of --normal" in output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["painted", "--data", "new"], "Pass them with --normal"),
        (["stripes", "--data", "new", "--method", "discriminator"], "can't score samples"),
        (["painted", "--data", "new", "--method", "reconstruction"], "needs a generator with an encoder"),
        (["stripes", "--data", "new", "--method", "x"], "method must be one of"),
        (["stripes", "--data", "new", "--normal", "normal", "--false-alarms", "0"], "between 0 and 1"),
        (["stripes", "--data", "new", "--normal", "normal", "--false-alarms", "nan"], "between 0 and 1"),
        (["stripes", "--data", "new", "--normal", "normal", "--false-alarms", "0.01"], "needs at least 99 held-out"),
        (["stripes", "--data", "digits"], "images of 1x6x6 (channels first), --data has 1x8x8"),
        (["stripes", "--data", "new", "--normal", "digits"], "--normal has 1x8x8"),
        (["stripes", "--data", "nowhere"], "Expected 'digits', 'folder:PATH'"),
    ],
)
def test_what_can_not_be_done_is_one_sentence_and_leaves_nothing(run, tmp_path, arguments, message):
    code, output = run(*arguments, "--out", "anomalies")
    assert code == 1
    assert message in output
    assert not (tmp_path / "anomalies").exists()


def test_only_earlier_scores_are_replaced(run, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    arguments = ["stripes", "--data", "new", "--out"]
    assert run(*arguments, "mine", "--overwrite")[0] == 1
    assert run(*arguments, "anomalies")[0] == 0
    code, output = run(*arguments, "anomalies")
    assert (code, "is not empty" in output) == (1, True)
    assert run(*arguments, "anomalies", "--overwrite")[0] == 0
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["notes.txt"]


def test_options_that_would_have_no_effect_are_rejected(run, tmp_path):
    code, output = run("stripes", "--data", "new", "--false-alarms", "0.1", "--out", "out")
    assert code == 1
    assert "--false-alarms is for a threshold, which needs normal images" in " ".join(output.split())
    code, output = run("stripes", "--data", "new", "--steps", "5", "--method", "reconstruction", "--out", "out")
    assert code == 1
    assert "--steps is for method encoder, and the method is reconstruction" in " ".join(output.split())
    assert not (tmp_path / "out").exists()
