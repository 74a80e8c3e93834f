"""What genaug reads back may have been damaged, or written by anyone."""

import json
import warnings
from typing import Any

import pytest
from pydantic import TypeAdapter

import genaug
from genaug.artifacts.json_files import read_json, read_json_lines
from genaug.artifacts.marker import Marker
from genaug.errors import FormatError, FormatWarning, InputError, ReadError
from genaug.studies.cells import StudyFolder
from genaug.studies.report import FORMAT_VERSION
from genaug.training.checkpoint import newest_checkpoint
from genaug.training.run_folder import RunFolder

ANY = TypeAdapter(dict[str, Any])
DAMAGE = {
    "cut short": b'{"a": 1',
    "not UTF-8": b'{"a": "\xff"}',
    "nested deeply": b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "infinite": b'{"a": 1e309}',
    "infinite, inside": b'{"a": [{"b": -1e999}]}',
    "NaN": b'{"a": NaN}',
    "half a character": rb'{"a": "\ud800"}',
    "a number without end": b'{"a": ' + b"9" * 100_000 + b"}",
    "another type": b"[1, 2]",
    "empty": b"",
}
GOOD = {"phase": "inner", "seed": 0, "name": "none", "accuracy": 0.5, "seconds": 1.25}


@pytest.mark.parametrize("content", DAMAGE.values(), ids=DAMAGE.keys())
def test_a_damaged_file_is_an_error_of_one_line_with_its_name(tmp_path, content):
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(FormatError, match=r"x\.json .*Write it again\.$") as error:
        read_json(tmp_path / "x.json", ANY, "Write it again.")
    assert len(str(error.value)) < 600
    assert "\n" not in str(error.value)


def test_a_file_that_is_too_large_is_not_read(tmp_path):
    (tmp_path / "x.json").write_bytes(b'{"a": 1}')
    assert read_json(tmp_path / "x.json", ANY, "", limit=8) == {"a": 1}
    with pytest.raises(FormatError, match="larger than 7 bytes"):
        read_json(tmp_path / "x.json", ANY, "", limit=7)


def test_a_missing_file_is_one_of_our_errors(tmp_path):
    with pytest.raises(ReadError, match=r"nothing\.json can't be accessed \(No such file"):
        read_json(tmp_path / "nothing.json", ANY, "")


def test_damaged_lines_are_named_and_an_incomplete_last_one_is_ignored(tmp_path):
    lines = [b'{"a": 1}', *DAMAGE.values(), b'{"a": 2}', b'{"a": 3, "b']
    (tmp_path / "x.jsonl").write_bytes(b"\n".join(lines))
    entries, damage = read_json_lines(tmp_path / "x.jsonl", ANY, "")
    assert entries == [{"a": 1}, {"a": 2}]
    assert [sentence.split(" is ")[0].split(" contains ")[0] for sentence in damage] == [
        f"{tmp_path / 'x.jsonl'}, line {number}" for number in range(2, 2 + len(DAMAGE))
    ]


@pytest.mark.parametrize(
    "change",
    [
        {"phase": "Outer space"},
        {"phase": 3},
        {"seed": "0"},
        {"seed": -1},
        {"seed": 1.5},
        {"seed": True},
        {"name": None},
        {"accuracy": "0.5"},
        {"accuracy": 2},
        {"accuracy": [0.5]},
        {"seconds": -1},
        {"error": 5},
    ],
)
def test_a_cell_of_wrong_types_is_named_once_and_left_out(tmp_path, change):
    other = {**GOOD, "seed": 1, "own": "field"}
    (tmp_path / "study.json").write_text('{"seeds": []}')
    (tmp_path / "cells.jsonl").write_text("".join(f"{json.dumps(c)}\n" for c in (GOOD, {**GOOD, **change}, other)))
    own(tmp_path, "study")
    folder = StudyFolder(tmp_path)
    with (
        folder.claimed(resume=True, overwrite=False),
        pytest.warns(FormatWarning, match=rf"cells\.jsonl, line 2 .*: {next(iter(change))}(:| must) ") as caught,
    ):
        folder.open({"seeds": []}, [], resume=True)
    assert len(caught) == 1
    assert folder.read() == [GOOD, other]
    assert [json.loads(line) for line in folder.cells.read_text().splitlines()] == [GOOD, other]
    with warnings.catch_warnings(), folder.claimed(resume=True, overwrite=False):
        warnings.simplefilter("error")
        folder.open({"seeds": []}, [], resume=True)


@pytest.mark.parametrize("content", DAMAGE.values(), ids=DAMAGE.keys())
def test_a_damaged_study_or_run_is_not_resumed(tmp_path, content):
    study, run = StudyFolder(tmp_path / "study"), RunFolder(tmp_path / "run")
    for folder, name in ((study, "study.json"), (run, "run.json")):
        folder.path.mkdir()
        (folder.path / name).write_bytes(content)
        own(folder.path, folder.path.name)
    with (
        study.claimed(resume=True, overwrite=False),
        pytest.raises(InputError, match=r"study\.json is damaged, so the"),
    ):
        study.open({"seeds": []}, [], resume=True)
    with (
        run.claimed("a test", resume=True, overwrite=False),
        pytest.raises(InputError, match=r"run\.json is damaged, so the run can't be resumed"),
    ):
        run.open({}, resume=True)


