"""The script of WGAN-GP's failing runs on the embedded digits, with a handful of steps, and its measures."""

import json

import pytest
import torch

from benchmarks.common.judge import Judge
from benchmarks.papers import wgan_gp_curve, wgan_gp_limits
from genaug.backends import Spec, registry
from genaug.data.reading import Samples, read_samples
from genaug.modalities import Image
from genaug.sources.generator import Generator
from genaug.training.trainer import Trainer

TINY = {"IMAGE_SIZE": 8, "WIDTH": 4, "BATCH": 16, "SAMPLES": 200, "SUBSETS": 2, "POINTS": 3}


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    for name, value in {**TINY, "RESULTS": tmp_path}.items():
        monkeypatch.setattr(wgan_gp_limits, name, value)
    monkeypatch.setattr(wgan_gp_curve, "JUDGE_UPDATES", 10)
    few = {"few images": {"images": 12, "lr": 1e-3, "steps": 6}, "high rate": {"images": None, "lr": 1e-2, "steps": 6}}
    monkeypatch.setattr(wgan_gp_limits, "SETTINGS", few)

    def call(*arguments):
        wgan_gp_limits.main(["--data", "digits", "--seeds", "1", "--json", "--settings", *few, *arguments])
        out, err = capsys.readouterr()
        return json.loads(out.splitlines()[-1]), err

    return call


def test_from_start_to_figure_and_a_second_run_only_reads(run, tmp_path, monkeypatch):
    calls = []
    follow = wgan_gp_limits.follow

    def watched(key, config, data, *others):
        calls.append((len(data.x), config.lr, key["images"]))
        return follow(key, config, data, *others)

    monkeypatch.setattr(wgan_gp_limits, "follow", watched)
    result, output = run()
    assert calls == [(12, 1e-3, 12), (1297, 1e-2, None)]
    assert all(isinstance(value, int | float | bool) for value in result.values())
    assert "-fold" in output
    assert (tmp_path / "wgan_gp_limits.png").read_bytes().startswith(b"\x89PNG")
    few, fast = [json.loads(line) for line in (tmp_path / "wgan_gp_limits.jsonl").read_text().splitlines()]
    assert (few["setting"], few["points"], fast["config"]["lr"]) == ("few images", [2, 4, 6], 1e-2)
    assert len(few["held_out"]) == len(few["kid"]) == len(few["estimate"]) == 3
    assert result["few_images_estimate_min"] == few["spearman"]
    assert result["few_images_held_out_median"] == pytest.approx(wgan_gp_limits.held_out(few))
    monkeypatch.setattr(wgan_gp_limits, "judge_for", lambda *_: pytest.fail("everything was done already"))
    assert run()[0] == result


def test_the_estimate_on_held_out_images_is_the_critics_gap_to_the_latest_samples(monkeypatch):
    """A critic that scores an image by its mean pixel in [-1, 1], over samples that are all black."""
    estimates, kids = iter([7.0, 6.0, 5.0]), iter([0.6, 0.5, 0.4, 0.3, 0.2, 0.1])
    images = torch.full((20, 1, 8, 8), 255, dtype=torch.uint8)
    black = torch.zeros(20, 1, 8, 8, dtype=torch.uint8)
    monkeypatch.setattr(Generator, "sample", lambda *_, **__: (black, None))

    def step(trainer, *_):
        trainer.nets["critic"].forward = lambda x, labels: x.mean((1, 2, 3))
        return {"wasserstein_estimate": torch.tensor(next(estimates))}

    monkeypatch.setattr(Trainer, "step", step)
    monkeypatch.setattr(wgan_gp_curve, "kid", lambda *_, **__: next(kids))
    config = registry.resolve("wgan-gp").Config(width=4, max_width=8, conditional=False)
    key = {"seed": 0, "batch_size": 4, "window": 2, "points": [1, 2, 3], "samples": 20, "subsets": 1}
    data = Samples(images, None, Spec(sample=Image(1, 8, 8)))
    features = type("Flat", (), {"of": staticmethod(lambda images: images.flatten(1).float())})()
    curves = wgan_gp_curve.follow(key, config, data, Judge(None, 1.0, features, features.of(images)), images)
    assert curves["held_out"] == pytest.approx([2.0] * 3)
    assert curves["estimate"] == [7.0, 6.5, 5.5]
    assert curves["spearman"] == pytest.approx(1)


@pytest.mark.parametrize(("kid", "times"), [([0.4, 0.2, 0.1], 1), ([0.4, 0.1, 0.3, 0.2], 3), ([-0.1, 0.004], 4)])
def test_how_far_kid_rises_is_counted_from_the_lowest_point_before(kid, times):
    assert wgan_gp_limits.rise({"kid": kid}) == pytest.approx(times)


def test_the_steps_own_correlation_is_1_where_kid_only_falls():
    row = {"points": [1, 2, 3, 4], "kid": [0.9, 0.5, 0.4, 0.1], "held_out": [1.0, 2.0, 3.0, 4.0]}
    assert wgan_gp_curve.of_the_step(row) == pytest.approx(1)
    assert wgan_gp_limits.held_out(row) == pytest.approx(-1)


def test_fewer_images_are_drawn_by_the_seed(tiny_set):
    data = read_samples(tiny_set)
    first, again, other = (wgan_gp_limits.some_of(data, 5, seed).x for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert wgan_gp_limits.some_of(data, None, 0) is data
