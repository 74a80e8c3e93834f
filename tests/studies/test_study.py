import contextlib
import json
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from helpers.toy import SHAPE, ToySet, ToySource, linear
from torchvision.transforms import v2

import genaug
from genaug.backends import Spec
from genaug.data.reading import fingerprint, read_samples
from genaug.errors import FormatError, InputError, OutputExistsError, PluginError, SaveError
from genaug.labelling.source import LabelledSource
from genaug.modalities.image import Image
from genaug.studies import (
    OnBatches,
    Recipe,
    jobs as jobs_module,
    preparation as preparation_module,
    running as running_module,
    sources as sources_module,
    workers as workers_module,
)
from genaug.studies.arms import Arm
from genaug.studies.blending import class_counts, generate
from genaug.studies.cells import StudyFolder, run_folder
from genaug.studies.options import Options
from genaug.studies.splits import LabelledSamples

TRAIN, TEST = ToySet(20, 0), ToySet(100, 1)
# No augmentation instead of the built-in one, which would rotate columns into each other.
KEEP = torch.nn.Identity()
QUICK = {"classifier": linear, "classic": KEEP, "updates": 30, "batch_size": 16, "lr": 0.1, "progress": False}
study = partial(genaug.study, TRAIN, TEST, labels_per_class=3, seeds=5, ratios=(0.8,), device="cpu", **QUICK)
TINY = Recipe("cgan", steps=1, batch_size=2, config={"width": 4, "max_width": 8, "latent_size": 4})


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    out = tmp_path_factory.mktemp("studies") / "good"
    return out, study(sources={"plenty": ToySource()}, ratios=(0.5, 0.8), out=out)


def without_times(report):
    def strip(what):
        if isinstance(what, dict):
            return {k: strip(v) for k, v in what.items() if "seconds" not in k and k not in ("sentence",)}
        return [strip(v) for v in what] if isinstance(what, list) else what

    return strip(report.details)


def test_the_verdict_on_a_source_that_clearly_helps_is_use(good):
    _, report = good
    assert report.verdict == "use"
    assert report.source == "plenty"
    assert report.ratio in (0.5, 0.8)
    assert report.ratio == report.details["chosen"]["ratio"]
    assert 0 < report.interval[0] < report.interval[1]
    assert report.sentence.startswith(f"Use plenty at ratio {report.ratio:g}")
    assert "already" in report.sentence, "no training is claimed"


def test_the_verdict_on_wrong_labels_is_dont_use():
    report = study(sources={"liar": ToySource(shift=1)}, updates=15)
    assert (report.verdict, report.ratio, report.source) == ("don't use", 0, "liar")
    assert report.interval[1] < 0
    assert report.html is not None


def test_only_what_the_verdict_needs_is_tested(good):
    _, report = good
    inner, test = (report.details["scores"][phase] for phase in ("inner", "test"))
    both = [f"plenty {r:g}" for r in (0.5, 0.8)] + [f"classic + plenty {r:g}" for r in (0.5, 0.8)]
    assert set(inner) == {"none", "classic", "noise 0.5", "noise 0.8", *both}
    r = f"{report.ratio:g}"
    assert set(test) == {"none", "classic", f"noise {r}", f"plenty {r}", f"classic + plenty {r}"}
    assert all(len(row) == 5 for row in (*inner.values(), *test.values()))


def test_exploring_scores_the_other_arms_and_keeps_the_verdict():
    plain, explored = (
        study(sources={"plenty": ToySource()}, ratios=(0.5, 0.8), updates=3, explore=explore)
        for explore in (False, True)
    )
    assert set(explored.details["scores"]["test"]) == set(plain.details["scores"]["inner"])
    assert explored.interval == plain.interval
    extra = {c["name"] for c in explored.details["comparisons"] if c["role"] == "explored"}
    assert len(extra) == 3
    assert "explored" in explored.html
    assert "<small>explored" not in plain.html


def test_classic_augmentation_without_effect_equals_none_for_every_seed(good):
    _, report = good
    assert report.scores("classic") == report.scores("none"), "same images, weights, order and updates"


