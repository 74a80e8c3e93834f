"""The scripts on tables with tiny settings, and that the docs have their records' tables."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.common.record import RESULTS, Record
from benchmarks.tables import adult, census, conditional
from genaug.data import TableDataset

pd = pytest.importorskip("pandas")
pytestmark = pytest.mark.usefixtures("quick_tables")

DOCS = Path(__file__).parents[2] / "docs"


def people(count, seed):
    """Rows with the columns of the census table."""
    rng = np.random.default_rng(seed)
    rich = rng.random(count) < 0.3
    columns = {name: rng.choice(["a", "b", "?"], count) for name in census.COLUMNS}
    columns |= {
        "age": rng.integers(18, 50, count) + 30 * rich,
        "capital-gain": np.where(rng.random(count) < 0.9, 0, 5000),
        "income": np.where(rich, ">50K", "<=50K"),
    }
    return pd.DataFrame(columns)[census.COLUMNS]


@pytest.fixture
def root(tmp_path):
    people(500, 0).to_csv(tmp_path / "adult-train.csv", index=False, header=False)
    test = people(300, 1).assign(income=lambda t: t["income"] + ".")
    test.to_csv(tmp_path / "adult-test.csv", index=False, header=False)
    return tmp_path


@pytest.fixture
def run(tmp_path, capsys):
    def call(script, *arguments):
        script.main(["--results", str(tmp_path / "rows.jsonl"), "--json", *map(str, arguments)])
        *table, summary = capsys.readouterr().out.splitlines()
        return json.loads(summary), "\n".join(table)

    return call


def test_adult_from_start_to_table_and_on_from_the_record(run, root, monkeypatch, tmp_path):
    monkeypatch.setattr(adult, "STEPS", {"tvae": 3})
    monkeypatch.setattr(adult, "BATCH", 50)
    fake = tmp_path / "python"  # an environment with a package that returns its training rows
    fake.write_text(f"#!{sys.executable}\n{STAND_IN}")
    fake.chmod(0o755)
    arguments = ["--root", root, "--methods", "real", "tvae", "--ctgan-python", fake, "--seeds", 1]
    arguments += ["--set", "hidden=8", "latent_size=4"]
    result, table = run(adult, *arguments)
    assert result["rows"] == 3
    assert result["real_f1"] > max(0.8, result["tvae_f1"])
    assert len(table.splitlines()) == 2 + 3
    rows = {row["method"]: row for row in map(json.loads, (tmp_path / "rows.jsonl").read_text().splitlines())}
    assert rows["ctgan"]["train"] == 7.5
    assert rows["ctgan"]["exact_copies"] == 1 > rows["tvae"]["exact_copies"]
    assert rows["ctgan"]["closest_record"] == 0 < rows["ctgan"]["closest_record_real"]
    assert rows["tvae"]["detection_auc"] > 0.7
    assert run(adult, *arguments) == run(adult, *arguments, "--table") == (result, table), "nothing is trained again"


STAND_IN = """
import shutil, sys
rows, out, epochs, seed, target = sys.argv[3:]
assert epochs == "300" and target == "income"
shutil.copy(rows, out)
print(7.5, 7.0, "0.0")
"""


def test_tuning_never_sees_the_test_rows(root, monkeypatch):
    train, test = census.read(root)
    assert set(test["income"]) == {">50K", "<=50K"}
    assert train["workclass"].isna().any(), "a question mark is a missing value"
    kept, held_out = census.tuning_split(train)
    assert len(kept) + len(held_out) == len(train)
    joined = pd.concat([kept, held_out]).sort_values(census.COLUMNS).reset_index(drop=True)
    pd.testing.assert_frame_equal(joined, train.sort_values(census.COLUMNS).reset_index(drop=True))
    judged = []
    monkeypatch.setattr(census, "f1_scores", lambda frame, test, encoder, seed: judged.append(len(test)) or {"f1": 0})
    options = type("Options", (), {"root": root})
    for seed in (0, 100):
        adult.run({"method": "real", "seed": seed}, options)
    assert judged == [300, 100]


def test_numbers_are_scaled_and_categories_one_hot():
    frame = people(50, 0)
    inputs = census.Encoder(frame).inputs(frame)
    numbers = inputs[:, :2]
    assert numbers.min(0) == pytest.approx([-1, -1])
    assert numbers.max(0) == pytest.approx([1, 1])
    assert inputs.shape[1] == 2 + 3 * (len(census.COLUMNS) - 3)
    assert set(np.unique(inputs[:, 2:])) == {0, 1}


def test_conditional_sampling(run, monkeypatch):
    monkeypatch.setattr(conditional, "BACKENDS", ("tvae",))
    monkeypatch.setattr(conditional, "TRAINING_ROWS", 600)
    monkeypatch.setattr(conditional, "STEPS", 2)
    result, table = run(conditional, "--pairs", 3, "--rows", 200)
    assert result["tvae"] < 3, "a condition costs about nothing"
    assert run(conditional, "--pairs", 3, "--rows", 200, "--table") == (result, table)
    counts = TableDataset(conditional.table(600), "class").targets
    assert sum(counts) == 6, "one percent"


def test_the_tables_in_the_docs_are_those_of_the_records():
    text = (DOCS / "results.md").read_text()
    record = Record(RESULTS / "adult.jsonl")
    keys = [adult.key_of(method, seed) for seed in range(5) for method in ("real", *adult.STEPS)]
    assert adult.table_of([row for key in keys if (row := record.done(key)) is not None]) in text
    record = Record(RESULTS / "conditional_sampling.jsonl")
    rows = [record.done(conditional.key_of(backend)) for backend in conditional.BACKENDS]
    assert conditional.table_of(rows) in text
    assert all(row["high"] <= conditional.MOST for row in rows)
