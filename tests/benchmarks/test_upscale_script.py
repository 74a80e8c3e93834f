"""The script that upscales images, on the embedded digits with a handful of steps."""

import json

import pytest
import torch

from benchmarks.papers import upscale


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    settings = {"RESULTS": tmp_path, "RUNS": tmp_path / "runs", "STEPS": 2, "UPDATES": 5, "BATCH": 8}
    for name, value in settings.items():
        monkeypatch.setattr(upscale, name, value)
    monkeypatch.setattr(upscale, "CONFIG", {"width": 4, "blocks": 1, "discriminator_width": 4, "max_width": 8})

    def call(*arguments):
        upscale.main(["--data", "digits", "--factor", "2", "--seeds", "1", "--json", *arguments])
        out, err = capsys.readouterr()
        return json.loads(out.splitlines()[-1]), out + err

    return call


def test_from_start_to_figures_and_a_second_run_only_reads(run, tmp_path, monkeypatch):
    result, output = run()
    (row,) = [json.loads(line) for line in (tmp_path / "upscale.jsonl").read_text().splitlines()]
    for name in upscale.METHODS:
        assert row[name]["psnr"] > 10
        assert 0 < row[name]["ssim"] < 1
        difference, low, high = row[name]["gain"]
        assert low <= difference <= high
        assert difference == pytest.approx(row[name]["accuracy"] - row["bicubic"]["accuracy"], abs=1e-5)
    assert row["content"]["psnr"] == pytest.approx(row["bicubic"]["psnr"], abs=1), "it starts from bicubic"
    assert "PSNR (dB)" in output
    assert (tmp_path / "upscale_digits.png").is_file()
    monkeypatch.setattr(upscale, "measure", lambda *_: pytest.fail("everything was done already"))
    assert run()[0] == result


def test_psnr_and_ssim():
    images = torch.full((2, 1, 16, 16), 100, dtype=torch.uint8)
    figures = upscale.nearness(images + 10, images)
    assert figures["psnr"] == pytest.approx(10 * torch.log10(torch.tensor(255**2 / 100)).item(), abs=1e-3)
    assert upscale.nearness(images, images)["ssim"] == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize(
    ("content", "adversarial", "met"),
    [
        ({"psnr": 21, "ssim": 0.8}, {"gain": [0.1, 0.05, 0.2], "kid": 0.1}, (True, True)),
        ({"psnr": 21, "ssim": 0.6}, {"gain": [0.1, 0.0, 0.2], "kid": 0.1}, (False, False)),
        ({"psnr": 19, "ssim": 0.8}, {"gain": [0.1, 0.05, 0.2], "kid": 0.3}, (False, False)),
    ],
)
def test_every_seed_has_to_meet_the_targets(content, adversarial, met):
    bicubic = {"psnr": 20, "ssim": 0.7, "accuracy": 0.5, "kid": 0.2, "gain": [0, 0, 0]}
    row = {"data": "x", "seed": 0, "bicubic": bicubic}
    good = {"content": {**bicubic, "psnr": 22, "ssim": 0.9}, "adversarial": {**bicubic, "gain": [1, 1, 1], "kid": 0}}
    rows = [{**row, **good}, {**row, "content": bicubic | content, "adversarial": bicubic | adversarial}]
    result = upscale.summary(rows)
    assert (result["content_met"], result["adversarial_met"]) == met
