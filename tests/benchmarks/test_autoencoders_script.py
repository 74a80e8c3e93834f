"""The script that compares autoencoders, on the embedded digits with a handful of steps."""

import json
import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from benchmarks.papers import autoencoders, encoder_measures
from genaug.backends import Batch, Loss, Spec
from genaug.data import load_data
from genaug.data.reading import read_samples
from genaug.modalities import Image
from genaug_vae.vae import VAE

RECONSTRUCTION = ["mlp", "deep", "convolutional", "denoising"]


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(autoencoders, "RESULTS", tmp_path)
    monkeypatch.setattr(autoencoders, "STEPS", {"reconstruction": 3, "bound": 3})
    monkeypatch.setattr(autoencoders, "BATCH", 8)
    monkeypatch.setattr(autoencoders, "DRAWS", 2)
    small = {"hidden": 16, "latent_size": 4}
    for name, method in autoencoders.METHODS.items():
        sizes = {"width": 4, "max_width": 8} if "width" in method.options else {}
        options = {**method.options, **small, **sizes}
        monkeypatch.setitem(autoencoders.METHODS, name, replace(method, options=options))

    def call(*options):
        autoencoders.main(["--data", "digits", "--json", *map(str, options)])
        out, err = capsys.readouterr()
        return json.loads(out.splitlines()[-1]), out + err

    return call


def test_from_start_to_figures_and_a_second_run_only_reads(run, tmp_path, monkeypatch):
    result, output = run("--seeds", 1)
    rows = [json.loads(line) for line in (tmp_path / "autoencoders.jsonl").read_text().splitlines()]
    assert [row["method"] for row in rows] == [*RECONSTRUCTION, "vae", "vae, thresholded"]
    assert all(isinstance(value, int | float | bool | type(None)) for value in result.values())
    for row in rows[:4]:
        assert row["clean"] < row["noisy"] * 1.5
        assert row["noisy_input"] == rows[0]["noisy_input"]  # the same noise for all
        assert (tmp_path / f"autoencoders_{row['method']}.png").read_bytes().startswith(b"\x89PNG")
    for row in rows[4:]:
        assert row["bound"] == pytest.approx(row["misfit"] + row["divergence"])
        assert row["bound"] < 64 * math.log(2) * 1.1  # what a model that knows nothing needs, and a little
    assert result["vae_bound_mean"] == rows[4]["bound"]
    assert result["vae_thresholded_bound_mean"] == rows[5]["bound"]
    assert result["target_met"] is (rows[4]["bound"] <= 102)
    assert "noisy error, denoising minus the best of the others: below 0 in" in output
    assert " h" in output
    monkeypatch.setattr(autoencoders, "read", lambda *_: pytest.fail("everything was done already"))
    assert run("--seeds", 1)[0] == result


def test_methods_can_be_chosen_and_a_run_goes_on_with_the_others(run, tmp_path):
    result, _ = run("--seeds", 1, "--methods", "mlp")
    assert "mlp_clean_mean" in result
    assert result["target_met"] is None
    run("--seeds", 1, "--methods", "mlp", "vae")
    rows = [json.loads(line) for line in (tmp_path / "autoencoders.jsonl").read_text().splitlines()]
    assert [row["method"] for row in rows] == ["mlp", "vae"]


def test_pixels_are_drawn_again_for_every_batch_with_their_gray_values_as_probabilities(monkeypatch):
    batches = []

    def keep(self, nets, batch, step):
        batches.append(batch.x)
        return Loss(torch.zeros((), requires_grad=True))

    class Draws:
        generator = torch.Generator().manual_seed(0)

        def uniform(self, *shape):
            return torch.rand(shape, generator=self.generator)

    monkeypatch.setattr(VAE, "loss", keep)
    gray = torch.tensor([-1.0, -0.5, 0.5, 1.0]).reshape(1, 1, 2, 2).expand(4000, 1, 2, 2)
    backend, draws = autoencoders.SampledVAE(), Draws()
    for _ in range(2):
        backend.loss(nn.ModuleDict(), Batch(gray, None), draws)
    for x in batches:
        assert set(x.unique().tolist()) == {-1, 1}
        white = (x == 1).float().mean(0).flatten()
        assert torch.allclose(white, torch.tensor([0, 0.25, 0.75, 1]), atol=0.03)
    assert not torch.equal(*batches)


