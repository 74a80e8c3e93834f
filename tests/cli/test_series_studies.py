"""`genaug study` on a file of series."""

import json

import numpy as np
from helpers.waves import waves
from typer.testing import CliRunner

from genaug.cli import app

TINY = ["--set", "width=4", "--set", "max_width=4", "--set", "latent_size=2", "--device", "cpu"]
QUICK = ["--steps", "2", "--updates", "3", "--seeds", "2", "--ratio", ".5", "--json"]


def test_a_file_is_studied_with_a_part_held_out_and_the_default_backend_is_timevae(tmp_path):
    x, y = waves(60)
    np.savez(tmp_path / "data.npz", x=x.numpy(), y=np.array(["off", "on"])[y.numpy()])
    data = f"series:{tmp_path / 'data.npz'}"
    result = CliRunner().invoke(app, ["study", "--data", data, *TINY, *QUICK, "--out", str(tmp_path / "study")])
    assert result.exit_code == 0, result.output
    assert "20% of the series of each class are held out" in result.stderr
    report = json.loads(result.stdout.splitlines()[-1])
    assert report["failures"] == 0
    details = json.loads((tmp_path / "study" / "report.json").read_text())
    assert list(details["settings"]["sources"]) == ["timevae"]
    assert details["statistics"]["n_test"] == 12


def test_a_file_with_a_test_set_and_a_file_of_generated_series(tmp_path):
    x, y = waves(90)
    for name, rows in (("train", slice(0, 40)), ("test", slice(40, 60)), ("generated", slice(60, 90))):
        np.savez(tmp_path / f"{name}.npz", x=x[rows].numpy(), y=y[rows].numpy())
    files = [f"series:{tmp_path / name}.npz" for name in ("train", "test", "generated")]
    arguments = ["--data", files[0], "--test-data", files[1], "--source", files[2], "--device", "cpu", *QUICK]
    result = CliRunner().invoke(app, ["study", *arguments, "--out", str(tmp_path / "study")])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout.splitlines()[-1])["failures"] == 0