def test_the_report_is_written_and_read_back(good):
    out, report = good
    again = genaug.load_study(out)
    assert (again.verdict, again.ratio, again.source, again.classic) == ("use", report.ratio, "plenty", report.classic)
    assert again.interval == report.interval
    assert again.details == json.loads(json.dumps(report.details))
    assert genaug.load_study(out / "report.json") == again
    name = report.details["chosen"]["name"]
    reduction = again.error_reduction(name, "none")
    errors = [sum(1 - a for a in report.scores(arm)) for arm in (name, "none")]
    assert reduction.mean == pytest.approx(1 - errors[0] / errors[1])
    assert 0 < reduction.low < reduction.mean < reduction.high
    mixed = genaug.MixedDataset(TRAIN, ToySource(), ratio=again.ratio)
    assert mixed.ratio == pytest.approx(again.ratio, abs=0.01)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not valid JSON"),
        ('{"kind": "demo"}', "is not a study's report"),
        ('{"kind": "study", "format_version": 99}', "format version 99"),
        ('{"kind": "study", "format_version": 1}', "run the study again if it is older"),
        ('{"kind": "study", "format_version": 3, "verdict": "perhaps"}', "damaged"),
    ],
)
def test_files_that_are_not_reports_are_rejected(tmp_path, content, message):
    with pytest.raises(FormatError, match="missing"):
        genaug.load_study(tmp_path)
    (tmp_path / "report.json").write_text(content)
    with pytest.raises(FormatError, match=message):
        genaug.load_study(tmp_path)


def test_a_report_whose_ratio_contradicts_its_verdict_is_rejected(good, tmp_path):
    details = {**good[1].details, "verdict": "no evidence"}
    (tmp_path / "report.json").write_text(json.dumps(details))
    with pytest.raises(FormatError, match="ratio and verdict"):
        genaug.load_study(tmp_path)


def test_the_page_is_self_contained_and_shows_the_numbers(good):
    out, report = good
    text = (out / "report.html").read_text()
    assert text == report.html
    assert "://" not in text
    assert "<script" not in text
    assert text.count("data:image/png;base64,") == 2
    for comparison in report.details["comparisons"]:
        assert f"{100 * comparison['mean']:+.1f}".replace("-", "−") in text
    assert "declared pretrained" in text
    assert "it has no record" in text
    assert "no two seeds share" in text


def test_a_killed_study_is_resumed_with_the_same_result(tmp_path, monkeypatch):
    settings = {"sources": {"made": TINY, "plenty": ToySource()}, "seeds": 2, "updates": 3}
    complete = study(**settings, out=tmp_path / "complete")
    append, left = StudyFolder.append, [9]

    def killed(self, cell):
        append(self, cell)
        left[0] -= 1
        if not left[0]:
            with open(self.cells, "a") as file:
                file.write('{"phase": "inner", "se')  # an incomplete line
            raise KeyboardInterrupt

    monkeypatch.setattr(StudyFolder, "append", killed)
    with pytest.raises(KeyboardInterrupt):
        study(**settings, out=tmp_path / "killed")
    with pytest.raises(FormatError, match="isn't finished"):
        genaug.load_study(tmp_path / "killed")
    finished = (tmp_path / "killed" / "cells.jsonl").read_text().splitlines()[:-1]
    assert len(finished) == 9
    with pytest.raises(OutputExistsError, match="--resume"):
        study(**settings, out=tmp_path / "killed")
    settings_file = tmp_path / "killed" / "study.json"
    recorded = json.loads(settings_file.read_text())
    settings_file.write_text(json.dumps({name: value for name, value in recorded.items() if value is not None}))
    with pytest.raises(InputError, match="updates was 3, now it is 4"):
        study(**{**settings, "updates": 4}, out=tmp_path / "killed", resume=True)
    with pytest.raises(InputError, match=r"sources\.made was"):
        study(**{**settings, "sources": {"plenty": ToySource(shift=1)}}, out=tmp_path / "killed", resume=True)
    left[0] = 10**6
    resumed = study(**settings, out=tmp_path / "killed", resume=True)
    assert (tmp_path / "killed" / "cells.jsonl").read_text().splitlines()[:9] == finished, "they are unchanged"
    assert without_times(resumed) == without_times(complete)
    assert genaug.load(tmp_path / "killed" / "generators" / "made" / "inner-0").spec.class_names == tuple(TRAIN.classes)


