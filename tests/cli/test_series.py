"""`genaug train`, `genaug sample` and `genaug traverse` on series."""

import numpy as np
import pytest
from helpers.waves import waves
from typer.testing import CliRunner

from genaug.cli import app
from genaug.data import load_data

TINY = ["--set", "width=4", "--set", "max_width=4", "--set", "hidden=6", "--set", "latent_size=2", "--device", "cpu"]


def run(*arguments):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result


def fails(message, *arguments):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 1
    assert message in result.stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """An archive of series of various lengths, and the run of a small generator trained on it."""
    folder = tmp_path_factory.mktemp("series")
    x, y = (values.numpy() for values in waves(40))
    lengths = np.arange(40) % 10 + 15
    np.savez(folder / "data.npz", x=x, y=np.array(["off", "on"])[y], lengths=lengths)
    data = f"series:{folder / 'data.npz'}"
    result = run("train", "timevae", "--data", data, "--out", folder / "run", "--steps", 2, *TINY)
    assert "40 series, 2 channels, 15 to 24 steps, 2 classes" in result.stderr
    assert "--out samples.npz" in result.stdout
    return folder


def test_series_are_written_as_an_archive_that_is_read_again(folder, tmp_path):
    out = tmp_path / "series.npz"
    result = run("sample", folder / "run", "--per-class", 5, "--out", out)
    assert f"10 series in {out}" in result.stdout
    with np.load(out) as archive:
        assert set(archive) == {"x", "y", "classes", "lengths"}
        assert archive["x"].shape == (10, 2, 24)
        assert archive["x"].dtype == np.float32
        assert np.isnan(archive["x"][0, 0, archive["lengths"][0] :]).all()
    data = load_data(f"series:{out}")
    assert data.classes == ["off", "on"]
    assert data.targets == [0] * 5 + [1] * 5
    before = out.read_bytes()
    fails("pass --overwrite", "sample", folder / "run", "--n", 3, "--out", out)
    assert out.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["series.npz"]


def test_grids_of_curves(folder, tmp_path):
    run("sample", folder / "run", "--per-class", 5, "--out", tmp_path / "grid.png")
    run("traverse", folder / "run", "--out", tmp_path / "walk", "--steps", 3)
    assert (tmp_path / "walk" / "grid_z.0_z.1_label_1.png").is_file()


def test_other_forms_say_so(folder, tmp_path):
    fails("makes series, not images: pass --out NAME.npz", "sample", folder / "run", "--n", 2, "--out", tmp_path / "x")
    fails(".csv files are for rows", "sample", folder / "run", "--n", 2, "--out", tmp_path / "x.csv")
    fails("doesn't name a file", "train", "rcgan", "--data", "series:", "--out", tmp_path / "run")
    data = f"series:{folder / 'data.npz'}"
    fails("leave them out", "train", "rcgan", "--data", data, "--target", "y", "--out", tmp_path / "run")
    fails("has no images", "train", "rcgan", "--data", data, "--image-size", 8, "--out", tmp_path / "run")
    fails("can't be trained on series", "train", "cgan", "--data", data, "--out", tmp_path / "run")
    fails("--data series:FILE.npz or .ts", "train", "timevae", "--out", tmp_path / "run")


def test_a_run_is_resumed_from_another_folder(folder, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    run("train", "timevae", "--resume", "--out", folder / "run", "--steps", 4)
