"""The script that refines rendered digits, with a handful of steps, and the rendered digits."""

import json

import pytest
import torch
from torch.utils.data import TensorDataset

from benchmarks.common.paired import interval
from benchmarks.common.rendering import rendered_digits
from benchmarks.papers import refine
from genaug.data.reading import read_samples


def test_rendered_digits_differ_are_in_the_image_and_depend_on_the_seed():
    images, labels = rendered_digits(60, 3)
    assert images.shape == (60, 1, 28, 28)
    assert labels[:12].tolist() == [*range(10), 0, 1]
    assert len({bytes(image.numpy()) for image in images}) == 60
    inked = (images > 128).float().mean((1, 2, 3))
    assert inked.min() > 0.02
    assert inked.max() < 0.4
    assert not (images[..., 0] > 128).any()
    assert not (images[..., 0, :] > 128).any()
    assert torch.equal(rendered_digits(20, 3)[0], images[:20])
    assert not torch.equal(rendered_digits(20, 4)[0], images[:20])


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    settings = {"RESULTS": tmp_path, "RUNS": tmp_path / "runs", "STEPS": 2, "UPDATES": 5, "BATCH": 8, "RENDERED": 40}
    for name, value in settings.items():
        monkeypatch.setattr(refine, name, value)
    monkeypatch.setattr(refine, "CONFIG", {"width": 4, "max_width": 8, "blocks": 1, "history": 20})
    sets = tuple(read_samples(TensorDataset(*rendered_digits(30, seed))) for seed in (1, 2))
    monkeypatch.setattr(refine, "read", lambda data, root: sets)

    def call(*arguments):
        refine.main(["--seeds", "2", "--json", *arguments])
        out, err = capsys.readouterr()
        return json.loads(out.splitlines()[-1]), out + err

    return call


def test_from_start_to_figures_and_a_second_run_only_reads(run, tmp_path, monkeypatch):
    result, output = run()
    rows = [json.loads(line) for line in (tmp_path / "refine.jsonl").read_text().splitlines()]
    assert [row["seed"] for row in rows] == [0, 1]
    assert result["gain"] == pytest.approx(sum(row["refined"] - row["raw"] for row in rows) / 2)
    assert result["gain_low"] <= result["gain"] <= result["gain_high"]
    assert "labels kept" in output
    assert (tmp_path / "refine.png").is_file()
    monkeypatch.setattr(refine, "measure", lambda *_: pytest.fail("everything was done already"))
    assert run()[0] == result


@pytest.mark.parametrize(
    ("gains", "kept", "met"), [((0.1, 0.101), 0.96, True), ((0.1, 0.101), 0.94, False), ((0.3, -0.1), 0.96, False)]
)
def test_the_interval_has_to_be_above_0_and_the_labels_kept(gains, kept, met):
    rows = [{"raw": 0.5, "refined": 0.5 + gain, "real": 0.9, "kept": kept} for gain in gains]
    assert refine.summary(rows)["met"] is met


def test_the_interval_is_students():
    mean, low, high = interval([1.0, 2.0, 3.0])
    assert (mean, low, high) == pytest.approx((2, 2 - 4.302653 / 3**0.5, 2 + 4.302653 / 3**0.5))
    assert interval([1.0]) == (1, None, None)
