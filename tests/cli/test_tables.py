"""`genaug train` and `genaug sample` on tables."""

import numpy as np
import pytest
from typer.testing import CliRunner

from genaug.cli import app
from genaug.hub.card import write_card

pd = pytest.importorskip("pandas")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A CSV file, and the run of a small generator trained on it."""
    folder = tmp_path_factory.mktemp("tables")
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "id": range(100),
            "age": rng.integers(18, 80, 100),
            "fault": ["yes"] * 10 + ["no"] * 90,
            "site": rng.choice(["north", "south"], 100),
        }
    )
    table.to_csv(folder / "t.csv", index=False)
    options = ["--steps", "3", "--set", "hidden=8", "--set", "latent_size=4", "--device", "cpu"]
    command = ["train", "tvae", "--data", f"table:{folder / 't.csv'}", "--target", "fault", "--out", f"{folder}/run"]
    result = run(*command, *options)
    assert "100 rows, 4 columns, 2 classes (fault); not learned: 'id'" in result.stderr
    assert "--out samples.csv" in result.stdout
    return folder


def run(*arguments):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result


def fails(message, *arguments):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 1
    assert message in result.stderr


def test_rows_are_written_as_csv(folder, tmp_path):
    run("sample", folder / "run", "--per-class", 5, "--out", tmp_path / "rows.csv")
    rows = pd.read_csv(tmp_path / "rows.csv")
    assert list(rows) == ["id", "age", "fault", "site"]
    assert rows["fault"].tolist() == ["no"] * 5 + ["yes"] * 5
    assert rows["id"].tolist() == list(range(100, 110))
    before = (tmp_path / "rows.csv").read_bytes()
    fails("pass --overwrite", "sample", folder / "run", "--n", 5, "--out", tmp_path / "rows.csv")
    run("sample", folder / "run", "--per-class", 5, "--out", tmp_path / "rows.csv", "--overwrite")
    assert (tmp_path / "rows.csv").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["rows.csv"]


def test_rows_are_written_as_parquet_if_pyarrow_is_there(folder, tmp_path):
    pytest.importorskip("pyarrow")
    run("sample", folder / "run", "--n", 3000, "--out", tmp_path / "rows.parquet")
    rows = pd.read_parquet(tmp_path / "rows.parquet")
    assert len(rows) == 3000
    assert rows["id"].is_unique
    assert rows["fault"].eq("yes").mean() == pytest.approx(0.1, abs=0.03)


def test_what_is_for_images_or_for_tables_says_so(folder, tmp_path, make_generator):
    for out in (tmp_path / "grid.png", tmp_path / "images"):
        fails(
            "makes rows of a table, not images: pass --out NAME.csv", "sample", folder / "run", "--n", 5, "--out", out
        )
    make_generator().save(tmp_path / "saved")
    rows = tmp_path / "rows.csv"
    fails(
        ".csv files are for rows of a table, and these are images",
        "sample",
        tmp_path / "saved",
        "--n",
        5,
        "--out",
        rows,
    )
    train = ["--data", f"table:{folder / 't.csv'}", "--target", "fault", "--out", tmp_path / "run"]
    fails("'cgan' can't be trained on rows", "train", "cgan", *train)
    fails("is for images, and these are rows", "train", "tvae", *train, "--augment", "color")
    fails("is a table, which has no images: image_size=", "train", "tvae", *train, "--image-size", 8)
    assert not (tmp_path / "run").exists() or not list((tmp_path / "run").iterdir())


def test_a_run_is_resumed_with_its_target(folder):
    result = run("train", "tvae", "--resume", "--out", folder / "run", "--steps", 5)
    assert "2 classes (fault)" in result.stderr


def test_its_card_says_what_it_generates(folder):
    card = write_card(folder / "run", "owner/name", license="apache-2.0").read_text()
    assert "A generator of rows of a table with 4 columns with 2 classes (no, yes)" in card
    assert "rows, labels = generator.sample(64, seed=0)  # a pandas DataFrame of 64 rows, int64 labels" in card
    assert "biases of its training rows" in card
