"""The studies of benchmarks/ from start to table on the embedded digits, and on from what they have recorded."""

import json
import os
import shutil
import signal
import sys
import time
from functools import partial
from pathlib import Path

import pytest
import torch

import genaug
from benchmarks.common.record import RESULTS, Record
from benchmarks.studies import mnist_low_label, small_studies, tracked, verdict
from genaug.data import load_data
from genaug.demo.run import DemoSettings
from genaug.studies import Recipe, jobs
from genaug.studies.cells import CELLS_FILE, SETTINGS_FILE, StudyFolder

ROOT = Path(__file__).parents[2]
SMALL = {"width": 4, "max_width": 8, "latent_size": 4}


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Calls a script with its runs and its record under ``tmp_path``: what it printed, and what it said beside."""

    monkeypatch.setattr(tracked, "TRIED_UPDATES", 1)
    monkeypatch.setattr(tracked, "TRIED_STEPS", 1)

    def call(script, *arguments):
        words = ["--out", tmp_path / "runs", "--results", tmp_path / "cells.jsonl", *arguments]
        monkeypatch.setattr(sys, "argv", [script.__name__, *map(str, words)])
        script.main()
        return capsys.readouterr()

    return call


def lines_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def summary(printed):
    result = json.loads(printed.out.splitlines()[-1])
    assert all(value is None or isinstance(value, int | float | str) for value in result.values()), "flat"
    return result


@pytest.fixture
def scored(monkeypatch):
    """The arms that were trained, one after another."""
    names, score = [], jobs._score
    monkeypatch.setattr(
        jobs, "_score", lambda work, job, arm, *rest: names.append(arm.name) or score(work, job, arm, *rest)
    )
    return names


def test_the_table_in_the_docs_is_that_of_the_record():
    rows_found = verdict.results_of(Record(RESULTS / "verdict.jsonl"), verdict.SETTINGS)
    assert rows_found
    assert verdict.table_of(rows_found) in (ROOT / "docs" / "results.md").read_text()


def test_a_study_that_is_told_to_end_leaves_its_cells_in_the_tracked_file(tmp_path):
    record, folder = Record(tmp_path / "cells.jsonl"), tmp_path / "study"
    before = signal.getsignal(signal.SIGTERM)

    def study():
        with tracked.tracked(record, "mine", folder):
            folder.mkdir()
            (folder / SETTINGS_FILE).write_text('{"seeds": 2}')
            (folder / CELLS_FILE).write_text(json.dumps(cell("none")) + '\n{"name": "cla')
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(60)  # the signal comes first

    with pytest.raises(SystemExit) as ended:
        study()
    assert ended.value.code == 128 + signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) == before
    assert record.rows({}) == [{"study": "mine", "settings": {"seeds": 2}}, {"study": "mine", **cell("none")}]
    shutil.rmtree(folder)
    with tracked.tracked(record, "mine", folder):
        assert lines_of(folder / CELLS_FILE) == [cell("none")]


def cell(name, **result):
    return {"phase": "test", "seed": 0, "name": name, **(result or {"accuracy": 0.5})}


class TestTracked:
    """A folder and the record, each with cells that the other one lacks."""

    FAILED, DONE = cell("noise", error="no memory"), cell("noise", accuracy=0.4)

    @pytest.fixture
    def record(self, tmp_path):
        lines = [{"study": "mine", "settings": {"seeds": 2}}, {"study": "other", "result": {}}]
        lines += [{"study": "mine", **each} for each in (cell("none"), cell("classic"), self.DONE)]
        record = Record(tmp_path / "cells.jsonl")
        record.replace({}, lines)
        return record

    @pytest.fixture
    def folder(self, tmp_path):
        folder = StudyFolder(tmp_path / "study")
        mine = (cell("classic"), self.FAILED, cell("generated"))
        lines = "".join(json.dumps(each) + "\n" for each in mine)
        with folder.claimed(resume=False, overwrite=False):
            folder.write({SETTINGS_FILE: b'{"seeds": 2}', CELLS_FILE: lines.encode()})
        return folder.path

    def test_both_have_all_cells_inside_and_afterwards(self, record, folder):
        every = [cell("classic"), self.DONE, cell("generated"), cell("none")]
        with tracked.tracked(record, "mine", folder):
            assert lines_of(folder / CELLS_FILE) == every
        assert tracked.recorded(record, "mine") == ({"seeds": 2}, every)
        assert {"study": "other", "result": {}} in record.rows({})

    def test_a_folder_of_other_settings_touches_nothing(self, record, folder):
        (folder / SETTINGS_FILE).write_text('{"seeds": 3}')
        before = record.path.read_text(), (folder / CELLS_FILE).read_text()
        with tracked.tracked(record, "mine", folder):
            pass
        assert (record.path.read_text(), (folder / CELLS_FILE).read_text()) == before


class TestVerdict:
    TINY = ("--seeds", 2, "--updates", 4)

    @pytest.fixture(autouse=True)
    def settings(self, monkeypatch):
        setting = verdict.Setting
        mine = [setting("digits", 5, "wrong", "mlp", (0.5,)), setting("digits", 3, "weak", ratios=(0.5,))]
        monkeypatch.setattr(verdict, "SETTINGS", mine)
        monkeypatch.setattr(verdict, "SMALL_GAN", SMALL)
        return mine

    def test_from_start_to_table_and_a_second_run_only_reads(self, run, tmp_path, scored):
        first = run(verdict, *self.TINY, "--json")
        result = summary(first)
        assert result["settings"] == result["settings_on_digits"] == 2
        assert result["seeds"] == 2
        assert "a full run costs about" in first.err
        lines = lines_of(tmp_path / "cells.jsonl")
        kept = {line["study"]: line["result"] for line in lines if "result" in line}
        assert list(kept) == ["digits 5 wrong mlp: result", "digits 3 weak small: result"]
        gains = [rows_found["gain_on_fresh_seeds"] for rows_found in kept.values()]
        assert result["mean_gain_points"] == pytest.approx(50 * sum(gains))
        assert result["worst_gain_points"] == pytest.approx(100 * min(gains))
        scored.clear()
        assert summary(run(verdict, *self.TINY, "--json")) == result
        table = run(verdict, "--table").out.splitlines()
        assert len(table) == 4
        assert table[2].startswith(f"| digits | 5 | wrong | mlp | {kept['digits 5 wrong mlp: result']['verdict']} | ")
        assert not scored

    def test_it_goes_on_from_the_tracked_cells_alone(self, run, tmp_path, scored):
        result = summary(run(verdict, *self.TINY, "--only", "wrong", "--json"))
        record = tmp_path / "cells.jsonl"
        lines = [line for line in lines_of(record) if "result" not in line]
        last = [line for line in lines if line["study"].endswith(": fresh") and "accuracy" in line][-1]
        lines.remove(last)
        record.write_text("".join(json.dumps(line) + "\n" for line in lines))
        shutil.rmtree(tmp_path / "runs")
        scored.clear()
        assert summary(run(verdict, *self.TINY, "--only", "wrong", "--json")) == result
        assert scored == [last["name"]]

    def test_with_a_pretrained_source(self, run, tmp_path, monkeypatch):
        steps, fit = [], genaug.fit
        monkeypatch.setattr(
            genaug, "fit", lambda *a, **k: steps.append(k["steps"]) or fit(*a, **{**k, "steps": 3, "config": SMALL})
        )
        helps = verdict.Setting("digits", 3, "pretrained", "mlp", (0.5,), helps=True)
        monkeypatch.setattr(verdict, "SETTINGS", [helps])
        result = summary(run(verdict, *self.TINY, "--json"))
        assert steps == [3000]
        assert result["settings_that_plainly_help"] == 1

    def test_what_it_comes_to_counts_rows_whose_advice_is_not_the_better_baseline(self):
        def row(gain, p, verdict, advised="source 0.5"):
            numbers = {"gain_on_fresh_seeds": gain, "low": gain - 0.01, "high": gain + 0.01, "p": p, "seeds": 10}
            return {**numbers, "verdict": verdict, "advised": advised, "better_of_none_and_classic": "classic"}

        settings = [verdict.Setting("digits", n, "cgan") for n in (3, 5, 10)]
        settings.append(verdict.Setting("MNIST", 3, "pretrained", helps=True))
        rows = [
            row(-0.02, 0.01, "use"),
            row(-0.01, 0.03, "no evidence", "none"),
            row(0.0, 1.0, "no evidence", "classic"),  # the better baseline itself: says nothing
            row(0.06, 0.04, "no evidence"),
        ]
        result = verdict.summary(dict(zip(settings, rows, strict=True)))
        assert (result["settings"], result["advice_differs_from_the_better_baseline"]) == (4, 3)
        assert result["significantly_worse"] == 1, "after Holm .01 is .03 and .03 is .06"
        assert result["mean_gain_points"] == pytest.approx(1)
        assert result["mean_loss_points"] == pytest.approx(1), "a gain counts as no loss"
        assert (result["worst_gain_points"], result["worst_p_uncorrected"]) == (pytest.approx(-2), 0.01)
        assert (result["worst_low_points"], result["worst_high_points"]) == (pytest.approx(-3), pytest.approx(-1))
        assert (result["settings_that_plainly_help"], result["of_these_told_to_use"]) == (1, 0)

    def test_the_fresh_seeds_are_judged_on_the_half_that_the_study_did_not_see(self):
        from genaug.data import load_data
        from genaug.data.labels import labels_of

        test = load_data("digits", split="test")
        first, second = verdict.halves(test)
        assert sorted([*first.indices, *second.indices]) == list(range(len(test)))
        counts = [labels_of(half).bincount() for half in (first, second)]
        assert int((counts[0] - counts[1]).abs().max()) <= 1

    def test_a_share_of_wrong_labels(self):
        images = torch.arange(1000).reshape(-1, 1, 1, 1).expand(-1, 1, 8, 8)
        labels = torch.arange(1000) % 10
        source = verdict.WrongLabels(images, labels, 0.3)
        samples, requested = source.sample(5000, seed=1)
        assert float((labels[samples[:, 0, 0, 0]] != requested).float().mean()) == pytest.approx(0.3, abs=0.04)

    def test_the_cost_alone(self, run, tmp_path, scored):
        assert run(verdict, *self.TINY, "--estimate").err.count("a full run costs about") == 2
        assert not scored
        assert not (tmp_path / "cells.jsonl").exists()

    def test_wrong_labels_are_the_next_classes_images(self):
        images, labels = verdict_images()
        source = verdict.WrongLabels(images, labels)
        generated, settings_given = source.sample(labels=[0, 9, 4], seed=1)
        assert settings_given.tolist() == [0, 9, 4]
        for image, label in zip(generated, settings_given.tolist(), strict=True):
            assert (images[labels == (label + 1) % 10] == image).flatten(1).all(1).any()


def verdict_images():
    from genaug.data.reading import read_samples

    data = read_samples(load_data("digits"))
    return data.x, data.labels


class TestFewLabels:
    TINY = ("--root", "nowhere", "--seeds", 2, "--updates", 3, "--steps", 2, "--pretrain-steps", 2)

    @pytest.fixture(autouse=True)
    def digits_for_mnist(self, monkeypatch):
        monkeypatch.setattr(mnist_low_label, "load_data", lambda name, split, root: load_data("digits", split=split))
        monkeypatch.setattr(mnist_low_label, "Recipe", partial(Recipe, config=SMALL))
        monkeypatch.setattr(mnist_low_label, "STUDIES", {"1 %": 4, "10 a class": 3, "10 a class, pretrained": 3})

    def test_from_start_to_json_and_on_from_the_tracked_cells(self, run, tmp_path, scored):
        first = run(mnist_low_label, *self.TINY, "--json")
        result = summary(first)
        assert first.err.count("a full run costs about") == 3
        for key in ("one_percent", "ten", "ten_pretrained"):
            assert result[f"{key}_seeds"] == 2
            none, both = (result[f"{key}_error_percent_{arm}"] for arm in ("none", "generated"))
            reduction = result[f"{key}_error_reduction_generated_over_none_mean"]
            assert reduction == pytest.approx(1 - both / none)
        record = tmp_path / "cells.jsonl"
        lines = lines_of(record)
        assert {line["study"] for line in lines} == {"1 %", "10 a class", "10 a class, pretrained"}
        gone = next(line for line in lines if (line["study"], line.get("phase")) == ("10 a class", "test"))
        record.write_text("".join(json.dumps(line) + "\n" for line in lines if line is not gone))
        shutil.rmtree(tmp_path / "runs" / "10-a-class")
        scored.clear()
        again = summary(run(mnist_low_label, *self.TINY, "--study", "10 a class", "--json"))
        assert scored == [gone["name"]]
        assert len(again) * 3 == len(result)
        assert summary(run(mnist_low_label, "--table", "--json")) == {**result, "ten_hours": again["ten_hours"]}
        run(mnist_low_label, "--table")
        record.write_text("".join(json.dumps(line) + "\n" for line in lines_of(record) if line.get("name") != "none"))
        assert summary(run(mnist_low_label, "--table", "--json")) == {}
        assert again.pop("ten_hours") > 0
        assert again == {key: result[key] for key in again}

    def test_the_pretrained_generator_saw_no_seeds_images(self, run, tmp_path, monkeypatch):
        calls = []
        monkeypatch.setattr(genaug, "fit", lambda _, rest, **__: calls.append(rest))
        train = load_data("digits")
        used = mnist_low_label.few_per_class(train, 6)
        options = mnist_low_label.argparse.Namespace(out=tmp_path, pretrain_steps=2)
        mnist_low_label.pretrained(train, used, options)
        assert not set(calls[0].indices) & set(used.indices)
        assert len(calls[0]) + len(used) == len(train)

    def test_the_cost_alone(self, run, tmp_path, scored):
        output = run(mnist_low_label, *self.TINY, "--estimate", "--json")
        assert output.out == ""
        assert output.err.count("a full run costs about") == 3
        assert not scored
        assert not (tmp_path / "cells.jsonl").exists()


class TestSmallStudies:
    @pytest.fixture(autouse=True)
    def tiny(self, monkeypatch):
        tiny = {"labels_per_class": 2, "generator_steps": 2, "generator_batch_size": 4, "updates": 3, "batch_size": 8}
        monkeypatch.setattr(small_studies, "DemoSettings", partial(DemoSettings, **tiny))
        recipe = partial(Recipe, "cgan", 2, config=SMALL)
        monkeypatch.setattr(small_studies, "Recipe", lambda backend, steps, config: recipe())

    def test_from_start_to_table_and_on_from_the_record(self, tmp_path, capsys, scored):
        words = ["--out", f"{tmp_path / 'runs'}", "--results", f"{tmp_path / 'cells.jsonl'}", "--json"]
        small_studies.main([*words, "--seeds", "2", "--updates", "2"])
        printed = capsys.readouterr()
        result = summary(printed)
        lines = lines_of(tmp_path / "cells.jsonl")
        assert {line["study"] for line in lines} == {"demo", "own digits", "pretrained"}
        (demo,) = (line["result"] for line in lines if "result" in line)
        assert len(demo["arms"]["none"]["accuracies"]) == 2
        assert result["demo_accuracy_none"] == pytest.approx(sum(demo["arms"]["none"]["accuracies"]) / 2)
        assert result["demo_generated_less_none_low"] == demo["differences"]["generated - none"]["low"]
        for name in ("own digits", "pretrained"):
            none = [
                c["accuracy"] for c in lines if (c["study"], c.get("phase"), c.get("name")) == (name, "test", "none")
            ]
            assert result[f"{small_studies.plain(name)}_accuracy_none"] == pytest.approx(sum(none) / 2)
        scored.clear()
        small_studies.main([*words, "--table"])
        again = capsys.readouterr()
        assert summary(again) == result
        assert again.err == printed.err[-len(again.err) :]
        assert not scored
        small_studies.main(
            [*words[:-1], "--table", "--only", "demo", "--results", f"{tmp_path / 'none.jsonl'}", "--json"]
        )
        assert summary(capsys.readouterr()) == {}, "nothing is run for a table"
