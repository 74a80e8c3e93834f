"""The MAD-GAN scripts from start to figure, with a handful of steps; a second run only reads."""

import json
import sys

import pytest
import torch
from torch import nn

from benchmarks.papers import mad_gan_1d, mad_gan_cost, mixtures_2d, points
from genaug.backends import registry
from genaug_mad_gan.networks import MultiGenerator, shared_generators


@pytest.fixture
def call(tmp_path, monkeypatch, capsys):
    def run(script, *arguments):
        monkeypatch.setattr(script, "RESULTS", tmp_path)
        script.main([*arguments, "--json"])
        out, err = capsys.readouterr()
        result = json.loads(out.splitlines()[-1])
        assert all(isinstance(value, int | float | bool | None) for value in result.values())
        assert " h" in err
        name = script.__name__.rpartition(".")[2]
        assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        lines = [json.loads(line) for line in (tmp_path / f"{name}.jsonl").read_text().splitlines()]
        return result, lines, err

    return run


def refuse(*_, **__):
    pytest.fail("this was done already")


def test_mad_gan_1d(call, monkeypatch):
    arguments = ["--seeds", "2", "--k", "1", "4", "--steps", "10", "--samples", "5000"]
    result, lines, output = call(mad_gan_1d, *arguments)
    assert [(line["k"], line["seed"]) for line in lines] == [(1, 0), (4, 0), (1, 1), (4, 1)]
    assert len({line["kl"] for line in lines}) == 4
    assert sum(lines[0]["histogram"]) <= 5000
    assert result["kl_median_k4"] == pytest.approx((lines[1]["kl"] + lines[3]["kl"]) / 2)
    assert result["kl_difference_to_k1"] == pytest.approx(result["kl_median_k4"] - result["kl_median_k1"])
    assert not result["target_modes_met"]
    assert (result["second_hand_paper_kl_k1"], result["second_hand_paper_kl_k4"]) == (0.57, 0.28)
    assert result["not_counted_max_k4"] == max(lines[1]["elsewhere"], lines[3]["elsewhere"])
    outside = [1 - sum(line["histogram"]) / 5000 for line in lines if line["k"] == 4]
    assert result["beyond_the_bins_median_k4"] == pytest.approx(sum(outside) / 2)
    assert "paired t-test" in output
    assert "quoted by another publication" in output
    monkeypatch.setattr(mad_gan_1d, "run", refuse)
    assert call(mad_gan_1d, *arguments)[0] == result


def test_samples_that_kl_does_not_count_and_samples_beyond_the_bins_are_told():
    samples = torch.tensor([[10.0], [10.1], [-11.0], [200.0], [40.0]])
    row = {**mad_gan_1d.measure(samples, torch.tensor([[10.2], [60.0]])), "samples": 5}
    assert mad_gan_1d.not_counted(row) == pytest.approx(3 / 5)
    assert mad_gan_1d.beyond_the_bins(row) == pytest.approx(2 / 5)


def test_the_targets_of_mad_gan_1d(capsys):
    def rows(kls, modes):
        few = {"elsewhere": 0.1, "histogram": [90], "samples": 100}
        return [{"kl": kl, "modes": count, **few} for kl, count in zip(kls, modes, strict=True)]

    one = rows([0.5, 0.6, 0.55], [4, 5, 5])
    good = mad_gan_1d.summary({1: one, 4: rows([0.2, 0.25, 0.3], [5, 5, 5])})
    assert good["target_modes_met"]
    assert good["target_kl_met"]
    assert good["target_difference_met"]
    bad = mad_gan_1d.summary({1: one, 4: rows([0.2, 0.9, 0.3], [5, 4, 5])})
    assert not bad["target_modes_met"]
    assert not bad["target_kl_met"]
    assert not bad["target_difference_met"]
    worse = mad_gan_1d.summary({1: one, 4: rows([1.5, 1.6, 1.56], [5, 5, 5])})
    assert worse["p_difference_to_k1"] < 0.05
    assert not worse["target_difference_met"]