@pytest.mark.parametrize("damage", ["half written", "not begun", "other settings"])
def test_a_generator_that_was_damaged_is_trained_again_and_no_arm_is_lost(tmp_path, damage):
    out, settings = tmp_path / "out", {"sources": {"made": TINY, "plenty": ToySource()}, "seeds": 2, "updates": 3}
    complete = study(**settings, out=out)
    cells = (out / "cells.jsonl").read_text().splitlines(True)
    (out / "cells.jsonl").write_text("".join(line for line in cells if '"plenty' in line or '"none"' in line))
    for folder in (out / "generators" / "made").iterdir():
        if damage == "half written":
            (folder / "model.safetensors").write_bytes(b"half")
        if damage == "not begun":
            (folder / "config.json").unlink()
        if damage == "other settings":
            shutil.rmtree(folder)
            genaug.fit("cgan", TRAIN, out=run_folder(folder), steps=1, config=TINY.config, progress=False)
    resumed = study(**settings, out=out, resume=True)
    assert resumed.details["failures"] == []
    assert without_times(resumed)["scores"] == without_times(complete)["scores"]
    assert not list(out.rglob("*.run"))


def test_a_full_disk_ends_the_study_without_failing_an_arm(tmp_path, monkeypatch):
    settings = {"sources": {"made": TINY}, "seeds": 2, "updates": 3, "out": tmp_path / "out"}

    def full(*_, **__):
        raise SaveError("could not write to there. The disk is full.")

    with monkeypatch.context() as patch:
        patch.setattr(sources_module, "train", full)
        with pytest.raises(SaveError, match="disk is full"):
            study(**settings)
    assert study(**settings, resume=True).details["failures"] == []


def test_a_second_study_in_the_same_folder_is_rejected_before_it_reads_anything(tmp_path):
    class Second(ToySet):
        def __getitem__(self, index):
            if index == 0 and not (tmp_path / "out" / "study.json").exists():
                for options in ({}, {"resume": True}, {"overwrite": True}):
                    with pytest.raises(OutputExistsError, match=r"is being written to by a study \(process \d+ on"):
                        study(sources={"plenty": ToySource()}, out=tmp_path / "out", **options)
            return super().__getitem__(index)

    settings = {**QUICK, "labels_per_class": 3, "seeds": 2, "ratios": (0.8,), "device": "cpu", "out": tmp_path / "out"}
    genaug.study(Second(20, 0), TEST, sources={"plenty": ToySource()}, **settings)
    assert (tmp_path / "out" / "report.json").exists()


def test_overwriting_keeps_other_files(tmp_path):
    settings = {"sources": {"made": TINY}, "seeds": 2, "updates": 3, "out": tmp_path / "out"}
    study(**settings)
    mine = [tmp_path / "out" / name for name in ("notes.txt", "generators/power-plant.csv", "generators/made/notes")]
    for path in mine:
        path.write_text("mine")
    study(**{**settings, "sources": {"plenty": ToySource()}}, overwrite=True)
    assert all(path.read_text() == "mine" for path in mine)
    assert sorted(path.name for path in (tmp_path / "out" / "generators" / "made").iterdir()) == ["notes"]


CHILD = """
import sys, time
sys.path.insert(0, sys.argv[1])
from helpers.toy import ToySet, ToySource, linear
import genaug

def slow(image):
    time.sleep(0.02)
    return image

if __name__ == "__main__":
    settings = {"labels_per_class": 3, "seeds": 2, "ratios": (0.8,), "batch_size": 8, "device": "cpu"}
    sources = {"plenty": ToySource()}
    genaug.study(ToySet(20, 0), ToySet(20, 1), sources=sources, updates=10**6, classifier=linear, classic=slow,
                 workers=2, out=sys.argv[2], progress=False, **settings)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the workers in /proc")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_workers_end_with_the_process_that_started_them(tmp_path, number):
    script = tmp_path / "script.py"
    script.write_text(CHILD)
    process = subprocess.Popen([sys.executable, script, Path(__file__).parents[1], tmp_path / "out"])
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    workers = []
    try:
        deadline = time.monotonic() + 300
        while len(workers) < 3:  # with multiprocessing's resource tracker
            assert time.monotonic() < deadline
            time.sleep(0.1)
            workers = [int(pid) for pid in children.read_text().split()]
        process.send_signal(number)
        assert process.wait(120) == (143 if number == signal.SIGTERM else -number)
        while any(running(pid) for pid in workers):
            assert time.monotonic() < deadline
            time.sleep(0.1)
    finally:
        for pid in (process.pid, *workers):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    assert (tmp_path / "out" / ".genaug.lock").exists() == (number == signal.SIGKILL)


def running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_finished_study_is_not_run_again(good, monkeypatch):
    out, report = good
    monkeypatch.setattr(jobs_module, "_score", None)
    again = study(sources={"plenty": ToySource()}, ratios=(0.5, 0.8), out=out, resume=True)
    assert again == report


def test_only_a_study_can_be_overwritten(good, tmp_path):
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(OutputExistsError, match="left alone"):
        study(sources={"plenty": ToySource()}, out=tmp_path, overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
    with pytest.raises(InputError, match="only one of them"):
        study(sources={"plenty": ToySource()}, out=tmp_path, overwrite=True, resume=True)


def test_a_generator_sees_only_its_seeds_images_without_those_held_out(monkeypatch):
    seen = {}

    def spy(recipe, images, folder, seed, device):
        seen[folder.name] = {bytes(image.numpy().tobytes()) for image in images.samples}
        return ToySource()

    monkeypatch.setattr(sources_module, "train", spy)
    study(sources={"made": TINY}, seeds=2, updates=1)
    assert set(seen) == {"inner-0", "inner-1", "test-0", "test-1"}
    for seed in (0, 1):
        assert seen[f"inner-{seed}"] < seen[f"test-{seed}"]
        assert (len(seen[f"inner-{seed}"]), len(seen[f"test-{seed}"])) == (6, 9)
    assert not seen["test-0"] & seen["test-1"], "disjoint training subsets"


class Copies:
    """Copies of a seed's own images: what a function of (images, seed) returns in the tests."""

    def __init__(self, images, seed):
        self.images, self.spec = images, ToySource().spec
        self.noise = torch.rand((), generator=torch.Generator().manual_seed(seed))

    def sample(self, n=None, *, labels=None, seed=None):
        rows = [int(torch.nonzero(self.images.labels == label)[0]) for label in labels.tolist()]
        return (self.images.samples[rows].float() * (0.9 + 0.1 * self.noise)).to(torch.uint8), labels


