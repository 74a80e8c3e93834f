"""The script that carries labels from one set of digits to another, on the embedded digits with a handful of steps."""

import json

import numpy as np
import pytest
import torch
from helpers.shared_data import SHARED
from torch.utils.data import TensorDataset

from benchmarks.common.record import Record
from benchmarks.papers import domain
from genaug.data.reading import read_samples

USPS = SHARED / "usps.npz"
SETTINGS = {
    "UPDATES": 3,
    "CYCLEGAN": {"steps": 2, "batch_size": 4, "config": {"width": 4, "max_width": 4, "blocks": 0, "pool": 4}},
    "COGAN": {
        "steps": 2,
        "batch_size": 8,
        "augment": ["affine"],
        "config": {"width": 4, "max_width": 8, "discriminator_width": 4},
    },
}


def digits_of(count, side, seed):
    """Bright boxes whose height and width say which of ten classes they are, and their labels."""
    draws, labels = torch.Generator().manual_seed(seed), torch.arange(count) % 10
    images = torch.zeros(count, 1, side, side, dtype=torch.uint8)
    for image, label in zip(images, labels.tolist(), strict=True):
        top, left = torch.randint(0, side - 12, (2,), generator=draws).tolist()
        image[:, top : top + 2 + label, left : left + 12 - label] = 200
    return images, labels


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    for name, value in {**SETTINGS, "RESULTS": tmp_path, "RUNS": tmp_path / "runs"}.items():
        monkeypatch.setattr(domain, name, value)
    sets = tuple(read_samples(TensorDataset(*digits_of(30, 28, seed))) for seed in (1, 2))
    monkeypatch.setattr(domain, "read", lambda data, root: sets)
    arrays = {}
    for split, seed in (("train", 3), ("test", 4)):
        images, labels = digits_of(20, 16, seed)
        arrays |= {f"{split}_images": images[:, 0].numpy(), f"{split}_labels": labels.numpy()}
    np.savez(tmp_path / "usps.npz", **arrays)
    domain.sets_of.cache_clear()

    def call(*arguments):
        files = ["--usps", str(tmp_path / "usps.npz"), "--results", str(tmp_path / "domain.jsonl")]
        domain.main([*files, "--seeds", "1", "--json", *arguments])
        out, err = capsys.readouterr()
        return json.loads(out.splitlines()[-1]), out + err

    yield call
    domain.sets_of.cache_clear()


def test_from_start_to_figures_and_a_second_run_only_reads(run, tmp_path, monkeypatch):
    result, output = run()
    rows = Record(tmp_path / "domain.jsonl").rows({})
    assert [row["direction"] for row in rows] == ["mnist to usps", "usps to mnist"]
    for row in rows:
        assert all(0 <= row[method] <= 1 for method in domain.METHODS)
        assert set(row["cpu_seconds"]) == set(row["gains"]) == set(domain.METHODS)
        assert row["gains"]["cogan"][0] == pytest.approx(row["cogan"] - row["affine"], abs=1e-5)
        assert row["gains"]["affine"] == [0, 0, 0]
    assert result["mnist_to_usps_cogan"] == rows[0]["cogan"]
    assert result["met"] is False, "a single seed has no interval"
    assert len(list((tmp_path / "runs").iterdir())) == 3, "one cyclegan serves both directions, a cogan one"
    assert (tmp_path / "domain_mnist_to_usps.png").is_file()
    assert (tmp_path / "domain_usps_to_mnist.png").is_file()
    monkeypatch.setattr(domain, "run", lambda *_: pytest.fail("everything was done already"))
    assert run()[0] == result
    table = run("--table")[1]
    assert table.count("| usps to mnist |") == len(domain.METHODS)
    assert table.splitlines()[0] in output


class TestCropping:
    def box(self, height, width, side=28, at=(3, 5)):
        image = torch.zeros(1, 1, side, side, dtype=torch.uint8)
        image[..., at[0] : at[0] + height, at[1] : at[1] + width] = 200
        return image

    @pytest.mark.parametrize(
        ("size", "rows", "columns"),
        [((20, 10), (0, 16), (4, 12)), ((5, 10), (4, 12), (0, 16)), ((20, 1), (0, 16), (7, 8))],
    )
    def test_the_longer_side_of_the_ink_fills_the_frame_and_the_other_one_is_centered(self, size, rows, columns):
        (image,), _ = domain.boxed(self.box(*size), torch.tensor([3]))
        expected = torch.zeros(16, 16, dtype=torch.uint8)
        expected[slice(*rows), slice(*columns)] = 200
        assert torch.equal(image[0], expected)

    def test_it_does_not_depend_on_the_position_or_on_faint_ink(self):
        one, other = self.box(12, 9), self.box(12, 9, at=(11, 14))
        other[..., 0, 0] = domain.INK - 1
        images, labels = domain.boxed(torch.cat([one, other]), torch.tensor([0, 1]))
        assert torch.equal(images[0], images[1])
        assert labels.tolist() == [0, 1]

    def test_images_that_fill_the_frame_stay_and_empty_ones_are_black(self):
        images = torch.cat([digits_of(1, 16, 0)[0], torch.zeros(1, 1, 16, 16, dtype=torch.uint8)])
        images[0, 0, 0, 0] = images[0, 0, 15, 15] = 255
        cropped, _ = domain.boxed(images, torch.tensor([0, 1]))
        assert torch.equal(cropped, images)

    @pytest.mark.skipif(not USPS.is_file(), reason="no usps.npz in $GENAUG_TEST_DATA")
    def test_digits_of_usps_fill_their_frame_already(self):
        images = torch.from_numpy(np.load(USPS)["test_images"]).reshape(-1, 1, 16, 16)[:200]
        cropped, _ = domain.boxed(images, torch.zeros(200))
        assert (cropped.int() - images.int()).abs().float().mean() < 8


def rows_of(gains, cogan=0.95):
    fixed = {"direction": "mnist to usps", "affine": 0.9, "source": 0.8, "target": 0.99}
    return [{**fixed, "cyclegan": 0.9 + gain, "cogan": cogan + gain} for gain in gains]


@pytest.mark.parametrize(
    ("gains", "cogan", "met"), [((0.02, 0.021), 0.95, True), ((0.02, 0.021), 0.9, False), ((0.1, -0.02), 0.95, False)]
)
def test_gains_have_to_be_above_0_and_cogan_at_its_target(gains, cogan, met):
    result = domain.summary(rows_of(gains, cogan))
    assert result["met"] is met
    assert result["mnist_to_usps_cyclegan_gain"] == pytest.approx(sum(gains) / 2)
