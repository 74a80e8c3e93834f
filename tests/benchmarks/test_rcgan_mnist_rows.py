"""The script of MNIST's rows, on small digits and tiny settings; a second run only reads."""

import json

import pytest
import torch

from benchmarks.common.judge import labelled, read
from benchmarks.papers import rcgan_mnist_rows

TINY = ["--data", "digits", "--steps", "2", "--batch-size", "16", "--updates", "3"]
NETWORKS = ["hidden=6", "generator_layers=1", "discriminator_layers=1", "latent_size=2"]


def test_from_start_to_figure_and_a_second_run_only_reads(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(rcgan_mnist_rows, "RESULTS", tmp_path)

    def run(first):
        words = [*TINY, "--results", f"{tmp_path / 'rows.jsonl'}", "--seeds", "2", "--first-seed", first, "--json"]
        rcgan_mnist_rows.main([*words, *[word for pair in NETWORKS for word in ("--set", pair)]])
        return json.loads(capsys.readouterr().out.splitlines()[-1])

    result = run("0")
    rows = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    assert [row["seed"] for row in rows] == [0, 1]
    assert rows[0]["config"] == {"latent_size": 2, "hidden": 6, "generator_layers": 1, "discriminator_layers": 1}
    for name in ("real", "tstr", "trts"):
        values = [row[f"{name}_accuracy"] for row in rows]
        assert result[f"{name}_accuracy_mean"] == pytest.approx(sum(values) / 2)
        assert result[f"{name}_accuracy_min"] == min(values)
    assert result["target_tstr_met"] is False
    (picture,) = tmp_path.glob("*.png")
    assert picture.read_bytes().startswith(b"\x89PNG")
    monkeypatch.setattr(rcgan_mnist_rows, "run", lambda key, root: pytest.fail("both seeds are finished"))
    assert run("0") == result


def test_a_step_of_a_series_has_a_row_of_the_image():
    images = torch.randint(256, (5, 1, 6, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    series = rcgan_mnist_rows.series_of(images)
    assert series.shape == (5, 4, 6)
    assert (255 * series[2, :, 3]).round().sort().values.equal(images[2, 0, 3].sort().values.float())
    assert series[2, 1, 3] == images[2, 0, 3, 0] / 255, "channel 1 of row 3 is column 4 of 4"
    assert rcgan_mnist_rows.images_of(series).equal(images)


def test_all_channels_have_much_the_same_deviation_although_the_border_is_empty():
    images = labelled(read("digits", None)[0])[0]
    columns, channels = images[:, 0].double().std((0, 1)), rcgan_mnist_rows.series_of(images).std((0, 2))
    assert columns.max() > 50 * columns.min()
    assert channels.max() < 1.5 * channels.min()


def test_the_target_is_that_of_the_accuracy_on_real_digits():
    rows = [
        {"cpu_seconds": 1.0, "real_accuracy": 0.99, "tstr_accuracy": tstr, "trts_accuracy": 0.1}
        for tstr in (0.92, 0.95)
    ]
    assert rcgan_mnist_rows.summary(rows)["target_tstr_met"] is True
    assert rcgan_mnist_rows.summary(rows[:1])["target_tstr_met"] is False