def test_mixtures_2d(call, monkeypatch):
    monkeypatch.setattr(mixtures_2d, "SAMPLES", 3000)
    arguments = ["--seeds", "2", "--steps", "6"]
    result, lines, output = call(mixtures_2d, *arguments)
    methods = [m for m, (backend, _) in mixtures_2d.METHODS.items() if backend in registry.discover().backends]
    assert [(line["mixture"], line["method"]) for line in lines[: len(lines) // 2]] == [
        (mixture, method) for mixture in ("ring", "grid") for method in methods
    ]
    assert {line["seed"] for line in lines} == {0, 1}
    assert result["grid_mad_gan_modes_min"] <= 25
    assert "91.9%" in output
    monkeypatch.setattr(mixtures_2d, "run", refuse)
    assert call(mixtures_2d, *arguments)[0] == result


def test_mixtures_2d_leaves_out_what_is_not_installed(call, monkeypatch):
    monkeypatch.setattr(mixtures_2d, "SAMPLES", 3000)
    monkeypatch.setitem(mixtures_2d.METHODS, "mad-gan", ("mad-gan-of-old", {}))
    _, lines, output = call(mixtures_2d, "--seeds", "1", "--steps", "1", "--methods", "gan", "mad-gan")
    assert {line["method"] for line in lines} == {"gan"}
    assert "there is no backend 'mad-gan-of-old'" in output


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads its memory from /proc")
def test_mad_gan_cost(call, monkeypatch):
    arguments = ["--seeds", "1", "--steps", "1", "--width", "4", "--k", "1", "3"]
    result, lines, output = call(mad_gan_cost, *arguments)
    assert [line["round"] for line in lines] == [0]
    assert all(line[f"{unit}_{mode}_k3"] > 0 for line in lines for unit in ("ms", "mib") for mode in ("split", "full"))
    assert result["time_full_k1"] == result["memory_full_k1"] == 1
    assert result["generator_k1"] < result["generator_k3"] < 3 * result["generator_k1"]
    assert result["unshared"] >= 0.3
    assert "aren't shared" in output
    monkeypatch.setattr(mad_gan_cost, "Run", refuse)
    assert call(mad_gan_cost, *arguments)[0] == result


def test_ratios_of_mad_gan_cost_are_taken_within_rounds():
    def line(one, ten):
        ms = {f"ms_{mode}_k{k}": ms for mode in ("split", "full") for k, ms in ((1, one), (10, ten))}
        mib = {f"mib_{mode}_k{k}": mib for mode in ("split", "full") for k, mib in ((1, 100), (10, 250))}
        return {
            **ms,
            **mib,
            "unshared": 0.5,
            **{f"{name}_k{k}": k for name in ("generator", "discriminator") for k in (1, 10)},
        }

    result = mad_gan_cost.summary([line(10, 60), line(30, 60), line(20, 60)], [1, 10])
    assert result["time_split_k10"] == result["time_full_k10"] == 3
    assert not result["target_time_split_met"]
    assert result["target_time_full_met"]
    assert result["memory_full_k10"] == 2.5
    assert result["target_memory_met"]


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 8, 8), (1, 28, 28), (2, 13, 40), (3, 64, 64)])
@pytest.mark.parametrize("generators", [1, 10])
def test_at_least_three_tenths_of_a_generators_multiply_adds_are_its_own(shape, generators):
    network = shared_generators(generators, shape, 0, 64, 32, 256)
    assert mad_gan_cost.unshared_part(network, torch.randn(1, 64), None) >= 0.3
    assert any(p.numel() for p in network.trunk.parameters())


def test_multiply_adds_by_hand():
    """Two layers of 4 to 6 and 6 to 2 numbers: 24 and 12 multiply-adds."""
    trunk, heads = points.Unlabelled(nn.Linear(4, 6)), points.DenseHeads(1, (6, 2), nn.Identity(), nn.Linear)
    assert mad_gan_cost.unshared_part(MultiGenerator(1, trunk, heads), torch.randn(1, 4), None) == 12 / 36
