"""The study of rare positives from start to table, on small tables with few rows."""

import json

import numpy as np
import pytest

from benchmarks.tables import rare, sets
from genaug.studies import Recipe

pd = pytest.importorskip("pandas")
pytest.importorskip("imblearn")
pytestmark = pytest.mark.usefixtures("quick_tables")

TINY = {"hidden": 8, "latent_size": 4}


def numbers(rng, count, positive):
    return np.column_stack([rng.normal(positive, 1, count), rng.normal(0, 1, count)]).round(6)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """The three tables' files, in the forms that they have."""
    tmp_path = tmp_path_factory.mktemp("tables")
    rng = np.random.default_rng(0)
    labels = np.array([0] * 300 + [1] * 60)
    values = numbers(rng, 360, labels)
    pd.DataFrame(values).assign(y=np.where(labels == 1, "'1'", "'-1'")).to_csv(
        tmp_path / "mammography.csv", header=False, index=False
    )
    pd.DataFrame(values).assign(y=labels).to_csv(tmp_path / "phoneme.csv", header=False, index=False)
    for part, end in (("train", ""), ("test", ".")):
        columns = [values[:, 0], rng.choice([" Private", " ?"], 360), *[values[:, 1]] * 12]
        income = np.where(labels == 1, f" >50K{end}", f" <=50K{end}")
        pd.DataFrame(dict(enumerate([*columns, income]))).to_csv(
            tmp_path / f"adult-{part}.csv", header=False, index=False
        )
    return tmp_path


@pytest.fixture
def run(root, monkeypatch, capsys):
    monkeypatch.setattr(rare, "ROWS", dict.fromkeys(rare.ROWS, 60))
    monkeypatch.setattr(rare, "SHARE", 0.1)
    monkeypatch.setattr(rare, "RATIOS", (0.25,))
    monkeypatch.setattr(rare, "SOURCES", {"tvae": Recipe("tvae", steps=1, batch_size=20, config=TINY)})

    def call(*arguments):
        """What is printed; the record is that of all tests, so that only the first one trains anything."""
        rare.main(["--root", str(root), "--out", str(root / "runs"), "--results", str(root / "rare.jsonl"), *arguments])
        return capsys.readouterr()

    return call


def test_the_tables_are_read_with_names_missing_values_and_the_rarer_class_as_positive(root):
    adult = sets.read_set("adult", root)
    assert adult.shape == (720, 15)
    assert adult["workclass"].isna().sum() > 100
    assert set(adult["workclass"].dropna()) == {"Private"}
    for name in ("adult", "mammography", "phoneme"):
        frame = sets.read_set(name, root)
        assert frame[sets.TARGET].eq("yes").mean() == pytest.approx(1 / 6)
        assert all(pd.api.types.is_numeric_dtype(frame[column]) for column in frame.columns[:1])


def test_splits_share_no_row_and_positives_are_cut_in_the_test_half(root):
    frame = sets.read_set("phoneme", root)
    train, test = sets.split_in_two(frame, 0, 0.1)
    assert len(pd.concat([train, test]).drop_duplicates()) == len(train) + len(test)
    assert train[sets.TARGET].value_counts().to_dict() == {"no": 150, "yes": 30}
    assert test[sets.TARGET].value_counts().to_dict() == {"no": 150, "yes": 17}
    other = sets.split_in_two(frame, 1, 0.1)[1]
    assert not test.equals(other)


def test_from_start_to_the_table_of_what_is_recorded(run, root):
    result = json.loads(run("--set", "phoneme", "--seeds", "2", "--json").out.splitlines()[-1])
    assert result["phoneme_verdict"] in ("use", "don't use", "no evidence")
    assert result["contradicted_uses"] in (0, 1)
    for measure in rare.MEASURES:
        assert 0 <= result[f"phoneme_{measure}_smote_(boosting)"] <= 1
    assert "phoneme_fresh" in result
    table = run("--table", "--json", "--set", "phoneme").out
    assert json.loads(table.splitlines()[-1]) == result
    assert table.count("| smote (logistic) |") == 1
    assert "on a fresh split, against" in table
    lines = (root / "rare.jsonl").read_text()
    run("--set", "phoneme", "--seeds", "2")
    assert sorted((root / "rare.jsonl").read_text().splitlines()) == sorted(lines.splitlines()), "nothing ran again"


def test_an_estimate_runs_one_seed_and_records_nothing(run, root):
    result = json.loads(run("--estimate", "--json", "--set", "mammography").out.splitlines()[-1])
    assert result["mammography_hours"] > 0
    assert "mammography" not in ((root / "rare.jsonl").read_text() if (root / "rare.jsonl").exists() else "")


def test_recall_at_one_percent_false_alarms():
    import torch

    from genaug.studies.metrics import Predictions

    labels = torch.tensor([0] * 200 + [1] * 4)
    scores = torch.cat([torch.arange(200.0), torch.tensor([198.5, 197.5, 196.5, 300.0])])  # above all but 1, 2, 3 and 0
    predictions = Predictions(labels, torch.stack([-scores, scores], 1))
    assert rare.RecallAtFalseAlarms(1).of(predictions, labels) == 0.75


def test_use_is_contradicted_by_a_fresh_split_on_which_the_arm_gains_nothing_over_a_baseline(run, monkeypatch):
    """The verdict is replaced, as its own chance of "use" is small here."""
    run("--set", "phoneme", "--seeds", "2")
    from dataclasses import replace

    real = rare.verdict_of
    monkeypatch.setattr(rare, "verdict_of", lambda *rest: replace(real(*rest), verdict="use"))
    for mean, contradicted in ((0.1, 0), (-0.1, 1)):
        difference = rare.paired_difference([0.5 + mean, 0.5 + mean], [0.5, 0.5])
        monkeypatch.setattr(rare, "fresh_differences", lambda *rest, value=difference: {"smote (boosting)": value})
        result = json.loads(run("--table", "--json", "--set", "phoneme").out.splitlines()[-1])
        assert result["contradicted_uses"] == contradicted