def test_a_function_makes_a_source_of_each_seeds_images_without_those_held_out(monkeypatch):
    calls = []
    monkeypatch.setattr(sources_module, "call", lambda *a, call=sources_module.call: calls.append(a) or call(*a))
    report = study(sources={"copies": Copies}, updates=2)
    forks = multiprocessing.get_context("forkserver")  # like spawned ones, but they start at once
    monkeypatch.setattr(workers_module.multiprocessing, "get_context", lambda method: forks)
    assert [len(images) for _, images, _, _ in calls[:10]] == 5 * [6] + 5 * [9]
    assert report.details["settings"]["sources"]["copies"]["trained"].startswith("for every seed, by a function")
    assert study(sources={"copies": Copies}, updates=2, workers=2).details["scores"] == report.details["scores"]


def test_a_function_whose_source_does_not_fit_fails_its_arms_with_a_sentence():
    wide = SimpleNamespace(spec=Spec(sample=Image(1, 4, 9), classes=3), sample=ToySource().sample)
    report = study(sources={"wide": lambda images, seed: wide}, updates=2)
    assert report.verdict == "no evidence"
    assert "it makes images of 1x4x9, the data are 1x4x4" in report.html


@pytest.mark.slow
@pytest.mark.usefixtures("all_samples_for_statistics")  # which the processes use, too
def test_processes_give_the_same_report(tmp_path):
    settings = {"sources": {"made": TINY, "plenty": ToySource()}, "seeds": 2, "updates": 3}
    alone = study(**settings)
    together = study(**settings, workers=2, out=tmp_path / "out")
    assert without_times(together) == without_times(alone)


def test_objects_that_cant_be_sent_to_another_process_are_named():
    with pytest.raises(InputError, match=r"'classifier' can't be sent .* \(no lambda\)"):
        study(sources={"plenty": ToySource()}, workers=2, classifier=lambda shape, classes: linear(shape, classes))


def test_an_arm_that_crashes_is_reported_and_the_others_finish():
    sources = {"bad": ToySource(fails_after=2), "plenty": ToySource()}
    report = study(sources=sources)
    assert (report.verdict, report.source) == ("use", "plenty")
    failures = report.details["failures"]
    assert {f["arm"] for f in failures} == {"bad 0.8", "classic + bad 0.8"}
    assert all("the network exploded" in f["error"] for f in failures)
    assert "bad 0.8" not in report.details["scores"]["test"]
    assert "What failed" in report.html
    assert "the network exploded" in report.html


