"""``evaluation.json``: valid and invalid content."""

import json

import pytest

from genaug.artifacts.figures import Figures, parse_evaluation, read_evaluation, write_evaluation
from genaug.errors import FormatError


@pytest.fixture
def folder(make_generator, tmp_path):
    return make_generator().save(tmp_path / "g")


def test_figures_that_are_written_can_be_read(folder):
    metrics = {"fid": {"value": 12, "uncertainty": 0.5, "samples": 10_000, "features": "Inception", "seeds": 3}}
    assert write_evaluation(folder, metrics | {"copying": {"passed": True}}) == folder / "evaluation.json"
    figures = read_evaluation(folder)
    assert figures.metrics["fid"].value == 12
    assert figures.metrics["fid"].features == "Inception"
    assert not figures.copying_failed
    assert figures.weights_sha256 == json.loads((folder / "config.json").read_text())["weights"]["sha256"]


def test_a_folder_without_figures(folder):
    assert read_evaluation(folder) is None


def test_fields_of_later_versions_are_ignored(folder):
    write_evaluation(folder, {"fid": {"value": 1.5, "curve": [1, 2, 3]}})
    assert json.loads((folder / "evaluation.json").read_text())["metrics"]["fid"]["curve"] == [1, 2, 3]
    assert read_evaluation(folder).metrics["fid"].value == 1.5
    parse_evaluation({"metrics": {}, "written_by": "genaug 9"}, "it")


@pytest.mark.parametrize("name", ["copying", "copying_pixels"])
def test_a_copying_check_that_failed(name):
    assert parse_evaluation({"metrics": {name: {"passed": False}}}, "it").copying_failed
    assert not parse_evaluation({"metrics": {name: {"passed": True}}}, "it").copying_failed
    assert not parse_evaluation({"metrics": {name: {"value": 3}}}, "it").copying_failed


def test_a_gain_that_did_not_pass_is_not_copying():
    assert not Figures.model_validate({"metrics": {"gain": {"passed": False}}}).copying_failed


@pytest.mark.parametrize(
    ("content", "field"),
    [
        ({"metrics": {"fid": {"value": "12"}}}, "metrics.fid.value"),
        ({"metrics": {"fid": {"value": float("nan")}}}, "metrics.fid.value"),
        ({"metrics": {"fid": 12}}, "metrics.fid"),
        ({"metrics": {"copying": {"passed": "false"}}}, "metrics.copying.passed"),
        ({"metrics": {"fid": {"value": 1, "uncertainty": -1}}}, "metrics.fid.uncertainty"),
        ({"metrics": {"Fid!": {"value": 1}}}, "metrics.Fid!"),
        ({"metrics": {f"m{i}": {"value": i} for i in range(300)}}, "metrics"),
        ({"weights_sha256": "abc"}, "weights_sha256"),
        ([], "the content"),
    ],
)
def test_invalid_figures(folder, content, field):
    (folder / "evaluation.json").write_text(json.dumps(content))
    with pytest.raises(FormatError, match=rf"evaluation\.json is not a valid evaluation: {field}"):
        read_evaluation(folder)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[" * 100_000, b" " * (2**20 + 1)])
def test_invalid_json(folder, content):
    (folder / "evaluation.json").write_bytes(content)
    with pytest.raises(FormatError, match=r"evaluation\.json is (not valid JSON|larger than)"):
        read_evaluation(folder)


def test_invalid_figures_are_not_written(folder):
    with pytest.raises(FormatError, match=r"metrics\.fid\.value"):
        write_evaluation(folder, {"fid": {"value": float("inf")}})
    assert not (folder / "evaluation.json").exists()


def test_other_fields_are_kept_if_they_are_finite_numbers():
    others = {"name": "x", "list": [1], "inf": float("inf"), "a b": 1, "ok": True, "huge": 10**400}
    fields = {"value": 1.0, "copied": 0.1, "cells": 5, **others}
    figure = parse_evaluation({"metrics": {"copying": fields}}, "it").metrics["copying"]
    assert figure.details == {"copied": 0.1, "cells": 5}


def test_figures_per_class_are_written_for_up_to_a_thousand_classes(make_generator, tmp_path):
    folder = make_generator().save(tmp_path / "g")
    figures = {"label_agreement": {"value": 0.5, "reference": 0.75, "features": "a long text", "low": None}}
    write_evaluation(folder, {}, {f"class {i}": figures for i in range(1000)})
    figure = read_evaluation(folder).per_class["class 999"]["label_agreement"]
    assert (figure.value, figure.reference, figure.features) == (0.5, 0.75, None)
    write_evaluation(folder, {}, {f"class {i}": figures for i in range(1001)})
    assert read_evaluation(folder).per_class == {}


@pytest.mark.parametrize("name", ["copying", "copying_test", "exact_copies", "near_duplicates"])
def test_any_failed_check_for_copies_counts(name):
    assert parse_evaluation({"metrics": {name: {"passed": False}}}, "it").copying_failed
    assert not parse_evaluation({"metrics": {name: {"passed": True}, "fid": {"passed": False}}}, "it").copying_failed
