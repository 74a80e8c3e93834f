"""benchmarks/speed/precision.py from end to end, tiny, and its bound on numbers worked out by hand."""

import argparse
import json

import pytest
import torch

from benchmarks.speed import precision
from genaug.data import load_data
from genaug.data.reading import read_samples


def test_it_runs(capsys):
    precision.main(
        [
            "--data",
            "digits",
            "--seeds",
            "2",
            "--steps",
            "4",
            "--looks",
            "2",
            "--width",
            "4",
            "--samples",
            "200",
            "--judge-updates",
            "20",
            "--json",
        ]
    )
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result["seeds"] == 2
    assert result["kid_float32"] > 0
    assert result["target_met"] == (result["upper_bound_over_float32"] <= 0.1)


def test_the_bound_is_students_one_sided():
    result = precision.summary({"float32": [1.0, 1.0, 1.0], "bfloat16": [1.0, 1.1, 1.2]})
    assert result["difference"] == pytest.approx(0.1)
    assert result["difference_upper_95"] == pytest.approx(0.1 + 2.91999 * 0.1 / 3**0.5, abs=1e-4)
    assert not result["target_met"]


def test_bfloat16_is_another_training():
    """It would pass in vain if both were float32."""
    options = argparse.Namespace(steps=4, looks=1, width=4, samples=200)
    train = read_samples(load_data("digits"))
    features = precision.Features("pixels", lambda images: images.float().flatten(1))
    real = features.of(train.x)
    a, b = (precision.follow(train, features, real, 0, dtype, options) for dtype in (torch.float32, torch.bfloat16))
    assert a != b
    assert a == pytest.approx(b, rel=0.1)