def test_after_the_test_set_was_used_failed_arms_of_the_inner_splits_are_not_tried_again(tmp_path):
    settings = {"ratios": (0.8,), "seeds": 3, "out": tmp_path / "out"}
    first = study(sources={"good": ToySource(fails_after=2), "bad": ToySource(shift=1)}, **settings)
    assert first.source == "bad"
    again = study(sources={"good": ToySource(), "bad": ToySource(shift=1)}, **settings, resume=True)
    assert again.source == "bad"
    assert again.scores("bad 0.8") == first.scores("bad 0.8")
    assert again.details["failures"] == first.details["failures"]


def test_a_script_without_a_main_guard_is_an_error_in_its_workers(monkeypatch, tmp_path):
    monkeypatch.setattr(multiprocessing.current_process(), "_inheriting", True, raising=False)
    with pytest.raises(InputError, match='if __name__ == "__main__"'):
        study(sources={"plenty": ToySource()}, out=tmp_path / "out", workers=2)
    assert not (tmp_path / "out").exists()


class Breaking(torch.nn.Module):
    """A transform that fails after a number of calls."""

    def __init__(self, after):
        super().__init__()
        self.left = after

    def forward(self, image):
        self.left -= 1
        if self.left < 0:
            raise RuntimeError("out of rotations")
        return image


def test_a_baseline_that_crashes_on_the_test_set_is_no_evidence_and_the_report_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(running_module, "select", lambda table, seeds, baselines: Arm("plenty", 0.8))
    counter = Breaking(10**9)
    settings = {"sources": {"plenty": ToySource()}, "updates": 2, "seeds": 2}
    study(**settings, classic=counter)
    calls = 10**9 - counter.left
    in_test = 2 * 2 * 2 * 16  # classic alone and with the source, seeds, updates, images
    report = study(**settings, classic=Breaking(calls - in_test), out=tmp_path / "out")
    assert (report.verdict, report.ratio, report.classic) == ("no evidence", 0, False)
    assert "'classic' failed on the test set, so plenty at ratio 0.8" in report.sentence
    assert "could only be compared with 'none' (" in report.sentence
    assert report.details["sensitivity"] is None
    assert "out of rotations" in (tmp_path / "out" / "report.html").read_text()
    assert genaug.load_study(tmp_path / "out").sentence == report.sentence


def test_if_neither_baseline_finishes_the_error_says_why():
    with pytest.raises(InputError, match=r"nothing to compare with.* First: none, seed 0: RuntimeError: too few"):
        study(sources={"plenty": ToySource()}, updates=2, classifier=sometimes)


def test_every_verdict_includes_the_cost():
    report = study(sources={"liar": ToySource(shift=1), "made": TINY}, updates=15)
    assert report.verdict == "don't use"
    assert report.sentence.endswith(report.details["cost"]["sentence"])


def test_many_real_images_get_the_same_number_of_generated_ones():
    folder = StudyFolder(Path("unused"))
    kinds = {"sources": {"plenty": ToySource()}, "updates": 10**6, "seeds": 2, "classifier": linear, "classic": KEEP}
    many = ToySet(2000, 0)
    work, _, _ = preparation_module.prepare(many, TEST, folder, Options(**kinds))
    assert work.most_generated == len(many) == 6000
    few, _, _ = preparation_module.prepare(many, TEST, folder, Options(**kinds, labels_per_class=3))
    assert few.most_generated == preparation_module.POOL


def test_resuming_with_another_classifier_or_transform_is_rejected(tmp_path):
    settings = {"sources": {"plenty": ToySource()}, "seeds": 2, "updates": 1, "out": tmp_path / "out"}
    flip = [v2.RandomHorizontalFlip(1)]
    study(**settings, classifier=partial(wide, bias=True), classic=v2.RandomApply(flip, 0.1))
    with pytest.raises(InputError, match="classifier was"):
        study(**settings, classifier=partial(wide, bias=False), classic=v2.RandomApply(flip, 0.1), resume=True)
    same = {"classifier": partial(wide, bias=True), "classic": v2.RandomApply(flip, 0.1)}
    with pytest.raises(InputError, match=r"sources\.plenty\.samples_sha256 was \"\w{64}\", now it is"):
        study(**{**settings, **same, "sources": {"plenty": ToySource(shift=1)}}, resume=True)
    with pytest.raises(InputError, match="classic was"):
        study(**settings, classifier=partial(wide, bias=True), classic=v2.RandomApply(flip, 0.9), resume=True)
    study(**settings, classifier=partial(wide, bias=True), classic=v2.RandomApply(flip, 0.1), resume=True)


def wide(shape, num_classes, bias):
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, num_classes, bias=bias))


