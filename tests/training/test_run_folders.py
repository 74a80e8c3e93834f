"""A run's folder has a single writer, which touches only its own files, and is usable after a kill at any point."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from helpers.kills import killed_at

import genaug
from genaug.artifacts.claims import claim
from genaug.errors import InputError, OutputExistsError

KILLS = Path(__file__).parents[1] / "helpers" / "kills.py"


@pytest.fixture
def fit(tiny_set, tiny_config):
    def run(out, **arguments):
        common = {"batch_size": 8, "checkpoint_every": 1, "device": "cpu", "precision": "float32", "progress": False}
        return genaug.fit(
            "cgan",
            arguments.pop("dataset", tiny_set),
            out=out,
            config=tiny_config,
            **{"steps": 2, **common, **arguments},
        )

    return run


def weights(folder):
    return (folder / "model.safetensors").read_bytes()


class Watched(torch.utils.data.Dataset):
    """A dataset that calls a function when its first item is read."""

    def __init__(self, dataset, action):
        self.dataset, self.action = dataset, action

    def __len__(self):
        return len(self.dataset)

    def __getitem__(self, index):
        if index == 0:
            self.action()
        return self.dataset[index]


@pytest.mark.parametrize("options", [{}, {"overwrite": True}, {"resume": True}])
def test_a_second_run_is_an_error_while_the_first_reads_its_data(fit, tmp_path, tiny_set, options):
    def second():
        with pytest.raises(OutputExistsError, match=r"written to by a training run \(cgan, seed 4\) \(process \d+ on"):
            fit(tmp_path / "run", seed=5, **options)

    fit(tmp_path / "run", seed=4, dataset=Watched(tiny_set, second))
    assert json.loads((tmp_path / "run" / "run.json").read_text())["seed"] == 4
    assert len((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()) == 2


def test_other_files_stay_with_all_options(fit, tmp_path):
    run = tmp_path / "run"
    fit(run)
    mine = [
        run / "samples" / "notes.csv",
        run / "checkpoints" / "notes.txt",
        run / ".rsync.part" / "data",
        run / "a.pt",
    ]
    for path in mine:
        path.parent.mkdir(exist_ok=True)
        path.write_text("mine")
    fit(run, steps=3, resume=True)
    fit(run, steps=1, overwrite=True)
    assert all(path.read_text() == "mine" for path in mine)
    assert sorted(path.name for path in (run / "samples").iterdir()) == ["notes.csv", "step-00000001.png"]


@pytest.mark.parametrize("name", ["config.json", "metrics.jsonl", "samples", "checkpoints/step-00000009.pt"])
def test_a_conflicting_file_is_named_before_training(fit, tmp_path, name):
    run = tmp_path / "run"
    fit(run, steps=1)
    with claim(run, "run", replace=True) as place:
        place.remove([file for file in place.files if file.startswith(name)])
    (run / name).write_text("mine")
    for options in ({"overwrite": True}, {"resume": True}):
        with pytest.raises(OutputExistsError, match=f"run/{name}.* is needed"):
            fit(run, **options)
        assert (run / name).read_text() == "mine"
        assert (run / "run.json").exists()


def test_a_checkpoint_of_another_run_is_skipped(fit, tmp_path, capsys):
    fit(tmp_path / "other", seed=1)
    fit(tmp_path / "reference")
    fit(tmp_path / "run", steps=1)
    for ending in ("pt", "pt.json"):
        content = (tmp_path / "other" / "checkpoints" / f"step-00000001.{ending}").read_bytes()
        (tmp_path / "run" / "checkpoints" / f"step-00000001.{ending}").write_bytes(content)
    fit(tmp_path / "run", resume=True, progress=True)
    output = capsys.readouterr().err
    assert "step-00000001.pt is a checkpoint of another run and was skipped." in output
    assert weights(tmp_path / "run") == weights(tmp_path / "reference")


def test_a_run_that_starts_over_has_another_identity(fit, tmp_path):
    identities = []
    for options in ({}, {"resume": True}, {"overwrite": True}):
        fit(tmp_path / "run", **options)
        identities.append(json.loads((tmp_path / "run" / "run.json").read_text())["run"])
    assert identities[0] == identities[1] != identities[2]


def test_a_run_without_its_settings_is_not_resumed_and_not_lost(fit, tmp_path):
    fit(tmp_path / "run")
    (tmp_path / "run" / "run.json").unlink()
    before = weights(tmp_path / "run")
    with pytest.raises(InputError, match=r"run\.json is missing.*--overwrite"):
        fit(tmp_path / "run", resume=True)
    assert weights(tmp_path / "run") == before
    fit(tmp_path / "run", overwrite=True)


@pytest.mark.parametrize("options", [{}, {"resume": True}, {"overwrite": True}])
def test_a_run_that_was_killed_before_it_had_settings_can_be_started(fit, tmp_path, options):
    def begin():
        with claim(tmp_path / "run", "run") as place:
            place.write({"run.json": b"{}"})

    assert killed_at(6, begin)
    assert (tmp_path / "run" / ".genaug.lock").exists()
    assert not (tmp_path / "run" / "run.json").exists()
    if "resume" in options:
        with pytest.warns(genaug.errors.TrainingWarning, match="starting at step 0"):
            fit(tmp_path / "run", **options)
    else:
        fit(tmp_path / "run", **options)
    assert not (tmp_path / "run" / ".genaug.lock").exists()


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "stride"), [("run", 6), ("study", 150)])
def test_a_kill_at_any_point_loses_nothing(tmp_path, kind, stride):
    """See ``kills.py``. Every run of this test uses different points."""
    start = int.from_bytes(os.urandom(2)) % stride
    command = [sys.executable, KILLS, kind, tmp_path, str(start), str(stride)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(KILLS.parents[1])}  # for helpers.toy
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=1500)
    assert result.returncode == 0, result.stderr
    outcomes = [json.loads(line) for line in result.stdout.splitlines()]
    points = [outcome for outcome in outcomes if "point" in outcome]
    assert len(points) > 6
    for outcome in points:
        for option in ("resume", "overwrite"):
            assert outcome[option] == "as never killed", outcome
            assert outcome[f"{option} leaves"] == [], outcome
