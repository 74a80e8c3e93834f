"""`genaug train` and `genaug sample` on tables."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from genaug.cli import app
from genaug.hub.card import write_card

pd = pytest.importorskip("pandas")
pytestmark = pytest.mark.usefixtures("quick_tables")


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
    run("sample", folder / "run", "--class", "yes", "--n", 7, "--out", tmp_path / "faults.csv")
    assert pd.read_csv(tmp_path / "faults.csv")["fault"].tolist() == ["yes"] * 7


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


def test_a_study_of_a_table_takes_sources_by_position_and_holds_out_a_test_set(folder, tmp_path):
    pytest.importorskip("imblearn")
    settings = ["--steps", 1, "--set", "hidden=8", "--set", "latent_size=4", "--seeds", 2, "--ratio", 0.25]
    settings += ["--classifier", "logistic", "--device", "cpu", "--target", "fault"]
    data = f"table:{folder / 't.csv'}"
    result = run("study", "tvae", "--data", data, "--metric", "macro_f1", "--out", tmp_path / "held-out", *settings)
    assert "20% of the rows of each class are held out as the test set" in result.stderr
    assert "2 seeds, 20 test rows" in " ".join(result.stdout.split())
    assert "macro-F1" in result.stdout
    report = json.loads((tmp_path / "held-out" / "report.json").read_text())
    assert report["baselines"] == ["none", "weights", "oversample", "smote"]
    assert report["origin"]["command"].startswith(f"genaug study tvae --data {data} --target fault")
    per_class = ["--labels-per-class", "no=20", "--labels-per-class", "yes=4", "--baseline", "weights"]
    named = run(
        "study", "tvae", "--data", data, "--test", data, *per_class, "--out", tmp_path / "t", *settings, "--json"
    )
    summary = json.loads(named.stdout)
    assert (summary["metric"], summary["source"]) == ("accuracy", "tvae")
    assert json.loads((tmp_path / "t" / "report.json").read_text())["settings"]["labels_per_class"] == [20, 4]


def test_labels_per_class_is_a_number_or_one_for_each_class(folder, tmp_path):
    data = ["--data", f"table:{folder / 't.csv'}", "--target", "fault", "--out", tmp_path / "out"]
    for words in (
        ["many"],
        ["no=x"],
        ["3", "no=4"],
        ["1e20"],
        ["9" * 20],
        ["-1"],
        ["no=0"],
        ["no=4", "yes=" + "9" * 20],
    ):
        options = [word for value in words for word in ("--labels-per-class", value)]
        result = CliRunner().invoke(app, ["study", "tvae", *map(str, data), *options])
        assert result.exit_code == 2, words
        assert "expected one number from 1 to 100,000,000" in " ".join(result.output.split())
    fails("'cgan' can't be trained on rows", "study", "cgan", *data)
    fails("metric must be", "study", "tvae", *data, "--metric", "f1")
