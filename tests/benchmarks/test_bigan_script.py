"""The script of the bidirectional GAN from start to figures on the embedded digits."""

import json
from dataclasses import replace

import pytest
import torch

from benchmarks.papers import bigan, encoder_measures
from genaug.backends import Spec
from genaug.data.reading import Samples
from genaug.modalities import Image
from genaug.training.checkpoint import newest_step

METHODS = ["pixels", "untrained", "autoencoder", "bigan"]


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Calls the script with its results and runs under ``tmp_path``: its last line, and all it said."""
    monkeypatch.setattr(bigan, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(bigan, "RUNS", tmp_path / "runs")
    monkeypatch.setattr(bigan, "BATCH", 16)
    for name, method in bigan.METHODS.items():
        options = {**method.options, "hidden": 16, "latent_size": 4} if method.backend else {}
        monkeypatch.setitem(bigan.METHODS, name, replace(method, options=options, steps=method.steps and 3))

    def call(*arguments):
        bigan.main(["--data", "digits", "--steps", "3", "--json", *map(str, arguments)])
        captured = capsys.readouterr()
        return json.loads(captured.out.splitlines()[-1]), captured.out + captured.err

    return call


def rows_of(tmp_path):
    return [json.loads(line) for line in (tmp_path / "results" / "bigan.jsonl").read_text().splitlines()]


def test_from_start_to_figures_and_on_from_there(run, tmp_path, monkeypatch):
    result, output = run("--seeds", 2)
    rows = rows_of(tmp_path)
    assert [(row["method"], row["seed"]) for row in rows] == [
        *((name, 0) for name in METHODS),
        *((name, 1) for name in METHODS[1:]),  # pixels are the same for all seeds
    ]
    assert all(value is None or isinstance(value, int | float) for value in result.values())
    assert rows[0]["accuracy"] > 0.9
    assert all("accuracy_of_codes" in row for row in rows[1:])
    assert [row["method"] for row in rows if "relative_error" in row] == ["autoencoder", "bigan"] * 2
    assert result["bigan_accuracy_mean"] == pytest.approx((rows[3]["accuracy"] + rows[6]["accuracy"]) / 2)
    assert result["met"] is False
    assert "Donahue et al. 2017" in output
    assert " h" in output
    assert (tmp_path / "results" / "bigan.png").read_bytes().startswith(b"\x89PNG")
    monkeypatch.setattr(bigan, "measure", lambda *_: pytest.fail("everything was done already"))
    assert run("--seeds", 2)[0] == result


def test_networks_never_see_a_label(run, monkeypatch):
    seen = []
    fit = bigan.genaug.fit

    def keep(name, data, **options):
        seen.append(data[0])
        return fit(name, data, **options)

    monkeypatch.setattr(bigan.genaug, "fit", keep)
    run("--seeds", 1, "--methods", "bigan", "autoencoder")
    assert [len(item) for item in seen] == [1, 1]


def test_an_interrupted_training_goes_on(run, tmp_path, monkeypatch):
    fit = bigan.genaug.fit

    def stopped(*arguments, **options):
        fit(*arguments, **{**options, "steps": 2})
        raise KeyboardInterrupt

    monkeypatch.setattr(bigan.genaug, "fit", stopped)
    with pytest.raises(KeyboardInterrupt):
        run("--seeds", 1, "--methods", "bigan")
    monkeypatch.setattr(bigan.genaug, "fit", fit)
    (folder,) = (tmp_path / "runs" / "bigan").iterdir()
    assert newest_step(folder / "checkpoints") == 2
    run("--seeds", 1, "--methods", "bigan")
    assert newest_step(folder / "checkpoints") == 3


def test_settings_are_tuned_on_training_images_that_are_held_out(run, tmp_path, monkeypatch):
    sizes = []
    measure = bigan.measure

    def count(key, train, test):
        sizes.append((len(train.x), len(train.labels), len(test.x), len(test.labels)))
        assert not {image.numpy().tobytes() for image in test.x} & {image.numpy().tobytes() for image in train.x}
        return measure(key, train, test)

    monkeypatch.setattr(bigan, "measure", count)
    run("--seeds", 1, "--first-seed", 100, "--methods", "untrained", "--held-out", 97)
    assert sizes == [(1200, 1200, 97, 97)]
    assert rows_of(tmp_path)[0]["held_out"] == 97


def test_options_are_those_of_bigan_only(run, tmp_path):
    run("--seeds", 1, "--methods", "untrained", "autoencoder", "bigan", "--set", "lr=0.002", "--steps", 2)
    rows = rows_of(tmp_path)
    assert [row["config"]["lr"] for row in rows] == [0.002, 0.001, 0.002]
    assert [row["training"] and row["training"]["steps"] for row in rows] == [None, 3, 2]


def samples(values, labels):
    x = torch.tensor(values, dtype=torch.uint8)[:, None, None, None].expand(-1, 1, 2, 2)
    return Samples(x, torch.tensor(labels), Spec(sample=Image(1, 2, 2), classes=2))


def test_a_test_image_gets_the_label_of_the_nearest_training_image():
    train, test = samples([0, 10, 200], [0, 1, 0]), samples([6, 4, 120], [1, 1, 0])
    features = [data.x.flatten(1).float() for data in (train, test)]
    assert bigan.nearest_neighbor(*features, train, test) == pytest.approx(2 / 3)


def test_errors_by_hand():
    """Pixels of 0.2 and 0.4, off by 0.1 and -0.3."""
    images = torch.tensor([51, 102], dtype=torch.uint8)[:, None, None, None].expand(-1, 1, 5, 5)
    made = images / 255 + torch.tensor([0.1, -0.3])[:, None, None, None]
    result = bigan.errors(images, made)
    assert result["relative_error"] == pytest.approx((0.1 / 0.2 + 0.3 / 0.4) / 2)
    assert result["error_ratio"] == pytest.approx((0.1 + 0.3) / (0.1 + 0.1))


def row(method, seed, **figures):
    figures = {"accuracy": 0.9, "accuracy_of_codes": 0.8, "relative_error": 0.6, "error_ratio": 0.5, **figures}
    return {"method": method, "seed": seed, **figures, "seconds": 1}


@pytest.mark.parametrize(("shares", "met"), [((0.9719, 0.973, 0.9715), True), ((0.9719, 0.9725, 0.9715), False)])
def test_the_target_is_for_the_mean(shares, met):
    rows = [row("bigan", seed, accuracy=share) for seed, share in enumerate(shares)]
    rows += [row(name, seed) for name in ("untrained", "autoencoder") for seed in range(3)]
    measures = encoder_measures.bigan([*rows, row("pixels", 0)])
    assert measures[0].met is met
    assert f"mean {sum(shares) / 3:.2%}" in measures[0].label
    assert [measure.bound is None for measure in measures] == [False] + [True] * (len(measures) - 1)
    assert measures[3].values == {0: 0.9}
    assert bigan.summary(rows)["met"] is met