def test_test_pixels_are_drawn_once_or_thresholded():
    images = torch.tensor([0, 64, 127, 128, 255], dtype=torch.uint8).reshape(1, 1, 1, 5).expand(2000, 1, 1, 5)
    train, test = autoencoders.binary("vae", images, images)
    assert torch.equal(train, images)
    assert set(test.unique().tolist()) == {0, 255}
    assert torch.allclose(test.float().mean(0).flatten(), images[0].flatten().float(), atol=10)
    assert torch.equal(test, autoencoders.binary("vae", images, images)[1])
    train, test = autoencoders.binary("vae, thresholded", images, images)
    assert train[0].flatten().tolist() == test[0].flatten().tolist() == [0, 0, 0, 255, 255]
    assert torch.equal(autoencoders.binary("mlp", images, images)[1], images)


class Half(nn.Module):
    """An encoder to N(1, 4) and, as a decoder, log-odds of 0: every pixel is as likely black as white."""

    def forward(self, x, labels):
        return torch.tensor([[1.0, math.log(4)]]).expand(len(x), 2)

    def output(self, z, labels):
        return torch.zeros(len(z), 1, 2, 2)


def test_the_bound_by_hand():
    nets, spec = nn.ModuleDict({"encoder": Half(), "generator": Half()}), Spec(sample=Image(1, 2, 2))
    test = 255 * torch.randint(2, (700, 1, 2, 2), dtype=torch.uint8)  # more than a chunk
    result = autoencoders.bound(nets, test, spec)
    assert result["misfit"] == pytest.approx(4 * math.log(2), rel=1e-5)
    assert result["divergence"] == pytest.approx((1 + 4 - 1 - math.log(4)) / 2, rel=1e-5)
    assert result["bound"] == pytest.approx(result["misfit"] + result["divergence"])


def test_noise_stays_in_the_range_of_pixels_and_depends_on_the_seed():
    images = read_samples(load_data("digits", split="test")).x
    noisy = autoencoders.with_noise(images, 0)
    assert (noisy.dtype, noisy.shape) == (torch.uint8, images.shape)
    assert torch.equal(noisy, autoencoders.with_noise(images, 0))
    assert not torch.equal(noisy, autoencoders.with_noise(images, 1))
    gray = images[(images > 120) & (images < 136)].float(), noisy[(images > 120) & (images < 136)].float()
    assert 80 < float((gray[1] - gray[0]).std()) < 127.5  # 0.5 of 255, less what is cut off


def row(method, seed, **figures):
    return {"method": method, "seed": seed, "seconds": 1, **figures}


def test_the_measures_and_their_targets():
    rows = [
        row(method, seed, clean=clean, noisy=noisy, noisy_input=0.1)
        for seed in (0, 1, 2)
        for method, clean, noisy in (
            ("mlp", 0.02, 0.06),
            ("deep", 0.03, 0.05 if seed else 0.01),
            ("convolutional", 0.01, 0.04),
            ("denoising", 0.02, 0.02),
        )
    ]
    rows += [row("vae, thresholded", seed, bound=80.0, misfit=60.0, divergence=20.0) for seed in (0, 1, 2)]
    rows += [row("vae", seed, bound=bound, misfit=70.0, divergence=25.0) for seed, bound in enumerate((97, 101, 107))]
    measures = {measure.label: measure for measure in encoder_measures.autoencoders(rows)}
    assert measures["−ELBO of the vae, nats"].met is True  # the mean is 101.7, the median 101
    assert measures["clean error, deep minus mlp"].met is True
    assert measures["clean error, convolutional minus the better of mlp and deep"].met is True
    noisy = measures["noisy error, denoising minus the best of the others"]
    assert noisy.values[1] == pytest.approx(-0.02)
    assert noisy.met is False  # in seed 0
    rows[-1]["bound"] = 109
    assert {m.label: m for m in encoder_measures.autoencoders(rows)}["−ELBO of the vae, nats"].met is False
    result = autoencoders.summary(rows)
    assert result["noisy_error_denoising_less_the_best_of_the_others_holds"] is False
    assert result["clean_error_deep_less_mlp_holds"] is True
    assert result["target_met"] is False
