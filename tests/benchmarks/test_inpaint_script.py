"""The script that fills in the center of images, on the embedded digits with a handful of steps."""

import json

import pytest
import torch

from benchmarks.papers import inpaint

pytest.importorskip("cv2")

MASK = torch.zeros(8, 8, dtype=torch.bool)
MASK[2:6, 2:6] = True


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    for name, value in {"RESULTS": tmp_path, "RUNS": tmp_path / "runs", "STEPS": 2, "BATCH": 8}.items():
        monkeypatch.setattr(inpaint, name, value)
    monkeypatch.setattr(inpaint, "CONFIG", {"masks": "center", "width": 4, "max_width": 8})

    def call(*arguments):
        inpaint.main(["--data", "digits", "--seeds", "1", "--json", *arguments])
        out, err = capsys.readouterr()
        return json.loads(out.splitlines()[-1]), out + err

    return call


def test_from_start_to_figures_and_a_second_run_only_reads(run, tmp_path, monkeypatch):
    result, output = run()
    (row,) = [json.loads(line) for line in (tmp_path / "inpaint.jsonl").read_text().splitlines()]
    assert all(0 < row[name]["l1"] < 1 and 0 < row[name]["psnr"] < 40 for name in inpaint.METHODS)
    assert result["context_encoder_l1"] == row["context-encoder"]["l1"]
    assert "PSNR (dB)" in output
    assert (tmp_path / "inpaint.png").is_file()
    monkeypatch.setattr(inpaint, "measure", lambda *_: pytest.fail("everything was done already"))
    assert run()[0] == result


@pytest.mark.parametrize("fill", [inpaint.mean_filled, inpaint.opencv_filled])
@pytest.mark.parametrize("channels", [1, 3])
def test_fills_change_the_erased_pixels_only(fill, channels):
    images = torch.full((2, channels, 8, 8), 60, dtype=torch.uint8)
    images[..., MASK] = 200
    filled = fill(images, MASK)
    assert filled.dtype == torch.uint8
    assert filled.shape == images.shape
    assert (filled.float() - 60).abs().max() <= 3


def test_l1_and_psnr_are_those_of_the_erased_pixels():
    images = torch.full((2, 1, 8, 8), 100, dtype=torch.uint8)
    other = images.clone()
    other[..., MASK] += 51
    other[..., 0, 0] = 0
    figures = inpaint.nearness(other, images, MASK)
    assert figures == {"l1": pytest.approx(0.2, abs=1e-4), "psnr": pytest.approx(13.9794, abs=1e-3)}


@pytest.mark.parametrize(("l1", "psnr", "met"), [(0.1, 22, True), (0.1, 20, False), (0.3, 22, False)])
def test_every_seed_has_to_be_better_than_both_fills(l1, psnr, met):
    fills = {"mean": {"l1": 0.2, "psnr": 21}, "opencv": {"l1": 0.15, "psnr": 20}}
    rows = [
        {"data": "x", **fills, "context-encoder": {"l1": 0.05, "psnr": 30}},
        {"data": "x", **fills, "context-encoder": {"l1": l1, "psnr": psnr}},
    ]
    assert inpaint.summary(rows)["met"] is met
