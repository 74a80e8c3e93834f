"""The studies of series with few labels from start to table, on tiny files in the archives' format."""

import json

import numpy as np
import pytest

from benchmarks.common.record import Record
from benchmarks.studies import series_low_label
from benchmarks.studies.series_low_label import Data
from genaug.studies import Recipe

SMALL = {"latent_size": 2, "hidden": 4, "width": 4, "max_width": 4}
STUDY = "Bumps, 3 labels"


def write_ts(path, per_class, seed):
    """Series of 16 steps with a bump early (class a) or late (class b)."""
    rng = np.random.default_rng(seed)
    lines = ["@problemName Bumps", "@timestamps false", "@classLabel true a b", "@data"]
    for label in range(2):
        for _ in range(per_class[label]):
            series = rng.normal(0, 0.1, 16)
            series[3 + 8 * label : 6 + 8 * label] += 1
            lines.append(f"{','.join(f'{value:.4f}' for value in series)}:{'ab'[label]}")
    path.write_text("\n".join(lines))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with the files of one small data set, which is the only one."""
    folder = tmp_path / "files"
    folder.mkdir()
    write_ts(folder / "Bumps_TRAIN.ts", (8, 6), seed=0)
    write_ts(folder / "Bumps_TEST.ts", (18, 18), seed=1)
    monkeypatch.setattr(series_low_label, "DATA", {"Bumps": Data("Bumps", 2)})
    monkeypatch.setattr(series_low_label, "BATCH_SIZE", 8)
    monkeypatch.setattr(series_low_label, "STUDIES", {STUDY: ("Bumps", 3), "Bumps, 8 labels": ("Bumps", 8)})
    return folder


@pytest.fixture
def run(folder, tmp_path, monkeypatch, capsys):
    fit = series_low_label.genaug.fit
    monkeypatch.setattr(series_low_label.genaug, "fit", lambda *data, **rest: fit(*data, **rest, config=SMALL))
    monkeypatch.setattr("genaug.studies.running.study_html", lambda *_: "")  # whose pictures take most of the time
    monkeypatch.setattr(series_low_label, "Recipe", lambda backend, steps: Recipe(backend, steps, config=SMALL))

    def call(*words):
        tiny = ["--updates", 2, "--steps", 2, "--pretrain-steps", 2]
        places = ["--root", folder, "--out", tmp_path / "runs", "--results", tmp_path / "cells.jsonl"]
        series_low_label.main([*map(str, [*tiny, *places, "--study", STUDY, *words])])
        return capsys.readouterr()

    return call


def test_from_start_to_table_and_a_second_run_only_reads(run, tmp_path, monkeypatch):
    result = json.loads(run("--seeds", 3, "--json").out.splitlines()[-1])
    assert result["studies"] == 1
    assert result["Bumps_3_labels_subsets"] == 3
    arms = ("own_0.5", "classic_and_own_0.5", "pretrained_0.5", "classic_and_pretrained_0.5")
    for arm in arms:
        assert result[f"Bumps_3_labels_{arm}_verdict"] in ("use", "don't use", "no evidence")
        gain = result[f"Bumps_3_labels_{arm}_over_none_mean"]
        none, own = (result[f"Bumps_3_labels_{name}_accuracy"] for name in ("none", arm))
        assert gain == pytest.approx(own - none)
    assert result["Bumps_3_labels_classic_over_none_low"] <= result["Bumps_3_labels_classic_over_none_mean"]
    chosen = result["Bumps_3_labels_chosen"]
    assert result[f"Bumps_3_labels_{series_low_label.plain(chosen)}_verdict"] == result["Bumps_3_labels_verdict"]

    printed = run("--table", "--json")
    *table, again = printed.out.splitlines()
    assert json.loads(again) == result
    assert f"| **{chosen}** |" in printed.out
    assert sum(line.startswith("| ") for line in table) == 1 + 2 + 1 + len(arms), "head, baselines, control, arms"
    assert "3 subsets, 25 test series, pretrained on 7 series" in printed.out
    text = series_low_label.results_text(Record(tmp_path / "cells.jsonl"))
    assert text == "\n".join([*table, "", "Not run yet: Bumps, 8 labels."])
    cells = (tmp_path / "cells.jsonl").read_text()
    monkeypatch.setattr(series_low_label.genaug, "study", study_without_training(series_low_label.genaug.study))
    assert json.loads(run("--seeds", 3, "--json").out.splitlines()[-1]) == result
    assert (tmp_path / "cells.jsonl").read_text() == cells


def test_seeds_for_tuning_are_not_reported(run, tmp_path):
    run("--seeds", 2, "--first-seed", 100)
    record = Record(tmp_path / "cells.jsonl")
    assert list(series_low_label.finished_studies(record, [STUDY])) == [STUDY]
    assert series_low_label.results_text(record) == "Not run yet: Bumps, 3 labels; Bumps, 8 labels."


def study_without_training(study):
    """The study, which fails if it trains a classifier."""

    def checked(*sets, **settings):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("genaug.studies.jobs._score", lambda *_: pytest.fail("all cells are finished"))
            return study(*sets, **settings)

    return checked


def task_of(folder, study=STUDY, first_seed=0, seeds=5):
    options = series_low_label.argparse.Namespace(first_seed=first_seed, seeds=seeds)
    return series_low_label.task_of(study, folder, options)


def test_half_of_each_class_is_for_testing_and_no_series_has_two_uses(folder):
    task = task_of(folder, seeds=3)
    parts = (task.used, task.rest, task.test)
    rows = [tuple(series.flatten().tolist()) for part in parts for series in part.read_rows().x]
    assert len(set(rows)) == len(rows) == 50
    assert sorted([task.test.targets.count(label) for label in range(2)]) == [12, 13]
    assert [task.used.targets.count(label) for label in range(2)] == [9, 9]
    assert task.used.classes == ["a", "b"]


def test_there_are_fewer_subsets_if_a_class_has_too_few_series(folder, capsys):
    task = task_of(folder)
    assert list(task.seeds) == [0, 1, 2], "(12 - 3) // 3"
    assert min(task.rest.targets.count(label) for label in range(2)) == 3
    assert "3 subsets instead of 5, since a class has only 12 training series" in capsys.readouterr().err
    assert list(task_of(folder, first_seed=100, seeds=2).seeds) == [100, 101]


def test_tuning_splits_the_data_in_another_way(folder):
    reported, again, tuning = (task_of(folder, first_seed=seed, seeds=2).test.read_rows().x for seed in (0, 1, 100))
    assert reported.equal(again)
    assert not reported.equal(tuning)


def test_the_cost_alone(run, tmp_path, monkeypatch):
    monkeypatch.setattr("benchmarks.studies.tracked.TRIED_UPDATES", 1)
    monkeypatch.setattr("benchmarks.studies.tracked.TRIED_STEPS", 1)
    printed = run("--seeds", 2, "--estimate", "--json")
    assert "hours of one core here" in printed.err
    assert printed.out == ""
    assert not (tmp_path / "cells.jsonl").exists()


def test_files_are_in_the_folder_or_in_that_of_their_data_set(folder):
    assert len(series_low_label.merged("Bumps", folder)) == 50
    (folder / "Bumps").mkdir()
    for name in ("Bumps_TRAIN.ts", "Bumps_TEST.ts"):
        (folder / name).rename(folder / "Bumps" / name)
    assert len(series_low_label.merged("Bumps", folder)) == 50


def test_missing_files_and_a_missing_aeon_are_one_sentence(folder, tmp_path, monkeypatch):
    with pytest.raises(SystemExit, match=r"doesn't contain Bumps_TRAIN.ts. Pass a folder"):
        series_low_label.merged("Bumps", tmp_path)
    monkeypatch.setattr(series_low_label, "find_spec", lambda name: None)
    with pytest.raises(SystemExit, match="aeon, which comes with the data sets, isn't installed"):
        series_low_label.folder_of_files(None)


def test_one_seed_is_rejected(run, capsys):
    with pytest.raises(SystemExit):
        run("--seeds", 1)
    assert "--seeds must be 2 or more" in capsys.readouterr().err
