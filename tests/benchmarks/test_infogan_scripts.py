"""The InfoGAN scripts from start to figure on the embedded digits, and what they measure, by hand."""

import json

import pytest
import torch

from benchmarks.papers import codes, infogan_coloured_mnist, infogan_mnist

TINY = ["--data", "digits", "--steps", "3", "--set", "width=4", "--set", "max_width=8", "--json"]


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Calls a script with its results and runs under ``tmp_path``: its last line, and all it said."""
    for module in (codes, infogan_mnist, infogan_coloured_mnist):
        monkeypatch.setattr(module, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(codes, "RUNS", tmp_path / "runs")
    monkeypatch.setattr(codes, "BATCH", 16)
    monkeypatch.setattr(infogan_mnist, "READ_BACK", 40)
    monkeypatch.setattr(infogan_coloured_mnist, "SAMPLES", 60)

    def call(script, *arguments):
        script.main([*TINY, *arguments])
        captured = capsys.readouterr()
        return json.loads(captured.out.splitlines()[-1]), captured.out + captured.err

    return call


def lines_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_mnist_from_start_to_figure_and_on_from_there(run, tmp_path, monkeypatch):
    first, output = run(infogan_mnist, "--seeds", "1")
    assert all(isinstance(value, (int, float, str)) for value in first.values())
    assert " h" in output
    assert "Chen et al. 2016" in output
    results = tmp_path / "results"
    (row,) = lines_of(results / "infogan_mnist.jsonl")
    table = torch.tensor(row["test_counts"])
    assert table.shape == (10, 10)
    assert table.sum() == 500
    assert sorted(row["digits"]) == list(range(10))
    assert row["error"] == pytest.approx(1 - int(table[range(10), row["digits"]].sum()) / 500)
    for name in ("infogan_mnist.png", "infogan_mnist_seed0.png"):
        assert (results / name).read_bytes().startswith(b"\x89PNG")
    monkeypatch.setattr(infogan_mnist, "train", lambda *a, **k: pytest.fail("seed 0 is finished"))
    again, _ = run(infogan_mnist, "--seeds", "1")
    assert again == first
    assert len(lines_of(results / "infogan_mnist.jsonl")) == 1


def test_a_run_with_another_option_is_another_run(run, tmp_path, monkeypatch):
    error = iter([0.1, 0.2])
    figures = {"train_error": 0.0, "error_on_generated": 0.0, "digits": list(range(10)), "seconds": 1.0}
    monkeypatch.setattr(
        infogan_mnist, "measure", lambda *_: {**figures, "error": next(error), "test_counts": torch.eye(10).tolist()}
    )
    assert run(infogan_mnist, "--seeds", "1")[0]["median_error"] == 0.1
    assert run(infogan_mnist, "--seeds", "1", "--set", "loss=relativistic")[0]["median_error"] == 0.2
    assert run(infogan_mnist, "--seeds", "1")[0]["median_error"] == 0.1
    assert len(list((tmp_path / "runs" / "infogan_mnist").iterdir())) == 2


def test_more_categories_than_digits_and_another_number_of_steps(run, tmp_path):
    result, _ = run(infogan_mnist, "--seeds", "1", "--set", "categories=[12]")
    assert result["seeds"] == 1
    (row,) = lines_of(tmp_path / "results" / "infogan_mnist.jsonl")
    assert len(row["digits"]) == 12
    (folder,) = (tmp_path / "runs" / "infogan_mnist").iterdir()
    assert folder.name.startswith("seed-0-3-steps")


def test_coloured_from_start_to_figures(run, tmp_path):
    result, output = run(infogan_coloured_mnist, "--seeds", "1", "--first-seed", "7")
    assert " h" in output
    assert "R²" in output
    results = tmp_path / "results"
    (row,) = lines_of(results / "infogan_coloured_mnist.jsonl")
    assert row["seed"] == 7
    assert result["median_r2"] == row["r2"] == pytest.approx((row["red"] + row["green"] + row["blue"]) / 3, abs=1e-3)
    for kind in ("grid", "category"):
        assert (results / f"infogan_coloured_mnist_seed7_{kind}.png").read_bytes().startswith(b"\x89PNG")


def test_q_comes_from_the_last_checkpoint_and_an_interrupted_run_goes_on(run, tiny_set, tmp_path):
    images = tiny_set.tensors[0]
    config = {"width": 4, "max_width": 8}
    codes.train(images, "half", steps=2, seed=0, config=config)
    half = codes.train(images, "half", steps=4, seed=0, config=config)
    uninterrupted = codes.train(images, "whole", steps=4, seed=0, config=config)
    assert half.seconds > 0
    for name, weight in uninterrupted.last.nets.state_dict().items():
        assert torch.equal(half.last.nets.state_dict()[name], weight)
    averaged = uninterrupted.generator.nets["discriminator"].state_dict()
    assert not all(
        torch.equal(averaged[name], w) for name, w in uninterrupted.last.nets["discriminator"].state_dict().items()
    )
    assert torch.equal(half.categories(images), uninterrupted.categories(images))
    assert torch.equal(uninterrupted.categories(images), uninterrupted.last.encode(images)["c1"])
    assert codes.train(images, "whole", steps=4, seed=0, config=config).seconds is None


class TestColours:
    def test_the_colour_is_one_for_an_image_and_knows_nothing_of_it(self):
        grey = torch.full((200, 1, 4, 4), 255, dtype=torch.uint8)
        grey[:, :, 0] = 0
        grey[:, :, 1] = 128
        colored = infogan_coloured_mnist.color_images(grey, 0)
        assert colored.shape == (200, 3, 4, 4)
        assert colored.dtype == torch.uint8
        assert int(colored[:, :, 0].max()) == 0
        colors = colored[:, :, 2, 0]
        assert torch.equal(colored[:, :, 2:], colors[:, :, None, None].expand(-1, -1, 2, 4))
        assert float((colored[:, :, 1, 0] - colors * (128 / 255)).abs().max()) <= 1
        assert (int(colors.min()), int(colors.max())) >= (64, 240)
        assert float(torch.corrcoef(colors.T.float())[0, 1:].abs().max()) < 0.2
        assert torch.equal(infogan_coloured_mnist.color_images(255 - grey, 0)[:, :, 0, 0], colors)

    def test_the_strokes_colour_leaves_out_the_dark(self):
        images = torch.zeros(2, 3, 4, 4, dtype=torch.uint8)
        images[0, :, 1, :2] = torch.tensor([255, 51, 0], dtype=torch.uint8)[:, None]
        images[0, :, 2, 0] = torch.tensor([100, 100, 100], dtype=torch.uint8)  # less than half as bright
        images[0, :, 3, 0] = torch.tensor([0, 0, 153], dtype=torch.uint8)
        color = infogan_coloured_mnist.stroke_color(images)
        assert torch.allclose(color[0], torch.tensor([2 / 3, 0.4 / 3, 0.2]))
        assert color[1].tolist() == [0, 0, 0]

    def test_explained_by_codes_that_tell_it_and_not_by_others(self):
        codes_, noise = torch.rand(400, 3), torch.randn(400, 3)
        color = codes_ @ torch.tensor([[0.5, 0, 0.1], [0, 0.5, 0], [0, 0, 0.5]]) + 0.02 * noise
        assert min(infogan_coloured_mnist.explained(codes_, color)) > 0.9
        assert max(infogan_coloured_mnist.explained(torch.rand(400, 3), color)) < 0.1