class Sometimes(torch.nn.Module):
    """Fails in training mode, which no check before the study uses."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(16, 3)

    def forward(self, images):
        if self.training:
            raise RuntimeError("too few")
        return self.layer(images.flatten(1))


def sometimes(shape, num_classes):
    return Sometimes()


def test_if_every_source_crashes_the_verdict_is_no_evidence():
    report = study(sources={"bad": ToySource(fails_after=1)}, updates=2)
    assert (report.verdict, report.ratio, report.source, report.interval) == ("no evidence", 0, None, None)
    assert "See the failures" in report.sentence
    assert set(report.details["scores"]["test"]) == {"none", "classic"}


def test_a_source_that_crashes_on_the_test_set_is_no_evidence():
    # One call for the fingerprint and one for each inner split.
    report = study(sources={"bad": ToySource(fails_after=6)}, updates=2)
    assert (report.verdict, report.ratio, report.source) == ("no evidence", 0, "bad")
    assert "failed on the test set" in report.sentence


def test_overlapping_subsets_get_a_correction_and_complete_sets_a_warning():
    quick = {"sources": {"plenty": ToySource()}, "updates": 2}
    overlapping = study(**quick, labels_per_class=10)  # of 20 images per class, for 5 seeds
    assert overlapping.details["statistics"]["overlap"] == 0.5
    assert overlapping.details["statistics"]["correction"] == pytest.approx(1)
    assert "two seeds share 50% of their training images" in overlapping.details["statistics"]["method"]
    every = study(**quick, labels_per_class=None)
    assert every.details["statistics"]["correction"] == 0
    assert "the noise of training only" in every.details["statistics"]["method"]
    assert any("labels_per_class" in text for text in every.details["warnings"])
    disjoint = study(**quick)
    assert disjoint.details["statistics"]["correction"] == 0
    assert disjoint.details["statistics"]["method"].startswith("paired t: no two seeds")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seeds": 1}, "two different seeds"),
        ({"seeds": [3]}, "two different seeds"),
        ({"seeds": [3, 3]}, "two different seeds"),
        ({"seeds": "ten"}, "a number of seeds or a sequence"),
        ({"ratios": (0,)}, "in \\(0, 1\\)"),
        ({"ratios": (0.5, 1)}, "in \\(0, 1\\)"),
        ({"ratios": (float("nan"),)}, "in \\(0, 1\\)"),
        ({"ratios": ()}, "ratios must be a sequence"),
        ({"ratios": 0.5}, "ratios must be a sequence"),
        ({"ratios": (0.5, 0.5)}, "differ"),
        ({"updates": 0}, "updates"),
        ({"lr": 0}, "lr"),
        ({"labels_per_class": 1}, "2 or more"),
        ({"labels_per_class": 2.5}, "labels_per_class"),
        ({"labels_per_class": "3"}, "labels_per_class"),
        ({"labels_per_class": 21}, "class 0 has 20"),
        ({"sources": {}}, "at least one"),
        ({"sources": {"noise": ToySource()}}, "can't be called 'noise'"),
        ({"sources": {"a/b": ToySource()}}, "can't be called 'a/b'"),
        ({"sources": {"x": 3}}, "'x'.*spec and sample"),
        ({"sources": {"x": {"backend": "cgan", "epochs": 3}}}, "'x'.*epochs"),
        ({"sources": {"x": {"backend": "cgan", "config": {"widht": 3}}}}, "widht"),
        ({"sources": {"x": {"backend": "cgan", "steps": 0}}}, "1 or more"),
        ({"classifier": "large"}, "classifier must be"),
        ({"classifier": lambda shape, classes: linear(shape, classes + 1)}, "logits of shape"),
        ({"classifier": lambda shape, classes: None}, "NoneType"),
        ({"classic": 3}, "must be a transform"),
        ({"classic": v2.CutMix(num_classes=3)}, "OnBatches"),
        ({"classic": v2.Resize(2)}, "keep their shape"),
        ({"classic": v2.Compose([v2.ToDtype(torch.float32, scale=True), v2.Normalize([0.5], [0.1])])}, "Normalize"),
    ],
)
def test_invalid_arguments_are_rejected(changes, message, tmp_path):
    with pytest.raises(InputError, match=message):
        study(**{"sources": {"plenty": ToySource()}, "out": tmp_path / "out", **changes})
    assert not (tmp_path / "out").exists()


def test_a_source_within_another_that_was_trained_on_the_test_set_is_rejected():
    source = ToySource()
    source.training = {"data_sha256": fingerprint(read_samples(TEST)), "images": len(TEST)}
    for leak in (source, genaug.SamplePool(source, size=30)):
        with pytest.raises(InputError, match="'leak' was trained on the test set"):
            study(sources={"leak": leak})


def test_a_pool_that_contains_a_test_image_is_rejected():
    rows = torch.utils.data.Subset(TEST, [0, 5])
    pool = genaug.SamplePool.from_dataset(torch.utils.data.ConcatDataset([TRAIN, rows]))
    for leak in (pool, Labelled(pool, pool.spec)):
        with pytest.raises(InputError, match=r"2 of the [\d,]+ images of source 'leak' are test images"):
            study(sources={"leak": leak})


class Labelled(LabelledSource):
    """The parts of a source from ``with_labels`` that a study uses before it starts."""

    report = SimpleNamespace(labelled_images=30)

    def _draw(self, labels, seed):
        return self.inner.sample(labels=labels, seed=seed)[0]

    _move = class_probabilities = _draw


def test_the_origin_of_labels_is_reported_also_for_a_pool():
    source = ToySource()
    source.training = {"images": 500}
    labelled = Labelled(source, source.spec)
    train = read_samples(TRAIN)
    for source in (labelled, genaug.SamplePool(labelled, size=30)):
        saw = sources_module.describe_source(source, train)["saw"]
        assert saw == "500 images, and its labels come from 30 labeled images"


def test_a_pool_is_identified_by_all_its_images_and_each_is_used_once_per_seed():
    train = read_samples(TRAIN)
    images, labels = train.x.clone(), train.labels
    descriptions, samples = [], []
    for _ in range(2):
        pool = genaug.SamplePool.from_dataset(torch.utils.data.TensorDataset(images, labels))
        descriptions.append(sources_module.describe_source(pool, train))
        counts = class_counts(labels, 0.5, 5000, fill=False)
        samples.append(generate(pool, LabelledSamples(train.x, labels, None), counts, 0, train.spec))
        images[-1] = 255 - images[-1]
    assert descriptions[0]["type"] == f"SamplePool of {len(images):,} images"
    assert descriptions[0]["samples_sha256"] != descriptions[1]["samples_sha256"]
    distinct = {bytes(image) for image in images.numpy()}
    assert len({bytes(image) for image in samples[1].samples.numpy()}) == len(samples[1]) <= len(distinct)
    assert len(samples[1]) == len(images)


def test_a_pool_that_lacks_a_class_is_rejected_before_anything_is_trained():
    train = read_samples(TRAIN)
    rows = torch.nonzero(train.labels != 1).flatten()
    pool = genaug.SamplePool.from_dataset(torch.utils.data.TensorDataset(train.x[rows], train.labels[rows]))
    with pytest.raises(InputError, match=r"source 'made'.* class"):
        study(sources={"made": pool})


def test_a_backend_for_tables_is_rejected_before_anything_is_trained():
    pytest.importorskip("pandas")
    with pytest.raises(InputError, match="'rows': backend 'tvae' can't be trained on images"):
        study(sources={"rows": "tvae"})


def test_a_backend_without_labels_is_rejected_before_anything_is_trained():
    recipes = [{"backend": "infogan"}, {"backend": "cgan", "config": {"conditional": False}}]
    for recipe in recipes:
        with pytest.raises(InputError, match=r"'plain': .* takes no labels.*with_labels"):
            study(sources={"plain": recipe})


def test_an_unknown_backend_is_rejected():
    with pytest.raises(PluginError, match="gcan"):
        study(sources={"made": "gcan"})


class Part(torch.utils.data.Subset):
    """Some items of a dataset, with the names of all its classes."""

    @property
    def targets(self):
        return [self.dataset.targets[i] for i in self.indices]

    @property
    def classes(self):
        return self.dataset.classes


def test_datasets_that_dont_fit_together_are_rejected():
    run = partial(genaug.study, **{"sources": {"plenty": ToySource()}, "seeds": 2, **QUICK})
    leak = torch.utils.data.ConcatDataset([TEST, Part(TRAIN, [5])])
    with pytest.raises(InputError, match=r"1 of 301 test images .* test image 300 is training image 5"):
        run(TRAIN, leak)
    some = [i for i, label in enumerate(TEST.targets) if label != 2]
    with pytest.raises(InputError, match=r"the test set has no image of class 2 \('column 2'\)"):
        run(TRAIN, Part(TEST, some))
    with pytest.raises(InputError, match="the training set has no image of class 2"):
        run(Part(TRAIN, [i for i, label in enumerate(TRAIN.targets) if label != 2]), TEST)
    with pytest.raises(InputError, match="fewer than the 2"):
        run(Part(TRAIN, [0, 1, 2, 3, 4]), TEST)
    renamed = ToySet(100, 1)
    renamed.classes = ["a", "b", "c"]
    with pytest.raises(InputError, match=r"the test set has classes that the other set lacks: 0 \('a'\)"):
        run(TRAIN, renamed)
    with pytest.raises(InputError, match="no labels"):
        run([image for image, _ in TRAIN], TEST)
    with pytest.raises(InputError, match="training images are 1x4x4, test images 1x8x8"):
        run(TRAIN, [(torch.zeros(1, 8, 8, dtype=torch.uint8), label) for label in range(3)])
    wide = ToySource()
    wide.spec = wide.spec.model_copy(update={"sample": Image(1, 8, 8)})
    with pytest.raises(InputError, match="'wide': it makes images of 1x8x8, the data are 1x4x4"):
        run(TRAIN, TEST, sources={"wide": wide})


def test_a_test_set_with_another_numbering_gives_the_same_accuracies():
    turned = ToySet(100, 1)
    turned.classes, turned.targets = turned.classes[::-1], [2 - label for label in turned.targets]
    quick = {**study.keywords, "sources": {"plenty": ToySource()}, "updates": 5, "seeds": 2}
    reports = [genaug.study(TRAIN, test, **quick) for test in (TEST, turned)]
    assert reports[0].scores("none") == reports[1].scores("none")


def test_classes_without_images_are_only_reported():
    def letters(per_class, seed):  # as in EMNIST's letters, the classes' numbers start at 1
        data = ToySet(per_class, seed)
        data.targets, data.classes = [label + 1 for label in data.targets], ["N/A", *data.classes]
        return data

    quick = {**study.keywords, "updates": 5, "seeds": 2}
    report = genaug.study(letters(20, 0), letters(100, 1), sources={"cgan": TINY}, **quick)
    assert report.details["failures"] == []
    assert report.details["warnings"][0].startswith("No image is of class 0 ('N/A')")
    assert len(report.scores("none")) == 2


def test_classes_matched_by_number_are_reported(good):
    _, report = good
    assert report.details["warnings"][0].startswith("Source 'plenty' has no class names, so its classes are matched")


def test_a_source_that_was_trained_on_the_test_set_is_rejected():
    from genaug.data.reading import fingerprint, read_samples

    source = ToySource()
    source.training = {"images": len(TEST), "data_sha256": fingerprint(read_samples(TEST))}
    with pytest.raises(InputError, match="trained on the test set"):
        study(sources={"x": source})
    source.training = {"images": len(TRAIN), "data_sha256": fingerprint(read_samples(TRAIN))}
    report = study(sources={"x": source}, updates=1, seeds=2)
    assert report.details["settings"]["sources"]["x"]["saw"].startswith("60 images, the whole training set")


def test_the_users_own_transforms_of_samples_and_of_batches():
    flipped = study(sources={"plenty": ToySource()}, classic=v2.RandomHorizontalFlip(1.0), updates=15, seeds=2)
    assert flipped.scores("classic") != flipped.scores("none")
    cut = study(sources={"plenty": ToySource()}, classic=OnBatches(v2.CutMix(num_classes=3)), updates=15, seeds=2)
    assert cut.details["settings"]["classic"].startswith("OnBatches(CutMix")
    assert cut.scores("classic") != cut.scores("none")


def test_a_transform_that_draws_from_numpy_or_python_is_reproducible():
    first, second = (
        study(sources={"plenty": ToySource()}, classic=NumpyJitter(), updates=5, seeds=2) for _ in range(2)
    )
    assert first.scores("classic") == second.scores("classic")
    assert first.scores("classic") != first.scores("none")


class NumpyJitter:
    def __call__(self, image):
        return (image * np.random.uniform(0, 1) * random.random()).to(torch.uint8)


def test_a_timm_model_by_name():
    pytest.importorskip("timm")
    from genaug.studies.models import make_classifier

    one, two = (make_classifier("timm:mobilenetv3_small_050", SHAPE, 3, seed=1) for _ in range(2))
    assert one.eval()(torch.rand(2, *SHAPE)).shape == (2, 3)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))
    with pytest.raises(InputError, match=r"resnet99"):
        study(sources={"plenty": ToySource()}, classifier="timm:resnet99")