def test_damaged_lines_of_the_log_are_named_and_dropped(tmp_path):
    lines = ['{"step": 1, "x": 0.5}', '{"step": "2"}', "[]", '{"step": 3}', '{"step": 9}', '{"st']
    (tmp_path / "metrics.jsonl").write_text("\n".join(lines))
    own(tmp_path, "run")
    folder = RunFolder(tmp_path)
    with folder.claimed("a test", resume=True, overwrite=False):
        damage = folder.forget_after(5)
    assert ["line 2" in damage[0], "line 3" in damage[1], len(damage)] == [True, True, 2]
    assert (tmp_path / "metrics.jsonl").read_text() == '{"step": 1, "x": 0.5}\n{"step": 3}\n'


def own(path, kind):
    """Mark the files of a folder as genaug's, as if it had written them."""
    Marker.create(path, kind, None).append(files=sorted(entry.name for entry in path.glob("[!.]*")))


def run_with_checkpoint(path, content, seal):
    """A run's folder with a checkpoint of step 4, of these bytes."""
    (path / "checkpoints").mkdir()
    (path / "run.json").write_text('{"backend": "cgan", "config": {}, "genaug": "0.1.0", "run": "this"}')
    (path / "checkpoints" / "step-00000004.pt").write_bytes(content)
    (path / "checkpoints" / "step-00000004.pt.json").write_bytes(seal)
    return RunFolder(path)


@pytest.mark.parametrize("content", [*DAMAGE.values(), b'{"sha256": 5, "size": "x"}'])
def test_a_checkpoint_with_a_damaged_seal_is_skipped(tmp_path, content):
    folder = run_with_checkpoint(tmp_path, b"anything", content)
    state, damaged = newest_checkpoint(folder, "cpu")
    assert state is None
    assert "step-00000004.pt is damaged" in damaged[0]


@pytest.mark.parametrize("state", [[1], {"step": 4}, {"step": 5, "nets": {}, "ema": {}, "optimizers": []}, None])
def test_a_sealed_checkpoint_with_other_content_is_skipped(tmp_path, state):
    import hashlib
    import io

    import torch

    buffer = io.BytesIO()
    torch.save(state, buffer)
    content = b"no archive" if state is None else buffer.getvalue()
    seal = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content), "run": "this"}
    folder = run_with_checkpoint(tmp_path, content, json.dumps(seal).encode())
    assert newest_checkpoint(folder, "cpu")[0] is None


COMMIT = "0123456789" * 4


@pytest.mark.parametrize(
    "change",
    [
        {"sha": None},
        {"sha": "main"},
        {"siblings": "README.md"},
        {"siblings": [{"rfilename": 5}]},
        {"siblings": [{"rfilename": "config.json", "size": "12"}]},
        {"siblings": [{"rfilename": "config.json", "size": -1}]},
        {"siblings": [{"rfilename": "config.json", "size": 1e309}]},
        {"siblings": [{"rfilename": "config.json", "size": 10**30}]},
        {"siblings": [{"rfilename": "config.json", "lfs": {"size": "12", "sha256": "0"}}]},
        {"siblings": [{"rfilename": "config.json", "lfs": [1]}]},
        {"private": "no"},
        {"id": {"a": 1}},
    ],
)
def test_an_invalid_response_of_the_hub_is_an_error(change):
    from genaug.hub.answers import parse_repo

    answer = {"id": "a/b", "sha": COMMIT, "siblings": [{"rfilename": "config.json", "size": 12, "blobId": "0"}], "x": 1}
    assert parse_repo(json.dumps(answer).encode()).siblings[0].size == 12
    with pytest.raises(FormatError, match="the answer"):
        parse_repo(json.dumps({**answer, **change}).encode())


REPORT = {
    "kind": "study",
    "format_version": FORMAT_VERSION,
    "verdict": "no evidence",
    "ratio": 0.0,
    "source": None,
    "chosen": None,
    "classic": False,
    "method": None,
    "metric": {"key": "accuracy", "noun": "accuracy"},
    "sentence": "",
    "reservations": [],
    "warnings": [],
    "difference": None,
    "settings": {"seeds": [0, 1]},
    "statistics": {"correction": 0.1},
    "scores": {"inner": {}, "test": {"none": {"0": 0.5, "1": 0.75}}},
    "comparisons": [],
    "own": {"kept": True},
}


@pytest.mark.parametrize(
    "change",
    [
        {"verdict": 5},
        {"ratio": "0"},
        {"ratio": 1e9},
        {"classic": "yes"},
        {"method": 5},
        {"metric": {"key": "accuracy"}},
        {"difference": {"low": "x", "high": 1}},
        {"settings": []},
        {"statistics": {}},
        {"scores": {"test": 5}},
        {"scores": {"test": {"none": {"0": "half"}}}},
        {"comparisons": {}},
    ],
)
def test_a_report_of_wrong_types_is_an_error(tmp_path, change):
    (tmp_path / "report.json").write_text(json.dumps(REPORT))
    report = genaug.load_study(tmp_path)
    assert report.scores("none") == [0.5, 0.75]
    assert report.details == REPORT
    (tmp_path / "report.json").write_text(json.dumps({**REPORT, **change}))
    with pytest.raises(FormatError, match=rf"report\.json is damaged .*{next(iter(change))}"):
        genaug.load_study(tmp_path)
