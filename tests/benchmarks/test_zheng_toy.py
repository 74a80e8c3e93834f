"""The two-Gaussian toy, with few draws: a gain where theory says gain, and none where it says none."""

import json

import pytest
import torch

from benchmarks.papers import zheng_toy as toy


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(toy, "RESULTS", tmp_path)

    def call(seeds, draws):
        toy.main(["--seeds", str(seeds), "--draws", str(draws), "--json"])
        out, err = capsys.readouterr()
        return json.loads(out.splitlines()[-1]), out + err

    return call


def test_gain_where_theory_says_gain_and_none_where_it_says_none(run, tmp_path, monkeypatch):
    result, output = run(2, 30)
    assert result["gain_where_theory_says_gain"]
    assert 0.2 < result["gap_ratio_d50_m10_median"] < 0.4
    assert 0.85 < result["gap_ratio_d1_m40_median"] < 1.25
    assert result["error_change_points_d50_m10"] > -0.5, "the classifier can't learn more than the generator knows"
    assert all(isinstance(value, int | float) for value in result.values())
    assert " h" in output
    assert "Zheng et al. 2023" in output
    assert (tmp_path / "zheng_toy.png").read_bytes().startswith(b"\x89PNG")
    rows = [json.loads(line) for line in (tmp_path / "zheng_toy.jsonl").read_text().splitlines()]
    assert [row["seed"] for row in rows] == [0, 1]
    for gap, value in zip(
        (rows[0]["d50_m10"]["gap"][0], rows[0]["d50_m10"]["gap"][-1]), toy.expected(50, 10), strict=True
    ):
        assert gap == pytest.approx(value, rel=0.25)
    monkeypatch.setattr(toy, "run", lambda *_: pytest.fail("everything was done already"))
    assert run(2, 30)[0] == result


def test_a_generator_that_knows_no_more_hides_the_gain(run, monkeypatch):
    """With generated points that are real ones again, nothing is gained: the targets can be missed."""
    monkeypatch.setattr(toy, "measure", lambda x, y, mu, true=toy.measure: true(x[:10], y[:10], mu))
    monkeypatch.setattr(toy, "SETTINGS", [toy.WIDE, toy.NARROW, (1, 20)])
    result, _ = run(1, 5)
    assert not result["gain_where_theory_says_gain"]


def test_gap_and_error_against_many_new_points():
    random, mu = torch.Generator().manual_seed(0), torch.full((3,), 3**-0.5, dtype=torch.float64)

    def draws(count):
        y = toy.signs(count)
        return y[:, None] * mu + toy.SIGMA * torch.randn(count, 3, generator=random, dtype=torch.float64), y

    x, y = draws(12)
    gap, error = toy.measure(x, y, mu)
    theta = (x * y[:, None]).mean(0)
    new, label = draws(400_000)
    losses = [((a - b[:, None] * theta) ** 2).sum(1).mean() / (2 * 0.36) for a, b in ((x, y), (new, label))]
    assert gap == pytest.approx(float((losses[0] - losses[1]).abs()), abs=0.01)
    assert error == pytest.approx(float(((new @ theta) * label < 0).double().mean()), abs=0.002)


def test_rates_and_ratios_by_hand():
    gaps = {
        toy.setting_key(d, m): {"gap": [m**-0.5] * 6 + [2 / m], "error": [0.1] * 6 + [0.12]} for d, m in toy.SETTINGS
    }
    assert toy.rate(gaps, 0) == pytest.approx(-0.5)
    assert toy.rate_change(gaps) == pytest.approx(0.5)
    assert toy.ratio(gaps, 50, 10) == pytest.approx(0.2 * 10**0.5)
    assert toy.error_change(gaps, 50, 10) == pytest.approx(0.02)
